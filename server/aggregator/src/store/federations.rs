//! Federations and their θ.

use super::{parse_word, unsigned, word};
use crate::failure::Failure;
use federation::record::{Patience, Place, Replay};
use federation::round::messages::{FederationStatus, FederationSummary, PrivacySpent};
use federation::round::phase::RoundKind;
use federation::round::refusal::Refusal;
use federation::rules::server_optimizer::ServerState;
use federation::task::Task;
use ground::hash::{Hash, theta_bytes, theta_from_bytes};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteExecutor};

/// What most statements need to know of a federation.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) status: FederationStatus,
    pub(crate) step: u32,
    pub(crate) theta_hash: Hash,
    pub(crate) participants: u32,
    /// Lines of the record.
    pub(crate) lines: u32,
    /// Hash of the last of them.
    pub(crate) record: Hash,
    /// The counting round is concluded.
    pub(crate) counted: bool,
}

impl Head {
    /// What the current round sums.
    pub(crate) fn kind(&self, task: &Task) -> RoundKind {
        if !self.counted && task.learnt_together().is_some() {
            RoundKind::Counting
        } else {
            RoundKind::Training
        }
    }
}

/// A federation about to exist.
pub(crate) struct New<'a> {
    pub(crate) id: &'a str,
    pub(crate) task: &'a Task,
    pub(crate) model_origin: &'a str,
    /// At θ₀, with its first line written.
    pub(crate) record: &'a Replay,
    pub(crate) now: u64,
}

