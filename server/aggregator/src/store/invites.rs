//! Invites: made, listed, counted, revoked. Only the hashes of their secrets are kept.

use super::{Tx, unsigned};
use crate::failure::Failure;
use federation::round::messages::InviteSummary;
use federation::round::refusal::Refusal;
use sqlx::SqliteExecutor;

/// An invite about to exist.
pub(crate) struct New<'a> {
    pub(crate) federation: &'a str,
    pub(crate) id: &'a str,
    /// Of its secret.
    pub(crate) hash: &'a str,
    pub(crate) now: u64,
    /// Milliseconds since 1970; nothing if it does not expire.
    pub(crate) expires_at: Option<u64>,
    /// Participants who may join with it; nothing for any number.
    pub(crate) uses: Option<u32>,
}

/// What decides whether an invite can be joined with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Invite {
    expires_at: Option<u64>,
    uses: Option<u32>,
    used: u32,
    revoked: bool,
}

impl Invite {
    /// Somebody new comes with it at `now`.
    pub(crate) fn admit(&self, now: u64) -> Result<(), Refusal> {
        self.readmit()?;
        if self.expires_at.is_some_and(|end| now >= end) {
            return Err(Refusal::InviteExpired);
        }
        if self.uses.is_some_and(|uses| self.used >= uses) {
            return Err(Refusal::InviteUsedUp);
        }
        Ok(())
    }

    /// Somebody who joined with it before comes again: neither its time nor its uses matter to them.
    pub(crate) fn readmit(&self) -> Result<(), Refusal> {
        if self.revoked {
            return Err(Refusal::InviteRevoked);
        }
        Ok(())
    }
}

/// Adds one.
pub(crate) async fn insert(tx: &mut Tx, new: &New<'_>) -> Result<(), Failure> {
    sqlx::query(
        "-- invite_insert\n\
         INSERT INTO invite (hash, federation, created_at, id, expires_at, uses) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(new.hash)
    .bind(new.federation)
    .bind(new.now as i64)
    .bind(new.id)
    .bind(new.expires_at.map(|at| at as i64))
    .bind(new.uses.map(i64::from))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How many this federation has ever had.
pub(crate) async fn count(tx: &mut Tx, federation: &str) -> Result<u32, Failure> {
    let count: i64 =
        sqlx::query_scalar("-- invite_count\nSELECT COUNT(*) FROM invite WHERE federation = $1")
            .bind(federation)
            .fetch_one(&mut **tx)
            .await?;
    unsigned(count)
}

/// The federation's invite whose secret has this hash.
pub(crate) async fn by_hash(
    tx: &mut Tx,
    federation: &str,
    hash: &str,
) -> Result<Option<Invite>, Failure> {
    let row: Option<State> = sqlx::query_as(
        "-- invite_by_hash\n\
         SELECT expires_at, uses, used, revoked_at FROM invite WHERE hash = $1 AND federation = $2",
    )
    .bind(hash)
    .bind(federation)
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|(expires_at, uses, used, revoked_at)| {
        Ok(Invite {
            expires_at: expires_at.map(unsigned).transpose()?,
            uses: uses.map(unsigned).transpose()?,
            used: unsigned(used)?,
            revoked: revoked_at.is_some(),
        })
    })
    .transpose()
}

/// expires_at, uses, used, revoked_at
type State = (Option<i64>, Option<i64>, i64, Option<i64>);

/// Somebody new has joined with it.
pub(crate) async fn count_use(tx: &mut Tx, hash: &str) -> Result<(), Failure> {
    sqlx::query("-- invite_count_use\nUPDATE invite SET used = used + 1 WHERE hash = $1")
        .bind(hash)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Takes it back, and gives how it stands then; [`Refusal::NotFound`] if there is none. A second time changes
/// nothing.
pub(crate) async fn revoke(
    tx: &mut Tx,
    federation: &str,
    id: &str,
    now: u64,
) -> Result<InviteSummary, Failure> {
    sqlx::query(
        "-- invite_revoke\n\
         UPDATE invite SET revoked_at = $3 WHERE federation = $1 AND id = $2 AND revoked_at IS NULL",
    )
    .bind(federation)
    .bind(id)
    .bind(now as i64)
    .execute(&mut **tx)
    .await?;
    let row: Option<Row> = sqlx::query_as(
        "-- invite_get\n\
         SELECT id, created_at, expires_at, uses, used, revoked_at FROM invite \
         WHERE federation = $1 AND id = $2",
    )
    .bind(federation)
    .bind(id)
    .fetch_optional(&mut **tx)
    .await?;
    read(row.ok_or(Refusal::NotFound)?)
}

/// All of a federation, newest first.
pub(crate) async fn list(
    db: impl SqliteExecutor<'_>,
    federation: &str,
) -> Result<Vec<InviteSummary>, Failure> {
    let rows: Vec<Row> = sqlx::query_as(
        "-- invite_list\n\
         SELECT id, created_at, expires_at, uses, used, revoked_at FROM invite \
         WHERE federation = $1 ORDER BY created_at DESC, id",
    )
    .bind(federation)
    .fetch_all(db)
    .await?;
    rows.into_iter().map(read).collect()
}

/// id, created_at, expires_at, uses, used, revoked_at
type Row = (String, i64, Option<i64>, Option<i64>, i64, Option<i64>);

fn read(
    (id, created_at, expires_at, uses, used, revoked_at): Row,
) -> Result<InviteSummary, Failure> {
    Ok(InviteSummary {
        id,
        created_at: unsigned(created_at)?,
        expires_at: expires_at.map(unsigned).transpose()?,
        uses: uses.map(unsigned).transpose()?,
        used: unsigned(used)?,
        revoked: revoked_at.is_some(),
    })
}
