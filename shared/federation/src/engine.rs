//! The aggregator: what it does at each command, over any store of its state ([`store::Store`]).
//!
//! [`Aggregator`] has one method for each command. A command is one named transaction: it loads
//! once where the federation stands ([`store::Current`]), steps the round machine
//! ([`crate::round::server`]), carries out its actions, and stores what changed. Nothing is kept in
//! memory between two commands, so a killed process loses nothing that was answered with success,
//! and several processes may serve one store. Time and secrets come from the caller.
//!
//! [`memory`] keeps everything in memory, for simulations and tests. [`local`] is one federation
//! over such a store, called without awaiting.

mod apply;
mod ending;
pub mod local;
pub mod memory;
mod messages;
mod participants;
pub mod store;
mod sums;

pub use participants::Join;
pub use sums::{largest_message, require_plain, require_secure};

use crate::record::Replay;
use crate::round::messages::{FederationStatus, RoundView};
use crate::round::phase::{Phase, RoundKind};
use crate::round::refusal::Refusal;
use crate::round::server::{Event, Round};
use crate::task::Task;
use apply::{Message, apply, leave};
use model_client::address::origin_of;
use store::{
    Current, Federations as _, Invites as _, Lines as _, NewFederation, NewInvite, Rounds as _,
    Store,
};

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The protocol refuses the command.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The protocol refuses the command, with an explanation.
    #[error("{0}: {1}")]
    RefusedBecause(Refusal, String),
    /// The store holds something that cannot be right.
    #[error("the aggregator's state is broken: {0}")]
    Broken(String),
}

impl CommandError {
    /// The protocol's refusal.
    ///
    /// # Errors
    /// The error itself, if it is not a refusal.
    pub fn refusal(self) -> Result<Refusal, Self> {
        match self {
            Self::Refused(refusal) | Self::RefusedBecause(refusal, _) => Ok(refusal),
            broken @ Self::Broken(_) => Err(broken),
        }
    }
}

fn broken(what: impl Into<String>) -> CommandError {
    CommandError::Broken(what.into())
}

/// A federation's task with what follows from it. It never changes, so every process may keep it.
#[derive(Clone, Debug)]
pub struct Federation {
    /// The federation's id in addresses and in the record.
    pub id: String,
    /// The federation's task.
    pub task: Task,
    /// The task's hash.
    pub task_hash: String,
    /// Origin (scheme, host and port) of the model API.
    pub model_origin: String,
    /// Origin from which the page fetches files for prompts that are sent as embeddings; `None` if
    /// none are.
    pub files_origin: Option<String>,
    /// Number of values in θ.
    pub dim: usize,
}

impl Federation {
    /// Makes the federation `id` with this task.
    #[must_use]
    pub fn new(id: String, task: Task) -> Self {
        Self {
            id,
            task_hash: task.hash(),
            model_origin: origin_of(&task.model.url).unwrap_or_default(),
            files_origin: task.prompt_embeds().and_then(|files| origin_of(&files.url)),
            dim: task.dim(),
            task,
        }
    }

    /// The origins to which the page may connect besides the aggregator, separated by spaces, if
    /// the model API is at `model`.
    #[must_use]
    pub fn origins(&self, model: &str) -> String {
        match &self.files_origin {
            Some(files) if files != model => format!("{model} {files}"),
            _ => model.to_owned(),
        }
    }
}

/// A participant whose token was recognised.
#[derive(Clone, Debug)]
pub struct Speaker {
    /// The participant's number.
    pub number: u32,
    /// Hash of the token with which the participant spoke.
    pub token_hash: String,
    /// Time at which the participant counts as gone unless it is heard from again, in milliseconds
    /// since 1970.
    pub lease_until: u64,
}

/// What a committed command changed, for counters and for requests that wait for news.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Outcomes of rounds that ended: `done`, or the reason for which a round was aborted.
    pub ended: Vec<String>,
    /// Phases that ended, with the milliseconds for which their clocks ran.
    pub phases: Vec<(Phase, u64)>,
    /// Number of updates that were stored, masked ones included.
    pub stored: u32,
    /// Phases of the messages of secure sums that were stored.
    pub messages: Vec<Phase>,
    /// The federation's new version, if views differ from before.
    pub version: Option<u64>,
}

/// Takes what committed commands changed: the federation's id, and the effects.
pub type Observer = std::sync::Arc<dyn Fn(&str, &Effects) + Send + Sync>;

/// The aggregator over a store: one method for each command.
#[derive(Clone)]
pub struct Aggregator<S> {
    store: S,
    observer: Observer,
}

/// Refuses commands after the federation has ended.
fn require_running(status: FederationStatus) -> Result<(), Refusal> {
    match status {
        FederationStatus::Running => Ok(()),
        FederationStatus::Finished => Err(Refusal::FederationFinished),
        FederationStatus::Closed => Err(Refusal::FederationClosed),
    }
}

