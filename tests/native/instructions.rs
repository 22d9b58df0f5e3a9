//! Instruction search from its beginning to its end: an LLM proposes, the lines go into a task file, and owners choose
//! over OpenAI's form of API.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tests::process::{Ended, Process, create_task, model_api_of, run, run_with, serve};
use tests::toy_language_model::{self, KEY};
use tests::toy_llm::{self, NAME, says};

/// A task without a list of instructions, which is what is looked for.
const TASK: &str = r#"
name = "Films"
description = "What a review thinks of a film."

[model]
dialect = "openai"
url = "http://127.0.0.1:1/v1"
name = "scorer"
input = { kind = "text" }
openai = { api = "completions" }
calls = { batch = 8 }

[data]
labels = ["1", "2"]
holdout = 0.25

[text]
input = "{text} It was"
words = ["great", "terrible"]

[optimizer]
kind = "bandit"
arms = 5
reward = "loss"

[federation]
rounds = 3
local_steps = 1
batch = 32
open = { count_min = 2, time_min_ms = 0 }
upload = { count_min = 2, time_min_ms = 0 }

[generator]
"#;

/// Numbers, quotation marks, words around the list, a repetition, and one that is no instruction for this place.
const FIRST: &str = "Sure! Here are five instructions:\n\n1. \"Great or terrible?\"\n2. How was the film?\n\
                     3. How was the film?\n4. The film was {}.\n5. **Say it:**\n\nLet me know if you need more!";
const SECOND: &str = "```json\n[\"say it:\", \"Judge.\", \"A review:\", \"One too many\"]\n```";
const FOUND: [&str; 5] = [
    "Great or terrible?",
    "How was the film?",
    "Say it:",
    "Judge.",
    "A review:",
];

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        std::fs::write(home.path("task.toml"), TASK).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Asks an LLM with its key.
    fn propose(&self, url: &str, count: &str, more: &[&str]) -> Ended {
        let task = self.text("task.toml");
        let all = [
            "candidates",
            "--propose",
            count,
            "--task",
            &task,
            "--llm-url",
            url,
            "--llm-model",
            NAME,
        ];
        run_with(&[&all[..], more].concat(), &[("FED_BBPT_LLM_KEY", KEY)])
    }
}

fn reviews(path: &Path, owner: usize) {
    let line = |i: usize| {
        let (label, word) = [(1, "great"), (2, "bad"), (1, "good"), (2, "terrible")][i % 4];
        format!("{label},\"{word} film {}\"\n", owner * 7 + i)
    };
    std::fs::write(path, (0..12).map(line).collect::<String>()).unwrap();
}

/// `model-api` with the small masked language model; gives the process and its address.
fn scorer(home: &Home) -> (Process, String) {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/model-api/tests/text/masked");
    let labels = home.text("labels.txt");
    std::fs::write(&labels, "great\nterrible\n").unwrap();
    let folder = folder.to_str().unwrap();
    model_api_of(&[
        "--name",
        "scorer",
        "--model-folder",
        folder,
        "--labels",
        &labels,
    ])
}

/// Lets two owners choose; returns what they say they found, and the ranking.
fn federation(home: &Home, aggregator: &str, task: &str, model: &str) -> (String, Value) {
    let (id, link) = create_task(aggregator, task, model, &[]);
    // One after the other, so that both times the same owner has the same number.
    let owners = [0, 1].map(|owner| {
        let data = home.text(&format!("{owner}.csv"));
        reviews(Path::new(&data), owner);
        let state = home.text(&format!("{id}-{owner}.json"));
        let mut process = Process::start(&["join", &link, "--data", &data, "--state", &state]);
        process.line("its number", |line| {
            line.starts_with("participant ").then_some(())
        });
        process
    });
    let prompts = owners.map(|owner| {
        let (code, said) = owner.end();
        assert_eq!(code, Some(0), "{said:#?}");
        let prompt = said.iter().find_map(|line| line.strip_prefix("prompt: "));
        prompt.expect("a prompt is said").to_owned()
    });
    assert_eq!(prompts[0], prompts[1]);
    let out = home.text(&format!("{id}.safetensors"));
    let exported = run(&["export", "--server", aggregator, &id, "--output", &out]);
    assert_eq!(exported.code, Some(0), "{exported:?}");
    let card = std::fs::read(home.path(&format!("{id}.json"))).unwrap();
    let card: Value = serde_json::from_slice(&card).unwrap();
    let [prompt, _] = prompts;
    (prompt, card["instructions"].clone())
}

