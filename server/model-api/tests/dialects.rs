//! Hugging Face's and OpenAI's routes over a live port: the same models, the same scores, other
//! forms.

// The helpers of tests, unlike the tests, do not count as test code by themselves.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)] // each user needs a part of it
mod support;

use std::io::Cursor;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{ImageFormat, RgbImage};
use serde_json::{Value, json};
use support::{Answer, Running};

use model_api::{ClipOptions, ModelApiConfig, ModelConfig, Served, TextOptions};

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/text")
        .join(name)
}

fn text(name: &str, labels: &[&str], template: Option<&str>) -> ModelConfig {
    ModelConfig {
        name: name.into(),
        served: Served::Text {
            dir: folder(name.split('-').next().unwrap()),
            options: TextOptions::default(),
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
            template: template.map(str::to_owned),
        },
        max_batch: 8,
        ..ModelConfig::default()
    }
}

fn clip() -> ModelConfig {
    let options = ClipOptions {
        labels: ["cat", "dog", "car"].map(str::to_owned).to_vec(),
        ..ClipOptions::default()
    };
    ModelConfig {
        name: "clip".into(),
        served: Served::Clip {
            dir: folder("clip"),
            options,
        },
        ..ModelConfig::default()
    }
}

/// Serves all models on one port, because serving them together is part of the test.
fn start() -> Running {
    let models = vec![
        ModelConfig::default(),
        clip(),
        text("encoder", &[], None),
        text("masked", &[], None),
        text(
            "encoder-labelled",
            &["great", "money"],
            Some("this text is about {}"),
        ),
        text(
            "masked-labelled",
            &["great", "bad"],
            Some("{} it was <mask>."),
        ),
    ];
    let config = ModelApiConfig {
        models,
        ..ModelApiConfig::default()
    };
    Running::start(move |listener, stop| {
        model_api::run(listener, config, async {
            let _ = stop.await;
        })
    })
}

fn post(server: &Running, path: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    server.post(path, &headers, body.to_string().as_bytes())
}

fn ok(answer: &Answer) -> Value {
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 200, "{text}");
    answer.json()
}

fn expected(model: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("text/expected.json")).unwrap();
    all[model].clone()
}

fn list<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

/// Planar pixels as a PNG.
fn png(planar: &[u8], side: u32) -> Vec<u8> {
    let plane = (side * side) as usize;
    let image = RgbImage::from_fn(side, side, |x, y| {
        let at = (y * side + x) as usize;
        image::Rgb([planar[at], planar[plane + at], planar[2 * plane + at]])
    });
    let mut bytes = Vec::new();
    image
        .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
        .unwrap();
    bytes
}

/// The digits' frozen images as PNG, and onnxruntime's answers to them.
fn digits() -> Vec<(Vec<u8>, Vec<f32>)> {
    let frozen: Value = serde_json::from_str(include_str!("onnxruntime.json")).unwrap();
    let logits: Vec<Vec<f32>> = list(&frozen["logits"]);
    let images: Vec<String> = list(&frozen["images"]);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let pixels = |text: String| -> Vec<u8> { text.as_bytes().chunks(2).map(byte).collect() };
    let pngs = images.into_iter().map(|image| png(&pixels(image), 32));
    pngs.zip(logits).collect()
}

fn softmax(scores: &[f32]) -> Vec<f64> {
    let exp: Vec<f64> = scores.iter().map(|&score| f64::from(score).exp()).collect();
    let sum: f64 = exp.iter().sum();
    exp.iter().map(|value| value / sum).collect()
}

/// The score of each label, in any order; checks that the best come first.
fn scores(entries: &Value) -> Vec<(String, f64)> {
    let entries = entries.as_array().unwrap().iter();
    let pairs: Vec<(String, f64)> = entries
        .map(|entry| (list(&entry["label"]), entry["score"].as_f64().unwrap()))
        .collect();
    assert!(
        pairs.windows(2).all(|pair| pair[0].1 >= pair[1].1),
        "{pairs:?}"
    );
    pairs
}

