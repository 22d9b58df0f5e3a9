//! Participants, their tokens and their leases.

use super::{Tx, unsigned};
use crate::failure::Failure;
use ground::hex::unhex;
use secure_sum::Bytes32;
use sqlx::SqliteExecutor;

/// Somebody about to join.
pub(crate) struct New<'a> {
    pub(crate) federation: &'a str,
    pub(crate) number: u32,
    pub(crate) token_hash: &'a str,
    /// An Ed25519 public key in hexadecimal, if they have one.
    pub(crate) identity: Option<&'a str>,
    /// Hash of the invite that they come with.
    pub(crate) invite: &'a str,
    pub(crate) now: u64,
    pub(crate) lease_until: u64,
}

/// Adds a participant.
pub(crate) async fn insert(tx: &mut Tx, new: &New<'_>) -> Result<(), Failure> {
    sqlx::query(
        "-- participant_insert\n\
         INSERT INTO participant (federation, number, token_hash, joined_at, lease_until, departed, identity, \
         invite) VALUES ($1, $2, $3, $4, $5, 0, $6, $7)",
    )
    .bind(new.federation)
    .bind(i64::from(new.number))
    .bind(new.token_hash)
    .bind(new.now as i64)
    .bind(new.lease_until as i64)
    .bind(new.identity)
    .bind(new.invite)
    .execute(&mut **tx)
    .await?;
    sqlx::query(
        "-- federation_count_participant\n\
         UPDATE federation SET participants = participants + 1 WHERE id = $1",
    )
    .bind(new.federation)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Somebody who joined before.
pub(crate) struct Member {
    pub(crate) number: u32,
    /// Hash of the invite that they first came with.
    pub(crate) invite: String,
}

/// Who has this identity, whether they are still there or have left.
pub(crate) async fn by_identity(
    tx: &mut Tx,
    federation: &str,
    identity: &str,
) -> Result<Option<Member>, Failure> {
    let row: Option<(i64, Option<String>)> = sqlx::query_as(
        "-- participant_by_identity\n\
         SELECT number, invite FROM participant WHERE federation = $1 AND identity = $2",
    )
    .bind(federation)
    .bind(identity)
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|(number, invite)| {
        Ok(Member {
            number: unsigned(number)?,
            invite: invite.unwrap_or_default(),
        })
    })
    .transpose()
}

/// The public key of a participant, if they have one.
pub(crate) async fn identity(
    db: impl SqliteExecutor<'_>,
    federation: &str,
    number: u32,
) -> Result<Option<Bytes32>, Failure> {
    let identity: Option<String> = sqlx::query_scalar(
        "-- participant_identity\n\
         SELECT identity FROM participant WHERE federation = $1 AND number = $2",
    )
    .bind(federation)
    .bind(i64::from(number))
    .fetch_optional(db)
    .await?
    .flatten();
    Ok(identity.as_deref().and_then(unhex))
}

/// They are back, with a new token instead of the old one.
pub(crate) async fn readmit(
    tx: &mut Tx,
    federation: &str,
    number: u32,
    token_hash: &str,
    lease_until: u64,
) -> Result<(), Failure> {
    sqlx::query(
        "-- participant_readmit\n\
         UPDATE participant SET token_hash = $3, lease_until = $4, departed = 0 \
         WHERE federation = $1 AND number = $2",
    )
    .bind(federation)
    .bind(i64::from(number))
    .bind(token_hash)
    .bind(lease_until as i64)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A participant who may speak.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speaker {
    pub(crate) number: u32,
    pub(crate) lease_until: u64,
}

/// Whose token it is, unless they have left.
pub(crate) async fn by_token(
    db: impl SqliteExecutor<'_>,
    federation: &str,
    token_hash: &str,
) -> Result<Option<Speaker>, Failure> {
    let row: Option<(i64, i64)> = sqlx::query_as(
        "-- participant_by_token\n\
         SELECT number, lease_until FROM participant \
         WHERE token_hash = $1 AND federation = $2 AND departed = 0",
    )
    .bind(token_hash)
    .bind(federation)
    .fetch_optional(db)
    .await?;
    row.map(|(number, until)| {
        Ok(Speaker {
            number: unsigned(number)?,
            lease_until: unsigned(until)?,
        })
    })
    .transpose()
}

/// They were heard of.
pub(crate) async fn renew(
    tx: &mut Tx,
    federation: &str,
    number: u32,
    lease_until: u64,
) -> Result<(), Failure> {
    sqlx::query(
        "-- participant_renew\n\
         UPDATE participant SET lease_until = $3 WHERE federation = $1 AND number = $2 AND departed = 0",
    )
    .bind(federation)
    .bind(i64::from(number))
    .bind(lease_until as i64)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// They left for good.
pub(crate) async fn depart(tx: &mut Tx, federation: &str, number: u32) -> Result<(), Failure> {
    sqlx::query(
        "-- participant_depart\n\
         UPDATE participant SET departed = 1, lease_until = 0 WHERE federation = $1 AND number = $2",
    )
    .bind(federation)
    .bind(i64::from(number))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How many were heard of lately.
pub(crate) async fn live(
    db: impl SqliteExecutor<'_>,
    federation: &str,
    now: u64,
) -> Result<u32, Failure> {
    let count: i64 = sqlx::query_scalar(
        "-- participant_live\n\
         SELECT COUNT(*) FROM participant WHERE federation = $1 AND lease_until > $2",
    )
    .bind(federation)
    .bind(now as i64)
    .fetch_one(db)
    .await?;
    unsigned(count)
}

/// After a time in which no aggregator ran: leases that held when the last one stopped (at `stopped`) are
/// prolonged by that time, since nobody could have renewed them.
pub(crate) async fn forgive(tx: &mut Tx, stopped: u64, gap: u64) -> Result<(), Failure> {
    sqlx::query(
        "-- participant_forgive\n\
         UPDATE participant SET lease_until = lease_until + $2 WHERE lease_until > $1 AND departed = 0",
    )
    .bind(stopped as i64)
    .bind(gap as i64)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
