//! `fed-bbpt recipes`, from digits to a simulation: a set is made, a list beside it is read, a task file is used.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

use serde_json::{Value, json};
use std::path::Path;
use tests::process::run;

/// The embedded model's file.
const MODEL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../server/model-api/models/printed-digits/printed-digits.onnx"
);

/// IDX files of forty pictures, four of each digit.
fn mnist(folder: &Path) {
    let mut images = vec![0, 0, 8, 3, 0, 0, 0, 40, 0, 0, 0, 28, 0, 0, 0, 28];
    let mut labels = vec![0, 0, 8, 1, 0, 0, 0, 40];
    for i in 0..40usize {
        images.extend((0..28 * 28).map(|pixel| ((pixel * (i + 3)) % 251) as u8));
        labels.push((i / 2 % 10) as u8);
    }
    std::fs::create_dir(folder).unwrap();
    std::fs::write(folder.join("t10k-images-idx3-ubyte"), images).unwrap();
    std::fs::write(folder.join("t10k-labels-idx1-ubyte"), labels).unwrap();
}

/// Checks that the command succeeds and prints all of these texts.
fn says(arguments: &[&str], texts: &[&str]) {
    let ended = run(arguments);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        texts.iter().all(|text| ended.out.contains(text)),
        "{ended:?}"
    );
}

#[test]
fn from_digits_to_a_simulation() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    mnist(&home.path().join("mnist"));
    let (made, from) = (path("made"), path("mnist"));
    let make = ["recipes", "biased-mnist", "--make", &made, "--from", &from];
    says(&make, &["20 pictures in train, 20 in test"]);
    run(&make).expect(2, &["not empty"]);
    // The list leaves half of the training pictures out.
    let entry = |part: &str, i: usize| {
        let label = i % 10;
        json!([
            format!("{part}/{label}/{:05}.png", i + 1),
            label,
            label.to_string()
        ])
    };
    let list = json!({
        "train": (0..10).map(|i| entry("train", i)).collect::<Vec<_>>(),
        "val": [],
        "test": (0..20).map(|i| entry("test", i)).collect::<Vec<_>>(),
    });
    std::fs::write(
        home.path().join("made/split_zhou_Made.json"),
        list.to_string(),
    )
    .unwrap();
    let task = path("task.toml");
    let printed = run(&["recipes", "mnist", "--task", "--data", &made]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    std::fs::write(&task, &printed.out).unwrap();
    let simulate = |more: &[&str]| {
        let small = [
            "simulate",
            "--task",
            &task,
            "--data",
            &made,
            "--clients",
            "2",
            "--rounds",
            "1",
            "--partition",
            "iid",
            "--only",
            "federated",
            "--model-file",
            MODEL,
            "--json",
            "--set",
            "optimizer.directions=2",
            "--set",
            "federation.local_steps=1",
        ];
        run(&[&small[..], more].concat())
    };
    let report = simulate(&["--test-split", "test"]).json();
    let sum = |counts: &Value| {
        counts
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_u64)
            .sum::<u64>()
    };
    assert_eq!(
        (sum(&report["examples"]), &report["test_examples"]),
        (10, &json!(20))
    );
    simulate(&["--split", "test", "--test-split", "test"]).expect(2, &["cannot be measured with"]);
    simulate(&["--split", "val"]).expect(2, &["no part val"]);
}

#[test]
fn what_is_printed() {
    let all = run(&["recipes", "--json"]).json();
    assert!(all.as_array().is_some_and(|all| all.len() >= 40));
    says(&["recipes"], &["imagenet", "citation_intent", "BlackVIP"]);
    run(&["recipes", "clevr"]).expect(2, &["is it clevr_count?"]);
    says(
        &["recipes", "svhn"],
        &["Not published", "--split train --test-split test"],
    );
    let task = run(&["recipes", "rte", "--task", "--json"]).json();
    assert_eq!(task["text"]["words"], json!(["yes", "no"]));
    run(&["recipes", "rte", "--task", "--data", "."]).expect(2, &["labels of rte are fixed"]);
    run(&["recipes", "dtd", "--make", "x", "--from", "y"]).expect(2, &["is not made here"]);
}
