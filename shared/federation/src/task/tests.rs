//! What a task file may hold, what follows from it, and every fault by its path.

use super::*;
use ground::hash::{theta_bytes, theta_from_bytes};
use model_client::address::origin_of;
use serde_json::json;

pub(crate) fn minimal() -> Value {
    json!({
        "name": "Digits",
        "model": { "url": "http://127.0.0.1:8701", "name": "printed-digits", "input": { "height": 32, "width": 32 }, "output": { "classes": 3 } },
        "data": { "labels": ["a", "b", "c"] },
    })
}

#[test]
fn the_least_task_is_whole() {
    let task = Task::from_value(minimal()).unwrap();
    assert_eq!(task.federation.rounds, 50);
    assert_eq!(task.generator().unwrap().dim(), 576);
    assert_eq!(task.hash().len(), 64);
    assert_eq!(Task::from_value(task.source().clone()).unwrap(), task);
}

/// The optimiser that a new task gets, which says this of its own.
fn tuned(change: &[(&str, Value)]) -> Value {
    let mut source = minimal();
    for (key, section) in change {
        source[*key] = section.clone();
    }
    Task::tuned_by_default(source)["optimizer"]["kind"].clone()
}

#[test]
fn node_perturbation_is_the_default_where_it_applies() {
    assert_eq!(tuned(&[]), "node-perturbation");
    assert_eq!(tuned(&[("optimizer", json!({}))]), "node-perturbation");
    // What is said stays, and so does a task that says no more than a rate.
    assert_eq!(
        tuned(&[("optimizer", json!({ "kind": "zo-sgd" }))]),
        "zo-sgd"
    );
    assert!(tuned(&[("optimizer", json!({ "learning_rate": 0.1 }))]).is_null());
    // Other generators, no statistics, other rules, texts, and no task at all.
    let frame = json!({ "kind": "frame", "inner": 20 });
    assert!(tuned(&[("generator", frame)]).is_null());
    assert!(tuned(&[("generator", json!({ "statistics": 0 }))]).is_null());
    let fewer = json!({ "reparametrisation": { "kind": "sparse", "share": 0.5 } });
    assert!(tuned(&[("generator", fewer)]).is_null());
    assert!(tuned(&[("federation", json!({ "rule": "scalars" }))]).is_null());
    assert_eq!(Task::tuned_by_default(json!(3)), json!(3));
}

