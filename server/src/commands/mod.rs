//! One file for each command (or two that are alike).

pub mod audit;
pub mod candidates;
mod choice;
pub mod demo;
pub mod embeddings;
pub mod export;
pub mod federation;
pub mod join;
mod propose;
pub mod recipes;
pub mod relay;
pub mod serve;
pub mod simulate;

pub use aggregator::interrupted;

use crate::CliError;
use serde::Serialize;
use serde_json::Value;
use std::future::Future;
use std::io::{IsTerminal, Write as _};

/// A line for whoever started us; pipes get it at once.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // A closed pipe is the reader's choice.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Runs a future on a fresh runtime of all cores.
pub fn block_on<T>(future: impl Future<Output = T>) -> Result<T, CliError> {
    tokio::runtime::Runtime::new()
        .map_err(CliError::failed)
        .map(|runtime| runtime.block_on(future))
}

/// How an enumeration is written in JSON, for people too: `in-cohort`.
pub fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}

/// An answer as `--json` prints it.
pub fn say_json(answer: &impl Serialize) -> Result<(), CliError> {
    say(&serde_json::to_string_pretty(answer).map_err(CliError::failed)?);
    Ok(())
}

/// The environment variable with the model API's key.
pub const MODEL_KEY: &str = "FED_BBPT_MODEL_KEY";
/// The name that [`MODEL_KEY`] had in `join` and `simulate`.
const MODEL_KEY_BEFORE: &str = "FED_BBPT_MODEL_API_KEY";

/// The model API's key: the one given, else that of the variable's former name, with a warning.
pub fn model_key(given: Option<String>) -> Option<String> {
    given.or_else(|| {
        let key = std::env::var(MODEL_KEY_BEFORE).ok()?;
        eprintln!("{MODEL_KEY_BEFORE} is called {MODEL_KEY} now; the old name will go");
        Some(key)
    })
}

/// Whether to write colours to `stream`: a terminal, and nobody said NO_COLOR.
pub fn colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
