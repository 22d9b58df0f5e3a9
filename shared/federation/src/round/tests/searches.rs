//! Whole federations that share a search of CMA-ES.

use super::rehearsal::{self, Rehearsal};
use crate::record::{Commitments, Replay, What};
use crate::task::Task;
use serde_json::{Value, json};

/// The rehearsals' task with CMA-ES and this `[federation]`, or the places of its faults.
fn federated(federation: &Value) -> Result<Task, Vec<String>> {
    let mut source = rehearsal::task(json!({})).source().clone();
    source["optimizer"] = json!({ "kind": "cma-es", "population": 6, "sigma": 0.1 });
    for (key, value) in federation.as_object().unwrap() {
        source["federation"][key] = value.clone();
    }
    Task::from_value(source).map_err(|faults| faults.0.into_iter().map(|f| f.path).collect())
}

/// A federation that ended, and what an auditor computes from its record.
fn ended(federation: &Value) -> (Rehearsal, Replay) {
    let mut cast = Rehearsal::new(federated(federation).unwrap(), 4);
    cast.play_out();
    let mut replay = Replay::new(&cast.task).unwrap();
    for line in cast.aggregator.lines(0) {
        replay.take(&cast.task, line, Commitments::Check).unwrap();
    }
    (cast, replay)
}

/// With and without masks, everybody orders one population and computes the same step.
#[test]
fn a_shared_population_is_ordered_by_sums() {
    for secure in [
        json!({}),
        json!({ "clip": 10.0, "secure_sum": { "cohort_min": 3 } }),
    ] {
        let mut federation = json!({ "rule": "scalars", "local_steps": 1 });
        for (key, value) in secure.as_object().unwrap() {
            federation[key] = value.clone();
        }
        let (cast, replay) = ended(&federation);
        assert_eq!(cast.task.update_length(), 6);
        assert_eq!(
            (replay.step(), replay.parameters()),
            (4, cast.aggregator.theta())
        );
        assert!(replay.parameters().iter().any(|t| *t != 0.0));
        // Four generations, known to all.
        assert_eq!(
            replay.state().search.as_ref().unwrap(),
            cast.aggregator.record().state().search.as_ref().unwrap()
        );
        for client in &cast.clients {
            assert_eq!(client.theta().unwrap(), cast.aggregator.theta());
        }
    }
}

/// FedBPT: updates are in the record one by one, and an altered one leads elsewhere.
#[test]
fn means_are_recorded_one_by_one() {
    let (cast, replay) = ended(&json!({ "rule": "fedbpt", "local_steps": 3 }));
    assert_eq!(cast.task.update_length(), 8 + 2);
    assert_eq!(
        (replay.step(), replay.parameters()),
        (4, cast.aggregator.theta())
    );
    let line = &cast.aggregator.lines(0)[1];
    let mut value: Value = serde_json::from_str(line).unwrap();
    let updates = &mut value["entry"]["round"]["sums"]["individual"]["updates"];
    assert_eq!(updates.as_array().unwrap().len(), 4);
    updates.as_array_mut().unwrap().swap_remove(0);
    updates.as_array_mut().unwrap().swap_remove(0);
    let mut audit = Replay::new(&cast.task).unwrap();
    audit
        .take(&cast.task, &cast.aggregator.lines(0)[0], Commitments::Check)
        .unwrap();
    let wrong = audit.take(&cast.task, &value.to_string(), Commitments::Check);
    assert_eq!(wrong.unwrap_err().what, What::Theta);
}

#[test]
fn what_does_not_go_together_is_told() {
    for (federation, paths) in [
        (
            json!({ "rule": "fedbpt", "secure_sum": {} }),
            vec!["federation.secure_sum", "federation.clip"],
        ),
        (
            json!({ "rule": "fedbpt", "combine": "median" }),
            vec!["federation.combine"],
        ),
        (
            json!({ "rule": "scalars", "local_steps": 2 }),
            vec!["federation.local_steps"],
        ),
        (
            json!({ "rule": "scalars", "local_steps": 1, "server": { "kind": "adam" } }),
            vec!["federation.server"],
        ),
        (json!({ "ask_ahead": true }), vec!["federation.ask_ahead"]),
    ] {
        assert_eq!(federated(&federation).unwrap_err(), paths, "{federation}");
    }
    // As plain federated averaging it goes with everything.
    federated(&json!({ "clip": 1.0, "secure_sum": {}, "server": { "kind": "adam" } })).unwrap();
    let mut source = rehearsal::task(json!({})).source().clone();
    source["federation"]["rule"] = json!("fedbpt");
    let faults = Task::from_value(source).unwrap_err().0;
    assert_eq!(faults[0].path, "federation.rule");
}
