//! Tasks whose model is called as Hugging Face does.

use federation::task::Task;
use model_client::{ModelApiError, Response, Scores, TextDialect, TextQueries, dialect};
use serde_json::{Value, json};

fn of_texts(kind: &str, text: Value) -> Box<dyn TextDialect> {
    let task = json!({
        "name": "Topics",
        "model": {
            "dialect": "huggingface", "url": "https://router.example.org/hf-inference", "name": "owner/a model".replace(' ', "-"),
            "input": { "kind": "text" }, "huggingface": { "task": kind },
        },
        "data": { "labels": ["1", "2"] },
        "text": text,
        "generator": { "candidates": ["", "a"] },
    });
    Task::from_value(task).unwrap().text_dialect(None).unwrap()
}

fn ask(dialect: &dyn TextDialect, text: &str, template: &[&str]) -> (String, Value) {
    let request = dialect.infer_request(&TextQueries {
        texts: vec![text.to_owned()],
        templates: template.iter().map(|t| (*t).to_owned()).collect(),
        soft: None,
    });
    let request = request.unwrap();
    (request.path, serde_json::from_slice(&request.body).unwrap())
}

fn parse(dialect: &dyn TextDialect, status: u16, body: Value) -> Result<Scores, ModelApiError> {
    let body = body.to_string();
    dialect.parse(
        &Response {
            status,
            headers: &[],
            body: body.as_bytes(),
        },
        1,
    )
}

#[test]
fn zero_shot_texts() {
    let dialect = of_texts(
        "zero-shot-classification",
        json!({ "template": "About {}.", "words": ["sport", "world"] }),
    );
    let (path, body) = ask(&*dialect, "A match", &["so About {}."]);
    assert_eq!(path, "/models/owner/a-model");
    assert_eq!(
        body["parameters"],
        json!({ "candidate_labels": ["sport", "world"], "hypothesis_template": "so About {}.", "multi_label": false })
    );
    let old =
        json!({ "sequence": "A match", "labels": ["world", "sport"], "scores": [0.25, 0.75] });
    let new = json!([{ "label": "world", "score": 0.25 }, { "label": "sport", "score": 0.75 }]);
    for answer in [old.clone(), new.clone(), json!([old]), json!([new])] {
        assert_eq!(
            parse(&*dialect, 200, answer).unwrap().values(),
            [0.75_f32.ln(), 0.25_f32.ln()]
        );
    }
}

#[test]
fn masks_and_labels_of_the_models_own() {
    let masked = of_texts(
        "fill-mask",
        json!({ "input": "{text} It was [MASK].", "words": ["good", "bad"] }),
    );
    let (_, body) = ask(&*masked, "Fine. It was [MASK].", &[]);
    assert_eq!(
        body["parameters"],
        json!({ "targets": ["good", "bad"], "top_k": 2 })
    );
    // The request for its description holds the mask.
    assert!(String::from_utf8_lossy(&masked.describe_request().body).contains("[MASK]"));
    let answer = json!([
        { "score": 0.5, "token": 7, "token_str": " bad", "sequence": "" },
        { "score": 0.0, "token": 8, "token_str": "Good", "sequence": "" },
    ]);
    let scores = parse(&*masked, 200, answer).unwrap();
    assert_eq!(scores.values(), [1e-9_f64.ln() as f32, 0.5_f32.ln()]);
    let own = of_texts(
        "text-classification",
        json!({ "input": "{text}", "words": ["LABEL_0", "LABEL_1"] }),
    );
    let answer =
        json!([[{ "label": "LABEL_1", "score": 0.9 }, { "label": "LABEL_0", "score": 0.1 }]]);
    assert_eq!(
        parse(&*own, 200, answer).unwrap().values(),
        [0.1_f64, 0.9].map(|p| p.ln() as f32)
    );
    let missing = parse(&*own, 200, json!([[{ "label": "LABEL_1", "score": 0.9 }]])).unwrap_err();
    assert!(missing.to_string().contains("LABEL_0"), "{missing}");
}

#[test]
fn images_and_what_they_might_be() {
    let task = Task::from_value(json!({
        "name": "Pets",
        "model": {
            "dialect": "huggingface", "url": "http://127.0.0.1:8701", "name": "clip",
            "input": { "height": 4, "width": 4, "encoding": "jpeg", "quality": 80 }, "output": { "words": ["a cat", "a dog"] },
        },
        "data": { "labels": ["cat", "dog"] },
    }))
    .unwrap();
    let dialect = dialect(&task.model).unwrap();
    let request = dialect.describe_request();
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert!(body["inputs"].as_str().unwrap().starts_with("/9j/"));
    assert_eq!(
        body["parameters"]["candidate_labels"],
        json!(["a cat", "a dog"])
    );
}

#[test]
fn a_model_that_is_being_loaded_is_waited_for() {
    let dialect = of_texts("text-classification", json!({ "input": "{text}" }));
    let loading = parse(
        &*dialect,
        503,
        json!({ "error": "Model is currently loading", "estimated_time": 20.5 }),
    );
    assert_eq!(
        loading,
        Err(ModelApiError::Busy {
            retry_after_ms: Some(20_500)
        })
    );
    for (status, body, code) in [
        (
            401,
            json!({ "error": "Invalid credentials" }),
            "model_unauthorized",
        ),
        (
            404,
            json!({ "error": "Model not found" }),
            "model_not_found",
        ),
        (200, json!({ "outputs": [] }), "model_not_this_protocol"),
        (
            200,
            json!([{ "label": "1", "score": 7.0 }, { "label": "2", "score": 0.5 }]),
            "model_disagrees",
        ),
    ] {
        assert_eq!(parse(&*dialect, status, body).unwrap_err().code(), code);
    }
}

#[test]
fn tasks_say_whether_a_template_is_needed() {
    let path = |kind: &str, text: Value| {
        let task = json!({
            "name": "Topics", "data": { "labels": ["1", "2"] }, "generator": { "candidates": ["", "a"] }, "text": text,
            "model": { "dialect": "huggingface", "url": "http://h", "name": "m", "input": { "kind": "text" }, "huggingface": { "task": kind } },
        });
        Task::from_value(task).unwrap_err().0[0].path.clone()
    };
    assert_eq!(
        path("zero-shot-classification", json!({ "input": "{text}" })),
        "text.template"
    );
    assert_eq!(
        path("fill-mask", json!({ "template": "{}" })),
        "text.template"
    );
    assert_eq!(
        path("sentiment", json!({ "input": "{text}" })),
        "model.huggingface.task"
    );
}
