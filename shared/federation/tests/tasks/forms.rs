//! Tasks whose images are sent in other forms than the default.

use serde_json::{Value, json};

use federation::task::Task;
use model_client::{Response, dialect};

fn task(input: Value) -> Task {
    let mut model = json!({
        "url": "http://127.0.0.1:8080", "name": "digits",
        "input": { "name": "predict", "height": 8, "width": 8 },
        "output": { "name": "predict_proba", "kind": "probabilities", "classes": 3 },
    });
    for (key, value) in input.as_object().unwrap() {
        model["input"][key] = value.clone();
    }
    Task::from_value(
        json!({ "name": "Digits", "model": model, "data": { "labels": ["0", "1", "2"] } }),
    )
    .unwrap()
}

/// Two images: the first grey 51, the second pure red.
fn images() -> Vec<u8> {
    [vec![51; 192], vec![255; 64], vec![0; 128]].concat()
}

fn body(task: &Task, count: usize) -> Vec<u8> {
    let images = images();
    dialect(&task.model)
        .unwrap()
        .infer_request(&images[..192 * count], count)
        .unwrap()
        .body
}

#[test]
fn a_model_of_tables_gets_rows_of_numbers() {
    let task = task(
        json!({ "datatype": "FP32", "colour": "grey", "flat": true, "json": true, "high": 16 }),
    );
    let body: Value = serde_json::from_slice(&body(&task, 2)).unwrap();
    let input = &body["inputs"][0];
    assert_eq!(
        (&input["name"], &input["shape"]),
        (&json!("predict"), &json!([2, 64]))
    );
    let data = input["data"].as_array().unwrap();
    assert_eq!(data.len(), 128);
    // 51 of 255, of 16; and the luma of red.
    assert!((data[0].as_f64().unwrap() - 3.2).abs() < 1e-5);
    assert!((data[127].as_f64().unwrap() - 16.0 * 76.0 / 255.0).abs() < 1e-5);
    assert_eq!(body["outputs"], json!([{ "name": "predict_proba" }]));
}

#[test]
fn bytes_go_in_the_same_forms() {
    let grey = body(&task(json!({ "colour": "grey", "layout": "nhwc" })), 2);
    let text = String::from_utf8_lossy(&grey);
    assert!(text.contains("[2,8,8,1]"), "{text}");
    assert!(grey.ends_with(&[76; 64]));
    let one = body(&task(json!({ "unbatched": true })), 1);
    assert!(String::from_utf8_lossy(&one).contains("\"shape\":[3,8,8]"));
    let task = task(json!({ "unbatched": true }));
    assert!(
        dialect(&task.model)
            .unwrap()
            .infer_request(&images(), 2)
            .is_err()
    );
}

#[test]
fn a_version_is_a_part_of_the_path() {
    let mut source = task(json!({})).source().clone();
    source["model"]["version"] = json!("2");
    let task = Task::from_value(source).unwrap();
    let path = dialect(&task.model).unwrap().describe_request().path;
    assert_eq!(path, "/v2/models/digits/versions/2");
}

#[test]
fn an_answer_without_a_batch_dimension_is_one_row() {
    let task = task(json!({ "unbatched": true }));
    let body = json!({ "outputs": [{ "name": "predict_proba", "datatype": "FP32", "shape": [3], "data": [0.5, 0.25, 0.25] }] });
    let body = body.to_string();
    let response = Response {
        status: 200,
        headers: &[],
        body: body.as_bytes(),
    };
    let scores = dialect(&task.model).unwrap().parse(&response, 1).unwrap();
    assert_eq!(scores.row(0), [0.5, 0.25, 0.25]);
}

#[test]
fn descriptions_are_compared_in_the_same_forms() {
    let check = |input: Value, body: Value| {
        let task = task(input);
        let body = body.to_string();
        let response = Response {
            status: 200,
            headers: &[],
            body: body.as_bytes(),
        };
        dialect(&task.model).unwrap().check_description(&response)
    };
    let metadata = |shape: Value, answer: Value| {
        json!({
            "name": "digits",
            "inputs": [{ "name": "predict", "datatype": "UINT8", "shape": shape }],
            "outputs": [{ "name": "predict_proba", "datatype": "FP32", "shape": answer }],
        })
    };
    assert!(
        check(
            json!({ "flat": true, "colour": "grey" }),
            metadata(json!([-1, 64]), json!([-1, 3]))
        )
        .is_ok()
    );
    assert!(
        check(
            json!({ "flat": true }),
            metadata(json!([-1, 64]), json!([-1, 3]))
        )
        .is_err()
    );
    let one = check(
        json!({ "unbatched": true }),
        metadata(json!([3, 8, 8]), json!([3])),
    )
    .unwrap();
    assert_eq!(one.max_batch, Some(1));
    // KServe's ModelMesh writes numbers as texts.
    assert!(
        check(
            json!({}),
            metadata(json!(["-1", "3", "8", "8"]), json!(["-1", "3"]))
        )
        .is_ok()
    );
    // MLServer states nothing of a model whose settings declare nothing.
    assert!(
        check(
            json!({}),
            json!({ "name": "digits", "inputs": [], "outputs": [] })
        )
        .is_ok()
    );
}
