//! Drives the round machine: loads it, steps it, carries out its actions and stores it, all within the
//! caller's transaction. Nothing is kept in memory between two calls.

mod ending;
pub(crate) mod sums;

use crate::failure::Failure;
use crate::store::rounds::{self, Place};
use crate::store::{Tx, federations, participants, word};
use federation::round::messages::{FederationStatus, Standing, SumMessage, Update};
use federation::round::phase::{AbortReason, Phase, RoundKind};
use federation::round::refusal::Refusal;
use federation::round::server::{Action, Event};
use federation::task::Task;

/// A federation's task and what follows from it. It never changes, so every process may keep it.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) id: String,
    pub(crate) task: Task,
    pub(crate) task_hash: String,
    pub(crate) model_origin: String,
    /// Where the page fetches files for prompts that are sent as embeddings.
    pub(crate) files_origin: Option<String>,
    pub(crate) dim: usize,
}

impl Known {
    /// What the page may connect to besides the aggregator, if the model API is at `model`.
    pub(crate) fn origins(&self, model: &str) -> String {
        match &self.files_origin {
            Some(files) if files != model => format!("{model} {files}"),
            _ => model.to_owned(),
        }
    }
}

/// What to count once the transaction is committed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// Outcomes of rounds that ended: `done` or the reason of an abort.
    pub(crate) ended: Vec<String>,
    /// Phases that ended, and how long they took in milliseconds, as far as their clocks ran.
    pub(crate) phases: Vec<(String, u64)>,
    /// Updates stored, masked ones too.
    pub(crate) stored: u32,
    /// Messages of secure sums stored, by their phases.
    pub(crate) messages: Vec<String>,
    /// A view may look different now.
    pub(crate) changed: bool,
}

/// Whose message it is and what it carries.
#[derive(Clone, Copy, Default)]
pub(crate) struct Message<'a> {
    /// The participant's number.
    pub(crate) speaker: Option<u32>,
    /// What they sent, if anything.
    pub(crate) body: Option<Body<'a>>,
}

/// What a message carries.
#[derive(Clone, Copy)]
pub(crate) enum Body<'a> {
    /// An update, and the size of its body in bytes.
    Update(&'a Update, usize),
    /// A message of a secure sum, already judged, and its body.
    Sum(&'a SumMessage, &'a [u8]),
}

/// Refuses what comes after the end.
pub(crate) fn require_running(status: FederationStatus) -> Result<(), Refusal> {
    match status {
        FederationStatus::Running => Ok(()),
        FederationStatus::Finished => Err(Refusal::FederationFinished),
        FederationStatus::Closed => Err(Refusal::FederationClosed),
    }
}

