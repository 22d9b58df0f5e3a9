//! `zo-adam`: zeroth-order differences along Rademacher directions, Adam's moments, and a rate that
//! decays linearly to zero.
//!
//! The estimate is in `estimate.rs`. Adam: Kingma and Ba, ICLR 2015, with bias correction.

use super::estimate::{self, Estimator};
use super::{
    Candidate, DirectionKey, Entry, Needs, Optimizer, Plan, Space, State, TellError, Tries,
};
use ground::fault::Reader;
use ground::form::About;

/// The `zo-adam` optimiser with its settings.
#[derive(Clone, Debug)]
pub struct ZoAdam {
    estimator: Estimator,
    plan: Plan,
    learning_rate: f32,
    betas: [f32; 2],
    decay: bool,
}

/// The optimiser as the registry lists it.
pub(super) const ENTRY: Entry = Entry {
    about: About::of("random differences, then Adam")
        .offered("random differences, Adam", estimate::FIELDS),
    tries: Some(Tries::DIRECTIONS),
    needs: Needs::NOTHING,
    build,
};

/// Reads the settings of the estimate, `learning_rate`, `beta1`, `beta2` and `decay`.
fn build(reader: &mut Reader<'_>, key: DirectionKey, plan: Plan, _: Space) -> Box<dyn Optimizer> {
    Box::new(ZoAdam {
        estimator: Estimator::read(reader, key),
        plan,
        learning_rate: reader.number("learning_rate", 0.0..=10.0, Some(0.01)),
        betas: [
            reader.number("beta1", 0.0..=0.9999, Some(0.9)),
            reader.number("beta2", 0.0..=0.99999, Some(0.99)),
        ],
        decay: reader.choice("decay", &["linear", "none"], Some("linear")) == 0,
    })
}

impl Optimizer for ZoAdam {
    fn ask(&self, state: &State) -> Vec<Candidate> {
        self.estimator.ask(state)
    }

    fn tell(&self, state: &mut State, losses: &[f32]) -> Result<(), TellError> {
        let (gradient, _) = self.estimator.gradient(state, losses)?;
        let rate = self.plan.rate(self.learning_rate, self.decay, state);
        state.moments.resize(2, Vec::new());
        state
            .moments
            .iter_mut()
            .for_each(|m| m.resize(gradient.len(), 0.0));
        let t = state.step as i32 + 1;
        let correction = self.betas.map(|b| 1.0 - libm::powf(b, t as f32));
        let [first, second] = &mut state.moments[..] else {
            return Ok(());
        };
        for (((theta, g), m), v) in state.theta.iter_mut().zip(&gradient).zip(first).zip(second) {
            *m = self.betas[0] * *m + (1.0 - self.betas[0]) * g;
            *v = self.betas[1] * *v + (1.0 - self.betas[1]) * g * g;
            *theta -= rate * (*m / correction[0]) / ((*v / correction[1]).sqrt() + 1e-8);
        }
        state.step += 1;
        Ok(())
    }

    fn batches_per_step(&self) -> usize {
        self.estimator.batches()
    }
}
