//! The participant's part in secure sums: one [`Sum`] at a time, and what outlasts it.

use super::{Action, Client, Environment, Secrets, Stage, StopReason};
use crate::record::{Replay, RoundEntry};
use crate::round::contribution::Contribution;
use crate::round::messages::{PrivacySpent, RoundView, SumInput, SumMessage};
use crate::round::phase::Phase;
use crate::task::Task;
use ground::hash::Hash;
use ground::hex::hex;
use privacy::{Ledger, PrivacyError};
use secure_sum::Bytes32;
use secure_sum::messages::hash_vector;
use secure_sum::participant::{Participant, Suspicion};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The current sum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Sum {
    round: u32,
    machine: Participant,
    /// The seed of rounding and noise.
    seed: Seed,
    /// The last message made, to be sent again unchanged.
    message: Option<SumMessage>,
}

impl Sum {
    /// Number of the round.
    pub(super) fn round(&self) -> u32 {
        self.round
    }

    /// The last message made.
    pub(super) fn message(&self) -> Option<&SumMessage> {
        self.message.as_ref()
    }

    /// Number of members of the participant's group, once the roster is known.
    pub(super) fn group_size(&self) -> Option<usize> {
        self.machine.group_size()
    }
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
    /// Everybody's identity as first seen.
    pins: BTreeMap<u32, Bytes32>,
    /// The cost of the participant's own updates: of every masked vector that may have been sent.
    ledger: Ledger,
    committed: Option<Committed>,
    /// Rounds from the record's present θ in which it names a masked update of this participant's
    /// that this state does not know: an earlier state was lost.
    forgotten: Vec<u32>,
    /// A round that another participant's message made impossible.
    sat_out: Option<u32>,
    /// The round of the last vector without masks, and its seed (in simulations).
    open: Option<(u32, Seed)>,
    /// In how many sums each training example was, where noise hides single examples; those after the
    /// last have been in none.
    #[serde(default)]
    held: Vec<u32>,
    /// Number of sums from which this state does not know what they held: an earlier state was lost.
    #[serde(default)]
    pub(super) unknown: u32,
}

/// The last masked vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Committed {
    round: u32,
    vector: Hash,
    taken: bool,
}

/// How the record contradicts what this participant sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Betrayal {
    /// The masked update was taken, and the round's line, whether it tells of a sum or of an abort,
    /// does not name it.
    #[error("the record leaves out an update of ours that was taken")]
    LeftOut,
    /// The record holds another vector in its place.
    #[error("the record holds another vector in our name than the one that we sent")]
    Replaced,
}

impl Sums {
    /// Hash of the last masked vector.
    pub(super) fn committed(&self) -> Option<&Hash> {
        self.committed.as_ref().map(|c| &c.vector)
    }

    /// Whether an example may be in one more sum.
    pub(super) fn allows(&self, env: &Environment<'_>, example: u32) -> bool {
        let contribution = env.task.contribution();
        let limits = contribution
            .filter(|c| c.hides_examples())
            .and_then(Contribution::limits);
        let held = self.held.get(example as usize).copied().unwrap_or(0);
        limits
            .and_then(|limits| limits.participations)
            .is_none_or(|most| held + self.unknown < most)
    }

    /// Counts an update of these examples that may be in a sum.
    ///
    /// # Errors
    /// The cost does not fit into the ledger.
    pub(super) fn pay(
        &mut self,
        contribution: &Contribution,
        examples: &[u32],
    ) -> Result<(), PrivacyError> {
        contribution.pay(&mut self.ledger)?;
        if contribution.hides_examples() {
            for example in examples {
                let place = *example as usize;
                self.held.resize(self.held.len().max(place + 1), 0);
                self.held[place] += 1;
            }
        }
        Ok(())
    }

    /// Returns whether another update would bring the participant's own ε above the task's.
    pub(super) fn is_spent(&self, env: &Environment<'_>) -> bool {
        let spent = &self.ledger;
        let contribution = env.task.contribution();
        contribution
            // Of those, each is counted by itself.
            .filter(|c| !c.hides_examples())
            .is_some_and(|c| c.would_exceed(spent) || c.is_paid(spent))
    }

