//! The whole server over a live port, with the embedded model.

// The helpers of tests, unlike the tests, do not count as test code by themselves.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)] // each user needs a part of it
mod support;

use model_client::{
    Calls, Datatype, InputSpec, Layout, Method, ModelSpec, OutputKind, OutputSpec, Own, Response,
    Sent, dialect,
};
use serde_json::{Value, json};
use support::{Answer, Running};

use model_api::{Classifier, ClassifierOptions, ModelApiConfig, PRINTED_DIGITS};

const IMAGE: usize = 3 * 32 * 32;
const INFER: &str = "/v2/models/printed-digits/infer";
const HEADER_LENGTH: &str = "inference-header-content-length";

fn start_with(change: impl FnOnce(&mut ModelApiConfig)) -> Running {
    let mut config = ModelApiConfig::default();
    change(&mut config);
    Running::start(move |listener, stop| {
        model_api::run(listener, config, async {
            let _ = stop.await;
        })
    })
}

fn start() -> Running {
    start_with(|_| {})
}

/// Two frozen images and onnxruntime's answers to them.
fn frozen() -> (Vec<u8>, Vec<Vec<f32>>) {
    let frozen: Value = serde_json::from_str(include_str!("onnxruntime.json")).unwrap();
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
            .collect()
    };
    let images = frozen["images"].as_array().unwrap();
    let pixels: Vec<u8> = images
        .iter()
        .flat_map(|image| hex(image.as_str().unwrap()))
        .collect();
    assert_eq!(pixels.len(), images.len() * IMAGE);
    (
        pixels,
        serde_json::from_value(frozen["logits"].clone()).unwrap(),
    )
}

fn spec(datatype: Datatype) -> ModelSpec {
    ModelSpec {
        dialect: "open-inference".into(),
        url: "http://127.0.0.1:8701".into(),
        name: "printed-digits".into(),
        input: InputSpec {
            name: "image".into(),
            datatype,
            layout: Layout::Nchw,
            height: 32,
            width: 32,
            low: 0.0,
            high: 1.0,
            sent: Sent::default(),
        },
        output: OutputSpec {
            name: "logits".into(),
            kind: OutputKind::Logits,
            classes: 10,
            words: Vec::new(),
        },
        version: String::new(),
        calls: Calls::default(),
        price: None,
        own: Own::default(),
    }
}

fn json_body(datatype: &str, shape: &Value, data: &Value) -> Vec<u8> {
    let input = json!({ "name": "image", "datatype": datatype, "shape": shape, "data": data });
    json!({ "id": "seven", "inputs": [input] })
        .to_string()
        .into_bytes()
}

fn post_json(server: &Running, datatype: &str, shape: &Value, data: &Value) -> Answer {
    server.post(
        INFER,
        &[("content-type", "application/json")],
        &json_body(datatype, shape, data),
    )
}

fn close(one: &[f32], other: &[f32]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| (a - b).abs() <= 1e-4)
}

#[test]
fn the_model_answers_what_onnxruntime_answers() {
    let (images, logits) = frozen();
    let classifier =
        Classifier::load(PRINTED_DIGITS.to_vec(), &ClassifierOptions::default()).unwrap();
    let scores = classifier.run(&images).unwrap();
    for (row, expected) in logits.iter().enumerate() {
        assert!(
            close(scores.row(row), expected),
            "{:?} {expected:?}",
            scores.row(row)
        );
        // Also alone, and exactly the same every time.
        let alone = classifier
            .run(&images[row * IMAGE..(row + 1) * IMAGE])
            .unwrap();
        assert!(close(alone.row(0), expected));
    }
    assert_eq!(classifier.run(&images).unwrap(), scores);
    assert!(classifier.run(&images[1..]).is_err());
    assert!(classifier.run(&[]).is_err());
}

