//! Text models over a live port, with the small models of `tests/text`.

// The helpers of tests, unlike the tests, do not count as test code by themselves.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)] // each user needs a part of it
mod support;

use std::path::Path;

use federation::task::Task;
use model_client::{Response, SoftQueries, TextQueries};
use serde_json::{Value, json};
use support::{Answer, Running};

use model_api::{ClipOptions, ModelApiConfig, ModelConfig, Served, TextOptions};

const INFER: &str = "/v2/models/words/infer";
const HEADER_LENGTH: &str = "inference-header-content-length";

fn start_with(folder: &str, change: impl FnOnce(&mut ModelApiConfig)) -> Running {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/text")
        .join(folder);
    let model = ModelConfig {
        name: "words".into(),
        served: Served::Text {
            dir,
            options: TextOptions::default(),
            labels: Vec::new(),
            template: None,
        },
        max_batch: 8,
        ..ModelConfig::default()
    };
    let mut config = ModelApiConfig {
        models: vec![model],
        ..ModelApiConfig::default()
    };
    change(&mut config);
    Running::start(move |listener, stop| {
        model_api::run(listener, config, async {
            let _ = stop.await;
        })
    })
}

fn start(folder: &str) -> Running {
    start_with(folder, |_| {})
}

fn expected(folder: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("text/expected.json")).unwrap();
    all[folder].clone()
}

fn tensor(name: &str, data: &Value) -> Value {
    let count = data.as_array().map_or(0, Vec::len);
    json!({ "name": name, "datatype": "BYTES", "shape": [count], "data": data })
}

fn ask(server: &Running, inputs: &Value) -> Answer {
    let body = json!({ "id": "seven", "inputs": inputs }).to_string();
    server.post(
        INFER,
        &[("content-type", "application/json")],
        body.as_bytes(),
    )
}

fn assert_close(found: &[f32], expected: &Value, scale: f32) {
    let expected: Vec<Vec<f32>> = serde_json::from_value(expected.clone()).unwrap();
    let expected = expected.concat();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert!(
            (found - expected * scale).abs() < 1e-3,
            "{found} {expected}"
        );
    }
}

fn logits(answer: &Answer) -> Vec<f32> {
    assert_eq!(
        answer.status,
        200,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    serde_json::from_value(answer.json()["outputs"][0]["data"].clone()).unwrap()
}

/// Packs elements: the length of each, lowest byte first, and its bytes.
fn packed(elements: &[&[u8]]) -> Vec<u8> {
    let length = |element: &[u8]| u32::try_from(element.len()).unwrap().to_le_bytes();
    elements
        .iter()
        .flat_map(|element| [&length(element)[..], element].concat())
        .collect()
}

/// A request whose tensors are all behind the JSON.
fn ask_binary(server: &Running, inputs: &[(&str, Value, Vec<u8>)]) -> Answer {
    let heads: Vec<Value> = inputs
        .iter()
        .map(|(name, shape, bytes)| {
            json!({ "name": name, "datatype": "BYTES", "shape": shape,
                "parameters": { "binary_data_size": bytes.len() } })
        })
        .collect();
    let head = json!({ "inputs": heads, "parameters": { "binary_data_output": true } }).to_string();
    let bytes = inputs.iter().flat_map(|(.., bytes)| bytes.clone());
    let body: Vec<u8> = head.bytes().chain(bytes).collect();
    server.post(INFER, &[(HEADER_LENGTH, &head.len().to_string())], &body)
}

#[test]
fn the_metadata_describe_texts() {
    let encoder = start("encoder").get("/v2/models/words").json();
    let names: Vec<&str> = encoder["inputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|input| {
            let name = input["name"].as_str().unwrap();
            let expected = match name {
                "prompt_embeddings" => json!(["FP32", [-1, -1, 24]]),
                "text_prompt" | "template_prompt" => json!(["INT32", [-1]]),
                _ => json!(["BYTES", [-1]]),
            };
            assert_eq!(json!([input["datatype"], input["shape"]]), expected);
            name
        })
        .collect();
    let soft = ["prompt_embeddings", "text_prompt", "template_prompt"];
    assert_eq!(names[..3], ["text", "labels", "template"]);
    assert_eq!(names[3..], soft);
    assert_eq!(encoder["outputs"][0]["shape"], json!([-1, -1]));
    let parameters = &encoder["parameters"];
    assert_eq!(parameters["kind"], "sentence-encoder");
    let soft = &parameters["soft_prompts"];
    assert_eq!(
        (&soft["hidden"], &soft["max_tokens"]),
        (&json!(24), &json!(16))
    );
    assert!((soft["embedding_deviation"].as_f64().unwrap() - 0.5).abs() < 0.02);
    assert_eq!(
        (&parameters["max_tokens"], &parameters["max_batch"]),
        (&json!(24), &json!(8))
    );

    let masked = start("masked").get("/v2/models/words").json();
    assert_eq!(masked["inputs"].as_array().unwrap().len(), 4);
    let parameters = &masked["parameters"];
    assert_eq!(parameters["kind"], "masked-lm");
    assert_eq!(parameters["mask_token"], "<mask>");
    assert_eq!(parameters["label_words"], "single-token");
}

