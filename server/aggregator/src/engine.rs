//! Drives the round machine: loads it, steps it, carries out its actions and stores it, all within the
//! caller's transaction. Nothing is kept in memory between two calls.

use crate::failure::Failure;
use crate::store::rounds::{self, Place, Totals};
use crate::store::{Tx, federations, participants};
use shared::federation::fedavg::WeightedMean;
use shared::round::messages::{FederationStatus, Metrics, RoundRecord, Standing, Update};
use shared::round::phase::{AbortReason, Phase};
use shared::round::refusal::Refusal;
use shared::round::server::{Action, Event, Round};
use shared::task::Task;

/// A federation's task and what follows from it. It never changes, so every process may keep it.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) id: String,
    pub(crate) task: Task,
    pub(crate) task_hash: String,
    pub(crate) model_origin: String,
    pub(crate) dim: usize,
}

/// What to count once the transaction is committed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// Outcomes of rounds that ended: `done` or the reason of an abort.
    pub(crate) ended: Vec<&'static str>,
    /// Updates stored.
    pub(crate) stored: u32,
    /// A view may look different now.
    pub(crate) changed: bool,
}

/// Whose message it is and what it carries.
#[derive(Clone, Copy, Default)]
pub(crate) struct Message<'a> {
    /// The participant's number.
    pub(crate) speaker: Option<u32>,
    /// The update and the size of its body in bytes.
    pub(crate) update: Option<(&'a Update, usize)>,
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
    let actions = round.step(&known.task.federation.policy, now, event)?;
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
                let (update, bytes) = message
                    .update
                    .ok_or_else(|| Failure::Internal("there is no update to store".into()))?;
                rounds::insert_update(tx, id, speaker()?, update, bytes).await?;
                let place = Place::Known(Standing::Delivered);
                rounds::set_place(tx, id, round.number, speaker()?, place).await?;
                effects.stored += 1;
            }
            Action::Aggregate => ended = Some(aggregate(tx, known, &mut round, now).await?),
            Action::Abort(reason) => {
                abort(tx, known, &round, reason, now).await?;
                ended = Some(End::Aborted(reason));
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
    if let Some(end) = ended {
        effects.ended.push(end.word());
        match end {
            End::Done { last: true } => {
                federations::set_status(tx, id, FederationStatus::Finished).await?;
            }
            End::Aborted(AbortReason::Closed) => {
                federations::set_status(tx, id, FederationStatus::Closed).await?;
            }
            End::Done { last: false } | End::Aborted(_) => round = Round::open(round.number + 1),
        }
    }
    if round != before {
        rounds::store(tx, id, &round).await?;
        federations::bump(tx, id).await?;
        effects.changed = true;
    }
    Ok(())
}

/// How a round ended.
#[derive(Clone, Copy)]
enum End {
    Done { last: bool },
    Aborted(AbortReason),
}

impl End {
    fn word(self) -> &'static str {
        match self {
            Self::Done { .. } => "done",
            Self::Aborted(AbortReason::TooFewEnrolled) => "too-few-enrolled",
            Self::Aborted(AbortReason::TooFewUpdates) => "too-few-updates",
            Self::Aborted(AbortReason::Overflow) => "overflow",
            Self::Aborted(AbortReason::Closed) => "closed",
        }
    }
}

/// Sums what was delivered, applies it, records the round. If the new θ (or a moment of it) would not be
/// finite, nothing is applied and the round is aborted.
async fn aggregate(
    tx: &mut Tx,
    known: &Known,
    round: &mut Round,
    now: u64,
) -> Result<End, Failure> {
    let id = &known.id[..];
    let federation = &known.task.federation;
    let step = federations::head(&mut **tx, id).await?.step;
    let mut mean = WeightedMean::new(known.dim);
    let totals = rounds::for_each_update(tx, id, round.number, known.dim, |delta, examples| {
        mean.add(delta, examples);
    })
    .await?;
    let Some(mean) = mean.mean() else {
        round.phase = Phase::Aborted;
        abort(tx, known, round, AbortReason::TooFewUpdates, now).await?;
        return Ok(End::Aborted(AbortReason::TooFewUpdates));
    };
    let mut state = federations::state(tx, id, known.dim).await?;
    federation
        .server
        .apply(&mut state, &mean, step, federation.rounds);
    if ![&state.theta, &state.first, &state.second]
        .into_iter()
        .flatten()
        .all(|x| x.is_finite())
    {
        round.phase = Phase::Aborted;
        abort(tx, known, round, AbortReason::Overflow, now).await?;
        return Ok(End::Aborted(AbortReason::Overflow));
    }
    let theta = federations::advance(tx, id, &state).await?;
    let record = record(round, step, None, theta, totals, now);
    rounds::finish(tx, id, &record).await?;
    Ok(End::Done {
        last: step + 1 >= federation.rounds,
    })
}

async fn abort(
    tx: &mut Tx,
    known: &Known,
    round: &Round,
    reason: AbortReason,
    now: u64,
) -> Result<(), Failure> {
    let head = federations::head(&mut **tx, &known.id).await?;
    let mut totals =
        rounds::for_each_update(tx, &known.id, round.number, known.dim, |_, _| {}).await?;
    // Participants report the same queries again with the next update that counts.
    totals.metrics = Metrics::default();
    let record = record(round, head.step, Some(reason), head.theta_hash, totals, now);
    rounds::finish(tx, &known.id, &record).await
}

fn record(
    round: &Round,
    step: u32,
    reason: Option<AbortReason>,
    theta: String,
    totals: Totals,
    now: u64,
) -> RoundRecord {
    RoundRecord {
        round: round.number,
        step,
        phase: round.phase,
        reason,
        cohort: round.cohort,
        delivered: round.delivered,
        metrics: totals.metrics,
        theta,
        bytes_up: totals.bytes,
        finished_at: now,
    }
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
        update: None,
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
