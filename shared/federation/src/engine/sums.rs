//! The aggregator's part in a secure sum before it is opened: checks messages, freezes sets, and
//! hands them out.

use super::store::{Current, Tx};
use super::{CommandError, Federation, Speaker, broken, require_running};
use crate::round::messages::{Standing, SumInput, SumMessage};
use crate::round::phase::{Phase, RoundKind};
use crate::round::refusal::Refusal;
use crate::round::server::{Event, Round};
use crate::round::sums::{self, Frozen};
use crate::task::Task;
use ground::hex::unhex;
use ground::wire;
use secure_sum::messages::{Confirmations, Member, Survivor, Survivors, hash_vector};
use secure_sum::{Bytes32, Context};
use std::collections::BTreeMap;

/// Maximum number of bytes of an envelope, or of a revealed share, in its binary form.
const PER_HOLDER: usize = 88;

/// What messages are checked against, for one round and phase.
#[derive(Debug, PartialEq)]
pub(super) struct Grounds {
    context: Context,
    frozen: Frozen,
    identity: Bytes32,
    kind: RoundKind,
}

impl Grounds {
    /// Checks signatures and sizes, which needs no store.
    pub(super) fn judge(
        &self,
        task: &Task,
        from: u32,
        message: &SumMessage,
    ) -> Result<(), Refusal> {
        let (frozen, identity) = (&self.frozen, &self.identity);
        sums::check(
            task,
            self.kind,
            &self.context,
            frozen,
            from,
            identity,
            message,
        )
    }
}

/// Refuses federations whose updates are summed.
///
/// # Errors
/// [`Refusal::Malformed`], which says where to send them.
pub fn require_plain(task: &Task) -> Result<(), CommandError> {
    if task.contribution().is_none() {
        return Ok(());
    }
    Err(CommandError::RefusedBecause(
        Refusal::Malformed,
        "this federation's updates are summed under masks; send them to …/sum".to_owned(),
    ))
}

/// Refuses federations whose updates are not summed under masks.
///
/// # Errors
/// [`Refusal::Malformed`], which says where to send them.
pub fn require_secure(task: &Task) -> Result<(), CommandError> {
    if task.federation.policy.secure.is_some() {
        return Ok(());
    }
    Err(CommandError::RefusedBecause(
        Refusal::Malformed,
        "this federation's updates are not summed under masks; send them to …/update".to_owned(),
    ))
}

/// Maximum size in bytes of a message of a sum, doubled, so that one of a wrong length is refused
/// as `malformed` unless it is far too long (`too_large`). `None` if updates are sent in plain.
#[must_use]
pub fn largest_message(task: &Task) -> Option<usize> {
    let secure = task.federation.secure?;
    let vector = |kind| Some(task.contribution_of(kind)?.layout().bytes());
    let longest = vector(RoundKind::Training)?.max(vector(RoundKind::Counting).unwrap_or(0));
    let holders = secure
        .cohort_max
        .min(secure.policy.degree.saturating_add(2));
    let most = longest.max(PER_HOLDER * holders as usize);
    Some(1024 + 2 * most)
}

/// The context to which this round's keys and signatures are bound.
pub(super) fn context(federation: &Federation, at: &Current) -> Result<Context, CommandError> {
    let no_hash = || broken("something that is no hash");
    Ok(Context {
        federation: federation.id.clone(),
        task: unhex(&federation.task_hash).ok_or_else(no_hash)?,
        round: at.round.number,
        theta: unhex(&at.theta).ok_or_else(no_hash)?,
        record: unhex(&at.record).ok_or_else(no_hash)?,
    })
}

/// Checks that the speaker may deliver now in round `number`, in which it has `standing`. A message
/// for a round or even a federation that is over may come again long afterwards.
pub(super) fn in_time(at: &Current, number: u32, standing: Standing) -> Result<(), Refusal> {
    let delivered = standing == Standing::Delivered;
    if delivered && at.round.number != number {
        return Err(Refusal::Duplicate);
    }
    require_running(at.status).map_err(|over| if delivered { Refusal::Duplicate } else { over })?;
    if at.round.number != number {
        return Err(Refusal::WrongRound);
    }
    Ok(())
}

/// Loads the round's state, and what to check the speaker's message against, if the speaker may
/// send it now.
pub(super) async fn admit<T: Tx>(
    tx: &mut T,
    federation: &Federation,
    number: u32,
    speaker: &Speaker,
    message: &SumMessage,
    now: u64,
) -> Result<(Current, Grounds), T::Error> {
    let from = speaker.number;
    let at = tx.current(Some(from), now).await?;
    let standing = if at.round.number == number {
        at.standing
    } else {
        tx.standing(number, from).await?
    };
    in_time(&at, number, standing)?;
    let event = Event::Deliver {
        standing,
        phase: message.phase(),
    };
    // The round's state comes first: it alone decides about a message that is sent again, or too
    // late.
    at.round
        .clone()
        .step(&federation.task.federation.policy, now, event)?;
    let identity = tx.identity(from).await?.ok_or(Refusal::BadIdentity)?;
    let grounds = Grounds {
        context: context(federation, &at)?,
        frozen: frozen(tx).await?,
        identity,
        kind: at.kind(&federation.task),
    };
    Ok((at, grounds))
}

