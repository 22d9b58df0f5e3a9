use super::*;
use crate::round::rehearsal::{self, Rehearsal};
use crate::task::Task;
use crate::transcript::{Commitments, Replay, What};
use serde_json::{Value, json};

fn optimizer(settings: &Value) -> Box<dyn Optimizer> {
    let plan = Plan {
        rounds: 1,
        local_steps: 1,
    };
    let identity = Identity { key: [3, 4] };
    crate::optimizer::build(settings, identity, plan, Space::default()).unwrap()
}

/// Steps on a loss until the budget is spent; the state and the loss at its mean.
fn minimise(settings: &Value, dim: usize, steps: u32, loss: fn(&[f32]) -> f32) -> (State, f32) {
    let optimizer = optimizer(settings);
    let mut state = State::new(vec![0.0; dim], 0);
    for _ in 0..steps {
        let points = optimizer.points(&state);
        let losses: Vec<f32> = (0..optimizer.batches_per_step())
            .map(|k| loss(points.get(k).unwrap()))
            .collect();
        optimizer.tell(&mut state, &losses).unwrap();
    }
    let last = loss(&state.theta);
    (state, last)
}

/// Ill-conditioned and rotated: neighbours are coupled, and scales differ 1,000-fold.
fn rotated(point: &[f32]) -> f32 {
    let scaled = |i: usize| libm::powf(10.0, 3.0 * i as f32 / (point.len() - 1) as f32);
    (0..point.len())
        .map(|i| {
            let next = point[(i + 1) % point.len()];
            let x = 0.8 * (point[i] - 1.0) + 0.6 * (next - 1.0);
            scaled(i) * x * x
        })
        .sum()
}

fn sphere(point: &[f32]) -> f32 {
    point.iter().map(|x| (x - 1.0) * (x - 1.0)).sum()
}

#[test]
fn covariance_is_learnt() {
    // At the beginning it is 5,000; without learning C it would stay above 1 for long.
    let settings = json!({ "kind": "cma-es", "sigma": 0.5 });
    let (state, loss) = minimise(&settings, 8, 300, rotated);
    assert!(loss < 1e-4, "{loss}");
    let (again, _) = minimise(&settings, 8, 300, rotated);
    assert_eq!(state, again);
}

#[test]
fn many_parameters_and_the_diagonal() {
    for (covariance, dim) in [("full", 100), ("diagonal", 300)] {
        let settings = json!({ "kind": "cma-es", "sigma": 0.5, "covariance": covariance });
        let (_, loss) = minimise(&settings, dim, 250, sphere);
        assert!(loss < 0.3 * dim as f32, "{covariance} {loss}");
    }
}

#[test]
fn bounds_are_kept() {
    let settings = json!({ "kind": "cma-es", "sigma": 0.5, "bound": 0.25 });
    let (state, _) = minimise(&settings, 6, 100, sphere);
    let points = optimizer(&settings).points(&state);
    let inside = |x: &f32| x.abs() <= 0.25;
    assert!(points.get(3).unwrap().iter().all(inside));
    assert!(
        state.theta.iter().all(|x| inside(x) && *x > 0.2),
        "{state:?}"
    );
}

#[test]
fn the_same_bits_everywhere() {
    // A known answer of this very implementation: natively and in wasm alike.
    let (state, _) = minimise(
        &json!({ "kind": "cma-es", "population": 6 }),
        4,
        12,
        rotated,
    );
    let bits: Vec<u32> = state.theta.iter().map(|x| x.to_bits()).collect();
    let known: Vec<u32> = serde_json::from_str(include_str!("known.json")).unwrap();
    assert_eq!(bits, known);
}

