//! `fed-bbpt simulate`: the same seed gives the same report, byte by byte.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

use serde_json::Value;
use shared::data::handwriting;
use std::fmt::Write as _;
use std::path::Path;
use tests::process::{Ended, run};

/// The embedded model's file.
const MODEL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../server/model-api/models/printed-digits/printed-digits.onnx"
);

/// Digits drawn by built-in owners, as a table: the label, then the pixels.
fn table(path: &Path) {
    let mut text = String::from("label");
    (0..handwriting::SIZE * handwriting::SIZE).for_each(|i| write!(text, ",p{i}").unwrap());
    for (grey, digit) in (1..4).flat_map(|owner| handwriting::owner(owner, 30, None)) {
        write!(text, "\n{digit}").unwrap();
        grey.iter().for_each(|p| write!(text, ",{p}").unwrap());
    }
    std::fs::write(path, text + "\n").unwrap();
}

fn simulate(data: &Path, more: &[&str]) -> Ended {
    let data = data.to_str().unwrap();
    let small = [
        "simulate",
        "--task",
        "handwriting",
        "--data",
        data,
        "--train",
        "60",
        "--clients",
        "3",
        "--rounds",
        "2",
        "--eval-every",
        "1",
        "--model-file",
        MODEL,
        "--set",
        "optimizer.directions=2",
        "--set",
        "federation.local_steps=2",
        "--json",
    ];
    run(&[&small[..], more].concat())
}

#[test]
fn the_same_seed_gives_the_same_report() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("digits.csv");
    table(&data);
    let report = |name: &str, seed: &str| {
        let path = home.path().join(name);
        let printed = simulate(&data, &["--seed", seed, "--report", path.to_str().unwrap()]).json();
        let written = std::fs::read(path).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), printed);
        written
    };
    let (one, again, other) = (
        report("1.json", "1"),
        report("2.json", "1"),
        report("3.json", "2"),
    );
    assert!(one == again, "the same seed gave two reports");
    assert!(one != other, "two seeds gave the same report");
}

#[test]
fn what_cannot_be_simulated_says_why() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("digits.csv");
    table(&data);
    simulate(&data, &["--train", "90"]).expect(2, &["cannot be used multiple times"]);
    let (good, bad) = (data.to_str().unwrap(), home.path().join("bad.csv"));
    run(&[
        "simulate",
        "--task",
        "handwriting",
        "--data",
        good,
        "--train",
        "90",
        "--model-file",
        MODEL,
    ])
    .expect(2, &["--train 90", "90 examples"]);
    run(&[
        "simulate", "--task", "nothing", "--data", good, "--train", "60",
    ])
    .expect(2, &["nothing", "built-in task"]);
    run(&["simulate", "--task", "handwriting", "--data", "nowhere.csv"])
        .expect(2, &["nowhere.csv"]);
    std::fs::write(&bad, "label,a,b,c,d\n1,2,3,4,5\n1,2,3\n").unwrap();
    run(&[
        "simulate",
        "--task",
        "handwriting",
        "--data",
        bad.to_str().unwrap(),
        "--train",
        "1",
    ])
    .expect(2, &["bad.csv", "3"]);
}
