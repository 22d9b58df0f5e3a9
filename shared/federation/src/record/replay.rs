//! Recomputes everything that a record claims.

use super::{Cohort, Entry, Line, RoundEntry, nothing};
use crate::round::messages::Metrics;
use crate::round::phase::{AbortReason, RoundKind};
use crate::rules::advance::{AdvanceError, Sums, advance, count};
use crate::rules::choice::{Choice, Keep, Measured, Tally};
use crate::rules::server_optimizer::ServerState;
use crate::task::Task;
use ground::fault::Faults;
use ground::hash::{Hash, theta_hash};
use ground::hex::unhex;
use privacy::Ledger;
use secure_sum::messages::{hash_senders, is_strictly_increasing, is_subset};
use secure_sum::{Context, identity, messages};
use serde::{Deserialize, Serialize};
use tuning::objective::mapping::Mappings;

/// Whether the contributors' signatures are checked as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commitments {
    /// Check them, as an auditor does.
    Check,
    /// Trust them: a participant has checked those of its own cohorts when it mattered, and saves
    /// the time.
    Trust,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum What {
    /// It is not JSON of this form.
    #[error("it does not parse")]
    Malformed,
    /// Its `previous` is not the hash of the line before.
    #[error("it does not follow the line before it: the record was cut or altered")]
    Previous,
    /// The first line is of another federation or task.
    #[error("it begins another task than this one")]
    Task,
    /// A beginning in the middle, or a round at the beginning.
    #[error("it is out of place")]
    Place,
    /// Its round or step is not the next one.
    #[error("its round or step is not the next one")]
    Number,
    /// Its θ does not follow from its sums.
    #[error("its θ does not follow from its sums")]
    Theta,
    /// Its ε is not what the rounds so far have cost.
    #[error("its ε is not what the rounds so far have cost")]
    Epsilon,
    /// It spends more than the task allows.
    #[error("it spends more ε than the task allows")]
    Budget,
    /// The members of its sums are not its contributors, or not as many as the task requires.
    #[error("its sums are not of its contributors, or not of as many as the task demands")]
    Members,
    /// A contributor's signature is wrong.
    #[error("a contributor's signature does not fit")]
    Signature,
    /// A participant's number has another identity than before.
    #[error("a participant's identity is not the one it had before")]
    Identity,
}

/// The first place at which a record differs from what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the record is wrong: {what}")]
pub struct Difference {
    /// Number of the line, counted from 1.
    pub line: u32,
    /// What is wrong with it.
    pub what: What,
}

/// A record as far as it has been read. Serialisable, so that a participant can continue later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    federation: String,
    state: ServerState,
    theta: Hash,
    step: u32,
    round: u32,
    lines: u32,
    head: Hash,
    ledger: Ledger,
    /// Identities by participant, increasing.
    identities: Vec<(u32, Hash)>,
    /// Whether the counting round is concluded.
    counted: bool,
    /// Means that the counting round gave.
    means: Vec<f32>,
    patience: Patience,
    tally: Tally,
    /// The θ with the best measurement so far.
    best: Vec<f32>,
}

/// How long the held-out loss has not improved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Patience {
    /// The smallest mean loss so far. An f32, which survives being stored as JSON to the last bit.
    pub least: Option<f32>,
    /// Number of concluded rounds since then in which something was measured.
    pub rounds: u32,
}

impl Patience {
    fn take(&mut self, metrics: &Metrics) {
        if metrics.total == 0 {
            return;
        }
        let loss = (metrics.loss / f64::from(metrics.total)) as f32;
        if self.least.is_none_or(|least| loss < least) {
            *self = Self {
                least: Some(loss),
                rounds: 0,
            };
        } else {
            self.rounds = self.rounds.saturating_add(1);
        }
    }
}

impl Replay {
    /// Starts before the first line.
    ///
    /// # Errors
    /// The task's generator cannot be built.
    pub fn new(task: &Task) -> Result<Self, Faults> {
        let theta = task.initial()?;
        Ok(Self {
            federation: String::new(),
            theta: theta_hash(&theta),
            state: ServerState::new(theta),
            step: 0,
            round: 0,
            lines: 0,
            head: nothing(),
            ledger: Ledger::default(),
            identities: Vec::new(),
            counted: false,
            means: Vec::new(),
            patience: Patience::default(),
            tally: Tally::default(),
            best: Vec::new(),
        })
    }

    /// θ after the lines read so far.
    #[must_use]
    pub fn parameters(&self) -> &[f32] {
        &self.state.theta
    }

    /// Hash of [`Replay::theta`].
    #[must_use]
    pub fn theta(&self) -> &Hash {
        &self.theta
    }

