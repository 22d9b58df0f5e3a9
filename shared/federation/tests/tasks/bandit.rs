//! Tasks that choose among instructions by trying them.

use federation::task::Task;
use ground::fault::Faults;
use serde_json::{Value, json};
use tuning::optimizer::State;

#[test]
fn all_of_them_choose_the_same_arms_whoever_they_are() {
    let task = |optimizer: Value| {
        Task::from_value(json!({
            "name": "Topics",
            "model": { "url": "http://127.0.0.1:8701", "name": "encoder", "input": { "kind": "text" } },
            "data": { "labels": ["1", "2"] },
            "text": { "template": "About {}." },
            "generator": { "kind": "instruction", "instructions": ["{}", "a {}", "b {}", "c {}", "d {}"] },
            "optimizer": optimizer,
        }))
        .unwrap()
    };
    for rule in ["halving", "ucb", "thompson"] {
        let task = task(json!({ "rule": rule, "arms": 2 }));
        let theta = vec![0.5, 0.6, 0.4, 0.5, 0.7, 1.0, 1.0, 1.0, 1.0, 1.0];
        for round in 0..4 {
            let state = State::new(theta.clone(), round);
            let of = |participant| task.optimizer(participant).unwrap().ask(&state);
            assert_eq!(of(0), of(7), "{rule}");
        }
    }
    let thompson = task(json!({ "rule": "thompson", "arms": 2 }));
    let optimizer = thompson.optimizer(0).unwrap();
    let of = |round| optimizer.ask(&State::new(vec![0.0; 10], round));
    assert!((1..9).any(|round| of(round) != of(0)));
}

#[test]
fn what_would_spoil_the_counts_is_refused() {
    let task = |federation: Value, optimizer: Value| {
        Task::from_value(json!({
            "name": "Topics",
            "model": { "url": "http://127.0.0.1:8701", "name": "encoder", "input": { "kind": "text" } },
            "data": { "labels": ["1", "2"] },
            "text": { "template": "About {}." },
            "generator": { "kind": "instruction", "instructions": ["{}", "a {}", "b {}", "c {}"] },
            "federation": federation,
            "optimizer": optimizer,
        }))
    };
    assert!(task(json!({ "clip": 2.9 }), json!({})).is_ok());
    for (federation, optimizer, path) in [
        (json!({ "clip": 2.8 }), json!({}), "federation.clip"),
        (
            json!({ "ask_ahead": true }),
            json!({}),
            "federation.ask_ahead",
        ),
        (
            json!({ "server": { "kind": "adam" } }),
            json!({}),
            "federation.server.kind",
        ),
        (
            json!({ "server": { "learning_rate": 0.5 } }),
            json!({}),
            "federation.server.kind",
        ),
        (
            json!({ "server": { "decay": "linear" } }),
            json!({}),
            "federation.server.kind",
        ),
        (json!({ "rule": "scalars" }), json!({}), "federation.rule"),
        (
            json!({ "secure_sum": {}, "privacy": {} }),
            json!({}),
            "federation.privacy",
        ),
        (json!({}), json!({ "kind": "zo-adam" }), "optimizer.kind"),
        (
            json!({}),
            json!({ "kind": "policy-gradient" }),
            "optimizer.kind",
        ),
        (json!({}), json!({ "arms": 5 }), "optimizer.arms"),
        (
            json!({ "rounds": 3 }),
            json!({ "arms": 1 }),
            "optimizer.arms",
        ),
        (
            json!({}),
            json!({ "rule": "halving", "exploration": 1 }),
            "optimizer.exploration",
        ),
        (
            json!({}),
            json!({ "loss_bound": 1 }),
            "optimizer.loss_bound",
        ),
    ] {
        let Faults(faults) = task(federation, optimizer).unwrap_err();
        assert!(faults.iter().any(|f| f.path == path), "{path}: {faults:?}");
    }
}
