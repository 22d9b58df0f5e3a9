//! Who drives the timers of all federations in this database.

use super::{SqliteTx, unsigned};
use crate::failure::Failure;

const NAME: &str = "timers";

/// The lease as it stands.
pub(crate) struct Lease {
    pub(crate) holder: String,
    /// Until then (ms since 1970).
    pub(crate) until: u64,
}

impl SqliteTx {
    /// Reads it; nothing if nobody ever held it.
    pub(crate) async fn lease(&mut self) -> Result<Option<Lease>, Failure> {
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

    /// Takes or prolongs it for `ttl` ms. False if somebody else holds it. A lease that reaches further than
    /// `ttl` from now was written under another clock and counts as expired.
    pub(crate) async fn acquire_lease(
        &mut self,
        holder: &str,
        now: u64,
        ttl: u64,
    ) -> Result<bool, Failure> {
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

    /// Writes the time, to see whether anything can be written.
    pub(crate) async fn trial(&mut self, now: u64) -> Result<(), Failure> {
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

    /// Gives it back.
    pub(crate) async fn release_lease(&mut self, holder: &str, now: u64) -> Result<(), Failure> {
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
}