    /// Number of θ updates.
    #[must_use]
    pub fn step(&self) -> u32 {
        self.step
    }

    /// Number of rounds, including aborted ones.
    #[must_use]
    pub fn rounds(&self) -> u32 {
        self.round
    }

    /// Number of lines read.
    #[must_use]
    pub fn lines(&self) -> u32 {
        self.lines
    }

    /// Hash of the last line read.
    #[must_use]
    pub fn head(&self) -> &Hash {
        &self.head
    }

    /// The federation's id; `None` before the first line is read.
    #[must_use]
    pub fn federation(&self) -> &str {
        &self.federation
    }

    /// What all rounds so far may have cost a participant who was in each of them.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The context to which keys and signatures of the next round are bound.
    #[must_use]
    pub fn context(&self, task: &Task, round: u32) -> Option<Context> {
        Some(Context {
            federation: self.federation.clone(),
            task: unhex(&task.hash())?,
            round,
            theta: unhex(&self.theta)?,
            record: unhex(&self.head)?,
        })
    }

    /// Reads a line.
    ///
    /// # Errors
    /// The difference that was found; nothing has changed then.
    pub fn take(
        &mut self,
        task: &Task,
        line: &str,
        commitments: Commitments,
    ) -> Result<Option<RoundEntry>, Difference> {
        let mut next = self.clone();
        match next.read(task, line, commitments) {
            Ok(entry) => {
                next.lines += 1;
                next.head = super::hash(line);
                *self = next;
                Ok(entry)
            }
            Err(what) => Err(Difference {
                line: self.lines + 1,
                what,
            }),
        }
    }

    fn read(
        &mut self,
        task: &Task,
        line: &str,
        commitments: Commitments,
    ) -> Result<Option<RoundEntry>, What> {
        let Line { previous, entry } = super::read(line).ok_or(What::Malformed)?;
        if previous != self.head {
            return Err(What::Previous);
        }
        match (entry, self.lines) {
            (
                Entry::Opened {
                    format: 1,
                    federation,
                    task: source,
                    theta,
                },
                0,
            ) => {
                if Task::hash_of(&source) != task.hash() {
                    return Err(What::Task);
                }
                if theta != self.theta {
                    return Err(What::Theta);
                }
                self.federation = federation;
                Ok(None)
            }
            (Entry::Round(entry), 1..) => {
                self.round(task, &entry, commitments).map(|()| Some(entry))
            }
            _ => Err(What::Place),
        }
    }

    fn round(
        &mut self,
        task: &Task,
        entry: &RoundEntry,
        commitments: Commitments,
    ) -> Result<(), What> {
        if entry.round != self.round || entry.step != self.step {
            return Err(What::Number);
        }
        if let Some(cohort) = &entry.cohort {
            self.cohort(task, entry, cohort, commitments)?;
            self.spend(task)?;
        }
        let told = self.epsilon(task);
        let same = match (told, entry.epsilon) {
            (None, None) => true,
            (Some(ours), Some(theirs)) => (ours - theirs).abs() < 2e-3,
            _ => false,
        };
        if !same {
            return Err(What::Epsilon);
        }
        match (&entry.sums, entry.aborted) {
            (Some(sums), None) => {
                self.members(task, entry.cohort.as_ref(), sums)?;
                self.advance(task, sums).map_err(|_| What::Theta)?;
            }
            (None, Some(_)) => {}
            _ => return Err(What::Malformed),
        }
        if entry.theta != self.theta {
            return Err(What::Theta);
        }
        self.round += 1;
        Ok(())
    }

    /// What the next round sums.
    #[must_use]
    pub fn kind(&self, task: &Task) -> RoundKind {
        if !self.counted && task.learnt_together().is_some() {
            RoundKind::Counting
        } else {
            RoundKind::Training
        }
    }

    /// Computes the next θ, or the mapping, from a round's sums. On an error nothing has changed.
    fn advance(&mut self, task: &Task, sums: &Sums) -> Result<Metrics, AdvanceError> {
        if self.kind(task) == RoundKind::Counting {
            let (means, metrics) = count(task, sums)?;
            (self.counted, self.means) = (true, means);
            return Ok(metrics);
        }
        let before = self.state.theta.clone();
        let metrics = advance(task, &mut self.state, self.step, sums)?;
        if Measured::of(self.step, &metrics).is_some_and(|m| self.tally.take(m)) {
            self.best = before;
        }
        self.patience.take(&metrics);
        self.theta = theta_hash(&self.state.theta);
        self.step += 1;
        Ok(metrics)
    }