/// One event at time `now` (ms since 1970).
pub(crate) async fn apply(
    tx: &mut Tx,
    known: &Known,
    now: u64,
    event: Event,
    message: Message<'_>,
    effects: &mut Effects,
) -> Result<(), Failure> {
    let id = &known.id[..];
    let mut round = rounds::load(&mut **tx, id).await?;
    let before = round.clone();
    let kind = match known.task.learnt_together() {
        Some(_) => federations::head(&mut **tx, id).await?.kind(&known.task),
        None => RoundKind::Training,
    };
    let actions = round.step(&known.task.policy_of(kind), now, event)?;
    let speaker = || {
        message
            .speaker
            .ok_or_else(|| Failure::Internal("an action needs a speaker".into()))
    };
    let mut ended = None;
    for action in actions {
        match action {
            Action::Enrol => {
                let place = Place::Known(Standing::Enrolled);
                rounds::set_place(tx, id, round.number, speaker()?, place).await?;
            }
            Action::Withdraw => {
                let place = Place::Known(Standing::Idle);
                rounds::set_place(tx, id, round.number, speaker()?, place).await?;
            }
            Action::Freeze => {
                let frozen = rounds::freeze(tx, id, round.number).await?;
                if frozen != u64::from(round.cohort) {
                    return Err(Failure::Internal(format!(
                        "{frozen} participants are enrolled, but the round counted {}",
                        round.cohort
                    )));
                }
            }
            Action::Store => {
                match message.body {
                    Some(Body::Update(update, bytes)) => {
                        rounds::insert_update(tx, id, speaker()?, update, bytes).await?;
                        effects.stored += 1;
                    }
                    Some(Body::Sum(sum, body)) => {
                        sums::store(tx, known, round.number, speaker()?, sum, body).await?;
                        effects.stored += u32::from(sum.phase() == Phase::Masked);
                        effects.messages.push(word(sum.phase())?);
                    }
                    None => return Err(Failure::Internal("there is nothing to store".into())),
                }
                let place = Place::Known(Standing::Delivered);
                rounds::set_place(tx, id, round.number, speaker()?, place).await?;
            }
            Action::Narrow => sums::narrow(tx, known, &round).await?,
            Action::Aggregate => {
                let outcome = ending::aggregate(tx, known, &round).await?;
                ended = Some(ending::conclude(tx, known, &round, outcome, now).await?);
            }
            Action::Abort(reason) => {
                let outcome = ending::abort(tx, known, &round, reason).await?;
                ended = Some(ending::conclude(tx, known, &round, outcome, now).await?);
            }
        }
    }
    if let Event::Leave {
        standing: Standing::InCohort,
        ..
    } = event
    {
        rounds::set_place(tx, id, before.number, speaker()?, Place::Gone).await?;
    }
    if round.phase != before.phase
        && let Some(since) = before.since
    {
        let took = now.saturating_sub(since);
        effects.phases.push((word(before.phase)?, took));
    }
    if let Some(end) = ended {
        let outcome = end.aborted.map_or(Ok("done".to_owned()), word)?;
        effects.ended.push(outcome);
        if end.aborted.is_some() {
            // Masks may turn out to stay on, or θ not to be finite, when all has been delivered.
            round.phase = Phase::Aborted;
        }
        if end.aborted == Some(AbortReason::Closed) {
            federations::set_status(tx, id, FederationStatus::Closed).await?;
        } else if end.last {
            federations::set_status(tx, id, FederationStatus::Finished).await?;
        } else {
            round = round.next(end.joined, end.aborted.is_none());
        }
    }
    if round != before {
        rounds::store(tx, id, &round).await?;
        federations::bump(tx, id).await?;
        effects.changed = true;
    }
    Ok(())
}

/// A participant leaves for good.
pub(crate) async fn leave(
    tx: &mut Tx,
    known: &Known,
    number: u32,
    now: u64,
    effects: &mut Effects,
) -> Result<(), Failure> {
    participants::depart(tx, &known.id, number).await?;
    // The number of live participants is part of every view.
    federations::bump(tx, &known.id).await?;
    effects.changed = true;
    if federations::head(&mut **tx, &known.id).await?.status != FederationStatus::Running {
        return Ok(());
    }
    take_for_gone(tx, known, number, now, effects).await
}

/// The current round no longer waits for them.
async fn take_for_gone(
    tx: &mut Tx,
    known: &Known,
    number: u32,
    now: u64,
    effects: &mut Effects,
) -> Result<(), Failure> {
    let round = rounds::load(&mut **tx, &known.id).await?;
    let standing = rounds::place(&mut **tx, &known.id, round.number, number)
        .await?
        .standing();
    let live = participants::live(&mut **tx, &known.id, now).await?;
    let event = Event::Leave { standing, live };
    let message = Message {
        speaker: Some(number),
        body: None,
    };
    apply(tx, known, now, event, message, effects).await
}

/// Time passes: whoever's lease ran out is taken for gone, and phases end.
pub(crate) async fn tick(
    tx: &mut Tx,
    known: &Known,
    now: u64,
    effects: &mut Effects,
) -> Result<(), Failure> {
    let status = federations::head(&mut **tx, &known.id).await?.status;
    if status != FederationStatus::Running {
        return Ok(());
    }
    let number = rounds::load(&mut **tx, &known.id).await?.number;
    for (participant, _) in rounds::expired(&mut **tx, &known.id, number, now).await? {
        // The first of them may have ended the round.
        if rounds::load(&mut **tx, &known.id).await?.number != number {
            break;
        }
        take_for_gone(tx, known, participant, now, effects).await?;
    }
    let live = participants::live(&mut **tx, &known.id, now).await?;
    apply(
        tx,
        known,
        now,
        Event::Tick { live },
        Message::default(),
        effects,
    )
    .await
}