#[test]
fn an_encoder_scores_texts_in_json_and_in_bytes() {
    let server = start("encoder");
    let expected = expected("encoder");
    let (texts, labels) = (&expected["texts"], &expected["labels"]);
    let template = &expected["templates"][0];
    let answer = ask(
        &server,
        &json!([
            tensor("text", texts),
            tensor("labels", labels),
            tensor("template", &json!([template]))
        ]),
    );
    assert_eq!(answer.json()["id"], "seven");
    let output = &answer.json()["outputs"][0];
    assert_eq!(
        (&output["name"], &output["shape"]),
        (&json!("logits"), &json!([4, 3]))
    );
    let scores = logits(&answer);
    assert_close(&scores, &expected["cosines"][0], 20.0);

    // Without a template it is the label alone; texts may stand in a column; inputs in any order.
    let column: Vec<Value> = texts
        .as_array()
        .unwrap()
        .iter()
        .map(|text| json!([text]))
        .collect();
    let mut column = tensor("text", &json!(column));
    column["shape"] = json!([4, 1]);
    let plain = logits(&ask(&server, &json!([tensor("labels", labels), column])));
    assert_close(&plain, &expected["cosines"][1], 20.0);

    let bytes = |list: &Value| {
        let list = list.as_array().unwrap().iter();
        packed(
            &list
                .map(|text| text.as_str().unwrap().as_bytes())
                .collect::<Vec<_>>(),
        )
    };
    let binary = ask_binary(
        &server,
        &[
            (
                "template",
                json!([4]),
                bytes(&json!([template, template, template, template])),
            ),
            ("text", json!([4, 1]), bytes(texts)),
            ("labels", json!([3]), bytes(labels)),
        ],
    );
    assert_eq!(
        binary.status,
        200,
        "{}",
        String::from_utf8_lossy(&binary.body)
    );
    let length: usize = binary.header(HEADER_LENGTH).unwrap().parse().unwrap();
    let found: Vec<f32> = binary.body[length..]
        .as_chunks()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    assert_eq!(found, scores);

    // 4 texts and 2 templates with 3 labels each; the third request knew everything.
    assert!((server.metric("model_api_encodes_total{model=\"words\"}") - 10.0).abs() < 0.1);
    assert!((server.metric("model_api_cache_hits_total{model=\"words\"}") - 11.0).abs() < 0.1);
    assert!((server.metric("model_api_texts_total{model=\"words\"}") - 12.0).abs() < 0.1);
}

#[test]
fn a_masked_model_scores_label_words() {
    let server = start("masked");
    let expected = expected("masked");
    let inputs =
        |texts: &Value, labels: &Value| json!([tensor("text", texts), tensor("labels", labels)]);
    let answer = ask(&server, &inputs(&expected["texts"], &expected["labels"]));
    assert_close(&logits(&answer), &expected["logits"], 1.0);

    let two = json!(["great", "bad"]);
    let cases = [
        (
            ask(&server, &inputs(&json!(["no mask"]), &two)),
            "text 0 has 0 masks",
        ),
        (
            ask(&server, &inputs(&json!(["<mask>", "<mask><mask>"]), &two)),
            "text 1 has 2 masks",
        ),
        (
            ask(
                &server,
                &inputs(&json!(["<mask>"]), &json!(["great", "sophisticated"])),
            ),
            "`sophisticated` is not one token",
        ),
        (
            ask(
                &server,
                &json!([
                    tensor("text", &json!(["<mask>"])),
                    tensor("labels", &two),
                    tensor("template", &json!(["{}"]))
                ]),
            ),
            "`template` is for sentence encoders",
        ),
    ];
    for (answer, text) in cases {
        assert_eq!(answer.status, 400, "{text}");
        assert!(answer.error().contains(text), "{}", answer.error());
    }
}

