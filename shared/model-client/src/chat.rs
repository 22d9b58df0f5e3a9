//! One question to an LLM and the text of its answer, as chat completions in OpenAI's form, which
//! OpenAI, vLLM, llama.cpp, Ollama and many others serve. (The dialect `openai` asks for one
//! token's log-probabilities instead.)
//!
//! <https://platform.openai.com/docs/api-reference/chat/create>

use serde_json::{Value, json};

use super::dialects::openai;
use super::{ModelApiError, Request, Response, status};

/// A question to an LLM.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The LLM's name at its API.
    pub model: &'a str,
    /// The system message.
    pub system: &'a str,
    /// The user's message.
    pub user: &'a str,
}

/// The parameter that limits the length of an answer, with its number of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `max_tokens`, which nearly all servers know.
    Answer(u32),
    /// `max_completion_tokens`, the only one that OpenAI's reasoning models take; their thoughts
    /// count as well.
    Whole(u32),
}

/// The answer of an LLM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A text, without the thoughts that came before it.
    Text {
        /// The text, never empty.
        text: String,
        /// Whether the answer was cut off at the limit.
        cut: bool,
    },
    /// A refusal, in the LLM's own words.
    Refusal(String),
    /// Thoughts up to the limit, and no answer.
    ThoughtsOnly,
    /// An empty answer.
    Nothing,
    /// The API requires [`Limit::Whole`].
    OtherLimit,
}

impl Question<'_> {
    /// The HTTP request. The temperature is 1, because the same question is asked several times for
    /// different answers, and because reasoning models take no other.
    #[must_use]
    pub fn request(&self, limit: Limit) -> Request {
        let mut body = json!({
            "model": self.model,
            "messages": [
                { "role": "system", "content": self.system },
                { "role": "user", "content": self.user },
            ],
            "temperature": 1,
        });
        match limit {
            Limit::Answer(tokens) => body["max_tokens"] = json!(tokens),
            Limit::Whole(tokens) => body["max_completion_tokens"] = json!(tokens),
        }
        openai::post("/chat/completions", &body)
    }

    /// Reads the answer to [`request`](Self::request). Any bytes give an answer or an error.
    ///
    /// # Errors
    /// The error that the answer states, or what is wrong with the answer.
    pub fn read(&self, response: &Response<'_>) -> Result<Answer, ModelApiError> {
        if response.status == 400 && status::detail(response.body).contains("max_completion_tokens")
        {
            return Ok(Answer::OtherLimit);
        }
        openai::check_status(response, self.model)?;
        let answer = openai::read(response.body)?;
        let Some(choice) = answer["choices"].get(0) else {
            return Err(openai::other("its answer has no `choices`"));
        };
        let message = &choice["message"];
        if let Some(refusal) = message["refusal"].as_str().filter(|said| !said.is_empty()) {
            return Ok(Answer::Refusal(refusal.to_owned()));
        }
        let (text, thought) = without_thoughts(&content(&message["content"]));
        Ok(match choice["finish_reason"].as_str() {
            Some("content_filter") => Answer::Refusal("its content filter".to_owned()),
            reason if !text.is_empty() => Answer::Text {
                text,
                cut: reason == Some("length"),
            },
            _ if thought || openai::thinks(message) => Answer::ThoughtsOnly,
            _ => match thinking_tokens(&answer) {
                0 => Answer::Nothing,
                _ => Answer::ThoughtsOnly,
            },
        })
    }
}

fn thinking_tokens(answer: &Value) -> u64 {
    answer["usage"]["completion_tokens_details"]["reasoning_tokens"]
        .as_u64()
        .unwrap_or(0)
}

/// The content of a message: a text, or the texts among a list of parts.
fn content(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    }
}

/// The text after `<think>…</think>`, where servers leave a reasoning model's thoughts, and whether
/// there were any. Some templates open the tag themselves, so that only its end is in the answer.
fn without_thoughts(text: &str) -> (String, bool) {
    const OPEN: &str = "<think>";
    const CLOSE: &str = "</think>";
    let said = match (text.rfind(CLOSE), text.find(OPEN)) {
        (Some(end), _) => &text[end + CLOSE.len()..],
        (None, Some(begin)) => &text[..begin],
        (None, None) => return (text.trim().to_owned(), false),
    };
    (said.trim().to_owned(), true)
}

#[cfg(test)]
mod tests;
