use serde_json::json;

use bytes::Bytes;
use model_client::Layout;
use serde_json::Value;

use super::image::parse;
use super::*;
use crate::Images;

/// Images of 1×2 pixels, three classes, at most four images.
fn model() -> ModelInfo {
    ModelInfo {
        name: "tiny".into(),
        kind: "classifier",
        input: "image".into(),
        output: "logits".into(),
        layout: Layout::Nchw,
        image: [3, 1, 2],
        classes: 3,
        labels: vec![],
        template: None,
        max_batch: 4,
    }
}

fn json_body(input: Value) -> Bytes {
    Bytes::from(json!({ "inputs": [input] }).to_string())
}

fn refusal(body: impl Into<Bytes>, header_length: Option<&str>) -> String {
    parse(&model(), &body.into(), header_length)
        .unwrap_err()
        .to_string()
}

fn tensor(datatype: &str, shape: Value, data: Value) -> Value {
    json!({ "name": "image", "datatype": datatype, "shape": shape, "data": data })
}

#[test]
fn flat_nested_and_binary_are_the_same() {
    let flat = json_body(tensor(
        "UINT8",
        json!([1, 3, 1, 2]),
        json!([1, 2, 3, 4, 5, 255]),
    ));
    let nested = json_body(tensor(
        "UINT8",
        json!([1, 3, 1, 2]),
        json!([[[[1, 2]], [[3, 4]], [[5, 255]]]]),
    ));
    let header = json!({ "id": "7", "inputs": [{ "name": "image", "datatype": "UINT8",
        "shape": [1, 3, 1, 2], "parameters": { "binary_data_size": 6, "other": { "x": [1] } } }],
        "parameters": { "binary_data_output": true, "priority": 3 } })
    .to_string();
    let binary = Bytes::from([header.as_bytes(), &[1, 2, 3, 4, 5, 255]].concat());
    let length = header.len().to_string();
    for (body, length, binary) in [
        (flat, None, false),
        (nested, None, false),
        (binary, Some(length.as_str()), true),
    ] {
        let request = parse(&model(), &body, length).unwrap();
        let Images::Bytes(bytes) = request.images else {
            panic!("not bytes")
        };
        assert_eq!(*bytes, [1, 2, 3, 4, 5, 255]);
        assert_eq!((request.count, request.binary_output), (1, binary));
        assert_eq!(request.id.is_some(), binary);
    }
}

#[test]
fn an_output_may_overrule_the_request() {
    let request = |outputs: Value| {
        let input = tensor("FP32", json!([1, 3, 1, 2]), json!([0, 0, 0, 0, 0, 1]));
        let body = json!({ "inputs": [input], "outputs": outputs,
            "parameters": { "binary_data_output": true } });
        parse(&model(), &Bytes::from(body.to_string()), None)
    };
    assert!(
        request(json!([{ "name": "logits" }]))
            .unwrap()
            .binary_output
    );
    let text = json!([{ "name": "logits", "parameters": { "binary_data": false } }]);
    assert!(!request(text).unwrap().binary_output);
    let error = request(json!([{ "name": "softmax" }]))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`softmax`") && error.contains("`logits`"),
        "{error}"
    );
    let classes = json!([{ "name": "logits", "parameters": { "classification": 3 } }]);
    assert!(
        request(classes)
            .unwrap_err()
            .to_string()
            .contains("classification")
    );
}

