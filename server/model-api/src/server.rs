//! Starts and stops the server of models.

#[cfg(test)]
mod tests;

use std::future::Future;
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use actix_web::middleware::from_fn;
use actix_web::{App, web};
use futures::future::{Either, select};
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::keys::{self, Keys};
use crate::metrics::Metrics;
use crate::picture::Decoder;
use crate::registry::{ModelFaults, Registry};
use crate::routes::{self, Serving};
use crate::{ConfigFaults, ModelApiConfig};

/// Why the server did not start, or stopped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A model cannot be used.
    #[error(transparent)]
    Models(#[from] ModelFaults),
    /// The file of keys cannot be used.
    #[error(transparent)]
    Keys(#[from] ConfigFaults),
    /// The metrics cannot be set up.
    #[error("the metrics cannot be set up: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The operating system refuses a thread or the listener.
    #[error("the server cannot run: {0}")]
    Io(#[from] std::io::Error),
    /// Loading the models panicked.
    #[error("loading the models failed unexpectedly")]
    LoadPanicked,
}

/// How long requests in flight may take after `shutdown`, in seconds.
const SHUTDOWN_SECONDS: u64 = 10;

/// Serves the models until `shutdown` is ready; requests in flight are then finished. The models
/// are loaded and tried before the first connection is accepted.
///
/// # Errors
/// [`ServeError`].
pub async fn run(
    listener: TcpListener,
    mut config: ModelApiConfig,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let metrics = Metrics::new()?;
    let (models, source) = (std::mem::take(&mut config.models), config.source.take());
    let workers = models.iter().map(|model| model.threads).max();
    let loading = {
        let metrics = metrics.clone();
        move || Registry::load(models, source, metrics)
    };
    let registry = tokio::task::spawn_blocking(loading)
        .await
        .map_err(|_| ServeError::LoadPanicked)??;
    serve(
        listener,
        config,
        registry,
        metrics,
        workers.unwrap_or(1),
        shutdown,
    )
    .await
}

/// Serves models that are already loaded, like [`run`].
pub(crate) async fn serve(
    listener: TcpListener,
    config: ModelApiConfig,
    registry: Registry,
    metrics: Metrics,
    workers: usize,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let keys = match &config.keys {
        Some(path) => Some(Keys::new(keys::read(path)?, &Keys::default())),
        None => None,
    };
    let registry = Arc::new(registry);
    let address = listener.local_addr()?;
    for model in registry.all() {
        tracing::info!(model = model.name(), metadata = %model.metadata()["parameters"], "loaded");
    }
    tracing::info!(
        %address, origins = ?config.allow_origins, keys = keys.is_some(), workers, "the model API listens"
    );
    let serving = web::Data::new(Serving {
        registry: Arc::clone(&registry),
        metrics,
        keys: keys.map(|keys| RwLock::new(Arc::new(keys))),
        max_body: config.max_body,
        decoder: Arc::new(Decoder::new(config.max_pixels)),
        reading: Arc::new(Semaphore::new(workers + 1)),
    });
    // Installed before the first connection, so that a client that gets an answer knows that the
    // signal is handled.
    let hangup = if config.reload_on_hangup {
        hangups()?
    } else {
        None
    };
    let for_app = serving.clone();
    let origins = config.allow_origins;
    let settings = listener::Settings {
        workers,
        // A client that closes its end has gone: its request is dropped, not run.
        half_closed: false,
        drain_seconds: SHUTDOWN_SECONDS,
        ..listener::Settings::default()
    };
    let server = listener::serve(listener, settings, move || {
        App::new()
            .app_data(for_app.clone())
            .wrap(from_fn(listener::in_pieces))
            .wrap(from_fn(routes::access))
            // The outermost layer, so that a page can read refusals too.
            .wrap(routes::cors(&origins))
            .configure(routes::register)
    })?;

    let handle = server.handle();
    let stopping = async {
        shutdown.await;
        handle.stop(true).await;
    };
    let reloading = reload(hangup, &serving, config.keys.as_deref());
    let serve = async {
        let (server, stopping) = (std::pin::pin!(server), std::pin::pin!(stopping));
        match select(server, stopping).await {
            Either::Left((result, _)) => result,
            Either::Right(((), server)) => server.await,
        }
    };
    let (serve, reloading) = (std::pin::pin!(serve), std::pin::pin!(reloading));
    let result = match select(serve, reloading).await {
        Either::Left((result, _)) => result,
        Either::Right((never, _)) => match never {},
    };
    // Joining threads blocks. Queued requests have been answered or given up by now.
    let stopping = move || registry.all().iter().for_each(|model| model.stop());
    if tokio::task::spawn_blocking(stopping).await.is_err() {
        tracing::error!("a worker could not be stopped");
    }
    Ok(result?)
}

#[cfg(unix)]
type Hangups = tokio::signal::unix::Signal;
#[cfg(not(unix))]
type Hangups = std::convert::Infallible;

#[cfg(unix)]
fn hangups() -> std::io::Result<Option<Hangups>> {
    use tokio::signal::unix::{SignalKind, signal};
    signal(SignalKind::hangup()).map(Some)
}

/// Windows has no such signal; reloading is left to the routes.
#[cfg(not(unix))]
fn hangups() -> std::io::Result<Option<Hangups>> {
    Ok(None)
}

/// Reads models and keys again at every hangup signal. What has faults stays as it is, and the
/// faults are logged.
async fn reload(
    hangups: Option<Hangups>,
    serving: &Serving,
    keys: Option<&Path>,
) -> std::convert::Infallible {
    #[cfg(unix)]
    if let Some(mut hangups) = hangups {
        while hangups.recv().await.is_some() {
            if let (Some(path), Some(known)) = (keys, &serving.keys) {
                reload_keys(path, known);
            }
            serving.registry.reload().await;
            tracing::info!("read again");
        }
    }
    #[cfg(not(unix))]
    let _ = (hangups, serving, keys);
    std::future::pending().await
}

#[cfg(unix)]
fn reload_keys(path: &Path, known: &RwLock<Arc<Keys>>) {
    match keys::read(path) {
        Ok(specs) => {
            let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
            *known = Arc::new(Keys::new(specs, &known));
        }
        Err(faults) => tracing::error!(%faults, "the keys have faults; they stay as they are"),
    }
}