    /// The means that the counting round gave; `None` before it is concluded, or without one.
    #[must_use]
    pub fn means(&self) -> Option<&[f32]> {
        (self.counted && !self.means.is_empty()).then_some(&self.means)
    }

    /// The mappings that all participants share; `None` while there are none.
    #[must_use]
    pub fn mappings(&self, task: &Task) -> Option<Mappings> {
        let learnt = self.means().map(|means| task.fit_mappings(means));
        learnt.or_else(|| task.mapping.fixed())
    }

    /// For how long the held-out loss has not improved.
    #[must_use]
    pub fn patience(&self) -> Patience {
        self.patience
    }

    /// Returns whether no further round follows: all are done, the held-out loss has not improved
    /// for as long as the task waits, or another round would cost more ε than the task allows.
    #[must_use]
    pub fn is_over(&self, task: &Task) -> bool {
        let patience = task.federation.patience;
        self.step >= task.federation.rounds
            || (patience > 0 && self.patience.rounds >= patience)
            || self.is_spent(task)
    }

    /// The choice of what to keep after the rounds so far; `None` as long as nothing was measured.
    #[must_use]
    pub fn choice(&self) -> Option<Choice> {
        self.tally.choose()
    }

    /// The θ to keep; `None` if no prompt is kept. Without a choice it is the last θ.
    #[must_use]
    pub fn kept(&self) -> Option<&[f32]> {
        match self.choice().map(|choice| choice.keep) {
            Some(Keep::Unprompted) => None,
            Some(Keep::Earlier) => Some(&self.best),
            Some(Keep::Last) | None => Some(&self.state.theta),
        }
    }

    /// ε of all rounds so far, as the record states it.
    #[must_use]
    pub fn epsilon(&self, task: &Task) -> Option<f64> {
        let limits = task.contribution()?.limits()?;
        Some(super::rounded(self.ledger.epsilon(limits.delta)))
    }

    fn spend(&mut self, task: &Task) -> Result<(), What> {
        let Some(contribution) = task.contribution().filter(|c| c.limits().is_some()) else {
            return Ok(());
        };
        if contribution.is_paid(&self.ledger) {
            // Nobody's update is in more sums than that: further ones cost no participant more.
            return Ok(());
        }
        if contribution.would_exceed(&self.ledger) {
            return Err(What::Budget);
        }
        self.ledger
            .compose(contribution.rho())
            .map_err(|_| What::Budget)
    }

    fn members(&self, task: &Task, cohort: Option<&Cohort>, sums: &Sums) -> Result<(), What> {
        let (groups, cohort, secure) = match (sums, cohort, &task.federation.secure) {
            (Sums::Individual { .. }, None, None) => return Ok(()),
            (Sums::Plain { .. }, None, None) => return Ok(()),
            (Sums::Secure { groups }, Some(cohort), Some(secure)) => (groups, cohort, secure),
            // Nor can a mean without anyone's commitment stand for a secure sum.
            _ => return Err(What::Members),
        };
        let mut members: Vec<u32> = groups.iter().flat_map(|g| g.members.clone()).collect();
        members.sort_unstable();
        let contributors = cohort.contributors.iter().map(|c| c.participant);
        if contributors.eq(members) && cohort.contributors.len() >= secure.survivors_min as usize {
            Ok(())
        } else {
            Err(What::Members)
        }
    }

    fn cohort(
        &mut self,
        task: &Task,
        entry: &RoundEntry,
        cohort: &Cohort,
        commitments: Commitments,
    ) -> Result<(), What> {
        let context = self
            .context(task, entry.round)
            .ok_or(What::Malformed)?
            .digest();
        let secure = task.federation.secure;
        let secure = secure.ok_or(What::Members)?;
        let contributors: Vec<u32> = cohort.contributors.iter().map(|c| c.participant).collect();
        // U2 ⊇ U3, and nobody twice. Without masks nobody sends shares, nor signs.
        let nested =
            is_strictly_increasing(&cohort.senders) && is_subset(&contributors, &cohort.senders);
        if !is_strictly_increasing(&contributors) || (secure.masks && !nested) {
            return Err(What::Members);
        }
        let senders = hash_senders(&cohort.senders);
        for contributor in &cohort.contributors {
            let (number, identity) = (contributor.participant, &contributor.identity);
            match self
                .identities
                .binary_search_by_key(&number, |known| known.0)
            {
                Ok(at) if self.identities[at].1 != *identity => return Err(What::Identity),
                Ok(_) => {}
                Err(at) => self.identities.insert(at, (number, identity.clone())),
            }
            if commitments == Commitments::Trust || !secure.masks {
                continue;
            }
            let signed = |vector, signature: [u8; 64], public| {
                let message =
                    messages::commitment(&context, contributor.participant, &senders, &vector);
                identity::verify(&public, &message, &signature)
            };
            let parts = (
                unhex::<32>(&contributor.vector),
                unhex::<64>(&contributor.signature),
                unhex::<32>(&contributor.identity),
            );
            let (Some(vector), Some(signature), Some(public)) = parts else {
                return Err(What::Malformed);
            };
            if !signed(vector, signature, public) {
                return Err(What::Signature);
            }
        }
        Ok(())
    }