#[test]
fn wrong_inputs_are_named() {
    let six = json!([1, 2, 3, 4, 5, 6]);
    let shape = json!([1, 3, 1, 2]);
    let mut misnamed = tensor("UINT8", shape.clone(), six.clone());
    misnamed["name"] = json!("picture");
    let cases = [
        (misnamed, "no input `picture`"),
        (tensor("INT64", shape.clone(), six.clone()), "is INT64"),
        (
            tensor("UINT8", json!([1, 3, 2, 1]), six.clone()),
            "[batch, 3, 1, 2] (nchw)",
        ),
        (
            tensor("UINT8", json!([3, 1, 2]), six.clone()),
            "[batch, 3, 1, 2]",
        ),
        (tensor("UINT8", json!([]), six.clone()), "[batch, 3, 1, 2]"),
        (
            tensor("UINT8", json!([0, 3, 1, 2]), json!([])),
            "at least one",
        ),
        (
            tensor("UINT8", json!([5, 3, 1, 2]), six.clone()),
            "at most 4",
        ),
        (
            tensor("UINT8", json!([u64::MAX, 3, 1, 2]), six.clone()),
            "at most 4",
        ),
        (tensor("UINT8", json!([2, 3, 1, 2]), six), "needs 12 values"),
        (
            tensor("UINT8", shape.clone(), json!([1, 2, 3, 4, 5, 256])),
            "0 to 255",
        ),
        (
            tensor("UINT8", shape.clone(), json!([1, 2, 3, 4, 5, -1])),
            "0 to 255",
        ),
        (
            tensor("UINT8", shape.clone(), json!([1, 2, 3, 4, 5, 0.5])),
            "0 to 255",
        ),
        (
            tensor("UINT8", shape.clone(), json!([1, 2, 3, 4, 5, null])),
            "0 to 255",
        ),
        (
            tensor("FP32", shape.clone(), json!([0, 0, 0, 0, 0, 255])),
            "is 255",
        ),
        (
            tensor("FP32", shape.clone(), json!([0, 0, 0, null, 0, 0])),
            "value 3 of `image` is NaN",
        ),
        (
            tensor("FP32", shape.clone(), json!([0, 0, 0, 0, 0, 1e300])),
            "is inf",
        ),
        (
            json!({ "name": "image", "datatype": "UINT8", "shape": shape }),
            "either `data` or",
        ),
    ];
    for (input, text) in cases {
        let error = refusal(json_body(input), None);
        assert!(error.contains(text), "`{text}` is not in `{error}`");
    }
    assert!(refusal(r#"{"inputs":[]}"#, None).contains("0 inputs"));
    for noise in ["", "[]", "{", "\u{0}", r#"{"inputs":7}"#] {
        assert!(
            refusal(noise, None).contains("not an inference request"),
            "{noise}"
        );
    }
}

#[test]
fn binary_lengths_must_agree() {
    let body = |size: Value, bytes: &[u8]| {
        let header = json!({ "inputs": [{ "name": "image", "datatype": "FP32",
            "shape": [1, 3, 1, 2], "parameters": { "binary_data_size": size } }] })
        .to_string();
        let length = header.len().to_string();
        (Bytes::from([header.as_bytes(), bytes].concat()), length)
    };
    let nan: Vec<u8> = [0.0, 0.0, f32::NAN, 0.0, 0.0, 0.0]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let cases = [
        (body(json!(24), &[0; 23]), "23 bytes follow"),
        (body(json!(24), &[0; 25]), "25 bytes follow"),
        (body(json!(null), &[0; 24]), "24 bytes follow"),
        (body(json!(u64::MAX), &[0; 24]), "24 bytes follow"),
        (body(json!(20), &[0; 20]), "needs 6 values"),
        (body(json!(24), &nan), "value 2 of `image` is NaN"),
    ];
    for ((body, length), text) in cases {
        let error = refusal(body, Some(&length));
        assert!(error.contains(text), "`{text}` is not in `{error}`");
    }
    let (good, length) = body(json!(24), &[0; 24]);
    assert!(parse(&model(), &good, Some(&length)).is_ok());
    for bad in ["", "-1", "x", "99999", "18446744073709551616"] {
        assert!(
            refusal(good.clone(), Some(bad)).contains("must be a number up to"),
            "{bad}"
        );
    }
}

#[test]
fn answers_are_what_the_dialect_of_the_clients_reads() {
    let scores = [0.5, -1.0, 3.25, 1e-9, 7.0, -0.1];
    let head = AnswerHead {
        model: "tiny",
        output: "logits",
        classes: 3,
        id: Some("a\"b"),
    };
    let (text, none) = answer(head, &scores, false);
    let parsed: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(parsed["id"], "a\"b");
    assert_eq!(parsed["outputs"][0]["shape"], json!([2, 3]));
    assert_eq!(none, None);
    let (binary, length) = answer(AnswerHead { id: None, ..head }, &scores, true);
    let (header, raw) = binary.split_at(length.unwrap());
    let header: Value = serde_json::from_slice(header).unwrap();
    assert_eq!(header["outputs"][0]["parameters"]["binary_data_size"], 24);
    assert_eq!(header.get("id"), None);
    assert_eq!(raw[..4], 0.5_f32.to_le_bytes());
}
