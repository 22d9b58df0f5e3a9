use super::*;
use federation::engine::memory::Memory;
use federation::engine::store::{EVERY, Federations as _, Timers as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

fn silent() -> Tried {
    Arc::new(|_, _, _| {})
}

async fn fresh() -> (tempfile::TempDir, SqliteStore) {
    opened(silent()).await
}

async fn opened(tried: Tried) -> (tempfile::TempDir, SqliteStore) {
    let home = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&home.path().join("a.sqlite"), tried)
        .await
        .unwrap();
    (home, store)
}

async fn synchronous(store: &SqliteStore) -> i64 {
    sqlx::query_scalar("PRAGMA synchronous")
        .fetch_one(&store.writer)
        .await
        .unwrap()
}

#[tokio::test]
async fn what_nobody_keeps_waits_for_no_disk() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a.sqlite");
    let store = SqliteStore::open_temporary(&path, silent()).await.unwrap();
    // 0 means OFF.
    assert_eq!(synchronous(&store).await, 0);
    store.close().await;
    let store = SqliteStore::open(&path, silent()).await.unwrap();
    assert_eq!(synchronous(&store).await, 2);
}

#[tokio::test]
async fn what_is_committed_is_on_the_disk() {
    let (_home, store) = fresh().await;
    let synchronous = synchronous(&store).await;
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&store.writer)
        .await
        .unwrap();
    // 2 means FULL: the log is synced at every commit.
    assert_eq!((synchronous, &journal[..]), (2, "wal"));
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_database_and_its_log() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let modes = || {
        ["a.sqlite", "a.sqlite-wal", "a.sqlite-shm"].map(|name| {
            let found = std::fs::metadata(home.path().join(name)).unwrap();
            found.permissions().mode() & 0o777
        })
    };
    let path = home.path().join("a.sqlite");
    let store = SqliteStore::open(&path, silent()).await.unwrap();
    assert_eq!(modes(), [0o600; 3]);
    store.close().await;
    // Files of an earlier version, and of a process that was killed.
    for name in ["a.sqlite", "a.sqlite-wal", "a.sqlite-shm"] {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(home.path().join(name))
            .unwrap();
        file.set_permissions(std::fs::Permissions::from_mode(0o644))
            .unwrap();
    }
    let _store = SqliteStore::open(&path, silent()).await.unwrap();
    assert_eq!(modes(), [0o600; 3]);
}

#[tokio::test]
async fn a_busy_transaction_is_tried_again_from_its_beginning() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let tried: Tried = Arc::new(move |name, came, _| log.lock().unwrap().push((name, came)));
    let (_home, store) = opened(tried).await;
    let tries = AtomicU32::new(0);
    let outcome = store
        .run_tx(EVERY, "test", async |tx| {
            let attempt = tries.fetch_add(1, Ordering::SeqCst);
            tx.acquire_lease("me", 1_000, 10).await?;
            if attempt < 2 {
                return Err(Failure::Database(sqlx::Error::Database(Box::new(Busy))));
            }
            Ok("done")
        })
        .await;
    assert_eq!(outcome.unwrap(), "done");
    assert_eq!(tries.load(Ordering::SeqCst), 3);
    let (retry, commit) = (("test", Outcome::Retry), ("test", Outcome::Commit));
    assert_eq!(*told.lock().unwrap(), [retry, retry, commit]);
}

#[tokio::test]
async fn a_disk_that_refuses_is_told_from_other_errors() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let tried: Tried = Arc::new(move |_, came, _| log.lock().unwrap().push(came));
    let (_home, store) = opened(tried).await;
    let set = async |setting| sqlx::query(setting).execute(&store.writer).await.unwrap();
    for setting in ["PRAGMA max_page_count = 1", "PRAGMA query_only = ON"] {
        set(setting).await;
        // More than the pages that are there have room for.
        let write = async |tx: &mut SqliteTx| {
            let name = "x".repeat(100_000);
            let text = "INSERT INTO lease (name, holder, until) VALUES ($1, '', 0)";
            let written = sqlx::query(text).bind(name).execute(&mut *tx.tx).await;
            written.map(drop).map_err(Failure::from)
        };
        store.run_tx(EVERY, "test", write).await.unwrap_err();
    }
    set("PRAGMA query_only = OFF").await;
    // The full disk had ended the transaction by itself; the next one must not find itself inside it.
    store
        .run_tx(EVERY, "test", async |tx| tx.trial(1).await)
        .await
        .unwrap();
    let broken = async |_: &mut SqliteTx| Err::<(), _>(Failure::Internal("broken".into()));
    store.run_tx(EVERY, "test", broken).await.unwrap_err();
    let refused = Outcome::Unwritable;
    let wanted = [refused, refused, Outcome::Commit, Outcome::Error];
    assert_eq!(*told.lock().unwrap(), wanted);
}

#[tokio::test]
async fn a_failed_transaction_leaves_nothing() {
    let (_home, store) = fresh().await;
    let outcome: Result<(), _> = store
        .run_tx(EVERY, "test", async |tx| {
            tx.acquire_lease("me", 1_000, 10).await?;
            Err(federation::round::refusal::Refusal::TooLate.into())
        })
        .await;
    assert!(outcome.is_err());
    assert!(
        store
            .read(EVERY, async |tx| tx.lease().await)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn the_lease_has_one_holder_and_runs_out() {
    let (_home, store) = fresh().await;
    one_holder(&store).await;
    one_holder(&Memory::default()).await;
}

async fn one_holder<S: Store<Error: std::fmt::Debug>>(store: &S) {
    let take = async |holder: &str, now: u64| {
        store
            .run_tx(EVERY, "test", async |tx| {
                tx.acquire_lease(holder, now, 100).await
            })
            .await
            .unwrap()
    };
    assert!(take("one", 1_000).await);
    assert!(!take("two", 1_099).await);
    assert!(take("one", 1_050).await);
    assert!(take("two", 1_150).await);
    assert!(!take("one", 1_200).await);
    // A clock that was set back must not block all processes for the difference.
    assert!(take("one", 500).await);
    let release = async |holder: &str| {
        store
            .run_tx(EVERY, "test", async |tx| {
                tx.release_lease(holder, 510).await
            })
            .await
            .unwrap();
    };
    release("two").await;
    assert!(!take("two", 511).await);
    release("one").await;
    assert!(take("two", 511).await);
    let lease = store.read(EVERY, async |tx| tx.lease().await).await;
    let lease = lease.unwrap().unwrap();
    assert_eq!((&lease.holder[..], lease.until), ("two", 611));
}

#[tokio::test]
async fn a_database_may_be_opened_again() {
    let (home, store) = fresh().await;
    store.close().await;
    let again = SqliteStore::open(&home.path().join("a.sqlite"), silent())
        .await
        .unwrap();
    let versions = again.read(EVERY, async |tx| tx.versions().await).await;
    assert!(versions.unwrap().is_empty());
}

/// SQLite's message when another process writes.
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
