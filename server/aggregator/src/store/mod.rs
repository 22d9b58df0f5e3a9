//! The database: one writer connection, some readers, and transactions that are tried again if
//! another process was faster. Its SQL is the part of the language that every database speaks.
//!
//! The server knows its store by the name [`Db`] only, and asks it for nothing but what the traits of
//! [`federation::engine::store`] say. A store besides this one must supply:
//!
//! * [`Store`], with [`Failure`] as its error: `run_tx` and `read`, and the repetition of transactions that another process
//!   was faster than;
//! * for its transactions, the seven traits of [`federation::engine::store::Tx`], one file each in this folder;
//! * how it is opened, with its tables brought up to date, and closed (`run.rs` calls both), and what of its errors means
//!   "try again" ([`Failure::is_busy`]) and "the disk refuses" ([`Failure::is_unwritable`]).
//!
//! A server that is told at its start which store to use needs a `Db` that is an enum of both.

mod federations;
mod invites;
mod lines;
mod messages;
mod participants;
mod rounds;
mod timers;

use crate::failure::Failure;
use federation::engine::store::{Store, Table};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{SqlStr, Sqlite, Transaction};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Maximum number of tries of a transaction. SQLite itself waits up to [`BUSY_TIMEOUT`] each time.
const ATTEMPTS: u32 = 5;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const READERS: u32 = 4;

/// The outcome of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The transaction is stored.
    Commit,
    /// The protocol refused it; nothing was stored.
    Refusal,
    /// An error after which the transaction is tried again.
    Retry,
    /// The disk refused what was written.
    Unwritable,
    /// Any other error.
    Error,
}

/// Takes the name of a transaction that was tried, its outcome, and how long it took.
pub type Tried = Arc<dyn Fn(&'static str, Outcome, Duration) + Send + Sync>;

/// The store that the server runs on.
pub(crate) type Db = SqliteStore;

/// The database of one server, a single SQLite file.
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    tried: Tried,
}

/// A transaction of [`SqliteStore`].
pub struct SqliteTx {
    federation: String,
    tx: Transaction<'static, Sqlite>,
}

impl Table for SqliteTx {
    type Error = Failure;
}

impl SqliteStore {
    /// Opens the file, creates it if needed, and brings its tables up to date. On Unix only its
    /// owner can read and write it, because it holds updates and the hashes of tokens.
    ///
    /// # Errors
    /// The file cannot be used.
    pub async fn open(path: &Path, tried: Tried) -> Result<Self, sqlx::Error> {
        // What was answered with 200 must survive a power cut and not only a killed process.
        Self::open_with(path, SqliteSynchronous::Full, tried).await
    }

    /// Opens a file that nobody keeps, as that of a demonstration: what was answered with 200 survives
    /// a killed process, but nothing waits for the disk.
    ///
    /// # Errors
    /// The file cannot be used.
    pub async fn open_temporary(path: &Path, tried: Tried) -> Result<Self, sqlx::Error> {
        Self::open_with(path, SqliteSynchronous::Off, tried).await
    }

    async fn open_with(
        path: &Path,
        synchronous: SqliteSynchronous,
        tried: Tried,
    ) -> Result<Self, sqlx::Error> {
        #[cfg(unix)]
        make_private(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        // One connection, because SQLite has one writer at a time, and a queue in here is fairer
        // than its locks.
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await?;
        migrator().run(&writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options)
            .await?;
        Ok(Self {
            writer,
            readers,
            tried,
        })
    }

    async fn attempt<T>(
        &self,
        federation: &str,
        body: &impl AsyncFn(&mut SqliteTx) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        // It takes the write lock at once, so what it reads cannot change before it commits.
        let mut tx = SqliteTx {
            federation: federation.to_owned(),
            tx: self.writer.begin_with("BEGIN IMMEDIATE").await?,
        };
        let (outcome, ended) = match body(&mut tx).await {
            Ok(value) => (Ok(value), tx.tx.commit().await),
            Err(failure) => (Err(failure), tx.tx.rollback().await),
        };
        let Err(error) = ended else { return outcome };
        // SQLite rolls back by itself when the disk is full, and the connection goes on believing that it is in a
        // transaction, in which no other can begin.
        if let Ok(connection) = self.writer.acquire().await {
            connection.close().await?;
        }
        Err(outcome.err().unwrap_or(Failure::Database(error)))
    }

    /// Closes all connections; the write-ahead log is merged into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Takes the permissions of group and others from the database, which is created if needed, and from
/// the files beside it. SQLite gives a log that it makes later the permissions of the database.
#[cfg(unix)]
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let mut options = std::fs::OpenOptions::new();
    let made = options.write(true).create_new(true).mode(0o600).open(path);
    match made {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for beside in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(beside);
        match std::fs::metadata(&file) {
            Ok(found) if found.permissions().mode() & 0o077 != 0 => {
                std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
            }
            _ => {}
        }
    }
    Ok(())
}

impl Store for SqliteStore {
    type Error = Failure;
    type Tx = SqliteTx;

