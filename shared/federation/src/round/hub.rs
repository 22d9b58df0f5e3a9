//! The aggregator in memory: the same round machine and the same arithmetic as the server's, without a network
//! or a database. Simulations run on it, and the fault-injecting tests compare against it.

use super::draw::is_drawn;
use super::messages::{
    Enrolment, FederationStatus, Metrics, RoundRecord, RoundView, Standing, SumInput, SumMessage,
    Update,
};
use super::phase::RoundKind;
use super::phase::{AbortReason, Phase};
use super::refusal::Refusal;
use super::server::{Action, Event, Round};
use super::sums::{self, Frozen, Opening};
use crate::record::{Cohort, Replay};
use crate::rules::advance::{Sums, bound, combine_of};
use crate::rules::combine::Combine;
use crate::rules::fedavg::WeightedMean;
use crate::task::Task;
use ground::fault::Faults;
use secure_sum::Bytes32;
use secure_sum::encoding::RingVector;
use secure_sum::messages::{Masked, Member, Roster, RoundKeys, Shares, Survivors, Unmask};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tuning::optimizer::individual::Individual;

/// All that an aggregator must not forget. Serialise it and a restart goes on where it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hub {
    record: Replay,
    lines: Vec<String>,
    version: u64,
    status: FederationStatus,
    round: Round,
    standings: BTreeMap<u32, Standing>,
    leases: BTreeMap<u32, u64>,
    updates: BTreeMap<u32, Update>,
    messages: Messages,
    identities: BTreeMap<u32, Bytes32>,
    records: Vec<RoundRecord>,
    joined: u32,
}

/// The current round's messages of a secure sum.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Messages {
    keys: BTreeMap<u32, RoundKeys>,
    shares: BTreeMap<u32, Shares>,
    masked: BTreeMap<u32, Masked>,
    unmask: BTreeMap<u32, Unmask>,
    /// Vectors without masks, as bytes.
    open: BTreeMap<u32, Vec<u8>>,
}

/// What a participant sent.
enum Body {
    Update(Update),
    Sum(SumMessage),
    Vector(Vec<u8>),
}

impl Hub {
    /// A federation that begins at the generator's θ₀.
    pub fn new(task: &Task) -> Result<Self, Faults> {
        let mut record = Replay::new(task)?;
        let first = record.open(task, "hub");
        Ok(Self {
            record,
            lines: vec![first],
            version: 1,
            status: FederationStatus::Running,
            round: Round::open(0),
            standings: BTreeMap::new(),
            leases: BTreeMap::new(),
            updates: BTreeMap::new(),
            messages: Messages::default(),
            identities: BTreeMap::new(),
            records: Vec::new(),
            joined: 0,
        })
    }

    /// θ_t.
    #[must_use]
    pub fn theta(&self) -> &[f32] {
        self.record.parameters()
    }

    /// Finished rounds, oldest first.
    #[must_use]
    pub fn records(&self) -> &[RoundRecord] {
        &self.records
    }

    /// Running, finished or closed.
    #[must_use]
    pub fn status(&self) -> FederationStatus {
        self.status
    }

    /// The current round.
    #[must_use]
    pub fn round(&self) -> &Round {
        &self.round
    }

    /// Lines of the record, from number `from` (counted from 0).
    #[must_use]
    pub fn lines(&self, from: u32) -> &[String] {
        self.lines.get(from as usize..).unwrap_or_default()
    }

    /// The record as far as it goes.
    #[must_use]
    pub fn record(&self) -> &Replay {
        &self.record
    }

    /// A new participant's number; with the public key that they will sign with. Whoever joins again with the
    /// same key gets the same number.
    pub fn join(&mut self, task: &Task, now: u64, identity: Option<Bytes32>) -> u32 {
        let known = identity.and_then(|key| {
            let known = self.identities.iter().find(|(_, known)| **known == key);
            known.map(|(number, _)| *number)
        });
        let number = known.unwrap_or(self.joined);
        if known.is_none() {
            self.joined += 1;
            self.identities.extend(identity.map(|key| (number, key)));
        }
        self.renew(task, number, now);
        number
    }

    fn renew(&mut self, task: &Task, participant: u32, now: u64) {
        self.leases.insert(
            participant,
            now.saturating_add(task.federation.policy.lease_ms),
        );
    }

