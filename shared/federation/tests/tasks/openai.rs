//! Tasks whose model is called as OpenAI does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use federation::task::Task;
use model_client::prompt_embeds::{Embedder, Tried};
use model_client::{
    ModelApiError, Response, Retry, Scores, SharedEmbedder, SoftQueries, TextDialect, TextQueries,
    Usage, dialect,
};
use serde_json::{Value, json};

fn of_texts(own: Value) -> Box<dyn TextDialect> {
    of_words(own, &[json!("sport"), json!("world")])
}

fn of_words(own: Value, words: &[Value]) -> Box<dyn TextDialect> {
    let task = json!({
        "name": "Topics",
        "model": {
            "dialect": "openai", "url": "http://127.0.0.1:8000/v1", "name": "tiny", "input": { "kind": "text" },
            "openai": own, "calls": { "batch": 8 },
        },
        "data": { "labels": ["1", "2"] },
        "text": { "input": "{text}\nTopic:", "words": words },
        "generator": { "candidates": ["", "a"] },
    });
    Task::from_value(task).unwrap().text_dialect(None).unwrap()
}

fn queries(texts: &[&str]) -> TextQueries {
    TextQueries {
        texts: texts.iter().map(|t| (*t).to_owned()).collect(),
        ..TextQueries::default()
    }
}

fn parse(own: Value, status: u16, body: Value, count: usize) -> Result<Scores, ModelApiError> {
    let body = body.to_string();
    let response = Response {
        status,
        headers: &[],
        body: body.as_bytes(),
    };
    of_texts(own).parse(&response, count)
}

#[test]
fn a_chat_asks_for_one_token_and_its_likelihoods() {
    let request = of_texts(json!({ "instruction": "Answer with a topic." }))
        .infer_request(&queries(&["A match\nTopic:"]))
        .unwrap();
    assert_eq!(request.path, "/chat/completions");
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(
        body,
        json!({
            "model": "tiny", "max_tokens": 1, "temperature": 0, "logprobs": true, "top_logprobs": 20,
            "messages": [
                { "role": "system", "content": "Answer with a topic." },
                { "role": "user", "content": "A match\nTopic:" },
            ],
        })
    );
}

#[test]
fn several_prompts_are_one_completion_and_their_order_is_the_index() {
    let own = json!({ "api": "completions" });
    let body: Value = serde_json::from_slice(
        &of_texts(own.clone())
            .infer_request(&queries(&["a", "b"]))
            .unwrap()
            .body,
    )
    .unwrap();
    assert_eq!(
        (&body["prompt"], &body["logprobs"]),
        (&json!(["a", "b"]), &json!(5))
    );
    let choice = |index: u32, sport: f64| json!({ "index": index, "text": "x", "logprobs": { "top_logprobs": [{ " sport": sport, " world": -9.0 }] } });
    let scores = parse(
        own.clone(),
        200,
        json!({ "choices": [choice(1, -1.0), choice(0, -2.0)] }),
        2,
    )
    .unwrap();
    assert_eq!(scores.values(), [-2.0, -9.0, -1.0, -9.0]);
    let twice = parse(
        own,
        200,
        json!({ "choices": [choice(1, -1.0), choice(1, -2.0)] }),
        2,
    );
    assert_eq!(twice.unwrap_err().code(), "model_malformed");
}

#[test]
fn images_go_as_the_address_of_a_file() {
    let task = Task::from_value(json!({
        "name": "Digits",
        "model": {
            "dialect": "openai", "url": "https://api.example.org/v1", "name": "sees",
            "input": { "height": 4, "width": 4, "encoding": "png" },
            "openai": { "instruction": "Which digit?" },
        },
        "data": { "labels": ["0", "1", "2"] },
    }))
    .unwrap();
    assert_eq!(task.model.output.classes, 3);
    let dialect = dialect(&task.model).unwrap();
    let request = dialect.infer_request(&[7; 48], 1).unwrap();
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let content = &body["messages"][0]["content"];
    assert_eq!(content[0]["text"], "Which digit?");
    assert!(
        content[1]["image_url"]["url"]
            .as_str()
            .unwrap()
            .starts_with("data:image/png;base64,iVBOR")
    );
    assert!(dialect.infer_request(&[7; 96], 2).is_err());
}