fn assert_scores(entries: &Value, labels: &[&str], expected: &[f64]) {
    let mut found = scores(entries);
    found.sort_by_key(|(label, _)| labels.iter().position(|known| known == label));
    let names: Vec<&str> = found.iter().map(|(label, _)| label.as_str()).collect();
    assert_eq!(names, labels);
    for ((_, found), expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
    }
}

const TEN: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

#[test]
fn hugging_face_classifies_images() {
    let server = start();
    for (png, logits) in digits() {
        let all = softmax(&logits);
        // Bytes without a content type, as the client sends them.
        let best = ok(&server.post("/models/printed-digits", &[], &png));
        assert_eq!(scores(&best).len(), 5);
        let best_digit = all
            .iter()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(b.1))
            .unwrap()
            .0;
        assert_eq!(scores(&best)[0].0, best_digit.to_string());

        let base64 = STANDARD.encode(&png);
        let body = json!({ "inputs": base64, "parameters": { "top_k": 10 } });
        let path = "/models/printed-digits/pipeline/image-classification";
        for path in ["/models/printed-digits", path] {
            assert_scores(&ok(&post(&server, path, &body)), &TEN, &all);
        }
        let body = json!({ "inputs": [base64, base64], "parameters": { "top_k": 10, "function_to_apply": "none" } });
        let answer = ok(&post(&server, "/models/printed-digits", &body));
        let raw: Vec<f64> = logits.iter().map(|&score| f64::from(score)).collect();
        for row in answer.as_array().unwrap() {
            assert_scores(row, &TEN, &raw);
        }
        // A classifier's candidates are some of its own labels.
        let body = json!({ "inputs": base64, "parameters": { "candidate_labels": ["7", "1"] } });
        let answer = ok(&post(&server, "/models/printed-digits", &body));
        assert_scores(&answer, &["7", "1"], &softmax(&[logits[7], logits[1]]));
    }
    assert!((server.metric("model_api_images_total{model=\"printed-digits\"}") - 12.0).abs() < 0.1);
}

#[test]
fn hugging_face_compares_images_with_any_labels() {
    let server = start();
    let expected = expected("clip");
    let images: Vec<Vec<u8>> = list(&expected["images"]);
    let logits: Vec<Vec<f32>> = list(&expected["logits"]);
    for (image, logits) in images.iter().zip(&logits) {
        let base64 = STANDARD.encode(png(image, 8));
        let ask = |parameters: Value| {
            let body = json!({ "inputs": base64, "parameters": parameters });
            ok(&post(&server, "/models/clip", &body))
        };
        let all = softmax(logits);
        assert_scores(&ask(json!({ "top_k": 9 })), &["cat", "dog", "car"], &all);
        // Another order, fewer, and words of the client's own template: the same prompts, so the
        // same scores.
        let answer = ask(json!({ "candidate_labels": ["car", "cat"] }));
        assert_scores(&answer, &["car", "cat"], &softmax(&[logits[2], logits[0]]));
        let answer = ask(json!({
            "candidate_labels": ["photo of a dog", "photo of a car"],
            "hypothesis_template": "a {}.",
        }));
        let chosen = softmax(&[logits[1], logits[2]]);
        assert_scores(&answer, &["photo of a dog", "photo of a car"], &chosen);
    }
}

#[test]
fn hugging_face_classifies_texts() {
    let server = start();
    let expected = expected("encoder");
    let texts: Vec<String> = list(&expected["texts"]);
    let labels = ["great", "money", "sports"];
    let cosines: Vec<Vec<f32>> = list(&expected["cosines"][0]);
    let template = expected["templates"][0].as_str().unwrap();
    let parameters = json!({ "candidate_labels": labels, "hypothesis_template": template });
    let answer = ok(&post(
        &server,
        "/models/encoder",
        &json!({ "inputs": texts, "parameters": parameters }),
    ));
    for (row, cosines) in answer.as_array().unwrap().iter().zip(&cosines) {
        let logits: Vec<f32> = cosines.iter().map(|cosine| cosine / 0.05).collect();
        assert_scores(row, &labels, &softmax(&logits));
    }
    let nothing = post(
        &server,
        "/models/encoder",
        &json!({ "inputs": texts, "parameters": null }),
    );
    assert_eq!(ok(&nothing).as_array().unwrap().len(), texts.len());
    let lone = json!({ "inputs": texts[0], "parameters": parameters });
    assert_eq!(ok(&post(&server, "/models/encoder", &lone)), answer[0]);

    // With the server's own labels, plain texts are enough; the answer to a single text is wrapped
    // in a list too.
    let body = json!({ "inputs": texts[0] });
    let answer = ok(&post(&server, "/models/encoder-labelled", &body));
    let logits = [cosines[0][0] / 0.05, cosines[0][1] / 0.05];
    assert_scores(&answer[0], &["great", "money"], &softmax(&logits));
    let path = "/models/encoder-labelled/pipeline/text-classification";
    let several = ok(&post(&server, path, &json!({ "inputs": texts })));
    assert_eq!(
        (several.as_array().unwrap().len(), &several[0]),
        (4, &answer[0])
    );
}

