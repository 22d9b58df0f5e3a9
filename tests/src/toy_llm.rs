//! A server of an LLM in OpenAI's form that gives recorded answers, one after another, to anyone
//! with its key.

use crate::http;
use crate::toy_language_model::{CHATS, Heard, serve};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// The name of the LLM.
pub const NAME: &str = "recorded";

/// A chat completion with this text.
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

/// Starts the server, whose thread ends with the test's process. Returns the part of its address
/// before `/chat/completions`, and what it hears. The last answer is repeated.
///
/// # Panics
/// If no port is free.
#[must_use]
pub fn start(answers: impl IntoIterator<Item = (u16, Value)>) -> (String, Heard) {
    let answers = Mutex::new(VecDeque::from_iter(answers));
    let heard = Heard::default();
    let hears = heard.clone();
    let url = http::listen(move |stream| {
        serve(stream, NAME, CHATS, &hears, |asked| next(asked, &answers))
    });
    (format!("{url}/v1"), heard)
}

fn next(asked: &Value, answers: &Mutex<VecDeque<(u16, Value)>>) -> (u16, Value) {
    if asked["model"] != NAME {
        let message = format!("no {}", asked["model"]);
        return (
            404,
            json!({ "error": { "message": message, "code": "model_not_found" } }),
        );
    }
    let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    let next = if answers.len() > 1 {
        answers.pop_front()
    } else {
        answers.front().cloned()
    };
    next.unwrap_or((500, Value::Null))
}
