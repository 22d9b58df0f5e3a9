//! Invites: made, listed, counted, revoked. Only the hashes of their secrets are kept.

use super::{SqliteTx, unsigned};
use crate::failure::Failure;
use federation::engine::store::{Invites, NewInvite};
use federation::round::messages::InviteSummary;
use federation::round::refusal::Refusal;

impl Invites for SqliteTx {
    async fn insert_invite(&mut self, new: &NewInvite<'_>) -> Result<(), Failure> {
        sqlx::query(
            "-- invite_insert\n\
         INSERT INTO invite (hash, federation, created_at, id, expires_at, uses) \
         VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(new.hash)
        .bind(&self.federation)
        .bind(new.now as i64)
        .bind(new.id)
        .bind(new.expires_at.map(|at| at as i64))
        .bind(new.uses.map(i64::from))
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    async fn count_invites(&mut self) -> Result<u32, Failure> {
        let count: i64 = sqlx::query_scalar(
            "-- invite_count\nSELECT COUNT(*) FROM invite WHERE federation = $1",
        )
        .bind(&self.federation)
        .fetch_one(&mut *self.tx)
        .await?;
        unsigned(count)
    }

    async fn invite_by_hash(&mut self, hash: &str) -> Result<Option<InviteSummary>, Failure> {
        let row: Option<Row> = sqlx::query_as(
            "-- invite_by_hash\n\
         SELECT id, created_at, expires_at, uses, used, revoked_at FROM invite WHERE hash = $1 AND federation = $2",
        )
        .bind(hash)
        .bind(&self.federation)
        .fetch_optional(&mut *self.tx)
        .await?;
        row.map(read).transpose()
    }

    async fn count_use(&mut self, hash: &str) -> Result<(), Failure> {
        sqlx::query("-- invite_count_use\nUPDATE invite SET used = used + 1 WHERE hash = $1")
            .bind(hash)
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    async fn revoke_invite(&mut self, id: &str, now: u64) -> Result<InviteSummary, Failure> {
        sqlx::query(
        "-- invite_revoke\n\
         UPDATE invite SET revoked_at = $3 WHERE federation = $1 AND id = $2 AND revoked_at IS NULL",
    )
    .bind(&self.federation)
    .bind(id)
    .bind(now as i64)
    .execute(&mut *self.tx)
    .await?;
        let row: Option<Row> = sqlx::query_as(
            "-- invite_get\n\
         SELECT id, created_at, expires_at, uses, used, revoked_at FROM invite \
         WHERE federation = $1 AND id = $2",
        )
        .bind(&self.federation)
        .bind(id)
        .fetch_optional(&mut *self.tx)
        .await?;
        read(row.ok_or(Refusal::NotFound)?)
    }

    async fn invites(&mut self) -> Result<Vec<InviteSummary>, Failure> {
        let rows: Vec<Row> = sqlx::query_as(
            "-- invite_list\n\
         SELECT id, created_at, expires_at, uses, used, revoked_at FROM invite \
         WHERE federation = $1 ORDER BY created_at DESC, id",
        )
        .bind(&self.federation)
        .fetch_all(&mut *self.tx)
        .await?;
        rows.into_iter().map(read).collect()
    }
}

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

/// A row: id, created_at, expires_at, uses, used, revoked_at.
type Row = (String, i64, Option<i64>, Option<i64>, i64, Option<i64>);
