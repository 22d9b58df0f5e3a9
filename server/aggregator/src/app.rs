//! What all handlers share.

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

/// Maximum number of tasks that are kept parsed. There are few; this only bounds what strangers
/// could make the server keep.
const KNOWN_TASKS: usize = 256;
/// The state that all threads of one server share.
pub(crate) struct App {
    pub(crate) config: AggregatorConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) aggregator: Aggregator<Db>,
    pub(crate) news: Arc<News>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
    /// The built pages; `None` if only the API is served.
    pub(crate) pages: Option<Folder>,
    /// The name of this process in leases.
    pub(crate) holder: String,
    /// Becomes true when the server ends, at which waiting requests answer.
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

    /// Reads one consistent state of a federation.
    pub(crate) async fn read<T>(
        &self,
        federation: &str,
        body: impl AsyncFn(&mut <Db as Store>::Tx) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.aggregator.store().read(federation, body).await
    }
}

/// Counts what a committed transaction did, and wakes requests that wait for it.
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

/// The name of a phase in counters.
fn shown(phase: Phase) -> String {
    store::word(phase).unwrap_or_default()
}