#[test]
fn an_llm_proposes_and_owners_choose_over_openais_api() {
    let home = Home::new();
    let busy = (
        429,
        json!({ "error": { "message": "slow down", "code": "rate_limit_exceeded" } }),
    );
    let (llm, heard) = toy_llm::start([says(FIRST), busy, says(SECOND)]);
    let ended = home.propose(&llm, "5", &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told = "2 requests, 200 tokens sent, 20 answered: 5 proposals, 2 repeated, 1 refused";
    assert!(ended.err.contains(told), "{}", ended.err);
    assert!(
        ended.err.contains("refused: \"The film was {}.\" holds {}"),
        "{}",
        ended.err
    );
    assert!(!ended.err.contains(KEY) && !ended.out.contains(KEY));
    let asked: Vec<Value> = heard
        .bodies()
        .iter()
        .map(|b| serde_json::from_slice(b).unwrap())
        .collect();
    let question = |at: usize| asked[at]["messages"][1]["content"].as_str().unwrap();
    for part in [
        "Films",
        "What a review thinks",
        "great, terrible",
        "[instruction] {text} It was",
    ] {
        assert!(question(0).contains(part), "{}", question(0));
    }
    assert!(
        !question(0).contains("repeat") && question(1).contains("\"Say it:\"]"),
        "{asked:#?}"
    );

    // The lines are what the task file lacked.
    std::fs::write(home.path("whole.toml"), TASK.to_owned() + &ended.out).unwrap();
    let task = home.text("whole.toml");
    let checked = run(&["federation", "check", &task]);
    assert_eq!(checked.code, Some(0), "{checked:?}");

    let (_scorer, model) = scorer(&home);
    let (_aggregator, server) = serve(&home.path("a.sqlite"), "127.0.0.1:0");
    let (prompt, ranking) = federation(&home, &server, &task, &format!("{model}/v1"));
    let list = ranking.as_array().unwrap();
    let mut names: Vec<&str> = list
        .iter()
        .map(|r| r["instruction"].as_str().unwrap())
        .collect();
    assert_eq!(prompt, format!("{} {{text}} It was", names[0]));
    assert!(
        list.iter().all(|r| r["tries"].as_f64() >= Some(1.0)),
        "{ranking}"
    );
    assert!(
        list[0]["mean"].as_f64() > list[1]["mean"].as_f64(),
        "{ranking}"
    );

    // The same model, asked for the labels' scores at a mask, is of the same opinion.
    let tensors = TASK
        .replace("\"openai\"", "\"open-inference\"")
        .replace("openai = { api = \"completions\" }\n", "")
        .replace("It was", "It was <mask>");
    std::fs::write(home.path("tensors.toml"), tensors + &ended.out).unwrap();
    let (masked, same) = federation(&home, &server, &home.text("tensors.toml"), &model);
    assert_eq!(masked, format!("{prompt} <mask>"));
    for (one, other) in list.iter().zip(same.as_array().unwrap()) {
        assert_eq!(one["instruction"], other["instruction"], "{ranking} {same}");
        let (one, other) = (
            one["mean"].as_f64().unwrap(),
            other["mean"].as_f64().unwrap(),
        );
        assert!((one - other).abs() < 1e-3, "{one} {other}");
    }
    names.sort_unstable();
    let mut found = FOUND;
    found.sort_unstable();
    assert_eq!(names, found);
}

#[test]
fn a_chat_model_that_likes_one_instruction_is_asked_with_it() {
    let home = Home::new();
    let list = r#"["Which topic?", "A good topic:", "Name it."]"#;
    let ended = home.propose(&toy_llm::start([says(list)]).0, "3", &[]);
    let chat = TASK
        .replace("completions", "chat")
        .replace("arms = 5", "arms = 3")
        .replace("\"great\", \"terrible\"", "\"world\", \"sport\"");
    std::fs::write(home.path("whole.toml"), chat + &ended.out).unwrap();
    let line = |i: usize| {
        format!(
            "{},\"some {}, no {i}\"\n",
            i % 2 + 1,
            ["world", "sport"][i % 2]
        )
    };
    std::fs::write(home.path("all.csv"), (0..60).map(line).collect::<String>()).unwrap();
    let url = format!("model.url={}/v1", toy_language_model::start().0);
    let (task, data) = (home.text("whole.toml"), home.text("all.csv"));
    let report = run_with(
        &[
            "simulate",
            "--task",
            &task,
            "--data",
            &data,
            "--set",
            &url,
            "--shots",
            "6",
            "--clients",
            "3",
            "--only",
            "federated",
            "--set",
            "model.name=toy",
            "--json",
        ],
        &[("FED_BBPT_MODEL_API_KEY", KEY)],
    );
    let report = report.json();
    assert_eq!(
        report["outcomes"][0]["prompt"], "A good topic: {text} It was",
        "{report}"
    );
}

#[test]
fn given_instructions_are_varied_and_public_examples_shown() {
    let home = Home::new();
    std::fs::write(home.path("like.txt"), "Judge.\nHow was it?\n").unwrap();
    reviews(&home.path("public.csv"), 0);
    let (llm, heard) = toy_llm::start([says("- Judge it.\n- judge.\n- How did it go?")]);
    let (like, public) = (home.text("like.txt"), home.text("public.csv"));
    let ended = home.propose(&llm, "2", &["--like", &like, "--examples", &public]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let list = ended
        .out
        .split_once("instructions = ")
        .unwrap()
        .1
        .replace(",\n]", "]");
    assert_eq!(
        serde_json::from_str::<Vec<String>>(&list).unwrap(),
        ["Judge.", "How was it?", "Judge it.", "How did it go?"]
    );
    let asked: Value = serde_json::from_slice(&heard.bodies()[0]).unwrap();
    let question = asked["messages"][1]["content"].as_str().unwrap();
    for part in [
        "[\"Judge.\",\"How was it?\"]",
        "variations",
        "Text: bad film 1\nLabel: terrible",
    ] {
        assert!(question.contains(part), "{question}");
    }
    assert_eq!(question.matches("Text: ").count(), 10);
}

#[test]
fn what_goes_wrong_is_said() {
    let home = Home::new();
    let propose = |answers: Vec<(u16, Value)>| home.propose(&toy_llm::start(answers).0, "5", &[]);
    let message =
        |message: Value| toy_llm::choice(&json!({ "message": message, "finish_reason": "stop" }));
    propose(vec![message(
        json!({ "content": null, "refusal": "I will not." }),
    )])
    .expect(1, &["refuses: \"I will not.\""]);
    propose(vec![message(
        json!({ "content": "", "reasoning_content": "Hm." }),
    )])
    .expect(1, &["--llm-max-tokens"]);
    propose(vec![says("I am only a language model.")])
        .expect(1, &["no list", "only a language model"]);
    propose(vec![message(json!({ "content": "" }))]).expect(1, &["answers nothing"]);
    propose(vec![(200, json!({ "detail": "hello" }))]).expect(1, &["--llm-url", "choices"]);
    propose(vec![(
        400,
        json!({ "error": { "message": "temperature is not taken" } }),
    )])
    .expect(1, &["temperature is not taken"]);
    // What was found is kept, because it was paid for.
    let few = propose(vec![says("1. How was it?\n2. Judge.\n3. Well {}?")]);
    few.expect(
        3,
        &[
            "only 2 of 5 proposals",
            "repeats itself",
            "refused: \"Well {}?\"",
        ],
    );
    assert!(
        few.out.contains("\"Judge.\"") && few.out.ends_with("]\n"),
        "{few:?}"
    );
    // A reasoning model's other name for the limit.
    let other = (
        400,
        json!({ "error": { "message": "Use 'max_completion_tokens' instead of 'max_tokens'." } }),
    );
    let (llm, heard) = toy_llm::start([other, says(FIRST)]);
    home.propose(&llm, "2", &[]).expect(0, &["2 proposals"]);
    let asked: Value = serde_json::from_slice(&heard.bodies()[1]).unwrap();
    assert!(asked["max_completion_tokens"].as_u64() > Some(8000) && asked["max_tokens"].is_null());

    let (llm, heard) = toy_llm::start([says(FIRST)]);
    home.propose(&llm, "2", &["--llm-model", "other"])
        .expect(2, &["--llm-model"]);
    let task = home.text("task.toml");
    let ask_with = |url: &str, name: &str, more: &[&str], environment: &[(&str, &str)]| {
        let all = [
            "candidates",
            "--propose",
            "2",
            "--task",
            &task,
            "--llm-url",
            url,
            "--llm-model",
            name,
        ];
        run_with(&[&all[..], more].concat(), environment)
    };
    let ask = |url: &str, name: &str, more: &[&str]| ask_with(url, name, more, &[]);
    // This machine is asked without a key, and says no.
    ask(&llm, NAME, &[]).expect(1, &["refuses the key", "FED_BBPT_LLM_KEY"]);
    let wrong = ask_with(&llm, "other", &[], &[("FED_BBPT_LLM_KEY", KEY)]);
    wrong.expect(1, &["no model `other`", &format!("`{NAME}`")]);
    assert_eq!(heard.bodies().len(), 1);
    ask("https://llm.example.org/v1", NAME, &[]).expect(2, &["FED_BBPT_LLM_KEY is not set"]);
    ask("http://llm.example.org/v1", NAME, &["--no-key"]).expect(2, &["without TLS"]);
    ask(&llm, NAME, &["--place", "template"]).expect(2, &["generator.place"]);
    ask(&llm, NAME, &["--count", "3"]).expect(2, &["--count"]);
    ask(&llm, NAME, &["--examples", "nowhere.csv"]).expect(2, &["nowhere.csv"]);
    std::fs::write(home.path("none.txt"), "\n").unwrap();
    let none = home.text("none.txt");
    ask(&llm, NAME, &["--like", &none]).expect(2, &["none.txt holds no instruction"]);
    run(&["candidates", "--propose", "2"]).expect(2, &["--task", "--llm-url"]);
    run(&["candidates", "--propose", "1001"]).expect(2, &["1001"]);
}
