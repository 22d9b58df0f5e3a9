//! Starts and stops the server.

#[cfg(test)]
mod tests;

use std::future::Future;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpServer, web};
use futures::future::{Either, select};
use thiserror::Error;

use crate::batcher::Limits;
use crate::endpoint::Service;
use crate::metrics::Metrics;
use crate::protocol::{ModelInfo, TextInfo};
use crate::routes::{self, Serving};
use crate::{Classifier, LoadError, ModelApiConfig, Served, TextLoadError, TextModel};

/// Why the server did not start, or stopped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The model cannot be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The folder cannot be used.
    #[error(transparent)]
    LoadText(#[from] TextLoadError),
    /// The metrics cannot be set up.
    #[error("the metrics cannot be set up: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// The operating system refuses a thread or the listener.
    #[error("the server cannot run: {0}")]
    Io(#[from] std::io::Error),
    /// Loading the model panicked.
    #[error("loading the model failed unexpectedly; check the file with onnx.checker")]
    LoadPanicked,
}

/// How long requests in flight may take after `shutdown`, in seconds.
const SHUTDOWN_SECONDS: u64 = 10;
/// How long an idle connection is kept, longer than a browser's or a proxy's own time, so that it is
/// they who close and no request is lost in between.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How often samples are moved into the histograms.
const UPKEEP: Duration = Duration::from_secs(5);

/// Serves the model until `shutdown` is ready; requests in flight are then finished.
///
/// # Errors
/// See [`ServeError`]. The model is loaded and tried before the first connection is taken.
pub async fn run(
    listener: TcpListener,
    config: ModelApiConfig,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let loading = {
        let config = config.clone();
        move || load(config)
    };
    let service = tokio::task::spawn_blocking(loading)
        .await
        .map_err(|_| ServeError::LoadPanicked)??;
    serve(listener, config, service, shutdown).await
}

fn load(config: ModelApiConfig) -> Result<Service, ServeError> {
    let name = config.name;
    match config.folder {
        None => {
            let classifier = Classifier::load(config.model.into_owned(), &config.classifier)?;
            let model = ModelInfo::new(name, config.max_batch, &classifier);
            Ok(Service::Images(model, Arc::new(classifier)))
        }
        Some(Served::Clip { dir, options }) => {
            let classifier = Classifier::load_clip(&dir, &options)?;
            let model = ModelInfo::new(name, config.max_batch, &classifier);
            Ok(Service::Images(model, Arc::new(classifier)))
        }
        Some(Served::Text { dir, options }) => {
            let model = TextModel::load(&dir, &options)?;
            let info = TextInfo::new(name, config.max_batch, &model);
            Ok(Service::Texts(info, Arc::new(model)))
        }
    }
}

/// [`run`] over any backend.
pub(crate) async fn serve(
    listener: TcpListener,
    config: ModelApiConfig,
    service: Service,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let metrics = Arc::new(Metrics::new(service.unit())?);
    let limits = Limits {
        max_batch: config.max_batch,
        max_queue: config.max_queue.max(config.max_batch),
        max_delay: config.max_delay,
    };
    let threads = config.classifier.threads;
    let model = service.start(threads, limits, Arc::clone(&metrics))?;
    let address = listener.local_addr()?;
    tracing::info!(
        %address, model = model.name(), metadata = %model.metadata()["parameters"],
        origins = ?config.allow_origins, threads, "the model API listens"
    );
    let serving = web::Data::new(Serving {
        model,
        metrics: Arc::clone(&metrics),
        max_body: config.max_body,
    });
    let for_app = serving.clone();
    let origins = config.allow_origins;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(for_app.clone())
            .wrap(routes::cors(&origins))
            .configure(routes::register)
    })
    .workers(threads)
    .keep_alive(KEEP_ALIVE)
    // A client that closes its end has gone away: its request is dropped, not run.
    .h1_allow_half_closed(false)
    .shutdown_timeout(SHUTDOWN_SECONDS)
    .disable_signals()
    .listen(listener)?
    .run();

    let handle = server.handle();
    let stopping = async {
        shutdown.await;
        handle.stop(true).await;
    };
    let upkeep = async {
        let mut interval = tokio::time::interval(UPKEEP);
        loop {
            interval.tick().await;
            metrics.upkeep();
        }
    };
    let serve = async {
        let (server, stopping) = (std::pin::pin!(server), std::pin::pin!(stopping));
        match select(server, stopping).await {
            Either::Left((result, _)) => result,
            Either::Right(((), server)) => server.await,
        }
    };
    let (serve, upkeep) = (std::pin::pin!(serve), std::pin::pin!(upkeep));
    let result = match select(serve, upkeep).await {
        Either::Left((result, _)) => result,
        Either::Right((never, _)) => never,
    };
    // Joining threads blocks; requests still queued are answered or have been given up by now.
    let stopped = tokio::task::spawn_blocking(move || serving.model.stop()).await;
    if stopped.is_err() {
        tracing::error!("a worker could not be stopped");
    }
    Ok(result?)
}