/// A tensor of numbers, in JSON.
fn numbers(name: &str, datatype: &str, shape: &[usize], data: &Value) -> Value {
    json!({ "name": name, "datatype": datatype, "shape": shape, "data": data })
}

/// The soft prompts of `prompts` in tests/text/soft.py: two of three tokens.
fn soft_prompts() -> Vec<f32> {
    let number = |k: usize| 0.5 * ((k * 7919 % 1000) as f32 / 500.0 - 1.0);
    (0..2 * 3 * 24).map(number).collect()
}

#[test]
fn soft_prompts_are_told_apart() {
    let server = start("encoder");
    let expected = expected("encoder");
    let inputs = |soft: Value| {
        let mut inputs = vec![
            tensor("text", &expected["texts"]),
            tensor("labels", &expected["labels"]),
            tensor("template", &json!([expected["templates"][0]])),
        ];
        inputs.extend(soft.as_array().unwrap().clone());
        json!(inputs)
    };
    let embeddings = numbers(
        "prompt_embeddings",
        "FP32",
        &[2, 3, 24],
        &json!(soft_prompts()),
    );
    let second = numbers("text_prompt", "INT32", &[1], &json!([1]));
    let first = numbers("template_prompt", "INT32", &[4], &json!([0, 0, 0, 0]));
    let both = logits(&ask(&server, &inputs(json!([second, embeddings, first]))));
    assert_close(&both, &expected["soft"]["both"], 20.0);
    // One prompt stands before every text if nothing else is said.
    let one = numbers(
        "prompt_embeddings",
        "FP32",
        &[3, 24],
        &json!(soft_prompts()[..72]),
    );
    let text = logits(&ask(&server, &inputs(json!([one]))));
    assert_close(&text, &expected["soft"]["text"], 20.0);
    // Before some texts only, and as bytes.
    let bytes: Vec<u8> = soft_prompts()
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let index: Vec<u8> = [-1_i32, 0, 1, -1]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let elements = |key: &Value| -> Vec<u8> {
        let list: Vec<String> = serde_json::from_value(key.clone()).unwrap();
        packed(&list.iter().map(String::as_bytes).collect::<Vec<_>>())
    };
    let heads = json!([
        { "name": "text", "datatype": "BYTES", "shape": [4], "parameters": { "binary_data_size": elements(&expected["texts"]).len() } },
        { "name": "prompt_embeddings", "datatype": "FP32", "shape": [2, 3, 24], "parameters": { "binary_data_size": bytes.len() } },
        { "name": "text_prompt", "datatype": "INT32", "shape": [4, 1], "parameters": { "binary_data_size": index.len() } },
        tensor("labels", &expected["labels"]),
        tensor("template", &json!([expected["templates"][0]])),
    ]);
    let head = json!({ "inputs": heads }).to_string();
    let body = [
        head.as_bytes(),
        &elements(&expected["texts"]),
        &bytes,
        &index,
    ]
    .concat();
    let some = logits(&server.post(INFER, &[(HEADER_LENGTH, &head.len().to_string())], &body));
    assert_close(&some[..3], &json!([expected["cosines"][0][0]]), 20.0);
    assert_close(&some[3..6], &json!([expected["soft"]["text"][1]]), 20.0);
    assert_close(&some[9..], &json!([expected["cosines"][0][3]]), 20.0);

    let embeddings =
        |shape: &[usize], data: Value| numbers("prompt_embeddings", "FP32", shape, &data);
    let good = || embeddings(&[2, 3, 24], json!(soft_prompts()));
    for (soft, needle) in [
        (json!([good()]), "say with `text_prompt`"),
        (
            json!([embeddings(&[1, 24], json!(["x"]))]),
            "must hold numbers",
        ),
        (
            json!([embeddings(&[2, 12], json!(vec![0; 24]))]),
            "or [tokens, 24]",
        ),
        (
            json!([embeddings(&[17, 24], json!(vec![0; 17 * 24]))]),
            "1 to 16 tokens",
        ),
        (
            json!([embeddings(&[1, 24], json!([1e300].repeat(24)))]),
            "not finite",
        ),
        (json!([embeddings(&[1, 24], json!([0]))]), "has 1 elements"),
        (
            json!([embeddings(&[9, 1, 24], json!(vec![0; 216]))]),
            "at most 8",
        ),
        (
            json!([numbers("text_prompt", "INT32", &[1], &json!([0]))]),
            "which is missing",
        ),
        (
            json!([good(), numbers("text_prompt", "INT32", &[1], &json!([2]))]),
            "there are 2",
        ),
        (
            json!([good(), numbers("text_prompt", "INT32", &[1], &json!([0.5]))]),
            "there are 2",
        ),
        (
            json!([
                good(),
                numbers("text_prompt", "INT32", &[2], &json!([0, 0]))
            ]),
            "one for each of the 4",
        ),
        (
            json!([good(), numbers("text_prompt", "INT64", &[1], &json!([0]))]),
            "must be INT32",
        ),
        (json!([good(), good()]), "came twice"),
    ] {
        let answer = ask(&server, &inputs(soft));
        assert_eq!(answer.status, 400, "{needle}");
        assert!(
            answer.error().contains(needle),
            "`{needle}` is not in `{}`",
            answer.error()
        );
    }
}

