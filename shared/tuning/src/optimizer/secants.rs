//! `secants`: slopes of the model's scores, learnt from what was asked anyway.
//!
//! Every answer holds a score for each label, and a loss throws all of them but one number away. Here
//! each picture is asked once in its turn, at node values a little off θ's own, and the change since
//! its last answer says how its scores follow its node values (C. G. Broyden, "A Class of Methods for
//! Solving Nonlinear Simultaneous Equations", 1965). With u = a picture's node values, f = its centred
//! label scores, v = u(θ) + c·ξ the point that is asked, d = v − u_last, e = f(v) − f_last:
//!
//! ```text
//! A = Σ e (φ ⊗ d)ᵀ · (Σ (φ ⊗ d)(φ ⊗ d)ᵀ + λ I)⁻¹      slopes that all pictures share, φ = [1, z]
//! C ← C + (e − (A(φ) + C) d) dᵀ / dᵀd                  the picture's own correction
//! ĝ = 1/n Σ_p J_pᵀ (A(φ_p) + C_p)ᵀ ∂L(f_last + (A(φ_p) + C_p)(u_p(θ) − u_last))/∂f
//! ```
//!
//! where the last sum goes over all n pictures that were ever asked. Without statistics z (a generator
//! that gives all pictures the same pattern), φ = [1, softmax(f_last)]. What is remembered never
//! leaves the device. Linear slopes end before the best θ is reached, so the rest of a long run is
//! [node perturbation](super::node_perturbation), which needs more queries and believes nothing.

use super::memory::{PictureMemory, Remembered};
use super::node_perturbation::NodePerturbation;
use super::{
    ByPicture, Candidate, DirectionKey, Entry, Needs, Optimizer, Plan, Seen, Space, State,
    TellError, check_losses, direction, estimate,
};
use crate::objective::loss::softmax;
use ground::fault::Reader;
use ground::form::About;
use ground::rng::Distribution;

/// The `secants` optimiser with its settings.
#[derive(Clone, Debug)]
pub struct Secants {
    key: DirectionKey,
    plan: Plan,
    perturbation: f32,
    ridge: f32,
    learning_rate: f32,
    decay: bool,
    /// The round with which node perturbation takes over.
    until: u32,
    finish: NodePerturbation,
    /// Number of pictures that node perturbation asks about.
    finish_batch: u32,
}

/// Maximum length of φ ⊗ d, whose products are kept.
const MOST: usize = 1_024;

/// The optimiser as the registry lists it.
pub(super) const ENTRY: Entry = Entry {
    about: About::of("slopes learnt from earlier answers")
        .offered("slopes learnt from earlier answers", &[]),
    // One query for each picture.
    tries: None,
    needs: Needs {
        nodes: true,
        ..Needs::NOTHING
    },
    build,
};

/// Reads `perturbation` c, `ridge` λ, `learning_rate`, `decay`, `until`, and the table `finish`: `batch`
/// and node perturbation's own settings.
fn build(
    reader: &mut Reader<'_>,
    key: DirectionKey,
    plan: Plan,
    space: Space,
) -> Box<dyn Optimizer> {
    // φ ⊗ d.
    let features = if space.statistics > 0 {
        space.statistics
    } else {
        space.labels
    };
    let slopes = (1 + features) * space.nodes;
    if slopes > MOST {
        reader.fault(
            "kind",
            format!(
                "\"secants\" learns {slopes} slopes of each score; {MOST} is the most: take a smaller grid or fewer statistics"
            ),
        );
    }
    let (finish, finish_batch) = reader.table("finish", |reader| {
        let batch = reader.whole("batch", 1..=4096, Some(80)) as u32;
        (NodePerturbation::read(reader, key, plan), batch)
    });
    Box::new(Secants {
        key,
        plan,
        perturbation: reader.number("perturbation", 1e-6..=10.0, Some(0.3)),
        ridge: reader.number("ridge", 1e-6..=1e6, Some(3.0)),
        learning_rate: reader.number("learning_rate", 0.0..=100.0, Some(0.02)),
        decay: reader.choice("decay", &["linear", "none"], Some("none")) == 0,
        until: reader.whole("until", 0..=100_000, Some(80)) as u32,
        finish,
        finish_batch,
    })
}

