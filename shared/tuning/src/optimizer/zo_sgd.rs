//! `zo-sgd`: plain steps along the estimated gradient, the choice when the server keeps the
//! moments.

use super::estimate::{self, Estimator};
use super::{
    Candidate, DirectionKey, Entry, Needs, Optimizer, Plan, Space, State, TellError, Tries,
};
use ground::fault::Reader;
use ground::form::About;

/// The `zo-sgd` optimiser with its settings.
#[derive(Clone, Debug)]
pub struct ZoSgd {
    estimator: Estimator,
    plan: Plan,
    learning_rate: f32,
    decay: bool,
    polynomial: Option<Polynomial>,
}

/// BAR's decay of the learning rate at t of T steps: lr falls to `end` with (1 −
/// t/(`until`·T))^`power`, and stays there.
#[derive(Clone, Copy, Debug)]
struct Polynomial {
    end: f32,
    power: f32,
    until: f32,
}

impl Polynomial {
    /// The learning rate when the share `remaining` of the run, from 1 to 0, is left.
    fn rate(&self, start: f32, remaining: f32) -> f32 {
        let left = (1.0 - (1.0 - remaining) / self.until).max(0.0);
        (start - self.end) * libm::powf(left, self.power) + self.end
    }
}

/// The optimiser as the registry lists it.
pub(super) const ENTRY: Entry = Entry {
    about: About::of("random differences, plain steps")
        .offered("random differences, plain steps", estimate::FIELDS),
    tries: Some(Tries::DIRECTIONS),
    needs: Needs::NOTHING,
    build,
};

/// Reads the settings of the estimate, `learning_rate` and `decay`.
fn build(reader: &mut Reader<'_>, key: DirectionKey, plan: Plan, _: Space) -> Box<dyn Optimizer> {
    let estimator = Estimator::read(reader, key);
    let learning_rate = reader.number("learning_rate", 0.0..=100.0, Some(0.005));
    let decays: &[&str] = &["linear", "none", "polynomial"];
    let decay = reader.choice("decay", decays, Some("none"));
    let polynomial = (decay == 2).then(|| Polynomial {
        end: reader.number(
            "learning_rate_end",
            0.0..=100.0,
            Some(f64::from(learning_rate) / 100.0),
        ),
        power: reader.number("decay_power", 0.1..=10.0, Some(0.9)),
        until: reader.number("decay_until", 0.01..=1.0, Some(0.9)),
    });
    Box::new(ZoSgd {
        estimator,
        plan,
        learning_rate,
        decay: decay == 0,
        polynomial,
    })
}

impl ZoSgd {
    fn rate(&self, state: &State) -> f32 {
        if let Some(polynomial) = self.polynomial {
            return polynomial.rate(self.learning_rate, self.plan.remaining(state));
        }
        self.plan.rate(self.learning_rate, self.decay, state)
    }
}

impl Optimizer for ZoSgd {
    fn ask(&self, state: &State) -> Vec<Candidate> {
        self.estimator.ask(state)
    }

    fn tell(&self, state: &mut State, losses: &[f32]) -> Result<(), TellError> {
        let (gradient, shares) = self.estimator.gradient(state, losses)?;
        let rate = self.rate(state);
        Estimator::descend(state, &gradient, &shares, rate);
        Ok(())
    }

    fn batches_per_step(&self) -> usize {
        self.estimator.batches()
    }

    fn scalars_per_step(&self) -> Option<usize> {
        Some(self.estimator.directions())
    }

