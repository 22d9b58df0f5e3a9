//! Participants, their tokens and their leases.

use super::{SqliteTx, unsigned};
use crate::failure::Failure;
use federation::engine::Speaker;
use federation::engine::store::{Member, NewParticipant, Participants};
use ground::hex::unhex;
use secure_sum::Bytes32;

impl Participants for SqliteTx {
    async fn insert_participant(&mut self, new: &NewParticipant<'_>) -> Result<(), Failure> {
        sqlx::query(
        "-- participant_insert\n\
         INSERT INTO participant (federation, number, token_hash, joined_at, lease_until, departed, identity, \
         invite) VALUES ($1, $2, $3, $4, $5, 0, $6, $7)",
    )
    .bind(&self.federation)
    .bind(i64::from(new.number))
    .bind(new.token_hash)
    .bind(new.now as i64)
    .bind(new.lease_until as i64)
    .bind(new.identity)
    .bind(new.invite)
    .execute(&mut *self.tx)
    .await?;
        sqlx::query(
            "-- federation_count_participant\n\
         UPDATE federation SET participants = participants + 1 WHERE id = $1",
        )
        .bind(&self.federation)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    async fn by_identity(&mut self, identity: &str) -> Result<Option<Member>, Failure> {
        let row: Option<(i64, Option<String>)> = sqlx::query_as(
            "-- participant_by_identity\n\
         SELECT number, invite FROM participant WHERE federation = $1 AND identity = $2",
        )
        .bind(&self.federation)
        .bind(identity)
        .fetch_optional(&mut *self.tx)
        .await?;
        row.map(|(number, invite)| {
            Ok(Member {
                number: unsigned(number)?,
                invite: invite.unwrap_or_default(),
            })
        })
        .transpose()
    }

    async fn identity(&mut self, number: u32) -> Result<Option<Bytes32>, Failure> {
        let identity: Option<String> = sqlx::query_scalar(
            "-- participant_identity\n\
         SELECT identity FROM participant WHERE federation = $1 AND number = $2",
        )
        .bind(&self.federation)
        .bind(i64::from(number))
        .fetch_optional(&mut *self.tx)
        .await?
        .flatten();
        Ok(identity.as_deref().and_then(unhex))
    }

    async fn readmit(
        &mut self,
        number: u32,
        token_hash: &str,
        lease_until: u64,
    ) -> Result<(), Failure> {
        sqlx::query(
            "-- participant_readmit\n\
         UPDATE participant SET token_hash = $3, lease_until = $4, departed = 0 \
         WHERE federation = $1 AND number = $2",
        )
        .bind(&self.federation)
        .bind(i64::from(number))
        .bind(token_hash)
        .bind(lease_until as i64)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    async fn by_token(&mut self, token_hash: &str) -> Result<Option<Speaker>, Failure> {
        let row: Option<(i64, i64)> = sqlx::query_as(
            "-- participant_by_token\n\
         SELECT number, lease_until FROM participant \
         WHERE token_hash = $1 AND federation = $2 AND departed = 0",
        )
        .bind(token_hash)
        .bind(&self.federation)
        .fetch_optional(&mut *self.tx)
        .await?;
        row.map(|(number, until)| {
            Ok(Speaker {
                number: unsigned(number)?,
                token_hash: token_hash.to_owned(),
                lease_until: unsigned(until)?,
            })
        })
        .transpose()
    }

    async fn renew(&mut self, number: u32, lease_until: u64) -> Result<(), Failure> {
        sqlx::query(
        "-- participant_renew\n\
         UPDATE participant SET lease_until = $3 WHERE federation = $1 AND number = $2 AND departed = 0",
    )
    .bind(&self.federation)
    .bind(i64::from(number))
    .bind(lease_until as i64)
    .execute(&mut *self.tx)
    .await?;
        Ok(())
    }

    async fn depart(&mut self, number: u32) -> Result<(), Failure> {
        sqlx::query(
        "-- participant_depart\n\
         UPDATE participant SET departed = 1, lease_until = 0 WHERE federation = $1 AND number = $2",
    )
    .bind(&self.federation)
    .bind(i64::from(number))
    .execute(&mut *self.tx)
    .await?;
        Ok(())
    }
}