impl Secants {
    fn is_finishing(&self, state: &State) -> bool {
        state.round >= self.until
    }

    /// φ of a picture: 1 and its statistics, or what the model made of it.
    fn features(seen: &Seen<'_>, example: u32, scores: &[f32]) -> Vec<f32> {
        let statistics = seen.statistics(example);
        let rest = if statistics.is_empty() {
            softmax(scores)
        } else {
            statistics.to_vec()
        };
        std::iter::once(1.0).chain(rest).collect()
    }
}

/// φ ⊗ d.
fn outer(features: &[f32], moved: &[f32]) -> Vec<f32> {
    let row = |f: &f32| moved.iter().map(|d| f * d).collect::<Vec<_>>();
    features.iter().flat_map(row).collect()
}

/// A(φ) + C: the slopes of a picture with these features, a row of node values for each label. `shared`
/// has a row of (features × nodes) numbers for each label, or is empty.
fn slopes_of(shared: &[f32], features: &[f32], picture: &Remembered) -> Vec<f32> {
    let nodes = picture.nodes.len().max(1);
    let mut slopes = vec![0.0; picture.correction.len()];
    let rows = shared.chunks_exact((features.len() * nodes).max(1));
    for (out, row) in slopes.chunks_exact_mut(nodes).zip(rows) {
        for (f, part) in features.iter().zip(row.chunks_exact(nodes)) {
            out.iter_mut().zip(part).for_each(|(o, a)| *o += f * a);
        }
    }
    let corrected = slopes.iter_mut().zip(&picture.correction);
    corrected.for_each(|(s, c)| *s += c);
    slopes
}

/// The product of a matrix (rows of `x.len()` numbers) with a vector.
fn times(matrix: &[f32], x: &[f32]) -> Vec<f32> {
    let dot = |row: &[f32]| row.iter().zip(x).map(|(m, x)| m * x).sum();
    matrix.chunks_exact(x.len().max(1)).map(dot).collect()
}

impl Optimizer for Secants {
    fn ask(&self, state: &State) -> Vec<Candidate> {
        if self.is_finishing(state) {
            return self.finish.ask(state);
        }
        vec![Candidate {
            direction: Some(direction(self.key, state, 0, Distribution::Nodes)),
            scale: self.perturbation,
        }]
    }

    /// Refuses: a batch's mean losses do not say which picture they come from.
    fn tell(&self, state: &mut State, losses: &[f32]) -> Result<(), TellError> {
        check_losses(self.ask(state).len(), losses)?;
        Err(TellError::NotByPicture)
    }

    fn batches_per_step(&self) -> usize {
        1
    }

    fn points_in(&self, round: u32) -> usize {
        if round < self.until {
            1
        } else {
            self.finish.batches_per_step()
        }
    }

    fn examples_in(&self, round: u32, batch: u32) -> u32 {
        if round < self.until {
            batch
        } else {
            self.finish_batch
        }
    }

    fn by_picture(&self) -> Option<&dyn ByPicture> {
        Some(self)
    }
}

