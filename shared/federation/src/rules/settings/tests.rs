use super::*;
use crate::task::Task;
use ground::fault::Faults;
use serde_json::{Value, json};

fn read(federation: Value) -> Result<Task, Vec<String>> {
    let task = json!({
        "name": "t",
        "model": { "url": "http://127.0.0.1:1", "name": "m", "input": { "height": 8, "width": 8 }, "output": { "classes": 2 } },
        "data": { "labels": ["a", "b"] },
        "federation": federation,
    });
    Task::from_value(task).map_err(|Faults(faults)| {
        let paths = faults.iter().map(|f| f.path.clone());
        paths.collect()
    })
}

fn good(federation: Value) -> Federation {
    read(federation).unwrap().federation
}

#[test]
fn without_the_sections_updates_are_sent_as_they_are() {
    let federation = good(json!({}));
    assert_eq!(federation.rule, Rule::FedAvg);
    assert_eq!((federation.secure, federation.privacy), (None, None));
    assert_eq!((federation.clip, federation.combine), (0.0, Combine::Mean));
    assert_eq!(federation.policy.secure, None);
}

#[test]
fn the_least_section_is_whole() {
    let federation = good(json!({ "secure_sum": {} }));
    let secure = federation.secure.unwrap();
    assert!(secure.masks && secure.policy.is_valid());
    assert_eq!((secure.policy.cohort_min, secure.cohort_max), (3, 300));
    assert_eq!((secure.survivors_min, secure.policy.groups), (3, 1));
    assert_eq!(federation.clip, 10.0);
    // No cohort is frozen that could not be summed, nor one that the ring was not chosen for.
    let policy = federation.policy;
    assert_eq!((policy.open.count_min, policy.open.count_max), (3, 300));
    let phases = policy.secure.unwrap();
    for limits in [phases.keys, phases.shares, phases.masked, phases.unmask] {
        assert_eq!((limits.time_min_ms, limits.time_max_ms), (90_000, 150_000));
        assert!(limits.count_min <= 3 && limits.count_max == 300);
    }
}

#[test]
fn numbers_follow_from_each_other() {
    let federation = good(json!({
        "open": { "count_min": 20 },
        "secure_sum": { "groups": 4, "cohort_max": 50, "masked": { "time_max_ms": 5_000 }, "keys": { "time_min_ms": 200_000 } },
    }));
    let secure = federation.secure.unwrap();
    assert_eq!((secure.policy.cohort_min, secure.survivors_min), (20, 13));
    let phases = federation.policy.secure.unwrap();
    // A phase that ends early does not wait longer than that for the last.
    assert_eq!(
        (phases.masked.time_min_ms, phases.masked.time_max_ms),
        (5_000, 5_000)
    );
    assert_eq!(
        (phases.keys.time_min_ms, phases.keys.time_max_ms),
        (200_000, 200_100)
    );
    assert_eq!(phases.masked.count_min, 13);
    // Without masks (in simulations) a round still needs as many.
    let federation = good(json!({ "secure_sum": { "cohort_min": 9, "masks": false } }));
    assert_eq!(federation.policy.secure, None);
    assert_eq!(federation.policy.upload.count_min, 6);
}

#[test]
fn the_smallest_sum_is_the_least_that_can_be_opened() {
    for (secure, people) in [
        // Two thirds of three are two, and more than that must answer.
        (json!({ "cohort_min": 3 }), 3),
        (json!({ "cohort_min": 5 }), 4),
        // More are asked for than can open it.
        (json!({ "cohort_min": 5, "survivors_min": 5 }), 5),
        (json!({ "cohort_min": 10, "threshold": 0.9 }), 9),
        // Each group is summed by itself, however many must be left in all.
        (
            json!({ "cohort_min": 6, "groups": 2, "survivors_min": 6 }),
            3,
        ),
        (json!({ "cohort_min": 20, "groups": 4 }), 4),
    ] {
        let federation = good(json!({ "secure_sum": secure }));
        assert_eq!(
            federation.secure.unwrap().smallest_sum(),
            people,
            "{secure}"
        );
    }
}

#[test]
fn every_fault_of_the_sections_is_reported_at_once() {
    let paths = read(json!({
        "rule": "fedsgd",
        "clip": -1.0,
        "combine": "mode",
        "trim": 0.9,
        "secure_sum": {
            "threshold": 0.2, "degree": 2, "groups": 0, "cohort_min": 1, "cohort_max": 2, "survivors_min": 1,
            "max_examples": 0, "masks": "yes", "typo": 1,
            "keys": { "time_min_ms": -1 }, "shares": { "time_max_ms": 1 },
            "masked": { "count_min": 3 }, "unmask": { "time_min_ms": 5_000, "time_max_ms": 1_000 },
        },
        "privacy": { "epsilon": 0.0, "delta": 0.5, "noise_multiplier": -1.0, "sigma": 1 },
    }))
    .unwrap_err();
    for expected in [
        "rule",
        "clip",
        "combine",
        "trim",
        "secure_sum.threshold",
        "secure_sum.degree",
        "secure_sum.groups",
        "secure_sum.cohort_min",
        "secure_sum.cohort_max",
        "secure_sum.survivors_min",
        "secure_sum.max_examples",
        "secure_sum.masks",
        "secure_sum.typo",
        "secure_sum.keys.time_min_ms",
        "secure_sum.shares.time_max_ms",
        "secure_sum.masked.count_min",
        "secure_sum.unmask.time_max_ms",
        "privacy.epsilon",
        "privacy.delta",
        "privacy.noise_multiplier",
        "privacy.sigma",
    ] {
        let expected = format!("federation.{expected}");
        let count = paths.iter().filter(|p| **p == expected).count();
        assert_eq!(count, 1, "{expected} in {paths:?}");
    }
}

#[test]
fn what_does_not_go_together_is_a_fault() {
    let secure = json!({ "cohort_min": 9 });
    for (federation, path) in [
        // Only the participants of one secure sum add the noise together.
        (json!({ "privacy": {} }), "federation.privacy"),
        (
            json!({ "privacy": {}, "secure_sum": { "groups": 2 } }),
            "federation.privacy",
        ),
        (
            json!({ "clip": 0.0, "secure_sum": secure }),
            "federation.clip",
        ),
        (
            json!({ "secure_sum": { "cohort_min": 9, "cohort_max": 8 } }),
            "federation.secure_sum.cohort_min",
        ),
        (
            json!({ "secure_sum": { "cohort_min": 9, "survivors_min": 10 } }),
            "federation.secure_sum.survivors_min",
        ),
        (
            json!({ "secure_sum": { "groups": 4, "cohort_min": 9 } }),
            "federation.secure_sum.cohort_min",
        ),
        // Steps that are no sums of directions.
        (json!({ "rule": "scalars" }), "federation.rule"),
        // Not even one round.
        (
            json!({ "secure_sum": secure, "privacy": { "epsilon": 1.0, "noise_multiplier": 0.5 } }),
            "federation.privacy.noise_multiplier",
        ),
        // More noise than any ring holds.
        (
            json!({ "rounds": 100_000, "secure_sum": secure, "privacy": { "epsilon": 1e-3, "delta": 1e-12 } }),
            "federation.secure_sum",
        ),
    ] {
        let paths = read(federation.clone());
        assert_eq!(paths.err(), Some(vec![path.to_owned()]), "{federation}");
    }
}
