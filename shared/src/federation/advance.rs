//! From the sums of a round to the next θ: the one function that the aggregator, a simulation, every participant
//! and an auditor run, and that must give all of them the same bits.

use super::combine::bound_norm;
use super::server_optimizer::ServerState;
use super::settings::Rule;
use crate::round::contribution::Decoded;
use crate::round::messages::Metrics;
use crate::task::Task;
use serde::{Deserialize, Serialize};

/// What a round summed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sums {
    /// Updates that came as they are: what they were combined to.
    Plain {
        /// The combined update.
        #[serde(with = "super::packed::f32s")]
        mean: Vec<f32>,
        /// The sums of the metrics.
        metrics: Metrics,
    },
    /// The opened sums of the groups.
    Secure {
        /// Groups in which anybody contributed.
        groups: Vec<GroupSum>,
    },
}

/// The opened sum of one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupSum {
    /// Whose vectors are in it, ascending.
    pub members: Vec<u32>,
    /// The sum, entry by entry, then the counters.
    #[serde(with = "super::packed::i64s")]
    pub sum: Vec<i64>,
}

/// Why there is no next θ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdvanceError {
    /// Nobody contributed an example, or the counters are beyond any sense.
    #[error("the sums stand for no example, or hold impossible counts")]
    Empty,
    /// θ would not be finite.
    #[error("the next θ would hold a number that is not finite")]
    Overflow,
}

/// Moves `state` from θ_t to θ_{t+1}, t = `step`, and gives the round's metrics. On an error nothing has changed.
pub fn advance(
    task: &Task,
    state: &mut ServerState,
    step: u32,
    sums: &Sums,
) -> Result<Metrics, AdvanceError> {
    let federation = &task.federation;
    let (mean, metrics) = match sums {
        Sums::Plain { mean, metrics } => (mean.clone(), *metrics),
        Sums::Secure { groups } => {
            let mut metrics = Metrics::default();
            let mut parts = Vec::with_capacity(groups.len());
            for group in groups {
                let Some(mut group) = decode(task, group) else {
                    continue;
                };
                // A mean of updates that keep the bound keeps it too; noise of an honest group may not.
                if federation.privacy.is_none() {
                    bound_norm(&mut group.mean, federation.clip);
                }
                metrics.add(&group.metrics);
                parts.push((group.weight, group.mean));
            }
            (
                federation
                    .combine
                    .apply(&parts)
                    .ok_or(AdvanceError::Empty)?,
                metrics,
            )
        }
    };
    if mean.len() != task.update_length() {
        return Err(AdvanceError::Empty);
    }
    let mut next = state.clone();
    let mean = match federation.rule {
        Rule::FedAvg => mean,
        Rule::Scalars => {
            let mut dense = vec![0.0; task.dim()];
            // Building it cannot fail: the task was read.
            if let Ok(optimizer) = task.optimizer(0) {
                // What it remembers has the place of a server optimiser's second moment: there is no Adam then.
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

fn decode(task: &Task, group: &GroupSum) -> Option<Decoded> {
    task.contribution()?
        .decode(&group.sum, group.members.len() as u32)
}

#[cfg(test)]
mod tests;
