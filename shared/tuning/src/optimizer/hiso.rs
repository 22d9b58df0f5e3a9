//! `hiso`: steps along directions that are longer where the loss is flat (HiSo, ICLR 2026, arXiv
//! 2506.02370).
//!
//! z = u/√H with u Rademacher (normal in the paper); points θ ± c·z; θ −= lr·1/K Σ_k slope_k z_k. H
//! begins at 1 and follows the squares of the federation's own steps: H ← (1 − ν)·H + ν·Δ² with Δ =
//! 1/K Σ_k slope_k z_k and the mean slope of all participants, step by step as in the release's
//! `adam_forward.py`. All this follows from the scalars that every participant replays, so it costs
//! no byte; it needs the rule `scalars`. Within a round H stays what it was at the beginning.

use super::estimate::Estimator;
use super::points::Points;
use super::{
    Candidate, DirectionKey, Entry, Needs, Optimizer, Plan, Space, State, TellError, Tries,
};
use ground::fault::Reader;
use ground::form::About;

/// Smallest entry of H that divides: no entry of a direction exceeds 1/√1e-8.
const SMALLEST: f32 = 1e-8;

/// The `hiso` optimiser with its settings.
#[derive(Clone, Debug)]
pub struct HiSo {
    estimator: Estimator,
    plan: Plan,
    learning_rate: f32,
    decay: bool,
    smoothing: f32,
}

/// The optimiser as the registry lists it.
pub(super) const ENTRY: Entry = Entry {
    about: About::of("random differences, scaled by what all have learnt of the curvature"),
    tries: Some(Tries::DIRECTIONS),
    needs: Needs::NOTHING,
    build,
};

/// Reads the settings of the estimate, `learning_rate`, `decay` and `smoothing` ν.
fn build(reader: &mut Reader<'_>, key: DirectionKey, plan: Plan, _: Space) -> Box<dyn Optimizer> {
    Box::new(HiSo {
        estimator: Estimator::read(reader, key),
        plan,
        learning_rate: reader.number("learning_rate", 0.0..=100.0, Some(0.005)),
        decay: reader.choice("decay", &["linear", "none"], Some("none")) == 0,
        smoothing: reader.number("smoothing", 0.0..=1.0, Some(0.05)),
    })
}

impl HiSo {
    fn rate(&self, round: u32, step: u32) -> f32 {
        let at = State {
            step,
            ..State::new(Vec::new(), round)
        };
        self.plan.rate(self.learning_rate, self.decay, &at)
    }
}

/// The factors 1/√H of the directions' entries.
fn factors(memory: &[f32]) -> Vec<f32> {
    let factor = |h: &f32| 1.0 / h.max(SMALLEST).sqrt();
    memory.iter().map(factor).collect()
}

/// The factors 1/√H of a state's directions; empty before anything was learnt.
fn learnt(state: &State) -> Vec<f32> {
    let memory = state.moments.first();
    memory.map(|memory| factors(memory)).unwrap_or_default()
}

impl Optimizer for HiSo {
    fn ask(&self, state: &State) -> Vec<Candidate> {
        self.estimator.ask(state)
    }

    fn tell(&self, state: &mut State, losses: &[f32]) -> Result<(), TellError> {
        let (mut gradient, shares) = self.estimator.gradient(state, losses)?;
        let rate = self.rate(state.round, state.step);
        for (g, factor) in gradient.iter_mut().zip(learnt(state)) {
            *g *= factor;
        }
        Estimator::descend(state, &gradient, &shares, rate);
        Ok(())
    }

    fn batches_per_step(&self) -> usize {
        self.estimator.batches()
    }

    fn scalars_per_step(&self) -> Option<usize> {
        Some(self.estimator.directions())
    }

    fn replay(&self, round: u32, scalars: &[f32], memory: &mut Vec<f32>, out: &mut [f32]) {
        memory.resize(out.len(), 1.0);
        let factors = factors(memory);
        let mut moved = vec![0.0; out.len()];
        for (step, scalars) in scalars.chunks(self.estimator.directions()).enumerate() {
            let step = step as u32;
            moved.fill(0.0);
            self.estimator.replay_step(round, step, scalars, &mut moved);
            let rate = self.rate(round, step);
            for (((m, factor), sum), h) in
                moved.iter().zip(&factors).zip(&mut *out).zip(&mut *memory)
            {
                let m = m * factor;
                *sum += m;
                // A step of length 0 says nothing about the slope.
                if rate > 0.0 {
                    let slope = m / rate;
                    *h = (1.0 - self.smoothing) * *h + self.smoothing * slope * slope;
                }
            }
        }
    }

    fn remembers(&self) -> bool {
        true
    }