impl ByPicture for Secants {
    fn gradient(
        &self,
        candidates: &[Candidate],
        seen: &Seen<'_>,
        memory: &mut PictureMemory,
    ) -> Vec<f32> {
        let [only] = candidates else {
            return self.finish.gradient(candidates, seen, memory);
        };
        let (nodes, labels) = (seen.generator.nodes(), seen.labels);
        // The slopes before this step: a picture's correction takes what they did not foresee.
        let foreseen = memory.solve(self.ridge, labels);
        let mut pairs = Vec::new();
        let mut moved = Vec::new();
        for (picture, example) in seen.batch.iter().enumerate() {
            let mut at = seen.node_values(*example);
            only.move_nodes(picture, nodes, &mut moved);
            at.iter_mut().zip(&moved).for_each(|(u, m)| *u += m);
            let mut scores = seen.scores(picture).to_vec();
            centre(&mut scores);
            let Some(last) = memory.of(*example) else {
                memory.pictures.push(Remembered {
                    example: *example,
                    nodes: at,
                    scores,
                    correction: vec![0.0; labels * nodes],
                });
                continue;
            };
            let features = Self::features(seen, *example, &last.scores);
            let d = difference(&at, &last.nodes);
            let e = difference(&scores, &last.scores);
            memory.learn(&outer(&features, &d), &e);
            pairs.push((*example, features, d, e, at, scores));
        }
        for (example, features, d, e, at, scores) in pairs {
            let Some(last) = memory.of_mut(example) else {
                continue;
            };
            let slopes = slopes_of(&foreseen, &features, last);
            let off = difference(&e, &times(&slopes, &d));
            let square = d.iter().map(|d| d * d).sum::<f32>().max(1e-12);
            for (row, off) in last.correction.chunks_exact_mut(nodes).zip(&off) {
                row.iter_mut()
                    .zip(&d)
                    .for_each(|(c, d)| *c += off * d / square);
            }
            (last.nodes, last.scores) = (at, scores);
        }
        let shared = memory.solve(self.ridge, labels);
        let mut gradient = vec![0.0; seen.generator.dim()];
        let counts = |last: &&Remembered| !seen.begun_anew || seen.batch.contains(&last.example);
        let share = 1.0 / memory.pictures.iter().filter(counts).count().max(1) as f32;
        for last in memory.pictures.iter().filter(counts) {
            let Some(prepared) = seen.picture(last.example) else {
                continue;
            };
            let features = Self::features(seen, last.example, &last.scores);
            let slopes = slopes_of(&shared, &features, last);
            let d = difference(&seen.node_values(last.example), &last.nodes);
            let mut scores = times(&slopes, &d);
            scores
                .iter_mut()
                .zip(&last.scores)
                .for_each(|(s, f)| *s += f);
            let by_scores = seen.loss.slopes(&scores, seen.label(last.example));
            let mut by_nodes = vec![0.0; nodes];
            for (row, slope) in slopes.chunks_exact(nodes).zip(&by_scores) {
                by_nodes
                    .iter_mut()
                    .zip(row)
                    .for_each(|(g, m)| *g += share * slope * m);
            }
            seen.generator.pull_back(prepared, &by_nodes, &mut gradient);
        }
        gradient
    }

    fn tell_gradient(&self, state: &mut State, gradient: &[f32]) -> Result<(), TellError> {
        if self.is_finishing(state) {
            return self.finish.tell_gradient(state, gradient);
        }
        let rate = self.plan.rate(self.learning_rate, self.decay, state);
        estimate::descend(state, gradient, true, rate)
    }

    fn in_turn(&self) -> bool {
        true
    }
}

