use super::*;
use crate::objective::loss::softmax;
use proptest::prelude::*;
use serde_json::{Value, json};

const PLAN: Plan = Plan {
    rounds: 1,
    local_steps: 1000,
};

fn optimizer(settings: &Value, columns: usize, key: u32) -> Box<dyn Optimizer> {
    let mut faults = Vec::new();
    let mut reader = Reader::new("", settings, &mut faults);
    let space = Space::categories(columns);
    let built = build(&mut reader, DirectionKey([key, 5]), PLAN, space);
    reader.finish();
    assert!(faults.is_empty(), "{faults:?}");
    built
}

/// The categories that a point stands for.
fn drawn(point: &[f32], columns: usize) -> Vec<usize> {
    point.chunks_exact(columns).map(argmax).collect()
}

/// Takes a step with this loss of the drawn categories; returns the losses.
fn step(
    optimizer: &dyn Optimizer,
    state: &mut State,
    columns: usize,
    loss: &dyn Fn(&[usize]) -> f32,
) -> Vec<f32> {
    let mut point = Vec::new();
    let losses: Vec<f32> = optimizer
        .ask(state)
        .iter()
        .map(|c| {
            c.apply(&state.theta, &mut point);
            loss(&drawn(&point, columns))
        })
        .collect();
    optimizer.tell(state, &losses).unwrap();
    losses
}

/// An arbitrary loss of two rows of three categories.
fn loss(j: &[usize]) -> f32 {
    [[0.3, 1.0, -0.4], [2.0, 0.1, 0.7], [-1.0, 0.6, 0.2]][j[0]][j[1]]
}

/// The gradient of Σ_jk p_0j p_1k L(j, k), by the chain rule over all nine pairs, with respect to
/// logits or to probabilities.
fn exact(p: [&[f32]; 2], of_logits: bool) -> Vec<f32> {
    let mut gradient = vec![0f32; 6];
    for j in 0..3 {
        for k in 0..3 {
            let weighted = p[0][j] * p[1][k] * loss(&[j, k]);
            for m in 0..3 {
                for (row, drawn) in [(0, j), (1, k)] {
                    let hit = f32::from(u8::from(m == drawn));
                    gradient[3 * row + m] += weighted
                        * if of_logits {
                            hit - p[row][m]
                        } else {
                            hit / p[row][m]
                        };
                }
            }
        }
    }
    gradient
}

fn mean_estimate(settings: &Value, theta: &[f32]) -> Vec<f32> {
    let mut mean = vec![0f64; theta.len()];
    const STEPS: u32 = 20_000;
    for key in 0..STEPS {
        let optimizer = optimizer(settings, 3, key);
        let mut state = State::new(theta.to_vec(), 0);
        step(&*optimizer, &mut state, 3, &loss);
        for ((m, new), old) in mean.iter_mut().zip(&state.theta).zip(theta) {
            *m -= f64::from(new - old) / f64::from(STEPS);
        }
    }
    mean.into_iter().map(|m| m as f32).collect()
}

#[test]
fn the_estimate_is_unbiased() {
    let theta = [0.2, -0.3, 0.5, 0.0, 1.0, -1.0];
    // A plain step of rate 1 is the estimate itself.
    let plain = json!({ "adam": false, "normalise": false, "learning_rate": 1.0, "draws": 4 });
    let estimate = mean_estimate(&plain, &theta);
    let exact = exact([&softmax(&theta[..3]), &softmax(&theta[3..])], true);
    for (e, x) in estimate.iter().zip(&exact) {
        assert!((e - x).abs() < 0.012, "{estimate:?} {exact:?}");
    }
}

