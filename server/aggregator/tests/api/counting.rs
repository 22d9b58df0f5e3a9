//! Counting rounds, draws of those who train, and patience. Over a real port and a database they
//! must have the same results as with the aggregator in memory, even if the server is stopped in
//! between.

use crate::player::*;
use crate::secure::{Played, audited, essence, played_twice, secure_task};
use crate::support::*;
use aggregator::TestClock;
use federation::round::draw::is_drawn;
use federation::round::messages::FederationStatus;
use federation::round::phase::RoundKind;
use federation::task::Task;
use serde_json::{Value, json};
use std::sync::Arc;

const PLAYERS: u32 = 6;

fn plain_task(rounds: u32) -> Value {
    let limits = (2, PLAYERS, PHASE_MS, PHASE_MS);
    let mut task = task_with(rounds, 600, limits, limits);
    task["federation"]["local_steps"] = json!(1);
    task["federation"]["batch"] = json!(2);
    task
}

fn with_draws(mut task: Value) -> Value {
    task["mapping"] = json!({ "kind": "frequency", "rank": "lift" });
    task["federation"]["active"] = json!(2);
    task
}

#[tokio::test]
async fn all_count_and_those_who_are_drawn_train() {
    for (source, drawn) in [(plain_task(3), 2), (secure_task(3, PLAYERS, 3, 3), 3)] {
        let Played {
            home: _home,
            server,
            id,
            task,
            players,
        } = played_twice(with_draws(source), PLAYERS, &[]).await;
        let rounds = server.api.detail(&id).await.rounds;
        let shape: Vec<(RoundKind, u32, u32)> = rounds
            .iter()
            .map(|r| (r.kind, r.step, r.delivered))
            .collect();
        let training = |step| (RoundKind::Training, step, drawn);
        assert_eq!(
            shape,
            [
                (RoundKind::Counting, 0, PLAYERS),
                training(0),
                training(1),
                training(2)
            ]
        );
        let (record, _) = audited(&server.api, &id, &task).await;
        assert_eq!(record.step(), 3);
        let mappings = record.mappings(&task);
        assert!(mappings.is_some());
        for player in &players {
            assert_eq!(player.client.mappings(&task), mappings);
        }
        let delivered: u32 = players.iter().map(|p| p.client.delivered()).sum();
        assert_eq!(delivered, PLAYERS + 3 * drawn);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_restart_between_counting_and_training_changes_nothing() {
    let source = with_draws(plain_task(3));
    let task = Task::from_value(source.clone()).unwrap();
    let home = Home::new();
    let clock = Arc::new(TestClock::at(1_700_000_000_000));
    let server = Server::start(home.config(), clock.clone()).await;
    let invite = server.api.create(source).await;
    let mut players = Player::many(&task, PLAYERS);
    let mut live = Live::join(&server.api, &invite, &players)
        .await
        .with(&clock);
    play(&mut live, &mut players, 1).await;
    server.stop().await;
    let server = Server::start(home.config(), clock.clone()).await;
    let mut live = live.at(&server.api);

    // A participant who is not drawn is told so, and is not enrolled.
    let view = live.members[0].view().await;
    assert_eq!((view.step, view.round, view.registered), (0, 1, PLAYERS));
    let policy = task.federation.policy;
    let round = (view.registered, view.attempt);
    let idle = (0..PLAYERS).find(|n| !is_drawn(&policy, task.seed, 0, round, *n));
    let member = &live.members[idle.unwrap() as usize];
    expect(member.try_enrol(1, &view.theta).await, 409, "not_drawn").await;
    assert_eq!(member.view().await.enrolled, 0);

    play(&mut live, &mut players, u32::MAX).await;
    let mut twins = Player::many(&task, PLAYERS);
    let mut memory = InMemory::join(&task, &twins);
    play(&mut memory, &mut twins, u32::MAX).await;
    let detail = server.api.detail(&invite.federation).await;
    assert_eq!(
        essence(&detail.rounds),
        essence(memory.aggregator.records())
    );
    audited(&server.api, &invite.federation, &task).await;
    server.stop().await;
}

#[tokio::test]
async fn without_progress_a_federation_ends_and_the_unprompted_model_is_kept() {
    let mut source = plain_task(9);
    source["federation"]["patience"] = json!(2);
    let Played {
        home: _home,
        server,
        id,
        task,
        players,
    } = played_twice(source, 3, &[]).await;
    // The first round's loss is never improved on.
    let (record, _) = audited(&server.api, &id, &task).await;
    assert_eq!(record.step(), 3);
    let detail = server.api.detail(&id).await;
    assert_eq!(detail.summary.status, FederationStatus::Finished);
    // Half of the answers are right with a prompt and without.
    assert_eq!(detail.choice, record.choice());
    assert_eq!(record.kept(), None);
    for player in &players {
        assert_eq!(player.client.choice(), record.choice());
    }
    server.stop().await;
}