    fn live(&self, now: u64) -> u32 {
        self.leases.values().filter(|until| **until > now).count() as u32
    }

    fn standing(&self, participant: u32) -> Standing {
        self.standings
            .get(&participant)
            .copied()
            .unwrap_or(Standing::Idle)
    }

    fn known(&mut self, task: &Task, participant: u32, now: u64) -> Result<(), Refusal> {
        if !self.leases.contains_key(&participant) {
            return Err(Refusal::Unauthorized);
        }
        self.renew(task, participant, now);
        Ok(())
    }

    fn running(&self) -> Result<(), Refusal> {
        match self.status {
            FederationStatus::Running => Ok(()),
            FederationStatus::Finished => Err(Refusal::FederationFinished),
            FederationStatus::Closed => Err(Refusal::FederationClosed),
        }
    }

    /// What the participant is told when they ask where the round is.
    pub fn view(&mut self, task: &Task, participant: u32, now: u64) -> Result<RoundView, Refusal> {
        self.known(task, participant, now)?;
        Ok(RoundView {
            version: self.version,
            status: self.status,
            step: self.record.step(),
            round: self.round.number,
            phase: self.round.phase,
            theta: self.record.theta().clone(),
            lines: self.record.lines(),
            record: self.record.head().clone(),
            registered: self.round.registered,
            attempt: self.round.attempt,
            standing: self.standing(participant),
            enrolled: self.round.enrolled,
            cohort: self.round.cohort,
            delivered: self.round.delivered,
            live: self.live(now),
            deadline_ms: self
                .round
                .deadline(&task.federation.policy)
                .map(|d| d.saturating_sub(now)),
        })
    }

    /// A participant has an update.
    pub fn enrol(
        &mut self,
        task: &Task,
        participant: u32,
        now: u64,
        round: u32,
        body: &Enrolment,
    ) -> Result<(), Refusal> {
        self.known(task, participant, now)?;
        self.running()?;
        if round != self.round.number {
            return Err(Refusal::WrongRound);
        }
        if body.theta != *self.record.theta() {
            return Err(Refusal::WrongTheta);
        }
        let live = self.live(now);
        let event = if body.waits {
            Event::Wait { live }
        } else if self.is_drawn(task, participant) {
            let standing = self.standing(participant);
            Event::Enrol { standing, live }
        } else {
            return Err(Refusal::NotDrawn);
        };
        self.drive(task, now, event, Some(participant), None)
    }

    /// All count; so many train as the task says.
    fn is_drawn(&self, task: &Task, participant: u32) -> bool {
        let policy = task.policy_of(self.record.kind(task));
        let (step, round) = (self.record.step(), &self.round);
        let draw = (round.registered, round.attempt);
        is_drawn(&policy, task.seed, step, draw, participant)
    }

    /// A participant's update.
    pub fn deliver(
        &mut self,
        task: &Task,
        participant: u32,
        now: u64,
        update: Update,
    ) -> Result<(), Refusal> {
        self.known(task, participant, now)?;
        self.running()?;
        if update.round != self.round.number {
            return Err(Refusal::WrongRound);
        }
        if update.theta != *self.record.theta() {
            return Err(Refusal::WrongTheta);
        }
        update.validate(task.length_of(self.record.kind(task)))?;
        if task.contribution().is_some() {
            return Err(Refusal::Malformed);
        }
        let event = Event::Deliver {
            standing: self.standing(participant),
            phase: Phase::Upload,
        };
        self.drive(
            task,
            now,
            event,
            Some(participant),
            Some(Body::Update(update)),
        )
    }

    /// A participant's vector for a sum without masks.
    pub fn contribute(
        &mut self,
        task: &Task,
        participant: u32,
        now: u64,
        round: u32,
        vector: Vec<u8>,
    ) -> Result<(), Refusal> {
        self.known(task, participant, now)?;
        self.running()?;
        if round != self.round.number {
            return Err(Refusal::WrongRound);
        }
        let contribution = task.contribution_of(self.record.kind(task));
        let contribution = contribution.ok_or(Refusal::Malformed)?;
        RingVector::from_bytes(contribution.layout(), &vector).map_err(|_| Refusal::Malformed)?;
        let event = Event::Deliver {
            standing: self.standing(participant),
            phase: Phase::Upload,
        };
        self.drive(
            task,
            now,
            event,
            Some(participant),
            Some(Body::Vector(vector)),
        )
    }

