//! An account that is independent of the aggregator: which updates it accepted, and what must
//! follow from them.

use super::participant::Hidden;
use federation::engine::local::{Blocking, Local};
use federation::record::{Commitments, Replay, RoundEntry};
use federation::round::messages::{Metrics, RoundRecord, SumMessage, Update};
use federation::round::phase::{Phase, RoundKind};
use federation::rules::advance::Sums;
use federation::rules::server_optimizer::ServerState;
use federation::task::Task;
use ground::hash::theta_hash;
use ground::hex::hex;
use ground::wire;
use privacy::Ledger;
use secure_sum::encoding::RingVector;
use secure_sum::messages::hash_vector;
use std::collections::BTreeMap;

/// The independent account of a run.
pub struct Oracle {
    state: ServerState,
    accepted: BTreeMap<(u32, u32), Update>,
    /// The accepted messages of secure sums, by round and phase.
    sums: BTreeMap<(u32, Phase), BTreeMap<u32, Part>>,
    /// What anyone can compute from the record alone, with every signature checked.
    replay: Replay,
    /// For each participant, the number of the record's sums that contain its vector.
    contributions: BTreeMap<u32, u32>,
    seen: usize,
    /// The hash of θ_t, by t.
    pub hashes: Vec<String>,
    /// The queries that finished rounds counted, by participant.
    pub reported: BTreeMap<u32, u64>,
}

/// An accepted message of a secure sum: for a masked vector its hash, and what it hides.
struct Part {
    vector: String,
    bytes: u64,
    plain: Option<Hidden>,
}

impl Oracle {
    pub fn new<S: Blocking>(task: &Task, aggregator: &Local<S>) -> Self {
        let theta = aggregator.theta().to_vec();
        let hashes = vec![theta_hash(&theta)];
        let mut replay = Replay::new(task).expect("the task has a generator");
        let first = replay.take(task, &aggregator.lines(0)[0], Commitments::Check);
        assert_eq!(first, Ok(None));
        Self {
            state: ServerState::new(theta),
            accepted: BTreeMap::new(),
            sums: BTreeMap::new(),
            replay,
            contributions: BTreeMap::new(),
            seen: 0,
            hashes,
            reported: BTreeMap::new(),
        }
    }

    /// Number of a participant's updates that were ever accepted.
    pub fn taken(&self, participant: u32) -> u32 {
        let plain = self.accepted.keys().filter(|(_, p)| *p == participant);
        let masked = self.sums.iter().filter(|((_, phase), parts)| {
            *phase == Phase::Masked && parts.contains_key(&participant)
        });
        (plain.count() + masked.count()) as u32
    }

    /// The ε that the sums with a participant's vector have cost, by the record.
    pub fn epsilon(&self, task: &Task, participant: u32) -> f64 {
        let contribution = task.contribution().expect("secure sums");
        let limits = contribution.limits().expect("noise");
        let sums = self.contributions.get(&participant).copied().unwrap_or(0);
        let mut ledger = Ledger::new();
        (0..sums).for_each(|_| ledger.compose(contribution.rho()).expect("a cost"));
        ledger.epsilon(limits.delta)
    }

    /// Notes that the aggregator has accepted and stored a message of a secure sum. `plain` is what
    /// a masked vector hides.
    pub fn accept_sum(
        &mut self,
        participant: u32,
        round: u32,
        message: &SumMessage,
        plain: Option<Hidden>,
    ) {
        let phase = message.phase();
        let earlier = match phase {
            Phase::Keys => None,
            Phase::Shares => Some(Phase::Keys),
            Phase::Masked => Some(Phase::Shares),
            Phase::Confirm => Some(Phase::Masked),
            _ => Some(Phase::Confirm),
        };
        if let Some(earlier) = earlier {
            let earlier = self.sums.get(&(round, earlier));
            assert!(
                earlier.is_some_and(|set| set.contains_key(&participant)),
                "participant {participant} is in {phase:?} of round {round}, but was not in the phase before"
            );
        }
        let (vector, bytes) = match message {
            SumMessage::Masked(masked) => (
                hex(&hash_vector(&masked.vector)),
                wire::encode(message).len() as u64,
            ),
            _ => (String::new(), 0),
        };
        if phase == Phase::Masked {
            let plain = plain.as_ref().expect("what a masked vector hides");
            self.has_not_sent(participant, plain);
        }
        let part = Part {
            vector,
            bytes,
            plain: plain.filter(|_| phase == Phase::Masked),
        };
        let set = self.sums.entry((round, phase)).or_default();
        let before = set.insert(participant, part);
        assert!(
            before.is_none(),
            "participant {participant} was taken twice in {phase:?} of round {round}"
        );
    }

