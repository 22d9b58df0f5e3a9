//! From the sums of a round to the next θ: the one function that the aggregator, a simulation,
//! every participant and an auditor run, and that must give all of them the same bits.

use super::combine::{Combine, bound_norm};
use super::server_optimizer::ServerState;
use super::settings::Rule;
use crate::round::contribution::Decoded;
use crate::round::messages::Metrics;
use crate::round::phase::RoundKind;
use crate::task::Task;
use serde::{Deserialize, Serialize};
use tuning::optimizer::{SharedSearch, State};

/// What a round summed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sums {
    /// Plain updates, combined.
    Plain {
        /// The combined update.
        #[serde(with = "ground::packed::f32s")]
        mean: Vec<f32>,
        /// The summed metrics.
        metrics: Metrics,
    },
    /// The opened sums of the groups.
    Secure {
        /// Groups in which anyone contributed.
        groups: Vec<GroupSum>,
    },
    /// Updates one by one, not summed, for [`Rule::FedBpt`].
    Individual {
        /// In the order of the participants' numbers.
        updates: Vec<tuning::optimizer::individual::Individual>,
        /// The summed metrics.
        metrics: Metrics,
    },
}

/// The opened sum of one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupSum {
    /// The participants whose vectors are in it, ascending.
    pub members: Vec<u32>,
    /// The sum, entry by entry, then the counters.
    #[serde(with = "ground::packed::i64s")]
    pub sum: Vec<i64>,
}

/// Why there is no next θ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdvanceError {
    /// Nobody contributed an example, or the counters are impossible.
    #[error("the sums stand for no example, or hold impossible counts")]
    Empty,
    /// The next θ would not be finite.
    #[error("the next θ would hold a number that is not finite")]
    Overflow,
}

/// Moves `state` from θ_t to θ_{t+1}, t = `step`, and returns the round's metrics. On an error
/// nothing has changed.
pub fn advance(
    task: &Task,
    state: &mut ServerState,
    step: u32,
    sums: &Sums,
) -> Result<Metrics, AdvanceError> {
    let federation = &task.federation;
    if let Sums::Individual { updates, metrics } = sums {
        search(task, state, step, |shared, state| {
            shared.combine(state, updates)
        })?;
        return Ok(*metrics);
    }
    let (mean, metrics) = combined(task, RoundKind::Training, sums)?;
    if federation.rule == Rule::Scalars && task.searches() {
        search(task, state, step, |shared, state| {
            shared.tell_all(state, &mean)
        })?;
        return Ok(metrics);
    }
    let mut next = state.clone();
    let mean = match federation.rule {
        Rule::FedAvg => mean,
        Rule::FedBpt => return Err(AdvanceError::Empty),
        Rule::Scalars => {
            let mut dense = vec![0.0; task.dim()];
            // Building it cannot fail: the task was read.
            if let Ok(optimizer) = task.optimizer(0) {
                // What it remembers is kept in place of a server optimiser's second moment: there
                // is no Adam then.
                optimizer.replay(step, &mean, &mut next.second, &mut dense);
            }
            dense
        }
    };
    federation
        .server
        .apply(&mut next, &mean, step, federation.rounds);
    let finite = [&next.theta, &next.first, &next.second]
        .into_iter()
        .flatten()
        .all(|x| x.is_finite());
    if !finite {
        return Err(AdvanceError::Overflow);
    }
    *state = next;
    Ok(metrics)
}

/// Moves the shared search to what `learn` makes of its state, which becomes the aggregator's.
fn search(
    task: &Task,
    state: &mut ServerState,
    step: u32,
    learn: impl FnOnce(&dyn SharedSearch, &mut State) -> bool,
) -> Result<(), AdvanceError> {
    // Building it cannot fail: the task was read.
    let optimizer = task.optimizer(0).map_err(|_| AdvanceError::Empty)?;
    let shared = optimizer.shared_search().ok_or(AdvanceError::Empty)?;
    let mut next = State::new(state.theta.clone(), step).with_search(state.search.clone());
    if !learn(shared, &mut next) {
        return Err(AdvanceError::Overflow);
    }
    state.updates += 1;
    (state.theta, state.search) = (next.theta, next.search);
    Ok(())
}

/// The result of a counting round: the means of what was counted, from which the mapping follows. θ
/// stays.
pub fn count(task: &Task, sums: &Sums) -> Result<(Vec<f32>, Metrics), AdvanceError> {
    let (means, metrics) = combined(task, RoundKind::Counting, sums)?;
    if means.iter().all(|mean| mean.is_finite()) {
        Ok((means, metrics))
    } else {
        Err(AdvanceError::Overflow)
    }
}

fn combined(
    task: &Task,
    kind: RoundKind,
    sums: &Sums,
) -> Result<(Vec<f32>, Metrics), AdvanceError> {
    let federation = &task.federation;
    let (mean, metrics) = match sums {
        // A training round's sums of another rule.
        Sums::Individual { .. } => return Err(AdvanceError::Empty),
        Sums::Plain { mean, metrics } => (mean.clone(), *metrics),
        Sums::Secure { groups } => {
            let mut metrics = Metrics::default();
            let mut parts = Vec::with_capacity(groups.len());
            for group in groups {
                let Some(mut group) = decode(task, kind, group) else {
                    continue;
                };
                // A mean of updates that keep the bound keeps it, too; the noise of an honest group
                // may not.
                if kind == RoundKind::Training && federation.privacy.is_none() {
                    bound_norm(&mut group.mean, federation.clip);
                }
                metrics.add(&group.metrics);
                parts.push((group.weight, group.mean));
            }
            let mean = combine_of(task, kind).apply(&parts);
            (mean.ok_or(AdvanceError::Empty)?, metrics)
        }
    };
    if mean.len() == task.length_of(kind) {
        Ok((mean, metrics))
    } else {
        Err(AdvanceError::Empty)
    }
}

/// Bounds one participant's message according to its kind of round: a norm for updates, ±1 for
/// every mean of counts.
pub fn bound(task: &Task, kind: RoundKind, numbers: &mut [f32]) {
    match kind {
        RoundKind::Counting => numbers.iter_mut().for_each(|x| *x = x.clamp(-1.0, 1.0)),
        RoundKind::Training if task.federation.clip > 0.0 => {
            bound_norm(numbers, task.federation.clip);
        }
        RoundKind::Training => {}
    }
}

/// How parts are combined in a round of this kind. Counts are always added up: the median of what
/// groups with different labels count says nothing.
#[must_use]
pub fn combine_of(task: &Task, kind: RoundKind) -> Combine {
    match kind {
        RoundKind::Training => task.federation.combine,
        RoundKind::Counting => Combine::Mean,
    }
}

fn decode(task: &Task, kind: RoundKind, group: &GroupSum) -> Option<Decoded> {
    task.contribution_of(kind)?
        .decode(&group.sum, group.members.len() as u32)
}

#[cfg(test)]
mod tests;
