//! The commands, one file for each (or for two that are alike).

// The comments on flags are their help texts, in which brackets and addresses stand as people type them.
#![allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links)]

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

/// Prints a line for the person or program that started us; pipes get it at once.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // The reader may close the pipe.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Runs a future on a new runtime with all cores.
pub fn block_on<T>(future: impl Future<Output = T>) -> Result<T, CliError> {
    tokio::runtime::Runtime::new()
        .map_err(CliError::failed)
        .map(|runtime| runtime.block_on(future))
}

/// The name of an enumeration's value in JSON, which people see too, such as `in-cohort`.
pub fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}

/// Prints an answer as JSON, for `--json`.
pub fn say_json(answer: &impl Serialize) -> Result<(), CliError> {
    say(&serde_json::to_string_pretty(answer).map_err(CliError::failed)?);
    Ok(())
}

/// The environment variable that holds the model API's key.
pub const MODEL_KEY: &str = "FED_BBPT_MODEL_KEY";
/// The former name of [`MODEL_KEY`] in `join` and `simulate`.
const MODEL_KEY_BEFORE: &str = "FED_BBPT_MODEL_API_KEY";

/// The model API's key: the one that was given, or the one in the variable's former name, with a
/// warning.
pub fn model_key(given: Option<String>) -> Option<String> {
    given.or_else(|| {
        let key = std::env::var(MODEL_KEY_BEFORE).ok()?;
        eprintln!("{MODEL_KEY_BEFORE} is called {MODEL_KEY} now; the old name will go");
        Some(key)
    })
}

/// Whether to write colours to `stream`: it is a terminal, and NO_COLOR is not set.
pub fn colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
