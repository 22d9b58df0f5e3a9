//! Time in all federations of this database: whose phases' clocks run, and who drives the timers.

use super::rounds::read_round;
use super::{SqliteTx, unsigned, word};
use crate::failure::Failure;
use federation::engine::store::{Lease, Timers};
use federation::round::messages::FederationStatus;
use federation::round::server::Round;
use sqlx::Row as _;

const NAME: &str = "timers";

impl Timers for SqliteTx {
    async fn lease(&mut self) -> Result<Option<Lease>, Failure> {
        let row: Option<(String, i64)> =
            sqlx::query_as("-- lease_read\nSELECT holder, until FROM lease WHERE name = $1")
                .bind(NAME)
                .fetch_optional(&mut *self.tx)
                .await?;
        row.map(|(holder, until)| {
            Ok(Lease {
                holder,
                until: unsigned(until)?,
            })
        })
        .transpose()
    }

    async fn acquire_lease(&mut self, holder: &str, now: u64, ttl: u64) -> Result<bool, Failure> {
        let changed = sqlx::query(
            "-- lease_acquire\n\
         INSERT INTO lease (name, holder, until) VALUES ($1, $2, $3) \
         ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until \
         WHERE lease.holder = excluded.holder OR lease.until <= $4 OR lease.until > $3",
        )
        .bind(NAME)
        .bind(holder)
        .bind((now + ttl) as i64)
        .bind(now as i64)
        .execute(&mut *self.tx)
        .await?;
        Ok(changed.rows_affected() == 1)
    }

    async fn release_lease(&mut self, holder: &str, now: u64) -> Result<(), Failure> {
        sqlx::query(
            "-- lease_release\nUPDATE lease SET until = $3 WHERE name = $1 AND holder = $2",
        )
        .bind(NAME)
        .bind(holder)
        .bind(now as i64)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    async fn trial(&mut self, now: u64) -> Result<(), Failure> {
        sqlx::query(
            "-- trial\n\
         INSERT INTO lease (name, holder, until) VALUES ('trial', '', $1) \
         ON CONFLICT (name) DO UPDATE SET until = excluded.until",
        )
        .bind(now as i64)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    async fn ticking(&mut self) -> Result<Vec<(String, Round)>, Failure> {
        let rows = sqlx::query(
        "-- round_ticking\n\
         SELECT r.federation, r.number, r.phase, r.since, r.enrolled, r.cohort, r.delivered, r.gone, \
         r.members, r.registered, r.attempt, r.waiting FROM round r JOIN federation f ON f.id = r.federation WHERE f.status = $1 AND r.since IS NOT NULL",
    )
    .bind(word(FederationStatus::Running)?)
    .fetch_all(&mut *self.tx)
    .await?;
        rows.iter()
            .map(|row| Ok((row.try_get("federation")?, read_round(row)?)))
            .collect()
    }

    async fn forgive(&mut self, stopped: u64, gap: u64) -> Result<(), Failure> {
        for statement in [
            "-- round_forgive\nUPDATE round SET since = since + $2 WHERE since <= $1",
            "-- participant_forgive\n\
             UPDATE participant SET lease_until = lease_until + $2 WHERE lease_until > $1 AND departed = 0",
        ] {
            sqlx::query(statement)
                .bind(stopped as i64)
                .bind(gap as i64)
                .execute(&mut *self.tx)
                .await?;
        }
        Ok(())
    }
}
