//! `kill -9` in every phase of a secure sum, and a restart over the same file.

use crate::kill::Process;
use crate::player::*;
use crate::secure::{SUMMING, audited, secure_task};
use crate::support::*;
use federation::round::client::Event;
use federation::round::refusal::Refusal;
use federation::task::Task;
use serde_json::json;

const PLAYERS: u32 = 6;

/// Rounds that end only when all have delivered.
fn patient_task() -> serde_json::Value {
    let mut task = secure_task(2, PLAYERS, PLAYERS, 3);
    let phase = json!({ "time_min_ms": 600_000, "time_max_ms": 600_000 });
    for name in ["keys", "shares", "masked", "confirm", "unmask"] {
        task["federation"]["secure_sum"][name] = phase.clone();
    }
    task["federation"]["open"] = json!({
        "count_min": PLAYERS, "count_max": PLAYERS, "time_min_ms": 600_000, "time_max_ms": 600_000,
    });
    task
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sum_goes_on_whenever_the_server_is_killed() {
    let source = patient_task();
    let task = Task::from_value(source.clone()).unwrap();
    let home = Home::new();
    let mut process = Process::start(&home).await;
    let invite = process.api.create(source).await;
    let id = &invite.federation;
    let mut players = Player::many(&task, PLAYERS);
    let mut live = Live::join(&process.api, &invite, &players).await;
    for phase in SUMMING {
        // All participants are about to send.
        for _ in 0..60 {
            for player in &mut players {
                if !sends(&player.open(), phase) {
                    player.turn(&mut live).await;
                }
            }
        }
        // Half of them are answered.
        let (first, rest) = players.split_at_mut(PLAYERS as usize / 2);
        for player in first.iter_mut() {
            assert!(sends(&player.turn(&mut live).await, phase));
        }
        // Nobody knows whether the others were heard.
        let mut sending = Vec::new();
        for player in rest.iter_mut() {
            let (member, action) = (live.members[player.number as usize].clone(), player.open());
            assert!(sends(&action, phase));
            sending.push(tokio::spawn(async move { member.ask(&action).await }));
        }
        process.kill();
        for request in sending {
            let _ = request.await.unwrap();
        }
        process = Process::start(&home).await;
        live = live.at(&process.api);
        let view = live.members[0].view().await;
        let moved_on = view.phase != phase;
        assert!(moved_on || view.delivered >= PLAYERS / 2, "{view:?}");
        // A participant who had an answer may send again: the message is there, and is not counted
        // twice.
        let before = live.members[0].view().await;
        if let Some(repeated) = players[0].sent(before.round, phase) {
            let refused = Event::Refused(Refusal::Duplicate);
            assert_eq!(live.answer(0, repeated).await, refused);
            assert_eq!(live.members[0].view().await.version, before.version);
        }
    }
    play(&mut live, &mut players, u32::MAX).await;

    // The results are as if nothing had happened.
    let mut twins = Player::many(&task, PLAYERS);
    let mut memory = InMemory::join(&task, &twins);
    play(&mut memory, &mut twins, u32::MAX).await;
    let (record, _) = audited(&process.api, id, &task).await;
    assert_eq!((record.step(), record.rounds()), (2, 2));
    assert_eq!(record.parameters(), memory.aggregator.theta());
    let rounds = process.api.detail(id).await.rounds;
    for (round, twin) in rounds.iter().zip(memory.aggregator.records()) {
        assert_eq!(round.metrics, twin.metrics);
        assert_eq!((round.delivered, round.reason), (PLAYERS, None));
    }
    process.kill();
}
