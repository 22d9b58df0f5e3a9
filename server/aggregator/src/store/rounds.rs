//! Current rounds, standings, updates, and the records of finished rounds.

use super::{SqliteTx, parse_word, unsigned, word};
use crate::failure::Failure;
use federation::engine::store::{Rounds, Totals};
use federation::round::messages::{Metrics, RoundRecord, Standing, Update};
use federation::round::server::Round;
use futures::TryStreamExt as _;
use ground::hash::theta_from_bytes;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

/// Number of past rounds whose standings are kept, to distinguish an update that is sent again from
/// one that is late.
const REMEMBERED_ROUNDS: i64 = 8;

/// Reads the standing in a row, if there is one.
pub(super) fn read_standing(word: Option<String>) -> Result<Standing, Failure> {
    match word.as_deref() {
        None => Ok(Standing::Idle),
        // Earlier versions wrote this about members of the cohort who had left.
        Some("gone") => Ok(Standing::Dropped),
        Some(other) => parse_word(other.to_owned()),
    }
}

impl Rounds for SqliteTx {
    async fn store_round(&mut self, round: &Round) -> Result<(), Failure> {
        sqlx::query(
        "-- round_store\n\
         INSERT INTO round (federation, number, phase, since, enrolled, cohort, delivered, gone, members, registered, \
         attempt, waiting) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
         ON CONFLICT (federation) DO UPDATE SET number = excluded.number, phase = excluded.phase, \
         since = excluded.since, enrolled = excluded.enrolled, cohort = excluded.cohort, \
         delivered = excluded.delivered, gone = excluded.gone, members = excluded.members, \
         registered = excluded.registered, attempt = excluded.attempt, waiting = excluded.waiting",
    )
    .bind(&self.federation)
    .bind(i64::from(round.number))
    .bind(word(round.phase)?)
    .bind(round.since.map(|s| s as i64))
    .bind(i64::from(round.enrolled))
    .bind(i64::from(round.cohort))
    .bind(i64::from(round.delivered))
    .bind(i64::from(round.gone))
    .bind(i64::from(round.members))
    .bind(i64::from(round.registered))
    .bind(i64::from(round.attempt))
    .bind(i64::from(round.waiting))
    .execute(&mut *self.tx)
    .await?;
        Ok(())
    }

    async fn standing(&mut self, round: u32, participant: u32) -> Result<Standing, Failure> {
        let word: Option<String> = sqlx::query_scalar(
            "-- standing_get\n\
         SELECT standing FROM standing WHERE federation = $1 AND round = $2 AND participant = $3",
        )
        .bind(&self.federation)
        .bind(i64::from(round))
        .bind(i64::from(participant))
        .fetch_optional(&mut *self.tx)
        .await?;
        read_standing(word)
    }