#[test]
fn health_metadata_and_unknown_routes() {
    let server = start();
    let ready = [
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/printed-digits/ready",
        "/v2/models/printed-digits/versions/1/ready",
    ];
    for path in ready {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    assert_eq!(
        server.get("/v2").json()["extensions"],
        json!(["binary_tensor_data", "model_repository"])
    );
    let metadata = server.get("/v2/models/printed-digits");
    assert_eq!(
        metadata.json(),
        server.get("/v2/models/printed-digits/versions/1").json()
    );
    assert_eq!(
        metadata.json()["inputs"][0]["shape"],
        json!([-1, 3, 32, 32])
    );

    for path in [
        "/v2/models/other",
        "/v2/models/other/ready",
        "/v2/models/printed-digits/versions/2",
        "/",
        "/v2/x",
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(!answer.error().is_empty());
    }
    assert_eq!(
        server.post("/v2/models/other/infer", &[], b"{}").status,
        404
    );
    assert_eq!(server.get(INFER).status, 405);
}

/// The client's dialect and the server agree, over the wire, in both datatypes.
#[test]
fn the_clients_dialect_drives_it() {
    let server = start();
    let (images, logits) = frozen();
    for datatype in [Datatype::Uint8, Datatype::Fp32] {
        let dialect = dialect(&spec(datatype)).unwrap();
        let request = dialect.describe_request();
        assert_eq!(request.method, Method::Get);
        let answer = server.get(&request.path);
        let response = Response {
            status: answer.status,
            headers: &answer.headers,
            body: &answer.body,
        };
        let description = dialect.check_description(&response).unwrap();
        assert_eq!(
            (description.max_batch, description.labels.len()),
            (Some(2048), 10)
        );

        let request = dialect.infer_request(&images, 2).unwrap();
        let headers: Vec<_> = request
            .headers
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        let answer = server.post(&request.path, &headers, &request.body);
        let response = Response {
            status: answer.status,
            headers: &answer.headers,
            body: &answer.body,
        };
        let scores = dialect.parse(&response, 2).unwrap();
        for (row, expected) in logits.iter().enumerate() {
            assert!(close(scores.row(row), expected), "{datatype:?}");
        }
    }
}

#[test]
fn json_and_binary_are_identical() {
    let server = start();
    let (images, _) = frozen();
    let dialect = dialect(&spec(Datatype::Uint8)).unwrap();
    let request = dialect.infer_request(&images, 2).unwrap();
    let headers: Vec<_> = request
        .headers
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    let mut client = server.client();
    let binary = client.call("POST", INFER, &headers, &request.body);
    assert_eq!(
        binary.header("content-type"),
        Some("application/octet-stream")
    );
    let length: usize = binary.header(HEADER_LENGTH).unwrap().parse().unwrap();
    assert_eq!(binary.body.len() - length, 2 * 10 * 4);

    // The same connection takes the next request.
    let shape = json!([2, 3, 32, 32]);
    let text = client.call(
        "POST",
        INFER,
        &[],
        &json_body("UINT8", &shape, &json!(images)),
    );
    assert_eq!(text.json()["id"], "seven");
    let nested: Vec<&[u8]> = images.chunks(32).collect();
    let nested = client.call(
        "POST",
        INFER,
        &[],
        &json_body("UINT8", &shape, &json!(nested)),
    );
    let floats: Vec<f32> = images.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    let floats = client.call(
        "POST",
        INFER,
        &[],
        &json_body("FP32", &shape, &json!(floats)),
    );

    let scores = |answer: &Answer| {
        let response = Response {
            status: answer.status,
            headers: &answer.headers,
            body: &answer.body,
        };
        dialect.parse(&response, 2).unwrap()
    };
    for other in [&text, &nested, &floats] {
        assert_eq!(scores(&binary), scores(other));
    }
}

#[test]
fn bad_requests_are_refused_and_named() {
    let server = start();
    let one = json!([1, 3, 32, 32]);
    let black = json!(vec![0; IMAGE]);
    let mut broken = vec![Value::from(0.0); IMAGE];
    broken[5] = Value::Null;
    let cases = [
        (
            post_json(&server, "UINT8", &json!([1, 32, 32, 3]), &black),
            "[batch, 3, 32, 32]",
        ),
        (post_json(&server, "INT64", &one, &black), "INT64"),
        (
            post_json(&server, "UINT8", &json!([2, 3, 32, 32]), &black),
            "needs 6144",
        ),
        (
            post_json(&server, "UINT8", &json!([2049, 3, 32, 32]), &black),
            "at most 2048",
        ),
        (post_json(&server, "FP32", &one, &json!(broken)), "NaN"),
        (
            server.post(INFER, &[], b"not json"),
            "not an inference request",
        ),
        (
            server.post(INFER, &[(HEADER_LENGTH, "9999")], b"{}"),
            "must be a number up to",
        ),
    ];
    for (answer, text) in cases {
        assert_eq!(answer.status, 400, "{text}");
        assert!(answer.error().contains(text), "{}", answer.error());
    }
    let encoded = server.post(INFER, &[("content-encoding", "gzip")], b"{}");
    assert_eq!(encoded.status, 415);
    let refused = "model_api_rejected_total{model=\"printed-digits\",reason=\"bad_request\"}";
    assert!((server.metric(refused) - 7.0).abs() < 0.1);
}

#[test]
fn a_body_that_is_too_large_still_gets_its_answer() {
    let server = start_with(|config| config.max_body = 10_000);
    let mut client = server.client();
    let answer = client.call("POST", INFER, &[], &vec![b' '; 50_000]);
    assert_eq!(answer.status, 413);
    assert!(answer.error().contains("10000 bytes"), "{}", answer.error());
    // At the limit it is read, and judged by what it says.
    let answer = client.call("POST", INFER, &[], &vec![b' '; 10_000]);
    assert_eq!(answer.status, 400);
}

const PREFLIGHT: [(&str, &str); 2] = [
    ("access-control-request-method", "POST"),
    (
        "access-control-request-headers",
        "content-type,inference-header-content-length,authorization",
    ),
];

#[test]
fn only_the_origins_that_are_stated_may_call() {
    let server = start_with(|config| {
        config.allow_origins = vec!["https://a.example".into(), "http://localhost:5173".into()];
    });
    let call = |origin| {
        server.client().call(
            "GET",
            "/v2/models/printed-digits",
            &[("origin", origin)],
            b"",
        )
    };
    let preflight = |origin| {
        let headers = [&[("origin", origin)][..], &PREFLIGHT].concat();
        server.client().call("OPTIONS", INFER, &headers, b"")
    };
    for origin in ["https://a.example", "http://localhost:5173"] {
        let answer = call(origin);
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        let exposed = answer
            .header("access-control-expose-headers")
            .unwrap()
            .to_lowercase();
        assert!(
            exposed.contains(HEADER_LENGTH) && exposed.contains("retry-after"),
            "{exposed}"
        );
        let answer = preflight(origin);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        let allowed = answer
            .header("access-control-allow-headers")
            .unwrap()
            .to_lowercase();
        assert!(allowed.contains(HEADER_LENGTH), "{allowed}");
    }
    for origin in ["https://b.example", "https://a.example.evil", "null"] {
        assert_eq!(
            call(origin).header("access-control-allow-origin"),
            None,
            "{origin}"
        );
        let answer = preflight(origin);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            None,
            "{origin}"
        );
        assert_eq!(answer.status, 400);
    }
    // An error can be read by the page too.
    let answer = server.post(
        "/v2/models/x/infer",
        &[("origin", "https://a.example")],
        b"{}",
    );
    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://a.example")
    );
}