#[test]
fn hugging_face_embeds_and_compares_texts() {
    let server = start();
    let texts = ["A great film", "money, the world, business"];
    let both: Vec<Vec<f32>> = list(&ok(&post(
        &server,
        "/models/encoder",
        &json!({ "inputs": texts }),
    )));
    let one: Vec<f32> = list(&ok(&post(
        &server,
        "/models/encoder",
        &json!({ "inputs": texts[0] }),
    )));
    assert_eq!(one, both[0]);
    let dot = |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    assert!((dot(&one, &one) - 1.0).abs() < 1e-5);
    // The reference's cosine with the bare label `great`.
    let cosine = &expected("encoder")["cosines"][1][0][0];
    let label: Vec<f32> = list(&ok(&post(
        &server,
        "/models/encoder",
        &json!({ "inputs": "great" }),
    )));
    assert!((dot(&one, &label) - cosine.as_f64().unwrap() as f32).abs() < 1e-4);
    let inputs = json!({ "source_sentence": texts[0], "sentences": ["great", texts[0]] });
    let found: Vec<f32> = list(&ok(&post(
        &server,
        "/models/encoder",
        &json!({ "inputs": inputs }),
    )));
    assert!((found[0] - dot(&one, &label)).abs() < 1e-5 && (found[1] - 1.0).abs() < 1e-5);
}

#[test]
fn hugging_face_fills_masks() {
    let server = start();
    let expected = expected("masked");
    let texts: Vec<String> = list(&expected["texts"]);
    let logits: Vec<Vec<f32>> = list(&expected["logits"]);
    let ask = |inputs: Value, parameters: Value| {
        let body = json!({ "inputs": inputs, "parameters": parameters });
        ok(&post(&server, "/models/masked", &body))
    };
    // As in transformers, ` great` is what follows other words, and `great` is another token.
    let parameters = json!({ "targets": [" great", " terrible", " bad"] });
    let answer = ask(json!(texts), parameters.clone());
    for (row, logits) in answer.as_array().unwrap().iter().zip(&logits) {
        let row = row.as_array().unwrap();
        let ln = |word: &str| {
            let found = row.iter().find(|entry| entry["token_str"] == word).unwrap();
            found["score"].as_f64().unwrap().ln()
        };
        // Among the whole vocabulary: only differences are known.
        let great = ln(" great") - f64::from(logits[0]);
        assert!((ln(" terrible") - f64::from(logits[1]) - great).abs() < 1e-3);
        assert!((ln(" bad") - f64::from(logits[2]) - great).abs() < 1e-3);
        assert!(great < 0.0, "a share of the whole");
    }
    assert_eq!(ask(json!(texts[0]), parameters), answer[0]);
    let all = ask(json!(texts[0]), json!({ "top_k": 100_000 }));
    let sum: f64 = all
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["score"].as_f64().unwrap())
        .sum();
    assert!((sum - 1.0).abs() < 1e-6, "{sum}");
    let best = ask(json!(texts[0]), json!({}));
    assert_eq!(best.as_array().unwrap().len(), 5);
    assert_eq!(best[0], all[0]);
    let target = ask(json!(texts[0]), json!({ "targets": " great" }));
    assert_eq!(target[0]["sequence"], "the acting was great. it was great.");

    // With labels and a template of the server's own it classifies plain texts.
    let body = json!({ "inputs": "the acting was great." });
    let answer = ok(&post(&server, "/models/masked-labelled", &body));
    let expected = softmax(&[logits[0][0], logits[0][2]]);
    assert_scores(&answer[0], &["great", "bad"], &expected);
}

