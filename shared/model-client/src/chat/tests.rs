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
    let parts =
        json!([{ "type": "text", "text": "a" }, { "type": "x" }, { "type": "text", "text": "b" }]);
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
