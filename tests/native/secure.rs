//! A federation with secure sums in real processes: a participant who is killed in the middle of a
//! sum continues with the same messages, and an audit of the record finds no fault.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tests::process::{Process, create, model_api, run, serve, show};
use tests::{done_rounds, eventually};

const PARTICIPANTS: usize = 5;

/// Rounds of a few queries. A phase waits for all participants, so that a killed one has time to
/// return.
const SMALL: [&str; 9] = [
    "federation.local_steps=1",
    "federation.batch=2",
    "optimizer.directions=3",
    "federation.open.time_max_ms=60000",
    "federation.secure_sum.cohort_min=5",
    "federation.secure_sum.survivors_min=5",
    "federation.open.count_min=5",
    "federation.privacy.epsilon=80",
    "federation.rounds=6",
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

fn saved(state: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(state).ok()?).ok()
}

/// Whether the participant has made its message of one of these kinds, and the round may still need
/// it.
fn is_summing(state: &Path) -> bool {
    let Some(client) = saved(state).map(|s| s["client"].clone()) else {
        return false;
    };
    let (sum, view) = (&client["sum"], &client["view"]);
    let made = |kind: &str| sum["message"][kind].is_object();
    sum["round"] == view["round"] && (made("Shares") || made("Masked"))
}

/// The present round as an outsider sees it: its number if a sum is under way.
fn sum_under_way(server: &str, federation: &str) -> Option<u64> {
    let current = &show(server, federation)["current"];
    let phases = ["shares", "masked", "confirm", "unmask"];
    let under_way = phases.contains(&current["phase"].as_str()?);
    under_way.then(|| current["round"].as_u64()).flatten()
}

#[test]
fn a_participant_killed_in_the_middle_of_a_sum_goes_on_and_the_record_is_audited() {
    let home = tempfile::tempdir().unwrap();
    let (_model, model) = model_api();
    let (_aggregator, server) = serve(&home.path().join("a.sqlite"), "127.0.0.1:0");
    let (id, link) = create(&server, &model, &SMALL);
    let states: Vec<PathBuf> = (0..PARTICIPANTS)
        .map(|i| home.path().join(format!("{i}.json")))
        .collect();
    let start = |i: usize| join(&link, &states[i], i + 1);
    let mut processes: Vec<Process> = (0..PARTICIPANTS).map(start).collect();

    // Until it was caught in the middle: a sum takes no longer than a few requests.
    let round = loop {
        eventually("a sum has begun", || is_summing(&states[0]).then_some(()));
        processes.remove(0).kill();
        // Without the fifth, nobody can continue.
        let caught = sum_under_way(&server, &id);
        let before = saved(&states[0]).unwrap();
        processes.insert(0, start(0));
        if let Some(round) = caught {
            assert_eq!(before["client"]["sum"]["round"], round);
            break round;
        }
        assert_ne!(
            show(&server, &id)["summary"]["status"],
            "finished",
            "never caught in a sum"
        );
    };

    for process in processes {
        let (code, said) = process.end();
        assert_eq!(code, Some(0), "{said:#?}");
        let finished = said.iter().any(|l| l.starts_with("all rounds are done"));
        assert!(finished, "{said:#?}");
    }
    let detail = show(&server, &id);
    assert_eq!(detail["summary"]["status"], "finished");
    assert_eq!(detail["summary"]["participants"], json!(PARTICIPANTS));
    let done = done_rounds(&detail);
    assert_eq!(done.len(), 6);
    // The killed one's vector is in the sum of its round, too.
    for record in &done {
        assert_eq!(record["delivered"], json!(PARTICIPANTS), "{record}");
    }
    assert!(done.iter().any(|r| r["round"] == round));
    audit(home.path(), &server, &id, &detail);
}

