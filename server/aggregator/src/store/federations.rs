//! Federations and their θ.

use super::rounds::{read_round, read_standing};
use super::{SqliteTx, parse_word, unsigned, word};
use crate::failure::Failure;
use federation::engine::store::{Current, Federations, MOST_SUMMARIES, NewFederation, StoredTheta};
use federation::record::{Checkpoint, Patience, Replay};
use federation::round::messages::{FederationStatus, FederationSummary, PrivacySpent};
use federation::round::refusal::Refusal;
use federation::rules::server_optimizer::ServerState;
use federation::task::Task;
use ground::hash::{theta_bytes, theta_from_bytes};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

/// The columns that [`read_summary`] reads.
macro_rules! select_summary {
    ($name:literal, $now:literal, $rest:literal) => {
        concat!(
            "-- ",
            $name,
            "\nSELECT f.id, f.name, f.description, f.status, f.step, f.steps, f.participants, f.dim, \
             f.model_origin, f.created_at, f.task_hash, f.secure, f.epsilon, f.epsilon_limit, f.delta, \
             (SELECT COUNT(*) FROM participant p WHERE p.federation = f.id AND p.lease_until > ",
            $now,
            ") AS live FROM federation f ",
            $rest
        )
    };
}

impl Federations for SqliteTx {
    async fn insert_federation(&mut self, new: &NewFederation<'_>) -> Result<(), Failure> {
        let theta = new.record.parameters();
        let (task, shown) = (&new.federation.task, new.summary());
        sqlx::query(
        "-- federation_insert\n\
         INSERT INTO federation (id, task, task_hash, name, description, model_origin, dim, steps, status, step, \
         version, theta_hash, participants, created_at, lines, record, epsilon, epsilon_limit, delta, secure) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 1, $10, 0, $11, $12, $13, $14, $15, $16, $17)",
    )
    .bind(&new.federation.id)
    .bind(task.source().to_string())
    .bind(shown.task_hash)
    .bind(shown.name)
    .bind(shown.description)
    .bind(shown.model_origin)
    .bind(i64::from(shown.dim))
    .bind(i64::from(shown.steps))
    .bind(word(shown.status)?)
    .bind(new.record.theta())
    .bind(new.now as i64)
    .bind(i64::from(new.record.lines()))
    .bind(new.record.head())
    .bind(shown.privacy.map(|p| p.epsilon))
    .bind(shown.privacy.map(|p| p.limit))
    .bind(shown.privacy.map(|p| p.delta))
    .bind(i64::from(shown.secure))
    .execute(&mut *self.tx)
    .await?;
        sqlx::query(
        "-- model_insert\n\
         INSERT INTO model (federation, theta, moment1, moment2, updates) VALUES ($1, $2, $3, $3, 0)",
    )
    .bind(&new.federation.id)
    .bind(theta_bytes(theta))
    .bind(Vec::new())
    .execute(&mut *self.tx)
    .await?;
        Ok(())
    }

    async fn current(&mut self, participant: Option<u32>, now: u64) -> Result<Current, Failure> {
        let row = sqlx::query(
            "-- federation_current\n\
             SELECT f.version, f.status, f.step, f.theta_hash, f.participants, f.lines, f.record, f.counted, \
             r.number, r.phase, r.since, r.enrolled, r.cohort, r.delivered, r.gone, r.members, r.registered, \
             r.attempt, r.waiting, s.standing, \
             (SELECT COUNT(*) FROM participant p WHERE p.federation = f.id AND p.lease_until > $3) AS live \
             FROM federation f JOIN round r ON r.federation = f.id \
             LEFT JOIN standing s ON s.federation = f.id AND s.round = r.number AND s.participant = $2 \
             WHERE f.id = $1",
        )
        .bind(&self.federation)
        // No participant has this number.
        .bind(participant.map_or(-1, i64::from))
        .bind(now as i64)
        .fetch_optional(&mut *self.tx)
        .await?;
        let row = row.ok_or(Refusal::NotFound)?;
        Ok(Current {
            version: unsigned(row.try_get("version")?)?,
            status: parse_word(row.try_get("status")?)?,
            step: unsigned(row.try_get("step")?)?,
            theta: row.try_get("theta_hash")?,
            participants: unsigned(row.try_get("participants")?)?,
            lines: unsigned(row.try_get("lines")?)?,
            record: row.try_get("record")?,
            counted: row.try_get::<i64, _>("counted")? != 0,
            round: read_round(&row)?,
            live: unsigned(row.try_get("live")?)?,
            standing: read_standing(row.try_get("standing")?)?,
        })
    }