    fn replay(&self, round: u32, scalars: &[f32], _: &mut Vec<f32>, out: &mut [f32]) {
        self.estimator.replay(round, scalars, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ground::fault::Reader;
    use ground::rng::{Stream, purpose};
    use serde_json::json;

    /// What the steps of a round move, and the same recomputed from their factors alone.
    fn both(settings: &serde_json::Value, dim: usize, size: f32) -> (Vec<f32>, Vec<f32>) {
        let mut faults = Vec::new();
        let mut reader = Reader::new("", settings, &mut faults);
        let plan = Plan {
            rounds: 10,
            local_steps: 5,
        };
        let optimizer = build(&mut reader, DirectionKey([7, 9]), plan, Space::default());
        assert!(faults.is_empty(), "{faults:?}");
        let mut dice = Stream::new(3, purpose::FAULT);
        let theta: Vec<f32> = (0..dim).map(|i| (i as f32 * 0.37).cos()).collect();
        let mut state = State::new(theta.clone(), 4);
        for _ in 0..5 {
            let losses: Vec<f32> = optimizer
                .ask(&state)
                .iter()
                .map(|_| size * dice.below(1_000) as f32 / 1_000.0)
                .collect();
            optimizer.tell(&mut state, &losses).unwrap();
        }
        assert_eq!(
            Some(state.scalars.len()),
            optimizer.scalars_per_step().map(|each| 5 * each)
        );
        let mut again = vec![0.0; dim];
        optimizer.replay(4, &state.scalars, &mut Vec::new(), &mut again);
        let moved = state.theta.iter().zip(&theta).map(|(new, old)| new - old);
        (moved.collect(), again)
    }

    #[test]
    fn the_factors_alone_give_the_same_movement() {
        for (settings, size) in [
            (json!({ "directions": 1, "learning_rate": 0.01 }), 1.0),
            (json!({ "directions": 5, "learning_rate": 0.01 }), 1.0),
            (
                json!({ "directions": 3, "differences": "forward", "learning_rate": 0.005 }),
                1.0,
            ),
            (
                json!({ "directions": 4, "learning_rate": 0.02, "decay": "linear" }),
                1.0,
            ),
            (
                json!({ "directions": 4, "learning_rate": 0.02, "decay": "polynomial" }),
                1.0,
            ),
            // Steep enough for the estimate to be clipped.
            (json!({ "directions": 2, "learning_rate": 0.01 }), 1_000.0),
            (
                json!({ "directions": 2, "learning_rate": 1e-5, "clip": false }),
                1_000.0,
            ),
        ] {
            for dim in [1, 8, 576] {
                let (moved, again) = both(&settings, dim, size);
                assert!(
                    moved.iter().any(|m| m.abs() > 1e-4),
                    "{settings}: {moved:?}"
                );
                let off = moved.iter().zip(&again).map(|(a, b)| (a - b).abs());
                let most = off.fold(0.0, f32::max);
                assert!(most <= 1e-6, "{settings} {dim}: {most}");
            }
        }
    }

    #[test]
    fn another_round_goes_along_other_directions() {
        let (mut faults, settings) = (Vec::new(), json!({}));
        let mut reader = Reader::new("", &settings, &mut faults);
        let plan = Plan {
            rounds: 10,
            local_steps: 5,
        };
        let optimizer = build(&mut reader, DirectionKey([7, 9]), plan, Space::default());
        let replayed = |round, scalars: &[f32]| {
            let mut out = vec![0.0; 64];
            optimizer.replay(round, scalars, &mut Vec::new(), &mut out);
            out
        };
        assert_ne!(replayed(0, &[1.0; 5]), replayed(1, &[1.0; 5]));
        // Replaying adds to what is there, and fewer factors mean fewer directions.
        let mut twice = replayed(0, &[1.0]);
        optimizer.replay(0, &[1.0], &mut Vec::new(), &mut twice);
        assert_eq!(twice, replayed(0, &[2.0]));
        assert_eq!(replayed(0, &[]), [0.0; 64]);
    }

    /// The learning rates of BAR's release, 10 → 0.1, at the beginning, half-way, at nine tenths
    /// and after.
    #[test]
    fn the_polynomial_decay_is_bars() {
        let bar = Polynomial {
            end: 0.1,
            power: 0.9,
            until: 0.9,
        };
        let rate = |done: f32| bar.rate(10.0, 1.0 - done);
        assert_eq!(rate(0.0), 10.0);
        let half = 9.9 * f32::powf(1.0 - 0.5 / 0.9, 0.9) + 0.1;
        assert!((rate(0.5) - half).abs() < 1e-4, "{} {half}", rate(0.5));
        assert!((rate(0.9) - 0.1).abs() < 1e-3 && rate(0.95) == 0.1 && rate(1.0) == 0.1);
    }
}
