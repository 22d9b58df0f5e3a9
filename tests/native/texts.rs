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
    let chosen = simulate(&[&few[..], &two, &["--json"]].concat()).json();
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

/// The same task with whole templates to choose from.
fn instructions() -> String {
    let (head, tail) = TASK.split_once("[generator]").unwrap();
    let (_, federation) = tail.split_once("[federation]").unwrap();
    let templates = [
        "This is about {}.",
        "Of {}?",
        "news of {}",
        "all {}",
        "a good text about {}",
    ];
    format!(
        "{head}[generator]\nkind = \"instruction\"\ninstructions = {templates:?}\n[optimizer]\narms = 2\n[federation]{federation}"
    )
}

#[test]
fn three_choose_one_instruction_and_masks_change_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (task, data) = (home.path().join("task.toml"), home.path().join("test.csv"));
    std::fs::write(&task, instructions()).unwrap();
    corpus(&data, 120, 0);
    let url = format!("model.url={}", toy_scorer::start());
    let (task, data) = (task.to_str().unwrap(), data.to_str().unwrap());
    let all = ["simulate", "--task", task, "--data", data, "--shots", "8"];
    // Owners with labels of their own.
    let small = ["--clients", "3", "--rounds", "9", "--partition", "shards:1"];
    let simulate =
        |more: &[&str]| run(&[&all[..], &small, &["--set", &url, "--json"], more].concat());
    let report = simulate(&["--oracle", "--test-count", "45"]).json();
    let oracle = report["oracle"].as_array().unwrap();
    assert_eq!(oracle[0]["test_accuracy"], report["zero_shot"], "{report}");
    assert_eq!(oracle[4]["test_accuracy"], 1.0, "{report}");
    for (setting, outcome) in ["federated", "centralised"].iter().zip([0, 2]) {
        let outcome = &report["outcomes"][outcome];
        assert_eq!(outcome["setting"], **setting);
        assert_eq!(outcome["prompt"], "a good text about {}", "{report}");
        assert_eq!(outcome["test_accuracy"], 1.0);
        let ranking = outcome["ranking"].as_array().unwrap();
        let tries: f64 = ranking.iter().map(|r| r["tries"].as_f64().unwrap()).sum();
        assert!(
            ranking.len() == 5 && (tries - 18.0).abs() < 1e-3,
            "{report}"
        );
        assert!(ranking[0]["mean"].as_f64() > ranking[1]["mean"].as_f64());
    }
    // 9 rounds of 2 steps of 2 arms with 8 examples.
    assert_eq!(
        report["outcomes"][0]["queries_per_participant"],
        9 * 2 * 2 * 8
    );

    let secure = [
        "--only",
        "federated",
        "--set",
        "federation.secure_sum={\"max_examples\":10}",
    ];
    let (without, with) = (
        simulate(&secure).json(),
        simulate(&[&secure[..], &["--masks"]].concat()).json(),
    );
    let (without, with) = (&without["outcomes"][0], &with["outcomes"][0]);
    assert_eq!(without["theta"], with["theta"]);
    assert_eq!(with["prompt"], "a good text about {}");
    // Rounding leaves the counts almost as they are, and the rewards as they would be without.
    let plain = report["outcomes"][0]["ranking"].as_array().unwrap();
    for (plain, masked) in plain.iter().zip(with["ranking"].as_array().unwrap()) {
        assert_eq!(plain["instruction"], masked["instruction"]);
        for key in ["mean", "tries"] {
            let (plain, masked) = (plain[key].as_f64().unwrap(), masked[key].as_f64().unwrap());
            assert!((plain - masked).abs() < 1e-3, "{key} {plain} {masked}");
        }
    }
    let words = "generator={\"candidates\":[\"\",\"good\"]}";
    simulate(&["--set", words, "--set", "optimizer={}", "--oracle"]).expect(2, &["--oracle"]);
}

#[test]
fn owners_choose_an_instruction_and_it_is_exported() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    std::fs::write(path("task.toml"), instructions()).unwrap();
    let model = toy_scorer::start();
    let (_aggregator, server) = serve(&path("a.sqlite"), "127.0.0.1:0");
    let set = [
        "federation.rounds=9",
        "federation.open.count_min=3",
        "federation.upload.count_min=3",
        "federation.open.time_min_ms=0",
        "federation.upload.time_min_ms=0",
    ];
    let task = path("task.toml");
    let (id, link) = create_task(&server, task.to_str().unwrap(), &model, &set);
    let owners = [0, 1, 2].map(|i| {
        let data = path(&format!("{i}.csv"));
        corpus(&data, 24, 100 * i);
        join(&link, &path(&format!("{i}.json")), &data)
    });
    for owner in owners {
        let (code, said) = owner.end();
        assert_eq!(code, Some(0), "{said:#?}");
        assert!(
            said.iter()
                .any(|line| line == "prompt: a good text about {}"),
            "{said:#?}"
        );
    }
    let out = path("out.safetensors");
    let to = ["--output", out.to_str().unwrap()];
    let said = run(&[&["export", "--server", &server, &id][..], &to].concat()).out;
    assert!(said.contains("prompt: a good text about {}"), "{said}");
    let card: Value = serde_json::from_slice(&std::fs::read(path("out.json")).unwrap()).unwrap();
    assert_eq!(card["prompt"]["template"], "a good text about {}");
    let ranking = card["instructions"].as_array().unwrap();
    assert_eq!(ranking.len(), 5, "{card}");
    assert_eq!(ranking[0]["instruction"], "a good text about {}");
    assert!(ranking[0]["tries"].as_f64() >= Some(1.0));
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

#[test]
fn a_file_of_instructions_becomes_lines_of_the_task_file() {
    let home = tempfile::tempdir().unwrap();
    let (file, task) = (home.path().join("list.txt"), home.path().join("task.toml"));
    std::fs::write(&file, "This is {}.\n\n\"{}\", then\nThis is {}.\n").unwrap();
    let from = ["candidates", "--instructions", file.to_str().unwrap()];
    let ended = run(&from);
    assert!(ended.err.contains("line 4 repeats line 1"), "{}", ended.err);
    let (head, tail) = TASK.split_once("[generator]").unwrap();
    let (_, federation) = tail.split_once("[federation]").unwrap();
    let whole = format!("{head}[generator]\n{}[federation]{federation}", ended.out);
    std::fs::write(&task, whole).unwrap();
    let checked = run(&["federation", "check", task.to_str().unwrap()]);
    assert_eq!(checked.code, Some(0), "{} {}", checked.out, checked.err);
    run(&[&from[..], &["--place", "input"]].concat()).expect(2, &["line 1 holds {}"]);
    run(&[&from[..], &["--count", "3"]].concat()).expect(2, &["--count"]);
}