/// Adds a federation and its θ₀; its first round is for `rounds::store`, its first line for `lines::append`.
pub(crate) async fn insert(tx: &mut super::Tx, new: &New<'_>) -> Result<(), Failure> {
    let theta = new.record.parameters();
    let limits = new.task.contribution().and_then(|c| c.limits());
    sqlx::query(
        "-- federation_insert\n\
         INSERT INTO federation (id, task, task_hash, name, description, model_origin, dim, steps, status, step, \
         version, theta_hash, participants, created_at, lines, record, epsilon, epsilon_limit, delta, secure) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 1, $10, 0, $11, $12, $13, $14, $15, $16, $17)",
    )
    .bind(new.id)
    .bind(new.task.source().to_string())
    .bind(new.task.hash())
    .bind(&new.task.name)
    .bind(&new.task.description)
    .bind(new.model_origin)
    .bind(theta.len() as i64)
    .bind(i64::from(new.task.federation.rounds))
    .bind(word(FederationStatus::Running)?)
    .bind(new.record.theta())
    .bind(new.now as i64)
    .bind(i64::from(new.record.lines()))
    .bind(new.record.head())
    .bind(new.record.epsilon(new.task))
    .bind(limits.map(|l| l.epsilon))
    .bind(limits.map(|l| l.delta))
    .bind(i64::from(new.task.federation.secure.is_some()))
    .execute(&mut **tx)
    .await?;
    sqlx::query(
        "-- model_insert\n\
         INSERT INTO model (federation, theta, moment1, moment2, updates) VALUES ($1, $2, $3, $3, 0)",
    )
    .bind(new.id)
    .bind(theta_bytes(theta))
    .bind(Vec::new())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Status, step, θ's hash, where the record stands.
pub(crate) async fn head(db: impl SqliteExecutor<'_>, id: &str) -> Result<Head, Failure> {
    let row: Option<(String, i64, String, i64, i64, String, i64)> = sqlx::query_as(
        "-- federation_head\n\
         SELECT status, step, theta_hash, participants, lines, record, counted FROM federation WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(db)
    .await?;
    let (status, step, theta_hash, participants, lines, record, counted) =
        row.ok_or(Refusal::NotFound)?;
    Ok(Head {
        status: parse_word(status)?,
        step: unsigned(step)?,
        theta_hash,
        participants: unsigned(participants)?,
        lines: unsigned(lines)?,
        record,
        counted: counted != 0,
    })
}

/// Federations without a line: from before there were records.
pub(crate) async fn unrecorded(db: impl SqliteExecutor<'_>) -> Result<Vec<String>, Failure> {
    Ok(sqlx::query_scalar(
        "-- federation_unrecorded\nSELECT id FROM federation WHERE lines = 0 AND status = $1",
    )
    .bind(word(FederationStatus::Running)?)
    .fetch_all(db)
    .await?)
}

/// The task's JSON, if there is such a federation.
pub(crate) async fn task(db: impl SqliteExecutor<'_>, id: &str) -> Result<Option<String>, Failure> {
    Ok(
        sqlx::query_scalar("-- federation_task\nSELECT task FROM federation WHERE id = $1")
            .bind(id)
            .fetch_optional(db)
            .await?,
    )
}

/// Counts a change that views can show.
pub(crate) async fn bump(tx: &mut super::Tx, id: &str) -> Result<(), Failure> {
    sqlx::query("-- federation_bump\nUPDATE federation SET version = version + 1 WHERE id = $1")
        .bind(id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The version now.
pub(crate) async fn version(db: impl SqliteExecutor<'_>, id: &str) -> Result<u64, Failure> {
    let version: i64 =
        sqlx::query_scalar("-- federation_version\nSELECT version FROM federation WHERE id = $1")
            .bind(id)
            .fetch_one(db)
            .await?;
    unsigned(version)
}

/// All versions, for whoever watches.
pub(crate) async fn versions(db: impl SqliteExecutor<'_>) -> Result<Vec<(String, u64)>, Failure> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("-- federation_versions\nSELECT id, version FROM federation")
            .fetch_all(db)
            .await?;
    rows.into_iter()
        .map(|(id, version)| Ok((id, unsigned(version)?)))
        .collect()
}

/// Running, finished, closed.
pub(crate) async fn set_status(
    tx: &mut super::Tx,
    id: &str,
    status: FederationStatus,
) -> Result<(), Failure> {
    sqlx::query("-- federation_set_status\nUPDATE federation SET status = $2 WHERE id = $1")
        .bind(id)
        .bind(word(status)?)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// θ as it travels, and what its headers say.
pub(crate) struct StoredTheta {
    pub(crate) bytes: Vec<u8>,
    pub(crate) hash: Hash,
    pub(crate) step: u32,
    pub(crate) task_hash: Hash,
}

/// The current θ, in one statement, so that bytes and hash belong together.
pub(crate) async fn theta(db: impl SqliteExecutor<'_>, id: &str) -> Result<StoredTheta, Failure> {
    let row: Option<(Vec<u8>, String, i64, String)> = sqlx::query_as(
        "-- model_theta\n\
         SELECT m.theta, f.theta_hash, f.step, f.task_hash FROM federation f \
         JOIN model m ON m.federation = f.id WHERE f.id = $1",
    )
    .bind(id)
    .fetch_optional(db)
    .await?;
    let (bytes, hash, step, task_hash) = row.ok_or(Refusal::NotFound)?;
    Ok(StoredTheta {
        bytes,
        hash,
        step: unsigned(step)?,
        task_hash,
    })
}

/// Where the record stands: θ_t and the moments, and what the next line follows from.
pub(crate) async fn place(tx: &mut super::Tx, id: &str, dim: usize) -> Result<Place, Failure> {
    let row = sqlx::query(
        "-- federation_place\n\
         SELECT m.theta, m.moment1, m.moment2, m.updates, m.search, f.step, f.lines, f.record, f.rho, \
         f.counted, f.least_loss, f.patience_spent FROM federation f \
         JOIN model m ON m.federation = f.id WHERE f.id = $1",
    )
    .bind(id)
    .fetch_one(&mut **tx)
    .await?;
    let parse = |name| {
        let bytes: Vec<u8> = row.try_get(name)?;
        // A moment that no update has filled yet is empty.
        let dim = if bytes.is_empty() { 0 } else { dim };
        theta_from_bytes(&bytes, dim).map_err(Failure::Internal)
    };
    let theta: Vec<u8> = row.try_get("theta")?;
    let search: Option<String> = row.try_get("search")?;
    Ok(Place {
        federation: id.to_owned(),
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
            // It was an f32.
            least: row
                .try_get::<Option<f64>, _>("least_loss")?
                .map(|loss| loss as f32),
            rounds: unsigned(row.try_get("patience_spent")?)?,
        },
    })
}

/// Where the record stands after a line more; `moved`: with another θ.
pub(crate) async fn advance(
    tx: &mut super::Tx,
    id: &str,
    task: &Task,
    record: &Replay,
    moved: bool,
) -> Result<(), Failure> {
    if moved {
        let state = record.state();
        let search = state.search.as_ref().map(serde_json::to_string).transpose();
        let search = search.map_err(|e| Failure::Internal(e.to_string()))?;
        sqlx::query(
            "-- model_advance\n\
             UPDATE model SET theta = $2, moment1 = $3, moment2 = $4, updates = $5, search = $6 \
             WHERE federation = $1",
        )
        .bind(id)
        .bind(theta_bytes(&state.theta))
        .bind(theta_bytes(&state.first))
        .bind(theta_bytes(&state.second))
        .bind(i64::from(state.updates))
        .bind(search)
        .execute(&mut **tx)
        .await?;
    }
    sqlx::query(
        "-- federation_advance\n\
         UPDATE federation SET step = $2, theta_hash = $3, lines = $4, record = $5, rho = $6, epsilon = $7, \
         counted = $8, least_loss = $9, patience_spent = $10 WHERE id = $1",
    )
    .bind(id)
    .bind(i64::from(record.step()))
    .bind(record.theta())
    .bind(i64::from(record.lines()))
    .bind(record.head())
    .bind(record.ledger().rho())
    .bind(record.epsilon(task))
    .bind(i64::from(record.has_counted()))
    .bind(record.patience().least.map(f64::from))
    .bind(i64::from(record.patience().rounds))
    .execute(&mut **tx)
    .await?;
    Ok(())
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

/// What [`read_summary`] reads.
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

/// One line of the list.
pub(crate) async fn summary(
    db: impl SqliteExecutor<'_>,
    id: &str,
    now: u64,
) -> Result<FederationSummary, Failure> {
    let row = sqlx::query(select_summary!(
        "federation_summary",
        "$2",
        "WHERE f.id = $1"
    ))
    .bind(id)
    .bind(now as i64)
    .fetch_optional(db)
    .await?;
    read_summary(&row.ok_or(Refusal::NotFound)?)
}

/// The list, newest first.
pub(crate) async fn summaries(
    db: impl SqliteExecutor<'_>,
    now: u64,
) -> Result<Vec<FederationSummary>, Failure> {
    let rows = sqlx::query(select_summary!(
        "federation_summaries",
        "$1",
        "ORDER BY f.created_at DESC, f.id LIMIT 1000"
    ))
    .bind(now as i64)
    .fetch_all(db)
    .await?;
    rows.iter().map(read_summary).collect()
}
