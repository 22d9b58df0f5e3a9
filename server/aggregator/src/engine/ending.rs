//! How rounds end: what was delivered is combined or opened, the record gets its line, θ moves.

use super::Known;
use crate::failure::Failure;
use crate::store::{Tx, federations, lines, messages, rounds};
use federation::record::{Cohort, Replay};
use federation::round::messages::{RoundRecord, SumMessage};
use federation::round::phase::{AbortReason, Phase, RoundKind};
use federation::round::server::Round;
use federation::round::sums::Opening;
use federation::rules::advance::{Sums, bound, combine_of};
use federation::rules::combine::Combine;
use federation::rules::fedavg::WeightedMean;
use federation::task::Rule;
use tuning::optimizer::individual::Individual;

/// What a round came to.
pub(super) struct Outcome {
    pub(super) sums: Result<Sums, AbortReason>,
    /// Who was in a secure sum, also where it was not opened.
    pub(super) cohort: Option<Cohort>,
    /// Of the updates that came.
    pub(super) bytes: u64,
}

/// How it ended.
pub(super) struct End {
    /// Why there is no new θ.
    pub(super) aborted: Option<AbortReason>,
    /// No other round begins: all are done, the held-out loss has not improved for as long as the task waits, or
    /// another would cost more ε than the task allows.
    pub(super) last: bool,
    /// All who have joined by now.
    pub(super) joined: u32,
}

/// Everything is in.
pub(super) async fn aggregate(
    tx: &mut Tx,
    known: &Known,
    round: &Round,
) -> Result<Outcome, Failure> {
    if known.task.federation.policy.secure.is_some() {
        open(tx, known, round, None).await
    } else {
        combine(tx, known, round).await
    }
}

/// The round ends without a new θ. Once masked vectors were sent, their noise is spent, so the record tells whose.
pub(super) async fn abort(
    tx: &mut Tx,
    known: &Known,
    round: &Round,
    reason: AbortReason,
) -> Result<Outcome, Failure> {
    if known.task.federation.policy.secure.is_some() {
        return open(tx, known, round, Some(reason)).await;
    }
    let length = known.task.length_of(kind(tx, known).await?);
    let totals = rounds::for_each_update(tx, &known.id, round.number, length, |_, _| {}).await?;
    Ok(Outcome {
        sums: Err(reason),
        cohort: None,
        bytes: totals.bytes,
    })
}

/// Updates that came as they are. For a mean only one is in memory at a time.
async fn combine(tx: &mut Tx, known: &Known, round: &Round) -> Result<Outcome, Failure> {
    let (task, kind) = (&known.task, kind(tx, known).await?);
    if kind == RoundKind::Training && task.federation.rule == Rule::FedBpt {
        return one_by_one(tx, known, round).await;
    }
    let (length, rule) = (task.length_of(kind), combine_of(task, kind));
    let (mut mean, mut parts) = (WeightedMean::new(length), Vec::new());
    let totals = rounds::for_each_update(tx, &known.id, round.number, length, |delta, examples| {
        let mut delta = delta;
        bound(task, kind, &mut delta);
        if rule == Combine::Mean {
            mean.add(&delta, u64::from(examples));
        } else {
            parts.push((f64::from(examples), delta));
        }
    })
    .await?;
    let mean = if rule == Combine::Mean {
        mean.mean()
    } else {
        rule.apply(&parts)
    };
    let sums = mean
        .ok_or(AbortReason::TooFewUpdates)
        .map(|mean| Sums::Plain {
            mean,
            metrics: totals.metrics,
        });
    Ok(Outcome {
        sums,
        cohort: None,
        bytes: totals.bytes,
    })
}

/// Updates that the rule needs by themselves.
async fn one_by_one(tx: &mut Tx, known: &Known, round: &Round) -> Result<Outcome, Failure> {
    let (length, mut updates) = (known.task.update_length(), Vec::new());
    let take = |update, examples| updates.push(Individual { examples, update });
    let totals = rounds::for_each_update(tx, &known.id, round.number, length, take).await?;
    let metrics = totals.metrics;
    Ok(Outcome {
        sums: Ok(Sums::Individual { updates, metrics }),
        cohort: None,
        bytes: totals.bytes,
    })
}

