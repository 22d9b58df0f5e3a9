//! How rounds end: what was delivered is combined or opened, the record gets a line, and θ moves.

use super::store::{Current, Totals, Tx};
use super::{Federation, broken, sums};
use crate::record::{Cohort, Commitment, Replay};
use crate::round::contribution::Contribution;
use crate::round::messages::{RoundRecord, SumMessage};
use crate::round::phase::{AbortReason, Phase, RoundKind};
use crate::round::sums::{Opening, plain};
use crate::rules::advance::{Sums, bound, combine_of};
use crate::rules::combine::Combine;
use crate::rules::fedavg::WeightedMean;
use crate::task::Rule;
use ground::wire;
use secure_sum::encoding::RingVector;
use std::collections::BTreeMap;
use tuning::optimizer::individual::Individual;

/// The result of a round.
pub(super) struct Outcome {
    sums: Result<Sums, AbortReason>,
    /// The members of a secure sum, even if it was not opened.
    cohort: Option<Cohort>,
    /// Number of bytes of the updates that were delivered.
    bytes: u64,
}

/// How a round ended.
pub(super) struct End {
    /// Why there is no new θ; `None` if there is one.
    pub(super) aborted: Option<AbortReason>,
    /// Whether no other round begins: all are done, the held-out loss has not improved for as long
    /// as the task waits, or another round would cost more ε than the task allows.
    pub(super) last: bool,
}

/// Combines what was delivered, once all is in.
pub(super) async fn aggregate<T: Tx>(
    tx: &mut T,
    federation: &Federation,
    at: &Current,
) -> Result<Outcome, T::Error> {
    let task = &federation.task;
    if task.federation.policy.secure.is_some() {
        open(tx, federation, at, None).await
    } else if task.contribution().is_some() {
        add_up(tx, federation, at).await
    } else {
        combine(tx, federation, at).await
    }
}

/// Ends the round without a new θ. Once masked vectors were sent, their noise is spent, so the
/// record names their senders.
pub(super) async fn abort<T: Tx>(
    tx: &mut T,
    federation: &Federation,
    at: &Current,
    reason: AbortReason,
) -> Result<Outcome, T::Error> {
    if federation.task.federation.policy.secure.is_some() {
        return open(tx, federation, at, Some(reason)).await;
    }
    let totals = updates(tx, federation, at, |_, _| {}).await?;
    Ok(Outcome {
        sums: Err(reason),
        cohort: None,
        bytes: totals.bytes,
    })
}

/// Passes the round's updates to `add`.
async fn updates<T: Tx>(
    tx: &mut T,
    federation: &Federation,
    at: &Current,
    add: impl FnMut(Vec<f32>, u32),
) -> Result<Totals, T::Error> {
    let length = federation.task.length_of(at.kind(&federation.task));
    tx.for_each_update(at.round.number, length, add).await
}