    /// Checks that an update is in no other masked vector: two sums over different people would tell it apart.
    fn has_not_sent(&self, participant: u32, plain: &Hidden) {
        let masked = self.sums.iter().filter(|((_, p), _)| *p == Phase::Masked);
        let earlier = masked.filter_map(|(_, parts)| parts.get(&participant)?.plain.as_ref());
        // Where the model gives the same answer to everything, or every entry is at a bound, different examples lead to
        // one update.
        let size = plain.delta.first().map_or(0.0, |d| d.abs());
        let nothing = plain.delta.iter().all(|d| (d.abs() - size).abs() <= 1e-6);
        for before in earlier.filter(|before| before.step == plain.step) {
            // Other examples may well have the same counts.
            assert!(
                nothing || plain.kind == RoundKind::Counting || before.delta != plain.delta,
                "participant {participant} has sent the same update twice: {:?}",
                plain.delta
            );
        }
    }

    fn set(&self, round: u32, phase: Phase) -> Vec<u32> {
        let set = self.sums.get(&(round, phase));
        set.map_or(Vec::new(), |set| set.keys().copied().collect())
    }

    /// Notes that the aggregator has accepted and stored an update.
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

    /// Compares every round that ended with the sum of exactly the accepted updates; returns
    /// whether any has ended.
    pub fn check<S: Blocking>(&mut self, task: &Task, aggregator: &Local<S>) -> bool {
        let records = aggregator.records();
        assert_eq!(
            aggregator.lines(0).len(),
            records.len() + 1,
            "the record has a line for each round"
        );
        let ended = records.len() > self.seen;
        assert!(records.len() >= self.seen, "the aggregator forgot a round");
        for record in &records[self.seen..] {
            let step = self.hashes.len() as u32 - 1;
            assert_eq!(
                (record.round as usize, record.step),
                (self.seen, step),
                "rounds are out of order"
            );
            self.seen += 1;
            let line = &aggregator.lines(self.seen as u32)[0];
            let entry = self.replay.take(task, line, Commitments::Check);
            let entry = entry.expect("the record replays").expect("a round");
            assert_eq!(
                (entry.round, entry.step, entry.aborted, entry.epsilon),
                (record.round, record.step, record.reason, record.epsilon)
            );
            if task.federation.secure.is_some() {
                self.check_sum(task, record, &entry);
                self.state = self.replay.state().clone();
                if record.phase == Phase::Done && record.kind == RoundKind::Training {
                    self.hashes.push(self.replay.theta().clone());
                }
                assert_eq!(Some(&record.theta), self.hashes.last());
                continue;
            }
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
                    assert_eq!(exact(&record.metrics), exact(&metrics));
                    // A store may keep losses as JSON, whose reader can be off in the last bit.
                    let off = (record.metrics.loss - metrics.loss).abs();
                    assert!(off <= 1e-9 * metrics.loss.abs(), "{off}");
                    assert_eq!(
                        record.bytes_up,
                        updates
                            .iter()
                            .map(|(_, u)| wire::encode(*u).len() as u64)
                            .sum::<u64>()
                    );
                    for (participant, update) in &updates {
                        *self.reported.entry(*participant).or_default() +=
                            u64::from(update.metrics.queries);
                    }
                    let mean = mean(&updates, task.length_of(record.kind));
                    if record.kind == RoundKind::Counting {
                        assert_eq!(self.replay.means(), Some(&mean[..]), "the counts");
                        continue;
                    }
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
            aggregator.theta(),
            self.state.theta,
            "θ is not what the accepted updates make it"
        );
        assert_eq!(
            aggregator.theta(),
            self.replay.parameters(),
            "θ is not what the record makes it"
        );
        ended
    }

