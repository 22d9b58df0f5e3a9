use super::*;
use crate::round::rehearsal::task;
use secure_sum::encoding::RingVector;
use serde_json::{Value, json};

const DIM: usize = 8;

fn secure(more: Value) -> Task {
    let mut federation = json!({ "clip": 1.0, "secure_sum": { "cohort_min": 3 } });
    for (key, value) in more.as_object().unwrap() {
        federation[key] = value.clone();
    }
    task(federation)
}

fn start(task: &Task) -> ServerState {
    ServerState::new(task.generator().unwrap().initial())
}

fn metrics(correct: u32) -> Metrics {
    Metrics {
        correct,
        total: 10,
        loss: 2.0,
        queries: 100,
        unprompted: Some(1),
    }
}

/// The sum of these updates, each with its number of examples.
fn group(task: &Task, first: u32, updates: &[(Vec<f32>, u32)]) -> GroupSum {
    let contribution = task.contribution().unwrap();
    let mut sum = RingVector::zero(contribution.layout());
    for (number, (update, examples)) in updates.iter().enumerate() {
        let seed = [number as u8; 32];
        let vector = contribution.encode(update, *examples, &metrics(1), &seed);
        sum.add(&vector.unwrap()).unwrap();
    }
    GroupSum {
        members: (first..first + updates.len() as u32).collect(),
        sum: sum.integers(),
    }
}

fn only(entry: usize, value: f32) -> Vec<f32> {
    let mut update = vec![0.0; DIM];
    update[entry] = value;
    update
}

fn close(theta: &[f32], expected: &[f32]) {
    let off = theta.iter().zip(expected).map(|(a, b)| (a - b).abs());
    let most = off.fold(0.0, f32::max);
    assert!(most < 1e-4, "{theta:?} {expected:?}");
}

#[test]
fn a_plain_mean_moves_theta_as_the_server_says() {
    let task = task(json!({ "server": { "kind": "sgd", "learning_rate": 0.5 } }));
    let (mut state, before) = (start(&task), start(&task));
    let mean: Vec<f32> = (0..DIM).map(|i| i as f32 - 3.0).collect();
    let sums = Sums::Plain {
        mean: mean.clone(),
        metrics: metrics(7),
    };
    assert_eq!(advance(&task, &mut state, 0, &sums), Ok(metrics(7)));
    let expected: Vec<f32> = before
        .theta
        .iter()
        .zip(&mean)
        .map(|(t, m)| t + 0.5 * m)
        .collect();
    assert_eq!(state.theta, expected);
    assert_eq!(state.updates, 1);
}

#[test]
fn groups_add_up_to_the_mean_by_examples() {
    let task = secure(json!({}));
    let mut state = start(&task);
    let groups = vec![
        group(&task, 0, &[(only(0, 0.5), 30), (only(1, 0.5), 10)]),
        group(&task, 2, &[(only(0, -0.5), 10), (only(2, 0.4), 50)]),
    ];
    let sum = advance(&task, &mut state, 0, &Sums::Secure { groups }).unwrap();
    assert_eq!((sum.correct, sum.total, sum.queries), (4, 40, 400));
    assert_eq!(sum.loss, 8.0);
    let mut expected = start(&task).theta;
    expected[0] += 0.1;
    expected[1] += 0.05;
    expected[2] += 0.2;
    close(&state.theta, &expected);
}

#[test]
fn a_bad_group_is_outvoted() {
    let task = secure(json!({ "combine": "median" }));
    let good = |first| group(&task, first, &[(only(0, 0.1), 10), (only(0, 0.2), 10)]);
    let mut bad = good(4);
    bad.sum[..DIM].iter_mut().for_each(|x| *x = 1 << 29);
    let mut state = start(&task);
    let groups = vec![good(0), good(2), bad];
    advance(&task, &mut state, 0, &Sums::Secure { groups }).unwrap();
    let mut expected = start(&task).theta;
    expected[0] += 0.15;
    close(&state.theta, &expected);
}

