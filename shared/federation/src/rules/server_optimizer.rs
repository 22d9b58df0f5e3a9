//! Server optimisers over the averaged update: FedOpt (Reddi et al., ICLR 2021).
//!
//! The mean update Δ is taken as a descent direction. `sgd`: θ += lr·Δ (lr 1 is plain FedAvg).
//! `momentum`: m = β₁ m + Δ, θ += lr·m. `adam`: FedAdam with bias correction, θ += lr·m̂/(√v̂ + ε).
//! The rate may decay linearly to zero over the federation's rounds.

use ground::fault::Reader;
use serde::{Deserialize, Serialize};
use tuning::optimizer::Search;

/// The rule of the server optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// θ += lr·Δ.
    Sgd,
    /// Heavy ball.
    Momentum,
    /// FedAdam.
    Adam,
}

/// Settings of the server optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerOptimizer {
    /// The rule.
    pub rule: Rule,
    /// Learning rate lr.
    pub learning_rate: f32,
    /// Decay β₁ of the first moment.
    pub beta1: f32,
    /// Decay β₂ of the second moment.
    pub beta2: f32,
    /// Adam's ε, relative to updates that are themselves small.
    pub epsilon: f32,
    /// Whether the learning rate decays as lr·(1 − t/rounds).
    pub decay: bool,
}

/// θ and the moments, which the aggregator keeps between rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerState {
    /// θ_t.
    pub theta: Vec<f32>,
    /// First moment, empty before the first update.
    pub first: Vec<f32>,
    /// Second moment, empty before the first update; or what a participants' optimiser remembers
    /// ([`tuning::optimizer::Optimizer::replay`]).
    pub second: Vec<f32>,
    /// Number of updates taken.
    pub updates: u32,
    /// The state of CMA-ES, if all share one search.
    #[serde(default)]
    pub search: Option<Search>,
}

impl ServerState {
    /// The state at θ₀.
    #[must_use]
    pub fn new(theta: Vec<f32>) -> Self {
        Self {
            theta,
            first: Vec::new(),
            second: Vec::new(),
            updates: 0,
            search: None,
        }
    }
}

impl ServerOptimizer {
    /// Reads `[federation.server]`.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let rule = [Rule::Sgd, Rule::Momentum, Rule::Adam]
            [reader.choice("kind", &["sgd", "momentum", "adam"], Some("sgd"))];
        Self {
            rule,
            learning_rate: reader.number(
                "learning_rate",
                0.0..=100.0,
                Some(if rule == Rule::Adam { 0.03 } else { 1.0 }),
            ),
            beta1: reader.number(
                "beta1",
                0.0..=0.9999,
                Some(if rule == Rule::Momentum { 0.9 } else { 0.8 }),
            ),
            beta2: reader.number("beta2", 0.0..=0.99999, Some(0.95)),
            epsilon: reader.number("epsilon", 1e-12..=1.0, Some(1e-8)),
            decay: reader.choice("decay", &["none", "linear"], Some("none")) == 1,
        }
    }

    /// Takes the mean update of `round` (counted from 0) of `rounds`.
    pub fn apply(&self, state: &mut ServerState, mean: &[f32], round: u32, rounds: u32) {
        let left = if self.decay {
            (1.0 - round as f32 / rounds.max(1) as f32).max(0.0)
        } else {
            1.0
        };
        let rate = self.learning_rate * left;
        state.updates += 1;
        if self.rule == Rule::Sgd {
            state
                .theta
                .iter_mut()
                .zip(mean)
                .for_each(|(t, d)| *t += rate * d);
            return;
        }
        state.first.resize(mean.len(), 0.0);
        let adam = self.rule == Rule::Adam;
        let fresh = if adam { 1.0 - self.beta1 } else { 1.0 };
        state
            .first
            .iter_mut()
            .zip(mean)
            .for_each(|(m, d)| *m = self.beta1 * *m + fresh * d);
        if !adam {
            state
                .theta
                .iter_mut()
                .zip(&state.first)
                .for_each(|(t, m)| *t += rate * m);
            return;
        }
        state.second.resize(mean.len(), 0.0);
        state
            .second
            .iter_mut()
            .zip(mean)
            .for_each(|(v, d)| *v = self.beta2 * *v + (1.0 - self.beta2) * d * d);
        let steps = state.updates as f32;
        let (c1, c2) = (
            1.0 - libm::powf(self.beta1, steps),
            1.0 - libm::powf(self.beta2, steps),
        );
        for ((t, m), v) in state.theta.iter_mut().zip(&state.first).zip(&state.second) {
            *t += rate * (m / c1) / ((v / c2).sqrt() + self.epsilon);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: ServerOptimizer = ServerOptimizer {
        rule: Rule::Sgd,
        learning_rate: 1.0,
        beta1: 0.8,
        beta2: 0.95,
        epsilon: 1e-8,
        decay: false,
    };

    #[test]
    fn plain_fedavg_adds_the_mean() {
        let mut state = ServerState::new(vec![1.0, 2.0]);
        BASE.apply(&mut state, &[0.5, -1.0], 0, 10);
        assert_eq!(state.theta, [1.5, 1.0]);
    }

    #[test]
    fn momentum_accumulates() {
        let mut state = ServerState::new(vec![0.0]);
        let momentum = ServerOptimizer {
            rule: Rule::Momentum,
            beta1: 0.5,
            ..BASE
        };
        momentum.apply(&mut state, &[1.0], 0, 10);
        momentum.apply(&mut state, &[1.0], 1, 10);
        assert_eq!(state.theta, [2.5]);
    }

    #[test]
    fn adams_first_step_is_the_rate_and_decay_ends_at_zero() {
        let adam = ServerOptimizer {
            rule: Rule::Adam,
            learning_rate: 0.1,
            decay: true,
            ..BASE
        };
        let mut state = ServerState::new(vec![0.0, 0.0]);
        adam.apply(&mut state, &[1e-3, -5.0], 0, 10);
        assert!((state.theta[0] - 0.1).abs() < 1e-5 && (state.theta[1] + 0.1).abs() < 1e-5);
        let before = state.theta.clone();
        adam.apply(&mut state, &[1.0, 1.0], 10, 10);
        assert_eq!(state.theta, before);
    }
}
