//! Federations over model APIs of other forms: keys, money, answers that are kept, and the same answers over every dialect.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use tests::alone::Alone;
use tests::process::{Ended, create_task, model_api_of, run, run_with, show};
use tests::toy_language_model::{self, KEY};

const TASK: &str = r#"
name = "Toy topics"

[model]
dialect = "openai"
url = "http://127.0.0.1:1/v1"
name = "toy"
input = { kind = "text" }

[model.price]
currency = "EUR"
per_million_input_tokens = 1000.0

[data]
labels = ["1", "2", "3"]
holdout = 0.25

[text]
input = "{text} Topic:"
words = ["world", "sport", "money"]

[generator]
positions = 2
candidates = ["", "bad", "good"]

[optimizer]
draws = 4

[federation]
rounds = 3
local_steps = 2
batch = 8
open = { count_min = 1, time_min_ms = 0 }
upload = { count_min = 1, time_min_ms = 0 }
"#;

fn corpus(path: &Path, count: usize) {
    let line = |i: usize| {
        let word = ["world", "sport", "money"][i % 3];
        format!("\"{}\",\"Title {i}\",\"some {word}, no {i}\"\n", i % 3 + 1)
    };
    std::fs::write(path, (0..count).map(line).collect::<String>()).unwrap();
}

/// A federation of one over the toy language model.
fn federation(model: &str, set: &[&str]) -> Alone {
    let home = tempfile::tempdir().unwrap();
    let task = home.path().join("task.toml");
    std::fs::write(&task, TASK).unwrap();
    corpus(&home.path().join("test.csv"), 32);
    let task = task.to_str().unwrap();
    Alone::new(home, |server| create_task(server, task, model, set))
}

fn join(federation: &Alone, key: &str) -> Ended {
    let data = federation.path("test.csv");
    federation.join("state.json", &["--data", data.to_str().unwrap()], Some(key))
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    found
}

fn holds(bytes: &[u8], needle: &str) -> bool {
    bytes.windows(needle.len()).any(|w| w == needle.as_bytes())
}

#[test]
fn a_key_reaches_the_model_and_nobody_else_and_nothing_is_asked_twice() {
    let (url, heard) = toy_language_model::start();
    let federation = federation(&format!("{url}/v1"), &[]);
    join(&federation, "sk-wrong").expect(1, &["refuses the key"]);
    assert!(heard.bodies().is_empty());
    let ended = join(&federation, KEY);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let detail = show(&federation.server, &federation.id);
    assert_eq!(detail["summary"]["status"], "finished");
    assert!(
        ended.out.contains("EUR in"),
        "what it cost is said: {ended:?}"
    );

    // Prompts of a search come again and again; the provider is not paid for that.
    let bodies = heard.bodies();
    let different: BTreeSet<&Vec<u8>> = bodies.iter().collect();
    assert_eq!(different.len(), bodies.len());
    let spent: Value =
        serde_json::from_slice(&std::fs::read(federation.path("state.json")).unwrap()).unwrap();
    assert_eq!(spent["tally"]["calls"], bodies.len());
    assert!(
        spent["client"]["spent"].as_u64().unwrap() > bodies.len() as u64,
        "{spent}"
    );

    // The key was not written down by the aggregator (its database, its log) or by the participant.
    let Alone { home, process, .. } = federation;
    let said = process.killed();
    for (name, bytes) in files(home.path()) {
        assert!(!holds(&bytes, KEY), "{name} holds the key");
    }
    for line in said.iter().chain([&ended.out, &ended.err]) {
        assert!(!line.contains(KEY), "{line}");
    }
}

#[test]
fn no_more_is_spent_than_the_budget() {
    let (url, heard) = toy_language_model::start();
    let set = [
        "model.price.per_call=0.01",
        "model.price.per_million_input_tokens=0",
        "model.price.budget=0.2",
    ];
    let federation = federation(&format!("{url}/v1"), &set);
    join(&federation, KEY).expect(3, &["budget of 0.2 EUR", "spent", "left"]);
    let asked = heard.bodies().len();
    assert!(
        (15..=20).contains(&asked),
        "{asked} calls for the price of 20"
    );
    // Nobody waits until its lease runs out.
    let live = || show(&federation.server, &federation.id)["summary"]["live"].clone();
    assert_eq!(live(), 0);
    // What was spent is remembered.
    join(&federation, KEY).expect(3, &["budget of 0.2 EUR"]);
    assert_eq!(live(), 0);
    assert_eq!(heard.bodies().len(), asked);
}

