//! `node-perturbation`: differences along random signs of each picture's node values in place of θ,
//! and plain steps along the gradient that follows from them.
//!
//! A generator such as `statistic` is linear in θ up to its node values u = W z + b, and z is known.
//! So only the derivative by u must be guessed, which has far fewer entries than θ; the rest of the
//! way to θ is exact ("node perturbation", Werfel, Xie and Seung, Neural Computation 17, 2005).
//! With ξ_kp = ±1 for each node value of picture p of the batch (n pictures):
//!
//! ```text
//! g_p = 1/K Σ_k (L_p(u_p + c ξ_kp) − L_p(u_p)) / c · ξ_kp          (node values)
//! ĝ = 1/n Σ_p J_pᵀ g_p                J_p = ∂u_p/∂θ, for `statistic` g_p ⊗ [z_p, 1]
//! ```
//!
//! That is K + 1 batches of queries. ĝ is clipped to the norm √d as all other estimates are.

use super::memory::PictureMemory;
use super::{
    ByPicture, Candidate, DirectionKey, Entry, Needs, Optimizer, Plan, Seen, Space, State,
    TellError, Tries, check_losses, direction, estimate,
};
use ground::fault::Reader;
use ground::form::About;
use ground::rng::Distribution;

/// The `node-perturbation` optimiser with its settings.
#[derive(Clone, Debug)]
pub struct NodePerturbation {
    key: DirectionKey,
    plan: Plan,
    directions: u32,
    perturbation: f32,
    learning_rate: f32,
    decay: bool,
    clip: bool,
}

/// Number of directions without the setting `directions`.
const DIRECTIONS: u32 = 3;

/// The optimiser as the registry lists it.
pub(super) const ENTRY: Entry = Entry {
    about: About::of("random differences of each picture's own pattern")
        .offered("random differences of each picture's own pattern", &[]),
    tries: Some(Tries {
        usual: Some(DIRECTIONS),
        ..Tries::DIRECTIONS
    }),
    needs: Needs {
        nodes: true,
        ..Needs::NOTHING
    },
    build,
};

/// Reads `directions` K, `perturbation` c, `learning_rate`, `decay` and `clip`.
fn build(reader: &mut Reader<'_>, key: DirectionKey, plan: Plan, _: Space) -> Box<dyn Optimizer> {
    Box::new(NodePerturbation::read(reader, key, plan))
}

impl NodePerturbation {
    /// Reads the settings.
    pub(super) fn read(reader: &mut Reader<'_>, key: DirectionKey, plan: Plan) -> Self {
        Self {
            key,
            plan,
            directions: reader.whole("directions", 1..=64, Some(DIRECTIONS.into())) as u32,
            perturbation: reader.number("perturbation", 1e-6..=10.0, Some(0.25)),
            learning_rate: reader.number("learning_rate", 0.0..=100.0, Some(0.02)),
            decay: reader.choice("decay", &["linear", "none"], Some("none")) == 0,
            clip: reader.flag("clip", true),
        }
    }
}

impl Optimizer for NodePerturbation {
    fn ask(&self, state: &State) -> Vec<Candidate> {
        let moved = (0..self.directions).map(|k| Candidate {
            direction: Some(direction(self.key, state, k, Distribution::Nodes)),
            scale: self.perturbation,
        });
        std::iter::once(Candidate::BASE).chain(moved).collect()
    }

    /// Refuses: a batch's mean losses do not say which picture they come from.
    fn tell(&self, _: &mut State, losses: &[f32]) -> Result<(), TellError> {
        check_losses(self.batches_per_step(), losses)?;
        Err(TellError::NotByPicture)
    }

    fn batches_per_step(&self) -> usize {
        1 + self.directions as usize
    }

    fn by_picture(&self) -> Option<&dyn ByPicture> {
        Some(self)
    }
}

impl ByPicture for NodePerturbation {
    fn gradient(
        &self,
        candidates: &[Candidate],
        seen: &Seen<'_>,
        _: &mut PictureMemory,
    ) -> Vec<f32> {
        let mut gradient = vec![0.0; seen.generator.dim()];
        let (mut slopes, mut moved) = (Vec::new(), Vec::new());
        let pictures = seen.batch.len();
        for (picture, example) in seen.batch.iter().enumerate() {
            let Some(prepared) = seen.picture(*example) else {
                continue;
            };
            slopes.clear();
            slopes.resize(seen.generator.nodes(), 0.0);
            let base = seen.losses.get(picture).copied().unwrap_or(0.0);
            for (k, candidate) in candidates.iter().enumerate().skip(1) {
                candidate.move_nodes(picture, slopes.len(), &mut moved);
                let loss = seen.losses.get(k * pictures + picture);
                // c·ξ divided by c² is ξ divided by c.
                let size = candidate.scale * candidate.scale * self.directions as f32;
                let share = (loss.copied().unwrap_or(base) - base) / size;
                slopes
                    .iter_mut()
                    .zip(&moved)
                    .for_each(|(slope, moved)| *slope += share * moved);
            }
            let Some(bound) = seen.bound else {
                slopes.iter_mut().for_each(|s| *s /= pictures as f32);
                seen.generator.pull_back(prepared, &slopes, &mut gradient);
                continue;
            };
            let mut alone = vec![0.0; gradient.len()];
            seen.generator.pull_back(prepared, &slopes, &mut alone);
            // The step is at most the learning rate times as long.
            let share = estimate::factor(&alone, f64::from(bound.clip / self.learning_rate));
            let share = share / bound.batch as f32;
            let both = gradient.iter_mut().zip(&alone);
            both.for_each(|(sum, g)| *sum += share * g);
        }
        gradient
    }

