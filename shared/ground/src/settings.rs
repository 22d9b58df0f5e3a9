//! Settings as a struct of options, read by serde from layers: defaults ← file ← environment ← flags, with all
//! faults at once.
//!
//! serde stops at the first mistake; here every entry is tried alone, so that each tells its own. That works for structs
//! all of whose fields are `Option`, with `#[serde(deny_unknown_fields)]`. Opening files and looking at the environment is
//! left to the caller.

use crate::fault::{Fault, shorten};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Error, Map, Value};

/// A layer: entries by their names.
pub type Table = Map<String, Value>;

/// A setting that a file may give as a text or as a list; elsewhere it is a text with commas.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "invalid type, expected a text or a list of texts"
)]
pub enum TextOrList {
    /// One text, as it stands.
    Text(String),
    /// The texts of a list.
    List(Vec<String>),
}

/// The settings in `table`, which was found at `path` (empty for the root). Notes every entry that `T` does not know or
/// take; what is left is read.
pub fn read<T: DeserializeOwned + Default>(
    path: &str,
    table: &Table,
    faults: &mut Vec<Fault>,
) -> T {
    let mut good = Table::new();
    for (key, value) in table {
        match alone::<T>(key, value) {
            Ok(_) => {
                good.insert(key.clone(), value.clone());
            }
            Err(error) => faults.push(Fault {
                path: match path {
                    "" => key.clone(),
                    _ => format!("{path}.{key}"),
                },
                message: wording(&error.to_string(), value),
            }),
        }
    }
    T::deserialize(Value::Object(good)).unwrap_or_else(|error| {
        faults.push(Fault {
            path: path.to_owned(),
            message: error.to_string(),
        });
        T::default()
    })
}

/// The layer of the environment: the variables that are named like settings of `T`, in capitals after `prefix`. A value is a
/// text where `T` takes one there, else what it is as JSON (a number, say).
pub fn environment<T: DeserializeOwned>(
    prefix: &str,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Table {
    let mut table = Table::new();
    for (name, text) in variables {
        let Some(key) = name.strip_prefix(prefix).map(str::to_ascii_lowercase) else {
            continue;
        };
        if alone::<T>(&key, &Value::Null).is_err() {
            continue;
        }
        let as_text = Value::String(text);
        let value = match &as_text {
            Value::String(text) if alone::<T>(&key, &as_text).is_err() => {
                serde_json::from_str(text).ok()
            }
            _ => None,
        };
        table.insert(key, value.unwrap_or(as_text));
    }
    table
}

/// The layer of settings that are a struct already, such as flags: those that are given.
///
/// # Errors
/// One of them cannot be written as JSON: a path that is not Unicode.
pub fn given<T: Serialize>(settings: &T) -> Result<Table, Error> {
    let Value::Object(mut table) = serde_json::to_value(settings)? else {
        return Ok(Table::new());
    };
    table.retain(|_, value| !value.is_null());
    Ok(table)
}

fn alone<T: DeserializeOwned>(key: &str, value: &Value) -> Result<T, Error> {
    T::deserialize(Value::Object(Table::from_iter([(
        key.to_owned(),
        value.clone(),
    )])))
}

/// What serde says, as [`Reader`](crate::fault::Reader) would say it.
fn wording(error: &str, value: &Value) -> String {
    let Some((what, expected)) = error
        .split_once(", expected ")
        .or_else(|| error.split_once(", there are "))
    else {
        return error.to_owned();
    };
    let expected = expected.replace('`', "\"");
    if what.starts_with("unknown field") {
        let known = expected.trim_start_matches("one of ").replace('"', "");
        return format!("is not a setting; known here: {known}");
    }
    if what.starts_with("unknown variant") {
        // Every other piece stands between quotes.
        let names: Vec<String> = expected
            .split('"')
            .skip(1)
            .step_by(2)
            .map(|name| format!("\"{name}\""))
            .collect();
        let names = names.join(" | ");
        return format!("must be one of {names}, but is {}", shorten(value));
    }
    let expected = match expected.as_str() {
        "a string" | "path string" => "a text",
        "u16" | "u32" | "u64" | "usize" => "a whole number",
        "f32" | "f64" => "a number",
        other => other,
    };
    format!("must be {expected}, but is {}", shorten(value))
}

#[cfg(test)]
mod tests;
