//! Current rounds, standings, updates, and the records of finished rounds.

use super::{Tx, parse_word, unsigned, word};
use crate::failure::Failure;
use federation::round::messages::{
    FederationStatus, Metrics, RoundRecord, RoundView, Standing, Update,
};
use federation::round::policy::Policy;
use federation::round::refusal::Refusal;
use federation::round::server::Round;
use futures::TryStreamExt as _;
use ground::hash::theta_from_bytes;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteExecutor};

/// Rows of so many past rounds stay, to tell an update that comes again from one that comes too late.
const REMEMBERED_ROUNDS: i64 = 8;

/// A standing as the database knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// As in the protocol.
    Known(Standing),
    /// In the cohort, then taken for gone. To the protocol as if idle: the next round will take them.
    Gone,
}

impl Place {
    fn read(word: Option<String>) -> Result<Self, Failure> {
        Ok(match word.as_deref() {
            None => Self::Known(Standing::Idle),
            Some("gone") => Self::Gone,
            Some(other) => Self::Known(parse_word(other.to_owned())?),
        })
    }

    pub(crate) fn standing(self) -> Standing {
        match self {
            Self::Known(standing) => standing,
            Self::Gone => Standing::Idle,
        }
    }
}

/// The round in a row that has all of its columns.
fn read_round(row: &SqliteRow) -> Result<Round, Failure> {
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

/// The current round.
pub(crate) async fn load(db: impl SqliteExecutor<'_>, federation: &str) -> Result<Round, Failure> {
    let row = sqlx::query(
        "-- round_load\n\
         SELECT number, phase, since, enrolled, cohort, delivered, gone, members, registered, attempt, waiting \
         FROM round \
         WHERE federation = $1",
    )
    .bind(federation)
    .fetch_one(db)
    .await?;
    read_round(&row)
}

/// Stores it.
pub(crate) async fn store(tx: &mut Tx, federation: &str, round: &Round) -> Result<(), Failure> {
    sqlx::query(
        "-- round_store\n\
         INSERT INTO round (federation, number, phase, since, enrolled, cohort, delivered, gone, members, registered, \
         attempt, waiting) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
         ON CONFLICT (federation) DO UPDATE SET number = excluded.number, phase = excluded.phase, \
         since = excluded.since, enrolled = excluded.enrolled, cohort = excluded.cohort, \
         delivered = excluded.delivered, gone = excluded.gone, members = excluded.members, \
         registered = excluded.registered, attempt = excluded.attempt, waiting = excluded.waiting",
    )
    .bind(federation)
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
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Where a participant is in a round.
pub(crate) async fn place(
    db: impl SqliteExecutor<'_>,
    federation: &str,
    round: u32,
    participant: u32,
) -> Result<Place, Failure> {
    let word: Option<String> = sqlx::query_scalar(
        "-- standing_get\n\
         SELECT standing FROM standing WHERE federation = $1 AND round = $2 AND participant = $3",
    )
    .bind(federation)
    .bind(i64::from(round))
    .bind(i64::from(participant))
    .fetch_optional(db)
    .await?;
    Place::read(word)
}

/// Puts them there.
pub(crate) async fn set_place(
    tx: &mut Tx,
    federation: &str,
    round: u32,
    participant: u32,
    place: Place,
) -> Result<(), Failure> {
    let word = match place {
        Place::Known(Standing::Idle) => {
            sqlx::query(
                "-- standing_clear\n\
                 DELETE FROM standing WHERE federation = $1 AND round = $2 AND participant = $3",
            )
            .bind(federation)
            .bind(i64::from(round))
            .bind(i64::from(participant))
            .execute(&mut **tx)
            .await?;
            return Ok(());
        }
        Place::Known(standing) => word(standing)?,
        Place::Gone => "gone".to_owned(),
    };
    sqlx::query(
        "-- standing_set\n\
         INSERT INTO standing (federation, round, participant, standing) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (federation, round, participant) DO UPDATE SET standing = excluded.standing",
    )
    .bind(federation)
    .bind(i64::from(round))
    .bind(i64::from(participant))
    .bind(word)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// All enrolled are now the cohort. Gives their number.
pub(crate) async fn freeze(tx: &mut Tx, federation: &str, round: u32) -> Result<u64, Failure> {
    let done = sqlx::query(
        "-- standing_freeze\n\
         UPDATE standing SET standing = $3 WHERE federation = $1 AND round = $2 AND standing = $4",
    )
    .bind(federation)
    .bind(i64::from(round))
    .bind(word(Standing::InCohort)?)
    .bind(word(Standing::Enrolled)?)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}

/// Those who delivered are now the cohort of the next phase; the others of the cohort are dropped. Gives the number
/// of those who stay.
pub(crate) async fn narrow(tx: &mut Tx, federation: &str, round: u32) -> Result<u64, Failure> {
    // In this order, else the second would take back what the first did.
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
            .bind(federation)
            .bind(i64::from(round))
            .bind(word(to)?)
            .bind(word(from)?)
            .execute(&mut **tx)
            .await?;
        moved = done.rows_affected();
    }
    Ok(moved)
}

/// Those whom the round still waits for although their lease ran out, by number.
pub(crate) async fn expired(
    db: impl SqliteExecutor<'_>,
    federation: &str,
    round: u32,
    now: u64,
) -> Result<Vec<(u32, Standing)>, Failure> {
    let rows: Vec<(i64, String)> = sqlx::query_as(
        "-- standing_expired\n\
         SELECT s.participant, s.standing FROM standing s \
         JOIN participant p ON p.federation = s.federation AND p.number = s.participant \
         WHERE s.federation = $1 AND s.round = $2 AND s.standing IN ($3, $4) AND p.lease_until <= $5 \
         ORDER BY s.participant",
    )
    .bind(federation)
    .bind(i64::from(round))
    .bind(word(Standing::Enrolled)?)
    .bind(word(Standing::InCohort)?)
    .bind(now as i64)
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|(number, word)| Ok((unsigned(number)?, parse_word(word)?)))
        .collect()
}

/// Keeps an update until its round ends. `bytes` is the size of the body in which it came.
pub(crate) async fn insert_update(
    tx: &mut Tx,
    federation: &str,
    participant: u32,
    update: &Update,
    bytes: usize,
) -> Result<(), Failure> {
    let metrics =
        serde_json::to_string(&update.metrics).map_err(|e| Failure::Internal(e.to_string()))?;
    sqlx::query(
        "-- contribution_insert\n\
         INSERT INTO contribution (federation, round, participant, examples, delta, metrics, bytes) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(federation)
    .bind(i64::from(update.round))
    .bind(i64::from(participant))
    .bind(i64::from(update.examples))
    .bind(ground::hash::theta_bytes(&update.delta))
    .bind(metrics)
    .bind(bytes as i64)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What the round's updates add up to besides their vectors.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) metrics: Metrics,
    pub(crate) bytes: u64,
}

/// Hands the round's updates, `dim` numbers each, one by one to `add`, in the order of participants so that the sum
/// is the same bit by bit whoever computes it.
pub(crate) async fn for_each_update(
    tx: &mut Tx,
    federation: &str,
    round: u32,
    dim: usize,
    mut add: impl FnMut(Vec<f32>, u32),
) -> Result<Totals, Failure> {
    let mut totals = Totals::default();
    let mut rows = sqlx::query_as::<_, (i64, Vec<u8>, String, i64)>(
        "-- contribution_stream\n\
         SELECT examples, delta, metrics, bytes FROM contribution \
         WHERE federation = $1 AND round = $2 ORDER BY participant",
    )
    .bind(federation)
    .bind(i64::from(round))
    .fetch(&mut **tx);
    while let Some((examples, delta, metrics, bytes)) = rows.try_next().await? {
        let delta = theta_from_bytes(&delta, dim).map_err(Failure::Internal)?;
        add(delta, unsigned(examples)?);
        let metrics: Metrics =
            serde_json::from_str(&metrics).map_err(|e| Failure::Internal(e.to_string()))?;
        totals.metrics.add(&metrics);
        totals.bytes += unsigned::<u64>(bytes)?;
    }
    Ok(totals)
}

/// Ends a round: what is shown of it stays, its updates go.
pub(crate) async fn finish(
    tx: &mut Tx,
    federation: &str,
    record: &RoundRecord,
) -> Result<(), Failure> {
    let body = serde_json::to_string(record).map_err(|e| Failure::Internal(e.to_string()))?;
    sqlx::query(
        "-- round_record_insert\n\
         INSERT INTO round_record (federation, number, body) VALUES ($1, $2, $3)",
    )
    .bind(federation)
    .bind(i64::from(record.round))
    .bind(body)
    .execute(&mut **tx)
    .await?;
    sqlx::query("-- contribution_delete\nDELETE FROM contribution WHERE federation = $1")
        .bind(federation)
        .execute(&mut **tx)
        .await?;
    sqlx::query("-- standing_forget\nDELETE FROM standing WHERE federation = $1 AND round < $2")
        .bind(federation)
        .bind(i64::from(record.round) - REMEMBERED_ROUNDS)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The last `limit` finished rounds, oldest first.
pub(crate) async fn records(
    db: impl SqliteExecutor<'_>,
    federation: &str,
    limit: u32,
) -> Result<Vec<RoundRecord>, Failure> {
    let bodies: Vec<String> = sqlx::query_scalar(
        "-- round_record_list\n\
         SELECT body FROM round_record WHERE federation = $1 ORDER BY number DESC LIMIT $2",
    )
    .bind(federation)
    .bind(i64::from(limit))
    .fetch_all(db)
    .await?;
    let parse = |body: String| {
        serde_json::from_str(&body).map_err(|e| Failure::Internal(format!("a round record: {e}")))
    };
    bodies.into_iter().rev().map(parse).collect()
}

/// Federations in which time matters: running, and the clock of their phase runs.
pub(crate) async fn ticking(db: impl SqliteExecutor<'_>) -> Result<Vec<(String, Round)>, Failure> {
    let rows = sqlx::query(
        "-- round_ticking\n\
         SELECT r.federation, r.number, r.phase, r.since, r.enrolled, r.cohort, r.delivered, r.gone, \
         r.members, r.registered, r.attempt, r.waiting FROM round r JOIN federation f ON f.id = r.federation WHERE f.status = $1 AND r.since IS NOT NULL",
    )
    .bind(word(FederationStatus::Running)?)
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| Ok((row.try_get("federation")?, read_round(row)?)))
        .collect()
}

/// After a time in which no aggregator ran: the phases' clocks stood.
pub(crate) async fn forgive(tx: &mut Tx, stopped: u64, gap: u64) -> Result<(), Failure> {
    sqlx::query("-- round_forgive\nUPDATE round SET since = since + $2 WHERE since <= $1")
        .bind(stopped as i64)
        .bind(gap as i64)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The current round as `participant` sees it (an outsider without one), in one statement, hence consistent.
pub(crate) async fn view(
    db: impl SqliteExecutor<'_>,
    federation: &str,
    participant: Option<u32>,
    policy: &Policy,
    now: u64,
) -> Result<RoundView, Failure> {
    let row = sqlx::query(
        "-- round_view\n\
         SELECT f.version, f.status, f.step, f.theta_hash, f.lines, f.record, r.number, r.phase, r.since, \
         r.enrolled, r.cohort, r.delivered, r.gone, r.members, r.registered, r.attempt, r.waiting, \
         (SELECT COUNT(*) FROM participant p WHERE p.federation = f.id AND p.lease_until > $3) AS live, s.standing \
         FROM federation f JOIN round r ON r.federation = f.id \
         LEFT JOIN standing s ON s.federation = f.id AND s.round = r.number AND s.participant = $2 \
         WHERE f.id = $1",
    )
    .bind(federation)
    // No participant has this number.
    .bind(participant.map_or(-1, i64::from))
    .bind(now as i64)
    .fetch_optional(db)
    .await?;
    let row = row.ok_or(Refusal::NotFound)?;
    let round = read_round(&row)?;
    Ok(RoundView {
        version: unsigned(row.try_get("version")?)?,
        status: parse_word(row.try_get("status")?)?,
        step: unsigned(row.try_get("step")?)?,
        round: round.number,
        phase: round.phase,
        theta: row.try_get("theta_hash")?,
        lines: unsigned(row.try_get("lines")?)?,
        record: row.try_get("record")?,
        registered: round.registered,
        attempt: round.attempt,
        standing: Place::read(row.try_get("standing")?)?.standing(),
        enrolled: round.enrolled,
        cohort: round.cohort,
        delivered: round.delivered,
        live: unsigned(row.try_get("live")?)?,
        deadline_ms: round
            .deadline(policy)
            .map(|deadline| deadline.saturating_sub(now)),
    })
}
