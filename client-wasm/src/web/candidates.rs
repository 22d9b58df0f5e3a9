//! Words for a prompt from public text, for the organiser's form: the page's `fed-bbpt candidates`.

use owner_data::candidates::{Choice, candidates};
use owner_data::texts;
use wasm_bindgen::prelude::*;

/// Finds at most `count` words in a file of texts, with or without labels, as `fed-bbpt candidates`
/// does.
///
/// Throws a text for people if the file cannot be read, or if no group of words in it is frequent
/// enough.
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
