use super::*;
use crate::optimizer;
use proptest::prelude::*;
use serde_json::{Value, json};

const PLAN: Plan = Plan {
    rounds: 40,
    local_steps: 2,
};

fn optimizer(settings: &Value, arms: usize, key: u32) -> Box<dyn Optimizer> {
    let mut spec = settings.clone();
    spec["kind"] = "bandit".into();
    let space = Space::arms(arms);
    optimizer::build(&spec, DirectionKey([key, 5]), PLAN, space).unwrap()
}

fn arms(optimizer: &dyn Optimizer, state: &State) -> Vec<usize> {
    let named = |candidate: &Candidate| {
        let mut point = Vec::new();
        candidate.apply(&state.theta, &mut point);
        crate::objective::loss::argmax(&Evidence::of(&point).posterior())
    };
    optimizer.ask(state).iter().map(named).collect()
}

/// Runs one participant on arms with these mean rewards plus noise of this size; returns the last
/// θ.
fn run(settings: &Value, rewards: &[f32], noise: f32, key: u32) -> Vec<f32> {
    let optimizer = optimizer(settings, rewards.len(), key);
    let mut stream = Stream::new(u64::from(key), purpose::FAULT);
    let mut theta = vec![0.0; 2 * rewards.len()];
    for round in 0..PLAN.rounds {
        let mut state = State::new(theta, round);
        let of_round = arms(&*optimizer, &state);
        for _ in 0..PLAN.local_steps {
            let tried = arms(&*optimizer, &state);
            assert_eq!(tried, of_round, "a round's arms do not change within it");
            let costs: Vec<f32> = tried
                .iter()
                .map(|arm| 1.0 - rewards[*arm] - noise * stream.normal())
                .collect();
            optimizer.tell(&mut state, &costs).unwrap();
        }
        theta = state.theta;
    }
    theta
}

const RULES: [&str; 3] = ["halving", "ucb", "thompson"];
const REWARDS: [f32; 10] = [0.5, 0.55, 0.3, 0.45, 0.7, 0.1, 0.52, 0.6, 0.2, 0.58];

#[test]
fn every_rule_finds_the_best_arm_and_tries_it_most() {
    for rule in RULES {
        for key in 0..5 {
            let settings = json!({ "rule": rule, "arms": 3 });
            let theta = run(&settings, &REWARDS, 0.05, key);
            let evidence = Evidence::of(&theta);
            let found = best(&evidence.posterior(), 1);
            assert_eq!(found, [4], "{rule} {key} {theta:?}");
            let all: f32 = evidence.all_tries();
            assert!((all - 120.0).abs() < 1e-3, "{rule} {all}");
            assert!(evidence.tries(4) > 1.5 * all / 10.0, "{rule} {theta:?}");
            assert!((evidence.mean(4) - 0.7).abs() < 0.05, "{rule} {theta:?}");
        }
    }
}

#[test]
fn an_arm_is_named_whatever_was_counted() {
    let settings = json!({ "rule": "ucb", "arms": 3 });
    let optimizer = optimizer(&settings, 3, 1);
    for theta in [
        [0.0; 6],
        // Only one arm was tried, so its mean is also the mean of all.
        [0.0, 900.0, 0.0, 0.0, 900.0, 0.0],
        [9e4, 0.0, 5.0, 1e5, 1e5, 5.0],
        [-5.0, 1e5, 0.1, -3.0, 1e5, 1e-6],
    ] {
        let mut named = arms(&*optimizer, &State::new(theta.to_vec(), 0));
        named.sort_unstable();
        assert_eq!(named, [0, 1, 2], "{theta:?}");
    }
}

#[test]
fn halving_tries_all_and_then_the_better_half() {
    let settings = json!({ "rule": "halving", "arms": 4 });
    let optimizer = optimizer(&settings, 8, 1);
    let mut state = State::new(vec![0.0; 16], 0);
    assert_eq!(arms(&*optimizer, &state), [0, 1, 2, 3]);
    // The counts as masks leave them.
    state.theta[8..12].copy_from_slice(&[1.0001, 0.9999, 1.0, 1.00002]);
    state.theta[..4].copy_from_slice(&[0.5, 0.6, 0.7, 0.2]);
    assert_eq!(arms(&*optimizer, &state), [4, 5, 6, 7]);
    // The second of three phases begins with round 14 of 40, the last with round 27. As many arms
    // stay in as are tried.
    state.theta[8..].fill(1.0);
    state.theta[..8].copy_from_slice(&[0.5, 0.6, 0.7, 0.2, 0.1, 0.9, 0.3, 0.4]);
    state.round = 13;
    assert_eq!(arms(&*optimizer, &state), [5, 2, 1, 0]);
    state.theta[8 + 5] = 2.0;
    state.theta[5] = 1.8;
    assert_eq!(arms(&*optimizer, &state), [2, 1, 0, 7]);
    for round in [14, 39, u32::MAX] {
        state.round = round;
        assert_eq!(arms(&*optimizer, &state), [2, 1, 0, 5]);
    }
}

#[test]
fn ucb_prefers_the_unknown() {
    let optimizer =
        |c: f32| optimizer(&json!({ "rule": "ucb", "arms": 1, "exploration": c }), 3, 1);
    let state = State::new(vec![8.0, 0.7, 0.0, 10.0, 1.0, 0.0], 0);
    assert_eq!(arms(&*optimizer(0.1), &state), [2]);
    let state = State::new(vec![8.0, 0.7, 0.1, 10.0, 1.0, 1.0], 0);
    assert_eq!(arms(&*optimizer(0.0), &state), [0]);
    // 0.8 + c·√(ln 12/10) against 0.7 + c·√(ln 12).
    assert_eq!(arms(&*optimizer(0.08), &state), [0]);
    assert_eq!(arms(&*optimizer(0.1), &state), [1]);
}

#[test]
fn rewards_are_accuracies_or_losses_within_a_bound() {
    let outcome = Outcome {
        loss: 6.0,
        correct: 3,
        total: 4,
    };
    let cost = |settings: Value| optimizer(&settings, 2, 1).cost(&outcome);
    assert_eq!(cost(json!({})), 0.25);
    assert_eq!(cost(json!({ "reward": "loss", "loss_bound": 3.0 })), 0.5);
    let bandit = optimizer(&json!({}), 2, 1);
    let mut state = State::new(vec![0.0; 4], 0);
    bandit.tell(&mut state, &[7.0, -1.0]).unwrap();
    bandit.tell(&mut state, &[0.5, 0.5]).unwrap();
    assert_eq!(state.theta, [0.25, 0.75, 1.0, 1.0]);
    assert!(bandit.tell(&mut state, &[0.5]).is_err());
}

proptest! {
    /// Whatever an aggregator announces, K different arms are tried.
    #[test]
    fn any_theta_gives_arms(theta in prop::collection::vec(any::<f32>(), 10), round: u32, rule in 0..3usize) {
        let optimizer = optimizer(&json!({ "rule": RULES[rule], "arms": 3 }), 5, 1);
        let asked = optimizer.ask(&State::new(theta, round));
        let mut named: Vec<u32> = asked.iter().filter_map(|c| Some(c.direction?.counter[0])).collect();
        named.sort_unstable();
        named.dedup();
        prop_assert!(named.len() == 3 && named.iter().all(|arm| *arm < 5), "{named:?}");
    }
}