/// Adds the masked vectors up, one by one, and takes the masks off, unless the round was `aborted` before.
async fn open(
    tx: &mut Tx,
    known: &Known,
    round: &Round,
    aborted: Option<AbortReason>,
) -> Result<Outcome, Failure> {
    let id = &known.id[..];
    let mut frozen = messages::frozen(&mut **tx, id).await?;
    if let Some(reason) = aborted {
        // It may have ended before the survivors were frozen.
        frozen.survivors = messages::senders(tx, id, round.number, Phase::Masked).await?;
        if frozen.survivors.is_empty() {
            return Ok(Outcome {
                sums: Err(reason),
                cohort: None,
                bytes: 0,
            });
        }
    }
    let head = federations::head(&mut **tx, id).await?;
    let context = super::sums::context(known, &head, round.number)?;
    let mut opening = Opening::new(&known.task, head.kind(&known.task), &context, &frozen)
        .map_err(|refusal| Failure::Internal(format!("no sum of this task: {refusal}")))?;
    let (mut bytes, mut sound) = (0, true);
    messages::for_each(
        tx,
        id,
        round.number,
        Phase::Masked,
        |from, message, size| {
            let SumMessage::Masked(masked) = message else {
                return Err(Failure::Internal(format!("no masked vector of {from}")));
            };
            bytes += size;
            sound &= opening.add(from, &masked).is_ok();
            Ok(())
        },
    )
    .await?;
    let cohort = Some(opening.cohort());
    if let Some(reason) = aborted.or((!sound).then_some(AbortReason::FalseShares)) {
        return Ok(Outcome {
            sums: Err(reason),
            cohort,
            bytes,
        });
    }
    let mut unmasks = Vec::with_capacity(round.delivered as usize);
    messages::for_each(tx, id, round.number, Phase::Unmask, |from, message, _| {
        let SumMessage::Unmask(unmask) = message else {
            return Err(Failure::Internal(format!("no revealed shares of {from}")));
        };
        unmasks.push((from, unmask));
        Ok(())
    })
    .await?;
    Ok(Outcome {
        sums: opening.open(&unmasks),
        cohort,
        bytes,
    })
}

/// Writes the round's line, moves θ, and forgets the round's messages.
pub(super) async fn conclude(
    tx: &mut Tx,
    known: &Known,
    round: &Round,
    outcome: Outcome,
    now: u64,
) -> Result<End, Failure> {
    let (id, task) = (&known.id[..], &known.task);
    let contributors = outcome.cohort.as_ref().map(|c| c.contributors.len() as u32);
    let mut record = Replay::from(federations::place(tx, id, known.dim).await?);
    let (number, kind) = (record.lines(), record.kind(task));
    let (entry, line, metrics) = record.conclude(task, round.number, outcome.sums, outcome.cohort);
    lines::append(tx, id, number, &line).await?;
    federations::advance(tx, id, task, &record, entry.aborted.is_none()).await?;
    let phase = match entry.aborted {
        Some(_) => Phase::Aborted,
        None => Phase::Done,
    };
    let shown = RoundRecord {
        round: round.number,
        step: entry.step,
        kind,
        phase,
        reason: entry.aborted,
        // A cohort that was never formed has no members.
        cohort: if round.cohort > 0 { round.enrolled } else { 0 },
        delivered: contributors.unwrap_or(round.delivered),
        metrics,
        theta: entry.theta,
        epsilon: entry.epsilon,
        bytes_up: outcome.bytes,
        finished_at: now,
    };
    rounds::finish(tx, id, &shown).await?;
    messages::clear(tx, id).await?;
    Ok(End {
        aborted: entry.aborted,
        last: record.is_over(task),
        joined: federations::head(&mut **tx, id).await?.participants,
    })
}

/// What the current round sums.
async fn kind(tx: &mut Tx, known: &Known) -> Result<RoundKind, Failure> {
    let head = federations::head(&mut **tx, &known.id).await?;
    Ok(head.kind(&known.task))
}
