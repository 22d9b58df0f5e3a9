//! What the whole-system tests share: real `fed-bbpt` processes, a folder for each test, and a
//! model API that misbehaves. Browser tests are in `browser/`, tests of processes in `native/`.

pub mod alone;
pub mod bad_model;
pub mod http;
pub mod process;
pub mod toy_embeddings;
pub mod toy_language_model;
pub mod toy_llm;
pub mod toy_scorer;

use owner_data::handwriting;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// Maximum time for anything in the tests, unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer, because another process gives no event to wait
/// for.
///
/// # Panics
/// After [`PATIENCE`].
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// The finished rounds in a federation's details as JSON.
///
/// # Panics
/// If these are no details.
#[must_use]
#[allow(clippy::expect_used)]
pub fn done_rounds(detail: &Value) -> Vec<&Value> {
    let rounds = detail["rounds"].as_array().expect("details hold rounds");
    rounds.iter().filter(|r| r["phase"] == "done").collect()
}

/// Writes digits drawn by built-in owners as a table: the label, then the pixels.
///
/// # Panics
/// If the file cannot be written.
#[allow(clippy::expect_used)]
pub fn digits_table(path: &Path) {
    let mut text = String::from("label");
    // Writing into a text cannot fail.
    let mut put = |part: std::fmt::Arguments<'_>| text.write_fmt(part).expect("there is memory");
    (0..handwriting::SIZE * handwriting::SIZE).for_each(|i| put(format_args!(",p{i}")));
    for (grey, digit) in (1..4).flat_map(|owner| handwriting::owner(owner, 30, None)) {
        put(format_args!("\n{digit}"));
        grey.iter().for_each(|p| put(format_args!(",{p}")));
    }
    std::fs::write(path, text + "\n").expect("a file can be written");
}