impl<S: Store> Aggregator<S> {
    /// Makes the aggregator over `store`; `observer` gets what each committed command changed.
    pub fn new(store: S, observer: Observer) -> Self {
        Self { store, observer }
    }

    /// The store of the aggregator's state.
    pub fn store(&self) -> &S {
        &self.store
    }

    fn told<T>(&self, federation: &Federation, (answer, effects): (T, Effects)) -> T {
        (self.observer)(&federation.id, &effects);
        answer
    }

    /// Creates a federation at θ₀, with the first line of its record and its first invite, and
    /// opens round 0.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn create(
        &self,
        federation: &Federation,
        invite: &NewInvite<'_>,
        now: u64,
    ) -> Result<(), S::Error> {
        let id = &federation.id[..];
        let mut record =
            Replay::new(&federation.task).map_err(|faults| broken(faults.to_string()))?;
        let line = record.open(&federation.task, id);
        self.store
            .run_tx(id, "create", async |tx| {
                let new = NewFederation {
                    federation,
                    record: &record,
                    now,
                };
                tx.insert_federation(&new).await?;
                tx.append_line(0, &line).await?;
                tx.store_round(&Round::open(0)).await?;
                tx.insert_invite(invite).await
            })
            .await
    }

    /// Closes the federation: the current round is aborted, and no other begins.
    ///
    /// # Errors
    /// It is over already.
    pub async fn close(&self, federation: &Federation, now: u64) -> Result<(), S::Error> {
        let done = self
            .store
            .run_tx(&federation.id, "close", async |tx| {
                let mut at = tx.current(None, now).await?;
                require_running(at.status)?;
                let mut effects = Effects::default();
                let message = Message::default();
                apply(
                    tx,
                    federation,
                    &mut at,
                    now,
                    Event::Close,
                    message,
                    &mut effects,
                )
                .await?;
                Ok(((), effects))
            })
            .await?;
        self.told(federation, done);
        Ok(())
    }

    /// Lets time pass: participants whose lease ran out count as gone, and phases end.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn tick(&self, federation: &Federation, now: u64) -> Result<(), S::Error> {
        let done = self
            .store
            .run_tx(&federation.id, "tick", async |tx| {
                let mut effects = Effects::default();
                let mut at = tx.current(None, now).await?;
                let number = at.round.number;
                let expired = match at.status {
                    FederationStatus::Running => tx.expired(number, now).await?,
                    _ => Vec::new(),
                };
                for participant in expired {
                    // An earlier one may have ended the round, or only the phase.
                    if at.status != FederationStatus::Running || at.round.number != number {
                        break;
                    }
                    at.standing = tx.standing(number, participant).await?;
                    leave(tx, federation, &mut at, participant, now, &mut effects).await?;
                }
                if at.status == FederationStatus::Running {
                    let event = Event::Tick { live: at.live };
                    let message = Message::default();
                    apply(tx, federation, &mut at, now, event, message, &mut effects).await?;
                }
                Ok(((), effects))
            })
            .await?;
        self.told(federation, done);
        Ok(())
    }

    /// The current round as a participant sees it, or, without a number, as an outsider does.
    ///
    /// # Errors
    /// There is no such federation.
    pub async fn view(
        &self,
        federation: &Federation,
        participant: Option<u32>,
        now: u64,
    ) -> Result<RoundView, S::Error> {
        self.store
            .read(&federation.id, async |tx| {
                let at = tx.current(participant, now).await?;
                Ok(at.view(&federation.task, now))
            })
            .await
    }
}

impl Current {
    /// The kind of the current round: what it sums.
    #[must_use]
    pub fn kind(&self, task: &Task) -> RoundKind {
        if !self.counted && task.learnt_together().is_some() {
            RoundKind::Counting
        } else {
            RoundKind::Training
        }
    }

    /// The view, at time `now`, of the participant for whom this was loaded.
    #[must_use]
    pub fn view(&self, task: &Task, now: u64) -> RoundView {
        let round = &self.round;
        RoundView {
            version: self.version,
            status: self.status,
            step: self.step,
            round: round.number,
            phase: round.phase,
            theta: self.theta.clone(),
            lines: self.lines,
            record: self.record.clone(),
            registered: round.registered,
            attempt: round.attempt,
            standing: self.standing,
            enrolled: round.enrolled,
            cohort: round.cohort,
            delivered: round.delivered,
            live: self.live,
            deadline_ms: round
                .deadline(&task.federation.policy)
                .map(|deadline| deadline.saturating_sub(now)),
        }
    }
}

#[cfg(test)]
mod tests;
