//! The timers: ends phases whose time is up, and counts participants as gone whose lease ran out.
//! Any process with the database may do it; a lease in the database keeps all but one from trying.
//! If two try at once there is no harm: each tick is a transaction that looks at the round as it
//! is.

use crate::app::App;
use crate::failure::Failure;
use federation::engine::store::{EVERY, Federations as _, Rounds as _, Store as _, Timers as _};
use federation::round::server::Event;
use std::time::Duration;

/// Maximum time in milliseconds for which a killed process blocks the timers.
const LEASE_MS: u64 = 5_000;
/// Shortest sleep, so that the loop never spins even if a wake-up time lies in the past.
const SHORTEST_SLEEP: Duration = Duration::from_millis(5);

/// Discounts, before anything is answered, the time in which no aggregator ran. Otherwise a restart
/// would find every lease expired and throw away a round full of updates.
pub(crate) async fn recover(app: &App) -> Result<(), Failure> {
    let now = app.clock.now_ms();
    app.aggregator
        .store()
        .run_tx(EVERY, "recover", async |tx| {
            let Some(lease) = tx.lease().await? else {
                return Ok(());
            };
            let gap = now.saturating_sub(lease.until);
            if gap > 0 && tx.acquire_lease(&app.holder, now, LEASE_MS).await? {
                tx.forgive(lease.until, gap).await?;
                tracing::info!(
                    gap_ms = gap,
                    "no aggregator ran for a while; that time does not count"
                );
            }
            Ok(())
        })
        .await
}

/// Drives the timers; never returns. `period` bounds how late a change by another process, or of
/// the clock, is seen.
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

/// Looks at everything once. Returns the time in milliseconds until the next phase ends.
async fn turn(app: &App) -> Result<Option<u64>, Failure> {
    let now = app.clock.now_ms();
    if !hold_lease(app, now).await? {
        return Ok(None);
    }
    let mut next: Option<u64> = None;
    for (id, round) in app.read(EVERY, async |tx| tx.ticking().await).await? {
        let federation = app.federation(&id).await?;
        let policy = &federation.task.federation.policy;
        // Reads before it writes: most of the time there is nothing to do.
        let (live, expired) = app
            .read(&id, async |tx| {
                let live = tx.current(None, now).await?.live;
                Ok((live, tx.expired(round.number, now).await?))
            })
            .await?;
        let mut stepped = round.clone();
        let idle = stepped
            .step(policy, now, Event::Tick { live })
            .is_ok_and(|a| a.is_empty());
        if !idle || stepped != round || !expired.is_empty() {
            app.aggregator.tick(&federation, now).await?;
        } else if let Some(at) = round.wake_at(policy, now) {
            let wait = at.saturating_sub(now);
            next = Some(next.map_or(wait, |n| n.min(wait)));
        }
    }
    Ok(next)
}

/// Holds or takes the lease, and writes only if it must.
async fn hold_lease(app: &App, now: u64) -> Result<bool, Failure> {
    if let Some(lease) = app.read(EVERY, async |tx| tx.lease().await).await? {
        let left = lease.until.saturating_sub(now);
        let believable = left <= LEASE_MS;
        if lease.holder == app.holder && left > LEASE_MS / 2 && believable {
            return Ok(true);
        }
        if lease.holder != app.holder && left > 0 && believable {
            return Ok(false);
        }
    }
    app.aggregator
        .store()
        .run_tx(EVERY, "lease", async |tx| {
            tx.acquire_lease(&app.holder, now, LEASE_MS).await
        })
        .await
}

/// Gives the lease back at an orderly end, so that the next process need not wait.
pub(crate) async fn release(app: &App) {
    let now = app.clock.now_ms();
    let released = app
        .aggregator
        .store()
        .run_tx(EVERY, "lease", async |tx| {
            tx.release_lease(&app.holder, now).await
        })
        .await;
    if let Err(failure) = released {
        tracing::warn!(%failure, "the lease could not be given back; it runs out by itself");
    }
}