#[test]
fn hugging_face_says_what_does_not_fit() {
    let server = start();
    let (png, _) = digits().remove(0);
    let image = STANDARD.encode(&png);
    let gif = STANDARD.encode("GIF89a");
    let cases = [
        (
            "/models/printed-digits",
            json!({ "inputs": gif }),
            "PNG, JPEG and WebP",
        ),
        (
            "/models/printed-digits",
            json!({ "inputs": image, "parameters": { "candidate_labels": ["cat", "7"] } }),
            "`cat` is none of",
        ),
        (
            "/models/printed-digits",
            json!({ "inputs": 5 }),
            "`inputs` must be",
        ),
        (
            "/models/printed-digits/pipeline/fill-mask",
            json!({ "inputs": "a" }),
            "takes images",
        ),
        (
            "/models/printed-digits/pipeline/poetry",
            json!({ "inputs": "a" }),
            "`poetry`",
        ),
        (
            "/models/clip",
            json!({ "inputs": image, "parameters": { "candidate_labels": ["a", "b"], "hypothesis_template": "x" } }),
            "no `{}`",
        ),
        (
            "/models/encoder/pipeline/image-classification",
            json!({ "inputs": "a" }),
            "image models",
        ),
        (
            "/models/encoder/pipeline/fill-mask",
            json!({ "inputs": "a" }),
            "masked language models",
        ),
        (
            "/models/encoder/pipeline/text-classification",
            json!({ "inputs": "a" }),
            "--labels FILE",
        ),
        (
            "/models/encoder",
            json!({ "inputs": vec!["a"; 9] }),
            "from 1 to 8",
        ),
        (
            "/models/encoder",
            json!({ "inputs": "a", "normalize": false }),
            "normalize",
        ),
        (
            "/models/encoder",
            json!({ "inputs": "a", "parameters": { "candidate_labels": "a,b", "multi_label": true } }),
            "multi_label",
        ),
        (
            "/models/masked",
            json!({ "inputs": "no mask" }),
            "exactly one",
        ),
        (
            "/models/masked",
            json!({ "inputs": "<mask>", "parameters": { "targets": ["unheard-of"] } }),
            "not one token",
        ),
        (
            "/models/masked",
            json!({ "inputs": "a", "parameters": { "candidate_labels": ["a", "b"] } }),
            "sentence encoders",
        ),
    ];
    for (path, body, cause) in cases {
        let answer = post(&server, path, &body);
        assert_eq!(answer.status, 400, "{path} {body}");
        assert!(
            answer.error().contains(cause),
            "{cause}: {}",
            answer.error()
        );
    }
    let unknown = post(&server, "/models/other", &json!({ "inputs": "a" }));
    assert_eq!(unknown.status, 404);
    assert!(
        unknown.error().contains("`printed-digits`"),
        "{}",
        unknown.error()
    );
    assert_eq!(server.get("/models/clip").status, 405);
}