    async fn set_standing(
        &mut self,
        round: u32,
        participant: u32,
        standing: Standing,
    ) -> Result<(), Failure> {
        let word = match standing {
            Standing::Idle => {
                sqlx::query(
                    "-- standing_clear\n\
                 DELETE FROM standing WHERE federation = $1 AND round = $2 AND participant = $3",
                )
                .bind(&self.federation)
                .bind(i64::from(round))
                .bind(i64::from(participant))
                .execute(&mut *self.tx)
                .await?;
                return Ok(());
            }
            standing => word(standing)?,
        };
        sqlx::query(
            "-- standing_set\n\
         INSERT INTO standing (federation, round, participant, standing) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (federation, round, participant) DO UPDATE SET standing = excluded.standing",
        )
        .bind(&self.federation)
        .bind(i64::from(round))
        .bind(i64::from(participant))
        .bind(word)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    async fn freeze_cohort(&mut self, round: u32) -> Result<u64, Failure> {
        let done = sqlx::query(
            "-- standing_freeze\n\
         UPDATE standing SET standing = $3 WHERE federation = $1 AND round = $2 AND standing = $4",
        )
        .bind(&self.federation)
        .bind(i64::from(round))
        .bind(word(Standing::InCohort)?)
        .bind(word(Standing::Enrolled)?)
        .execute(&mut *self.tx)
        .await?;
        Ok(done.rows_affected())
    }

    async fn narrow_cohort(&mut self, round: u32) -> Result<u64, Failure> {
        // In this order, or the second statement would undo the first.
        let mut moved = 0;
        for (statement, from, to) in [
            (
                "-- standing_drop\n\
             UPDATE standing SET standing = $3 WHERE federation = $1 AND round = $2 AND standing <> $4",
                Standing::Delivered,
                Standing::Dropped,
            ),
            (
                "-- standing_narrow\n\
             UPDATE standing SET standing = $3 WHERE federation = $1 AND round = $2 AND standing = $4",
                Standing::Delivered,
                Standing::InCohort,
            ),
        ] {
            let done = sqlx::query(statement)
                .bind(&self.federation)
                .bind(i64::from(round))
                .bind(word(to)?)
                .bind(word(from)?)
                .execute(&mut *self.tx)
                .await?;
            moved = done.rows_affected();
        }
        Ok(moved)
    }

    async fn expired(&mut self, round: u32, now: u64) -> Result<Vec<u32>, Failure> {
        let rows: Vec<i64> = sqlx::query_scalar(
        "-- standing_expired\n\
         SELECT s.participant FROM standing s \
         JOIN participant p ON p.federation = s.federation AND p.number = s.participant \
         WHERE s.federation = $1 AND s.round = $2 AND s.standing IN ($3, $4) AND p.lease_until <= $5 \
         ORDER BY s.participant",
    )
    .bind(&self.federation)
    .bind(i64::from(round))
    .bind(word(Standing::Enrolled)?)
    .bind(word(Standing::InCohort)?)
    .bind(now as i64)
    .fetch_all(&mut *self.tx)
    .await?;
        rows.into_iter().map(unsigned).collect()
    }

    async fn insert_update(
        &mut self,
        participant: u32,
        update: &Update,
        bytes: u64,
    ) -> Result<(), Failure> {
        let metrics =
            serde_json::to_string(&update.metrics).map_err(|e| Failure::Internal(e.to_string()))?;
        sqlx::query(
        "-- contribution_insert\n\
         INSERT INTO contribution (federation, round, participant, examples, delta, metrics, bytes) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(&self.federation)
    .bind(i64::from(update.round))
    .bind(i64::from(participant))
    .bind(i64::from(update.examples))
    .bind(ground::hash::theta_bytes(&update.delta))
    .bind(metrics)
    .bind(bytes as i64)
    .execute(&mut *self.tx)
    .await?;
        Ok(())
    }

    async fn for_each_update(
        &mut self,
        round: u32,
        length: usize,
        mut add: impl FnMut(Vec<f32>, u32),
    ) -> Result<Totals, Failure> {
        let mut totals = Totals::default();
        let mut rows = sqlx::query_as::<_, (i64, Vec<u8>, String, i64)>(
            "-- contribution_stream\n\
         SELECT examples, delta, metrics, bytes FROM contribution \
         WHERE federation = $1 AND round = $2 ORDER BY participant",
        )
        .bind(&self.federation)
        .bind(i64::from(round))
        .fetch(&mut *self.tx);
        while let Some((examples, delta, metrics, bytes)) = rows.try_next().await? {
            let delta = theta_from_bytes(&delta, length).map_err(Failure::Internal)?;
            add(delta, unsigned(examples)?);
            let metrics: Metrics =
                serde_json::from_str(&metrics).map_err(|e| Failure::Internal(e.to_string()))?;
            totals.metrics.add(&metrics);
            totals.bytes += unsigned::<u64>(bytes)?;
        }
        Ok(totals)
    }

    async fn finish_round(&mut self, record: &RoundRecord) -> Result<(), Failure> {
        let body = serde_json::to_string(record).map_err(|e| Failure::Internal(e.to_string()))?;
        sqlx::query(
            "-- round_record_insert\n\
         INSERT INTO round_record (federation, number, body) VALUES ($1, $2, $3)",
        )
        .bind(&self.federation)
        .bind(i64::from(record.round))
        .bind(body)
        .execute(&mut *self.tx)
        .await?;
        sqlx::query("-- contribution_delete\nDELETE FROM contribution WHERE federation = $1")
            .bind(&self.federation)
            .execute(&mut *self.tx)
            .await?;
        sqlx::query(
            "-- standing_forget\nDELETE FROM standing WHERE federation = $1 AND round < $2",
        )
        .bind(&self.federation)
        .bind(i64::from(record.round) - REMEMBERED_ROUNDS)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    async fn records(&mut self, limit: u32) -> Result<Vec<RoundRecord>, Failure> {
        let bodies: Vec<String> = sqlx::query_scalar(
            "-- round_record_list\n\
         SELECT body FROM round_record WHERE federation = $1 ORDER BY number DESC LIMIT $2",
        )
        .bind(&self.federation)
        .bind(i64::from(limit))
        .fetch_all(&mut *self.tx)
        .await?;
        let parse = |body: String| {
            serde_json::from_str(&body)
                .map_err(|e| Failure::Internal(format!("a round record: {e}")))
        };
        bodies.into_iter().rev().map(parse).collect()
    }
}

/// Reads a round from a row that has all of its columns.
pub(super) fn read_round(row: &SqliteRow) -> Result<Round, Failure> {
    Ok(Round {
        number: unsigned(row.try_get("number")?)?,
        phase: parse_word(row.try_get("phase")?)?,
        since: row
            .try_get::<Option<i64>, _>("since")?
            .map(unsigned)
            .transpose()?,
        enrolled: unsigned(row.try_get("enrolled")?)?,
        cohort: unsigned(row.try_get("cohort")?)?,
        delivered: unsigned(row.try_get("delivered")?)?,
        gone: unsigned(row.try_get("gone")?)?,
        members: unsigned(row.try_get("members")?)?,
        registered: unsigned(row.try_get("registered")?)?,
        attempt: unsigned(row.try_get("attempt")?)?,
        waiting: row.try_get::<i64, _>("waiting")? != 0,
    })
}
