//! Secure sums: the current round's messages, and the cohorts that were frozen from phase to phase.

use super::{SqliteTx, parse_word, unsigned, word};
use crate::failure::Failure;
use federation::engine::CommandError;
use federation::engine::store::Messages;
use federation::round::phase::Phase;
use futures::TryStreamExt as _;
use ground::hex::{hex, unhex};
use secure_sum::Bytes32;
use secure_sum::messages::RoundKeys;

impl Messages for SqliteTx {
    async fn insert_message(
        &mut self,
        round: u32,
        phase: Phase,
        participant: u32,
        body: &[u8],
    ) -> Result<(), Failure> {
        sqlx::query(
        "-- message_insert\n\
         INSERT INTO message (federation, round, phase, participant, body) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&self.federation)
    .bind(i64::from(round))
    .bind(word(phase)?)
    .bind(i64::from(participant))
    .bind(body)
    .execute(&mut *self.tx)
    .await?;
        Ok(())
    }

    async fn insert_keys(&mut self, keys: &RoundKeys) -> Result<bool, Failure> {
        let mut fresh = true;
        for public in [keys.encryption, keys.masking] {
            let done = sqlx::query(
                "-- round_key_insert\n\
             INSERT INTO round_key (federation, public) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            )
            .bind(&self.federation)
            .bind(hex(&public))
            .execute(&mut *self.tx)
            .await?;
            fresh &= done.rows_affected() == 1;
        }
        Ok(fresh)
    }

    async fn has_message(
        &mut self,
        round: u32,
        phase: Phase,
        participant: u32,
    ) -> Result<bool, Failure> {
        let found: Option<i64> = sqlx::query_scalar(
            "-- message_has\n\
         SELECT participant FROM message \
         WHERE federation = $1 AND round = $2 AND phase = $3 AND participant = $4",
        )
        .bind(&self.federation)
        .bind(i64::from(round))
        .bind(word(phase)?)
        .bind(i64::from(participant))
        .fetch_optional(&mut *self.tx)
        .await?;
        Ok(found.is_some())
    }

    async fn senders(&mut self, round: u32, phase: Phase) -> Result<Vec<u32>, Failure> {
        let numbers: Vec<i64> = sqlx::query_scalar(
            "-- message_senders\n\
         SELECT participant FROM message WHERE federation = $1 AND round = $2 AND phase = $3 \
         ORDER BY participant",
        )
        .bind(&self.federation)
        .bind(i64::from(round))
        .bind(word(phase)?)
        .fetch_all(&mut *self.tx)
        .await?;
        numbers.into_iter().map(unsigned).collect()
    }

    async fn for_each_message(
        &mut self,
        round: u32,
        phase: Phase,
        mut take: impl FnMut(u32, &[u8]) -> Result<(), CommandError>,
    ) -> Result<(), Failure> {
        let mut rows = sqlx::query_as::<_, (i64, Vec<u8>)>(
            "-- message_stream\n\
         SELECT participant, body FROM message WHERE federation = $1 AND round = $2 AND phase = $3 \
         ORDER BY participant",
        )
        .bind(&self.federation)
        .bind(i64::from(round))
        .bind(word(phase)?)
        .fetch(&mut *self.tx);
        while let Some((participant, body)) = rows.try_next().await? {
            take(unsigned(participant)?, &body)?;
        }
        Ok(())
    }

    async fn identities(&mut self, round: u32) -> Result<Vec<(u32, Bytes32)>, Failure> {
        let rows: Vec<(i64, Option<String>)> = sqlx::query_as(
            "-- message_identities\n\
         SELECT m.participant, p.identity FROM message m \
         JOIN participant p ON p.federation = m.federation AND p.number = m.participant \
         WHERE m.federation = $1 AND m.round = $2 AND m.phase = $3 ORDER BY m.participant",
        )
        .bind(&self.federation)
        .bind(i64::from(round))
        .bind(word(Phase::Keys)?)
        .fetch_all(&mut *self.tx)
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

    async fn insert_frozen(&mut self, phase: Phase, body: Vec<u8>) -> Result<(), Failure> {
        sqlx::query(
            "-- frozen_insert\n\
         INSERT INTO frozen (federation, phase, body) VALUES ($1, $2, $3)",
        )
        .bind(&self.federation)
        .bind(word(phase)?)
        .bind(body)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    async fn frozen(&mut self) -> Result<Vec<(Phase, Vec<u8>)>, Failure> {
        let rows: Vec<(String, Vec<u8>)> =
            sqlx::query_as("-- frozen_list\nSELECT phase, body FROM frozen WHERE federation = $1")
                .bind(&self.federation)
                .fetch_all(&mut *self.tx)
                .await?;
        rows.into_iter()
            .map(|(phase, body)| Ok((parse_word(phase)?, body)))
            .collect()
    }

    async fn frozen_in(&mut self, phase: Phase) -> Result<Option<Vec<u8>>, Failure> {
        Ok(sqlx::query_scalar(
            "-- frozen_get\nSELECT body FROM frozen WHERE federation = $1 AND phase = $2",
        )
        .bind(&self.federation)
        .bind(word(phase)?)
        .fetch_optional(&mut *self.tx)
        .await?)
    }

    async fn insert_inbox(&mut self, participant: u32, body: Vec<u8>) -> Result<(), Failure> {
        sqlx::query(
            "-- inbox_insert\n\
         INSERT INTO inbox (federation, participant, body) VALUES ($1, $2, $3)",
        )
        .bind(&self.federation)
        .bind(i64::from(participant))
        .bind(body)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    async fn inbox(&mut self, participant: u32) -> Result<Option<Vec<u8>>, Failure> {
        Ok(sqlx::query_scalar(
            "-- inbox_get\nSELECT body FROM inbox WHERE federation = $1 AND participant = $2",
        )
        .bind(&self.federation)
        .bind(i64::from(participant))
        .fetch_optional(&mut *self.tx)
        .await?)
    }

    async fn clear_messages(&mut self) -> Result<(), Failure> {
        for statement in [
            "-- message_clear\nDELETE FROM message WHERE federation = $1",
            "-- round_key_clear\nDELETE FROM round_key WHERE federation = $1",
            "-- frozen_clear\nDELETE FROM frozen WHERE federation = $1",
            "-- inbox_clear\nDELETE FROM inbox WHERE federation = $1",
        ] {
            sqlx::query(statement)
                .bind(&self.federation)
                .execute(&mut *self.tx)
                .await?;
        }
        Ok(())
    }
}