    /// A participant's message of a secure sum.
    pub fn send(
        &mut self,
        task: &Task,
        participant: u32,
        now: u64,
        round: u32,
        message: SumMessage,
    ) -> Result<(), Refusal> {
        self.known(task, participant, now)?;
        self.running()?;
        if round != self.round.number {
            return Err(Refusal::WrongRound);
        }
        let event = Event::Deliver {
            standing: self.standing(participant),
            phase: message.phase(),
        };
        // The round's state first: a message that comes again, or too late, is judged by that alone.
        self.round
            .clone()
            .step(&task.federation.policy, now, event)?;
        let identity = self
            .identities
            .get(&participant)
            .ok_or(Refusal::BadIdentity)?;
        let context = self
            .record
            .context(task, round)
            .ok_or(Refusal::WrongTheta)?;
        sums::check(
            task,
            self.record.kind(task),
            &context,
            &self.frozen(),
            participant,
            identity,
            &message,
        )?;
        if let SumMessage::Keys(keys) = &message
            && !sums::are_fresh(keys, self.messages.keys.values())
        {
            return Err(Refusal::BadIdentity);
        }
        self.drive(
            task,
            now,
            event,
            Some(participant),
            Some(Body::Sum(message)),
        )
    }

    /// What a cohort member needs for its message in a phase.
    pub fn input(
        &mut self,
        task: &Task,
        participant: u32,
        now: u64,
        round: u32,
        phase: Phase,
    ) -> Result<SumInput, Refusal> {
        self.known(task, participant, now)?;
        if round != self.round.number {
            return Err(Refusal::WrongRound);
        }
        let reached = |phase| self.round.phase >= phase && !self.round.phase.is_terminal();
        if !self.messages.keys.contains_key(&participant) {
            return Err(Refusal::NotInCohort);
        }
        if !reached(phase) {
            return Err(Refusal::TooEarly);
        }
        let frozen = self.frozen();
        match phase {
            Phase::Shares => Ok(SumInput::Roster(frozen.roster)),
            Phase::Masked => sums::inboxes(&self.messages.shares)
                .remove(&participant)
                .map(SumInput::Inbox)
                .ok_or(Refusal::NotInCohort),
            Phase::Unmask => Ok(SumInput::Survivors(Survivors {
                members: frozen.survivors,
            })),
            _ => Err(Refusal::Malformed),
        }
    }

    /// The sets that are frozen: a phase's messages are, once it is over.
    fn frozen(&self) -> Frozen {
        let over = |phase| self.round.phase > phase;
        let members = self.messages.keys.iter().filter_map(|(number, keys)| {
            Some(Member {
                participant: *number,
                identity: *self.identities.get(number)?,
                keys: keys.clone(),
            })
        });
        Frozen {
            roster: if over(Phase::Keys) {
                sums::roster(members)
            } else {
                Roster::default()
            },
            senders: if over(Phase::Shares) {
                self.messages.shares.keys().copied().collect()
            } else {
                Vec::new()
            },
            survivors: if over(Phase::Masked) {
                self.messages.masked.keys().copied().collect()
            } else {
                Vec::new()
            },
        }
    }

    /// A participant leaves for good.
    pub fn leave(&mut self, task: &Task, participant: u32, now: u64) -> Result<(), Refusal> {
        self.leases
            .remove(&participant)
            .ok_or(Refusal::Unauthorized)?;
        if self.status != FederationStatus::Running {
            return Ok(());
        }
        let event = Event::Leave {
            standing: self.standing(participant),
            live: self.live(now),
        };
        self.drive(task, now, event, Some(participant), None)
    }

    /// Time passes: whoever left after their message is missed in the next phase, and phases end.
    pub fn tick(&mut self, task: &Task, now: u64) {
        let number = self.round.number;
        while self.status == FederationStatus::Running
            && self.round.number == number
            && let Some(gone) = self.gone()
        {
            let event = Event::Leave {
                standing: Standing::InCohort,
                live: self.live(now),
            };
            // A leaver is never refused.
            let _ = self.drive(task, now, event, Some(gone), None);
        }
        if self.status == FederationStatus::Running {
            let event = Event::Tick {
                live: self.live(now),
            };
            // A tick is never refused.
            let _ = self.drive(task, now, event, None, None);
        }
    }

