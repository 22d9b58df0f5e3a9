//! Federations of texts: `simulate`, `join`, `export` and `candidates`, over a toy scorer's real HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use tests::process::{Process, create_task, run, serve};
use tests::toy_scorer;

const TASK: &str = r#"
name = "Toy topics"

[model]
url = "http://127.0.0.1:1"
name = "toy"
input = { kind = "text" }

[data]
labels = ["1", "2", "3"]
holdout = 0.25

[text]
template = "This is about {}."
words = ["world", "sport", "money"]

[generator]
positions = 2
candidates = ["", "bad", "good", "old", "new", "red"]

[optimizer]
draws = 8

[federation]
local_steps = 2
batch = 8
"#;

/// Texts of three topics in the layout of AG News.
fn corpus(path: &Path, count: usize, start: usize) {
    let mut text = String::new();
    for i in start..start + count {
        let word = ["world", "sport", "money"][i % 3];
        writeln!(
            text,
            "\"{}\",\"Title {i}\",\"some {word}, no {i}\"",
            i % 3 + 1
        )
        .unwrap();
    }
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_prompt_is_found_and_the_same_seed_finds_it_again() {
    let home = tempfile::tempdir().unwrap();
    let (task, data) = (home.path().join("task.toml"), home.path().join("test.csv"));
    std::fs::write(&task, TASK).unwrap();
    corpus(&data, 120, 0);
    let url = format!("model.url={}", toy_scorer::start());
    let simulate = |more: &[&str]| {
        let all = [
            "simulate",
            "--task",
            task.to_str().unwrap(),
            "--data",
            data.to_str().unwrap(),
        ];
        let small = [
            "--clients",
            "3",
            "--rounds",
            "8",
            "--partition",
            "iid",
            "--set",
            &url,
        ];
        run(&[&all[..], &small, more].concat())
    };
    let few = ["--shots", "8", "--test-count", "45", "--only", "federated"];
    let ended = simulate(&[&few[..], &["--json"]].concat());
    let report = ended.json();
    assert_eq!(report["examples"], serde_json::json!([8, 8, 8]));
    assert_eq!(
        (&report["test_examples"], &report["parameters"]),
        (&45.into(), &12.into())
    );
    let zero_shot = report["zero_shot"].as_f64().unwrap();
    let outcome = &report["outcomes"][0];
    assert!(zero_shot < 0.8, "{report}");
    assert_eq!(outcome["test_accuracy"], 1.0, "{report}");
    let prompt = outcome["prompt"].as_str().unwrap();
    assert!(
        prompt.contains("good") && prompt.ends_with("This is about {}."),
        "{prompt}"
    );
    assert_eq!(simulate(&[&few[..], &["--json"]].concat()).json(), report);
    let said = simulate(&few).out;
    assert!(
        said.contains(&format!("prompt found, federated: {prompt}")),
        "{said}"
    );

    // The scorer is sharper under a template with the word "good": the training examples say so.
    let two = [
        "--template",
        "This is about {}.",
        "--template",
        "A good {}.",
    ];
    let chosen = simulate(&[&few[..], &two, &["--rounds", "1", "--json"]].concat()).json();
    let templates = chosen["templates"].as_array().unwrap();
    assert_eq!(
        (&templates[0]["taken"], &templates[1]["taken"]),
        (&false.into(), &true.into())
    );
    assert_eq!(templates[0]["test_accuracy"], zero_shot);
    assert_eq!(templates[1]["test_accuracy"], chosen["zero_shot"]);
    assert!(templates[1]["train_loss"].as_f64() < templates[0]["train_loss"].as_f64());
    let prompt = chosen["outcomes"][0]["prompt"].as_str().unwrap();
    assert!(prompt.ends_with("A good {}."), "{prompt}");
    simulate(&["--shots", "8", "--template", "no place"]).expect(2, &["text.template"]);

    simulate(&["--shots", "41"]).expect(2, &["--shots 41", "40 examples"]);
    let no_file = ["--shots", "8", "--model-file", "x.onnx"];
    simulate(&no_file).expect(1, &["--model-file is for images"]);
    let masked = "text={\"input\":\"{text} <mask>\"}";
    simulate(&["--shots", "8", "--set", masked]).expect(1, &["sentence encoder"]);
    let numbers = "optimizer={\"kind\":\"zo-adam\"}";
    simulate(&["--set", numbers]).expect(2, &["optimizer.kind"]);
    std::fs::write(&data, "1,some world\n2,no,sport\n").unwrap();
    simulate(&[]).expect(2, &["test.csv, row 2"]);
}

fn join(link: &str, state: &Path, data: &Path) -> Process {
    let (state, data) = (state.to_str().unwrap(), data.to_str().unwrap());
    Process::start(&["join", link, "--data", data, "--state", state])
}

#[test]
fn owners_of_texts_take_part_and_the_words_are_exported() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    std::fs::write(path("task.toml"), TASK).unwrap();
    let model = toy_scorer::start();
    let (_aggregator, server) = serve(&path("a.sqlite"), "127.0.0.1:0");
    let set = [
        "federation.rounds=3",
        "federation.open.count_min=2",
        "federation.upload.count_min=2",
        "federation.open.time_min_ms=0",
        "federation.upload.time_min_ms=0",
    ];
    let task = path("task.toml");
    let (id, link) = create_task(&server, task.to_str().unwrap(), &model, &set);
    // A built-in owner draws digits.
    run(&[
        "join",
        &link,
        "--builtin",
        "1",
        "--state",
        path("3.json").to_str().unwrap(),
    ])
    .expect(2, &["works with texts"]);
    corpus(&path("one.csv"), 24, 0);
    corpus(&path("two.csv"), 24, 100);
    let owners = [
        join(&link, &path("1.json"), &path("one.csv")),
        join(&link, &path("2.json"), &path("two.csv")),
    ];
    for owner in owners {
        let (code, said) = owner.end();
        assert_eq!(code, Some(0), "{said:#?}");
        let found = |start: &str| said.iter().any(|line| line.starts_with(start));
        assert!(found("prompt: "), "{said:#?}");
        assert!(
            said.iter().any(|line| line.contains("texts go to")),
            "{said:#?}"
        );
    }
    let out = path("out.safetensors");
    let export = [
        "export",
        "--server",
        &server,
        &id,
        "--output",
        out.to_str().unwrap(),
    ];
    let said = run(&export).out;
    assert!(
        said.starts_with("prompt: ") && said.contains("12 parameters"),
        "{said}"
    );
    let card: Value = serde_json::from_slice(&std::fs::read(path("out.json")).unwrap()).unwrap();
    let prompt = &card["prompt"];
    let words = prompt["before_label"].as_str().unwrap();
    let template = prompt["template"].as_str().unwrap();
    assert_eq!(
        template,
        format!("{words} This is about {{}}.").trim_start()
    );
    assert_eq!(prompt["words"][1], "sport");
}

#[test]
fn candidates_come_from_public_text() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("public.csv");
    let line = "1,\"World cup: news of the world cup.\"\n2,\"New York, all New York\"\n";
    std::fs::write(&data, line.repeat(6)).unwrap();
    let data = data.to_str().unwrap();
    let said = run(&["candidates", "--data", data, "--count", "4"]).out;
    let words = said.strip_prefix("candidates = ").unwrap();
    let words: Vec<String> = serde_json::from_str(words).unwrap();
    assert_eq!(words.len(), 5, "{said}");
    assert!(
        words[0].is_empty() && words.iter().any(|word| word == "york"),
        "{said}"
    );
    run(&["candidates", "--data", data, "--min-count", "99"]).expect(2, &["--min-count"]);
    run(&["candidates", "--data", "nowhere.csv"]).expect(2, &["nowhere.csv"]);
}
