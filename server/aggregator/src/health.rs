//! Whether the database takes writes, for those who watch over the server.

use crate::app::App;
use crate::store::Outcome;
use federation::engine::store::{EVERY, Store as _, Timers as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A write that is younger needs no other to prove it.
const FRESH: Duration = Duration::from_secs(3);
/// How long the disk's refusal of one write counts although others succeed: on a full disk, small ones do.
const STICKY: Duration = Duration::from_secs(15);
/// Time that a trial has. One that takes longer is behind others, not refused.
const TRIAL: Duration = Duration::from_millis(500);
/// A database that takes nothing for so long is no use, whatever the reason.
const STUCK: Duration = Duration::from_secs(20);

/// What the outcomes of transactions say about the disk.
pub(crate) struct Health(Mutex<Known>);

struct Known {
    wrote: Instant,
    refused: Option<Instant>,
}

impl Health {
    /// Of a database that was just opened, and so written.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Known {
            wrote: Instant::now(),
            refused: None,
        }))
    }

    /// Takes note of a transaction's outcome.
    pub(crate) fn note(&self, outcome: Outcome) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Outcome::Commit => known.wrote = Instant::now(),
            Outcome::Unwritable => {
                if known.refused.is_none_or(|at| at.elapsed() >= STICKY) {
                    tracing::error!(
                        "the database cannot be written: is the disk full or read-only?"
                    );
                }
                known.refused = Some(Instant::now());
            }
            _ => {}
        }
    }

    /// Time since the last write that succeeded and the last that the disk refused.
    fn ages(&self) -> (Duration, Option<Duration>) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (known.wrote.elapsed(), known.refused.map(|at| at.elapsed()))
    }
}

/// Returns whether the database takes writes, by what transactions met in the last seconds or, without any, by one for trial.
pub(crate) async fn is_well(app: &App) -> bool {
    let now = app.clock.now_ms();
    if app.health.ages().0 > FRESH {
        let store = app.aggregator.store();
        let trial = store.run_tx(EVERY, "trial", async |tx| tx.trial(now).await);
        // Its outcome is noted like any other's.
        let _ = tokio::time::timeout(TRIAL, trial).await;
    }
    let (wrote, refused) = app.health.ages();
    wrote < STUCK && refused.is_none_or(|age| age >= STICKY)
}