fn see(model: &str, png: &[u8], more: Value) -> Value {
    let url = format!("data:image/png;base64,{}", STANDARD.encode(png));
    let mut body = json!({
        "model": model,
        "messages": [
            { "role": "system", "content": "Answer with the class." },
            { "role": "user", "content": [
                { "type": "text", "text": "What is this?" },
                { "type": "image_url", "image_url": { "url": url } },
            ] },
        ],
    });
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

/// The tokens of `top_logprobs` with their log-probabilities.
fn alternatives(choice: &Value) -> Vec<(String, f64)> {
    let entries = choice["logprobs"]["content"][0]["top_logprobs"].as_array();
    let entry = |entry: &Value| (list(&entry["token"]), entry["logprob"].as_f64().unwrap());
    entries.unwrap().iter().map(entry).collect()
}

const CHAT: &str = "/v1/chat/completions";

#[test]
fn openai_chats_about_images_in_one_token() {
    let server = start();
    for (png, logits) in digits() {
        let logs: Vec<f64> = softmax(&logits).into_iter().map(f64::ln).collect();
        let body = see(
            "printed-digits",
            &png,
            json!({ "logprobs": true, "top_logprobs": 20 }),
        );
        let answer = ok(&post(&server, CHAT, &body));
        assert_eq!(answer["object"], "chat.completion");
        let choice = &answer["choices"][0];
        let found = alternatives(choice);
        assert_eq!(found.len(), 10);
        assert_eq!(choice["message"]["content"], found[0].0.as_str());
        assert_eq!(
            choice["logprobs"]["content"][0]["token"],
            found[0].0.as_str()
        );
        for (token, log) in found {
            let expected = logs[token.parse::<usize>().unwrap()];
            assert!((log - expected).abs() < 1e-3, "{token}: {log} {expected}");
        }
        let answer = ok(&post(
            &server,
            CHAT,
            &see("printed-digits", &png, json!({})),
        ));
        assert_eq!(answer["choices"][0]["logprobs"], Value::Null);
        assert_eq!(answer["usage"]["completion_tokens"], 1);
        // Where Hugging Face's client looks for it; what it fills in as the model does not matter
        // there.
        let body = see("dummy", &png, json!({}));
        let path = "/models/printed-digits/v1/chat/completions";
        assert_eq!(
            ok(&post(&server, path, &body))["choices"],
            answer["choices"]
        );
    }
    let clip = expected("clip");
    let images: Vec<Vec<u8>> = list(&clip["images"]);
    let logits: Vec<Vec<f32>> = list(&clip["logits"]);
    let more = json!({
        "logprobs": true, "top_logprobs": 2, "structured_outputs": { "choice": ["car", "cat"] },
    });
    let answer = ok(&post(
        &server,
        CHAT,
        &see("clip", &png(&images[0], 8), more),
    ));
    let mut found = alternatives(&answer["choices"][0]);
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = softmax(&[logits[0][2], logits[0][0]]);
    assert!((found[0].1 - expected[0].ln()).abs() < 1e-3, "{found:?}");
    assert!((found[1].1 - expected[1].ln()).abs() < 1e-3, "{found:?}");
}

#[test]
fn openai_completes_with_masked_models_and_labels() {
    let server = start();
    let expected = expected("masked");
    let logits: Vec<Vec<f32>> = list(&expected["logits"]);
    let texts: Vec<String> = list(&expected["texts"]);
    let body = json!({ "model": "masked", "prompt": texts, "max_tokens": 1, "logprobs": 20 });
    let answer = ok(&post(&server, "/v1/completions", &body));
    assert_eq!(answer["object"], "text_completion");
    let choices = answer["choices"].as_array().unwrap();
    assert_eq!(choices.len(), texts.len());
    for choice in choices {
        let logprobs = &choice["logprobs"];
        assert_eq!(logprobs["tokens"][0], choice["text"]);
        let best = logprobs["top_logprobs"][0].as_object().unwrap();
        let token: String = list(&choice["text"]);
        assert_eq!(best[&token], logprobs["token_logprobs"][0]);
        assert!(
            best.values()
                .all(|log| log.as_f64() <= logprobs["token_logprobs"][0].as_f64())
        );
    }
    // A prompt without a mask is asked for what comes next; label words may be sent along.
    let ask = |prompt: &str| {
        let body = json!({ "model": "masked", "prompt": prompt, "logprobs": 3,
            "structured_outputs": { "choice": ["great", "terrible", "bad"] } });
        ok(&post(&server, "/v1/completions", &body))["choices"].clone()
    };
    let found = ask("all in all, it was");
    assert_eq!(found, ask("all in all, it was<mask>"));
    let best = found[0]["logprobs"]["top_logprobs"][0].as_object().unwrap();
    for (label, expected) in ["great", "terrible", "bad"].iter().zip(softmax(&logits[2])) {
        let log = best[*label].as_f64().unwrap();
        assert!((log - expected.ln()).abs() < 1e-3, "{label}: {log}");
    }
    // The same as a chat, with the server's own template and labels.
    let messages = json!([{ "role": "user", "content": "the acting was great." }]);
    let body = json!({ "model": "masked-labelled", "messages": messages, "logprobs": true, "top_logprobs": 5 });
    let found = alternatives(&ok(&post(&server, CHAT, &body))["choices"][0]);
    let expected = softmax(&[logits[0][0], logits[0][2]]);
    let great = found.iter().find(|(token, _)| token == "great").unwrap();
    assert!((great.1 - expected[0].ln()).abs() < 1e-3);
    assert_eq!(found.len(), 2);
}

#[test]
fn openai_embeds_and_lists() {
    let server = start();
    let body = json!({ "model": "encoder", "input": ["A great film", "money"] });
    let floats = ok(&post(&server, "/v1/embeddings", &body));
    assert_eq!(
        (&floats["data"][1]["index"], &floats["object"]),
        (&json!(1), &json!("list"))
    );
    assert!(floats["usage"]["prompt_tokens"].as_u64().unwrap() >= 4);
    let mut body = body;
    body["encoding_format"] = json!("base64");
    let bytes = ok(&post(&server, "/v1/embeddings", &body));
    for at in 0..2 {
        let text = bytes["data"][at]["embedding"].as_str().unwrap();
        let bytes = STANDARD.decode(text).unwrap();
        let values: Vec<f32> = bytes
            .chunks(4)
            .map(|value| f32::from_le_bytes(value.try_into().unwrap()))
            .collect();
        assert_eq!(values, list::<Vec<f32>>(&floats["data"][at]["embedding"]));
    }
    let models = ok(&server.get("/v1/models"));
    assert_eq!(models["data"].as_array().unwrap().len(), 6);
    assert_eq!(ok(&server.get("/v1/models/clip"))["id"], "clip");
}

#[test]
fn openai_says_what_does_not_fit_in_its_own_form() {
    let server = start();
    let (png, _) = digits().remove(0);
    let words = json!([{ "role": "user", "content": "hello" }]);
    let address = json!([{ "role": "user", "content": [
        { "type": "image_url", "image_url": { "url": "https://example.org/a.png" } }] }]);
    let cases = [
        (
            CHAT,
            json!({ "model": "printed-digits", "messages": words }),
            "exactly one",
        ),
        (
            CHAT,
            json!({ "model": "printed-digits", "messages": address }),
            "fetches nothing",
        ),
        (
            CHAT,
            see("printed-digits", &png, json!({ "stream": true })),
            "stream",
        ),
        (CHAT, see("printed-digits", &png, json!({ "n": 2 })), "`n`"),
        (
            CHAT,
            see(
                "printed-digits",
                &png,
                json!({ "logprobs": true, "top_logprobs": 21 }),
            ),
            "at most 20",
        ),
        (
            CHAT,
            see("printed-digits", &png, json!({ "top_logprobs": 2 })),
            "logprobs: true",
        ),
        (CHAT, see("encoder", &png, json!({})), "takes no images"),
        (
            CHAT,
            json!({ "model": "encoder", "messages": words }),
            "structured_outputs",
        ),
        (
            "/v1/completions",
            json!({ "model": "printed-digits", "prompt": "a" }),
            "image_url",
        ),
        (
            "/v1/completions",
            json!({ "model": "masked", "prompt": [[1, 2]] }),
            "lists of tokens",
        ),
        (
            "/v1/embeddings",
            json!({ "model": "masked", "input": "a" }),
            "sentence encoders",
        ),
        (
            "/v1/embeddings",
            json!({ "model": "encoder", "input": "a", "dimensions": 3 }),
            "dimensions",
        ),
        ("/v1/embeddings", json!({ "input": "a" }), "model"),
    ];
    for (path, body, cause) in cases {
        let answer = post(&server, path, &body);
        assert_eq!(answer.status, 400, "{path} {body}");
        let error = &answer.json()["error"];
        assert_eq!(error["type"], "invalid_request_error");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(cause), "{cause}: {message}");
    }
    for answer in [
        post(&server, CHAT, &json!({ "model": "gpt", "messages": words })),
        server.get("/v1/models/gpt"),
    ] {
        assert_eq!(answer.status, 404);
        assert_eq!(answer.json()["error"]["code"], "model_not_found");
    }
    let unknown = post(&server, "/v1/responses", &json!({}));
    assert_eq!(
        (unknown.status, &unknown.json()["error"]["code"]),
        (404, &json!("unknown_url"))
    );
}
