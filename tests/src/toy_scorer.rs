//! A model API of texts whose scores a person can follow: a label word that stands in the text counts, and much more
//! so under a template that holds the word "good". Small on purpose: HTTP/1.1, one request a connection.

// A helper of tests: what cannot be done fails the test.
#![allow(clippy::expect_used)]

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

/// Texts of one request at most.
pub const MAX_BATCH: usize = 16;

/// Starts the server, whose thread ends with the test's process; where it listens.
///
/// # Panics
/// If no port is free.
#[must_use]
pub fn start() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it listens"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that goes away is none of the server's business.
            std::thread::spawn(move || drop(serve(stream)));
        }
    });
    url
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut head, mut length, mut json_length) = (String::new(), 0, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        let lower = line.to_ascii_lowercase();
        let number = |name: &str| {
            lower
                .strip_prefix(name)
                .and_then(|v| v.trim().parse::<usize>().ok())
        };
        length = number("content-length:").unwrap_or(length);
        json_length = number("inference-header-content-length:").unwrap_or(json_length);
        if head.is_empty() {
            head = line;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
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
    let head = format!(
        "HTTP/1.1 {status} -\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
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

/// Nothing where the request is not as the wire contract has it.
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
