//! The server's life from its start to its end.

use crate::app::{App, observe};
use crate::clock::Clock;
use crate::config::AggregatorConfig;
use crate::http::{Folder, Side};
use crate::limits::{self, Limits};
use crate::metrics::Metrics;
use crate::news::{self, News};
use crate::store::{Db, Tried};
use crate::{driver, http, secret, upgrade};
use actix_web::dev::Server;
use actix_web::{HttpServer, web};
use federation::engine::{Aggregator, Observer};
use futures::future::join_all;
use std::future::Future;
use std::net::TcpListener;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// Maximum time in seconds for requests in flight at an orderly end.
const DRAIN_SECONDS: u64 = 5;

/// Time for which an idle connection is kept. Participants evaluate for half a minute and longer
/// between two requests, and a new connection costs each of them two or three round trips; nginx
/// and the clouds' load balancers keep idle connections to a server for 60 s, and fail requests if
/// the server closes first.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

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
    let counted = Arc::clone(&metrics);
    let tried: Tried = Arc::new(move |name, outcome, took| {
        if outcome == "retry" {
            counted.retry(name);
        }
        let word = if outcome == "retry" { "error" } else { outcome };
        counted.transaction(name, word, took);
    });
    let store = Db::open(&config.database, tried)
        .await
        .map_err(|e| RunError::Database {
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
        config,
        clock,
        aggregator: Aggregator::new(store, observer),
        news,
        metrics,
        pages,
        holder: secret::random_hex(8).map_err(|e| internal(&e))?,
        stopping,
        streams: AtomicUsize::new(0),
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
    let shared = app.clone();
    let server = HttpServer::new(move || http::service(shared.clone(), side))
        .workers(
            std::thread::available_parallelism()
                .map_or(2, usize::from)
                .clamp(2, 8),
        )
        .keep_alive(KEEP_ALIVE)
        // For slow senders: a head must arrive within this time, a body within its own (see
        // `http::body`).
        .client_request_timeout(Duration::from_secs(10))
        .shutdown_timeout(DRAIN_SECONDS)
        .disable_signals();
    let server = match &app.config.tls {
        Some(tls) => server.listen_rustls_0_23(listener, tls.config())?,
        None => server.listen(listener)?,
    };
    Ok(server.run())
}

/// Sweeps the limits at intervals; never returns.
async fn sweep(limits: &Limits) {
    loop {
        tokio::time::sleep(limits::SWEEP).await;
        limits.sweep();
    }
}