    /// Checks that what this participant sent is in the record unchanged, and counts what this state
    /// does not know of.
    pub(super) fn check(
        &mut self,
        task: &Task,
        participant: u32,
        entry: &RoundEntry,
    ) -> Result<(), Betrayal> {
        let ours = |c: &&crate::record::Commitment| c.participant == participant;
        let contributors = entry.cohort.iter().flat_map(|cohort| &cohort.contributors);
        let found = contributors.clone().find(ours);
        let committed = self.committed.as_ref().filter(|c| c.round == entry.round);
        match (found, committed) {
            (Some(found), Some(sent)) if found.vector != sent.vector => Err(Betrayal::Replaced),
            (None, Some(sent)) if sent.taken => Err(Betrayal::LeftOut),
            // Without masks, which is in simulations only, nothing is committed to.
            (Some(_), None) if task.federation.policy.secure.is_some() => {
                if let Some(contribution) = task.contribution() {
                    // A cost that does not fit into the ledger is one that the task never allowed.
                    let _ = contribution.pay(&mut self.ledger);
                    self.unknown += 1;
                }
                self.forgotten.push(entry.round);
                Ok(())
            }
            _ => Ok(()),
        }?;
        if entry.aborted.is_none() {
            self.forgotten.clear();
        }
        Ok(())
    }
}

impl Client {
    /// Why the machine stopped as inconsistent, in words.
    #[must_use]
    pub fn suspicion(&self) -> Option<&str> {
        self.suspicion.as_deref()
    }

    /// Where the record names updates from this θ that this state does not know: trains another one
    /// than those, as after any update that was sent. Returns whether there are any.
    pub(super) fn recall(&mut self, env: &Environment<'_>) -> bool {
        let rounds = std::mem::take(&mut self.sums.forgotten);
        let (Some(last), Some(work)) = (rounds.last(), self.work.as_mut()) else {
            return false;
        };
        let known = u32::from(work.masked.is_some());
        work.renewed += known + rounds.len() as u32 - 1;
        (work.masked, work.delta) = (Some(*last), Some(Vec::new()));
        self.renew(env);
        true
    }

    /// The federation's record as far as it was read and recomputed; `None` before it was begun.
    #[must_use]
    pub fn record(&self) -> Option<&crate::record::Replay> {
        self.record.as_ref()
    }

    /// What this participant's own updates have cost so far; `None` without noise.
    #[must_use]
    pub fn privacy(&self, task: &Task) -> Option<PrivacySpent> {
        let limits = task.contribution()?.limits()?;
        Some(PrivacySpent {
            epsilon: self.sums.ledger.epsilon(limits.delta),
            limit: limits.epsilon,
            delta: limits.delta,
        })
    }

    /// Makes the plain update that the cohort delivers. Refused if updates are summed under masks.
    pub(super) fn upload(&mut self, env: &Environment<'_>) -> Result<Stage, &'static str> {
        if env.task.federation.policy.secure.is_some() {
            return Err("the aggregator asks for an update without the masks that were agreed on");
        }
        if let Some(contribution) = env.task.contribution() {
            let (Some(view), Some(secrets)) = (&self.view, env.secrets) else {
                return Ok(Stage::AwaitingCohort);
            };
            let round = view.round;
            if self
                .sums
                .open
                .as_ref()
                .is_none_or(|(open, _)| *open != round)
            {
                if self.sums.is_spent(env) {
                    return Ok(Stage::Stopped(StopReason::PrivacySpent));
                }
                // If this could fail, the budget would have been spent.
                let examples = self.work.as_ref().map_or(&[][..], |w| &w.examples);
                let _ = self.sums.pay(contribution, examples);
                self.sums.open = Some((round, Seed((secrets.entropy)())));
            }
        }
        if let Some(work) = self.work.as_mut() {
            work.offered = true;
        }
        Ok(Stage::Uploading)
    }

    /// Returns whether this participant can send this phase's message; begins a sum if it is the
    /// first.
    pub(super) fn join_sum(
        &mut self,
        env: &Environment<'_>,
        phase: Phase,
    ) -> Result<Stage, &'static str> {
        let (Some(view), Some(secrets), Some(secure)) =
            (&self.view, env.secrets, &env.task.federation.secure)
        else {
            return Ok(Stage::AwaitingCohort);
        };
        let round = view.round;
        if self.sums.sat_out == Some(round) {
            return Ok(Stage::AwaitingCohort);
        }
        if self.sum.as_ref().is_some_and(|s| s.round == round) {
            return Ok(Stage::Summing);
        }
        // With the state of another device, or a lost one, nothing can be sent after the first
        // phase. Nor if the record is already further than the view.
        let (Phase::Keys, Some(record)) = (phase, &self.record) else {
            return Ok(Stage::AwaitingCohort);
        };
        if record.rounds() < round {
            return Err(
                "the aggregator begins a round although the record does not tell how the one before ended",
            );
        }
        let context = record.context(env.task, round);
        let Some(context) = context.filter(|_| record.rounds() == round) else {
            return Ok(Stage::AwaitingCohort);
        };
        // Checked when the participant enrolled, but an aggregator can also claim a cohort.
        if self.sums.is_spent(env) {
            return Ok(Stage::Stopped(StopReason::PrivacySpent));
        }
        let machine = Participant::new(
            context,
            self.participant,
            secure.policy,
            (secrets.entropy)(),
        );
        self.sum = Some(Sum {
            round,
            message: Some(SumMessage::Keys(machine.keys(&secrets.identity))),
            machine,
            seed: Seed((secrets.entropy)()),
        });
        Ok(Stage::Summing)
    }

