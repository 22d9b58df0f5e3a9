//! Participants without a browser, a real aggregator, a real model API, and SIGKILL.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

use ground::hash::{sha256_hex, theta_from_bytes, theta_hash};
use serde_json::Value;
use std::path::Path;
use tests::process::{Process, create, model_api, run, serve, show};
use tests::{done_rounds, eventually};

/// Rounds of a few queries whose cohort is complete only with all three.
const SMALL: [&str; 7] = [
    "federation.local_steps=1",
    "federation.batch=2",
    "optimizer.directions=3",
    "federation.open.count_min=3",
    "federation.upload.count_min=3",
    "federation.open.time_max_ms=30000",
    "federation.upload.time_max_ms=30000",
];

fn join(link: &str, state: &Path, seed: usize) -> Process {
    let (state, seed) = (state.to_str().unwrap(), seed.to_string());
    Process::start(&[
        "join",
        link,
        "--builtin",
        &seed,
        "--count",
        "24",
        "--state",
        state,
        "--json",
    ])
}

fn number_of(state: &Path) -> Value {
    let saved: Value = serde_json::from_slice(&std::fs::read(state).unwrap()).unwrap();
    saved["client"]["participant"].clone()
}

/// Every round counted each participant once, and no query twice.
fn check_records(detail: &Value, rounds: usize, states: &[std::path::PathBuf]) {
    assert_eq!(detail["summary"]["status"], "finished", "{detail}");
    let done = done_rounds(detail);
    assert_eq!(done.len(), rounds);
    for (step, record) in done.iter().enumerate() {
        assert_eq!(
            (&record["step"], &record["delivered"], &record["cohort"]),
            (&step.into(), &3.into(), &3.into()),
            "{record}"
        );
        // A quarter of 24 examples is held out by each of the three.
        assert_eq!(
            record["metrics"]["total"], done[0]["metrics"]["total"],
            "{record}"
        );
    }
    assert_eq!(
        detail["summary"]["participants"], 3,
        "somebody joined twice"
    );
    let reported: u64 = done
        .iter()
        .map(|r| r["metrics"]["queries"].as_u64().unwrap())
        .sum();
    let spent: u64 = states
        .iter()
        .map(|s| {
            serde_json::from_slice::<Value>(&std::fs::read(s).unwrap()).unwrap()["client"]["spent"]
                .as_u64()
                .unwrap()
        })
        .sum();
    // All but the last measurement is reported; an upload whose answer was lost may have gone unreported.
    assert!(
        reported <= spent && reported > spent / 2,
        "{reported} of {spent} queries were counted"
    );
}

#[test]
fn a_killed_participant_goes_on_where_it_was_and_the_result_can_be_exported() {
    const ROUNDS: usize = 4;
    let home = tempfile::tempdir().unwrap();
    let (_model, model) = model_api();
    let (_aggregator, server) = serve(&home.path().join("a.sqlite"), "127.0.0.1:0");
    let rounds = format!("federation.rounds={ROUNDS}");
    let (id, link) = create(&server, &model, &[&SMALL[..], &[&rounds]].concat());
    let states: Vec<_> = (0..3)
        .map(|i| home.path().join(format!("{i}.json")))
        .collect();
    let mut processes: Vec<_> = states
        .iter()
        .enumerate()
        .map(|(i, s)| join(&link, s, i + 1))
        .collect();

    // A line is printed for each θ; this stops in the middle.
    let mut victim = processes.remove(0);
    victim.line("an update was delivered", |l| {
        serde_json::from_str::<Value>(l)
            .ok()
            .filter(|v| v["delivered"].as_u64() >= Some(1))
            .map(drop)
    });
    let number = number_of(&states[0]);
    victim.kill();
    assert_ne!(
        show(&server, &id)["summary"]["status"],
        "finished",
        "killed too late to test anything"
    );
    // Without the third nothing goes on, so its return is what finishes the federation.
    let again = join(&link, &states[0], 1);

    for process in processes.into_iter().chain([again]) {
        let (code, said) = process.end();
        assert_eq!(code, Some(0), "{said:#?}");
        assert!(
            said.iter().any(|l| l.starts_with("all rounds are done")),
            "{said:#?}"
        );
        for line in said.iter().filter(|l| l.starts_with('{')) {
            assert!(
                serde_json::from_str::<Value>(line).unwrap()["queries"].is_u64(),
                "{line}"
            );
        }
    }
    assert_eq!(number_of(&states[0]), number, "the same participant");
    let detail = show(&server, &id);
    check_records(&detail, ROUNDS, &states);

    // Once over, a participant who asks again is told so.
    let (code, said) = join(&link, &states[1], 2).end();
    assert_eq!(code, Some(0), "{said:#?}");
    // Data that differ from before are noticed.
    let state = states[1].to_str().unwrap();
    run(&[
        "join",
        &link,
        "--builtin",
        "2",
        "--count",
        "30",
        "--state",
        state,
    ])
    .expect(2, &["24 examples", "30", "--state"]);

    export(&home.path().join("out.safetensors"), &server, &id, &detail);
}

