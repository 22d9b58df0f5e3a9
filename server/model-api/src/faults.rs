//! Faults in flags and files, reported all at once.

use std::path::Path;

use ground::fault::{Fault, Reader};
use serde_json::Value;
use thiserror::Error;

/// All faults in the flags, at least one.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{}", .faults.join("\n"))]
pub struct ConfigFaults {
    /// One text for each, with the flag's name and what to do.
    pub faults: Vec<String>,
}

/// Reads a TOML file as a tree of settings.
pub(crate) fn toml_file(flag: &str, path: &Path) -> Result<Value, ConfigFaults> {
    let fault = |cause: String| ConfigFaults {
        faults: vec![format!("{flag}: {}: {cause}", path.display())],
    };
    let text =
        std::fs::read_to_string(path).map_err(|error| fault(format!("cannot be read: {error}")))?;
    toml::from_str(&text).map_err(|error| fault(error.to_string()))
}

/// The tables `[[name]]` of a file that may contain nothing else, at least one.
pub(crate) fn tables<'a>(
    name: &'static str,
    value: &'a Value,
    faults: &mut Vec<Fault>,
) -> &'a [Value] {
    let entries = value.get(name).and_then(Value::as_array);
    let entries = entries.map_or(&[][..], Vec::as_slice);
    let mut reader = Reader::new("", value, faults);
    if reader.raw(name).is_none() || entries.is_empty() {
        reader.fault(
            name,
            format!("is missing: write a table [[{name}]] for each"),
        );
    }
    reader.finish();
    entries
}
