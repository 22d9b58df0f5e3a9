//! A model API that misbehaves: `fed-bbpt join` repeats a request where that is safe, and otherwise
//! ends with code 1, naming the cause. Nothing is lost: the same command continues.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use tests::alone::Alone;
use tests::bad_model::{Answer, BadModel};
use tests::process::{Ended, create, show};

/// A federation of one: a round is a dozen queries.
fn federation(model: &str, more: &[&str]) -> Alone {
    let set = [
        "federation.rounds=1",
        "federation.local_steps=1",
        "federation.batch=2",
        "optimizer.directions=1",
        "federation.open.count_min=1",
        "federation.upload.count_min=1",
    ];
    let home = tempfile::tempdir().unwrap();
    Alone::new(home, |server| create(server, model, &[&set, more].concat()))
}

fn join(federation: &Alone, model: &str) -> Ended {
    let data = ["--builtin", "1", "--count", "12", "--model-url", model];
    federation.join(STATE, &data, None)
}

const STATE: &str = "state.json";

fn spent(state: &Path) -> u64 {
    let saved: Value = serde_json::from_slice(&std::fs::read(state).unwrap()).unwrap();
    saved["client"]["spent"].as_u64().unwrap()
}

#[test]
fn what_passes_is_waited_for() {
    let busy = Answer::Status(429, "retry-after: 1\r\n", "");
    let first = vec![
        busy,
        Answer::Status(500, "", "{\"error\":\"out of luck\"}"),
        Answer::Good,
        Answer::Cut,
    ];
    let model = BadModel::start(first, Answer::Good);
    let federation = federation(&model.url, &[]);
    let ended = join(&federation, &model.url);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let times = model.times();
    assert!(
        times[1] - times[0] >= Duration::from_secs(1),
        "Retry-After was not respected: {times:?}"
    );
    let detail = show(&federation.server, &federation.id);
    assert_eq!(detail["summary"]["status"], "finished");
    // Three calls were asked again. They cost the model, but they are not counted as answers.
    let metrics = &detail["rounds"][0]["metrics"];
    assert!(
        metrics["queries"].as_u64().unwrap() < spent(&federation.path(STATE)),
        "the last measurement is not reported: {metrics}"
    );
    assert!(model.asked() >= 4 + 3, "{}", model.asked());
}

#[test]
fn what_was_answered_is_not_asked_again_where_the_rest_was_too_large() {
    let model = BadModel::start(Vec::new(), Answer::AtMost(3));
    // A step's six images go out as four and two; the two are answered.
    let federation = federation(&model.url, &["model.calls.batch=4"]);
    let ended = join(&federation, &model.url);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(model.answered() as u64, spent(&federation.path(STATE)));
}

#[test]
fn a_largest_batch_that_only_the_configuration_states_is_kept_to() {
    let model = BadModel::start(Vec::new(), Answer::Stated(4));
    let federation = federation(&model.url, &[]);
    let ended = join(&federation, &model.url);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(model.answered() as u64, spent(&federation.path(STATE)));
}

#[test]
fn what_does_not_pass_is_named_and_the_same_command_goes_on() {
    let good = BadModel::start(Vec::new(), Answer::Good);
    let federation = federation(&good.url, &[]);
    let html = Answer::Status(
        200,
        "content-type: text/html\r\n",
        "<html><title>Log in</title></html>",
    );
    let cases: [(Answer, &[&str]); 6] = [
        (html, &["the protocol that the task names", "address"]),
        (Answer::WrongShape, &["10", "9"]),
        (Answer::NotANumber, &["NaN or infinity"]),
        (Answer::Status(401, "", ""), &["key"]),
        (
            Answer::Status(404, "", "{\"error\":\"unknown\"}"),
            &["does not know the model `printed-digits`"],
        ),
        (
            Answer::Status(400, "", "{\"error\":\"too blue\"}"),
            &["too blue"],
        ),
    ];
    for (answer, texts) in cases {
        let bad = BadModel::start(Vec::new(), answer.clone());
        let ended = join(&federation, &bad.url);
        ended.expect(1, texts);
        // At most one round of pipelined calls, and none of them again.
        assert!(
            (1..=4).contains(&bad.asked()),
            "{answer:?}: {} calls",
            bad.asked()
        );
        assert_eq!(spent(&federation.path(STATE)), 0, "{answer:?} was paid for");
    }
    // A participant who was stopped by a model continues once it works, without joining again.
    let ended = join(&federation, &good.url);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let detail = show(&federation.server, &federation.id);
    assert_eq!(
        (
            &detail["summary"]["status"],
            &detail["summary"]["participants"]
        ),
        (&"finished".into(), &1.into())
    );
}

#[test]
fn a_model_that_is_not_there_is_named_with_its_address() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let federation = federation(&nowhere, &[]);
    join(&federation, &nowhere).expect(1, &["does not answer", &nowhere, "refused"]);
}

#[test]
fn whoever_cannot_begin_is_not_waited_for() {
    let federation = federation("http://127.0.0.1:1", &[]);
    let missing = federation.path("missing.csv");
    let missing = missing.to_str().unwrap();
    let ended = federation.join("state.json", &["--data", missing], None);
    ended.expect(2, &[missing]);
    let detail = show(&federation.server, &federation.id);
    assert_eq!(detail["summary"]["participants"], 1, "{detail}");
    assert_eq!(detail["summary"]["live"], 0);
}
