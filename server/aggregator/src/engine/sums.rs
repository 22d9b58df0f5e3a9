//! What the aggregator does in a secure sum before it is opened: judge messages, freeze sets, hand them out.

use super::Known;
use crate::failure::Failure;
use crate::store::federations::Head;
use crate::store::rounds::Place;
use crate::store::{Tx, federations, messages, participants, rounds};
use federation::round::messages::{Standing, SumInput, SumMessage};
use federation::round::phase::{Phase, RoundKind};
use federation::round::refusal::Refusal;
use federation::round::server::{Event, Round};
use federation::round::sums;
use federation::round::sums::Frozen;
use federation::task::Task;
use ground::hex::unhex;
use ground::wire;
use secure_sum::messages::{Member, Survivors};
use secure_sum::{Bytes32, Context};
use sqlx::SqliteConnection;
use std::collections::BTreeMap;

/// Most bytes of one envelope, or of one revealed share, as they travel.
const PER_HOLDER: usize = 88;

/// What a message is judged by, as long as its round and phase last.
#[derive(Debug, PartialEq)]
pub(crate) struct Bench {
    context: Context,
    frozen: Frozen,
    identity: Bytes32,
    pub(crate) standing: Standing,
    kind: RoundKind,
}

impl Bench {
    /// Signatures and sizes: what needs no database.
    pub(crate) fn judge(
        &self,
        known: &Known,
        from: u32,
        message: &SumMessage,
    ) -> Result<(), Refusal> {
        sums::check(
            &known.task,
            self.kind,
            &self.context,
            &self.frozen,
            from,
            &self.identity,
            message,
        )
    }
}

/// Only federations whose updates are summed under masks take part in any of this.
pub(crate) fn require_secure(task: &Task) -> Result<(), Failure> {
    if task.federation.policy.secure.is_some() {
        return Ok(());
    }
    Err(Failure::RefusedBecause(
        Refusal::Malformed,
        "this federation's updates are not summed under masks; send them to …/update".to_owned(),
    ))
}

/// The largest message of a sum, and as much again, so that one of the wrong length is told so (`malformed`)
/// unless it is far too long (`too_large`). Nothing where updates are sent as they are.
pub(crate) fn largest_message(task: &Task) -> Option<usize> {
    let secure = task.federation.secure?;
    let vector = |kind| Some(task.contribution_of(kind)?.layout().bytes());
    let longest = vector(RoundKind::Training)?.max(vector(RoundKind::Counting).unwrap_or(0));
    let holders = secure
        .cohort_max
        .min(secure.policy.degree.saturating_add(2));
    let most = longest.max(PER_HOLDER * holders as usize);
    Some(1024 + 2 * most)
}

/// What this round's keys and signatures are bound to.
pub(super) fn context(known: &Known, head: &Head, round: u32) -> Result<Context, Failure> {
    let broken = || Failure::Internal("the database holds something that is no hash".to_owned());
    Ok(Context {
        federation: known.id.clone(),
        task: unhex(&known.task_hash).ok_or_else(broken)?,
        round,
        theta: unhex(&head.theta_hash).ok_or_else(broken)?,
        record: unhex(&head.record).ok_or_else(broken)?,
    })
}

/// Is this the time for participant `from` to send this message in round `number`? Then, what to judge it by.
pub(crate) async fn admit(
    db: &mut SqliteConnection,
    known: &Known,
    number: u32,
    from: u32,
    message: &SumMessage,
    now: u64,
) -> Result<Bench, Failure> {
    let id = &known.id[..];
    let place = rounds::place(&mut *db, id, number, from).await?;
    let head = federations::head(&mut *db, id).await?;
    let round = rounds::load(&mut *db, id).await?;
    // The last message may come again long after its round, or even its federation, has ended.
    let delivered = place == Place::Known(Standing::Delivered);
    if delivered && round.number != number {
        return Err(Refusal::Duplicate.into());
    }
    super::require_running(head.status)
        .map_err(|over| if delivered { Refusal::Duplicate } else { over })?;
    if round.number != number {
        return Err(Refusal::WrongRound.into());
    }
    let standing = place.standing();
    let event = Event::Deliver {
        standing,
        phase: message.phase(),
    };
    round
        .clone()
        .step(&known.task.federation.policy, now, event)?;
    let identity = participants::identity(&mut *db, id, from)
        .await?
        .ok_or(Refusal::BadIdentity)?;
    Ok(Bench {
        context: context(known, &head, number)?,
        frozen: messages::frozen(&mut *db, id).await?,
        identity,
        standing,
        kind: head.kind(&known.task),
    })
}

