//! The aggregator's side of a round: a pure function of (state, event, time).
//!
//! The machine sees counts and the sender's standing, never a list of participants: one message
//! costs the same with ten as with ten thousand. Its driver keeps the standings and carries out the
//! actions in the same transaction in which the new state is stored.
//!
//! A secure sum narrows the cohort from phase to phase, each set nested in the one before: the
//! enrolled; U1, who published keys; U2, who sent shares; U3, who sent a masked update; U4, who
//! confirmed U3; and those of U4 who help to open the sum.

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
    /// Its phase.
    pub phase: Phase,
    /// When the phase's clock started (ms since 1970). In `Open` it stands until somebody enrols.
    pub since: Option<u64>,
    /// Number of participants enrolled so far.
    pub enrolled: u32,
    /// Number of participants waited for in this phase, when it began.
    pub cohort: u32,
    /// Number of their messages taken in this phase.
    pub delivered: u32,
    /// Number of them who left before they delivered.
    pub gone: u32,
    /// |U1|: number of participants with round keys (secure sums).
    pub members: u32,
    /// Number of participants who had joined when the training from this θ_t began.
    pub registered: u32,
    /// Number of rounds from this θ_t that were aborted.
    pub attempt: u32,
    /// Whether a participant who was not drawn waits: then the clock of `Open` runs though nobody
    /// has enrolled.
    pub waiting: bool,
}

/// What happens to a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A participant has an update.
    Enrol {
        /// The sender's standing.
        standing: Standing,
        /// Number of participants heard of lately, including the sender.
        live: u32,
    },
    /// A participant who was not drawn to train is present, and waits for the round to end.
    Wait {
        /// Number of participants heard of lately, including the sender.
        live: u32,
    },
    /// A cohort member's message, already validated.
    Deliver {
        /// The sender's standing.
        standing: Standing,
        /// The phase that the message belongs to.
        phase: Phase,
    },
    /// A participant leaves for good, or is taken for gone.
    Leave {
        /// The leaver's standing.
        standing: Standing,
        /// Number of participants who remain.
        live: u32,
    },
    /// Time passes.
    Tick {
        /// Number of participants heard of lately.
        live: u32,
    },
    /// The organiser closes the federation.
    Close,
}

/// What the machine's driver must do, in order, in the transaction that stores the new state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The sender is now enrolled.
    Enrol,
    /// The sender is no longer enrolled.
    Withdraw,
    /// All enrolled are now the cohort.
    Freeze,
    /// Store the sender's message; the sender has now delivered.
    Store,
    /// Those who delivered are now the cohort of the next phase; the others of the cohort are
    /// dropped.
    Narrow,
    /// Sum what was delivered, apply it, record the round as done, open the next one. If masks
    /// cannot be removed, record it as aborted.
    Aggregate,
    /// Record the round as aborted; open the next one, unless closed.
    Abort(AbortReason),
}

impl Round {
    /// The first round.
    #[must_use]
    pub fn open(number: u32) -> Self {
        Self {
            number,
            phase: Phase::Open,
            since: None,
            enrolled: 0,
            cohort: 0,
            delivered: 0,
            gone: 0,
            members: 0,
            registered: 0,
            attempt: 0,
            waiting: false,
        }
    }

    /// The round after this one; `joined` participants have joined by now. `moved` says that this
    /// one was concluded, and another draw is made; otherwise the same draw is widened.
    #[must_use]
    pub fn next(&self, joined: u32, moved: bool) -> Self {
        let (registered, attempt) = if moved {
            (joined, 0)
        } else {
            (self.registered, self.attempt.saturating_add(1))
        };
        Self {
            registered,
            attempt,
            ..Self::open(self.number + 1)
        }
    }

    /// When the phase ends in any case (ms since 1970); `None` while its clock stands.
    #[must_use]
    pub fn deadline(&self, policy: &Policy) -> Option<u64> {
        let limits = policy.limits(self.phase, self.members)?;
        self.since.map(|s| s.saturating_add(limits.time_max_ms))
    }

    /// When the round must be looked at even if no message came.
    #[must_use]
    pub fn wake_at(&self, policy: &Policy, now: u64) -> Option<u64> {
        let limits = policy.limits(self.phase, self.members)?;
        let since = self.since?;
        [limits.time_min_ms, limits.time_max_ms]
            .into_iter()
            .map(|t| since.saturating_add(t))
            .find(|t| *t > now)
    }

    /// Takes an event at time `now` (ms since 1970; may jump either way).
    ///
    /// # Errors
    /// The refusal; nothing has changed then.
    pub fn step(
        &mut self,
        policy: &Policy,
        now: u64,
        event: Event,
    ) -> Result<Vec<Action>, Refusal> {
        let mut next = self.clone();
        let actions = next.take(policy, now, event)?;
        *self = next;
        Ok(actions)
    }

