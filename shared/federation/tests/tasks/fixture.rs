//! A task of texts with two labels, for the tests of generators of words.

use serde_json::{Value, json};

/// The task's source, with these tables.
pub fn task(text: Value, generator: Value) -> Value {
    json!({
        "name": "Topics",
        "model": { "url": "http://127.0.0.1:8701", "name": "encoder", "input": { "kind": "text" } },
        "data": { "labels": ["1", "2"] },
        "text": text,
        "generator": generator,
    })
}