    /// The message that the aggregator waits for.
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

    /// Takes what the next message needs.
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
            // Another participant's doing, or too many of the group have gone: nothing was
            // revealed, this round is lost for this participant, the next may not be.
            Err(
                Suspicion::BadEnvelope
                | Suspicion::TooFewMembers
                | Suspicion::TooFewSurvivors
                | Suspicion::TooFewConfirmed,
            ) => {
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
                let contribution = env.task.contribution_of(work.kind);
                let (Some(contribution), Some(delta)) = (contribution, &work.delta) else {
                    return Ok(None);
                };
                let round = sum.round;
                if work.masked.is_some_and(|masked| masked != round) {
                    // Its sum with others may have been opened; a second one, over other people,
                    // would tell it apart.
                    return Err(Suspicion::SecondRequest);
                }
                let report = self.report(env, work);
                let Some(sum) = self.sum.as_mut() else {
                    return Ok(None);
                };
                let (examples, metrics) = (report.examples, report.metrics);
                let vector = contribution.encode(delta, examples, &metrics, &sum.seed.0);
                let Ok(vector) = vector else {
                    return Ok(None);
                };
                let masked = sum.machine.masked(&secrets.identity, inbox, vector)?;
                let (round, vector) = (sum.round, hex(&hash_vector(&masked.vector)));
                let again = |c: &Committed| c.round == round && c.vector == vector;
                if !self.sums.committed.as_ref().is_some_and(again) {
                    let examples = self.work.as_ref().map_or(&[][..], |w| &w.examples);
                    if self.sums.pay(contribution, examples).is_err() {
                        return Ok(None);
                    }
                    self.sums.committed = Some(Committed {
                        round,
                        vector,
                        taken: false,
                    });
                }
                if let Some(work) = self.work.as_mut() {
                    work.offered = true;
                    work.masked = Some(round);
                }
                SumMessage::Masked(masked)
            }
            SumInput::Survivors(survivors) => {
                // The noise is split among this many, which the threshold alone does not ensure.
                let least = env.task.federation.secure.map_or(0, |s| s.survivors_min);
                if survivors.members.len() < least as usize {
                    return Err(Suspicion::TooFewSurvivors);
                }
                SumMessage::Confirmation(sum.machine.confirm(&secrets.identity, survivors)?)
            }
            SumInput::Confirmations(confirmations) => {
                SumMessage::Unmask(sum.machine.unmask(confirmations)?)
            }
        }))
    }

    /// Drops the seeds of a sum that is over: the record tells its end, or the machine has stopped.
    /// Who reads the stored state later could open the masked vector with them.
    pub(super) fn forget_seeds(&mut self) {
        let stopped = self.stopped().is_some();
        let rounds = self.record.as_ref().map_or(0, Replay::rounds);
        let over = |round: u32| stopped || round < rounds;
        self.sum.take_if(|sum| over(sum.round));
        self.sums.open.take_if(|(round, _)| over(*round));
    }

    /// The open message was taken.
    pub(super) fn message_taken(&mut self) {
        let message = self.sum.as_ref().and_then(|s| s.message.as_ref());
        if let Some(SumMessage::Masked(_)) = message {
            if let Some(committed) = self.sums.committed.as_mut() {
                committed.taken = true;
            }
            self.delivered_update();
        }
        self.stage = Stage::AwaitingResult;
    }

    /// The vector without masks, for simulations.
    pub(super) fn contribution(&self, env: &Environment<'_>) -> Action {
        let (Some(work), Some((round, seed))) = (&self.work, &self.sums.open) else {
            return Action::Sync { after: None };
        };
        let Some(contribution) = env.task.contribution_of(work.kind) else {
            return Action::Sync { after: None };
        };
        let report = self.report(env, work);
        let vector = contribution.encode(
            work.delta.as_deref().unwrap_or_default(),
            report.examples,
            &report.metrics,
            &seed.0,
        );
        Action::Contribute {
            round: *round,
            vector: vector.map_or_else(|_| Vec::new(), |v| v.to_bytes()),
        }
    }
}
