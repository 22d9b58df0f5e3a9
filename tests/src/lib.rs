//! What the whole-system tests share: real `fed-bbpt` processes, a folder for each test, and a model API that
//! misbehaves. Browser tests stand in `browser/`, tests of processes in `native/`.

pub mod bad_model;
pub mod process;

use serde_json::Value;
use std::time::{Duration, Instant};

/// Nothing takes this long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer: where the other side is a process, there is no event to wait
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

/// The rounds that ended well, of a federation's details as JSON.
///
/// # Panics
/// If these are no details.
#[must_use]
#[allow(clippy::expect_used)]
pub fn done_rounds(detail: &Value) -> Vec<&Value> {
    let rounds = detail["rounds"].as_array().expect("details hold rounds");
    rounds.iter().filter(|r| r["phase"] == "done").collect()
}
