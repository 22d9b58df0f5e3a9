//! What every handler shares, and the server's life from start to end.

use crate::clock::Clock;
use crate::config::AggregatorConfig;
use crate::engine::{Effects, Known};
use crate::failure::Failure;
use crate::http::{Folder, Side};
use crate::hub::{self, Hub};
use crate::limits::{self, Limits};
use crate::metrics::Metrics;
use crate::store::{Store, federations};
use crate::{driver, http, secret, upgrade};
use actix_web::dev::Server;
use actix_web::{HttpServer, web};
use federation::task::Task;
use futures::future::join_all;
use model_client::address::origin_of;
use std::collections::HashMap;
use std::future::Future;
use std::net::TcpListener;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// Tasks kept parsed. They are few; this only bounds what strangers could make us keep.
const KNOWN_TASKS: usize = 256;
/// What an orderly end waits for.
const DRAIN_SECONDS: u64 = 5;

/// An idle connection is kept so long. Participants evaluate for half a minute and longer between two requests, and
/// connecting anew costs each of them two or three round trips; nginx and the clouds' load balancers keep their idle
/// connections to a server for 60 s, and fail requests where the server closes first.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Why the aggregator did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The database file cannot be used.
    #[error("cannot use the database {path}: {reason}; give a writable file with --database")]
    Database {
        /// The file.
        path: String,
        /// What the database says.
        reason: String,
    },
    /// `--web` names no folder with a built page.
    #[error("cannot read the pages in {path}: {reason}; build them first, or leave --web out")]
    Web {
        /// The folder.
        path: String,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The port or a thread could not be had.
    #[error("the server failed: {0}")]
    Io(#[from] std::io::Error),
    /// Anything else.
    #[error("the aggregator failed: {0}")]
    Internal(String),
}

/// Shared by all threads of one server.
pub(crate) struct App {
    pub(crate) config: AggregatorConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Store,
    pub(crate) hub: Hub,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
    /// The built pages, where there are any.
    pub(crate) pages: Option<Folder>,
    /// Names this process in leases.
    pub(crate) holder: String,
    /// Turns true when the server ends; waiting requests answer then.
    pub(crate) stopping: watch::Receiver<bool>,
    /// Event streams open now.
    pub(crate) streams: AtomicUsize,
    known: Mutex<HashMap<String, Arc<Known>>>,
}

impl App {
    /// The federation's task, if there is such a federation.
    pub(crate) async fn known(&self, id: &str) -> Result<Option<Arc<Known>>, Failure> {
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(id) {
            return Ok(Some(Arc::clone(known)));
        }
        let Some(source) = federations::task(&self.store.readers, id).await? else {
            return Ok(None);
        };
        let broken = |what: String| Failure::Internal(format!("stored task of {id}: {what}"));
        let value = serde_json::from_str(&source).map_err(|e| broken(e.to_string()))?;
        let task = Task::from_value(value).map_err(|e| broken(e.to_string()))?;
        let known = Arc::new(Known {
            id: id.to_owned(),
            task_hash: task.hash(),
            model_origin: origin_of(&task.model.url).unwrap_or_default(),
            files_origin: task.prompt_embeds().and_then(|files| origin_of(&files.url)),
            dim: task.dim(),
            task,
        });
        let mut cache = lock();
        if cache.len() >= KNOWN_TASKS {
            cache.clear();
        }
        cache.insert(id.to_owned(), Arc::clone(&known));
        Ok(Some(known))
    }

    /// Counts what a committed transaction did and wakes who waits for it.
    pub(crate) async fn after(&self, id: &str, effects: &Effects) {
        self.metrics.updates.inc_by(u64::from(effects.stored));
        for phase in &effects.messages {
            self.metrics.message(phase);
        }
        for (phase, took) in &effects.phases {
            self.metrics.phase(phase, Duration::from_millis(*took));
        }
        for outcome in &effects.ended {
            self.metrics.round(outcome);
            tracing::info!(federation = id, outcome, "round ended");
        }
        if effects.changed {
            // Without this read the watcher finds the change a moment later.
            if let Ok(version) = federations::version(&self.store.readers, id).await {
                self.hub.publish(id, version);
            }
        }
    }
}

/// Where a server is reached.
#[derive(Debug)]
pub struct Listeners {
    /// By everybody.
    pub public: TcpListener,
    /// By the organiser; without it, where everybody is answered.
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

/// Serves `listeners` until `shutdown` completes, then lets running requests end. The database is opened, and
/// its tables brought up to date, before the first request is answered. Runs in threads of its own: the
/// returned future may be awaited anywhere, and dropping it ends the server too.
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
            // Nobody listens if the future was dropped.
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
    let store = Store::open(&config.database, Arc::clone(&metrics))
        .await
        .map_err(|e| RunError::Database {
            path: config.database.display().to_string(),
            reason: e.to_string(),
        })?;
    let (stop, stopping) = watch::channel(false);
    let period = config.poll;
    let app = web::Data::new(App {
        limits: Limits::new(config.quotas),
        config,
        clock,
        store,
        hub: Hub::default(),
        metrics,
        pages,
        holder: secret::random_hex(8).map_err(|e| internal(&e))?,
        stopping,
        streams: AtomicUsize::new(0),
        known: Mutex::default(),
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
        // An error means that the caller dropped its side: the same wish.
        let _ = stopped.await;
        // First the waiting requests, else the orderly end would wait for them.
        let _ = stop.send(true);
        join_all(handles.iter().flatten().map(|handle| handle.stop(true))).await;
        // The servers complete now, and with them everything.
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = server => outcome,
        outcome = admin => outcome,
        () = end => Ok(()),
        () = driver::drive(&app, period) => Ok(()),
        () = hub::watch(&app.hub, &app.store, period) => Ok(()),
        () = sweep(&app.limits) => Ok(()),
    };
    driver::release(&app).await;
    app.store.close().await;
    Ok(outcome?)
}

/// One listener's server, with worker threads of its own.
fn listen(app: &web::Data<App>, listener: TcpListener, side: Side) -> std::io::Result<Server> {
    let shared = app.clone();
    let server = HttpServer::new(move || http::service(shared.clone(), side))
        .workers(
            std::thread::available_parallelism()
                .map_or(2, usize::from)
                .clamp(2, 8),
        )
        .keep_alive(KEEP_ALIVE)
        // Slow senders: a head must be there within this time, a body within its own (see `http::body`).
        .client_request_timeout(Duration::from_secs(10))
        .shutdown_timeout(DRAIN_SECONDS)
        .disable_signals();
    let server = match &app.config.tls {
        Some(tls) => server.listen_rustls_0_23(listener, tls.config())?,
        None => server.listen(listener)?,
    };
    Ok(server.run())
}

/// Never returns.
async fn sweep(limits: &Limits) {
    loop {
        tokio::time::sleep(limits::SWEEP).await;
        limits.sweep();
    }
}
