//! Tasks whose model runs on the device.

use federation::task::Task;
use model_client::ModelFile;
use model_client::on_device::{OnDevice, Takes};
use serde_json::{Value, json};

fn task(change: impl FnOnce(&mut Value)) -> Result<Task, Vec<String>> {
    let mut source = json!({
        "name": "Digits",
        "model": { "dialect": "on-device", "url": "http://127.0.0.1:8700/models",
            "name": "printed-digits.onnx", "input": { "height": 32, "width": 32 },
            "output": { "classes": 3 }, "on_device": { "sha256": "0".repeat(64) } },
        "data": { "labels": ["a", "b", "c"] },
    });
    change(&mut source);
    Task::from_value(source).map_err(|faults| faults.0.into_iter().map(|f| f.path).collect())
}

fn texts(files: Value) -> Result<Task, Vec<String>> {
    task(|source| {
        source["model"] = json!({ "dialect": "on-device", "url": "https://example.org",
            "name": "minilm", "input": { "kind": "text" }, "on_device": { "files": files } });
        source["text"] = json!({ "template": "It is {}." });
        source["generator"] = json!({ "candidates": ["", "news", "all"], "positions": 2 });
    })
}

#[test]
fn one_file_holds_a_classifier() {
    let own = task(|_| {}).unwrap().on_device.unwrap();
    let file = ModelFile {
        path: "printed-digits.onnx".into(),
        address: "printed-digits.onnx".into(),
        sha256: "0".repeat(64),
    };
    assert_eq!(own.files, [file]);
    let Takes::Images { range, output, .. } = &own.takes else {
        panic!("{own:?}")
    };
    assert_eq!((range.as_str(), output.as_str()), ("0:1", "logits"));
    let json = serde_json::to_string(&own).unwrap();
    assert_eq!(serde_json::from_str::<OnDevice>(&json).unwrap(), own);
}

#[test]
fn a_folder_holds_a_text_model_and_its_network_comes_first() {
    let hash = "a".repeat(64);
    let own =
        texts(json!({ "config.json": hash, "onnx/model.onnx": hash, "tokenizer.json": hash }));
    let own = own.unwrap().on_device.unwrap();
    assert_eq!(own.files[0].address, "minilm/onnx/model.onnx");
    assert_eq!(own.files.len(), 3);
}

#[test]
fn every_fault_is_named() {
    let faults = task(|source| {
        source["model"]["name"] = "digits".into();
        source["model"]["on_device"] = json!({ "sha256": "XYZ", "range": "1", "what": 1 });
    });
    let names = ["sha256", "range", "what"].map(|key| format!("model.on_device.{key}"));
    assert_eq!(
        faults.unwrap_err(),
        [&["model.name".to_owned()], &names[..]].concat()
    );
    let missing = task(|source| source["model"]["on_device"] = json!({}));
    assert_eq!(missing.unwrap_err(), ["model.on_device.sha256"]);
    let faults = texts(json!({ "../x": "a".repeat(64), "config.json": "b" })).unwrap_err();
    let paths = ["files.../x", "files.config.json", "files", "files"];
    assert_eq!(faults, paths.map(|path| format!("model.on_device.{path}")));
}

#[test]
fn other_dialects_do_without() {
    let faults = task(|source| source["model"]["dialect"] = "open-inference".into());
    assert_eq!(faults.unwrap_err(), ["model.on_device"]);
}
