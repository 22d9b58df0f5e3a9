//! An LLM's server in OpenAI's form that gives recorded answers, one after the other, to whoever has its key.

use crate::http::{self, Asked};
use crate::toy_language_model::{Heard, KEY};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};

/// The name of its model.
pub const NAME: &str = "recorded";

/// A chat completion that says this.
#[must_use]
pub fn says(content: &str) -> (u16, Value) {
    let message = json!({ "role": "assistant", "content": content, "refusal": null });
    choice(&json!({ "index": 0, "message": message, "finish_reason": "stop" }))
}

/// A chat completion of any kind.
#[must_use]
pub fn choice(choice: &Value) -> (u16, Value) {
    let usage = json!({ "prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110 });
    let answer = json!({ "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": NAME,
        "choices": [choice], "usage": usage });
    (200, answer)
}

/// Starts the server, whose thread ends with the test's process: what stands before `/chat/completions`, and what it
/// hears. The last answer is given again and again.
///
/// # Panics
/// If no port is free.
#[must_use]
pub fn start(answers: impl IntoIterator<Item = (u16, Value)>) -> (String, Heard) {
    let answers = Mutex::new(VecDeque::from_iter(answers));
    let heard = Heard::default();
    let hears = heard.clone();
    let url = http::listen(move |stream| serve(stream, &answers, &hears));
    (format!("{url}/v1"), heard)
}

fn serve(
    mut stream: TcpStream,
    answers: &Mutex<VecDeque<(u16, Value)>>,
    heard: &Heard,
) -> std::io::Result<()> {
    let Asked {
        head,
        headers,
        body,
        ..
    } = http::read(&stream)?;
    let (status, answer) = if !headers.contains(&format!("authorization: bearer {KEY}")) {
        (
            401,
            json!({ "error": { "message": "Incorrect API key provided", "code": "invalid_api_key" } }),
        )
    } else if head.starts_with("GET /v1/models ") {
        (200, json!({ "object": "list", "data": [{ "id": NAME }] }))
    } else if head.starts_with("POST /v1/chat/completions ") {
        let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
        heard.push(body);
        match &asked["model"] {
            Value::String(name) if name == NAME => {
                let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                let next = if answers.len() > 1 {
                    answers.pop_front()
                } else {
                    answers.front().cloned()
                };
                next.unwrap_or((500, Value::Null))
            }
            other => (
                404,
                json!({ "error": { "message": format!("no {other}"), "code": "model_not_found" } }),
            ),
        }
    } else {
        (404, json!({ "detail": "Not Found" }))
    };
    let body = answer.to_string();
    http::write(
        &mut stream,
        status,
        "content-type: application/json\r\nretry-after: 0\r\n",
        body.as_bytes(),
    )
}
