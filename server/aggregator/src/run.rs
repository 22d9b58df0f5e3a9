//! The server's life from its start to its end.

use crate::app::{App, observe};
use crate::clock::Clock;
use crate::config::AggregatorConfig;
use crate::health::Health;
use crate::http::{Folder, Side};
use crate::limits::{self, Limits};
use crate::metrics::Metrics;
use crate::news::{self, News};
use crate::store::{Db, Outcome, Tried};
use crate::tls::Tls;
use crate::{driver, http, secret, upgrade};
use actix_web::dev::Server;
use actix_web::web;
use federation::engine::{Aggregator, Observer};
use futures::future::join_all;
use listener::{Settings, Shares};
use std::future::Future;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use tokio::sync::{oneshot, watch};

/// Maximum time in seconds for requests in flight at an orderly end.
const DRAIN_SECONDS: u64 = 5;

/// Why the aggregator did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The database file cannot be used.
    #[error("cannot use the database {path}: {reason}; give a writable file with --database")]
    Database {
        /// The database file.
        path: String,
        /// The database's message.
        reason: String,
    },
    /// `--web` names no folder with a built page.
    #[error("cannot read the pages in {path}: {reason}; build them first, or leave --web out")]
    Web {
        /// The folder.
        path: String,
        /// The system's message.
        reason: std::io::Error,
    },
    /// The port, or a thread, is not available.
    #[error("the server failed: {0}")]
    Io(#[from] std::io::Error),
    /// Any other failure.
    #[error("the aggregator failed: {0}")]
    Internal(String),
}

/// The sockets on which a server listens.
#[derive(Debug)]
pub struct Listeners {
    /// The socket for everyone.
    pub public: TcpListener,
    /// The organiser's own socket; without it the organiser is answered on the other.
    pub admin: Option<TcpListener>,
}

impl From<TcpListener> for Listeners {
    fn from(public: TcpListener) -> Self {
        Self {
            public,
            admin: None,
        }
    }
}

/// Serves `listeners` until `shutdown` completes, and then lets running requests end. The database
/// is opened, and its tables brought up to date, before the first request is answered. It runs in
/// threads of its own: the returned future may be awaited anywhere, and dropping it ends the server
/// too.
///
/// # Errors
/// [`RunError`]; its text says what to do.
pub async fn run(
    listeners: impl Into<Listeners>,
    config: AggregatorConfig,
    clock: Arc<dyn Clock>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let listeners = listeners.into();
    let (stop, stopped) = oneshot::channel::<()>();
    let (done, mut ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("aggregator".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let outcome = match runtime {
                Ok(runtime) => {
                    let local = tokio::task::LocalSet::new();
                    local.block_on(&runtime, serve(listeners, config, clock, stopped))
                }
                Err(error) => Err(RunError::Io(error)),
            };
            // The receiver is gone if the future was dropped.
            let _ = done.send(outcome);
        })?;
    let gone = |_| Err(RunError::Internal("its thread ended early".to_owned()));
    tokio::select! {
        () = shutdown => {
            let _ = stop.send(());
            ended.await.unwrap_or_else(gone)
        }
        outcome = &mut ended => outcome.unwrap_or_else(gone),
    }
}

async fn serve(
    listeners: Listeners,
    config: AggregatorConfig,
    clock: Arc<dyn Clock>,
    stopped: oneshot::Receiver<()>,
) -> Result<(), RunError> {
    let pages = config.web.as_deref().map(|web| {
        let unusable = |reason| RunError::Web {
            path: web.display().to_string(),
            reason,
        };
        web.join("index.html").metadata().map_err(unusable)?;
        Folder::read(web).map_err(unusable)
    });
    let pages = pages.transpose()?;
    let internal = |e: &dyn std::fmt::Display| RunError::Internal(e.to_string());
    let metrics = Arc::new(Metrics::new().map_err(|e| internal(&e))?);
    let health = Arc::new(Health::new());
    let (counted, noted) = (Arc::clone(&metrics), Arc::clone(&health));
    let tried: Tried = Arc::new(move |name, outcome, took| {
        noted.note(outcome);
        if outcome == Outcome::Retry {
            counted.retry(name);
        }
        let word = match outcome {
            Outcome::Commit => "commit",
            Outcome::Refusal => "refusal",
            Outcome::Retry | Outcome::Unwritable | Outcome::Error => "error",
        };
        counted.transaction(name, word, took);
    });
    let opened = if config.temporary {
        Db::open_temporary(&config.database, tried).await
    } else {
        Db::open(&config.database, tried).await
    };
    let store = opened.map_err(|e| RunError::Database {
        path: config.database.display().to_string(),
        reason: e.to_string(),
    })?;
    let (stop, stopping) = watch::channel(false);
    let period = config.poll;
    let news = Arc::new(News::default());
    let (counted, told) = (Arc::clone(&metrics), Arc::clone(&news));
    let observer: Observer = Arc::new(move |id, effects| observe(&counted, &told, id, effects));
    let app = web::Data::new(App {
        limits: Limits::new(config.quotas),
        streams: Shares::new(
            "event streams",
            config.max_streams_per_address,
            config.max_streams,
        ),
        health,
        config,
        clock,
        aggregator: Aggregator::new(store, observer),
        news,
        metrics,
        pages,
        holder: secret::random_hex(8).map_err(|e| internal(&e))?,
        stopping,
        federations: Mutex::default(),
    });
    upgrade::records(&app).await.map_err(|e| internal(&e))?;
    driver::recover(&app).await.map_err(|e| internal(&e))?;
    let public = match listeners.admin {
        Some(_) => Side::Public,
        None => Side::Whole,
    };
    let server = listen(&app, listeners.public, public)?;
    let admin = listeners
        .admin
        .map(|listener| listen(&app, listener, Side::Whole))
        .transpose()?;
    let handles = [Some(server.handle()), admin.as_ref().map(Server::handle)];
    let admin = async {
        match admin {
            Some(server) => server.await,
            None => std::future::pending().await,
        }
    };
    let end = async {
        // An error means that the caller dropped its side, which asks for the same.
        let _ = stopped.await;
        // First the waiting requests; otherwise the orderly end would wait for them.
        let _ = stop.send(true);
        join_all(handles.iter().flatten().map(|handle| handle.stop(true))).await;
        // The servers complete now, and with them everything else.
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = server => outcome,
        outcome = admin => outcome,
        () = end => Ok(()),
        () = driver::drive(&app, period) => Ok(()),
        () = news::watch(&app.news, app.aggregator.store(), period) => Ok(()),
        () = sweep(&app.limits) => Ok(()),
    };
    driver::release(&app).await;
    app.aggregator.store().close().await;
    Ok(outcome?)
}

/// Starts the server of one listener, with its own worker threads.
fn listen(app: &web::Data<App>, listener: TcpListener, side: Side) -> std::io::Result<Server> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let settings = Settings {
        workers: cores.clamp(2, 8),
        connections_per_address: app.config.max_connections_per_address,
        proxies: app.config.proxies.clone(),
        drain_seconds: DRAIN_SECONDS,
        tls: app.config.tls.as_ref().map(Tls::config),
        ..Settings::default()
    };
    let shared = app.clone();
    listener::serve(listener, settings, move || {
        http::service(shared.clone(), side)
    })
}

/// Sweeps the limits at intervals; never returns.
async fn sweep(limits: &Limits) {
    loop {
        tokio::time::sleep(limits::SWEEP).await;
        limits.sweep();
    }
}