/// Audits the record over the network and as a file: it is consistent and ends where the aggregator
/// says.
fn audit(home: &Path, server: &str, id: &str, detail: &Value) {
    let there = ["audit", "--server", server, "--federation", id];
    let summary = run(&[&there[..], &["--json"]].concat()).json();
    for (key, value) in [
        ("holds", json!(true)),
        ("federation", json!(id)),
        ("task_hash", detail["summary"]["task_hash"].clone()),
        ("contributors", json!(PARTICIPANTS)),
        ("updates", json!(6)),
        ("theta", detail["current"]["theta"].clone()),
        ("head", detail["current"]["record"].clone()),
        ("lines", detail["current"]["lines"].clone()),
        ("epsilon", done_rounds(detail)[5]["epsilon"].clone()),
    ] {
        assert_eq!(summary[key], value, "{key} of {summary}");
    }
    assert_eq!(run(&there).code, Some(0));
    run(&["audit", "--server", server, "--federation", "none"]).expect(2, &[]);

    // The exported card names the same record.
    let file = home.join("out.safetensors");
    let ended = run(&[
        "export",
        "--server",
        server,
        id,
        "--output",
        file.to_str().unwrap(),
    ]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let card = std::fs::read(file.with_extension("json")).unwrap();
    let card: Value = serde_json::from_slice(&card).unwrap();
    assert_eq!(card["record"]["head"], summary["head"]);
    assert_eq!(card["theta_hash"], summary["theta"]);
}

#[test]
fn an_identity_is_kept_and_one_that_is_none_is_told() {
    let home = tempfile::tempdir().unwrap();
    let (_model, model) = model_api();
    let (_aggregator, server) = serve(&home.path().join("a.sqlite"), "127.0.0.1:0");
    let (id, link) = create(&server, &model, &SMALL);
    let (state, key) = (home.path().join("s.json"), home.path().join("key"));
    let arguments = |state: &Path, key: &Path| {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let mut arguments: Vec<String> = ["join", &link, "--builtin", "1", "--count", "24"]
            .map(str::to_owned)
            .to_vec();
        arguments.extend(["--state".to_owned(), text(state)]);
        arguments.extend(["--identity".to_owned(), text(key)]);
        arguments
    };
    let fails = |state: &Path, key: &Path, words: &[&str]| {
        let arguments = arguments(state, key);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run(&arguments).expect(2, words);
    };
    let number = |state: &Path| -> Value {
        let arguments = arguments(state, &key);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut process = Process::start(&arguments);
        process.line("it has joined", |l| {
            l.starts_with("participant ").then_some(())
        });
        let joined = || saved(state).map(|s| s["client"]["participant"].clone());
        let number = eventually("the state is kept", joined);
        process.kill();
        number
    };

    std::fs::write(&key, "not a key").unwrap();
    fails(
        &state,
        &key,
        &["key", "64 hexadecimal digits", "--identity"],
    );
    assert_eq!(show(&server, &id)["summary"]["participants"], 0);
    std::fs::remove_file(&key).unwrap();
    let first = number(&state);
    let text = std::fs::read_to_string(&key).unwrap();
    assert_eq!(text.trim().len(), 64);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // With a state of another version, too: it begins anew, and says so.
    let mut old = saved(&state).unwrap();
    old["client"]["work"] = json!({
        "hash": "00", "step": 1, "kind": "training", "theta": [0.5], "measured": null,
        "delta": [0.25], "offered": true,
    });
    std::fs::write(&state, old.to_string()).unwrap();
    let again = arguments(&state, &key);
    let again: Vec<&str> = again.iter().map(String::as_str).collect();
    let mut process = Process::start(&again);
    process.line("it begins anew", |l| {
        l.contains("another version of this program").then_some(())
    });
    process.line("it goes on", |l| {
        l.starts_with("participant ").then_some(())
    });
    process.kill();
    assert_eq!(number(&state), first);
    // With the key but without the state, it is the same participant.
    assert_eq!(number(&home.path().join("other.json")), first);
    assert_eq!(show(&server, &id)["summary"]["participants"], 1);
    // The state belongs to another key.
    fails(
        &state,
        &home.path().join("new-key"),
        &["new-key", "--state"],
    );
    // By default it stands beside the state.
    let beside = home.path().join("b.json");
    let mut process = join(&link, &beside, 2);
    process.line("it has joined", |l| {
        l.starts_with("participant ").then_some(())
    });
    process.kill();
    assert!(home.path().join("b.identity").is_file());
}
