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
mod tests {
    use super::*;
    use proptest::prelude::*;

    const QUESTION: Question<'_> = Question {
        model: "wise",
        system: "You write.",
        user: "Write.",
    };

    fn read(status: u16, body: &[u8]) -> Result<Answer, ModelApiError> {
        QUESTION.read(&Response {
            status,
            headers: &[],
            body,
        })
    }

    fn says(choice: Value) -> Answer {
        read(200, json!({ "choices": [choice] }).to_string().as_bytes()).unwrap()
    }

    fn text(text: &str, cut: bool) -> Answer {
        let text = text.to_owned();
        Answer::Text { text, cut }
    }

    #[test]
    fn a_question_is_a_chat() {
        let body = |limit| -> Value {
            let request = QUESTION.request(limit);
            assert_eq!(request.path, "/chat/completions");
            serde_json::from_slice(&request.body).unwrap()
        };
        let messages = json!([
            { "role": "system", "content": "You write." },
            { "role": "user", "content": "Write." },
        ]);
        assert_eq!(
            body(Limit::Answer(9)),
            json!({ "model": "wise", "messages": messages, "temperature": 1, "max_tokens": 9 })
        );
        assert_eq!(body(Limit::Whole(9))["max_completion_tokens"], 9);
        assert_eq!(body(Limit::Whole(9)).get("max_tokens"), None);
    }

    #[test]
    fn answers_of_all_kinds() {
        let message = |content: Value| json!({ "message": { "content": content } });
        assert_eq!(says(message(json!(" a\nb "))), text("a\nb", false));
        let parts = json!([{ "type": "text", "text": "a" }, { "type": "x" }, { "type": "text", "text": "b" }]);
        assert_eq!(says(message(parts)), text("ab", false));
        let cut = json!({ "message": { "content": "a" }, "finish_reason": "length" });
        assert_eq!(says(cut), text("a", true));
        let refused = json!({ "message": { "content": null, "refusal": "I will not." } });
        assert_eq!(says(refused), Answer::Refusal("I will not.".to_owned()));
        let filtered = json!({ "message": { "content": "a" }, "finish_reason": "content_filter" });
        assert!(matches!(says(filtered), Answer::Refusal(_)));
        for nothing in [
            json!(""),
            json!(null),
            json!([]),
            json!({ "text": 1 }),
            json!(7),
        ] {
            assert_eq!(says(message(nothing)), Answer::Nothing);
        }
        assert_eq!(says(json!(null)), Answer::Nothing);
    }

    #[test]
    fn thoughts_are_no_answer() {
        let said = |content: &str| says(json!({ "message": { "content": content } }));
        assert_eq!(said("<think>a\nb</think>\n\nc"), text("c", false));
        assert_eq!(said("Well, a.</think>c"), text("c", false));
        assert_eq!(said("<think>a"), Answer::ThoughtsOnly);
        assert_eq!(said("<think>a</think>"), Answer::ThoughtsOnly);
        let apart = json!({ "message": { "content": null, "reasoning_content": "a" }, "finish_reason": "length" });
        assert_eq!(says(apart), Answer::ThoughtsOnly);
        let both = json!({ "message": { "content": "c", "reasoning": "a" } });
        assert_eq!(says(both), text("c", false));
        let hidden = json!({
            "choices": [{ "message": { "content": "" }, "finish_reason": "length" }],
            "usage": { "completion_tokens_details": { "reasoning_tokens": 64 } },
        });
        assert_eq!(
            read(200, hidden.to_string().as_bytes()),
            Ok(Answer::ThoughtsOnly)
        );
    }

    #[test]
    fn errors_are_told_apart() {
        let code = |status, body: &str| read(status, body.as_bytes()).unwrap_err().code();
        assert_eq!(code(401, "{}"), "model_unauthorized");
        assert_eq!(
            code(404, r#"{"error":{"code":"model_not_found"}}"#),
            "model_not_found"
        );
        assert_eq!(code(404, "<html></html>"), "model_not_this_protocol");
        assert_eq!(
            code(429, r#"{"error":{"code":"insufficient_quota"}}"#),
            "model_out_of_quota"
        );
        assert_eq!(code(200, r#"{"choices":[]}"#), "model_not_this_protocol");
        assert_eq!(code(200, "{\"choices\""), "model_malformed");
        let other = r#"{"error":{"message":"Use 'max_completion_tokens' instead."}}"#;
        assert_eq!(read(400, other.as_bytes()), Ok(Answer::OtherLimit));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_an_error(status in 100_u16..600, body in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(status, &body);
        }

        #[test]
        fn any_text_is_read(content in ".{0,40}(<think>)?.{0,20}(</think>)?.{0,20}") {
            let answer = says(json!({ "message": { "content": content } }));
            let fine = match answer {
                Answer::Text { text, .. } => !text.is_empty() && !text.contains("</think>"),
                Answer::ThoughtsOnly | Answer::Nothing => true,
                _ => false,
            };
            prop_assert!(fine);
        }
    }
}