#[test]
fn the_clients_dialect_sends_soft_prompts() {
    let (server, expected) = (start("encoder"), expected("encoder"));
    let task = |hidden: usize| {
        Task::from_value(json!({
            "name": "Words",
            "model": { "url": "http://127.0.0.1:8701", "name": "words", "input": { "kind": "text" } },
            "data": { "labels": expected["labels"] },
            "text": { "template": expected["templates"][0] },
            "generator": { "kind": "soft", "tokens": 3, "hidden": hidden, "deviation": 0.5, "place": "input" },
            "optimizer": { "kind": "cma-es" },
        }))
        .unwrap()
    };
    let dialect = task(24).text_dialect(None).unwrap();
    let answer = server.get(&dialect.describe_request().path);
    fn response(answer: &Answer) -> Response<'_> {
        Response {
            status: answer.status,
            headers: &answer.headers,
            body: &answer.body,
        }
    }
    assert!(dialect.check_description(&response(&answer)).is_ok());
    let other = task(25).text_dialect(None).unwrap();
    assert!(other.check_description(&response(&answer)).is_err());
    let queries = TextQueries {
        texts: serde_json::from_value(expected["texts"].clone()).unwrap(),
        templates: vec![expected["templates"][0].as_str().unwrap().to_owned(); 4],
        soft: Some(SoftQueries {
            embeddings: soft_prompts(),
            tokens: 3,
            hidden: 24,
            of_text: vec![0; 4],
            before_label: false,
        }),
    };
    let request = dialect.infer_request(&queries).unwrap();
    let headers = request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let answer = server.post(&request.path, &headers.collect::<Vec<_>>(), &request.body);
    let scores = dialect.parse(&response(&answer), 4).unwrap();
    assert_close(scores.values(), &expected["soft"]["text"], 20.0);
}

