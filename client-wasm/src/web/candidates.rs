//! Words for a prompt from public text, for the organiser's form: `fed-bbpt candidates` in the page.

use owner_data::candidates::{Choice, candidates};
use owner_data::texts;
use wasm_bindgen::prelude::*;

/// The words of a file of texts, with or without labels, at most `count`: as `fed-bbpt candidates` finds them.
///
/// Throws a text for the person where the file cannot be read or has no group of words often enough.
#[wasm_bindgen(js_name = promptCandidates)]
pub fn prompt_candidates(file: &str, bytes: &[u8], count: usize) -> Result<Vec<String>, String> {
    let examples = texts::read(file, bytes, &[]).map_err(|fault| fault.to_string())?;
    let texts = examples
        .iter()
        .flat_map(|e| [&*e.text.first, &*e.text.second]);
    let choice = Choice {
        count,
        ..Choice::default()
    };
    let found = candidates(texts, choice);
    if found.is_empty() {
        return Err(format!(
            "{file}: no two neighbouring words stand together {} times; choose a longer text",
            choice.min_count
        ));
    }
    Ok(found)
}
