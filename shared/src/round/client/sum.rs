//! The participant's part in secure sums: one [`Sum`] at a time, and what outlasts it.

use super::{Action, Client, Environment, Secrets, Stage};
use crate::privacy::Ledger;
use crate::round::messages::{PrivacySpent, RoundView, SumInput, SumMessage};
use crate::round::phase::Phase;
use crate::secure_sum::Bytes32;
use crate::secure_sum::messages::hash_vector;
use crate::secure_sum::participant::{Participant, Suspicion};
use crate::task::{Hash, Task};
use crate::transcript::{RoundEntry, hex};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The sum under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Sum {
    round: u32,
    machine: Participant,
    /// The seed of rounding and noise.
    seed: Seed,
    /// The last message made. Sent again as it was.
    message: Option<SumMessage>,
}

/// A secret seed: wiped when dropped, never printed.
#[derive(
    Clone, PartialEq, Eq, Serialize, Deserialize, zeroize::Zeroize, zeroize::ZeroizeOnDrop,
)]
struct Seed(Bytes32);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// What outlasts a sum.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sums {
    /// Everybody's identity, as first seen.
    pins: BTreeMap<u32, Bytes32>,
    /// What the own updates have cost: every masked vector that may have been sent.
    ledger: Ledger,
    committed: Option<Committed>,
    /// A round that somebody else's message made impossible.
    sat_out: Option<u32>,
}

/// The last masked vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Committed {
    round: u32,
    vector: Hash,
    taken: bool,
}

/// How the record and what we sent contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Betrayal {
    /// It was taken, the sum was opened, and it is not in it.
    #[error("the record leaves out an update of ours that was taken")]
    LeftOut,
    /// There is another in its place.
    #[error("the record holds another vector in our name than the one that we sent")]
    Replaced,
}

impl Sums {
    /// Would another update bring the own ε above the task's?
    pub(super) fn is_spent(&self, env: &Environment<'_>) -> bool {
        env.task.contribution().is_some_and(|c| {
            c.limits().is_some_and(|limits| {
                self.ledger
                    .would_exceed(c.rho(), limits.epsilon, limits.delta)
            })
        })
    }

    /// Is what we sent in the record as we sent it?
    pub(super) fn check(&self, participant: u32, entry: &RoundEntry) -> Result<(), Betrayal> {
        let (Some(committed), Some(cohort)) = (&self.committed, &entry.cohort) else {
            return Ok(());
        };
        if committed.round != entry.round {
            return Ok(());
        }
        let ours = |c: &&crate::transcript::Commitment| c.participant == participant;
        match cohort.contributors.iter().find(ours) {
            Some(found) if found.vector != committed.vector => Err(Betrayal::Replaced),
            None if committed.taken && entry.aborted.is_none() => Err(Betrayal::LeftOut),
            _ => Ok(()),
        }
    }
}

impl Client {
    /// Why the machine stopped as inconsistent, in words.
    #[must_use]
    pub fn suspicion(&self) -> Option<&str> {
        self.suspicion.as_deref()
    }

    /// The federation's record as far as it was read and computed again, once it was begun.
    #[must_use]
    pub fn record(&self) -> Option<&crate::transcript::Replay> {
        self.record.as_ref()
    }

    /// What this participant's own updates have cost so far; nothing where they carry no noise.
    #[must_use]
    pub fn privacy(&self, task: &Task) -> Option<PrivacySpent> {
        let limits = task.contribution()?.limits()?;
        Some(PrivacySpent {
            epsilon: self.sums.ledger.epsilon(limits.delta),
            limit: limits.epsilon,
            delta: limits.delta,
        })
    }

    /// Can we send this phase's message? Begins a sum where one begins.
    pub(super) fn joins_sum(&mut self, env: &Environment<'_>, phase: Phase) -> bool {
        let (Some(view), Some(secrets), Some(secure)) =
            (&self.view, env.secrets, &env.task.federation.secure)
        else {
            return false;
        };
        if self.sums.sat_out == Some(view.round) {
            return false;
        }
        if self.sum.as_ref().is_some_and(|s| s.round == view.round) {
            return true;
        }
        let context = self
            .record
            .as_ref()
            .and_then(|r| r.context(env.task, view.round));
        // With the state of another device, or a lost one, nothing can be sent after the first phase.
        let (Phase::Keys, Some(context)) = (phase, context) else {
            return false;
        };
        let machine = Participant::new(
            context,
            self.participant,
            secure.policy,
            (secrets.entropy)(),
        );
        self.sum = Some(Sum {
            round: view.round,
            message: Some(SumMessage::Keys(machine.keys(&secrets.identity))),
            machine,
            seed: Seed((secrets.entropy)()),
        });
        true
    }