    /// Makes the line of a round that has just ended, for the aggregator, and computes what it
    /// claims. If the sums are at fault the round is aborted, which the entry says.
    pub fn conclude(
        &mut self,
        task: &Task,
        round: u32,
        outcome: Result<Sums, AbortReason>,
        cohort: Option<Cohort>,
    ) -> (RoundEntry, String, Metrics) {
        let mut metrics = Metrics::default();
        let step = self.step;
        if cohort.is_some() {
            // The budget was checked before the round began.
            let _ = self.spend(task);
        }
        let outcome = outcome.and_then(|sums| {
            match self.advance(task, &sums) {
                Ok(sum) => metrics = sum,
                Err(AdvanceError::Empty) => return Err(AbortReason::TooFewUpdates),
                Err(AdvanceError::Overflow) => return Err(AbortReason::Overflow),
            }
            Ok(sums)
        });
        let entry = RoundEntry {
            round,
            step,
            aborted: outcome.as_ref().err().copied(),
            cohort,
            sums: outcome.ok(),
            theta: self.theta.clone(),
            epsilon: self.epsilon(task),
        };
        self.round = round + 1;
        let line = super::write(&self.head, Entry::Round(entry.clone()));
        self.lines += 1;
        self.head = super::hash(&line);
        (entry, line, metrics)
    }

    /// Makes the first line, for the aggregator.
    pub fn open(&mut self, task: &Task, federation: &str) -> String {
        federation.clone_into(&mut self.federation);
        let entry = Entry::Opened {
            format: 1,
            federation: federation.to_owned(),
            task: task.source().clone(),
            theta: self.theta.clone(),
        };
        let line = super::write(&self.head, entry);
        self.lines = 1;
        self.head = super::hash(&line);
        line
    }

    /// Returns whether another round would bring ε above what the task allows.
    #[must_use]
    pub fn is_spent(&self, task: &Task) -> bool {
        let spent = &self.ledger;
        task.contribution()
            .is_some_and(|c| !c.is_paid(spent) && c.would_exceed(spent))
    }
}

/// What an aggregator stores of its position in the record.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The federation's id.
    pub federation: String,
    /// θ_t and the server optimiser's moments.
    pub state: ServerState,
    /// Number of θ updates.
    pub step: u32,
    /// Number of lines so far.
    pub lines: u32,
    /// Hash of the last line.
    pub head: Hash,
    /// ρ of all rounds so far.
    pub rho: f64,
    /// Whether the counting round is concluded.
    pub counted: bool,
    /// For how long the held-out loss has not improved.
    pub patience: Patience,
}

impl Checkpoint {
    /// Where `record` stands.
    #[must_use]
    pub fn of(record: &Replay) -> Self {
        Self {
            federation: record.federation.clone(),
            state: record.state.clone(),
            step: record.step,
            lines: record.lines,
            head: record.head.clone(),
            rho: record.ledger.rho(),
            counted: record.counted,
            patience: record.patience,
        }
    }
}

impl From<Checkpoint> for Replay {
    fn from(checkpoint: Checkpoint) -> Self {
        let mut ledger = Ledger::new();
        // A stored ρ was finite.
        let _ = ledger.compose(checkpoint.rho);
        Self {
            federation: checkpoint.federation,
            theta: theta_hash(&checkpoint.state.theta),
            state: checkpoint.state,
            step: checkpoint.step,
            round: 0,
            lines: checkpoint.lines,
            head: checkpoint.head,
            ledger,
            identities: Vec::new(),
            counted: checkpoint.counted,
            patience: checkpoint.patience,
            // Needed only by readers of the record; an aggregator maps nothing and keeps nothing.
            means: Vec::new(),
            tally: Tally::default(),
            best: Vec::new(),
        }
    }
}

impl Replay {
    /// Returns whether the counting round is concluded.
    #[must_use]
    pub fn has_counted(&self) -> bool {
        self.counted
    }

    /// θ and the moments so far.
    #[must_use]
    pub fn state(&self) -> &ServerState {
        &self.state
    }
}

#[cfg(test)]
mod tests;