#[test]
fn bad_requests_are_refused_and_named() {
    let server = start("encoder");
    let text = tensor("text", &json!(["a"]));
    let labels = tensor("labels", &json!(["a", "b"]));
    let changed = |mut input: Value, key: &str, value: Value| {
        input[key] = value;
        input
    };
    let json_cases = [
        (json!([text]), "`labels` is missing"),
        (json!([labels]), "`text` is missing"),
        (json!([]), "`text` is missing"),
        (json!([text, text, labels]), "came twice"),
        (
            json!([text, labels, tensor("prompt", &json!(["a"]))]),
            "no input `prompt`",
        ),
        (
            json!([changed(text.clone(), "datatype", json!("FP32")), labels]),
            "is FP32, but must be BYTES",
        ),
        (
            json!([changed(text.clone(), "shape", json!([1, 2])), labels]),
            "[count] or [count, 1]",
        ),
        (
            json!([changed(text.clone(), "shape", json!([2])), labels]),
            "has 1 elements, but its shape says 2",
        ),
        (
            json!([tensor("text", &json!([])), labels]),
            "`text` is empty",
        ),
        (
            json!([tensor("text", &json!(vec!["a"; 9])), labels]),
            "at most 8",
        ),
        (
            json!([changed(text.clone(), "shape", json!([u64::MAX])), labels]),
            "at most 8",
        ),
        (json!([text, tensor("labels", &json!(["a"]))]), "1 labels"),
        (
            json!([text, tensor("labels", &json!(["a", ""]))]),
            "label 1 is empty",
        ),
        (
            json!([text, labels, tensor("template", &json!(["nothing"]))]),
            "has no `{}`",
        ),
        (
            json!([text, labels, tensor("template", &json!(["{}", "{}"]))]),
            "must have one for all",
        ),
        (json!([tensor("text", &json!([7])), labels]), "strings"),
        (
            json!([tensor("text", &json!(["x".repeat(70_000)])), labels]),
            "at most 65536",
        ),
    ];
    for (inputs, needle) in &json_cases {
        let answer = ask(&server, inputs);
        assert_eq!(answer.status, 400, "{needle}");
        assert!(
            answer.error().contains(needle),
            "`{needle}` is not in `{}`",
            answer.error()
        );
    }

    let labels = || ("labels", json!([2]), packed(&[b"a", b"b"]));
    let text = |bytes: Vec<u8>| ("text", json!([1]), bytes);
    let binary_cases = [
        (
            vec![text(packed(&[b"\xff"])), labels()],
            "element 0 of `text` is not UTF-8",
        ),
        (vec![text(vec![9, 0, 0, 0, b'a']), labels()], "cut off"),
        (vec![text(vec![1, 0]), labels()], "cut off"),
        (vec![text(vec![255; 8]), labels()], "cut off"),
        (
            vec![text(packed(&[b"a", b"b"])), labels()],
            "has 2 elements",
        ),
        (vec![text(packed(&[])), labels()], "has 0 elements"),
    ];
    for (inputs, needle) in &binary_cases {
        let answer = ask_binary(&server, inputs);
        assert_eq!(answer.status, 400, "{needle}");
        assert!(
            answer.error().contains(needle),
            "`{needle}` is not in `{}`",
            answer.error()
        );
    }
    let total = (json_cases.len() + binary_cases.len()) as f64;
    let refused = server.metric("model_api_rejected_total{model=\"words\",reason=\"bad_request\"}");
    assert!((refused - total).abs() < 0.1);
    // The server still works.
    assert_eq!(
        ask_binary(&server, &[text(packed(&[b"a"])), labels()]).status,
        200
    );
}

#[test]
fn limits_and_origins_are_those_of_images() {
    let server = start_with("encoder", |config| {
        config.max_body = 10_000;
        config.allow_origins = vec!["https://a.example".into()];
    });
    let answer = server
        .client()
        .call("POST", INFER, &[], &vec![b' '; 50_000]);
    assert_eq!(answer.status, 413);
    let body =
        json!({ "inputs": [tensor("text", &json!(["a"])), tensor("labels", &json!(["a", "b"]))] });
    let answer = server.post(
        INFER,
        &[("origin", "https://a.example")],
        body.to_string().as_bytes(),
    );
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://a.example")
    );
    assert_eq!(server.get("/v2/models/words/ready").status, 200);
    assert_eq!(server.get("/v2/models/other").status, 404);
}

#[test]
fn requests_at_the_same_time_share_a_run() {
    let server = start_with("encoder", |config| {
        let model = &mut config.models[0];
        model.threads = 1;
        model.max_batch = 6;
        // Long enough for all to arrive on a slow machine; the full batch does not wait for it.
        model.max_delay = std::time::Duration::from_secs(20);
    });
    let mut clients: Vec<_> = (0..6).map(|_| server.client()).collect();
    for (i, client) in clients.iter_mut().enumerate() {
        // Each request has its own labels, in different numbers.
        let labels: Vec<&str> = ["cat", "dog", "film", "money"][..2 + i % 3].to_vec();
        let body = json!({ "inputs": [tensor("text", &json!(["a cat"])), tensor("labels", &json!(labels))] });
        client.send("POST", INFER, &[], body.to_string().as_bytes());
    }
    let mut first = None;
    for (i, client) in clients.iter_mut().enumerate() {
        let scores = logits(&client.receive());
        assert_eq!(scores.len(), 2 + i % 3);
        assert_eq!(scores[..2], *first.get_or_insert(scores[..2].to_vec()));
    }
    assert!((server.metric("model_api_runs_total{model=\"words\"}") - 1.0).abs() < 0.1);
    assert!((server.metric("model_api_encodes_total{model=\"words\"}") - 5.0).abs() < 0.1);
}

