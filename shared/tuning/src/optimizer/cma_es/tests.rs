use super::*;
use serde_json::{Value, json};

fn optimizer(settings: &Value) -> Box<dyn Optimizer> {
    let plan = Plan {
        rounds: 1,
        local_steps: 1,
    };
    let key = DirectionKey([3, 4]);
    crate::optimizer::build(settings, key, plan, Space::default()).unwrap()
}

/// Steps on a loss function until the budget is spent; returns the state and the loss at its mean.
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

/// An ill-conditioned and rotated bowl: neighbours are coupled, and scales differ 1,000-fold.
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
    // It starts at 5,000; without learning C it would stay above 1 for long.
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
    // A known answer of this implementation, the same natively and in wasm.
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

/// The aggregator's step, on means that were found on `sphere`.
#[test]
fn means_of_participants_are_a_population() {
    let optimizer = optimizer(&json!({ "kind": "cma-es", "population": 5, "sigma": 0.5 }));
    let cma = optimizer.shared_search().unwrap();
    let mut state = State::new(vec![0.0; 3], 0);
    let update = |moved: [f32; 3], loss: f32| Individual {
        examples: 7,
        update: [&moved[..], &[loss, 8.0 * 0.25]].concat(),
    };
    // The better half, here one of two, moves m.
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
