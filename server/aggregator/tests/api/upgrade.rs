//! Databases of earlier programs.

use crate::player::*;
use crate::secure::{audited, secure_task};
use crate::support::*;
use aggregator::TestClock;
use federation::round::messages::Standing;
use federation::round::phase::Phase;
use federation::task::Task;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqlitePool;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is left of a sum between two phases.
const TABLES: [&str; 4] = ["message", "round_key", "frozen", "inbox"];

async fn rows(pool: &SqlitePool, table: &str) -> i64 {
    let count = format!("-- test_count\nSELECT COUNT(*) FROM {table}");
    let count = sqlx::query_scalar(AssertSqlSafe(count));
    count.fetch_one(pool).await.unwrap()
}

/// Makes the file what the program left before there were confirmations: the same tables, in which
/// messages and frozen sets are of version 2.
async fn take_back(pool: &SqlitePool) {
    sqlx::query("-- test_back\nDELETE FROM _sqlx_migrations WHERE version = 6")
        .execute(pool)
        .await
        .unwrap();
    for table in ["message", "frozen", "inbox"] {
        let all = format!("-- test_bodies\nSELECT rowid, body FROM {table}");
        let bodies: Vec<(i64, Vec<u8>)> = sqlx::query_as(AssertSqlSafe(all))
            .fetch_all(pool)
            .await
            .unwrap();
        assert!(!bodies.is_empty(), "{table}");
        for (row, mut body) in bodies {
            assert_eq!(body[0], 3);
            body[0] = 2;
            let change = format!("-- test_body\nUPDATE {table} SET body = $1 WHERE rowid = $2");
            let change = sqlx::query(AssertSqlSafe(change)).bind(body).bind(row);
            change.execute(pool).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_sum_from_before_confirmations_is_begun_again() {
    let source = secure_task(1, 5, 5, 3);
    let task = Task::from_value(source.clone()).unwrap();
    let home = Home::new();
    let clock = Arc::new(TestClock::at(1_700_000_000_000));
    let server = Server::start(home.config(), clock.clone()).await;
    let invite = server.api.create(source).await;
    let mut players = Player::many(&task, 5);
    let mut live = Live::join(&server.api, &invite, &players)
        .await
        .with(&clock);
    // Four have sent their masked updates. In another federation somebody has enrolled.
    players[4].silent = BTreeMap::from([(0, Phase::Masked)]);
    for _ in 0..60 {
        for player in &mut players {
            player.turn(&mut live).await;
        }
    }
    let before = live.members[0].view().await;
    assert_eq!((before.phase, before.delivered), (Phase::Masked, 4));
    let plain = server.api.create(crate::support::task(1, 2)).await;
    let bob = server.api.join(&plain).await;
    bob.enrol().await;
    let bobs = bob.view().await;
    server.stop().await;

    let url = format!("sqlite://{}", home.database().display());
    let pool = SqlitePool::connect(&url).await.unwrap();
    take_back(&pool).await;
    pool.close().await;

    let server = Server::start(home.config(), clock.clone()).await;
    let mut live = live.at(&server.api);
    let view = live.members[0].view().await;
    assert_eq!(
        (view.round, view.phase, view.standing),
        (0, Phase::Open, Standing::Idle)
    );
    assert_eq!((view.enrolled, view.cohort, view.delivered), (0, 0, 0));
    assert!(view.version > before.version);
    let pool = SqlitePool::connect(&url).await.unwrap();
    for table in TABLES {
        assert_eq!(rows(&pool, table).await, 0, "{table}");
    }
    pool.close().await;
    // A round without a sum is left as it was.
    let bob = Member {
        api: server.api.clone(),
        ..bob
    };
    let now = bob.view().await;
    assert_eq!(
        (now.phase, now.enrolled, now.version),
        (bobs.phase, 1, bobs.version)
    );

    // The participants' states are of the earlier version, too: they begin anew.
    let mut players = Player::many(&task, 5);
    play(&mut live, &mut players, u32::MAX).await;
    let (record, _) = audited(&server.api, &invite.federation, &task).await;
    assert_eq!((record.step(), record.rounds()), (1, 1));
    let rounds = server.api.detail(&invite.federation).await.rounds;
    assert_eq!((rounds[0].delivered, rounds[0].reason), (5, None));
    server.stop().await;
}
