//! A model API in OpenAI's form with log-probabilities that a person can follow: a label word in
//! the prompt is likely, the more so after the word "good". It requires a key, and counts what it
//! is asked.

use crate::http::{self, Asked};
use serde_json::{Value, json};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};

/// The key that the API requires.
pub const KEY: &str = "sk-toy-0123456789abcdef";

/// The words that it knows.
const WORDS: [&str; 3] = ["world", "sport", "money"];

/// The bodies of the requests so far.
#[derive(Clone, Default)]
pub struct Heard(Arc<Mutex<Vec<Vec<u8>>>>);

impl Heard {
    /// The bodies of all requests that were answered.
    #[must_use]
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Adds the body of a request.
    pub(crate) fn push(&self, body: Vec<u8>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(body);
    }
}

/// Starts the server, whose thread ends with the test's process; returns its address and what it
/// hears.
///
/// # Panics
/// If no port is free.
#[must_use]
pub fn start() -> (String, Heard) {
    let heard = Heard::default();
    let hears = heard.clone();
    let url =
        http::listen(move |stream| serve(stream, "toy", CHATS, &hears, |asked| (200, chat(asked))));
    (url, heard)
}

/// The beginning of a request line for a chat.
pub(crate) const CHATS: &str = "POST /v1/chat/completions ";

/// Answers a request in OpenAI's form from anyone with the key: the list of models, which is `name`
/// alone, and requests that begin with `route`, as `answered` does.
pub(crate) fn serve(
    mut stream: TcpStream,
    name: &str,
    route: &str,
    heard: &Heard,
    answered: impl FnOnce(&Value) -> (u16, Value),
) -> std::io::Result<()> {
    let Asked {
        head,
        headers,
        body,
        ..
    } = http::read(&stream)?;
    let bearer = format!("authorization: bearer {KEY}");
    let (status, answer) = if !headers.contains(&bearer) {
        let error = json!({ "message": "Incorrect API key provided", "code": "invalid_api_key" });
        (401, json!({ "error": error }))
    } else if head.starts_with("GET /v1/models ") {
        (200, json!({ "object": "list", "data": [{ "id": name }] }))
    } else if head.starts_with(route) {
        match serde_json::from_slice(&body) {
            Ok(asked) => {
                heard.push(body);
                answered(&asked)
            }
            Err(_) => (400, json!({ "error": { "message": "not JSON" } })),
        }
    } else {
        (404, json!({ "detail": "Not Found" }))
    };
    http::write(
        &mut stream,
        status,
        "content-type: application/json\r\nretry-after: 0\r\n",
        answer.to_string().as_bytes(),
    )
}

fn chat(asked: &Value) -> Value {
    let text = asked["messages"][0]["content"].as_str().unwrap_or_default();
    let strength = if text.contains("good") { 6.0 } else { 0.3 };
    let logits = WORDS.map(|word| {
        if text.contains(word) {
            strength
        } else {
            0.0_f64
        }
    });
    let sum = logits.iter().map(|l| l.exp()).sum::<f64>();
    let top: Vec<Value> = WORDS
        .iter()
        .zip(logits)
        .map(|(word, l)| json!({ "token": format!(" {word}"), "logprob": l - sum.ln(), "bytes": null }))
        .collect();
    let place =
        json!({ "token": top[0]["token"], "logprob": top[0]["logprob"], "top_logprobs": top });
    json!({
        "object": "chat.completion",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": "…" }, "logprobs": { "content": [place] } }],
        "usage": { "prompt_tokens": text.split(' ').count(), "completion_tokens": 1 },
    })
}