    /// Somebody who is waited for although they left.
    fn gone(&self) -> Option<u32> {
        let mut cohort = self.standings.iter();
        let gone = cohort.find(|(number, standing)| {
            **standing == Standing::InCohort && !self.leases.contains_key(number)
        });
        gone.map(|(number, _)| *number)
    }

    fn drive(
        &mut self,
        task: &Task,
        now: u64,
        event: Event,
        speaker: Option<u32>,
        body: Option<Body>,
    ) -> Result<(), Refusal> {
        let policy = task.policy_of(self.record.kind(task));
        let actions = self.round.step(&policy, now, event)?;
        if let (
            Event::Leave {
                standing: Standing::InCohort,
                ..
            },
            Some(p),
        ) = (event, speaker)
        {
            self.standings.insert(p, Standing::Dropped);
        }
        let mut body = body;
        for action in actions {
            self.version += 1;
            match (action, speaker) {
                (Action::Enrol, Some(p)) => {
                    self.standings.insert(p, Standing::Enrolled);
                }
                (Action::Withdraw, Some(p)) => {
                    self.standings.remove(&p);
                }
                (Action::Freeze, _) => self
                    .standings
                    .values_mut()
                    .for_each(|s| *s = Standing::InCohort),
                (Action::Narrow, _) => {
                    for standing in self.standings.values_mut() {
                        *standing = match standing {
                            Standing::Delivered => Standing::InCohort,
                            _ => Standing::Dropped,
                        };
                    }
                }
                (Action::Store, Some(p)) => {
                    self.standings.insert(p, Standing::Delivered);
                    match body.take() {
                        Some(Body::Update(update)) => {
                            self.updates.insert(p, update);
                        }
                        Some(Body::Vector(vector)) => {
                            self.messages.open.insert(p, vector);
                        }
                        Some(Body::Sum(message)) => self.messages.store(p, message),
                        None => {}
                    }
                }
                (Action::Aggregate, _) => self.aggregate(task, now),
                (Action::Abort(reason), _) => {
                    // Once masked vectors were sent, their noise is spent.
                    let sent = self.round_reached_masked();
                    let cohort = sent.then(|| self.open_sum(task).1).flatten();
                    self.end_round(task, now, Err(reason), cohort);
                }
                (Action::Enrol | Action::Withdraw | Action::Store, None) => {}
            }
        }
        Ok(())
    }

    fn aggregate(&mut self, task: &Task, now: u64) {
        let (outcome, cohort) = if task.federation.policy.secure.is_some() {
            self.open_sum(task)
        } else if task.contribution().is_some() {
            (self.add_up(task), Some(self.contributors()))
        } else {
            (self.combine(task), None)
        };
        self.end_round(task, now, outcome, cohort);
    }

    /// Updates that came as they are.
    fn combine(&self, task: &Task) -> Result<Sums, AbortReason> {
        let kind = self.record.kind(task);
        let combine = combine_of(task, kind);
        let bounded = |update: &Update| {
            let mut delta = update.delta.clone();
            bound(task, kind, &mut delta);
            delta
        };
        let mut metrics = Metrics::default();
        self.updates.values().for_each(|u| metrics.add(&u.metrics));
        if kind == RoundKind::Training && task.federation.rule == crate::task::Rule::FedBpt {
            let updates = self.updates.values().map(|u| Individual {
                examples: u.examples,
                update: u.delta.clone(),
            });
            return Ok(Sums::Individual {
                updates: updates.collect(),
                metrics,
            });
        }
        let mean = if combine == Combine::Mean {
            let mut mean = WeightedMean::new(task.length_of(kind));
            for update in self.updates.values() {
                mean.add(&bounded(update), u64::from(update.examples));
            }
            mean.mean()
        } else {
            let parts = self
                .updates
                .values()
                .map(|u| (f64::from(u.examples), bounded(u)));
            combine.apply(&parts.collect::<Vec<_>>())
        };
        let mean = mean.ok_or(AbortReason::TooFewUpdates)?;
        Ok(Sums::Plain { mean, metrics })
    }

