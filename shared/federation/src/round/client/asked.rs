//! What a participant asks the model in each stage, and about which examples.

use super::{Client, Environment, Evaluation, Part, Purpose, Stage};
use crate::task::Task;
use ground::rng::{Stream, derive_key, purpose};
use tuning::optimizer::points::Points;
use tuning::optimizer::{Candidate, State};

/// Maximum number of draws in search of a set of examples that was not drawn before. With few
/// examples, most sets may have been.
const ATTEMPTS: u32 = 100;

impl Client {
    /// The open stage's evaluation, if it has one.
    pub(super) fn evaluation(&self, env: &Environment<'_>) -> Option<Evaluation> {
        let work = self.work.as_ref()?;
        let all = |n: usize| (0..n as u32).collect::<Vec<_>>();
        Some(match &self.stage {
            Stage::Fitting { counted } => {
                let at = counted.as_ref().and_then(|_| env.task.initial().ok());
                let most = env.task.mapping.learnt.map_or(0, |l| l.examples);
                // Files are often sorted by label, so the first examples would not do.
                let words = [purpose::COUNTS, self.participant];
                Evaluation {
                    purpose: Purpose::Mapping,
                    candidates: at.iter().map(|_| Candidate::BASE).collect(),
                    theta: at.unwrap_or_default(),
                    points: Points::default(),
                    part: Part::Training,
                    examples: fresh(env.task, &words, env.training, most, work.renewed),
                }
            }
            Stage::Baseline => Evaluation {
                purpose: Purpose::Measure,
                theta: Vec::new(),
                candidates: Vec::new(),
                points: Points::default(),
                part: Part::Holdout,
                examples: all(env.holdout),
            },
            Stage::Measuring => Evaluation {
                purpose: Purpose::Measure,
                theta: work.theta.clone(),
                candidates: vec![Candidate::BASE],
                points: Points::default(),
                part: Part::Holdout,
                examples: all(env.holdout),
            },
            Stage::Training { state, behind } => {
                self.training_step(env, behind.as_ref().unwrap_or(state))
            }
            _ => return None,
        })
    }

    pub(super) fn training_step(&self, env: &Environment<'_>, asked_from: &State) -> Evaluation {
        let candidates = env.optimizer.ask(asked_from);
        let renewed = self.work.as_ref().map_or(0, |w| w.renewed);
        let by_example = env.task.federation.hides_examples();
        let in_turn = by_example || env.optimizer.by_picture().is_some_and(|o| o.in_turn());
        let (task, training) = (env.task, env.training);
        let mut examples = if in_turn && renewed == 0 {
            let most = task.federation.batch;
            let most = env.optimizer.examples_in(asked_from.round, most);
            turn(task, self.participant, asked_from, training, most)
        } else {
            batch(task, self.participant, asked_from, training, renewed)
        };
        examples.retain(|example| self.sums.allows(env, *example));
        Evaluation {
            purpose: Purpose::Step,
            theta: asked_from.theta.clone(),
            points: env.optimizer.points(asked_from),
            candidates,
            part: Part::Training,
            examples,
        }
    }

    /// What will be asked next whatever the open evaluation's answers are, so that its images can
    /// be prepared meanwhile: after measuring θ_t the first step from it and, if steps are asked
    /// ahead, the next step.
    #[must_use]
    pub fn upcoming(&self, env: &Environment<'_>) -> Option<Evaluation> {
        if self.paused {
            return None;
        }
        match (&self.stage, &self.work) {
            (Stage::Measuring, Some(work)) if !self.finished() => {
                Some(self.training_step(env, &self.beginning(env, work)))
            }
            (Stage::Training { state, .. }, _)
                if env.task.federation.ask_ahead
                    && state.step + 1 < env.task.federation.local_steps =>
            {
                let next = State {
                    step: state.step + 1,
                    ..state.clone()
                };
                Some(self.training_step(env, &next))
            }
            _ => None,
        }
    }
}

/// The examples of one step, drawn without replacement: a function of (seed, participant, θ's
/// number, step, how often training from this θ began anew) alone, so that a repeated step asks the
/// same.
pub(super) fn batch(
    task: &Task,
    participant: u32,
    state: &State,
    training: usize,
    renewed: u32,
) -> Vec<u32> {
    let words = [purpose::BATCH, participant, state.round, state.step];
    fresh(task, &words, training, task.federation.batch, renewed)
}

/// The examples of one step where all are asked in turn: the step's part of an endless sequence in which
/// every example comes once, in an order of its own, before any comes again. Like [`batch`] a function
/// of the step alone.
pub(super) fn turn(
    task: &Task,
    participant: u32,
    state: &State,
    training: usize,
    most: u32,
) -> Vec<u32> {
    let most = (most as usize).min(training);
    let step = state.round as usize * task.federation.local_steps as usize + state.step as usize;
    let (mut examples, mut turn, mut order) = (Vec::new(), None, Vec::new());
    for at in step * most..(step + 1) * most {
        if turn != Some(at / training) {
            turn = Some(at / training);
            let words = [purpose::BATCH, participant, (at / training) as u32];
            order = sample(task, &words, training, training as u32);
        }
        // At the end of a turn the first of the next may be there already.
        if let Some(next) = order.get(at % training).filter(|i| !examples.contains(*i)) {
            examples.push(*next);
        }
    }
    examples
}

/// A draw of [`sample`], but another set of examples for each time that training from the same θ
/// begins anew: the same would lead to the same update. There are enough sets as long as `renewed`
/// is less than `training`. Where a draw would hold all examples, half of them are drawn instead.
fn fresh(task: &Task, words: &[u32], training: usize, most: u32, renewed: u32) -> Vec<u32> {
    let mut drawn = sample(task, words, training, most);
    let fewer = most.min((training / 2).max(1) as u32);
    let mut earlier = Vec::new();
    for again in 1..=renewed {
        drawn.sort_unstable();
        earlier.push(drawn);
        let draw = |attempt| {
            let words = [words, &[again, attempt]].concat();
            sample(task, &words, training, fewer)
        };
        let is_new = |examples: &Vec<u32>| {
            let mut set = examples.clone();
            set.sort_unstable();
            !earlier.contains(&set)
        };
        let other = (0..ATTEMPTS).map(draw).find(is_new);
        drawn = other.unwrap_or_else(|| draw(0));
    }
    drawn
}

/// At most `most` of the training examples, drawn without replacement: a function of the task's
/// seed and `words`.
fn sample(task: &Task, words: &[u32], training: usize, most: u32) -> Vec<u32> {
    let seed = [task.seed as u32, (task.seed >> 32) as u32];
    let mut stream = Stream::with_key(derive_key(&[&seed, words].concat()));
    let mut indices: Vec<u32> = (0..training as u32).collect();
    let size = (most as usize).min(training);
    for i in 0..size {
        let j = i + stream.below((training - i) as u32) as usize;
        indices.swap(i, j);
    }
    indices.truncate(size);
    indices
}