#[test]
fn a_star_allows_everyone_and_nothing_allows_no_one() {
    let origin = [("origin", "https://anyone.example")];
    let all = start_with(|config| config.allow_origins = vec!["*".into()]);
    let answer = all.client().call("GET", "/v2", &origin, b"");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let none = start();
    let answer = none.client().call("GET", "/v2", &origin, b"");
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[test]
fn requests_at_the_same_time_share_a_run() {
    let server = start_with(|config| {
        let model = &mut config.models[0];
        model.threads = 1;
        model.max_batch = 8;
        // Long enough for all eight to arrive on a slow machine; the full batch does not wait for
        // it.
        model.max_delay = std::time::Duration::from_secs(20);
    });
    let (images, logits) = frozen();
    let body = json_body("UINT8", &json!([1, 3, 32, 32]), &json!(images[..IMAGE]));
    let mut clients: Vec<_> = (0..8).map(|_| server.client()).collect();
    for client in &mut clients {
        client.send("POST", INFER, &[], &body);
    }
    for client in &mut clients {
        let scores: Vec<f32> =
            serde_json::from_value(client.receive().json()["outputs"][0]["data"].clone()).unwrap();
        assert!(close(&scores, &logits[0]));
    }
    assert!((server.metric("model_api_images_total{model=\"printed-digits\"}") - 8.0).abs() < 0.1);
    assert!((server.metric("model_api_runs_total{model=\"printed-digits\"}") - 1.0).abs() < 0.1);
    assert!(
        (server.metric("model_api_requests_total{model=\"printed-digits\",status=\"200\"}") - 8.0)
            .abs()
            < 0.1
    );
}
