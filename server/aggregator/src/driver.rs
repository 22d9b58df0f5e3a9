//! Time: ends phases whose time is up and takes for gone whose lease ran out. Any process with the database
//! may do it; a lease in the database keeps all but one from trying. Were two to try at once, no harm: each
//! tick is a transaction that looks at the round as it is.

use crate::app::App;
use crate::engine::{self, Effects};
use crate::failure::Failure;
use crate::store::{lease, participants, rounds};
use federation::round::server::Event;
use std::time::Duration;

/// A process that was killed blocks the timers for at most this long (ms).
const LEASE_MS: u64 = 5_000;
/// Never spin, even if a wake-up time lies in the past.
const SHORTEST_SLEEP: Duration = Duration::from_millis(5);

/// Before anything is answered: if nobody drove the timers for a while, because no aggregator ran, that time
/// does not count. Otherwise a restart would find every lease expired and throw away a round full of updates.
pub(crate) async fn recover(app: &App) -> Result<(), Failure> {
    let now = app.clock.now_ms();
    app.store
        .run_tx("recover", async |tx| {
            let Some(lease) = lease::read(&mut **tx).await? else {
                return Ok(());
            };
            let gap = now.saturating_sub(lease.until);
            if gap > 0 && lease::acquire(tx, &app.holder, now, LEASE_MS).await? {
                rounds::forgive(tx, lease.until, gap).await?;
                participants::forgive(tx, lease.until, gap).await?;
                tracing::info!(
                    gap_ms = gap,
                    "no aggregator ran for a while; that time does not count"
                );
            }
            Ok(())
        })
        .await
}

/// Never returns. `period` bounds how late a change of another process, or of the clock, is seen.
pub(crate) async fn drive(app: &App, period: Duration) {
    loop {
        let sleep = match turn(app).await {
            Ok(next) => next.map_or(period, |ms| Duration::from_millis(ms).min(period)),
            Err(failure) => {
                tracing::warn!(%failure, "the timers could not be driven; trying again");
                period
            }
        };
        tokio::time::sleep(sleep.max(SHORTEST_SLEEP)).await;
    }
}

/// One look at everything. Gives the time until the next phase ends, in ms.
async fn turn(app: &App) -> Result<Option<u64>, Failure> {
    let now = app.clock.now_ms();
    if !hold_lease(app, now).await? {
        return Ok(None);
    }
    let mut next: Option<u64> = None;
    for (id, round) in rounds::ticking(&app.store.readers).await? {
        let Some(known) = app.known(&id).await? else {
            continue;
        };
        let policy = &known.task.federation.policy;
        // Look before writing: most of the time there is nothing to do.
        let live = participants::live(&app.store.readers, &id, now).await?;
        let mut stepped = round.clone();
        let idle = stepped
            .step(policy, now, Event::Tick { live })
            .is_ok_and(|a| a.is_empty());
        let expired = rounds::expired(&app.store.readers, &id, round.number, now).await?;
        if !idle || stepped != round || !expired.is_empty() {
            let effects = app
                .store
                .run_tx("tick", async |tx| {
                    let mut effects = Effects::default();
                    engine::tick(tx, &known, now, &mut effects).await?;
                    Ok(effects)
                })
                .await?;
            app.after(&id, &effects).await;
        } else if let Some(at) = round.wake_at(policy, now) {
            let wait = at.saturating_sub(now);
            next = Some(next.map_or(wait, |n| n.min(wait)));
        }
    }
    Ok(next)
}

/// Holds or takes the lease, writing only when there is need.
async fn hold_lease(app: &App, now: u64) -> Result<bool, Failure> {
    if let Some(lease) = lease::read(&app.store.readers).await? {
        let left = lease.until.saturating_sub(now);
        let believable = left <= LEASE_MS;
        if lease.holder == app.holder && left > LEASE_MS / 2 && believable {
            return Ok(true);
        }
        if lease.holder != app.holder && left > 0 && believable {
            return Ok(false);
        }
    }
    app.store
        .run_tx("lease", async |tx| {
            lease::acquire(tx, &app.holder, now, LEASE_MS).await
        })
        .await
}

/// At an orderly end, so that the next process need not wait.
pub(crate) async fn release(app: &App) {
    let now = app.clock.now_ms();
    let released = app
        .store
        .run_tx("lease", async |tx| {
            lease::release(tx, &app.holder, now).await
        })
        .await;
    if let Err(failure) = released {
        tracing::warn!(%failure, "the lease could not be given back; it runs out by itself");
    }
}