    /// Checks a round with a secure sum: the record names exactly the participants whose vectors
    /// were accepted, and the opened sum is the sum of what they hid, entry by entry.
    fn check_sum(&mut self, task: &Task, record: &RoundRecord, entry: &RoundEntry) {
        let round = record.round;
        let [senders, masked, confirmed, opened] =
            [Phase::Shares, Phase::Masked, Phase::Confirm, Phase::Unmask]
                .map(|phase| self.set(round, phase));
        let members = self.set(round, Phase::Keys).len() as u32;
        let phases = task.federation.policy.secure.expect("secure sums");
        assert!(members <= record.cohort, "{record:?}");
        // Nobody reveals a share before enough have confirmed.
        let enough = confirmed.len() as u32 >= phases.needed(members);
        assert!(opened.is_empty() || enough, "{record:?}: {confirmed:?}");
        let none = BTreeMap::new();
        let parts = self.sums.get(&(round, Phase::Masked)).unwrap_or(&none);
        assert_eq!(
            record.bytes_up,
            parts.values().map(|p| p.bytes).sum::<u64>()
        );
        let Some(cohort) = &entry.cohort else {
            assert!(masked.is_empty(), "taken vectors are not in the record");
            assert_eq!(record.phase, Phase::Aborted);
            assert_eq!(record.metrics, Metrics::default());
            return;
        };
        assert_eq!(cohort.senders, senders, "U2");
        let contributors = cohort.contributors.iter();
        assert_eq!(
            contributors
                .map(|c| (c.participant, &c.vector))
                .collect::<Vec<_>>(),
            parts
                .iter()
                .map(|(p, part)| (*p, &part.vector))
                .collect::<Vec<_>>(),
            "U3"
        );
        assert_eq!(record.delivered as usize, masked.len());
        for participant in &masked {
            *self.contributions.entry(*participant).or_default() += 1;
        }
        if record.phase == Phase::Aborted {
            assert!(record.reason.is_some() && entry.sums.is_none());
            assert_eq!(
                record.metrics,
                Metrics::default(),
                "an aborted round counts nothing"
            );
            return;
        }
        let least = phases.needed(members).max(phases.masked.count_min);
        assert!(masked.len() as u32 >= least, "{record:?}");
        for set in [&confirmed, &opened] {
            assert!(set.len() as u32 >= phases.needed(members), "{record:?}");
        }
        let Some(Sums::Secure { groups }) = &entry.sums else {
            panic!("no sums: {entry:?}")
        };
        let contribution = task.contribution_of(record.kind).expect("secure sums");
        let layout = contribution.layout();
        let mut summed: Vec<u32> = Vec::new();
        let mut metrics = Metrics::default();
        for group in groups {
            let mut sum = RingVector::zero(layout);
            for member in &group.members {
                let plain = parts.get(member).and_then(|part| part.plain.as_ref());
                let plain = plain.expect("what a member's vector hides");
                sum.add(&plain.vector).expect("the same layout");
                metrics.add(&plain.metrics);
                *self.reported.entry(*member).or_default() += u64::from(plain.metrics.queries);
            }
            assert_eq!(
                group.sum,
                sum.integers(),
                "what was opened is not the sum of {:?}",
                group.members
            );
            summed.extend(&group.members);
        }
        summed.sort_unstable();
        assert_eq!(summed, masked, "everybody is in one sum");
        if task.federation.privacy.is_none() {
            assert_eq!(exact(&record.metrics), exact(&metrics));
            let close = f64::from(metrics.total + masked.len() as u32) / 65_536.0;
            assert!((record.metrics.loss - metrics.loss).abs() <= close);
        }
    }
}

/// The counters, which are whole numbers.
fn exact(metrics: &Metrics) -> (u32, u32, u32, Option<u32>) {
    (
        metrics.correct,
        metrics.total,
        metrics.queries,
        metrics.unprompted,
    )
}

/// The weighted mean Σ n_i Δ_i / Σ n_i, entry by entry.
fn mean(updates: &[(u32, &Update)], dim: usize) -> Vec<f32> {
    let weight: f64 = updates.iter().map(|(_, u)| f64::from(u.examples)).sum();
    let entry = |i: usize| {
        updates.iter().fold(0.0, |sum, (_, u)| {
            sum + f64::from(u.examples) * f64::from(u.delta[i])
        })
    };
    (0..dim).map(|i| (entry(i) / weight) as f32).collect()
}