fn difference(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// Subtracts the mean: a softmax does not see it.
fn centre(scores: &mut [f32]) {
    let mean = scores.iter().sum::<f32>() / scores.len().max(1) as f32;
    scores.iter_mut().for_each(|s| *s -= mean);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::{self, Prepared, Shape};
    use crate::objective::loss::Loss;
    use ground::fault::{Faults, section};
    use ground::rng::Stream;
    use serde_json::{Value, json};

    const LABELS: usize = 3;

    fn optimizer(spec: &Value, statistics: usize) -> Result<Box<dyn Optimizer>, Faults> {
        let plan = Plan {
            rounds: 90,
            local_steps: 1,
        };
        let space = Space {
            nodes: 9,
            statistics,
            labels: LABELS,
            ..Space::NUMBERS
        };
        section("optimizer", spec, |reader| {
            build(reader, DirectionKey([3, 4]), plan, space)
        })
    }

    /// Where scores follow the node values by slopes that the statistics decide, the gradient becomes
    /// the true one, although no picture is ever asked twice at the same θ.
    #[test]
    fn the_gradient_becomes_the_true_one() {
        for statistics in [4, 0] {
            let shape = Shape {
                height: 12,
                width: 12,
            };
            let spec = json!({ "kind": "statistic", "grid": 3, "statistics": statistics });
            let generator = generator::build(&spec, shape).unwrap();
            let mut dice = Stream::with_key([1, 2]);
            let pictures: Vec<Prepared> = (0..12)
                .map(|_| {
                    let picture: Vec<u8> =
                        (0..shape.bytes()).map(|_| dice.below(256) as u8).collect();
                    generator.prepare(&picture)
                })
                .collect();
            let nodes = generator.nodes();
            let law: Vec<f32> = (0..LABELS * nodes * (1 + statistics))
                .map(|_| 0.3 * dice.normal())
                .collect();
            let slopes = |p: &Prepared| {
                let features: Vec<f32> = [1.0].into_iter().chain(p.statistics.clone()).collect();
                let uncorrected = Remembered {
                    example: 0,
                    nodes: vec![0.0; nodes],
                    scores: vec![0.0; LABELS],
                    correction: vec![0.0; LABELS * nodes],
                };
                slopes_of(&law, &features, &uncorrected)
            };
            let optimizer = optimizer(&json!({}), statistics).unwrap();
            let by_picture = optimizer.by_picture().unwrap();
            let mut state = State::new(vec![0.0; generator.dim()], 0);
            let mut memory = PictureMemory::default();
            let mut likeness = 0.0;
            for round in 0..70 {
                state.round = round;
                state.step = 0;
                let candidates = optimizer.ask(&state);
                let batch: Vec<u32> = (0..6).map(|i| (6 * (round % 2)) + i).collect();
                let (mut scores, mut moved) = (Vec::new(), Vec::new());
                for (number, example) in batch.iter().enumerate() {
                    let p = &pictures[*example as usize];
                    let mut at = Vec::new();
                    generator.node_values(&state.theta, p, &mut at);
                    candidates[0].move_nodes(number, nodes, &mut moved);
                    at.iter_mut().zip(&moved).for_each(|(u, m)| *u += m);
                    // A constant added to all scores changes nothing.
                    scores.extend(times(&slopes(p), &at).iter().map(|s| s + 5.0));
                }
                let seen = |begun_anew| Seen {
                    generator: &*generator,
                    theta: &state.theta,
                    pictures: pictures
                        .iter()
                        .zip([0, 0, 0, 1].into_iter().cycle())
                        .collect(),
                    batch: &batch,
                    begun_anew,
                    losses: &[],
                    scores: &scores,
                    labels: LABELS,
                    loss: Loss::CrossEntropy,
                    bound: None,
                };
                // What began anew is of the batch's pictures alone.
                let mut other = memory.clone();
                let anew = by_picture.gradient(&candidates, &seen(true), &mut other);
                let gradient = by_picture.gradient(&candidates, &seen(false), &mut memory);
                // In the first rounds both are zero: nothing was asked twice.
                assert!(round < 4 || anew != gradient);
                let mut exact = vec![0.0; generator.dim()];
                for (example, p) in pictures.iter().enumerate() {
                    let mut at = Vec::new();
                    generator.node_values(&state.theta, p, &mut at);
                    let by_scores = Loss::CrossEntropy
                        .slopes(&times(&slopes(p), &at), usize::from(example % 4 == 3));
                    let mut by_nodes = vec![0.0; nodes];
                    for (row, s) in slopes(p).chunks_exact(nodes).zip(&by_scores) {
                        by_nodes
                            .iter_mut()
                            .zip(row)
                            .for_each(|(g, m)| *g += s * m / 12.0);
                    }
                    generator.pull_back(p, &by_nodes, &mut exact);
                }
                let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
                likeness = dot(&gradient, &exact)
                    / (dot(&gradient, &gradient) * dot(&exact, &exact))
                        .sqrt()
                        .max(1e-9);
                by_picture.tell_gradient(&mut state, &gradient).unwrap();
                let text = serde_json::to_string(&memory).unwrap();
                memory = serde_json::from_str(&text).unwrap();
            }
            assert!(likeness > 0.95, "{statistics}: {likeness}");
        }
    }

    #[test]
    fn node_perturbation_takes_over() {
        let spec = json!({ "until": 3, "finish": { "directions": 2, "batch": 7 } });
        let optimizer = optimizer(&spec, 4).unwrap();
        for round in [0, 2, 3, 80] {
            let asked = optimizer.ask(&State::new(vec![0.0; 45], round)).len();
            assert_eq!(asked, optimizer.points_in(round));
            let expected = if round < 3 { (1, 20) } else { (3, 7) };
            assert_eq!((asked, optimizer.examples_in(round, 20)), expected);
        }
    }

    #[test]
    fn too_many_slopes_are_refused() {
        assert!(optimizer(&json!({}), 112).is_ok());
        let Faults(faults) = optimizer(&json!({}), 113).err().unwrap();
        assert_eq!(faults[0].path, "optimizer.kind");
    }
}
