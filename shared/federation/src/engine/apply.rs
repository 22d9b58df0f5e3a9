//! Steps the round machine and carries out its actions, all within one transaction.

use super::store::{Current, Tx};
use super::{CommandError, Effects, Federation, broken, ending, sums};
use crate::round::messages::{FederationStatus, Standing, SumMessage, Update};
use crate::round::phase::{AbortReason, Phase};
use crate::round::server::{Action, Event};

/// A message with its sender.
#[derive(Clone, Copy, Default)]
pub(super) struct Message<'a> {
    /// The sender's number; `None` for no participant.
    pub speaker: Option<u32>,
    /// The content, if there is any.
    pub body: Option<Body<'a>>,
}

/// The content of a message.
#[derive(Clone, Copy)]
pub(super) enum Body<'a> {
    /// An update, with the size of its body in bytes.
    Update(&'a Update, u64),
    /// A message of a secure sum that was already checked, with its body.
    Sum(&'a SumMessage, &'a [u8]),
    /// A vector for a sum without masks.
    Vector(&'a [u8]),
}

/// Applies one event at time `now` (milliseconds since 1970). `at` is what the transaction loaded,
/// and is updated to what is stored; its standing is the speaker's.
pub(super) async fn apply<T: Tx>(
    tx: &mut T,
    federation: &Federation,
    at: &mut Current,
    now: u64,
    event: Event,
    message: Message<'_>,
    effects: &mut Effects,
) -> Result<(), T::Error> {
    let before = at.round.clone();
    let policy = federation.task.policy_of(at.kind(&federation.task));
    let actions = at.round.step(&policy, now, event)?;
    let speaker = || {
        message
            .speaker
            .ok_or_else(|| broken("an action needs a speaker"))
    };
    let mut end = None;
    for action in actions {
        match action {
            Action::Enrol => at.put(tx, speaker()?, Standing::Enrolled).await?,
            Action::Withdraw => at.put(tx, speaker()?, Standing::Idle).await?,
            Action::Freeze => {
                let frozen = tx.freeze_cohort(before.number).await?;
                at.agree(frozen, "enrolled")?;
                if at.standing == Standing::Enrolled {
                    at.standing = Standing::InCohort;
                }
            }
            Action::Store => {
                let speaker = speaker()?;
                match message.body {
                    Some(Body::Update(update, bytes)) => {
                        tx.insert_update(speaker, update, bytes).await?;
                        effects.stored += 1;
                    }
                    Some(Body::Sum(sum, body)) => {
                        sums::store(tx, before.number, speaker, sum, body).await?;
                        effects.stored += u32::from(sum.phase() == Phase::Masked);
                        effects.messages.push(sum.phase());
                    }
                    Some(Body::Vector(body)) => {
                        tx.insert_message(before.number, Phase::Upload, speaker, body)
                            .await?;
                        effects.stored += 1;
                    }
                    None => return Err(broken("there is nothing to store").into()),
                }
                at.put(tx, speaker, Standing::Delivered).await?;
            }
            Action::Narrow => {
                let left = tx.narrow_cohort(before.number).await?;
                at.agree(left, "left")?;
                at.standing = match at.standing {
                    Standing::Idle => Standing::Idle,
                    Standing::Delivered => Standing::InCohort,
                    _ => Standing::Dropped,
                };
                sums::freeze(tx, &at.round).await?;
            }
            Action::Aggregate => {
                let outcome = ending::aggregate(tx, federation, at).await?;
                end = Some(ending::conclude(tx, federation, at, outcome, now).await?);
            }
            Action::Abort(reason) => {
                let outcome = ending::abort(tx, federation, at, reason).await?;
                end = Some(ending::conclude(tx, federation, at, outcome, now).await?);
            }
        }
    }
    if let Event::Leave {
        standing: Standing::InCohort,
        ..
    } = event
    {
        // If the next phase began, they are dropped already.
        tx.set_standing(before.number, speaker()?, Standing::Dropped)
            .await?;
        at.standing = Standing::Dropped;
    }
    if at.round.phase != before.phase
        && let Some(since) = before.since
    {
        effects
            .phases
            .push((before.phase, now.saturating_sub(since)));
    }
    if let Some(end) = end {
        effects.ended.push(outcome(end.aborted)?);
        if end.aborted.is_some() {
            // When all has been delivered, it may turn out that masks cannot be removed or that θ
            // is not finite.
            at.round.phase = Phase::Aborted;
        }
        let over = match end.aborted {
            Some(AbortReason::Closed) => Some(FederationStatus::Closed),
            _ if end.last => Some(FederationStatus::Finished),
            _ => None,
        };
        if let Some(status) = over {
            tx.set_status(status).await?;
            at.status = status;
        } else {
            at.round = at.round.next(at.participants, end.aborted.is_none());
            at.standing = Standing::Idle;
        }
    }
    if at.round != before {
        tx.store_round(&at.round).await?;
        at.bump(tx, effects).await?;
    }
    Ok(())
}

/// Notes that participant `number`, whose standing `at` holds, is gone: the current round no longer
/// waits for it.
pub(super) async fn leave<T: Tx>(
    tx: &mut T,
    federation: &Federation,
    at: &mut Current,
    number: u32,
    now: u64,
    effects: &mut Effects,
) -> Result<(), T::Error> {
    let event = Event::Leave {
        standing: at.standing,
        live: at.live,
    };
    let message = Message {
        speaker: Some(number),
        body: None,
    };
    apply(tx, federation, at, now, event, message, effects).await
}

/// The name of an outcome: `done`, or the reason's name.
fn outcome(aborted: Option<AbortReason>) -> Result<String, CommandError> {
    match aborted.map(serde_json::to_value) {
        None => Ok("done".to_owned()),
        Some(Ok(serde_json::Value::String(word))) => Ok(word),
        Some(other) => Err(broken(format!("{other:?} is no reason"))),
    }
}

impl Current {
    /// Counts a change that views can show.
    pub(super) async fn bump<T: Tx>(
        &mut self,
        tx: &mut T,
        effects: &mut Effects,
    ) -> Result<(), T::Error> {
        tx.bump().await?;
        self.version += 1;
        effects.version = Some(self.version);
        Ok(())
    }

    /// Sets the speaker's standing.
    async fn put<T: Tx>(
        &mut self,
        tx: &mut T,
        speaker: u32,
        standing: Standing,
    ) -> Result<(), T::Error> {
        self.standing = standing;
        tx.set_standing(self.round.number, speaker, standing).await
    }

    /// Checks that the table holds the cohort that the round counted.
    fn agree(&self, stored: u64, what: &str) -> Result<(), CommandError> {
        if stored == u64::from(self.round.cohort) {
            return Ok(());
        }
        let counted = self.round.cohort;
        Err(broken(format!(
            "{stored} participants are {what}, but the round counted {counted}"
        )))
    }
}