#[test]
fn node_perturbation_elsewhere_is_a_fault_of_its_name() {
    let paths = |key: &str, section: Value| {
        let mut source = minimal();
        source["optimizer"] = json!({ "kind": "node-perturbation" });
        source[key] = section;
        let Faults(faults) = Task::from_value(source).unwrap_err();
        faults.iter().map(|f| f.path.clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        paths("generator", json!({ "kind": "frame", "inner": 20 })),
        ["optimizer.kind"]
    );
    assert_eq!(
        paths("federation", json!({ "rule": "scalars" })),
        ["federation.rule"]
    );
}

#[test]
fn noise_for_examples_needs_what_bounds_them() {
    let paths = |federation: Value, more: &[(&str, Value)]| {
        let mut source = minimal();
        source["optimizer"] = json!({ "kind": "node-perturbation" });
        source["federation"] = json!({
            "local_steps": 1, "secure_sum": {}, "privacy": { "unit": "example", "participations": 5 },
        });
        for (key, value) in federation.as_object().unwrap() {
            source["federation"][key] = value.clone();
        }
        for (key, value) in more {
            source[*key] = value.clone();
        }
        let faults = Task::from_value(source)
            .err()
            .map_or(Vec::new(), |Faults(f)| f);
        faults.into_iter().map(|f| f.path).collect::<Vec<_>>()
    };
    assert!(paths(json!({}), &[]).is_empty());
    assert_eq!(
        paths(json!({ "local_steps": 2 }), &[]),
        ["federation.local_steps"]
    );
    assert_eq!(paths(json!({ "active": 3 }), &[]), ["federation.active"]);
    assert_eq!(
        paths(json!({ "patience": 2 }), &[]),
        ["federation.patience"]
    );
    let without = json!({ "privacy": { "unit": "example" } });
    assert_eq!(paths(without, &[]), ["federation.privacy.participations"]);
    let other = ("optimizer", json!({ "kind": "zo-sgd" }));
    assert_eq!(paths(json!({}), &[other]), ["optimizer.kind"]);
    let secants = ("optimizer", json!({ "kind": "secants" }));
    assert_eq!(paths(json!({}), &[secants]), ["optimizer.kind"]);
    let learnt = ("mapping", json!({ "kind": "frequency", "learn": "alone" }));
    assert_eq!(paths(json!({}), &[learnt]), ["mapping.kind"]);
}

#[test]
fn steps_are_asked_ahead_but_for_spsa_gc() {
    let ahead = |change: Value| {
        let mut value = minimal();
        for (key, section) in change.as_object().unwrap() {
            value[key] = section.clone();
        }
        Task::from_value(value).unwrap().federation.ask_ahead
    };
    let released = json!({ "kind": "spsa-gc" });
    assert!(ahead(json!({})));
    assert!(ahead(json!({ "optimizer": { "kind": "zo-sgd" } })));
    assert!(!ahead(json!({ "federation": { "ask_ahead": false } })));
    assert!(!ahead(json!({ "optimizer": released })));
    assert!(ahead(
        json!({ "optimizer": released, "federation": { "ask_ahead": true } })
    ));
}

#[test]
fn what_does_not_go_with_hiso_is_told() {
    let paths = |federation: Value| {
        let mut value = minimal();
        value["optimizer"] = json!({ "kind": "hiso" });
        value["federation"] = federation;
        let faults = Task::from_value(value).err();
        let paths = faults.into_iter().flat_map(|Faults(faults)| faults);
        paths.map(|f| f.path).collect::<Vec<_>>()
    };
    assert!(paths(json!({ "rule": "scalars" })).is_empty());
    assert_eq!(paths(json!({})), ["federation.rule"]);
    let adam = json!({ "rule": "scalars", "server": { "kind": "adam" } });
    assert_eq!(paths(adam), ["federation.server.kind"]);
}

fn topics() -> Value {
    json!({
        "name": "Topics",
        "model": { "url": "http://127.0.0.1:8701", "name": "minilm", "input": { "kind": "text" } },
        "data": { "labels": ["1", "2"] },
        "text": { "template": "This is about {}.", "words": ["sport", "money"] },
        "generator": { "candidates": ["", "news", "all"], "positions": 2 },
    })
}

#[test]
fn the_least_task_of_texts_is_whole() {
    let task = Task::from_value(topics()).unwrap();
    assert_eq!((task.dim(), task.update_length()), (6, 6));
    assert_eq!(task.model.output.classes, 2);
    assert!(!task.federation.ask_ahead);
    assert_eq!(task.initial().unwrap(), [0.0; 6]);
    assert_eq!(task.training_queries().unwrap(), 50 * 5 * 20 * 32);
    assert_eq!(Task::from_value(task.source().clone()).unwrap(), task);
    let Err(Faults(faults)) = task.generator() else {
        panic!("a generator of images")
    };
    assert_eq!(faults[0].path, "model.input.kind");
    assert!(
        Task::from_value(minimal())
            .unwrap()
            .text_generator()
            .is_err()
    );
    let mut released = topics();
    released["optimizer"] = json!({ "form": "released" });
    let task = Task::from_value(released).unwrap();
    assert_eq!(task.initial().unwrap(), [1.0 / 3.0; 6]);
}

#[test]
fn what_does_not_go_with_texts_is_told() {
    for (key, section, path) in [
        ("optimizer", json!({ "kind": "spsa-gc" }), "optimizer.kind"),
        (
            "federation",
            json!({ "rule": "scalars" }),
            "federation.rule",
        ),
        (
            "federation",
            json!({ "ask_ahead": true }),
            "federation.ask_ahead",
        ),
        ("mapping", json!({ "kind": "frequency" }), "mapping.kind"),
        (
            "data",
            json!({ "labels": ["1", "2"], "invert": true }),
            "data.invert",
        ),
        ("generator", json!({ "kind": "frame" }), "generator.kind"),
        ("text", json!({}), "text.template"),
    ] {
        let mut value = topics();
        value[key] = section;
        let Faults(faults) = Task::from_value(value).unwrap_err();
        assert!(faults.iter().any(|f| f.path == path), "{path}: {faults:?}");
    }
    let mut value = topics();
    value["model"]["output"] = json!({ "classes": 7 });
    assert!(Task::from_value(value).is_err());
    let mut image = minimal();
    image["text"] = json!({ "template": "{}" });
    image["optimizer"] = json!({ "kind": "policy-gradient" });
    let Faults(faults) = Task::from_value(image).unwrap_err();
    let paths: Vec<_> = faults.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(paths, ["text", "optimizer.kind"]);
}

#[test]
fn the_hash_does_not_depend_on_the_order_of_keys() {
    let a: Value = serde_json::from_str(r#"{"b":1,"a":[{"y":2,"x":3}]}"#).unwrap();
    let b: Value = serde_json::from_str(r#"{"a":[{"x":3,"y":2}],"b":1}"#).unwrap();
    let text = |v: &Value| {
        let mut s = String::new();
        canonical(v, &mut s);
        s
    };
    assert_eq!(text(&a), text(&b));
    assert_eq!(text(&a), r#"{"a":[{"x":3,"y":2}],"b":1}"#);
}

#[test]
fn every_fault_is_reported_at_once() {
    let value = json!({
        "name": "",
        "colour": 1,
        "seed": -1,
        "model": { "url": "ftp://x", "name": "a b", "dialect": "soap", "input": { "height": 0, "width": "wide" }, "output": { "classes": 1 } },
        "data": { "labels": ["a", "a"], "inner": [99, 1], "holdout": 2.0, "background": 300 },
        "mapping": { "kind": "groups" },
        "loss": { "kind": "hinge" },
        "generator": { "kind": "statistic", "epsilon": 0.0, "basis": { "size": 1 }, "grid": 99, "colour": 1 },
        "optimizer": { "kind": "sgd" },
        "federation": { "rounds": 0, "open": { "count_min": 5, "count_max": 2 }, "server": { "kind": "lion" } },
    });
    let Faults(faults) = Task::from_value(value).unwrap_err();
    let paths: Vec<_> = faults.iter().map(|f| f.path.as_str()).collect();
    for expected in [
        "name",
        "colour",
        "seed",
        "model.url",
        "model.name",
        "model.dialect",
        "model.input.height",
        "model.input.width",
        "model.output.classes",
        "data.labels",
        "data.inner",
        "data.holdout",
        "data.background",
        "mapping.groups",
        "loss.kind",
        "generator.epsilon",
        "generator.basis",
        "generator.grid",
        "generator.colour",
        "optimizer.kind",
        "federation.rounds",
        "federation.open.count_max",
        "federation.server.kind",
    ] {
        assert!(
            paths.contains(&expected),
            "{expected} is not among {paths:?}"
        );
    }
}

#[test]
fn origins() {
    assert_eq!(
        origin_of("http://127.0.0.1:8701/v2").as_deref(),
        Some("http://127.0.0.1:8701")
    );
    assert_eq!(
        origin_of("https://Host.example").as_deref(),
        Some("https://host.example")
    );
    for bad in [
        "ftp://x",
        "http://",
        "http://:80",
        "http://a b",
        "x",
        "http://user@host",
        "http://a;b",
    ] {
        assert_eq!(origin_of(bad), None, "{bad}");
    }
}

#[test]
fn theta_travels() {
    let theta = vec![1.5, -0.25];
    assert_eq!(theta_from_bytes(&theta_bytes(&theta), 2), Ok(theta));
    assert!(theta_from_bytes(&[0; 7], 2).is_err());
    assert!(theta_from_bytes(&f32::NAN.to_le_bytes(), 1).is_err());
}