#[test]
fn no_group_moves_theta_further_than_the_bound() {
    let task = secure(json!({}));
    let mut bad = group(&task, 0, &[(only(0, 0.1), 10)]);
    bad.sum[..DIM].iter_mut().for_each(|x| *x = 1 << 30);
    let mut state = start(&task);
    advance(&task, &mut state, 0, &Sums::Secure { groups: vec![bad] }).unwrap();
    let before = start(&task);
    let moved = state.theta.iter().zip(&before.theta);
    let norm = moved
        .map(|(a, b)| f64::from(a - b).powi(2))
        .sum::<f64>()
        .sqrt();
    assert!((norm - 1.0).abs() < 1e-5, "{norm}");
}

#[test]
fn a_group_without_sense_is_left_out() {
    let task = secure(json!({}));
    let good = group(&task, 0, &[(only(0, 0.5), 10)]);
    let mut impossible = group(&task, 1, &[(only(1, 0.5), 10)]);
    // More right answers than answers.
    impossible.sum[DIM + 1] = 1_000;
    let mut state = start(&task);
    let groups = vec![good, impossible.clone()];
    let sum = advance(&task, &mut state, 0, &Sums::Secure { groups }).unwrap();
    assert_eq!(sum.total, 10);
    let mut expected = start(&task).theta;
    expected[0] += 0.5;
    close(&state.theta, &expected);
    // Without any other there is nothing to go by.
    let before = state.clone();
    for groups in [vec![impossible], vec![]] {
        let sums = Sums::Secure { groups };
        assert_eq!(
            advance(&task, &mut state, 1, &sums),
            Err(AdvanceError::Empty)
        );
        assert_eq!(state, before);
    }
}

#[test]
fn what_is_not_finite_or_not_of_this_length_changes_nothing() {
    let task = task(json!({ "server": { "kind": "adam" } }));
    let mut state = start(&task);
    let plain = |mean: Vec<f32>| Sums::Plain {
        mean,
        metrics: Metrics::default(),
    };
    advance(&task, &mut state, 0, &plain(vec![0.1; DIM])).unwrap();
    let before = state.clone();
    for (mean, error) in [
        (vec![f32::MAX; DIM], AdvanceError::Overflow),
        (only(3, f32::NAN), AdvanceError::Overflow),
        (only(3, f32::INFINITY), AdvanceError::Overflow),
        (vec![0.1; DIM + 1], AdvanceError::Empty),
        (Vec::new(), AdvanceError::Empty),
    ] {
        assert_eq!(
            advance(&task, &mut state, 1, &plain(mean.clone())),
            Err(error),
            "{mean:?}"
        );
        assert_eq!(state, before);
    }
}

#[test]
fn scalars_move_theta_along_the_directions_that_all_share() {
    let task = task(json!({ "rule": "scalars" }));
    assert_eq!(task.update_length(), 4);
    assert_eq!(task.optimizer(3).unwrap().ask(&start_state(&task)), {
        let other = task.optimizer(9).unwrap();
        other.ask(&start_state(&task))
    });
    let mut state = start(&task);
    let scalars = vec![0.5, -0.25, 0.0, 1.0];
    let sums = Sums::Plain {
        mean: scalars.clone(),
        metrics: Metrics::default(),
    };
    advance(&task, &mut state, 2, &sums).unwrap();
    let mut expected = start(&task).theta;
    for (number, scalar) in scalars.iter().enumerate() {
        let at = tuning::optimizer::State {
            round: 2,
            step: number as u32 / 2,
            ..start_state(&task)
        };
        // Each direction is asked on both sides.
        let candidate = task.optimizer(0).unwrap().ask(&at)[2 * (number % 2)];
        let mut point = Vec::new();
        let zero = vec![0.0; DIM];
        candidate.apply(&zero, &mut point);
        let along = point.iter().map(|p| p / candidate.scale);
        expected
            .iter_mut()
            .zip(along)
            .for_each(|(t, d)| *t += scalar * d);
    }
    close(&state.theta, &expected);
}

fn start_state(task: &Task) -> tuning::optimizer::State {
    tuning::optimizer::State::new(start(task).theta, 0)
}