#[test]
fn a_pair_of_encoders_takes_images() {
    let server = start_with("clip", |config| {
        let Served::Text { dir, .. } = config.models[0].served.clone() else {
            panic!("no folder")
        };
        let options = ClipOptions {
            labels: ["cat", "dog", "car"].map(str::to_owned).to_vec(),
            ..ClipOptions::default()
        };
        config.models[0].served = Served::Clip { dir, options };
    });
    let metadata = server.get("/v2/models/words").json();
    assert_eq!(metadata["inputs"][0]["shape"], json!([-1, 3, 8, 8]));
    assert_eq!(metadata["parameters"]["kind"], "clip");
    assert_eq!(
        metadata["parameters"]["labels"],
        json!(["cat", "dog", "car"])
    );
    let expected = expected("clip");
    let images: Vec<Vec<u8>> = serde_json::from_value(expected["images"].clone()).unwrap();
    let input = json!({ "name": metadata["inputs"][0]["name"], "datatype": "UINT8",
        "shape": [2, 3, 8, 8], "data": images.concat() });
    let scores = logits(&ask(&server, &json!([input])));
    let expected: Vec<Vec<f32>> = serde_json::from_value(expected["logits"].clone()).unwrap();
    for (score, logit) in scores.iter().zip(expected.concat()) {
        assert!((score - logit).abs() < 1e-2, "{score} {logit}");
    }
    assert!((server.metric("model_api_images_total{model=\"words\"}") - 2.0).abs() < 0.1);
}

/// The client's dialect and the server agree, over the wire, for both kinds of text model.
#[test]
fn the_clients_dialect_drives_it() {
    let drive = |folder: &str, text: Value, words: &Value, texts: &Value, templates: &[&str]| {
        let server = start(folder);
        let task = Task::from_value(json!({
            "name": "Words",
            "model": { "url": "http://127.0.0.1:8701", "name": "words", "input": { "kind": "text" } },
            "data": { "labels": words },
            "text": text,
            "generator": { "candidates": ["", "a"] },
        }))
        .unwrap();
        let dialect = task.text_dialect(None).unwrap();
        let response = |answer: &Answer| {
            let response = Response {
                status: answer.status,
                headers: &answer.headers,
                body: &answer.body,
            };
            (
                dialect.check_description(&response).ok(),
                dialect.parse(&response, 4).ok(),
            )
        };
        let description = response(&server.get(&dialect.describe_request().path)).0;
        assert_eq!(description.unwrap().max_batch, Some(8));
        let queries = TextQueries {
            texts: serde_json::from_value(texts.clone()).unwrap(),
            templates: templates.iter().map(|&text| text.to_owned()).collect(),
            soft: None,
        };
        let request = dialect.infer_request(&queries).unwrap();
        let headers: Vec<_> = request
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let answer = server.post(&request.path, &headers, &request.body);
        assert_eq!(
            answer.status,
            200,
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
        response(&answer).1.unwrap().into_values()
    };
    let encoder = expected("encoder");
    let words = &encoder["labels"];
    let template = encoder["templates"][0].as_str().unwrap();
    let text = json!({ "template": "this text is about {}", "words": words });
    let scores = drive("encoder", text, words, &encoder["texts"], &[template; 4]);
    assert_close(&scores, &encoder["cosines"][0], 20.0);
    let masked = expected("masked");
    let words = &masked["labels"];
    let text = json!({ "input": "{text} it was <mask>", "words": words });
    let scores = drive("masked", text, words, &masked["texts"], &[]);
    assert_close(&scores, &masked["logits"], 1.0);
}
