//! Where the aggregator's state is kept, in memory or in an SQLite file; and a process that dies
//! before it can store.

use aggregator::{Failure, SqliteStore, SqliteTx, Tried};
use federation::engine::CommandError;
use federation::engine::local::Blocking;
use federation::engine::memory::{Memory, State};
use federation::engine::store::Store;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _};
use std::cell::Cell;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The name of the federation.
pub const FEDERATION: &str = "faults";

/// A store that outlives the aggregator's process.
pub trait Disk: Blocking {
    /// The rows of all tables.
    type Rows: PartialEq + Debug;
    /// An empty store.
    fn empty() -> Self;
    /// Opens the store as another process would.
    fn reopen(&self);
    /// The present rows of all tables.
    fn rows(&self) -> Self::Rows;
}

impl Disk for Memory {
    type Rows = State;

    fn empty() -> Self {
        Self::default()
    }

    fn reopen(&self) {}

    fn rows(&self) -> State {
        self.state()
    }
}

/// An SQLite file.
pub struct File {
    runtime: Runtime,
    open: Mutex<Arc<SqliteStore>>,
    path: PathBuf,
    _home: TempDir,
}

impl File {
    fn open(runtime: &Runtime, path: &std::path::Path) -> Arc<SqliteStore> {
        let silent: Tried = Arc::new(|_, _, _| {});
        Arc::new(runtime.block_on(SqliteStore::open(path, silent)).unwrap())
    }

    fn store(&self) -> Arc<SqliteStore> {
        Arc::clone(&self.open.lock().unwrap())
    }
}

impl Store for File {
    type Error = Failure;
    type Tx = SqliteTx;

    async fn run_tx<T>(
        &self,
        federation: &str,
        name: &'static str,
        body: impl AsyncFn(&mut SqliteTx) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.store().run_tx(federation, name, body).await
    }

    async fn read<T>(
        &self,
        federation: &str,
        body: impl AsyncFn(&mut SqliteTx) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.store().read(federation, body).await
    }
}

impl Blocking for File {
    fn block_on<T>(&self, command: impl Future<Output = T>) -> T {
        self.runtime.block_on(command)
    }
}

impl Disk for File {
    type Rows = Vec<String>;

    fn empty() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        // Every commit waits for the disk; a disk in memory, where there is one, makes hundreds of
        // runs possible.
        let home = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        let path = home.path().join("faults.sqlite");
        Self {
            open: Mutex::new(Self::open(&runtime, &path)),
            runtime,
            path,
            _home: home,
        }
    }

    fn reopen(&self) {
        self.runtime.block_on(self.store().close());
        *self.open.lock().unwrap() = Self::open(&self.runtime, &self.path);
    }

    fn rows(&self) -> Vec<String> {
        let options = SqliteConnectOptions::new().filename(&self.path);
        self.runtime.block_on(async {
            let mut db = options.connect().await.unwrap();
            let columns: Vec<(String, String)> = sqlx::query_as(
                "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c \
                 WHERE t.type = 'table' ORDER BY t.name, c.cid",
            )
            .fetch_all(&mut db)
            .await
            .unwrap();
            let mut rows = Vec::new();
            for (table, column) in columns {
                let all = format!("SELECT quote(\"{column}\") FROM \"{table}\" ORDER BY rowid");
                let values: Vec<String> = sqlx::query_scalar(AssertSqlSafe(all))
                    .fetch_all(&mut db)
                    .await
                    .unwrap();
                rows.push(format!("{table}.{column}: {values:?}"));
            }
            rows
        })
    }
}

/// A store whose process may die before a transaction commits.
pub struct Mortal<D> {
    pub disk: D,
    /// Whether the process dies at the next transaction that changes what views show.
    pub dies: Cell<bool>,
}

/// The error of such a transaction.
pub const DEATH: &str = "the process died";

impl<D: Disk> Mortal<D> {
    pub fn new() -> Self {
        Self {
            disk: D::empty(),
            dies: Cell::new(false),
        }
    }
}

async fn version<T: federation::engine::store::Tx>(tx: &mut T) -> Option<u64> {
    Some(tx.current(None, 0).await.ok()?.version)
}

impl<D: Disk> Store for Mortal<D> {
    type Error = D::Error;
    type Tx = D::Tx;

    async fn run_tx<T>(
        &self,
        federation: &str,
        name: &'static str,
        body: impl AsyncFn(&mut D::Tx) -> Result<T, D::Error>,
    ) -> Result<T, D::Error> {
        self.disk
            .run_tx(federation, name, async |tx| {
                let before = version(tx).await;
                let value = body(tx).await?;
                if self.dies.get() && version(tx).await != before {
                    self.dies.set(false);
                    return Err(CommandError::Broken(DEATH.to_owned()).into());
                }
                Ok(value)
            })
            .await
    }

    async fn read<T>(
        &self,
        federation: &str,
        body: impl AsyncFn(&mut D::Tx) -> Result<T, D::Error>,
    ) -> Result<T, D::Error> {
        self.disk.read(federation, body).await
    }
}

impl<D: Disk> Blocking for Mortal<D> {
    fn block_on<T>(&self, command: impl Future<Output = T>) -> T {
        self.disk.block_on(command)
    }
}
