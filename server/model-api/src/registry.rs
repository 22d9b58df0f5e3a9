//! The served models by name, and how a new one replaces an old one.
//!
//! A new model is loaded and tried beside the old one, which continues to answer, and then replaces
//! it at once. The old model answers the requests it has, and ends with the last of them.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde_json::{Value, json};
use thiserror::Error;
use tokio::sync::Mutex as AsyncMutex;

use crate::endpoint::Endpoint;
use crate::error::ApiError;
use crate::load::{self, ModelError};
use crate::metrics::Metrics;
use crate::protocol::VERSION;
use crate::{ConfigFaults, ModelConfig, ModelSource, TextStats};

/// Models that cannot be served, at least one, with the reasons.
#[derive(Debug, Error)]
#[error("{}", .0.iter().map(|(name, cause)| format!("the model `{name}` cannot be served: {cause}")).collect::<Vec<_>>().join("\n"))]
pub struct ModelFaults(pub Vec<(String, ModelError)>);

/// All models of one server.
pub(crate) struct Registry {
    source: Source,
    metrics: Metrics,
    slots: RwLock<Vec<Slot>>,
    /// Held during a change: two loads of a large model at once would take its memory three times.
    changing: AsyncMutex<()>,
}

/// Where descriptions come from when models are reloaded.
enum Source {
    Described(ModelSource),
    Given(Vec<ModelConfig>),
}

struct Slot {
    name: String,
    state: State,
    fingerprint: [u8; 32],
    /// Why its newest description is not served.
    fault: Option<String>,
    /// The counters of earlier models of this name, so that counters never fall.
    before: Mutex<TextStats>,
}

enum State {
    Ready(Arc<Endpoint>),
    Unavailable,
}

impl Slot {
    fn ready(&self) -> Option<&Arc<Endpoint>> {
        match &self.state {
            State::Ready(endpoint) => Some(endpoint),
            State::Unavailable => None,
        }
    }

    /// Replaces the old state by `state` and continues its counters.
    fn replace(&mut self, state: State) {
        let done = self.ready().and_then(|endpoint| endpoint.stats());
        if let Some(done) = done {
            let before = self
                .before
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner);
            before.encodes += done.encodes;
            before.cache_hits += done.cache_hits;
        }
        self.state = state;
    }
}

impl Registry {
    /// Loads all models. Blocks.
    pub(crate) fn load(
        models: Vec<ModelConfig>,
        source: Option<ModelSource>,
        metrics: Metrics,
    ) -> Result<Self, ModelFaults> {
        let source = source.map_or_else(|| Source::Given(models.clone()), Source::Described);
        let mut faults = Vec::new();
        let mut slots = Vec::new();
        for config in models {
            let (name, fingerprint) = (config.name.clone(), load::fingerprint(&config));
            match load::start(config, &metrics) {
                Ok(endpoint) => slots.push(Slot::new(endpoint, fingerprint)),
                Err(cause) => faults.push((name, cause)),
            }
        }
        if !faults.is_empty() {
            return Err(ModelFaults(faults));
        }
        Ok(Self::of(source, metrics, slots))
    }

    fn of(source: Source, metrics: Metrics, slots: Vec<Slot>) -> Self {
        Self {
            source,
            metrics,
            slots: RwLock::new(slots),
            changing: AsyncMutex::new(()),
        }
    }

    /// A registry of models that are already started and never reloaded.
    #[cfg(test)]
    pub(crate) fn started(endpoints: Vec<Endpoint>, metrics: Metrics) -> Self {
        let slots = endpoints.into_iter();
        let slots = slots.map(|endpoint| Slot::new(endpoint, [0; 32])).collect();
        Self::of(Source::Given(Vec::new()), metrics, slots)
    }

    /// The model `name`, if it is being served.
    pub(crate) fn get(&self, name: &str) -> Result<Arc<Endpoint>, ApiError> {
        let slots = self.slots();
        let found = slots.iter().find(|slot| slot.name == name);
        let found = found.and_then(Slot::ready).map(Arc::clone);
        found.ok_or_else(|| ApiError::UnknownModel {
            known: slots
                .iter()
                .filter(|slot| slot.ready().is_some())
                .map(|slot| slot.name.clone())
                .collect(),
        })
    }

    /// All models that are being served.
    pub(crate) fn all(&self) -> Vec<Arc<Endpoint>> {
        let slots = self.slots();
        slots
            .iter()
            .filter_map(Slot::ready)
            .map(Arc::clone)
            .collect()
    }

    /// The list of models that answers `POST /v2/repository/index`.
    pub(crate) fn index(&self, only_ready: bool) -> Value {
        let entry = |slot: &Slot| {
            let state = match &slot.state {
                State::Ready(_) => "READY",
                State::Unavailable => "UNAVAILABLE",
            };
            let reason = slot.fault.as_deref().unwrap_or_default();
            json!({ "name": slot.name, "version": VERSION, "state": state, "reason": reason })
        };
        let slots = self.slots();
        let listed = slots.iter();
        listed
            .filter(|slot| !only_ready || slot.ready().is_some())
            .map(entry)
            .collect()
    }

