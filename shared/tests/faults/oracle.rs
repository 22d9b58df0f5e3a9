//! What must be true, kept apart from the aggregator: which updates it accepted, and what follows from them.

use shared::federation::server_optimizer::ServerState;
use shared::round::hub::Hub;
use shared::round::messages::{Metrics, Update};
use shared::round::phase::Phase;
use shared::task::{Task, theta_hash};
use std::collections::BTreeMap;

/// The independent account.
pub struct Oracle {
    state: ServerState,
    accepted: BTreeMap<(u32, u32), Update>,
    seen: usize,
    /// Hash of θ_t by t.
    pub hashes: Vec<String>,
    /// Queries that done rounds counted, by participant.
    pub reported: BTreeMap<u32, u64>,
}

impl Oracle {
    pub fn new(theta: Vec<f32>) -> Self {
        let hashes = vec![theta_hash(&theta)];
        Self {
            state: ServerState::new(theta),
            accepted: BTreeMap::new(),
            seen: 0,
            hashes,
            reported: BTreeMap::new(),
        }
    }

    /// The aggregator has said yes, and has stored it.
    pub fn accept(&mut self, participant: u32, update: Update) {
        let step = self.hashes.len() - 1;
        assert_eq!(
            update.theta, self.hashes[step],
            "an update from another θ was accepted"
        );
        let before = self.accepted.insert((update.round, participant), update);
        assert!(
            before.is_none(),
            "an update of participant {participant} was accepted twice"
        );
    }

    /// Compares every round that ended with the sum of exactly the accepted updates.
    pub fn check(&mut self, task: &Task, hub: &Hub) {
        let records = hub.records();
        assert!(records.len() >= self.seen, "the aggregator forgot a round");
        for record in &records[self.seen..] {
            let step = self.hashes.len() as u32 - 1;
            assert_eq!(
                (record.round as usize, record.step),
                (self.seen, step),
                "rounds are out of order"
            );
            self.seen += 1;
            let updates: Vec<(u32, &Update)> = self
                .accepted
                .iter()
                .filter(|((round, _), _)| *round == record.round)
                .map(|((_, p), u)| (*p, u))
                .collect();
            assert_eq!(
                record.delivered as usize,
                updates.len(),
                "an accepted update was lost: {record:?}"
            );
            assert!(record.delivered <= record.cohort, "{record:?}");
            let least = task.federation.policy.upload.count_min;
            assert!(
                record.cohort == 0 || record.cohort >= least,
                "a cohort that could not suffice was frozen: {record:?}"
            );
            match record.phase {
                Phase::Done => {
                    assert!(record.delivered >= least, "{record:?}");
                    let mut metrics = Metrics::default();
                    updates.iter().for_each(|(_, u)| metrics.add(&u.metrics));
                    assert_eq!(record.metrics, metrics);
                    assert_eq!(
                        record.bytes_up,
                        updates
                            .iter()
                            .map(|(_, u)| 4 * u.delta.len() as u64)
                            .sum::<u64>()
                    );
                    for (participant, update) in &updates {
                        *self.reported.entry(*participant).or_default() +=
                            u64::from(update.metrics.queries);
                    }
                    let mean = mean(&updates, self.state.theta.len());
                    task.federation.server.apply(
                        &mut self.state,
                        &mean,
                        step,
                        task.federation.rounds,
                    );
                    self.hashes.push(theta_hash(&self.state.theta));
                }
                Phase::Aborted => {
                    assert!(record.reason.is_some());
                    assert_eq!(
                        record.metrics,
                        Metrics::default(),
                        "an aborted round counts nothing"
                    );
                }
                other => panic!("a round ended as {other:?}"),
            }
            assert_eq!(
                Some(&record.theta),
                self.hashes.last(),
                "θ does not follow from the accepted updates"
            );
        }
        assert_eq!(
            hub.theta(),
            self.state.theta,
            "θ is not what the accepted updates make it"
        );
    }
}

/// Σ n_i Δ_i / Σ n_i, entry by entry.
fn mean(updates: &[(u32, &Update)], dim: usize) -> Vec<f32> {
    let weight: f64 = updates.iter().map(|(_, u)| f64::from(u.examples)).sum();
    let entry = |i: usize| {
        updates.iter().fold(0.0, |sum, (_, u)| {
            sum + f64::from(u.examples) * f64::from(u.delta[i])
        })
    };
    (0..dim).map(|i| (entry(i) / weight) as f32).collect()
}
