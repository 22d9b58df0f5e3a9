//! The aggregator's side of a round: a pure function of (state, event, time).
//!
//! The machine sees counts and the standing of whoever speaks, never a list of participants: one message costs
//! the same with ten as with ten thousand. Whoever drives it keeps the standings and carries out the actions
//! in the same transaction in which the new state is stored.

use super::messages::Standing;
use super::phase::{AbortReason, Phase};
use super::policy::{Policy, Verdict};
use super::refusal::Refusal;
use serde::{Deserialize, Serialize};

/// A round as the aggregator stores it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// Its number, counting aborted rounds.
    pub number: u32,
    /// Where it is.
    pub phase: Phase,
    /// When the phase's clock started (ms since 1970). In `Open` it stands until somebody enrols.
    pub since: Option<u64>,
    /// Enrolled so far.
    pub enrolled: u32,
    /// The frozen cohort's size.
    pub cohort: u32,
    /// Updates taken.
    pub delivered: u32,
    /// Cohort members who left before they delivered.
    pub gone: u32,
}

/// What happens to a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A participant has an update.
    Enrol {
        /// The speaker's.
        standing: Standing,
        /// Participants heard of lately, the speaker included.
        live: u32,
    },
    /// A cohort member's update, already validated.
    Deliver {
        /// The speaker's.
        standing: Standing,
    },
    /// A participant leaves for good, or is taken for gone.
    Leave {
        /// The leaver's.
        standing: Standing,
        /// Participants who remain.
        live: u32,
    },
    /// Time passes.
    Tick {
        /// Participants heard of lately.
        live: u32,
    },
    /// The organiser closes the federation.
    Close,
}

/// What whoever drives the machine must do, in order, in the transaction that stores the new state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The speaker is now enrolled.
    Enrol,
    /// The speaker is no longer enrolled.
    Withdraw,
    /// All enrolled are now the cohort.
    Freeze,
    /// Store the speaker's update; they have now delivered.
    Store,
    /// Sum what was delivered, apply it, record the round as done, open the next one.
    Aggregate,
    /// Record the round as aborted; open the next one, unless closed.
    Abort(AbortReason),
}

impl Round {
    /// A fresh round.
    #[must_use]
    pub fn open(number: u32) -> Self {
        Self { number, phase: Phase::Open, since: None, enrolled: 0, cohort: 0, delivered: 0, gone: 0 }
    }

    /// When the phase ends in any case (ms since 1970); nothing while its clock stands.
    #[must_use]
    pub fn deadline(&self, policy: &Policy) -> Option<u64> {
        let limit = match self.phase {
            Phase::Open => policy.open.time_max_ms,
            Phase::Upload => policy.upload.time_max_ms,
            _ => return None,
        };
        self.since.map(|s| s.saturating_add(limit))
    }

    /// When somebody must look at the round although no message came.
    #[must_use]
    pub fn wake_at(&self, policy: &Policy, now: u64) -> Option<u64> {
        let limits = match self.phase {
            Phase::Open => policy.open,
            Phase::Upload => policy.upload,
            _ => return None,
        };
        let since = self.since?;
        [limits.time_min_ms, limits.time_max_ms].into_iter().map(|t| since.saturating_add(t)).find(|t| *t > now)
    }

    /// Takes an event at time `now` (ms since 1970; may jump either way). On a refusal nothing has changed.
    pub fn step(&mut self, policy: &Policy, now: u64, event: Event) -> Result<Vec<Action>, Refusal> {
        // A clock that jumped back would stretch the phase without end.
        if let Some(since) = self.since.as_mut() {
            *since = (*since).min(now);
        }
        let mut actions = Vec::new();
        let live = match event {
            Event::Enrol { standing, live } => {
                self.enrol(policy, now, standing)?;
                actions.push(Action::Enrol);
                live
            }
            Event::Deliver { standing } => {
                self.deliver(standing)?;
                actions.push(Action::Store);
                0
            }
            Event::Leave { standing, live } => {
                if self.phase == Phase::Open && standing == Standing::Enrolled {
                    self.enrolled -= 1;
                    if self.enrolled == 0 {
                        self.since = None;
                    }
                    actions.push(Action::Withdraw);
                } else if self.phase == Phase::Upload && standing == Standing::InCohort {
                    self.gone += 1;
                }
                live
            }
            Event::Tick { live } => live,
            Event::Close => {
                if self.phase.is_terminal() {
                    return Err(Refusal::FederationClosed);
                }
                self.phase = Phase::Aborted;
                return Ok(vec![Action::Abort(AbortReason::Closed)]);
            }
        };
        self.advance(policy, now, live, &mut actions);
        Ok(actions)
    }

    fn enrol(&mut self, policy: &Policy, now: u64, standing: Standing) -> Result<(), Refusal> {
        match (self.phase, standing) {
            (Phase::Open, Standing::Idle) => {}
            (_, Standing::Enrolled | Standing::InCohort | Standing::Delivered) => return Err(Refusal::Duplicate),
            _ => return Err(Refusal::TooLate),
        }
        if self.enrolled >= policy.open.count_max {
            return Err(Refusal::CohortFull);
        }
        self.enrolled += 1;
        self.since.get_or_insert(now);
        Ok(())
    }

    fn deliver(&mut self, standing: Standing) -> Result<(), Refusal> {
        match (self.phase, standing) {
            (Phase::Upload, Standing::InCohort) => {
                self.delivered += 1;
                Ok(())
            }
            (_, Standing::Delivered) => Err(Refusal::Duplicate),
            (Phase::Upload, _) => Err(Refusal::NotInCohort),
            (Phase::Open, _) => Err(Refusal::TooEarly),
            _ => Err(Refusal::TooLate),
        }
    }

    fn advance(&mut self, policy: &Policy, now: u64, live: u32, actions: &mut Vec<Action>) {
        let elapsed = self.since.map_or(0, |s| now - s);
        if self.phase == Phase::Open && self.since.is_some() {
            match policy.open.verdict(self.enrolled, live.max(self.enrolled), elapsed) {
                Verdict::Go => {
                    *self = Self { phase: Phase::Upload, since: Some(now), cohort: self.enrolled, ..self.clone() };
                    actions.push(Action::Freeze);
                }
                Verdict::TooFew => {
                    self.phase = Phase::Aborted;
                    actions.push(Action::Abort(AbortReason::TooFewEnrolled));
                }
                Verdict::Wait => {}
            }
        } else if self.phase == Phase::Upload {
            match policy.upload.verdict(self.delivered, self.cohort - self.gone, elapsed) {
                Verdict::Go => {
                    self.phase = Phase::Done;
                    actions.push(Action::Aggregate);
                }
                Verdict::TooFew => {
                    self.phase = Phase::Aborted;
                    actions.push(Action::Abort(AbortReason::TooFewUpdates));
                }
                // All who are left are in and still too few: nobody else will come.
                Verdict::Wait if self.delivered + self.gone >= self.cohort => {
                    self.phase = Phase::Aborted;
                    actions.push(Action::Abort(AbortReason::TooFewUpdates));
                }
                Verdict::Wait => {}
            }
        }
    }
}