    /// Updates the lengths of the queues and the counters of the text models.
    pub(crate) fn count(&self) {
        for slot in self.slots().iter() {
            let Some(endpoint) = slot.ready() else {
                continue;
            };
            endpoint.sweep();
            if let Some(done) = endpoint.stats() {
                let before = slot.before.lock().unwrap_or_else(PoisonError::into_inner);
                let stats = TextStats {
                    encodes: before.encodes + done.encodes,
                    cache_hits: before.cache_hits + done.cache_hits,
                };
                self.metrics.encoded(&slot.name, stats);
            }
        }
    }

    /// Loads the model `name` from its current description and replaces the served one, which stays
    /// if that fails.
    pub(crate) async fn load_one(self: &Arc<Self>, name: &str) -> Result<(), ApiError> {
        let _alone = self.changing.lock().await;
        let (registry, name) = (Arc::clone(self), name.to_owned());
        let loading = tokio::task::spawn_blocking(move || {
            let not_loaded = |cause: String| ApiError::NotLoaded {
                name: name.clone(),
                cause,
            };
            let models = registry
                .described()
                .map_err(|faults| not_loaded(faults.to_string()))?;
            let known: Vec<String> = models.iter().map(|model| model.name.clone()).collect();
            let Some(config) = models.into_iter().find(|model| model.name == name) else {
                return Err(ApiError::UnknownModel { known });
            };
            registry
                .take(config)
                .map_err(|cause| not_loaded(cause.to_string()))
        });
        loading.await.map_err(|_| ApiError::Lost)?
    }

    /// Stops serving the model `name`.
    pub(crate) async fn unload(&self, name: &str) -> Result<(), ApiError> {
        let _alone = self.changing.lock().await;
        self.get(name)?;
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        for slot in slots.iter_mut().filter(|slot| slot.name == name) {
            slot.replace(State::Unavailable);
            slot.fault = Some("unloaded".into());
        }
        tracing::info!(model = name, "unloaded");
        Ok(())
    }

    /// Reads the descriptions again, loads what is new or has changed, and drops what is no longer
    /// described. Faults are logged, and the models that they concern stay as they are.
    pub(crate) async fn reload(self: &Arc<Self>) {
        let _alone = self.changing.lock().await;
        let registry = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || registry.reload_now()).await;
        if done.is_err() {
            tracing::error!("reading the models again failed unexpectedly; all stay as they are");
        }
    }

    fn reload_now(&self) {
        let models = match self.described() {
            Ok(models) => models,
            Err(faults) => {
                tracing::error!(%faults, "the models' description has faults; all stay as they are");
                return;
            }
        };
        let names: Vec<String> = models.iter().map(|model| model.name.clone()).collect();
        for config in models {
            let fingerprint = load::fingerprint(&config);
            let same = |slot: &Slot| slot.name == config.name && slot.fingerprint == fingerprint;
            // A model that was unloaded by hand stays so until its description changes or it is
            // loaded by hand.
            if !self.slots().iter().any(same) {
                let name = config.name.clone();
                if let Err(cause) = self.take(config) {
                    tracing::error!(model = name, %cause, "not loaded; what was served before still is");
                }
            }
        }
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|slot| {
            let stays = names.contains(&slot.name);
            if !stays {
                tracing::info!(model = slot.name, "described no more, so served no more");
            }
            stays
        });
    }

    /// Loads a model and replaces the served one. Blocks.
    fn take(&self, config: ModelConfig) -> Result<(), ModelError> {
        let (name, fingerprint) = (config.name.clone(), load::fingerprint(&config));
        let loaded = load::start(config, &self.metrics);
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.iter_mut().find(|slot| slot.name == name);
        let (endpoint, slot) = match (loaded, slot) {
            (Ok(endpoint), slot) => (endpoint, slot),
            (Err(cause), slot) => {
                let fault = Some(cause.to_string());
                match slot {
                    Some(slot) => slot.fault = fault,
                    None => slots.push(Slot {
                        name,
                        state: State::Unavailable,
                        fingerprint: [0; 32],
                        fault,
                        before: Mutex::default(),
                    }),
                }
                return Err(cause);
            }
        };
        tracing::info!(model = name, metadata = %endpoint.metadata()["parameters"], "loaded");
        match slot {
            Some(slot) => {
                slot.replace(State::Ready(Arc::new(endpoint)));
                slot.fingerprint = fingerprint;
                slot.fault = None;
            }
            None => slots.push(Slot::new(endpoint, fingerprint)),
        }
        Ok(())
    }

    fn described(&self) -> Result<Vec<ModelConfig>, ConfigFaults> {
        match &self.source {
            Source::Described(source) => source.read(),
            Source::Given(models) => Ok(models.clone()),
        }
    }

    fn slots(&self) -> std::sync::RwLockReadGuard<'_, Vec<Slot>> {
        // No code under this lock panics half-way through a change.
        self.slots.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn new(endpoint: Endpoint, fingerprint: [u8; 32]) -> Self {
        Self {
            name: endpoint.name().to_owned(),
            state: State::Ready(Arc::new(endpoint)),
            fingerprint,
            fault: None,
            before: Mutex::default(),
        }
    }
}
