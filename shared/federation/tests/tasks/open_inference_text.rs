//! Tasks of texts over the Open Inference Protocol.

use federation::task::Task;
use model_client::{ModelApiError, Response, TextDialect, TextQueries};
use serde_json::{Value, json};

fn task(text: Value) -> Task {
    Task::from_value(json!({
        "name": "Topics",
        "model": { "url": "http://127.0.0.1:8701", "name": "mini lm".replace(' ', "-"), "input": { "kind": "text" } },
        "data": { "labels": ["1", "2", "3"] },
        "text": text,
        "generator": { "candidates": ["", "a"] },
    }))
    .unwrap()
}

fn dialect(text: Value) -> Box<dyn TextDialect> {
    task(text).text_dialect(None).unwrap()
}

fn encoder() -> Box<dyn TextDialect> {
    dialect(json!({ "template": "About {}.", "words": ["wörld", "sport", "money"] }))
}

fn answer(body: &[u8]) -> Response<'_> {
    Response {
        status: 200,
        headers: &[],
        body,
    }
}

/// The elements of a BYTES tensor, as a server reads them.
fn elements(mut bytes: &[u8]) -> Vec<String> {
    let mut elements = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (element, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        elements.push(String::from_utf8(element.to_vec()).unwrap());
        bytes = rest;
    }
    assert!(bytes.is_empty());
    elements
}

#[test]
fn a_request_by_the_wire_contract() {
    let queries = TextQueries {
        texts: vec!["a text".into(), String::new()],
        templates: vec!["About {}.".into(), "news About {}.".into()],
        soft: None,
    };
    let request = encoder().infer_request(&queries).unwrap();
    assert_eq!(request.path, "/v2/models/mini-lm/infer");
    let length = request
        .headers
        .iter()
        .find(|(name, _)| name == "inference-header-content-length");
    let (header, mut raw) = request.body.split_at(length.unwrap().1.parse().unwrap());
    let header: Value = serde_json::from_slice(header).unwrap();
    assert_eq!(header["parameters"]["binary_data_output"], true);
    let mut found = Vec::new();
    for input in header["inputs"].as_array().unwrap() {
        assert_eq!(input["datatype"], "BYTES");
        let size = input["parameters"]["binary_data_size"].as_u64().unwrap() as usize;
        let (own, rest) = raw.split_at(size);
        let elements = elements(own);
        assert_eq!(input["shape"], json!([elements.len()]));
        found.push((input["name"].as_str().unwrap().to_owned(), elements));
        raw = rest;
    }
    assert!(raw.is_empty());
    let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        found,
        [
            ("text".to_owned(), queries.texts),
            ("labels".to_owned(), strings(&["wörld", "sport", "money"])),
            ("template".to_owned(), queries.templates),
        ]
    );
    let masked = dialect(json!({ "input": "{text} <mask>" })).infer_request(&TextQueries {
        texts: vec!["x <mask>".into()],
        templates: Vec::new(),
        soft: None,
    });
    let masked = masked.unwrap();
    assert!(!String::from_utf8_lossy(&masked.body).contains("template"));
}