/// Keeps an accepted message.
pub(super) async fn store(
    tx: &mut Tx,
    known: &Known,
    round: u32,
    from: u32,
    message: &SumMessage,
    body: &[u8],
) -> Result<(), Failure> {
    let id = &known.id[..];
    if let SumMessage::Keys(keys) = message
        && !messages::insert_keys(tx, id, keys).await?
    {
        // Everybody would refuse a roster in which a key comes twice.
        return Err(Failure::RefusedBecause(
            Refusal::BadIdentity,
            "somebody else has published one of these round keys".to_owned(),
        ));
    }
    messages::insert(tx, id, round, message.phase(), from, body).await
}

/// A phase is over: whoever delivered in it is frozen, and what the next one needs is made ready.
pub(super) async fn narrow(tx: &mut Tx, known: &Known, round: &Round) -> Result<(), Failure> {
    let (id, number) = (&known.id[..], round.number);
    let left = rounds::narrow(tx, id, number).await?;
    if left != u64::from(round.cohort) {
        return Err(Failure::Internal(format!(
            "{left} participants have delivered, but the round counted {}",
            round.cohort
        )));
    }
    let body = match round.phase {
        Phase::Shares => roster(tx, id, number).await?,
        Phase::Masked => senders(tx, id, number).await?,
        _ => {
            let members = messages::senders(tx, id, number, Phase::Masked).await?;
            wire::encode(&SumInput::Survivors(Survivors { members }))
        }
    };
    messages::freeze(tx, id, round.phase, body).await
}

async fn roster(tx: &mut Tx, id: &str, number: u32) -> Result<Vec<u8>, Failure> {
    let identities = BTreeMap::from_iter(messages::identities(tx, id, number).await?);
    let mut members = Vec::with_capacity(identities.len());
    messages::for_each(tx, id, number, Phase::Keys, |from, message, _| {
        let (SumMessage::Keys(keys), Some(identity)) = (message, identities.get(&from)) else {
            return Err(Failure::Internal(format!("no keys of {from}")));
        };
        members.push(Member {
            participant: from,
            identity: *identity,
            keys,
        });
        Ok(())
    })
    .await?;
    Ok(wire::encode(&SumInput::Roster(sums::roster(members))))
}

/// U2. Everybody's inbox is put together once: whoever asks for theirs decodes no one else's envelopes.
async fn senders(tx: &mut Tx, id: &str, number: u32) -> Result<Vec<u8>, Failure> {
    let mut shares = BTreeMap::new();
    messages::for_each(tx, id, number, Phase::Shares, |from, message, _| {
        let SumMessage::Shares(dealt) = message else {
            return Err(Failure::Internal(format!("no shares of {from}")));
        };
        shares.insert(from, dealt);
        Ok(())
    })
    .await?;
    let senders: Vec<u32> = shares.keys().copied().collect();
    for (to, inbox) in sums::inboxes(&shares) {
        let body = wire::encode(&SumInput::Inbox(inbox));
        messages::insert_inbox(tx, id, to, body).await?;
    }
    Ok(wire::encode(&senders))
}

/// What participant `from` needs for its message in `phase` of round `number`, as it travels.
pub(crate) async fn input(
    db: &mut SqliteConnection,
    known: &Known,
    number: u32,
    from: u32,
    phase: Phase,
) -> Result<Vec<u8>, Failure> {
    let id = &known.id[..];
    super::require_running(federations::head(&mut *db, id).await?.status)?;
    let round = rounds::load(&mut *db, id).await?;
    if round.number != number {
        return Err(Refusal::WrongRound.into());
    }
    if !messages::has(&mut *db, id, number, Phase::Keys, from).await? {
        return Err(match round.phase {
            Phase::Open => Refusal::TooEarly.into(),
            _ => Refusal::NotInCohort.into(),
        });
    }
    if round.phase < phase || round.phase.is_terminal() {
        return Err(Refusal::TooEarly.into());
    }
    let body = match phase {
        Phase::Masked => messages::inbox(&mut *db, id, from).await?,
        _ => messages::frozen_body(&mut *db, id, phase).await?,
    };
    Ok(body.ok_or(Refusal::NotInCohort)?)
}
