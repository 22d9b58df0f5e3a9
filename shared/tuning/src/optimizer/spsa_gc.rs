//! `spsa-gc`: simultaneous perturbation with gradient correction, exactly as in BlackVIP's released
//! code.
//!
//! Oh et al., "BlackVIP", CVPR 2023; code of 2023-08-15. With t = 1, 2, … over the whole run:
//!
//! ```text
//! a_t = a / (t + o)^α          c_t = c / t^γ
//! δ_i = s_i·u_i,  s_i = ±1,  u_i ~ U[½, 1]                       ("segmented uniform")
//! ĝ_i = mean over `directions` of (L(θ + c_t δ) − L(θ − c_t δ)) / (2 c_t δ_i)
//! m_t = β m_{t−1} + ĝ_t   (m_1 = ĝ_1)
//! θ ← θ − a_t (ĝ_t + β m_t)
//! ```
//!
//! The paper prints a look-ahead form; the code, and so this file, does not evaluate at the
//! look-ahead point. There is no clipping and no weight decay.

use super::estimate;
use super::{
    AskAhead, Candidate, DirectionKey, Entry, Needs, Optimizer, Plan, Space, State, TellError,
    Tries, check_losses, direction,
};
use ground::fault::Reader;
use ground::form::About;
use ground::rng::Distribution;

/// The `spsa-gc` optimiser with its settings, by the names that the paper gives them.
#[derive(Clone, Debug)]
pub struct SpsaGc {
    key: DirectionKey,
    plan: Plan,
    directions: u32,
    o: f32,
    a: f32,
    c: f32,
    alpha: f32,
    gamma: f32,
    beta: f32,
}

/// The optimiser as the registry lists it.
pub(super) const ENTRY: Entry = Entry {
    about: About::of("SPSA with gradient correction")
        .offered("SPSA with gradient correction", &[estimate::DIRECTIONS]),
    tries: Some(Tries::DIRECTIONS),
    needs: Needs {
        // For comparison it runs as released: without asking ahead.
        ask_ahead: AskAhead::OnRequest,
        ..Needs::NOTHING
    },
    build,
};

/// Reads `directions` (SP_AVG), `o`, `a`, `c`, `alpha`, `gamma` and `beta`; the defaults are those
/// for SVHN.
fn build(reader: &mut Reader<'_>, key: DirectionKey, plan: Plan, _: Space) -> Box<dyn Optimizer> {
    Box::new(SpsaGc {
        key,
        plan,
        directions: reader.whole("directions", 1..=64, Some(5)) as u32,
        o: reader.number("o", 0.0..=1e6, Some(1.0)),
        a: reader.number("a", 0.0..=100.0, Some(0.01)),
        c: reader.number("c", 1e-6..=10.0, Some(0.005)),
        alpha: reader.number("alpha", 0.0..=2.0, Some(0.4)),
        gamma: reader.number("gamma", 0.0..=2.0, Some(0.2)),
        beta: reader.number("beta", 0.0..=0.9999, Some(0.9)),
    })
}

impl SpsaGc {
    /// The gains a_t and c_t of the state's current step.
    fn gains(&self, state: &State) -> (f32, f32) {
        let t = (self.plan.steps_before(state) + 1) as f32;
        (
            self.a / libm::powf(t + self.o, self.alpha),
            self.c / libm::powf(t, self.gamma),
        )
    }
}

impl Optimizer for SpsaGc {
    fn ask(&self, state: &State) -> Vec<Candidate> {
        let (_, c) = self.gains(state);
        (0..self.directions)
            .flat_map(|k| {
                let direction = Some(direction(
                    self.key,
                    state,
                    k,
                    Distribution::SegmentedUniform,
                ));
                [
                    Candidate {
                        direction,
                        scale: c,
                    },
                    Candidate {
                        direction,
                        scale: -c,
                    },
                ]
            })
            .collect()
    }

    fn tell(&self, state: &mut State, losses: &[f32]) -> Result<(), TellError> {
        check_losses(self.batches_per_step(), losses)?;
        let (a, c) = self.gains(state);
        let mut gradient = vec![0f32; state.theta.len()];
        for k in 0..self.directions {
            let i = 2 * k as usize;
            let slope = (losses[i] - losses[i + 1]) / (2.0 * c) / self.directions as f32;
            direction(self.key, state, k, Distribution::SegmentedUniform)
                .for_each(gradient.len(), |i, delta| gradient[i] += slope / delta);
        }
        if state.moments.is_empty() {
            state.moments.push(vec![0.0; gradient.len()]);
        }
        for ((theta, g), m) in state
            .theta
            .iter_mut()
            .zip(&gradient)
            .zip(&mut state.moments[0])
        {
            *m = self.beta * *m + g;
            *theta -= a * (g + self.beta * *m);
        }
        state.step += 1;
        Ok(())
    }

    fn batches_per_step(&self) -> usize {
        2 * self.directions as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_are_those_of_the_released_schedule() {
        let spsa = SpsaGc {
            key: DirectionKey([0, 0]),
            plan: Plan {
                rounds: 1,
                local_steps: 5000,
            },
            directions: 5,
            o: 1.0,
            a: 0.01,
            c: 0.005,
            alpha: 0.4,
            gamma: 0.2,
            beta: 0.9,
        };
        for (step, a, c) in [
            (0, 7.6e-3, 5e-3),
            (99, 1.6e-3, 2.0e-3),
            (4999, 3.3e-4, 9.1e-4),
        ] {
            let got = spsa.gains(&State {
                step,
                ..State::new(vec![], 0)
            });
            assert!(
                (got.0 / a - 1.0).abs() < 0.02 && (got.1 / c - 1.0).abs() < 0.02,
                "{step}: {got:?}"
            );
        }
    }
}