    async fn bump(&mut self) -> Result<(), Failure> {
        sqlx::query(
            "-- federation_bump\nUPDATE federation SET version = version + 1 WHERE id = $1",
        )
        .bind(&self.federation)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    async fn set_status(&mut self, status: FederationStatus) -> Result<(), Failure> {
        sqlx::query("-- federation_set_status\nUPDATE federation SET status = $2 WHERE id = $1")
            .bind(&self.federation)
            .bind(word(status)?)
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    async fn checkpoint(&mut self, dim: usize) -> Result<Checkpoint, Failure> {
        let row = sqlx::query(
        "-- federation_checkpoint\n\
         SELECT m.theta, m.moment1, m.moment2, m.updates, m.search, f.step, f.lines, f.record, f.rho, \
         f.counted, f.least_loss, f.patience_spent FROM federation f \
         JOIN model m ON m.federation = f.id WHERE f.id = $1",
    )
    .bind(&self.federation)
    .fetch_one(&mut *self.tx)
    .await?;
        let parse = |name| {
            let bytes: Vec<u8> = row.try_get(name)?;
            // A moment that no update has filled yet is empty.
            let dim = if bytes.is_empty() { 0 } else { dim };
            theta_from_bytes(&bytes, dim).map_err(Failure::Internal)
        };
        let theta: Vec<u8> = row.try_get("theta")?;
        let search: Option<String> = row.try_get("search")?;
        Ok(Checkpoint {
            federation: self.federation.clone(),
            state: ServerState {
                theta: theta_from_bytes(&theta, dim).map_err(Failure::Internal)?,
                first: parse("moment1")?,
                second: parse("moment2")?,
                updates: unsigned(row.try_get("updates")?)?,
                search: search
                    .map(|text| serde_json::from_str(&text))
                    .transpose()
                    .map_err(|e| Failure::Internal(e.to_string()))?,
            },
            step: unsigned(row.try_get("step")?)?,
            lines: unsigned(row.try_get("lines")?)?,
            head: row.try_get("record")?,
            rho: row.try_get("rho")?,
            counted: row.try_get::<i64, _>("counted")? != 0,
            patience: Patience {
                // It was stored from an f32.
                least: row
                    .try_get::<Option<f64>, _>("least_loss")?
                    .map(|loss| loss as f32),
                rounds: unsigned(row.try_get("patience_spent")?)?,
            },
        })
    }

    async fn advance(&mut self, task: &Task, record: &Replay, moved: bool) -> Result<(), Failure> {
        if moved {
            let state = record.state();
            let search = state.search.as_ref().map(serde_json::to_string).transpose();
            let search = search.map_err(|e| Failure::Internal(e.to_string()))?;
            sqlx::query(
                "-- model_advance\n\
             UPDATE model SET theta = $2, moment1 = $3, moment2 = $4, updates = $5, search = $6 \
             WHERE federation = $1",
            )
            .bind(&self.federation)
            .bind(theta_bytes(&state.theta))
            .bind(theta_bytes(&state.first))
            .bind(theta_bytes(&state.second))
            .bind(i64::from(state.updates))
            .bind(search)
            .execute(&mut *self.tx)
            .await?;
        }
        sqlx::query(
        "-- federation_advance\n\
         UPDATE federation SET step = $2, theta_hash = $3, lines = $4, record = $5, rho = $6, epsilon = $7, \
         counted = $8, least_loss = $9, patience_spent = $10 WHERE id = $1",
    )
    .bind(&self.federation)
    .bind(i64::from(record.step()))
    .bind(record.theta())
    .bind(i64::from(record.lines()))
    .bind(record.head())
    .bind(record.ledger().rho())
    .bind(record.epsilon(task))
    .bind(i64::from(record.has_counted()))
    .bind(record.patience().least.map(f64::from))
    .bind(i64::from(record.patience().rounds))
    .execute(&mut *self.tx)
    .await?;
        Ok(())
    }

    async fn task(&mut self) -> Result<Option<String>, Failure> {
        Ok(
            sqlx::query_scalar("-- federation_task\nSELECT task FROM federation WHERE id = $1")
                .bind(&self.federation)
                .fetch_optional(&mut *self.tx)
                .await?,
        )
    }

    async fn theta(&mut self) -> Result<StoredTheta, Failure> {
        let row: Option<(Vec<u8>, String, i64, String)> = sqlx::query_as(
            "-- model_theta\n\
         SELECT m.theta, f.theta_hash, f.step, f.task_hash FROM federation f \
         JOIN model m ON m.federation = f.id WHERE f.id = $1",
        )
        .bind(&self.federation)
        .fetch_optional(&mut *self.tx)
        .await?;
        let (bytes, hash, step, task_hash) = row.ok_or(Refusal::NotFound)?;
        Ok(StoredTheta {
            bytes,
            hash,
            step: unsigned(step)?,
            task_hash,
        })
    }

    async fn summary(&mut self, now: u64) -> Result<FederationSummary, Failure> {
        let row = sqlx::query(select_summary!(
            "federation_summary",
            "$2",
            "WHERE f.id = $1"
        ))
        .bind(&self.federation)
        .bind(now as i64)
        .fetch_optional(&mut *self.tx)
        .await?;
        read_summary(&row.ok_or(Refusal::NotFound)?)
    }

    async fn summaries(&mut self, now: u64) -> Result<Vec<FederationSummary>, Failure> {
        let rows = sqlx::query(select_summary!(
            "federation_summaries",
            "$1",
            "ORDER BY f.created_at DESC, f.id LIMIT $2"
        ))
        .bind(now as i64)
        .bind(MOST_SUMMARIES as i64)
        .fetch_all(&mut *self.tx)
        .await?;
        rows.iter().map(read_summary).collect()
    }

    async fn versions(&mut self) -> Result<Vec<(String, u64)>, Failure> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("-- federation_versions\nSELECT id, version FROM federation")
                .fetch_all(&mut *self.tx)
                .await?;
        rows.into_iter()
            .map(|(id, version)| Ok((id, unsigned(version)?)))
            .collect()
    }

    async fn unrecorded(&mut self) -> Result<Vec<String>, Failure> {
        Ok(sqlx::query_scalar(
            "-- federation_unrecorded\nSELECT id FROM federation WHERE lines = 0 AND status = $1",
        )
        .bind(word(FederationStatus::Running)?)
        .fetch_all(&mut *self.tx)
        .await?)
    }
}

fn read_summary(row: &SqliteRow) -> Result<FederationSummary, Failure> {
    Ok(FederationSummary {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        description: row.try_get("description")?,
        status: parse_word(row.try_get("status")?)?,
        step: unsigned(row.try_get("step")?)?,
        steps: unsigned(row.try_get("steps")?)?,
        participants: unsigned(row.try_get("participants")?)?,
        live: unsigned(row.try_get("live")?)?,
        dim: unsigned(row.try_get("dim")?)?,
        model_origin: row.try_get("model_origin")?,
        created_at: unsigned(row.try_get("created_at")?)?,
        task_hash: row.try_get("task_hash")?,
        secure: row.try_get::<i64, _>("secure")? != 0,
        privacy: match (
            row.try_get("epsilon")?,
            row.try_get("epsilon_limit")?,
            row.try_get("delta")?,
        ) {
            (Some(epsilon), Some(limit), Some(delta)) => Some(PrivacySpent {
                epsilon,
                limit,
                delta,
            }),
            _ => None,
        },
    })
}
