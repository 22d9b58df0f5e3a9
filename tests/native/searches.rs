//! Federations whose points follow from a memory that all share, those of CMA-ES and HiSo, as
//! processes: owners, a model API, the aggregator, and an auditor who recomputes the memory from
//! the record.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

use serde_json::json;
use std::path::Path;
use tests::done_rounds;
use tests::process::{Process, create, create_task, model_api, model_api_of, run, serve, show};

/// Soft prompts for the small masked language model.
const SOFT: &str = r#"
name = "Films"

[model]
url = "http://127.0.0.1:1"
name = "masked"
input = { kind = "text" }

[data]
labels = ["1", "2"]
holdout = 0.25

[text]
input = "{text} It was <mask>."
words = ["great", "terrible"]

[generator]
kind = "soft"
tokens = 2
hidden = 24
deviation = 1.0
dimensions = 10

[optimizer]
kind = "cma-es"
population = 6

[federation]
rule = "scalars"
rounds = 4
local_steps = 1
batch = 8
open = { count_min = 2, time_min_ms = 0 }
upload = { count_min = 2, time_min_ms = 0 }
"#;

const ROUNDS: usize = 4;

/// Waits for the owners, and checks what they left: rounds that all took part in, a record that holds, and a θ that
/// every one of its updates moved.
fn check(server: &str, id: &str, owners: [Process; 2]) {
    for owner in owners {
        let (code, said) = owner.end();
        assert_eq!(code, Some(0), "{said:#?}");
    }
    let detail = show(server, id);
    assert_eq!(detail["summary"]["status"], "finished", "{detail}");
    let done = done_rounds(&detail);
    assert_eq!(done.len(), ROUNDS);
    assert!(done.iter().all(|round| round["delivered"] == 2), "{detail}");
    let mut thetas: Vec<&str> = done
        .iter()
        .map(|round| round["theta"].as_str().unwrap())
        .collect();
    thetas.dedup();
    assert_eq!(thetas.len(), ROUNDS, "{detail}");
    let audited = run(&["audit", "--server", server, "--federation", id, "--json"]).json();
    assert_eq!(
        (&audited["holds"], &audited["updates"], &audited["aborted"]),
        (&json!(true), &json!(ROUNDS), &json!(0)),
        "{audited}"
    );
}

#[test]
fn owners_train_a_soft_prompt_with_cma_es() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/model-api/tests/text/masked");
    let (_model, model) = model_api_of(&["--model-folder", folder.to_str().unwrap()]);
    std::fs::write(path("task.toml"), SOFT).unwrap();
    let (_aggregator, server) = serve(&home.path().join("a.sqlite"), "127.0.0.1:0");
    let (id, link) = create_task(&server, &path("task.toml"), &model, &[]);
    let owners = ["one", "two"].map(|owner| {
        let line = |i: usize| {
            let (label, word) = [(1, "great"), (2, "bad"), (1, "good"), (2, "terrible")][i % 4];
            format!("{label},\"a {word} film {i} of {owner}\"\n")
        };
        let (data, state) = (
            path(&format!("{owner}.csv")),
            path(&format!("{owner}.json")),
        );
        std::fs::write(&data, (0..12).map(line).collect::<String>()).unwrap();
        Process::start(&["join", &link, "--data", &data, "--state", &state])
    });
    check(&server, &id, owners);
}

#[test]
fn owners_train_in_hisos_scale() {
    let home = tempfile::tempdir().unwrap();
    let (_model, model) = model_api();
    let (_aggregator, server) = serve(&home.path().join("a.sqlite"), "127.0.0.1:0");
    let rounds = format!("federation.rounds={ROUNDS}");
    let set = [
        &*rounds,
        "optimizer={\"kind\":\"hiso\",\"directions\":3}",
        "federation.rule=scalars",
        "federation.server={}",
        "federation.local_steps=2",
        "federation.batch=2",
        "federation.open={\"count_min\":2,\"time_min_ms\":0}",
        "federation.upload={\"count_min\":2,\"time_min_ms\":0}",
    ];
    let (id, link) = create(&server, &model, &set);
    let owners = ["1", "2"].map(|seed| {
        let state = home.path().join(seed).to_str().unwrap().to_owned();
        Process::start(&[
            "join",
            &link,
            "--builtin",
            seed,
            "--count",
            "24",
            "--state",
            &state,
        ])
    });
    check(&server, &id, owners);
}