    fn open_sum(&self, task: &Task) -> (Result<Sums, AbortReason>, Option<Cohort>) {
        let frozen = Frozen {
            roster: sums::roster(self.messages.keys.iter().filter_map(|(number, keys)| {
                Some(Member {
                    participant: *number,
                    identity: *self.identities.get(number)?,
                    keys: keys.clone(),
                })
            })),
            senders: self.messages.shares.keys().copied().collect(),
            survivors: self.messages.masked.keys().copied().collect(),
        };
        let context = self.record.context(task, self.round.number);
        let Some(Ok(mut opening)) = context
            .as_ref()
            .map(|context| Opening::new(task, self.record.kind(task), context, &frozen))
        else {
            return (Err(AbortReason::FalseShares), None);
        };
        for (from, masked) in &self.messages.masked {
            if opening.add(*from, masked).is_err() {
                return (Err(AbortReason::FalseShares), Some(opening.cohort()));
            }
        }
        let cohort = opening.cohort();
        let unmasks = self.messages.unmask.iter().map(|(p, u)| (*p, u.clone()));
        (opening.open(&unmasks.collect::<Vec<_>>()), Some(cohort))
    }

    fn add_up(&self, task: &Task) -> Result<Sums, AbortReason> {
        let kind = self.record.kind(task);
        let layout = task
            .contribution_of(kind)
            .map(super::contribution::Contribution::layout)
            .ok_or(AbortReason::TooFewUpdates)?;
        let vectors =
            self.messages.open.iter().filter_map(|(from, bytes)| {
                Some((*from, RingVector::from_bytes(layout, bytes).ok()?))
            });
        sums::plain(task, kind, &vectors.collect())
    }

    /// Without masks nobody signs.
    fn contributors(&self) -> Cohort {
        let contributor = |participant: &u32| crate::record::Commitment {
            participant: *participant,
            identity: String::new(),
            vector: String::new(),
            signature: String::new(),
        };
        Cohort {
            roster: String::new(),
            senders: Vec::new(),
            contributors: self.messages.open.keys().map(contributor).collect(),
        }
    }

    fn end_round(
        &mut self,
        task: &Task,
        now: u64,
        outcome: Result<Sums, AbortReason>,
        cohort: Option<Cohort>,
    ) {
        let kind = self.record.kind(task);
        let contributors = cohort.as_ref().map(|c| c.contributors.len() as u32);
        let bytes_up = 4 * self
            .updates
            .values()
            .map(|u| u.delta.len() as u64)
            .sum::<u64>()
            + self.messages.bytes();
        let (entry, line, metrics) = self
            .record
            .conclude(task, self.round.number, outcome, cohort);
        self.lines.push(line);
        self.records.push(RoundRecord {
            round: self.round.number,
            step: entry.step,
            kind,
            phase: if entry.aborted.is_some() {
                Phase::Aborted
            } else {
                Phase::Done
            },
            reason: entry.aborted,
            // All who were frozen into it, whoever was missed later.
            cohort: if self.round.cohort > 0 {
                self.round.enrolled
            } else {
                0
            },
            delivered: contributors.unwrap_or(self.round.delivered),
            metrics,
            theta: entry.theta,
            epsilon: entry.epsilon,
            bytes_up,
            finished_at: now,
        });
        self.standings.clear();
        self.updates.clear();
        self.messages = Messages::default();
        let moved = entry.aborted.is_none();
        self.round = self.round.next(self.joined, moved);
        if self.record.is_spent(task) && self.status == FederationStatus::Running {
            // The round is not even begun.
            self.status = FederationStatus::Finished;
        }
    }

    fn round_reached_masked(&self) -> bool {
        !self.messages.masked.is_empty()
    }

    /// Marks the federation as finished once all rounds are done. Call after every message.
    pub fn conclude(&mut self, task: &Task) {
        if self.status == FederationStatus::Running && self.record.is_over(task) {
            self.status = FederationStatus::Finished;
            self.version += 1;
        }
    }
}

impl Messages {
    fn store(&mut self, from: u32, message: SumMessage) {
        match message {
            SumMessage::Keys(keys) => {
                self.keys.insert(from, keys);
            }
            SumMessage::Shares(shares) => {
                self.shares.insert(from, shares);
            }
            SumMessage::Masked(masked) => {
                self.masked.insert(from, masked);
            }
            SumMessage::Unmask(unmask) => {
                self.unmask.insert(from, unmask);
            }
        }
    }

    /// Of the vectors that came.
    fn bytes(&self) -> u64 {
        let masked = self.masked.values().map(|m| m.vector.len());
        let open = self.open.values().map(Vec::len);
        masked.chain(open).map(|b| b as u64).sum()
    }
}

#[cfg(test)]
mod tests;