    fn take(&mut self, policy: &Policy, now: u64, event: Event) -> Result<Vec<Action>, Refusal> {
        // A clock that jumped back would otherwise extend the phase without end.
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
            Event::Wait { live } => {
                if self.phase != Phase::Open {
                    return Err(Refusal::TooLate);
                }
                self.waiting = true;
                self.since.get_or_insert(now);
                live
            }
            Event::Deliver { standing, phase } => {
                self.deliver(standing, phase)?;
                actions.push(Action::Store);
                0
            }
            Event::Leave { standing, live } => {
                if self.phase == Phase::Open && standing == Standing::Enrolled {
                    self.enrolled -= 1;
                    if self.enrolled == 0 && !self.waiting {
                        self.since = None;
                    }
                    actions.push(Action::Withdraw);
                } else if self.phase.collects() && standing == Standing::InCohort {
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
            (
                _,
                Standing::Enrolled | Standing::InCohort | Standing::Delivered | Standing::Dropped,
            ) => {
                return Err(Refusal::Duplicate);
            }
            _ => return Err(Refusal::TooLate),
        }
        if self.enrolled >= policy.open.count_max {
            return Err(Refusal::CohortFull);
        }
        self.enrolled += 1;
        if self.enrolled == 1 {
            // Even if the clock ran for those who wait: the others who were drawn will be done
            // soon, too.
            self.since = Some(now);
        }
        Ok(())
    }

    fn deliver(&mut self, standing: Standing, phase: Phase) -> Result<(), Refusal> {
        if phase == self.phase && phase.collects() {
            return match standing {
                Standing::InCohort => {
                    self.delivered += 1;
                    Ok(())
                }
                Standing::Delivered => Err(Refusal::Duplicate),
                _ => Err(Refusal::NotInCohort),
            };
        }
        Err(match standing {
            Standing::Delivered if self.phase.is_terminal() => Refusal::Duplicate,
            _ if self.phase.is_terminal() => Refusal::TooLate,
            _ if self.phase == Phase::Open || phase > self.phase => Refusal::TooEarly,
            Standing::Idle | Standing::Enrolled => Refusal::NotInCohort,
            // A member still in the cohort has delivered in every earlier phase.
            Standing::InCohort | Standing::Delivered => Refusal::Duplicate,
            Standing::Dropped => Refusal::TooLate,
        })
    }

    fn advance(&mut self, policy: &Policy, now: u64, live: u32, actions: &mut Vec<Action>) {
        let (Some(since), Some(limits)) = (self.since, policy.limits(self.phase, self.members))
        else {
            return;
        };
        let elapsed = now - since;
        if self.phase == Phase::Open {
            let drawn = policy.drawn(self.attempt).unwrap_or(live);
            let possible = live.min(drawn).max(self.enrolled);
            match limits.verdict(self.enrolled, possible, elapsed) {
                Verdict::Go => {
                    let phase = if policy.secure.is_some() {
                        Phase::Keys
                    } else {
                        Phase::Upload
                    };
                    self.begin(phase, now, self.enrolled);
                    actions.push(Action::Freeze);
                }
                Verdict::TooFew => {
                    self.phase = Phase::Aborted;
                    actions.push(Action::Abort(AbortReason::TooFewEnrolled));
                }
                Verdict::Wait => {}
            }
            return;
        }
        let left = self.cohort - self.gone;
        match limits.verdict(self.delivered, left, elapsed) {
            Verdict::Go => match self.phase.next() {
                Some(Phase::Done) | None => {
                    self.phase = Phase::Done;
                    actions.push(Action::Aggregate);
                }
                Some(next) => {
                    if self.phase == Phase::Keys {
                        self.members = self.delivered;
                    }
                    self.begin(next, now, self.delivered);
                    actions.push(Action::Narrow);
                }
            },
            // All who are left have delivered and are too few: nobody else will come.
            Verdict::Wait if self.delivered < left => {}
            Verdict::Wait | Verdict::TooFew => {
                let reason = match self.phase {
                    Phase::Keys => AbortReason::TooFewKeys,
                    Phase::Shares => AbortReason::TooFewShares,
                    Phase::Masked => AbortReason::TooFewMasked,
                    Phase::Confirm => AbortReason::TooFewConfirmed,
                    Phase::Unmask => AbortReason::TooFewUnmasked,
                    _ => AbortReason::TooFewUpdates,
                };
                self.phase = Phase::Aborted;
                actions.push(Action::Abort(reason));
            }
        }
    }

    fn begin(&mut self, phase: Phase, now: u64, cohort: u32) {
        self.phase = phase;
        self.since = Some(now);
        self.cohort = cohort;
        self.delivered = 0;
        self.gone = 0;
    }
}

#[cfg(test)]
mod tests;