/// The exported files agree with each other, with the aggregator's record, and with their hashes.
fn export(file: &Path, server: &str, id: &str, detail: &Value) {
    let ended = run(&[
        "export",
        "--server",
        server,
        id,
        "--output",
        file.to_str().unwrap(),
    ]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let bytes = std::fs::read(file).unwrap();
    let card: Value =
        serde_json::from_slice(&std::fs::read(file.with_extension("json")).unwrap()).unwrap();
    assert_eq!(card["safetensors_sha256"], sha256_hex(&bytes));
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let theta = tensors.tensor("theta").unwrap();
    let dim = detail["summary"]["dim"].as_u64().unwrap() as usize;
    assert_eq!(
        (theta.dtype(), theta.shape()),
        (safetensors::Dtype::F32, &[dim][..])
    );
    let hash = theta_hash(&theta_from_bytes(theta.data(), dim).unwrap());
    assert_eq!(card["theta_hash"], hash);
    assert_eq!(
        detail["rounds"].as_array().unwrap().last().unwrap()["theta"],
        hash
    );
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = metadata.metadata().clone().unwrap();
    assert_eq!(metadata["theta_hash"], hash);
    assert_eq!(card["task_hash"], metadata["task_hash"].as_str());
    assert_eq!(card["task_hash"], detail["summary"]["task_hash"]);
    let task = federation::task::Task::from_value(card["task"].clone()).unwrap();
    assert_eq!(
        card["task_hash"],
        task.hash(),
        "the card's task is not the one that its hash names"
    );
}

#[test]
fn a_killed_aggregator_goes_on_and_participants_need_no_help() {
    const ROUNDS: usize = 4;
    let home = tempfile::tempdir().unwrap();
    let database = home.path().join("a.sqlite");
    let (_model, model) = model_api();
    let (aggregator, server) = serve(&database, "127.0.0.1:0");
    let rounds = format!("federation.rounds={ROUNDS}");
    let (id, link) = create(&server, &model, &[&SMALL[..], &[&rounds]].concat());
    let states: Vec<_> = (0..3)
        .map(|i| home.path().join(format!("{i}.json")))
        .collect();
    let processes: Vec<_> = states
        .iter()
        .enumerate()
        .map(|(i, s)| join(&link, s, i + 1))
        .collect();
    let before = eventually("a first round", || {
        let detail = show(&server, &id);
        (!done_rounds(&detail).is_empty()).then_some(detail)
    });
    aggregator.kill();
    run(&["federation", "--server", &server, "list"]).expect(1, &["does not answer"]);
    let (_aggregator, again) = serve(&database, server.strip_prefix("http://").unwrap());
    assert_eq!(again, server);
    for process in processes {
        let (code, said) = process.end();
        assert_eq!(code, Some(0), "{said:#?}");
    }
    let detail = show(&server, &id);
    check_records(&detail, ROUNDS, &states);
    // What was recorded earlier is unchanged.
    let (old, new) = (
        before["rounds"].as_array().unwrap(),
        detail["rounds"].as_array().unwrap(),
    );
    assert!(old.len() < new.len(), "killed too late to test anything");
    assert_eq!(old[..], new[..old.len()]);
}

#[test]
fn one_state_file_and_one_key_are_one_participant_with_their_data_who_is_told_for_how_many_they_wait()
 {
    let home = tempfile::tempdir().unwrap();
    let (_model, model) = model_api();
    let (_aggregator, server) = serve(&home.path().join("a.sqlite"), "127.0.0.1:0");
    let (_, link) = create(&server, &model, &SMALL);
    let state = home.path().join("state.json");
    let state = state.to_str().unwrap();
    let of = |seed| {
        [
            "join",
            &link,
            "--builtin",
            seed,
            "--count",
            "24",
            "--state",
            state,
        ]
    };
    let mut first = Process::start(&of("1"));
    first.line("for how many the participant waits", |line| {
        line.contains("waiting for others: 1 of 3").then_some(())
    });
    // In the same folder, as the same participant: they would undo each other.
    run(&of("1")).expect(2, &[state, "in use", "--state"]);
    // Nor with a state of its own but the same key: to the aggregator they would be one participant, too.
    let key = home.path().join("state.identity");
    let (key, other) = (key.to_str().unwrap(), home.path().join("other.json"));
    let mut with_key = of("2").to_vec();
    with_key[7] = other.to_str().unwrap();
    with_key.extend(["--identity", key]);
    run(&with_key).expect(2, &[key, "in use", "--identity"]);
    first.kill();
    // The same number of examples, but other ones: what was computed from the first ones would be
    // sent as theirs.
    run(&of("2")).expect(2, &[state, "other data", "--state"]);
    Process::start(&of("1")).line("for how many the participant waits", |line| {
        line.contains("waiting for others: 1 of 3").then_some(())
    });
    assert_eq!(
        show(
            &server,
            link.split("/f/").nth(1).unwrap().split('/').next().unwrap()
        )["summary"]["participants"],
        1
    );
}

/// Settings of a federation that one participant carries to its end by itself.
const ALONE: [&str; 7] = [
    "federation.rounds=2",
    "federation.local_steps=1",
    "federation.batch=2",
    "optimizer.directions=3",
    "federation.open.count_min=1",
    "federation.open.time_min_ms=0",
    "federation.upload.count_min=1",
];

#[test]
fn a_participant_who_comes_back_is_asked_when_the_model_is_another_one() {
    let home = tempfile::tempdir().unwrap();
    let (_model, model) = model_api();
    let (_aggregator, server) = serve(&home.path().join("a.sqlite"), "127.0.0.1:0");
    // The task's own model, which this participant does not want to use, notes who comes.
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    other.set_nonblocking(true).unwrap();
    let other_url = format!("http://{}", other.local_addr().unwrap());
    let (_, link) = create(&server, &other_url, &ALONE);
    let state = home.path().join("state.json");
    let join = |more: &[&str]| {
        let state = state.to_str().unwrap();
        let all = [
            "join",
            &link,
            "--builtin",
            "1",
            "--count",
            "24",
            "--state",
            state,
        ];
        run(&[&all[..], more].concat())
    };
    let first = join(&["--model-url", &model]);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(
        first.out.contains("which sees each update by itself"),
        "{first:?}"
    );

    let changed = [
        &format!("{model} before, {other_url} now")[..],
        "--accept-changes",
    ];
    join(&["--model-key", "secret"]).expect(4, &changed);
    let nobody = other.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
    // Who names the model's address agrees to it.
    let again = join(&["--model-url", &model]);
    assert_eq!(again.code, Some(0), "{again:?}");

    // So is one whose aggregator announces another task than the one that was joined.
    let mut saved: Value = serde_json::from_slice(&std::fs::read(&state).unwrap()).unwrap();
    saved["task"]["model"]["url"] = "http://agreed.example".into();
    saved["agreed"]["model"] = "http://agreed.example".into();
    std::fs::write(&state, saved.to_string()).unwrap();
    let changed = format!("the model's address: http://agreed.example before, {other_url} now");
    join(&[]).expect(4, &[&changed]);
    assert!(other.accept().is_err());

    // Who accepts goes on, here to a model that is gone.
    drop(other);
    let accepted = join(&["--accept-changes"]);
    assert_eq!(accepted.code, Some(1), "{accepted:?}");
}

#[test]
fn a_participant_keeps_no_seed_of_a_sum_that_is_over() {
    let home = tempfile::tempdir().unwrap();
    let (_model, model) = model_api();
    let (_aggregator, server) = serve(&home.path().join("a.sqlite"), "127.0.0.1:0");
    let set = [
        "federation.secure_sum.cohort_min=3",
        "federation.rounds=1",
        "federation.local_steps=1",
        "federation.batch=2",
        "optimizer.directions=3",
        "federation.open.time_min_ms=0",
    ];
    let (_, link) = create(&server, &model, &set);
    let states = [0, 1, 2].map(|i| home.path().join(format!("{i}.json")));
    let begun: Vec<_> = (1..).zip(&states).map(|(i, s)| join(&link, s, i)).collect();
    for process in begun {
        let (code, said) = process.end();
        assert_eq!(code, Some(0), "{said:#?}");
        let told = "only sums over 3 participants or more";
        assert!(said.iter().any(|line| line.contains(told)), "{said:#?}");
    }
    for state in &states {
        let saved: Value = serde_json::from_slice(&std::fs::read(state).unwrap()).unwrap();
        let client = &saved["client"];
        assert_eq!(client["delivered"], 1, "{client}");
        assert!(client["sum"].is_null() && client["sums"]["open"].is_null());
        #[cfg(unix)]
        for file in [state.clone(), state.with_extension("identity")] {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", file.display());
        }
    }
}