#[test]
fn the_released_gradient_is_twice_the_gradient_in_p() {
    let theta = [0.2, 0.3, 0.5, 0.4, 0.5, 0.1];
    let form = PolicyGradient {
        key: DirectionKey([0, 0]),
        plan: PLAN,
        columns: 3,
        draws: 5,
        learning_rate: 1e-4,
        decay: false,
        form: Form::Released { weight_decay: 0.1 },
    };
    let mut mean = [0f64; 6];
    const STEPS: u32 = 40_000;
    let mut point = Vec::new();
    for at in 0..STEPS {
        let state = State::new(theta.to_vec(), at);
        let losses: Vec<f32> = form
            .ask(&state)
            .iter()
            .map(|c| {
                c.apply(&state.theta, &mut point);
                loss(&drawn(&point, 3))
            })
            .collect();
        // Compared with the released scores, of both signs and for every category.
        let average = losses.iter().sum::<f32>() / 5.0;
        let mut released = [0f32; 6];
        for (draw, l) in losses.iter().enumerate() {
            form.candidate(&state, draw as u32)
                .apply(&theta, &mut point);
            let drawn = drawn(&point, 3);
            for (i, r) in released.iter_mut().enumerate() {
                let sign = if drawn[i / 3] == i % 3 { 1.0 } else { -1.0 };
                *r += (l - average) / 4.0 * sign / theta[i];
            }
        }
        let gradient = form.gradient(&state, &losses);
        for ((m, g), r) in mean.iter_mut().zip(&gradient).zip(released) {
            assert!((g - r).abs() < 2e-5, "{gradient:?} {released:?}");
            *m += f64::from(*g) / f64::from(STEPS);
        }
    }
    let exact = exact([&theta[..3], &theta[3..]], false);
    // The two gradients differ by a constant in each row, which a step on the simplex does not see.
    for row in 0..2 {
        let centred = |values: [f32; 3]| {
            let mean = values.iter().sum::<f32>() / 3.0;
            values.map(|v| v - mean)
        };
        let at = |i: usize| 3 * row + i;
        let ours = centred([0, 1, 2].map(|i| mean[at(i)] as f32 / 2.0));
        let theirs = centred([0, 1, 2].map(|i| exact[at(i)]));
        for (a, b) in ours.iter().zip(&theirs) {
            assert!((a - b).abs() < 0.03, "{ours:?} {theirs:?}");
        }
    }
}

/// Four positions of fifty words, of which one in each position is good.
fn descend(settings: &Value, steps: u32) -> (Vec<f32>, u32) {
    let optimizer = optimizer(settings, 50, 3);
    let mut state = State::new(optimizer.start(vec![0.0; 200]), 0);
    let good = |j: &[usize]| (0..4).filter(|i| j[*i] == 7 * i + 3).count() as f32;
    for _ in 0..steps {
        step(&*optimizer, &mut state, 50, &|j| 2.0 - 0.5 * good(j));
    }
    let found = good(&drawn(&state.theta, 50)) as u32;
    (state.theta, found)
}

#[test]
fn finds_the_good_words() {
    for settings in [json!({}), json!({ "decay": "linear" })] {
        assert_eq!(descend(&settings, 150).1, 4, "{settings}");
    }
    let plain = json!({ "adam": false, "learning_rate": 10.0 });
    assert!(descend(&plain, 150).1 >= 3);
}

#[test]
fn the_released_form_stays_on_the_simplex() {
    let (theta, found) = descend(&json!({ "form": "released", "learning_rate": 0.01 }), 150);
    assert!(found >= 3, "{found}");
    for row in theta.chunks_exact(50) {
        assert!(row.iter().all(|p| (0.0..=1.0).contains(p)));
        let sum: f32 = row.iter().sum();
        // A row that adds up to less than 1 is not raised, as in the release.
        assert!((0.0..=1.002).contains(&sum), "{sum}");
    }
}

#[test]
fn what_was_never_drawn_does_not_move() {
    let optimizer = optimizer(&json!({ "draws": 3 }), 40, 1);
    let mut state = State::new(vec![0.0; 40], 0);
    step(&*optimizer, &mut state, 40, &|j| j[0] as f32);
    assert!(state.theta.iter().filter(|t| **t != 0.0).count() <= 3);
}

#[test]
fn equal_losses_move_nothing() {
    let optimizer = optimizer(&json!({}), 5, 1);
    let mut state = State::new(vec![0.5; 10], 0);
    step(&*optimizer, &mut state, 5, &|_| 0.7);
    assert_eq!(state.theta, [0.5; 10]);
}

proptest! {
    #[test]
    fn any_losses_leave_finite_numbers(
        theta in prop::collection::vec(-1e3f32..1e3, 12),
        losses in prop::collection::vec(-1e30f32..1e30, 20),
        released: bool,
    ) {
        let form = if released { "released" } else { "rloo" };
        let optimizer = optimizer(&json!({ "form": form }), 4, 9);
        let mut state = State::new(theta, 3);
        for _ in 0..3 {
            optimizer.tell(&mut state, &losses).unwrap();
        }
        prop_assert!(state.theta.iter().all(|t| t.is_finite()), "{:?}", state.theta);
    }

    #[test]
    fn a_row_too_long_comes_back(row in prop::collection::vec(-0.5f32..1.5, 1..40)) {
        let mut projected = row.clone();
        to_simplex(&mut projected);
        let before: f32 = row.iter().map(|p| p.clamp(0.0, 1.0)).sum();
        let after: f32 = projected.iter().sum();
        prop_assert!(projected.iter().all(|p| (0.0..=1.0).contains(p)));
        prop_assert!((after - before.min(1.0)).abs() < 2e-3, "{before} {after}");
    }
}