#[test]
fn soft_prompts_come_first_and_are_named() {
    let task = Task::from_value(json!({
        "name": "Topics",
        "model": { "url": "http://127.0.0.1:8701", "name": "mini-lm", "input": { "kind": "text" } },
        "data": { "labels": ["1", "2"] },
        "text": { "template": "About {}." },
        "generator": { "kind": "soft", "tokens": 2, "hidden": 3, "deviation": 0.1 },
        "optimizer": { "kind": "cma-es" },
    }))
    .unwrap();
    let dialect = task.text_dialect(None).unwrap();
    let soft = model_client::SoftQueries {
        embeddings: (0..12).map(|i| i as f32).collect(),
        tokens: 2,
        hidden: 3,
        of_text: vec![1, 0, 1],
        before_label: true,
    };
    assert_eq!(soft.prompt(0), [6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
    let queries = TextQueries {
        texts: vec!["a".into(), "b".into(), "c".into()],
        templates: vec!["About {}.".into(); 3],
        soft: Some(soft),
    };
    let part = queries.part(1..3);
    assert_eq!(
        (part.texts.len(), part.soft.unwrap().of_text),
        (2, vec![0, 1])
    );
    let request = dialect.infer_request(&queries).unwrap();
    let length = request
        .headers
        .iter()
        .find(|(name, _)| name == "inference-header-content-length");
    let (header, raw) = request.body.split_at(length.unwrap().1.parse().unwrap());
    let header: Value = serde_json::from_slice(header).unwrap();
    let tensor = |at: usize| &header["inputs"][at];
    assert_eq!(
        (&tensor(0)["name"], &tensor(0)["shape"]),
        (&json!("prompt_embeddings"), &json!([2, 2, 3]))
    );
    assert_eq!(
        (&tensor(1)["name"], &tensor(1)["shape"]),
        (&json!("template_prompt"), &json!([3]))
    );
    assert_eq!(raw[4..8], 1.0_f32.to_le_bytes());
    assert_eq!(raw[48..60], [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);

    let faults =
        |parameters: Value| match dialect.check_description(&answer(&description(parameters))) {
            Err(ModelApiError::Disagrees { faults }) => faults.len(),
            other => panic!("{other:?}"),
        };
    assert_eq!(faults(json!({})), 1);
    assert_eq!(
        faults(json!({ "soft_prompts": { "hidden": 4, "max_tokens": 9 } })),
        1
    );
    assert_eq!(
        faults(json!({ "soft_prompts": { "hidden": 3, "max_tokens": 1 } })),
        1
    );
    let good = description(json!({ "soft_prompts": { "hidden": 3, "max_tokens": 2 } }));
    assert!(dialect.check_description(&answer(&good)).is_ok());
}

fn description(parameters: Value) -> Vec<u8> {
    let input = |name: &str| json!({ "name": name, "datatype": "BYTES", "shape": [-1] });
    json!({
        "name": "mini-lm", "platform": "onnx_rten",
        "inputs": [input("text"), input("labels"), input("template")],
        "outputs": [{ "name": "logits", "datatype": "FP32", "shape": [-1, -1] }],
        "parameters": parameters,
    })
    .to_string()
    .into_bytes()
}

#[test]
fn descriptions_are_compared() {
    let body = description(json!({ "kind": "sentence-encoder", "max_batch": 16 }));
    let described = encoder().check_description(&answer(&body)).unwrap();
    assert_eq!(
        (described.max_batch, &*described.platform),
        (Some(16), "onnx_rten")
    );
    let masked = dialect(json!({ "input": "{text} <mask>" }));
    let faults =
        |dialect: &dyn TextDialect, body: &[u8]| match dialect.check_description(&answer(body)) {
            Err(ModelApiError::Disagrees { faults }) => faults.len(),
            other => panic!("{other:?}"),
        };
    assert_eq!(faults(&*masked, &body), 1);
    let bert = description(json!({ "kind": "masked-lm", "mask_token": "[MASK]" }));
    assert_eq!(faults(&*encoder(), &bert), 1);
    assert_eq!(faults(&*masked, &bert), 1);
    let roberta = description(json!({ "kind": "masked-lm", "mask_token": "<mask>" }));
    assert!(masked.check_description(&answer(&roberta)).is_ok());
    // A server that says nothing more is believed.
    assert!(
        encoder()
            .check_description(&answer(&description(json!({}))))
            .is_ok()
    );
    let images = json!({
        "inputs": [{ "name": "image", "datatype": "UINT8", "shape": [-1, 3, 32, 32] }, { "name": "text", "datatype": "FP32", "shape": [-1] }],
        "outputs": [{ "name": "logits", "datatype": "FP32", "shape": [-1, 10] }],
    });
    assert_eq!(faults(&*encoder(), images.to_string().as_bytes()), 4);
    for nonsense in ["", "[]", "<html>", "{}"] {
        let refused = encoder().check_description(&answer(nonsense.as_bytes()));
        assert!(
            matches!(refused, Err(ModelApiError::NotThisProtocol { .. })),
            "{nonsense}"
        );
    }
}

#[test]
fn answers_are_read_and_checked() {
    let scores = |shape: Value, data: Value| {
        let body = json!({ "outputs": [{ "name": "logits", "datatype": "FP32", "shape": shape, "data": data }] });
        encoder().parse(&answer(body.to_string().as_bytes()), 2)
    };
    let good = scores(json!([2, 3]), json!([1, 2, 3, 4, 5, 6])).unwrap();
    assert_eq!(good.row(1), [4.0, 5.0, 6.0]);
    assert!(scores(json!([2, 2]), json!([1, 2, 3, 4])).is_err());
    let missing = Response {
        status: 404,
        ..answer(b"{}")
    };
    assert!(matches!(
        encoder().parse(&missing, 2),
        Err(ModelApiError::NotFound { .. })
    ));
}
