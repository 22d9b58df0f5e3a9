//! The database: one writer connection, some readers, and transactions that are tried again when another
//! process was faster. The SQL is the part of the language that every database speaks.

pub(crate) mod federations;
pub(crate) mod invites;
pub(crate) mod lease;
pub(crate) mod lines;
pub(crate) mod messages;
pub(crate) mod participants;
pub(crate) mod rounds;

use crate::failure::Failure;
use crate::metrics::Metrics;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{SqlStr, Sqlite, Transaction};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A transaction that may write.
pub(crate) type Tx = Transaction<'static, Sqlite>;

/// How often a transaction is tried before its failure is passed on. SQLite itself waits up to
/// [`BUSY_TIMEOUT`] each time.
const ATTEMPTS: u32 = 5;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const READERS: u32 = 4;

/// The database of one server.
pub(crate) struct Store {
    writer: SqlitePool,
    pub(crate) readers: SqlitePool,
    metrics: Arc<Metrics>,
}

impl Store {
    /// Opens the file, creates it where needed, and brings its tables up to date.
    pub(crate) async fn open(path: &Path, metrics: Arc<Metrics>) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What was answered with 200 must survive a power cut, not only a killed process.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        // One connection: SQLite has one writer at a time, and a queue in here is fairer than its locks.
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
            metrics,
        })
    }

    /// Runs `body` in one transaction named `name` (in metrics and logs). It takes the write lock at once, so
    /// what it reads cannot change before it commits. Tried again, from its beginning, when the database was
    /// busy: `body` must have no effect but through the transaction.
    pub(crate) async fn run_tx<T>(
        &self,
        name: &'static str,
        body: impl AsyncFn(&mut Tx) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut attempt = 1;
        loop {
            let begun = Instant::now();
            let outcome = self.attempt(&body).await;
            let word = match &outcome {
                Ok(_) => "commit",
                Err(Failure::Database(_) | Failure::Internal(_)) => "error",
                Err(_) => "refusal",
            };
            self.metrics.transaction(name, word, begun.elapsed());
            match outcome {
                Err(failure) if failure.is_busy() && attempt < ATTEMPTS => {
                    self.metrics.retry(name);
                    tracing::debug!(name, attempt, "transaction is tried again");
                    tokio::time::sleep(Duration::from_millis(5 << attempt)).await;
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    async fn attempt<T>(
        &self,
        body: &impl AsyncFn(&mut Tx) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        match body(&mut tx).await {
            Ok(value) => {
                tx.commit().await?;
                Ok(value)
            }
            Err(failure) => {
                tx.rollback().await?;
                Err(failure)
            }
        }
    }

    /// Closes all connections; the write-ahead log is folded into the file.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
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
    ])
}

/// Reads what an enum's serde name says.
pub(crate) fn parse_word<T: serde::de::DeserializeOwned>(word: String) -> Result<T, Failure> {
    let shown = word.clone();
    serde_json::from_value(serde_json::Value::String(word))
        .map_err(|_| Failure::Internal(format!("the database holds the unknown word {shown:?}")))
}

/// An enum's serde name.
pub(crate) fn word<T: serde::Serialize>(value: T) -> Result<String, Failure> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        other => Err(Failure::Internal(format!("{other:?} is not a word"))),
    }
}

/// A number that the database keeps signed and the protocol unsigned.
pub(crate) fn unsigned<T: TryFrom<i64>>(value: i64) -> Result<T, Failure> {
    T::try_from(value).map_err(|_| {
        Failure::Internal(format!("the database holds {value}, which is out of range"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    async fn fresh() -> (tempfile::TempDir, Arc<Metrics>, Store) {
        let home = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        let store = Store::open(&home.path().join("a.sqlite"), Arc::clone(&metrics))
            .await
            .unwrap();
        (home, metrics, store)
    }

    #[tokio::test]
    async fn what_is_committed_is_on_the_disk() {
        let (_home, _, store) = fresh().await;
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
            .fetch_one(&store.writer)
            .await
            .unwrap();
        let journal: String = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&store.writer)
            .await
            .unwrap();
        // 2 is FULL: the log is synced at every commit.
        assert_eq!((synchronous, &journal[..]), (2, "wal"));
    }

    #[tokio::test]
    async fn a_busy_transaction_is_tried_again_from_its_beginning() {
        let (_home, metrics, store) = fresh().await;
        let tries = AtomicU32::new(0);
        let outcome = store
            .run_tx("test", async |tx| {
                let attempt = tries.fetch_add(1, Ordering::SeqCst);
                lease::acquire(tx, "me", 1_000, 10).await?;
                if attempt < 2 {
                    return Err(Failure::Database(sqlx::Error::Database(Box::new(Busy))));
                }
                Ok("done")
            })
            .await;
        assert_eq!(outcome.unwrap(), "done");
        assert_eq!(tries.load(Ordering::SeqCst), 3);
        let shown = String::from_utf8(metrics.render().unwrap()).unwrap();
        assert!(
            shown.contains("aggregator_transaction_retries_total{name=\"test\"} 2"),
            "{shown}"
        );
        assert!(
            shown.contains(
                "aggregator_transaction_seconds_count{name=\"test\",outcome=\"commit\"} 1"
            )
        );
    }

    #[tokio::test]
    async fn a_failed_transaction_leaves_nothing() {
        let (_home, _, store) = fresh().await;
        let outcome: Result<(), _> = store
            .run_tx("test", async |tx| {
                lease::acquire(tx, "me", 1_000, 10).await?;
                Err(federation::round::refusal::Refusal::TooLate.into())
            })
            .await;
        assert!(outcome.is_err());
        assert!(lease::read(&store.readers).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn the_lease_has_one_holder_and_runs_out() {
        let (_home, _, store) = fresh().await;
        let take = async |holder: &str, now: u64| {
            store
                .run_tx("test", async |tx| {
                    lease::acquire(tx, holder, now, 100).await
                })
                .await
                .unwrap()
        };
        assert!(take("one", 1_000).await);
        assert!(!take("two", 1_099).await);
        assert!(take("one", 1_050).await);
        assert!(take("two", 1_150).await);
        assert!(!take("one", 1_200).await);
        // A clock that was set back must not block everybody for the difference.
        assert!(take("one", 500).await);
        store
            .run_tx("test", async |tx| lease::release(tx, "one", 510).await)
            .await
            .unwrap();
        assert!(take("two", 511).await);
    }

    #[tokio::test]
    async fn a_database_may_be_opened_again() {
        let (home, metrics, store) = fresh().await;
        store.close().await;
        let again = Store::open(&home.path().join("a.sqlite"), metrics)
            .await
            .unwrap();
        assert!(
            federations::versions(&again.readers)
                .await
                .unwrap()
                .is_empty()
        );
    }

    /// What SQLite says when another process writes.
    #[derive(Debug, thiserror::Error)]
    #[error("database is locked")]
    struct Busy;

    impl sqlx::error::DatabaseError for Busy {
        fn message(&self) -> &str {
            "database is locked"
        }

        fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
            // SQLITE_BUSY_SNAPSHOT
            Some("517".into())
        }

        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> sqlx::error::ErrorKind {
            sqlx::error::ErrorKind::Other
        }
    }
}
