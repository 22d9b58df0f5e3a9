//! `zo-sgd`: plain steps along the estimate. The local optimiser of choice when the server keeps the moments.

use super::estimate::Estimator;
use super::{Candidate, Identity, Optimizer, Plan, State, TellError};
use crate::fault::Reader;

/// Settings of the optimiser.
#[derive(Clone, Debug)]
pub struct ZoSgd {
    estimator: Estimator,
    plan: Plan,
    learning_rate: f32,
    decay: bool,
}

/// Reads the estimate's settings, `learning_rate`, `decay`.
pub(super) fn build(reader: &mut Reader<'_>, identity: Identity, plan: Plan) -> Box<dyn Optimizer> {
    Box::new(ZoSgd {
        estimator: Estimator::read(reader, identity),
        plan,
        learning_rate: reader.number("learning_rate", 0.0..=100.0, Some(0.005)),
        decay: reader.choice("decay", &["linear", "none"], Some("none")) == 0,
    })
}

impl Optimizer for ZoSgd {
    fn ask(&self, state: &State) -> Vec<Candidate> {
        self.estimator.ask(state)
    }

    fn tell(&self, state: &mut State, losses: &[f32]) -> Result<(), TellError> {
        let (gradient, shares) = self.estimator.gradient(state, losses)?;
        let rate = self.learning_rate
            * if self.decay {
                self.plan.remaining(state)
            } else {
                1.0
            };
        for (theta, g) in state.theta.iter_mut().zip(&gradient) {
            *theta -= rate * g;
        }
        state.scalars.extend(shares.iter().map(|s| -rate * s));
        state.step += 1;
        Ok(())
    }

    fn batches_per_step(&self) -> usize {
        self.estimator.batches()
    }

    fn scalars_per_step(&self) -> Option<usize> {
        Some(self.estimator.directions())
    }

    fn replay(&self, round: u32, scalars: &[f32], out: &mut [f32]) {
        self.estimator.replay(round, scalars, out);
    }
}
