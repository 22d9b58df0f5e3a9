//! JSON lines, and a JSON list of objects.

use super::super::DataError;
use super::super::labels::Labels;
use super::{Columns, Row};
use serde_json::{Map, Value};

/// Reads the objects as rows, each with the cells of the first object's keys.
pub(super) fn read(
    file: &str,
    bytes: &[u8],
    known: &Labels,
) -> Result<(Vec<Row>, Columns), DataError> {
    let objects = objects(file, bytes)?;
    let Some((_, first)) = objects.first() else {
        return Err(DataError::Empty {
            file: file.to_owned(),
        });
    };
    let keys: Vec<&str> = first.keys().map(String::as_str).collect();
    let columns = Columns::of_keys(file, &keys, known)?;
    let rows = objects
        .iter()
        .map(|(number, object)| Row {
            number: *number,
            cells: keys.iter().map(|key| cell(object.get(*key))).collect(),
        })
        .collect();
    Ok((rows, columns))
}

/// A string as it is, a number in full with up to six decimals, an empty text for anything else.
fn cell(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
        _ => String::new(),
    }
}

/// An object and its line.
type Line = (usize, Map<String, Value>);

fn objects(file: &str, bytes: &[u8]) -> Result<Vec<Line>, DataError> {
    let fault = |row: usize, cause: &str| DataError::JsonLine {
        file: file.to_owned(),
        row,
        cause: cause.to_owned(),
    };
    let object = |(row, value): (usize, Value)| match value {
        Value::Object(object) => Ok((row, object)),
        _ => Err(fault(row, "another value")),
    };
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        // As a value and not as a list: an error about another value holds floating-point numbers,
        // and formatting these is kilobytes of the browser's module.
        let value: Value =
            serde_json::from_slice(bytes).map_err(|e| fault(e.line(), &e.to_string()))?;
        let Value::Array(list) = value else {
            return Err(fault(1, "another value"));
        };
        return list
            .into_iter()
            .enumerate()
            .map(|(i, value)| object((i + 1, value)))
            .collect();
    }
    let mut objects = Vec::new();
    for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let value = serde_json::from_slice(line).map_err(|e| fault(i + 1, &e.to_string()))?;
        objects.push(object((i + 1, value))?);
    }
    Ok(objects)
}
