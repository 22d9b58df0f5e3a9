//! The aggregator in memory: the same round machine and the same arithmetic as the server's, without a network
//! or a database. Simulations run on it, and the fault-injecting tests compare against it.

use super::messages::{
    Enrolment, FederationStatus, Metrics, RoundRecord, RoundView, Standing, Update,
};
use super::phase::{AbortReason, Phase};
use super::refusal::Refusal;
use super::server::{Action, Event, Round};
use crate::fault::Faults;
use crate::federation::fedavg::WeightedMean;
use crate::federation::server_optimizer::ServerState;
use crate::task::{Hash, Task, theta_hash};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All that an aggregator must not forget. Serialise it and a restart goes on where it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hub {
    server: ServerState,
    hash: Hash,
    step: u32,
    version: u64,
    status: FederationStatus,
    round: Round,
    standings: BTreeMap<u32, Standing>,
    leases: BTreeMap<u32, u64>,
    updates: BTreeMap<u32, Update>,
    records: Vec<RoundRecord>,
    joined: u32,
}

impl Hub {
    /// A federation that begins at the generator's θ₀.
    pub fn new(task: &Task) -> Result<Self, Faults> {
        let theta = task.generator()?.initial();
        Ok(Self {
            hash: theta_hash(&theta),
            server: ServerState::new(theta),
            step: 0,
            version: 1,
            status: FederationStatus::Running,
            round: Round::open(0),
            standings: BTreeMap::new(),
            leases: BTreeMap::new(),
            updates: BTreeMap::new(),
            records: Vec::new(),
            joined: 0,
        })
    }

    /// θ_t.
    #[must_use]
    pub fn theta(&self) -> &[f32] {
        &self.server.theta
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

    /// A new participant's number.
    pub fn join(&mut self, task: &Task, now: u64) -> u32 {
        let number = self.joined;
        self.joined += 1;
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
            step: self.step,
            round: self.round.number,
            phase: self.round.phase,
            theta: self.hash.clone(),
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
        if body.theta != self.hash {
            return Err(Refusal::WrongTheta);
        }
        let event = Event::Enrol {
            standing: self.standing(participant),
            live: self.live(now),
        };
        self.drive(task, now, event, Some(participant), None)
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
        if update.theta != self.hash {
            return Err(Refusal::WrongTheta);
        }
        update.validate(self.server.theta.len())?;
        let event = Event::Deliver {
            standing: self.standing(participant),
        };
        self.drive(task, now, event, Some(participant), Some(update))
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

    /// Time passes.
    pub fn tick(&mut self, task: &Task, now: u64) {
        if self.status == FederationStatus::Running {
            let event = Event::Tick {
                live: self.live(now),
            };
            // A tick is never refused.
            let _ = self.drive(task, now, event, None, None);
        }
    }

    fn drive(
        &mut self,
        task: &Task,
        now: u64,
        event: Event,
        speaker: Option<u32>,
        update: Option<Update>,
    ) -> Result<(), Refusal> {
        let actions = self.round.step(&task.federation.policy, now, event)?;
        let mut update = update;
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
                (Action::Store, Some(p)) => {
                    self.standings.insert(p, Standing::Delivered);
                    if let Some(update) = update.take() {
                        self.updates.insert(p, update);
                    }
                }
                (Action::Aggregate, _) => self.aggregate(task, now),
                (Action::Abort(reason), _) => {
                    self.finish_round(now, Some(reason), Metrics::default(), 0)
                }
                (Action::Enrol | Action::Withdraw | Action::Store, None) => {}
            }
        }
        Ok(())
    }

    fn aggregate(&mut self, task: &Task, now: u64) {
        let mut mean = WeightedMean::new(self.server.theta.len());
        let mut metrics = Metrics::default();
        let mut bytes = 0;
        for update in self.updates.values() {
            mean.add(&update.delta, u64::from(update.examples));
            metrics.add(&update.metrics);
            bytes += 4 * update.delta.len() as u64;
        }
        let mut next = self.server.clone();
        if let Some(mean) = mean.mean() {
            task.federation
                .server
                .apply(&mut next, &mean, self.step, task.federation.rounds);
        }
        if next.theta.iter().any(|t| !t.is_finite()) {
            self.finish_round(now, Some(AbortReason::Overflow), Metrics::default(), bytes);
            return;
        }
        self.hash = theta_hash(&next.theta);
        self.server = next;
        self.finish_round(now, None, metrics, bytes);
    }

    fn finish_round(
        &mut self,
        now: u64,
        reason: Option<AbortReason>,
        metrics: Metrics,
        bytes_up: u64,
    ) {
        self.records.push(RoundRecord {
            round: self.round.number,
            step: self.step,
            phase: if reason.is_some() {
                Phase::Aborted
            } else {
                Phase::Done
            },
            reason,
            cohort: self.round.cohort,
            delivered: self.round.delivered,
            metrics,
            theta: self.hash.clone(),
            bytes_up,
            finished_at: now,
        });
        self.step += u32::from(reason.is_none());
        self.standings.clear();
        self.updates.clear();
        self.round = Round::open(self.round.number + 1);
    }

    /// Marks the federation as finished once all rounds are done. Call after every message.
    pub fn conclude(&mut self, task: &Task) {
        if self.status == FederationStatus::Running && self.step >= task.federation.rounds {
            self.status = FederationStatus::Finished;
            self.version += 1;
        }
    }
}