/// Combines plain updates. For a mean, only one is in memory at a time.
async fn combine<T: Tx>(
    tx: &mut T,
    federation: &Federation,
    at: &Current,
) -> Result<Outcome, T::Error> {
    let (task, kind) = (&federation.task, at.kind(&federation.task));
    if kind == RoundKind::Training && task.federation.rule == Rule::FedBpt {
        let mut parts = Vec::new();
        let take = |update, examples| parts.push(Individual { examples, update });
        let totals = updates(tx, federation, at, take).await?;
        return Ok(Outcome {
            sums: Ok(Sums::Individual {
                updates: parts,
                metrics: totals.metrics,
            }),
            cohort: None,
            bytes: totals.bytes,
        });
    }
    let (length, rule) = (task.length_of(kind), combine_of(task, kind));
    let (mut mean, mut parts) = (WeightedMean::new(length), Vec::new());
    let totals = updates(tx, federation, at, |delta, examples| {
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
    let metrics = totals.metrics;
    Ok(Outcome {
        sums: mean
            .ok_or(AbortReason::TooFewUpdates)
            .map(|mean| Sums::Plain { mean, metrics }),
        cohort: None,
        bytes: totals.bytes,
    })
}

/// Adds up vectors without masks, which nobody signs.
async fn add_up<T: Tx>(
    tx: &mut T,
    federation: &Federation,
    at: &Current,
) -> Result<Outcome, T::Error> {
    let (task, kind) = (&federation.task, at.kind(&federation.task));
    let contribution = task.contribution_of(kind).map(Contribution::layout);
    let layout = contribution.ok_or_else(|| broken("no sum of this task"))?;
    let (mut vectors, mut bytes) = (BTreeMap::new(), 0);
    let number = at.round.number;
    tx.for_each_message(number, Phase::Upload, |from, body| {
        let vector = RingVector::from_bytes(layout, body);
        vectors.insert(from, vector.map_err(|_| broken("a vector"))?);
        bytes += body.len() as u64;
        Ok(())
    })
    .await?;
    let contributor = |participant: &u32| Commitment {
        participant: *participant,
        identity: String::new(),
        vector: String::new(),
        signature: String::new(),
    };
    Ok(Outcome {
        sums: plain(task, kind, &vectors),
        cohort: Some(Cohort {
            roster: String::new(),
            senders: Vec::new(),
            contributors: vectors.keys().map(contributor).collect(),
        }),
        bytes,
    })
}

/// Adds up the masked vectors, one by one, and removes the masks, unless the round was `aborted`
/// before.
async fn open<T: Tx>(
    tx: &mut T,
    federation: &Federation,
    at: &Current,
    aborted: Option<AbortReason>,
) -> Result<Outcome, T::Error> {
    let number = at.round.number;
    let mut frozen = sums::frozen(tx).await?;
    if let Some(reason) = aborted {
        // The round may have ended before the survivors were frozen.
        frozen.survivors = tx.senders(number, Phase::Masked).await?;
        if frozen.survivors.is_empty() {
            return Ok(Outcome {
                sums: Err(reason),
                cohort: None,
                bytes: 0,
            });
        }
    }
    let context = sums::context(federation, at)?;
    let kind = at.kind(&federation.task);
    let mut opening = Opening::new(&federation.task, kind, &context, &frozen)
        .map_err(|refusal| broken(format!("no sum of this task: {refusal}")))?;
    let (mut bytes, mut sound) = (0, true);
    tx.for_each_message(number, Phase::Masked, |from, body| {
        let Ok(SumMessage::Masked(masked)) = wire::decode(body) else {
            return Err(broken(format!("no masked vector of {from}")));
        };
        bytes += body.len() as u64;
        sound &= opening.add(from, &masked).is_ok();
        Ok(())
    })
    .await?;
    let cohort = Some(opening.cohort());
    if let Some(reason) = aborted.or((!sound).then_some(AbortReason::FalseShares)) {
        return Ok(Outcome {
            sums: Err(reason),
            cohort,
            bytes,
        });
    }
    let unmasks = sums::parts(tx, number, Phase::Unmask, |from, message| match message {
        SumMessage::Unmask(unmask) => Some((from, unmask)),
        _ => None,
    })
    .await?;
    Ok(Outcome {
        sums: opening.open(&unmasks),
        cohort,
        bytes,
    })
}

/// Writes the round's line, moves θ, and deletes the round's messages.
pub(super) async fn conclude<T: Tx>(
    tx: &mut T,
    federation: &Federation,
    at: &mut Current,
    outcome: Outcome,
    now: u64,
) -> Result<End, T::Error> {
    let (task, round) = (&federation.task, &at.round);
    let contributors = outcome.cohort.as_ref().map(|c| c.contributors.len() as u32);
    let mut record = Replay::from(tx.checkpoint(federation.dim).await?);
    let (number, kind) = (record.lines(), record.kind(task));
    let (entry, line, metrics) = record.conclude(task, round.number, outcome.sums, outcome.cohort);
    tx.append_line(number, &line).await?;
    tx.advance(task, &record, entry.aborted.is_none()).await?;
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
        // A cohort that never formed has no members.
        cohort: if round.cohort > 0 { round.enrolled } else { 0 },
        delivered: contributors.unwrap_or(round.delivered),
        metrics,
        theta: entry.theta,
        epsilon: entry.epsilon,
        bytes_up: outcome.bytes,
        finished_at: now,
    };
    tx.finish_round(&shown).await?;
    tx.clear_messages().await?;
    at.step = record.step();
    at.theta.clone_from(record.theta());
    at.lines = record.lines();
    at.record.clone_from(record.head());
    at.counted = record.has_counted();
    Ok(End {
        aborted: entry.aborted,
        last: record.is_over(task),
    })
}