    fn points(&self, state: &State) -> Points {
        let factors = learnt(state);
        // In the first round nothing is learnt yet, and the directions name the points.
        if factors.len() != state.theta.len() {
            return Points::default();
        }
        let point = |candidate: Candidate| {
            let mut point = state.theta.clone();
            if let Some(direction) = candidate.direction {
                direction.for_each(point.len(), |i, delta| {
                    point[i] += candidate.scale * factors[i] * delta;
                });
            }
            point
        };
        Points::given(self.ask(state).into_iter().map(point).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const DIM: usize = 16;
    const PLAN: Plan = Plan {
        rounds: 400,
        local_steps: 3,
    };

    /// ‖θ − 1‖², a hundred times steeper along every fourth axis.
    fn loss(point: &[f32]) -> f32 {
        let steep = |i: usize| if i.is_multiple_of(4) { 100.0 } else { 1.0 };
        let terms = point.iter().enumerate();
        terms.map(|(i, t)| steep(i) * (t - 1.0) * (t - 1.0)).sum()
    }

    fn optimizer(settings: &serde_json::Value) -> Box<dyn Optimizer> {
        super::super::build(settings, DirectionKey([7, 9]), PLAN, Space::default()).unwrap()
    }

    /// A round of one participant; its state holds what the steps moved, and their scalars.
    fn round(optimizer: &dyn Optimizer, theta: &[f32], memory: &[f32], number: u32) -> State {
        let mut state = State::new(theta.to_vec(), number);
        state.moments = vec![memory.to_vec()];
        let mut point = Vec::new();
        for _ in 0..PLAN.local_steps {
            let points = optimizer.points(&state);
            let mut losses = Vec::new();
            for (number, candidate) in optimizer.ask(&state).iter().enumerate() {
                match points.get(number) {
                    Some(given) => given.clone_into(&mut point),
                    None => candidate.apply(&state.theta, &mut point),
                }
                losses.push(loss(&point));
            }
            optimizer.tell(&mut state, &losses).unwrap();
        }
        state
    }

    #[test]
    fn the_factors_alone_give_the_same_movement_and_teach_where_it_is_steep() {
        let settings = json!({ "kind": "hiso", "directions": 8, "perturbation": 1e-3, "clip": false,
            "learning_rate": 1e-4, "decay": "linear" });
        let optimizer = optimizer(&settings);
        assert!(optimizer.remembers());
        let (mut theta, mut memory) = (vec![0.0; DIM], Vec::new());
        for number in 0..60 {
            let state = round(&*optimizer, &theta, &memory, number);
            let mut moved = vec![0.0; DIM];
            optimizer.replay(number, &state.scalars, &mut memory, &mut moved);
            for ((local, old), moved) in state.theta.iter().zip(&theta).zip(&moved) {
                assert!((local - old - moved).abs() < 1e-5, "{local} {old} {moved}");
            }
            theta = state.theta;
        }
        let sum = |steep: bool| {
            let chosen = memory.iter().enumerate();
            let chosen = chosen.filter(|(i, _)| i.is_multiple_of(4) == steep);
            chosen.map(|(_, h)| h).sum::<f32>()
        };
        // A fourth of the axes is steep. Most of H is what the noise of the directions adds to all
        // entries equally.
        assert!(sum(true) / 4.0 > 1.3 * sum(false) / 12.0, "{memory:?}");
    }

    /// With slopes of one size and H = 1 it equals zo-sgd, and with ν = 0 it remains so.
    #[test]
    fn without_smoothing_it_is_zo_sgd() {
        let plain = optimizer(&json!({ "kind": "zo-sgd", "learning_rate": 0.001 }));
        let hiso = optimizer(&json!({ "kind": "hiso", "learning_rate": 0.001, "smoothing": 0.0 }));
        let (mut theta, mut memory) = (vec![0.0; DIM], Vec::new());
        for number in 0..3 {
            let state = round(&*hiso, &theta, &memory, number);
            assert_eq!(state.theta, round(&*plain, &theta, &[], number).theta);
            hiso.replay(number, &state.scalars, &mut memory, &mut [0.0; DIM]);
            theta = state.theta;
        }
        assert_eq!(memory, [1.0; DIM]);
    }

    /// H takes part in deciding θ, so its bits are frozen.
    #[test]
    fn what_it_remembers_is_frozen() {
        let optimizer = optimizer(&json!({ "kind": "hiso", "directions": 3 }));
        let (mut memory, mut moved) = (Vec::new(), vec![0.0; 40]);
        for number in 0..4 {
            let scalars: Vec<f32> = (0..9).map(|i| (i as f32 - 3.0) / 512.0).collect();
            optimizer.replay(number, &scalars, &mut memory, &mut moved);
        }
        let hashes = [&memory, &moved].map(|numbers| ground::hash::theta_hash(numbers));
        assert_eq!(
            hashes,
            [
                "7db0d1a9a89d7574a33ba91f58e67b93b8e79d449c3acb02b82299c1d83c171e",
                "374910e906782ab06063017477f2aa66059e4adf45f980a5e958b1b69b7b756d",
            ]
        );
    }
}
