//! Secure sums: the current round's messages, and what was frozen from phase to phase.

use super::{Tx, parse_word, unsigned, word};
use crate::failure::Failure;
use federation::round::messages::{SumInput, SumMessage};
use federation::round::phase::Phase;
use federation::round::sums::Frozen;
use futures::TryStreamExt as _;
use ground::hex::{hex, unhex};
use ground::wire;
use secure_sum::Bytes32;
use secure_sum::messages::RoundKeys;
use sqlx::SqliteExecutor;

fn decode<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    wire::decode(body).map_err(|e| Failure::Internal(format!("a stored message: {e}")))
}

/// Keeps a message, as it came, until its round ends.
pub(crate) async fn insert(
    tx: &mut Tx,
    federation: &str,
    round: u32,
    phase: Phase,
    participant: u32,
    body: &[u8],
) -> Result<(), Failure> {
    sqlx::query(
        "-- message_insert\n\
         INSERT INTO message (federation, round, phase, participant, body) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(federation)
    .bind(i64::from(round))
    .bind(word(phase)?)
    .bind(i64::from(participant))
    .bind(body)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps the public keys of a roster to be. False if one of them is somebody else's already.
pub(crate) async fn insert_keys(
    tx: &mut Tx,
    federation: &str,
    keys: &RoundKeys,
) -> Result<bool, Failure> {
    let mut fresh = true;
    for public in [keys.encryption, keys.masking] {
        let done = sqlx::query(
            "-- round_key_insert\n\
             INSERT INTO round_key (federation, public) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind(federation)
        .bind(hex(&public))
        .execute(&mut **tx)
        .await?;
        fresh &= done.rows_affected() == 1;
    }
    Ok(fresh)
}

/// Did this participant send a message in that phase?
pub(crate) async fn has(
    db: impl SqliteExecutor<'_>,
    federation: &str,
    round: u32,
    phase: Phase,
    participant: u32,
) -> Result<bool, Failure> {
    let found: Option<i64> = sqlx::query_scalar(
        "-- message_has\n\
         SELECT participant FROM message \
         WHERE federation = $1 AND round = $2 AND phase = $3 AND participant = $4",
    )
    .bind(federation)
    .bind(i64::from(round))
    .bind(word(phase)?)
    .bind(i64::from(participant))
    .fetch_optional(db)
    .await?;
    Ok(found.is_some())
}

/// Who sent a message in that phase, ascending.
pub(crate) async fn senders(
    tx: &mut Tx,
    federation: &str,
    round: u32,
    phase: Phase,
) -> Result<Vec<u32>, Failure> {
    let numbers: Vec<i64> = sqlx::query_scalar(
        "-- message_senders\n\
         SELECT participant FROM message WHERE federation = $1 AND round = $2 AND phase = $3 \
         ORDER BY participant",
    )
    .bind(federation)
    .bind(i64::from(round))
    .bind(word(phase)?)
    .fetch_all(&mut **tx)
    .await?;
    numbers.into_iter().map(unsigned).collect()
}

/// Hands a phase's messages one by one to `take`, ascending by participant, with the size of each. Only one is in
/// memory at a time.
pub(crate) async fn for_each(
    tx: &mut Tx,
    federation: &str,
    round: u32,
    phase: Phase,
    mut take: impl FnMut(u32, SumMessage, u64) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut rows = sqlx::query_as::<_, (i64, Vec<u8>)>(
        "-- message_stream\n\
         SELECT participant, body FROM message WHERE federation = $1 AND round = $2 AND phase = $3 \
         ORDER BY participant",
    )
    .bind(federation)
    .bind(i64::from(round))
    .bind(word(phase)?)
    .fetch(&mut **tx);
    while let Some((participant, body)) = rows.try_next().await? {
        take(unsigned(participant)?, decode(&body)?, body.len() as u64)?;
    }
    Ok(())
}

/// The long-term public keys of all who have one, by number.
pub(crate) async fn identities(
    tx: &mut Tx,
    federation: &str,
    round: u32,
) -> Result<Vec<(u32, Bytes32)>, Failure> {
    let rows: Vec<(i64, Option<String>)> = sqlx::query_as(
        "-- message_identities\n\
         SELECT m.participant, p.identity FROM message m \
         JOIN participant p ON p.federation = m.federation AND p.number = m.participant \
         WHERE m.federation = $1 AND m.round = $2 AND m.phase = $3 ORDER BY m.participant",
    )
    .bind(federation)
    .bind(i64::from(round))
    .bind(word(Phase::Keys)?)
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|(number, identity)| {
            let identity = identity.as_deref().and_then(unhex);
            let identity = identity.ok_or_else(|| {
                Failure::Internal(format!("participant {number} has no identity"))
            })?;
            Ok((unsigned(number)?, identity))
        })
        .collect()
}

/// Freezes a set when `phase` begins.
pub(crate) async fn freeze(
    tx: &mut Tx,
    federation: &str,
    phase: Phase,
    body: Vec<u8>,
) -> Result<(), Failure> {
    sqlx::query(
        "-- frozen_insert\n\
         INSERT INTO frozen (federation, phase, body) VALUES ($1, $2, $3)",
    )
    .bind(federation)
    .bind(word(phase)?)
    .bind(body)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What was frozen when `phase` of the current round began.
pub(crate) async fn frozen_body(
    db: impl SqliteExecutor<'_>,
    federation: &str,
    phase: Phase,
) -> Result<Option<Vec<u8>>, Failure> {
    Ok(sqlx::query_scalar(
        "-- frozen_get\nSELECT body FROM frozen WHERE federation = $1 AND phase = $2",
    )
    .bind(federation)
    .bind(word(phase)?)
    .fetch_optional(db)
    .await?)
}

/// All sets of the current round that are frozen so far.
pub(crate) async fn frozen(
    db: impl SqliteExecutor<'_>,
    federation: &str,
) -> Result<Frozen, Failure> {
    let rows: Vec<(String, Vec<u8>)> =
        sqlx::query_as("-- frozen_list\nSELECT phase, body FROM frozen WHERE federation = $1")
            .bind(federation)
            .fetch_all(db)
            .await?;
    let mut frozen = Frozen::default();
    for (phase, body) in rows {
        match parse_word(phase)? {
            Phase::Masked => frozen.senders = decode(&body)?,
            _ => match decode(&body)? {
                SumInput::Roster(roster) => frozen.roster = roster,
                SumInput::Survivors(survivors) => frozen.survivors = survivors.members,
                SumInput::Inbox(_) => {
                    return Err(Failure::Internal("an inbox is not a set".to_owned()));
                }
            },
        }
    }
    Ok(frozen)
}

/// Keeps what was dealt to a participant, as they will get it.
pub(crate) async fn insert_inbox(
    tx: &mut Tx,
    federation: &str,
    participant: u32,
    body: Vec<u8>,
) -> Result<(), Failure> {
    sqlx::query(
        "-- inbox_insert\n\
         INSERT INTO inbox (federation, participant, body) VALUES ($1, $2, $3)",
    )
    .bind(federation)
    .bind(i64::from(participant))
    .bind(body)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What was dealt to a participant in the current round.
pub(crate) async fn inbox(
    db: impl SqliteExecutor<'_>,
    federation: &str,
    participant: u32,
) -> Result<Option<Vec<u8>>, Failure> {
    Ok(sqlx::query_scalar(
        "-- inbox_get\nSELECT body FROM inbox WHERE federation = $1 AND participant = $2",
    )
    .bind(federation)
    .bind(i64::from(participant))
    .fetch_optional(db)
    .await?)
}

/// The round is over: nothing of it stays but what its line says.
pub(crate) async fn clear(tx: &mut Tx, federation: &str) -> Result<(), Failure> {
    for statement in [
        "-- message_clear\nDELETE FROM message WHERE federation = $1",
        "-- round_key_clear\nDELETE FROM round_key WHERE federation = $1",
        "-- frozen_clear\nDELETE FROM frozen WHERE federation = $1",
        "-- inbox_clear\nDELETE FROM inbox WHERE federation = $1",
    ] {
        sqlx::query(statement)
            .bind(federation)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}