    /// What the aggregator waits for.
    pub(super) fn sum_action(&self, view: &RoundView) -> Action {
        let (round, phase) = (view.round, view.phase);
        match self.sum.as_ref().and_then(|s| s.message.as_ref()) {
            Some(message) if message.phase() == phase => Action::Send {
                round,
                message: message.clone(),
            },
            _ => Action::Fetch { round, phase },
        }
    }

    /// What the next message needs has come.
    pub(super) fn take_input(&mut self, env: &Environment<'_>, input: &SumInput) {
        let (Stage::Summing, Some(view), Some(secrets)) = (&self.stage, &self.view, env.secrets)
        else {
            return;
        };
        let (round, phase) = (view.round, view.phase);
        if phase != input.phase() || self.sum.as_ref().is_none_or(|s| s.round != round) {
            return;
        }
        match self.next_message(env, secrets, input) {
            Ok(Some(message)) => {
                if let Some(sum) = self.sum.as_mut() {
                    sum.message = Some(message);
                }
            }
            Ok(None) => self.suspect("an update could not be encoded".to_owned()),
            // Another participant's doing, or too many of our group have gone: nothing was given away, this round
            // is lost for us, the next may not be.
            Err(Suspicion::BadEnvelope | Suspicion::TooFewMembers | Suspicion::TooFewSurvivors) => {
                self.sums.sat_out = Some(round);
                self.stage = Stage::AwaitingCohort;
            }
            Err(suspicion) => self.suspect(suspicion.to_string()),
        }
    }

    fn next_message(
        &mut self,
        env: &Environment<'_>,
        secrets: &Secrets,
        input: &SumInput,
    ) -> Result<Option<SumMessage>, Suspicion> {
        let (Some(sum), Some(work)) = (self.sum.as_mut(), self.work.as_ref()) else {
            return Ok(None);
        };
        Ok(Some(match input {
            SumInput::Roster(roster) => {
                let public = secrets.identity.public();
                let shares = sum.machine.shares(&public, roster, &self.sums.pins)?;
                let seen = roster.members.iter().map(|m| (m.participant, m.identity));
                self.sums.pins.extend(seen);
                SumMessage::Shares(shares)
            }
            SumInput::Inbox(inbox) => {
                let (Some(contribution), Some(delta)) = (env.task.contribution(), &work.delta)
                else {
                    return Ok(None);
                };
                let metrics = self.metrics(work);
                let Some(sum) = self.sum.as_mut() else {
                    return Ok(None);
                };
                let vector = contribution.encode(delta, env.training as u32, &metrics, &sum.seed.0);
                let Ok(vector) = vector else {
                    return Ok(None);
                };
                let masked = sum.machine.masked(&secrets.identity, inbox, vector)?;
                let (round, vector) = (sum.round, hex(&hash_vector(&masked.vector)));
                self.sums.committed = Some(Committed {
                    round,
                    vector,
                    taken: false,
                });
                if self.sums.ledger.compose(contribution.rho()).is_err() {
                    return Ok(None);
                }
                if let Some(work) = self.work.as_mut() {
                    work.offered = true;
                }
                SumMessage::Masked(masked)
            }
            SumInput::Survivors(survivors) => SumMessage::Unmask(sum.machine.unmask(survivors)?),
        }))
    }

    /// The open message was taken.
    pub(super) fn message_taken(&mut self) {
        self.stage = Stage::AwaitingResult;
        let message = self.sum.as_ref().and_then(|s| s.message.as_ref());
        if let Some(SumMessage::Masked(_)) = message {
            self.delivered += 1;
            if let Some(committed) = self.sums.committed.as_mut() {
                committed.taken = true;
            }
        }
    }

    /// The same vector without masks, for simulations.
    pub(super) fn contribution(&self, env: &Environment<'_>, round: u32) -> Action {
        let (Some(contribution), Some(work), Some(secrets)) =
            (env.task.contribution(), &self.work, env.secrets)
        else {
            return Action::Sync { after: None };
        };
        let vector = contribution.encode(
            work.delta.as_deref().unwrap_or_default(),
            env.training as u32,
            &self.metrics(work),
            &(secrets.entropy)(),
        );
        Action::Contribute {
            round,
            vector: vector.map_or_else(|_| Vec::new(), |v| v.to_bytes()),
        }
    }
}