/// Rows of one number each: the text's letters, with the soft prompt after the first.
struct Letters;

impl Embedder for Letters {
    fn embed(&self, text: &str, soft: &[f32]) -> Result<Vec<u8>, String> {
        let mut rows: Vec<f32> = text.chars().map(|c| c as u32 as f32).collect();
        if rows.is_empty() {
            return Err("there are no letters".to_owned());
        }
        rows.splice(1..1, soft.iter().copied());
        Ok(rows.iter().flat_map(|x| x.to_le_bytes()).collect())
    }
}

fn embedding(embedder: Option<SharedEmbedder>) -> Box<dyn TextDialect> {
    let hash = "0".repeat(64);
    let task = json!({
        "name": "Topics",
        "model": { "dialect": "openai", "url": "http://127.0.0.1:8000/v1", "name": "tiny", "input": { "kind": "text" },
            "openai": { "api": "completions", "prompt_embeds":
                { "url": "https://h", "tokenizer_sha256": hash, "table_sha256": hash } } },
        "data": { "labels": ["sport", "world"] },
        "text": { "input": "{text}:" },
        "generator": { "kind": "soft", "hidden": 1, "deviation": 1, "tokens": 2 },
        "optimizer": { "kind": "cma-es" },
    });
    Task::from_value(task)
        .unwrap()
        .text_dialect(embedder)
        .unwrap()
}

/// The numbers that were sent.
fn sent(prompt: &Value) -> Vec<f32> {
    let file = STANDARD.decode(prompt.as_str().unwrap()).unwrap();
    let (numbers, _) = file.as_chunks();
    numbers.iter().map(|x| f32::from_le_bytes(*x)).collect()
}

#[test]
fn soft_prompts_go_with_the_texts_embeddings_and_nothing_else_does() {
    let dialect = embedding(Some(std::sync::Arc::new(Letters)));
    let mut asked = queries(&["ab", "c"]);
    let plain = dialect.infer_request(&asked).unwrap();
    let body: Value = serde_json::from_slice(&plain.body).unwrap();
    assert_eq!(body["prompt"], json!(["ab", "c"]));
    asked.soft = Some(SoftQueries {
        embeddings: vec![0.5, 0.25, -1.0, -2.0],
        tokens: 2,
        hidden: 1,
        of_text: vec![1, 0],
        before_label: false,
    });
    let body: Value = serde_json::from_slice(&dialect.infer_request(&asked).unwrap().body).unwrap();
    assert_eq!(body["prompt"], Value::Null);
    assert_eq!(sent(&body["prompt_embeds"][0]), [97.0, -1.0, -2.0, 98.0]);
    assert_eq!(sent(&body["prompt_embeds"][1]), [99.0, 0.5, 0.25]);
    asked.texts[0].clear();
    let code = |dialect: Box<dyn TextDialect>| dialect.infer_request(&asked).unwrap_err().code();
    assert_eq!(code(dialect), "model_no_embeddings");
    assert_eq!(code(embedding(None)), "model_no_embeddings");
}