#[test]
fn in_a_simulation_each_participant_has_its_own_money() {
    let (url, heard) = toy_language_model::start();
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let (task, data) = (path("task.toml"), path("test.csv"));
    std::fs::write(&task, TASK).unwrap();
    corpus(Path::new(&data), 60);
    let simulate = |budget: f64| {
        let set = [
            format!("model.url={url}/v1"),
            "model.price.per_call=0.01".to_owned(),
            "model.price.per_million_input_tokens=0".to_owned(),
            format!("model.price.budget={budget}"),
        ];
        let mut arguments = vec!["simulate", "--task", &task, "--data", &data];
        arguments.extend(["--train", "40", "--clients", "2", "--partition", "iid"]);
        arguments.extend(["--rounds", "1", "--only", "federated", "--json"]);
        set.iter().for_each(|s| arguments.extend(["--set", s]));
        let before = heard.bodies().len();
        let report = run_with(&arguments, &[("FED_BBPT_MODEL_API_KEY", KEY)]).json();
        let amount = |value: &Value| value.as_f64().unwrap();
        let [all, measuring] = ["all", "measuring"].map(|name| amount(&report["cost"][name]));
        assert_eq!(
            (all * 100.0).round(),
            (heard.bodies().len() - before) as f64
        );
        let each = amount(&report["outcomes"][0]["cost_per_participant"]);
        (
            each,
            all - measuring,
            report["outcomes"][0]["updates"].clone(),
        )
    };
    let (each, both, updates) = simulate(0.0);
    assert_eq!(updates, 1);
    assert!(each < both && both <= 2.0 * each + 1e-9, "{each} {both}");
    // Less than the cheaper one needs, and more than that for both.
    let budget = ((both - each) * 75.0).floor() / 100.0;
    let (each, both, updates) = simulate(budget);
    assert_eq!(updates, 0);
    assert!(
        each <= budget + 1e-9 && both > budget,
        "{each} {both} of {budget}"
    );
}

#[test]
fn every_dialect_hears_the_same_from_the_same_model() {
    // Another name than the embedded model's, which a simulation would run itself.
    let (_process, url) = model_api_of(&["--name", "digits"]);
    let home = tempfile::tempdir().unwrap();
    let digits = home.path().join("digits.csv");
    // Eight rows of 64 values; what they show does not matter.
    let row = |label: usize| {
        let values = (0..64).map(|at| ((at * 7 + label * 13) % 17).to_string());
        values
            .chain([label.to_string()])
            .collect::<Vec<_>>()
            .join(",")
            + "\n"
    };
    std::fs::write(&digits, (0..60).map(|i| row(i % 10)).collect::<String>()).unwrap();
    let simulate = |set: &[&str]| {
        let mut all = vec![
            "simulate",
            "--task",
            "digits-light-on-dark",
            "--data",
            digits.to_str().unwrap(),
            "--train",
            "40",
        ];
        all.extend([
            "--clients",
            "2",
            "--partition",
            "iid",
            "--rounds",
            "1",
            "--only",
            "federated",
            "--json",
        ]);
        all.extend([
            "--set",
            "model.name=digits",
            "--set",
            "federation.batch=2",
            "--set",
            "federation.local_steps=1",
        ]);
        set.iter().for_each(|s| all.extend(["--set", s]));
        run(&all).json()
    };
    let address = format!("model.url={url}");
    let outcome = |report: &Value| {
        (
            report["zero_shot"].clone(),
            report["outcomes"][0]["test_accuracy"].clone(),
        )
    };
    let tensors = simulate(&[&address]);
    let json = simulate(&[&address, "model.input.json=true"]);
    assert_eq!(outcome(&tensors), outcome(&json));
    let faces = simulate(&[&address, "model.dialect=huggingface"]);
    assert_eq!(faces["zero_shot"], tensors["zero_shot"]);
    let chat = format!("model.url={url}/v1");
    let chat = simulate(&[
        &chat,
        "model.dialect=openai",
        "model.openai.instruction=Which digit?",
        "model.input.encoding=webp",
    ]);
    assert_eq!(chat["zero_shot"], tensors["zero_shot"]);
}