    fn bounds_examples(&self) -> bool {
        true
    }

    fn tell_gradient(&self, state: &mut State, gradient: &[f32]) -> Result<(), TellError> {
        let rate = self.plan.rate(self.learning_rate, self.decay, state);
        estimate::descend(state, gradient, self.clip, rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::{self, Generator, Prepared, Shape};
    use crate::objective::loss::Loss;
    use crate::optimizer::ExampleBound;
    use ground::fault::section;
    use ground::rng::Stream;
    use serde_json::{Value, json};

    const PLAN: Plan = Plan {
        rounds: 10,
        local_steps: 5,
    };

    fn optimizer(spec: &Value) -> Box<dyn Optimizer> {
        section("optimizer", spec, |reader| {
            build(reader, DirectionKey([3, 4]), PLAN, Space::NUMBERS)
        })
        .unwrap()
    }

    fn task(spec: &Value, pictures: usize) -> (Box<dyn Generator>, Vec<Prepared>) {
        let shape = Shape {
            height: 12,
            width: 12,
        };
        let generator = generator::build(spec, shape).unwrap();
        let mut dice = Stream::with_key([1, 2]);
        let mut picture =
            || -> Vec<u8> { (0..shape.bytes()).map(|_| dice.below(256) as u8).collect() };
        let prepared = (0..pictures)
            .map(|_| generator.prepare(&picture()))
            .collect();
        (generator, prepared)
    }

    /// What the optimiser makes of all pictures' losses at the points that it asks.
    fn gradient(
        optimizer: &dyn Optimizer,
        generator: &dyn Generator,
        state: &State,
        prepared: &[Prepared],
        losses: &[f32],
        bound: Option<ExampleBound>,
    ) -> Vec<f32> {
        let batch: Vec<u32> = (0..prepared.len() as u32).collect();
        let seen = Seen {
            generator,
            theta: &state.theta,
            pictures: prepared.iter().map(|p| (p, 0)).collect(),
            batch: &batch,
            begun_anew: false,
            losses,
            scores: &[],
            labels: 0,
            loss: Loss::CrossEntropy,
            bound,
        };
        let by_picture = optimizer.by_picture().unwrap();
        by_picture.gradient(&optimizer.ask(state), &seen, &mut PictureMemory::default())
    }

    /// The mean of many estimates is the gradient that is known: of L_p = Σ_i a_i u_pi.
    #[test]
    fn the_estimate_is_unbiased_where_the_loss_is_linear() {
        for spec in [
            json!({ "kind": "statistic", "grid": 3, "statistics": 4 }),
            json!({ "kind": "statistic", "grid": 3, "statistics": 3, "output": "basis", "channels": 3 }),
        ] {
            let (generator, prepared) = task(&spec, 4);
            let batch: Vec<&Prepared> = prepared.iter().collect();
            let optimizer = optimizer(&json!({ "directions": 8, "clip": false }));
            let n = generator.nodes();
            let slopes: Vec<f32> = (0..n).map(|i| (i as f32 * 0.7).sin()).collect();
            let mut exact = vec![0.0; generator.dim()];
            let each: Vec<f32> = slopes.iter().map(|s| s / batch.len() as f32).collect();
            batch
                .iter()
                .for_each(|p| generator.pull_back(p, &each, &mut exact));
            let mut mean = vec![0.0f64; generator.dim()];
            let mut state = State::new(vec![0.0; generator.dim()], 0);
            let steps = 2_000;
            for step in 0..steps {
                state.step = step;
                let candidates = optimizer.ask(&state);
                assert_eq!(candidates.len(), optimizer.batches_per_step());
                let mut losses = Vec::new();
                let mut moved = Vec::new();
                for candidate in &candidates {
                    for picture in 0..batch.len() {
                        candidate.move_nodes(picture, n, &mut moved);
                        losses.push(moved.iter().zip(&slopes).map(|(m, s)| m * s).sum());
                    }
                }
                let estimate = gradient(&*optimizer, &*generator, &state, &prepared, &losses, None);
                mean.iter_mut()
                    .zip(&estimate)
                    .for_each(|(m, e)| *m += f64::from(*e) / f64::from(steps));
            }
            let size = |v: &[f32]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            let off: Vec<f32> = mean
                .iter()
                .zip(&exact)
                .map(|(m, e)| *m as f32 - e)
                .collect();
            assert!(size(&off) < 0.1 * size(&exact), "{spec}: {off:?}");
        }
    }

    /// The prompted picture depends on θ through the node values alone, as `pull_back` says.
    #[test]
    fn moving_node_values_is_moving_theta() {
        for spec in [
            json!({ "kind": "statistic", "grid": 3, "statistics": 4 }),
            json!({ "kind": "statistic", "grid": 4, "statistics": 3, "output": "basis", "channels": 3 }),
        ] {
            let (generator, prepared) = task(&spec, 1);
            let mut dice = Stream::with_key([7, 7]);
            let theta: Vec<f32> = (0..generator.dim()).map(|_| 0.3 * dice.normal()).collect();
            let bytes = prepared[0].image.len();
            let (mut by_theta, mut by_nodes) = (vec![0; bytes], vec![0; bytes]);
            let mut scratch = generator::Scratch::default();
            generator.prompt(&theta, &prepared[0], &mut scratch, &mut by_theta);
            // By the generator's own derivative: u = J θ.
            scratch.nodes = (0..generator.nodes())
                .map(|i| {
                    let (mut one, mut row) = (vec![0.0; generator.nodes()], vec![0.0; theta.len()]);
                    one[i] = 1.0;
                    generator.pull_back(&prepared[0], &one, &mut row);
                    row.iter().zip(&theta).map(|(j, t)| j * t).sum()
                })
                .collect();
            let mut values = Vec::new();
            generator.node_values(&theta, &prepared[0], &mut values);
            let off = values
                .iter()
                .zip(&scratch.nodes)
                .map(|(a, b)| (a - b).abs());
            assert!(off.fold(0.0, f32::max) < 1e-5);
            let zero = vec![0.0; theta.len()];
            generator.prompt(&zero, &prepared[0], &mut scratch, &mut by_nodes);
            let off = by_theta.iter().zip(&by_nodes).map(|(a, b)| a.abs_diff(*b));
            assert!(off.max() <= Some(1), "{spec}");
            assert_ne!(by_theta, prepared[0].image);
        }
    }

    /// Whatever the model answers about one picture, and however much: it moves the step by no more
    /// than its share of the bound.
    #[test]
    fn one_picture_moves_a_bounded_step_by_its_share_alone() {
        let spec = json!({ "kind": "statistic", "grid": 3, "statistics": 4 });
        let (generator, prepared) = task(&spec, 4);
        let optimizer = optimizer(&json!({ "learning_rate": 0.5, "directions": 2 }));
        let by_picture = optimizer.by_picture().unwrap();
        let (clip, batch) = (0.3f32, 5);
        let start = State::new(vec![0.0; generator.dim()], 0);
        let step = |losses: &[f32]| {
            let bound = Some(ExampleBound { clip, batch });
            let gradient = gradient(&*optimizer, &*generator, &start, &prepared, losses, bound);
            let mut state = start.clone();
            by_picture.tell_gradient(&mut state, &gradient).unwrap();
            state.theta
        };
        let norm = |v: &[f32]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let mut dice = Stream::with_key([8, 8]);
        let mut farthest = 0.0f64;
        for size in [0.01, 1.0, 1e6] {
            let mut losses: Vec<f32> = (0..12).map(|_| dice.uniform()).collect();
            let before = step(&losses);
            // A blank in picture 2's place says nothing: its losses do not change.
            [2, 6, 10].iter().for_each(|i| losses[*i] = 0.0);
            let blank = step(&losses);
            for i in [2, 6, 10] {
                losses[i] = size * dice.uniform();
            }
            let after = step(&losses);
            for other in [&before, &after] {
                let off: Vec<f32> = blank.iter().zip(other).map(|(a, b)| a - b).collect();
                let bound = f64::from(clip) / f64::from(batch);
                assert!(norm(&off) <= bound * (1.0 + 1e-5), "{size}: {}", norm(&off));
                farthest = farthest.max(norm(&off) / bound);
            }
            assert!(norm(&after) <= f64::from(clip));
        }
        // The bound is reached, so the test would notice a larger share.
        assert!(farthest > 0.999, "{farthest}");
    }

    #[test]
    fn steps_go_down_the_gradient_and_no_further_than_the_clip() {
        let optimizer = optimizer(&json!({ "learning_rate": 0.5 }));
        let by_picture = optimizer.by_picture().unwrap();
        let mut state = State::new(vec![1.0; 4], 0);
        by_picture
            .tell_gradient(&mut state, &[1.0, 0.0, -1.0, 0.0])
            .unwrap();
        assert_eq!(
            (state.theta.clone(), state.step),
            (vec![0.5, 1.0, 1.5, 1.0], 1)
        );
        by_picture
            .tell_gradient(&mut state, &[3e4, 0.0, 0.0, 0.0])
            .unwrap();
        assert_eq!(state.theta[0], 0.5 - 0.5 * 2.0);
        let before = state.clone();
        let bad = by_picture.tell_gradient(&mut state, &[f32::NAN; 4]);
        assert_eq!(bad, Err(TellError::NotFinite { index: 0 }));
        assert!(by_picture.tell_gradient(&mut state, &[0.0; 3]).is_err());
        assert_eq!(
            optimizer.tell(&mut state, &[0.0; 4]),
            Err(TellError::NotByPicture)
        );
        assert_eq!(state, before);
    }
}
