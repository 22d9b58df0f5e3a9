//! The record over HTTP, of plain federations too, and of those that began before there were records.

use crate::player::{Live, Player};
use crate::player::{lines_from, play};
use crate::secure::audited;
use crate::support::*;
use aggregator::{RealClock, TestClock};
use federation::record::{Entry, nothing};
use federation::round::messages::FederationStatus;
use federation::round::phase::AbortReason;
use federation::rules::advance::Sums;
use federation::task::Task;
use serde_json::json;
use sqlx::sqlite::SqlitePool;
use std::sync::Arc;

#[tokio::test]
async fn a_plain_federations_record_leads_to_its_theta() {
    let home = Home::new();
    let clock = Arc::new(TestClock::at(1_700_000_000_000));
    let server = Server::start(home.config(), clock.clone()).await;
    let api = &server.api;
    let source = task_with(3, 600, (1, 2, 1_000, 1_000), (1, 2, 1_000, 1_000));
    let invite = api.create(source.clone()).await;
    let task = Task::from_value(source).unwrap();
    let id = &invite.federation;
    let (record, entries) = audited(api, id, &task).await;
    assert_eq!((record.step(), record.lines(), entries.len()), (0, 1, 1));
    let [ann, bob] = &api.members(&invite, 2).await[..] else {
        panic!()
    };
    ann.enrol().await;
    bob.enrol().await;
    ann.deliver(1.0, 3).await;
    let view = bob.deliver(-0.5, 1).await;
    assert_eq!((view.lines, view.step), (2, 1));
    // A round that comes to nothing is told too.
    ann.enrol().await;
    clock.advance(1_000);
    let view = ann
        .until(|v| v.phase == federation::round::phase::Phase::Upload)
        .await;
    clock.advance(1_000);
    let view = ann.until(|v| v.version > view.version).await;
    assert_eq!((view.round, view.lines), (2, 3));
    let (record, entries) = audited(api, id, &task).await;
    assert_eq!((record.step(), record.rounds()), (1, 2));
    let Entry::Round(first) = &entries[1] else {
        panic!()
    };
    let Some(Sums::Plain { mean, metrics }) = &first.sums else {
        panic!()
    };
    assert_eq!(mean, &vec![(2.5_f64 / 4.0) as f32; DIM]);
    assert_eq!((metrics.correct, metrics.queries), (6, 20));
    assert_eq!((&first.cohort, first.epsilon), (&None, None));
    let Entry::Round(second) = &entries[2] else {
        panic!()
    };
    assert_eq!(
        (second.aborted, &second.sums),
        (Some(AbortReason::TooFewUpdates), &None)
    );
    server.stop().await;
}