/// The aggregator's step on means that were found on sphere.
#[test]
fn means_of_participants_are_a_population() {
    let optimizer = optimizer(&json!({ "kind": "cma-es", "population": 5, "sigma": 0.5 }));
    let cma = optimizer.cma_es().unwrap();
    let mut state = State::new(vec![0.0; 3], 0);
    let update = |moved: [f32; 3], loss: f32| Individual {
        examples: 7,
        update: [&moved[..], &[loss, 8.0 * 0.25]].concat(),
    };
    // The better half moves m: here one of two.
    let two = [update([1.0, 0.0, 0.0], 3.0), update([0.0, 2.0, 0.0], 2.0)];
    assert!(cma.combine(&mut state, &two));
    assert!((state.theta[1] - 2.0).abs() < 1e-6 && state.theta[0].abs() < 1e-6);
    let search = state.search.clone().unwrap();
    // σ changes by the factor of σ' = 2√(2/(2·5)) = 0.894: within a factor of e of what it was.
    assert!(search.sigma() > 0.5 / 2.72 && search.sigma() < 0.5 * 2.72);
    assert_ne!(search.sigma(), 0.5);
    let before = state.clone();
    for bad in [
        vec![],
        vec![update([f32::MAX; 3], 1.0); 2],
        vec![Individual {
            examples: 1,
            update: vec![1.0, 2.0],
        }],
        vec![Individual {
            examples: 1,
            update: vec![0.0, 0.0, 0.0, 1.0, 0.0],
        }],
    ] {
        let moved = cma.combine(&mut state, &bad);
        assert!(
            !moved || state.search.as_ref().unwrap().is_sound(3),
            "{bad:?}"
        );
        if !moved {
            assert_eq!(state, before);
        }
        state = before.clone();
    }
}

#[test]
fn reports_are_of_this_round() {
    let optimizer = optimizer(&json!({ "kind": "cma-es", "population": 4, "sigma": 0.5 }));
    let mut state = State::new(vec![0.0; 3], 0);
    optimizer.tell(&mut state, &[1.0, 2.0, 3.0, 6.0]).unwrap();
    assert_eq!(state.scalars, [-2.0, -1.0, 0.0, 3.0]);
    let sigma = state.search.as_ref().unwrap().sigma();
    optimizer.tell(&mut state, &[1.0, 1.0, 1.0, 1.0]).unwrap();
    let [loss, squares] = optimizer.report(&state);
    assert_eq!((loss, squares), (1.0, 0.25 + (sigma * sigma) as f32));
}

/// The task of the rehearsals with CMA-ES and this `[federation]`, or its faults' places.
fn federated(federation: &Value) -> Result<Task, Vec<String>> {
    let mut source = rehearsal::task(json!({})).source().clone();
    source["optimizer"] = json!({ "kind": "cma-es", "population": 6, "sigma": 0.1 });
    for (key, value) in federation.as_object().unwrap() {
        source["federation"][key] = value.clone();
    }
    Task::from_value(source).map_err(|faults| faults.0.into_iter().map(|f| f.path).collect())
}

/// A federation that ended, and what its record leads an auditor to.
fn ended(federation: &Value) -> (Rehearsal, Replay) {
    let mut cast = Rehearsal::new(federated(federation).unwrap(), 4);
    cast.play_out();
    let mut replay = Replay::new(&cast.task).unwrap();
    for line in cast.hub.lines(0) {
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
        assert_eq!((replay.step(), replay.parameters()), (4, cast.hub.theta()));
        assert!(replay.parameters().iter().any(|t| *t != 0.0));
        // Four generations, known to all.
        assert_eq!(
            replay.state().search.as_ref().unwrap(),
            cast.hub.record().state().search.as_ref().unwrap()
        );
        for client in &cast.clients {
            assert_eq!(client.theta().unwrap(), cast.hub.theta());
        }
    }
}

/// FedBPT: updates stand in the record one by one, and an altered one leads elsewhere.
#[test]
fn means_are_recorded_one_by_one() {
    let (cast, replay) = ended(&json!({ "rule": "fedbpt", "local_steps": 3 }));
    assert_eq!(cast.task.update_length(), 8 + 2);
    assert_eq!((replay.step(), replay.parameters()), (4, cast.hub.theta()));
    let line = &cast.hub.lines(0)[1];
    let mut value: Value = serde_json::from_str(line).unwrap();
    let updates = &mut value["entry"]["round"]["sums"]["individual"]["updates"];
    assert_eq!(updates.as_array().unwrap().len(), 4);
    updates.as_array_mut().unwrap().swap_remove(0);
    updates.as_array_mut().unwrap().swap_remove(0);
    let mut audit = Replay::new(&cast.task).unwrap();
    audit
        .take(&cast.task, &cast.hub.lines(0)[0], Commitments::Check)
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