    async fn run_tx<T>(
        &self,
        federation: &str,
        name: &'static str,
        body: impl AsyncFn(&mut SqliteTx) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut attempt = 1;
        loop {
            let begun = Instant::now();
            let outcome = self.attempt(federation, &body).await;
            let again = attempt < ATTEMPTS && outcome.as_ref().is_err_and(Failure::is_busy);
            let came = match &outcome {
                Ok(_) => Outcome::Commit,
                Err(_) if again => Outcome::Retry,
                Err(failure) if failure.is_unwritable() => Outcome::Unwritable,
                Err(Failure::Database(_) | Failure::Internal(_)) => Outcome::Error,
                Err(_) => Outcome::Refusal,
            };
            (self.tried)(name, came, begun.elapsed());
            if !again {
                return outcome;
            }
            tracing::debug!(name, attempt, "transaction is tried again");
            tokio::time::sleep(Duration::from_millis(5 << attempt)).await;
            attempt += 1;
        }
    }

    async fn read<T>(
        &self,
        federation: &str,
        body: impl AsyncFn(&mut SqliteTx) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut tx = SqliteTx {
            federation: federation.to_owned(),
            tx: self.readers.begin().await?,
        };
        let value = body(&mut tx).await?;
        tx.tx.commit().await?;
        Ok(value)
    }
}

fn migrator() -> Migrator {
    let migration = |version, name: &'static str, sql: &'static str| {
        Migration::new(
            version,
            name.into(),
            MigrationType::Simple,
            SqlStr::from_static(sql),
            false,
        )
    };
    Migrator::with_migrations(vec![
        migration(
            1,
            "initial",
            include_str!("../../migrations/0001_initial.sql"),
        ),
        migration(
            2,
            "invites_and_identities",
            include_str!("../../migrations/0002_invites_and_identities.sql"),
        ),
        migration(
            3,
            "record_and_sums",
            include_str!("../../migrations/0003_record_and_sums.sql"),
        ),
        migration(
            4,
            "counting_and_draws",
            include_str!("../../migrations/0004_counting_and_draws.sql"),
        ),
        migration(
            5,
            "search",
            include_str!("../../migrations/0005_search.sql"),
        ),
        migration(
            6,
            "confirmations",
            include_str!("../../migrations/0006_confirmations.sql"),
        ),
    ])
}

/// Reads an enum from its serde name.
pub(crate) fn parse_word<T: serde::de::DeserializeOwned>(word: String) -> Result<T, Failure> {
    let shown = word.clone();
    serde_json::from_value(serde_json::Value::String(word))
        .map_err(|_| Failure::Internal(format!("the database holds the unknown word {shown:?}")))
}

/// Writes an enum as its serde name.
pub(crate) fn word<T: serde::Serialize>(value: T) -> Result<String, Failure> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        other => Err(Failure::Internal(format!("{other:?} is not a word"))),
    }
}

/// Reads a number that the database stores signed and the protocol has unsigned.
pub(crate) fn unsigned<T: TryFrom<i64>>(value: i64) -> Result<T, Failure> {
    T::try_from(value).map_err(|_| {
        Failure::Internal(format!("the database holds {value}, which is out of range"))
    })
}

#[cfg(test)]
mod tests;
