//! `fed-bbpt simulate`: the same seed gives the same report, byte for byte.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

use serde_json::Value;
use std::path::Path;
use tests::digits_table as table;
use tests::process::{Ended, run};

/// The embedded model's file.
const MODEL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../server/model-api/models/printed-digits/printed-digits.onnx"
);

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

/// Differences of θ itself, two a step.
const IN_THETA: [&str; 2] = [
    "--set",
    r#"optimizer={"kind":"zo-sgd","directions":2,"differences":"forward","learning_rate":0.02}"#,
];

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

/// A federation of three whose updates are summed under masks, with noise.
const SECURE: [&str; 4] = [
    "--set",
    "federation.secure_sum.cohort_min=3",
    "--set",
    "federation.privacy.epsilon=50",
];

fn federated(data: &Path, more: &[&str]) -> Value {
    simulate(data, &[&["--only", "federated"], more].concat()).json()
}

#[test]
fn masks_change_nothing_but_what_is_sent() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("digits.csv");
    table(&data);
    for more in [&SECURE[..2], &SECURE] {
        let without = federated(&data, more);
        let with = federated(&data, &[more, &["--masks"]].concat());
        let outcome = |report: &Value| report["outcomes"][0].clone();
        assert_eq!(with["federation"]["secure"]["masks"], true);
        assert_eq!(without["federation"]["secure"]["masks"], false);
        // The hash of θ: equal bit for bit.
        assert_eq!(outcome(&with)["theta"], outcome(&without)["theta"]);
        assert_eq!(outcome(&with)["updates"], 2);
        let up = |report: &Value| outcome(report)["bytes_up_per_participant"].as_u64();
        assert!(up(&with) > up(&without));
    }
}

#[test]
fn epsilon_is_told_round_by_round_and_bounds_their_number() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("digits.csv");
    table(&data);
    let report = simulate(&data, &SECURE).json();
    let privacy = &report["federation"]["privacy"];
    let by_round: Vec<f64> = serde_json::from_value(privacy["epsilon_by_round"].clone()).unwrap();
    assert_eq!(by_round.len(), 2);
    assert!(0.0 < by_round[0] && by_round[0] < by_round[1] && by_round[1] <= 50.0);
    assert_eq!(privacy["epsilon"], by_round[1]);
    assert!(privacy["noise_multiplier"].as_f64() > Some(0.0) && privacy["delta"] == 1e-5);
    // A participant who trains alone has no noise.
    let plain = simulate(&data, &[]).json();
    for baseline in [1, 2] {
        assert_eq!(
            report["outcomes"][baseline], plain["outcomes"][baseline],
            "noise changed a baseline"
        );
    }
    assert_ne!(
        report["outcomes"][0]["theta"],
        plain["outcomes"][0]["theta"]
    );

    // The noise is for one round's ε, so there is no second round.
    let once = "federation.privacy.epsilon=3";
    let noise = "federation.privacy.noise_multiplier=2";
    let set = ["--set", SECURE[1], "--set", once, "--set", noise];
    let report = federated(&data, &set);
    assert_eq!(report["outcomes"][0]["updates"], 1, "{report}");
    assert!(report["federation"]["privacy"]["epsilon"].as_f64() <= Some(3.0));
}

#[test]
fn directions_that_all_share_make_short_updates() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("digits.csv");
    table(&data);
    let scalars = [&IN_THETA[..], &["--set", "federation.rule=scalars"]].concat();
    let report = federated(&data, &scalars);
    // 2 directions, 2 steps.
    assert_eq!(report["federation"]["update_length"], 4);
    let up = |report: &Value| report["outcomes"][0]["bytes_up_per_participant"].as_u64();
    let dense = federated(&data, &[]);
    assert!(up(&report).unwrap() * 3 < up(&dense).unwrap(), "{report}");
    let secure = federated(&data, &[&scalars[..], &SECURE[..2]].concat());
    assert_eq!(secure["federation"]["secure"]["groups"], 1);
}

#[test]
fn bad_updates_are_told_and_a_median_withstands_them() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("digits.csv");
    table(&data);
    let bad = ["--bad", "0.34", "--attack", "scale:-1000"];
    let loss = |more: &[&str]| {
        let report = federated(&data, more);
        report["outcomes"][0]["test_loss"].as_f64().unwrap()
    };
    let report = federated(&data, &bad);
    let attack = &report["federation"]["attack"];
    assert_eq!(attack["attack"], "scale:-1000");
    assert_eq!(attack["participants"].as_array().unwrap().len(), 1);
    // Without the server's Adam, which would take their length away.
    let sums = ["--set", "federation.server={\"kind\":\"sgd\"}"];
    let plain = [&IN_THETA[..], &sums].concat();
    let median = [&plain[..], &["--set", "federation.combine=median"]].concat();
    let (good, spoilt, withstood) = (
        loss(&plain),
        loss(&[&plain[..], &bad].concat()),
        loss(&[&median[..], &bad].concat()),
    );
    assert!((spoilt - good).abs() > 0.01 * good, "{spoilt} {good}");
    assert!(withstood < 1.2 * good, "{withstood} {good}");
    // In a secure sum the vector is multiplied.
    let secure = federated(&data, &[&SECURE[..2], &bad].concat());
    let honest = federated(&data, &SECURE[..2]);
    let theta = |report: &Value| report["outcomes"][0]["theta"].clone();
    assert_ne!(theta(&secure), theta(&honest));
    simulate(&data, &[&SECURE[..2], &bad, &["--masks"]].concat()).expect(2, &["--masks"]);
    simulate(&data, &["--bad", "0.5"]).expect(2, &["--attack"]);
    simulate(&data, &["--bad", "1.5", "--attack", "sign-flip"]).expect(2, &["0 to 1"]);
    let many = ["--set", "federation.secure_sum.cohort_min=9"];
    simulate(&data, &many).expect(2, &["9 participants", "there are 3"]);
}
