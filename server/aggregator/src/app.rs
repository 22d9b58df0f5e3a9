//! What every handler shares.

use crate::clock::Clock;
use crate::config::AggregatorConfig;
use crate::failure::Failure;
use crate::health::Health;
use crate::http::Folder;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::news::News;
use crate::store::{self, Db};
use federation::engine::store::{Federations as _, Store};
use federation::engine::{Aggregator, Effects, Federation};
use federation::round::phase::Phase;
use federation::round::refusal::Refusal;
use federation::task::Task;
use listener::Shares;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Tasks kept parsed. They are few; this only bounds what strangers could make us keep.
const KNOWN_TASKS: usize = 256;
/// Shared by all threads of one server.
pub(crate) struct App {
    pub(crate) config: AggregatorConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) aggregator: Aggregator<Db>,
    pub(crate) news: Arc<News>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
    /// The built pages, where there are any.
    pub(crate) pages: Option<Folder>,
    /// Names this process in leases.
    pub(crate) holder: String,
    /// Turns true when the server ends; waiting requests answer then.
    pub(crate) stopping: watch::Receiver<bool>,
    /// Event streams open now.
    pub(crate) streams: Arc<Shares>,
    pub(crate) health: Arc<Health>,
    pub(crate) federations: Mutex<HashMap<String, Arc<Federation>>>,
}

impl App {
    /// The federation, or that there is none.
    pub(crate) async fn federation(&self, id: &str) -> Result<Arc<Federation>, Failure> {
        let lock = || {
            self.federations
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(federation) = lock().get(id) {
            return Ok(Arc::clone(federation));
        }
        let source = self.read(id, async |tx| tx.task().await).await?;
        let broken = |what: String| Failure::Internal(format!("stored task of {id}: {what}"));
        let value = serde_json::from_str(&source.ok_or(Refusal::NotFound)?)
            .map_err(|e| broken(e.to_string()))?;
        let task = Task::from_value(value).map_err(|e| broken(e.to_string()))?;
        let federation = Arc::new(Federation::new(id.to_owned(), task));
        let mut cache = lock();
        if cache.len() >= KNOWN_TASKS {
            cache.clear();
        }
        cache.insert(id.to_owned(), Arc::clone(&federation));
        Ok(federation)
    }

    /// Reads on one consistent state of a federation.
    pub(crate) async fn read<T>(
        &self,
        federation: &str,
        body: impl AsyncFn(&mut <Db as Store>::Tx) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.aggregator.store().read(federation, body).await
    }
}

/// Counts what a committed transaction did, and wakes those who wait for it.
pub(crate) fn observe(metrics: &Metrics, news: &News, federation: &str, effects: &Effects) {
    metrics.updates.inc_by(u64::from(effects.stored));
    for phase in &effects.messages {
        metrics.message(&shown(*phase));
    }
    for (phase, took) in &effects.phases {
        metrics.phase(&shown(*phase), Duration::from_millis(*took));
    }
    for outcome in &effects.ended {
        metrics.round(outcome);
        tracing::info!(federation, outcome, "round ended");
    }
    if let Some(version) = effects.version {
        news.publish(federation, version);
    }
}

/// A phase's name in counters.
fn shown(phase: Phase) -> String {
    store::word(phase).unwrap_or_default()
}
