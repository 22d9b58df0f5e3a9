//! A model API of texts with scores that a person can follow: a label word in the text counts, and
//! much more so under a template with the word "good".

use crate::http::{self, Asked};
use serde_json::{Value, json};
use std::net::TcpStream;

/// Maximum number of texts in one request.
pub const MAX_BATCH: usize = 16;

/// Starts the server, whose thread ends with the test's process; returns its address.
///
/// # Panics
/// If no port is free.
#[must_use]
pub fn start() -> String {
    http::listen(serve)
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let Asked {
        head,
        body,
        json_length,
        ..
    } = http::read(&stream)?;
    let answer = if head.starts_with("POST /v2/models/toy/infer ") {
        infer(&body, json_length)
    } else {
        Some(description())
    };
    let (status, body) = match answer {
        Some(answer) => (200, answer.to_string()),
        None => (
            400,
            json!({ "error": "not by the wire contract" }).to_string(),
        ),
    };
    http::write(
        &mut stream,
        status,
        "content-type: application/json\r\n",
        body.as_bytes(),
    )
}

fn description() -> Value {
    let input = |name: &str| json!({ "name": name, "datatype": "BYTES", "shape": [-1] });
    json!({
        "name": "toy", "platform": "test",
        "inputs": [input("text"), input("labels"), input("template")],
        "outputs": [{ "name": "logits", "datatype": "FP32", "shape": [-1, -1] }],
        "parameters": { "kind": "sentence-encoder", "max_batch": MAX_BATCH },
    })
}

/// The answer; `None` if the request is not in the form of the protocol.
fn infer(body: &[u8], json_length: usize) -> Option<Value> {
    let (header, mut raw) = body.split_at_checked(json_length)?;
    let header: Value = serde_json::from_slice(header).ok()?;
    let mut tensors = Vec::new();
    for (input, name) in header["inputs"]
        .as_array()?
        .iter()
        .zip(["text", "labels", "template"])
    {
        let size = input["parameters"]["binary_data_size"].as_u64()? as usize;
        let (own, rest) = raw.split_at_checked(size)?;
        let elements = elements(own)?;
        let described = input["name"] == name && input["datatype"] == "BYTES";
        if !described || input["shape"] != json!([elements.len()]) {
            return None;
        }
        tensors.push(elements);
        raw = rest;
    }
    let [texts, labels, templates] = &tensors[..] else {
        return None;
    };
    if !raw.is_empty() || texts.len() != templates.len() || texts.len() > MAX_BATCH {
        return None;
    }
    let rows = texts.iter().zip(templates);
    let scores: Vec<f64> = rows
        .flat_map(|(text, template)| labels.iter().map(move |label| score(text, label, template)))
        .collect();
    Some(json!({
        "model_name": "toy",
        "outputs": [{ "name": "logits", "datatype": "FP32", "shape": [texts.len(), labels.len()], "data": scores }],
    }))
}

fn elements(mut bytes: &[u8]) -> Option<Vec<String>> {
    let mut elements = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (element, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        elements.push(String::from_utf8(element.to_vec()).ok()?);
        bytes = rest;
    }
    bytes.is_empty().then_some(elements)
}

fn score(text: &str, label: &str, template: &str) -> f64 {
    // FNV-1a, as an opinion of its own about every text and label.
    let hash = text
        .bytes()
        .chain(label.bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
        });
    let opinion = ((hash >> 40) % 1000) as f64 / 500.0;
    let weight = if template.split(' ').any(|word| word == "good") {
        3.0
    } else {
        0.3
    };
    opinion + if text.contains(label) { weight } else { 0.0 }
}