#[tokio::test]
async fn updates_are_bounded_and_combined_as_the_task_says() {
    let (_home, server) = Server::fresh().await;
    let api = &server.api;
    for (combine, expected) in [
        ("mean", (1.0 - 1.0 + 1.0) / 3.0),
        ("median", 1.0),
        ("trimmed-mean", 1.0),
    ] {
        let mut source = task(1, 3);
        source["federation"]["combine"] = json!(combine);
        source["federation"]["trim"] = json!(0.34);
        // Each of 576 equal entries is at most 1.
        source["federation"]["clip"] = json!(24.0);
        let invite = api.create(source.clone()).await;
        let members = api.members(&invite, 3).await;
        let before = api.theta(&invite.federation).await;
        for member in &members {
            member.enrol().await;
        }
        // Two of them are longer than the bound.
        for (member, value) in members.iter().zip([1e5, -1e6, 1.0]) {
            member.deliver(value, 2).await;
        }
        let after = api.theta(&invite.federation).await;
        for (new, old) in after.iter().zip(&before) {
            assert!((f64::from(new - old) - expected).abs() < 1e-5, "{combine}");
        }
        let task = Task::from_value(source).unwrap();
        audited(api, &invite.federation, &task).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn scalars_are_sent_instead_of_parameters() {
    let home = Home::new();
    let clock = Arc::new(TestClock::at(1_700_000_000_000));
    let server = Server::start(home.config(), clock.clone()).await;
    let mut source = task_with(2, 600, (3, 3, 1_000, 1_000), (3, 3, 1_000, 1_000));
    source["optimizer"] = json!({ "kind": "zo-sgd", "directions": 2 });
    source["federation"]["rule"] = json!("scalars");
    source["federation"]["local_steps"] = json!(2);
    source["federation"]["batch"] = json!(2);
    let task = Task::from_value(source.clone()).unwrap();
    assert_eq!(task.update_length(), 4);
    let invite = server.api.create(source).await;
    let mut players = Player::many(&task, 3);
    let mut live = Live::join(&server.api, &invite, &players)
        .await
        .with(&clock);
    let before = server.api.theta(&invite.federation).await;
    play(&mut live, &mut players, u32::MAX).await;
    let (record, _) = audited(&server.api, &invite.federation, &task).await;
    assert_eq!(record.step(), 2);
    assert_ne!(record.parameters(), before);
    // As many numbers as parameters are too many.
    let rounds = server.api.detail(&invite.federation).await.rounds;
    assert!(rounds[0].bytes_up < 3 * 200, "{}", rounds[0].bytes_up);
    server.stop().await;
}

#[tokio::test]
async fn lines_are_answered_from_any_number_and_a_long_record_in_pieces() {
    let (home, server) = Server::fresh().await;
    let api = &server.api;
    let invite = api.create(task(9, 1)).await;
    let id = &invite.federation;
    let member = api.join(&invite).await;
    for _ in 0..3 {
        member.enrol().await;
        member.deliver(0.25, 1).await;
    }
    let all = lines_from(api, id, 0).await;
    let lines: Vec<&str> = all.split_inclusive('\n').collect();
    assert_eq!(lines.len(), 4);
    for from in 0..=4 {
        assert_eq!(
            lines_from(api, id, from).await,
            lines[from as usize..].concat()
        );
    }
    assert_eq!(lines_from(api, id, u32::MAX).await, "");
    for query in ["from=-1", "from=x", "from=99999999999"] {
        let response = api.get(&format!("/v1/federations/{id}/record?{query}"));
        expect(response.send().await.unwrap(), 400, "bad_request").await;
    }
    for query in ["", "?from=0"] {
        let response = api.get(&format!("/v1/federations/none/record{query}"));
        expect(response.send().await.unwrap(), 404, "not_found").await;
    }
    // Lines of 400 kB, put there: two of them fit an answer, and one that is larger than all stands alone.
    let pool = SqlitePool::connect(&format!("sqlite://{}", home.database().display()))
        .await
        .unwrap();
    let long = "x".repeat(400_000);
    for number in 4..9 {
        let body = if number == 8 {
            long.repeat(5)
        } else {
            long.clone()
        };
        sqlx::query(
            "-- test_line\nINSERT INTO line (federation, number, body) VALUES ($1, $2, $3)",
        )
        .bind(id)
        .bind(number)
        .bind(body)
        .execute(&pool)
        .await
        .unwrap();
    }
    sqlx::query("-- test_lines\nUPDATE federation SET lines = 9 WHERE id = $1")
        .bind(id)
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    assert_eq!(lines_from(api, id, 4).await.lines().count(), 2);
    assert_eq!(lines_from(api, id, 6).await.lines().count(), 2);
    assert_eq!(lines_from(api, id, 7).await.lines().count(), 1);
    assert_eq!(lines_from(api, id, 8).await.len(), 2_000_001);
    let download = api
        .get(&format!("/v1/federations/{id}/record"))
        .send()
        .await
        .unwrap();
    let text = download.text().await.unwrap();
    assert_eq!(text.lines().count(), 9);
    assert_eq!(text.len(), all.len() + 4 * 400_001 + 2_000_001);
    assert!(text.starts_with(&all));
    server.stop().await;
}

#[tokio::test]
async fn federations_from_before_get_a_record_or_are_closed() {
    let home = Home::new();
    let clock = Arc::new(TestClock::at(1_700_000_000_000));
    let server = Server::start(home.config(), clock.clone()).await;
    let api = &server.api;
    let source = task_with(9, 600, (1, 1, 1_000, 1_000), (1, 1, 1_000, 1_000));
    let (fresh, moved) = (
        api.create(source.clone()).await,
        api.create(source.clone()).await,
    );
    // One has a round that came to nothing, the other another θ.
    let ann = api.join(&fresh).await;
    ann.enrol().await;
    clock.advance(1_000);
    ann.until(|v| v.round == 1).await;
    let bob = api.join(&moved).await;
    bob.enrol().await;
    bob.deliver(1.0, 1).await;
    let theta = api.theta(&moved.federation).await;
    server.stop().await;
    let pool = SqlitePool::connect(&format!("sqlite://{}", home.database().display()))
        .await
        .unwrap();
    for change in [
        "-- test_forget\nDELETE FROM line",
        "-- test_forget\nUPDATE federation SET lines = 0, record = '0'",
    ] {
        sqlx::query(change).execute(&pool).await.unwrap();
    }
    sqlx::query("-- test_forget\nUPDATE federation SET record = $1")
        .bind(nothing())
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;

    let server = Server::start(home.config(), Arc::new(RealClock)).await;
    let api = &server.api;
    let task = Task::from_value(source).unwrap();
    let (record, _) = audited(api, &fresh.federation, &task).await;
    assert_eq!((record.lines(), record.rounds(), record.step()), (2, 1, 0));
    let status = async |id: &str| api.detail(id).await.summary.status;
    assert_eq!(status(&fresh.federation).await, FederationStatus::Running);
    assert_eq!(status(&moved.federation).await, FederationStatus::Closed);
    assert_eq!(api.theta(&moved.federation).await, theta);
    assert_eq!(lines_from(api, &moved.federation, 0).await, "");
    server.stop().await;
}