#[test]
fn a_model_is_tried_with_words_and_with_their_embeddings() {
    assert_eq!(embedding(None).trial().unwrap(), None);
    let dialect = embedding(Some(std::sync::Arc::new(Letters)));
    let [words, embeddings] = dialect.trial().unwrap().unwrap();
    let [words, embeddings] =
        [words, embeddings].map(|r| serde_json::from_slice::<Value>(&r.body).unwrap());
    assert_eq!(words["prompt"], "A text. A text.:");
    assert_eq!(sent(&embeddings["prompt_embeds"]).len(), 16);
    let said = |status, body: Value, words: Option<&Tried>| {
        let body = body.to_string();
        let response = Response {
            status,
            headers: &[],
            body: body.as_bytes(),
        };
        dialect.read_trial(&response, words)
    };
    let answer = |it: f64| json!({ "choices": [{ "index": 0, "logprobs": { "top_logprobs": [{ " it": it, "z": -1.5 }] } }] });
    let first = said(200, answer(-0.5), None).unwrap();
    said(200, answer(-0.51), Some(&first)).unwrap();
    let code = |status, body, words| said(status, body, words).unwrap_err().code();
    assert_eq!(
        code(200, answer(-2.5), Some(&first)),
        "model_other_embeddings"
    );
    let refused = |message: &str| json!({ "error": { "message": message, "param": "prompt_embeds", "code": 400 } });
    let without = refused("You must set `--enable-prompt-embeds` to input `prompt_embeds`.");
    assert_eq!(code(400, without, Some(&first)), "model_no_prompt_embeds");
    let size = refused("`prompt_embeds` hidden_size 8 does not match the model's hidden_size 64.");
    assert_eq!(code(400, size, Some(&first)), "model_other_embeddings");
    // An answer as OpenAI gives it, and any other API that takes prompts as words only.
    let other = json!({ "error": { "message": "you must provide a prompt" } });
    assert_eq!(
        code(400, other.clone(), Some(&first)),
        "model_no_prompt_embeds"
    );
    assert_eq!(code(400, other, None), "model_bad_request");
}

/// A chat answer as llama-cpp-python gives it.
#[test]
fn what_servers_answer_is_read() {
    let top = json!([
        { "token": " wor", "logprob": -3.5, "bytes": null },
        { "token": "", "logprob": -3.9, "bytes": null },
        { "token": "\u{14}", "logprob": -4.1, "bytes": null },
    ]);
    let answer = json!({
        "choices": [{ "index": 0, "message": { "content": " wor" }, "finish_reason": "length",
            "logprobs": { "content": [{ "token": " wor", "logprob": -3.5, "top_logprobs": top }], "refusal": null } }],
        "usage": { "prompt_tokens": 18, "completion_tokens": 1, "total_tokens": 19 },
    });
    assert_eq!(
        parse(json!({}), 200, answer.clone(), 1).unwrap().values(),
        [-15.0, -3.5]
    );
    assert_eq!(
        parse(json!({ "floor": -30 }), 200, answer.clone(), 1)
            .unwrap()
            .values(),
        [-30.0, -3.5]
    );
    let body = answer.to_string();
    let usage = of_texts(json!({})).usage(&Response {
        status: 200,
        headers: &[],
        body: body.as_bytes(),
    });
    assert_eq!(
        usage,
        Some(Usage {
            input_tokens: 18,
            output_tokens: 1
        })
    );
}

/// The answer of vLLM; `cargo xtask interop vllm` checks it again.
#[test]
fn other_servers_are_read() {
    let recorded: Vec<Value> =
        serde_json::from_str(include_str!("../../../vectors/openai_servers.json")).unwrap();
    assert!(recorded.len() > 10);
    for each in recorded {
        let source = &each["source"];
        let body = each["body"].to_string();
        let response = Response {
            status: each["status"].as_u64().unwrap() as u16,
            headers: &[],
            body: body.as_bytes(),
        };
        let api = if each["api"] == "chat" {
            "chat"
        } else {
            "completions"
        };
        let mut asked = of_texts(json!({ "api": api }));
        if let Some(words) = each["words"].as_array() {
            asked = of_words(json!({ "api": api }), words);
        }
        if each["api"] == "models" {
            let described = asked.check_description(&response);
            match each["code"].as_str() {
                Some(code) => assert_eq!(described.unwrap_err().code(), code, "{source}"),
                None => assert_eq!(described.unwrap().max_batch, Some(8), "{source}"),
            }
            continue;
        }
        let scores = each["scores"].as_array();
        let found = asked.parse(&response, scores.map_or(1, |scores| scores.len() / 2));
        match (each["code"].as_str(), scores) {
            (Some(code), None) => assert_eq!(found.unwrap_err().code(), code, "{source}"),
            (None, Some(scores)) => {
                let found = found.unwrap();
                assert_eq!(found.values().len(), scores.len(), "{source}");
                for (a, b) in found.values().iter().zip(scores) {
                    assert!(
                        (f64::from(*a) - b.as_f64().unwrap()).abs() < 1e-5,
                        "{source}"
                    );
                }
            }
            _ => panic!("{source} has neither scores nor a code"),
        }
    }
}