/// Keeps an accepted message.
pub(super) async fn store<T: Tx>(
    tx: &mut T,
    round: u32,
    from: u32,
    message: &SumMessage,
    body: &[u8],
) -> Result<(), T::Error> {
    if let SumMessage::Keys(keys) = message
        && !tx.insert_keys(keys).await?
    {
        // All members would refuse a roster in which a key occurs twice.
        return Err(CommandError::RefusedBecause(
            Refusal::BadIdentity,
            "somebody else has published one of these round keys".to_owned(),
        )
        .into());
    }
    tx.insert_message(round, message.phase(), from, body).await
}

/// All sets of the current round that are frozen so far.
pub(super) async fn frozen<T: Tx>(tx: &mut T) -> Result<Frozen, T::Error> {
    let mut frozen = Frozen::default();
    for (phase, body) in tx.frozen().await? {
        let not_a_set = |_| broken(format!("what was frozen before {phase:?}"));
        if phase == Phase::Masked {
            frozen.senders = wire::decode(&body).map_err(not_a_set)?;
            continue;
        }
        // Confirmations are for the participants: nothing that follows depends on them here.
        if phase == Phase::Unmask {
            continue;
        }
        match wire::decode(&body).map_err(not_a_set)? {
            SumInput::Roster(roster) => frozen.roster = roster,
            SumInput::Survivors(survivors) => frozen.survivors = survivors.participants(),
            SumInput::Inbox(_) | SumInput::Confirmations(_) => {
                return Err(broken("an inbox is not a set").into());
            }
        }
    }
    Ok(frozen)
}

/// Freezes the set of participants who delivered in the phase that is over, and prepares what the
/// next phase needs.
pub(super) async fn freeze<T: Tx>(tx: &mut T, round: &Round) -> Result<(), T::Error> {
    let number = round.number;
    let body = match round.phase {
        Phase::Shares => roster(tx, number).await?,
        Phase::Masked => senders(tx, number).await?,
        Phase::Confirm => survivors(tx, number).await?,
        _ => confirmations(tx, number).await?,
    };
    tx.insert_frozen(round.phase, body).await
}

/// What `part` takes of every message of one phase, in the order of the participants' numbers. Each
/// message is dropped as soon as its part is taken, since masked vectors are long.
///
/// # Errors
/// [`CommandError`] for a message that has no such part: no round keeps one.
pub(super) async fn parts<T: Tx, P>(
    tx: &mut T,
    number: u32,
    phase: Phase,
    mut part: impl FnMut(u32, SumMessage) -> Option<P>,
) -> Result<Vec<P>, T::Error> {
    let mut parts = Vec::new();
    tx.for_each_message(number, phase, |from, body| {
        let message = wire::decode(body).ok();
        let found = message.and_then(|message| part(from, message));
        parts.push(found.ok_or_else(|| broken(format!("no {phase:?} of {from}")))?);
        Ok(())
    })
    .await?;
    Ok(parts)
}

async fn roster<T: Tx>(tx: &mut T, number: u32) -> Result<Vec<u8>, T::Error> {
    let identities = BTreeMap::from_iter(tx.identities(number).await?);
    let members = parts(tx, number, Phase::Keys, |participant, message| {
        let SumMessage::Keys(keys) = message else {
            return None;
        };
        let identity = *identities.get(&participant)?;
        Some(Member {
            participant,
            identity,
            keys,
        })
    })
    .await?;
    Ok(wire::encode(&SumInput::Roster(sums::roster(members))))
}

/// Makes U3, the set of survivors, each with the commitment to its vector.
async fn survivors<T: Tx>(tx: &mut T, number: u32) -> Result<Vec<u8>, T::Error> {
    let members = parts(tx, number, Phase::Masked, |participant, message| {
        let SumMessage::Masked(masked) = message else {
            return None;
        };
        Some(Survivor {
            participant,
            vector: hash_vector(&masked.vector),
            signature: masked.signature,
        })
    })
    .await?;
    Ok(wire::encode(&SumInput::Survivors(Survivors { members })))
}

/// Makes U4, the set of confirmations.
async fn confirmations<T: Tx>(tx: &mut T, number: u32) -> Result<Vec<u8>, T::Error> {
    let members = parts(tx, number, Phase::Confirm, |from, message| match message {
        SumMessage::Confirmation(confirmation) => Some((from, confirmation.signature)),
        _ => None,
    })
    .await?;
    let confirmations = Confirmations { members };
    Ok(wire::encode(&SumInput::Confirmations(confirmations)))
}

/// Makes U2, the set of senders. All inboxes are assembled once, so that handing one out needs no
/// decoding of others' envelopes.
async fn senders<T: Tx>(tx: &mut T, number: u32) -> Result<Vec<u8>, T::Error> {
    let dealt = parts(tx, number, Phase::Shares, |from, message| match message {
        SumMessage::Shares(dealt) => Some((from, dealt)),
        _ => None,
    })
    .await?;
    let shares = BTreeMap::from_iter(dealt);
    let senders: Vec<u32> = shares.keys().copied().collect();
    for (to, inbox) in sums::inboxes(&shares) {
        tx.insert_inbox(to, wire::encode(&SumInput::Inbox(inbox)))
            .await?;
    }
    Ok(wire::encode(&senders))
}