#[test]
fn more_than_a_server_lists_is_told_from_none() {
    let said = "Requested sample logprobs of 21, which is greater than max allowed: 20 (parameter=logprobs, value=21)";
    let refused = json!({ "error": { "message": said, "param": "logprobs", "code": 400 } });
    let error = parse(json!({}), 400, refused, 1).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("model.openai.top_logprobs lower"),
        "{error}"
    );
}

#[test]
fn what_cannot_be_scored_is_refused_with_the_reason() {
    let code = |status, body| parse(json!({}), status, body, 1).unwrap_err();
    let plain =
        json!({ "choices": [{ "index": 0, "message": { "content": "sport" }, "logprobs": null }] });
    assert_eq!(code(200, plain).code(), "model_no_logprobs");
    let thinking =
        json!({ "choices": [{ "index": 0, "message": { "reasoning_content": "Let me see" } }] });
    assert!(code(200, thinking).to_string().contains("reasoning"));
    let unsupported = json!({ "error": { "message": "This model does not support logprobs.", "param": "logprobs", "code": "unsupported_value" } });
    assert!(
        code(400, unsupported)
            .to_string()
            .contains("does not support")
    );
    let spent = code(
        429,
        json!({ "error": { "message": "You exceeded your quota", "code": "insufficient_quota" } }),
    );
    assert_eq!(
        (spent.code(), spent.retry()),
        ("model_out_of_quota", Retry::Never)
    );
    let busy = code(
        429,
        json!({ "error": { "message": "slow down", "code": "rate_limit_exceeded" } }),
    );
    assert!(matches!(busy.retry(), Retry::Safe { .. }));
    assert_eq!(
        code(401, json!({ "detail": "Invalid API key" })).code(),
        "model_unauthorized"
    );
    assert_eq!(code(200, json!([])).code(), "model_not_this_protocol");
}

#[test]
fn the_list_of_models_tells_a_wrong_name() {
    let check = |status, body: &str| {
        of_texts(json!({})).check_description(&Response {
            status,
            headers: &[],
            body: body.as_bytes(),
        })
    };
    assert_eq!(
        check(200, r#"{"data":[{"id":"tiny"}]}"#).unwrap().max_batch,
        Some(1)
    );
    let wrong = check(200, r#"{"data":[{"id":"huge"}]}"#).unwrap_err();
    assert!(wrong.to_string().contains("`huge`"), "{wrong}");
    assert!(check(404, r#"{"detail":"Not Found"}"#).is_ok());
    assert_eq!(
        check(404, "<html></html>").unwrap_err().code(),
        "model_not_this_protocol"
    );
    assert_eq!(check(401, "{}").unwrap_err().code(), "model_unauthorized");
}

#[test]
fn tasks_that_cannot_be_asked_say_so() {
    let faults = |model: Value, text: Value| {
        let mut task = json!({
            "name": "Topics", "data": { "labels": ["1", "2"] }, "generator": { "candidates": ["", "a"] },
            "model": { "dialect": "openai", "url": "http://127.0.0.1:8000/v1", "name": "tiny", "input": { "kind": "text" } },
        });
        for (key, value) in model.as_object().unwrap() {
            task["model"][key] = value.clone();
        }
        task["text"] = text;
        let faults = Task::from_value(task).unwrap_err().0;
        faults
            .into_iter()
            .map(|fault| fault.path)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        faults(json!({}), json!({ "template": "About {}." })),
        ["text.template"]
    );
    let own = json!({ "openai": { "api": "completions", "instruction": "x" } });
    assert_eq!(
        faults(own, json!({ "input": "{text}:" })),
        ["model.openai.instruction"]
    );
    let kind = json!({ "output": { "kind": "probabilities" } });
    assert_eq!(
        faults(kind, json!({ "input": "{text}:" })),
        ["model.output.kind"]
    );
    let strange = json!({ "huggingface": { "task": "fill-mask" } });
    assert_eq!(
        faults(strange, json!({ "input": "{text}:" })),
        ["model.huggingface"]
    );
}
