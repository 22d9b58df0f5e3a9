//! Whole rounds with secure sums over a live port, with participants who vanish, and with noise.

use crate::player::*;
use crate::support::*;
use aggregator::TestClock;
use federation::record::{Commitments, Entry, Line, Replay};
use federation::round::client::{Action, StopReason};
use federation::round::messages::{FederationStatus, Metrics, RoundRecord, SumMessage};
use federation::round::phase::{AbortReason, Phase};
use federation::rules::advance::Sums;
use federation::task::Task;
use privacy::Ledger;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rounds of up to `all` participants, of whom `cohort_min` must publish keys, and `survivors_min` send updates.
pub fn secure_task(rounds: u32, all: u32, cohort_min: u32, survivors_min: u32) -> Value {
    let limits = (cohort_min, all, PHASE_MS, PHASE_MS);
    let phase = json!({ "time_min_ms": PHASE_MS, "time_max_ms": PHASE_MS });
    let mut task = task_with(rounds, 600, limits, limits);
    task["federation"]["secure_sum"] = json!({
        "cohort_min": cohort_min,
        "cohort_max": all,
        "survivors_min": survivors_min,
        "keys": phase, "shares": phase, "masked": phase, "confirm": phase, "unmask": phase,
    });
    task["federation"]["local_steps"] = json!(1);
    task["federation"]["batch"] = json!(2);
    task
}

/// A record over HTTP, read again from its first line, with every signature: it must lead to the served θ.
pub async fn audited(api: &Api, id: &str, task: &Task) -> (Replay, Vec<Entry>) {
    let download = api
        .get(&format!("/v1/federations/{id}/record"))
        .send()
        .await
        .unwrap();
    assert_eq!(download.status(), 200);
    assert_eq!(
        download.headers()["content-disposition"],
        format!("attachment; filename=\"record-{id}.jsonl\"")
    );
    let text = download.text().await.unwrap();
    assert_eq!(lines_from(api, id, 0).await, text);
    assert!(text.ends_with('\n'));
    let mut record = Replay::new(task).unwrap();
    let mut entries = Vec::new();
    for line in text.lines() {
        record.take(task, line, Commitments::Check).unwrap();
        let Line { entry, .. } = serde_json::from_str(line).unwrap();
        entries.push(entry);
    }
    assert_eq!(record.federation(), id);
    let bits = |theta: &[f32]| theta.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(record.parameters()), bits(&api.theta(id).await));
    let view = api.detail(id).await.current;
    assert_eq!(
        (&view.record, view.lines, view.step),
        (record.head(), record.lines(), record.step())
    );
    (record, entries)
}

/// The results that do not depend on who sums: a server or the aggregator in memory.
pub fn essence(records: &[RoundRecord]) -> Vec<Value> {
    let shown = |record: &RoundRecord| {
        let mut value = serde_json::to_value(record).unwrap();
        let fields = value.as_object_mut().unwrap();
        for field in ["bytes_up", "finished_at"] {
            fields.remove(field);
        }
        // JSON as it is read here may lose the last bit of an f64.
        fields["metrics"]["loss"] = json!((1e9 * record.metrics.loss).round());
        value
    };
    records.iter().map(shown).collect()
}

/// The phases of a secure sum.
pub const SUMMING: [Phase; 5] = [
    Phase::Keys,
    Phase::Shares,
    Phase::Masked,
    Phase::Confirm,
    Phase::Unmask,
];

/// A federation that was run on a server.
pub struct Played {
    pub home: Home,
    pub server: Server,
    pub id: String,
    pub task: Task,
    pub players: Vec<Player>,
}

/// The participants that are silent, by round, with the phase from which on they are.
pub type Silence<'a> = &'a [(u32, u32, Phase)];

fn players(task: &Task, count: u32, silence: Silence<'_>) -> Vec<Player> {
    let mut players = Player::many(task, count);
    for (number, round, phase) in silence {
        players[*number as usize].silent.insert(*round, *phase);
    }
    players
}

/// Runs until the federation has ended.
async fn played(source: Value, count: u32, silence: Silence<'_>) -> Played {
    let task = Task::from_value(source.clone()).unwrap();
    let home = Home::new();
    let clock = Arc::new(TestClock::at(1_700_000_000_000));
    let server = Server::start(home.config(), clock.clone()).await;
    let id = server.api.create(source).await;
    let mut players = players(&task, count, silence);
    let mut live = Live::join(&server.api, &id, &players).await.with(&clock);
    play(&mut live, &mut players, u32::MAX).await;
    Played {
        home,
        server,
        id: id.federation,
        task,
        players,
    }
}

/// Runs on a server and in memory, with the same results. (With one group only: which participants
/// form a group follows from their keys, which are bound to the federation.)
pub async fn played_twice(source: Value, count: u32, silence: Silence<'_>) -> Played {
    let played = played(source, count, silence).await;
    let mut twins = players(&played.task, count, silence);
    let mut memory = InMemory::join(&played.task, &twins);
    play(&mut memory, &mut twins, u32::MAX).await;
    let detail = played.server.api.detail(&played.id).await;
    assert_eq!(
        essence(&detail.rounds),
        essence(memory.aggregator.records())
    );
    assert_eq!(detail.summary.status, memory.aggregator.status());
    let theta = played.server.api.theta(&played.id).await;
    assert_eq!(theta, memory.aggregator.theta());
    played
}

/// The counters of a round's only group: examples, right answers, held-out examples.
fn counters(entry: &Entry) -> (Vec<u32>, [i64; 3]) {
    let Entry::Round(round) = entry else {
        panic!("{entry:?}")
    };
    let Some(Sums::Secure { groups }) = &round.sums else {
        panic!("{round:?}")
    };
    let [group] = &groups[..] else {
        panic!("{groups:?}")
    };
    let tail = &group.sum[group.sum.len() - 7..];
    (group.members.clone(), [tail[0], tail[1], tail[2]])
}

/// The counters of a sum over these members: what each reports, which no one can tell its counts from.
/// `again` if all of them sent an update from the same θ before.
fn expected(task: &Task, members: &[u32], again: bool) -> [i64; 3] {
    let mut sums = [0; 3];
    for number in members {
        let report = Player::new(task, *number).report(again);
        let Metrics { correct, total, .. } = report.metrics;
        for (sum, count) in sums.iter_mut().zip([report.examples, correct, total]) {
            *sum += i64::from(count);
        }
    }
    sums
}

/// The counts from which, with some secret, `told` would be reported: a power of two nearby.
fn possible(told: i64) -> Vec<u32> {
    let nearby = |count: &u32| {
        let exact = f64::from(*count).log2();
        let (least, most) = (exact.floor(), (exact + 0.999_999).floor());
        let told = (told as f64).log2();
        least <= told && told <= most
    };
    (1..1_000).filter(nearby).collect()
}

#[tokio::test]
async fn the_difference_of_two_rounds_tells_nobodys_counts() {
    // One of six is away in the second round and back in the third. Everything else is public.
    let gone = 4;
    let task = secure_task(3, 6, 5, 4);
    let Played {
        home: _home,
        server,
        id,
        task,
        ..
    } = played(task, 6, &[(gone, 1, Phase::Keys)]).await;
    let (_, entries) = audited(&server.api, &id, &task).await;
    let [before, without, after] = [1, 2, 3].map(|round| counters(&entries[round]));
    assert!(before.0.contains(&gone) && !without.0.contains(&gone) && after.0.contains(&gone));
    let truth = Player::new(&task, gone).training() as u32;
    for with in [before.1, after.1] {
        let told: [i64; 3] = std::array::from_fn(|i| with[i] - without.1[i]);
        let examples = possible(told[0]);
        assert!(
            examples.contains(&truth) && examples.len() >= 8,
            "{examples:?}"
        );
        let held_out = possible(told[2]);
        assert!(held_out.contains(&(HOLDOUT as u32)) && held_out.len() >= 2);
        // Right answers are a share of that, rounded either way.
        let share = |right: u32, total: u32| {
            let scaled = f64::from(right) * told[2] as f64 / f64::from(total);
            (scaled - told[1] as f64).abs() < 1.0
        };
        let pairs = held_out
            .iter()
            .flat_map(|&total| (0..=total).map(move |right| (right, total)));
        let pairs: Vec<_> = pairs
            .filter(|&(right, total)| share(right, total))
            .collect();
        assert!(pairs.len() >= 3, "{pairs:?}");
    }
    server.stop().await;
}

#[test]
fn players_report_less_than_their_counts() {
    let task = Task::from_value(secure_task(1, 16, 4, 3)).unwrap();
    let all: Vec<u32> = (0..16).collect();
    let reports: Vec<u32> = all
        .iter()
        .map(|n| Player::new(&task, *n).report(false).examples)
        .collect();
    assert!(reports.iter().all(|n| n.is_power_of_two()), "{reports:?}");
    assert!(
        reports
            .iter()
            .zip(5..)
            .all(|(told, has)| *told < 2 * has && has < 3 * told)
    );
    let [examples, correct, total] = expected(&task, &all, false);
    assert_eq!(examples, i64::from(reports.iter().sum::<u32>()));
    // Of two held-out examples each, one is right.
    assert!((16..=32).contains(&total) && (1..total).contains(&correct));
    assert_eq!(expected(&task, &all, true), [examples, 0, 0]);
}

#[tokio::test]
async fn five_make_two_rounds_and_nobody_sees_an_update() {
    let task = secure_task(2, 5, 5, 3);
    let Played {
        home,
        server,
        id,
        task,
        mut players,
    } = played_twice(task, 5, &[]).await;
    let (record, entries) = audited(&server.api, &id, &task).await;
    assert_eq!((record.step(), record.lines()), (2, 3));
    for entry in &entries[1..] {
        let (members, sums) = counters(entry);
        assert_eq!(members, [0, 1, 2, 3, 4]);
        assert_eq!(sums, expected(&task, &members, false));
    }
    for player in &mut players {
        assert_eq!(player.stopped(), Some(StopReason::Finished));
        assert_eq!(player.client.delivered(), 2);
        assert_eq!(player.client.theta().unwrap(), record.parameters());
    }
    let detail = server.api.detail(&id).await;
    assert_eq!(detail.summary.status, FederationStatus::Finished);
    assert!(detail.summary.secure);
    assert_eq!(detail.summary.privacy, None);
    for round in &detail.rounds {
        assert_eq!((round.cohort, round.delivered, round.reason), (5, 5, None));
        assert!(round.bytes_up > 5 * 4 * DIM as u64);
        assert_eq!(round.epsilon, None);
    }
    let metrics = server.api.metrics().await;
    for line in [
        "aggregator_sum_messages_total{phase=\"keys\"} 10",
        "aggregator_sum_messages_total{phase=\"shares\"} 10",
        "aggregator_sum_messages_total{phase=\"masked\"} 10",
        "aggregator_sum_messages_total{phase=\"confirm\"} 10",
        "aggregator_sum_messages_total{phase=\"unmask\"} 10",
        "aggregator_updates_total 10",
        "aggregator_rounds_total{outcome=\"done\"} 2",
        "aggregator_phase_seconds_count{phase=\"unmask\"} 2",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    server.stop().await;
    // Nothing remains of a round but its line.
    let url = format!("sqlite://{}", home.database().display());
    let pool = sqlx::sqlite::SqlitePool::connect(&url).await.unwrap();
    for count in [
        "SELECT COUNT(*) FROM message",
        "SELECT COUNT(*) FROM inbox",
        "SELECT COUNT(*) FROM frozen",
        "SELECT COUNT(*) FROM round_key",
        "SELECT COUNT(*) FROM contribution",
    ] {
        let left: i64 = sqlx::query_scalar(count).fetch_one(&pool).await.unwrap();
        assert_eq!(left, 0, "{count}");
    }
}

#[tokio::test]
async fn one_vanishes_in_every_phase_and_the_sum_is_that_of_the_others() {
    let silent = [
        (7, 0, Phase::Keys),
        (1, 0, Phase::Shares),
        (4, 0, Phase::Masked),
        (9, 0, Phase::Confirm),
        (2, 0, Phase::Unmask),
    ];
    // Of the 15 who publish keys, 11 must be there at the end, and are.
    let task = secure_task(2, 16, 4, 3);
    let Played {
        home: _home,
        server,
        id,
        task,
        ..
    } = played_twice(task, 16, &silent).await;
    let (_, entries) = audited(&server.api, &id, &task).await;
    let (members, sums) = counters(&entries[1]);
    // Numbers 9 and 2 had sent their masked updates before they vanished.
    assert_eq!(members, [0, 2, 3, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15]);
    assert_eq!(sums, expected(&task, &members, false));
    // They are all back in the next round.
    let (members, sums) = counters(&entries[2]);
    assert_eq!(members, Vec::from_iter(0..16));
    assert_eq!(sums, expected(&task, &members, false));
    let rounds = server.api.detail(&id).await.rounds;
    assert_eq!((rounds[0].cohort, rounds[0].delivered), (16, 13));
    let metrics = server.api.metrics().await;
    for (phase, messages) in [
        ("keys", 15),
        ("shares", 14),
        ("masked", 13),
        ("confirm", 12),
        ("unmask", 11),
    ] {
        let messages = messages + 16;
        let line = format!("aggregator_sum_messages_total{{phase=\"{phase}\"}} {messages}");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
    server.stop().await;
}

#[tokio::test]
async fn in_groups_with_a_median() {
    // Of a group of four, three must be there at the end.
    let mut task = secure_task(2, 12, 12, 3);
    task["federation"]["secure_sum"]["groups"] = json!(3);
    task["federation"]["combine"] = json!("median");
    let silent = [(3, 0, Phase::Masked), (5, 1, Phase::Unmask)];
    let Played {
        home: _home,
        server,
        id,
        task,
        ..
    } = played(task, 12, &silent).await;
    let (record, entries) = audited(&server.api, &id, &task).await;
    assert_eq!(record.step(), 2);
    let Entry::Round(round) = &entries[1] else {
        panic!()
    };
    let Some(Sums::Secure { groups }) = &round.sums else {
        panic!()
    };
    assert_eq!(groups.len(), 3);
    let mut members: Vec<u32> = groups.iter().flat_map(|g| g.members.clone()).collect();
    members.sort_unstable();
    assert_eq!(members, [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11]);
    server.stop().await;
}

#[tokio::test]
async fn sums_that_come_to_nothing_say_why_and_the_next_round_goes_on() {
    // 2 of 4 are too few, whatever the phase.
    let silent: Vec<_> = SUMMING
        .into_iter()
        .zip(0..)
        .flat_map(|(phase, round)| [(0, round, phase), (3, round, phase)])
        .collect();
    let task = secure_task(1, 4, 3, 3);
    let Played {
        home: _home,
        server,
        id,
        task,
        mut players,
    } = played_twice(task, 4, &silent).await;
    let (record, entries) = audited(&server.api, &id, &task).await;
    assert_eq!((record.step(), record.rounds()), (1, 6));
    let rounds = server.api.detail(&id).await.rounds;
    let reasons: Vec<_> = rounds.iter().map(|r| r.reason).collect();
    assert_eq!(
        reasons,
        [
            Some(AbortReason::TooFewKeys),
            Some(AbortReason::TooFewShares),
            Some(AbortReason::TooFewMasked),
            Some(AbortReason::TooFewConfirmed),
            Some(AbortReason::TooFewUnmasked),
            None,
        ]
    );
    // If masked updates were sent in a round, the record names their senders.
    let contributors: Vec<_> = entries[1..]
        .iter()
        .map(|entry| {
            let Entry::Round(round) = entry else { panic!() };
            let cohort = round.cohort.as_ref()?;
            let numbers = cohort.contributors.iter().map(|c| c.participant);
            Some(numbers.collect::<Vec<_>>())
        })
        .collect();
    assert_eq!(
        contributors,
        [
            None,
            None,
            Some(vec![1, 2]),
            Some(vec![0, 1, 2, 3]),
            Some(vec![0, 1, 2, 3]),
            Some(vec![0, 1, 2, 3]),
        ]
    );
    // Every participant had sent an update from this θ before, so the update in the sum is another, and what was
    // measured is not told again.
    assert_eq!(
        counters(&entries[6]).1,
        expected(&task, &[0, 1, 2, 3], true)
    );
    assert_eq!(rounds[5].metrics.total, 0);
    for player in &mut players {
        assert_eq!(player.stopped(), Some(StopReason::Finished));
    }
    let metrics = server.api.metrics().await;
    for reason in [
        "too-few-keys",
        "too-few-shares",
        "too-few-masked",
        "too-few-confirmed",
        "too-few-unmasked",
        "done",
    ] {
        let line = format!("aggregator_rounds_total{{outcome=\"{reason}\"}} 1");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_false_share_loses_the_sum_and_no_more() {
    let source = secure_task(1, 4, 4, 3);
    let task = Task::from_value(source.clone()).unwrap();
    let home = Home::new();
    let clock = Arc::new(TestClock::at(1_700_000_000_000));
    let server = Server::start(home.config(), clock.clone()).await;
    let invite = server.api.create(source).await;
    let mut players = Player::many(&task, 4);
    let mut live = Live::join(&server.api, &invite, &players)
        .await
        .with(&clock);
    for _ in 0..60 {
        for player in &mut players {
            if !sends(&player.open(), Phase::Unmask) {
                player.turn(&mut live).await;
            }
        }
    }
    for player in &mut players {
        let mut action = player.open();
        if player.number == 0
            && let Action::Send { message, .. } = &mut action
            && let SumMessage::Unmask(unmask) = message
        {
            unmask.shares[1].share[7] ^= 1;
        }
        player.tell(live.answer(player.number, &action).await);
    }
    let rounds = server.api.detail(&invite.federation).await.rounds;
    assert_eq!(rounds[0].reason, Some(AbortReason::FalseShares));
    assert_eq!(rounds[0].delivered, 4);
    // The record holds the cohort, and the next round is a good one.
    play(&mut live, &mut players, u32::MAX).await;
    let (record, entries) = audited(&server.api, &invite.federation, &task).await;
    assert_eq!((record.step(), record.rounds()), (1, 2));
    assert_eq!(
        counters(&entries[2]).1,
        expected(&task, &[0, 1, 2, 3], true)
    );
    server.stop().await;
}

fn noisy_task(rounds: u32, epsilon: f64) -> Value {
    let mut task = secure_task(rounds, 4, 4, 3);
    task["federation"]["clip"] = json!(1.0);
    task["federation"]["privacy"] =
        json!({ "epsilon": epsilon, "delta": 1e-5, "noise_multiplier": 4.0 });
    task
}

/// ε after this number of sums.
fn cost(task: &Task, sums: u32) -> f64 {
    let contribution = task.contribution().unwrap();
    let mut ledger = Ledger::new();
    for _ in 0..sums {
        ledger.compose(contribution.rho()).unwrap();
    }
    ledger.epsilon(contribution.limits().unwrap().delta)
}

#[tokio::test]
async fn no_round_begins_that_would_cost_more_than_epsilon() {
    let generous = Task::from_value(noisy_task(9, 1_000.0)).unwrap();
    let limit = (cost(&generous, 3) + cost(&generous, 4)) / 2.0;
    // The first round is lost, but masked updates were sent: it costs as much as the others.
    let silent = [(1, 0, Phase::Unmask), (2, 0, Phase::Unmask)];
    let source = noisy_task(9, limit);
    let Played {
        home: _home,
        server,
        id,
        task,
        mut players,
    } = played_twice(source, 4, &silent).await;
    let (record, entries) = audited(&server.api, &id, &task).await;
    assert_eq!((record.step(), record.rounds()), (2, 3));
    assert_eq!(entries.len(), 4);
    let detail = server.api.detail(&id).await;
    assert_eq!(detail.summary.status, FederationStatus::Finished);
    let spent: Vec<f64> = detail.rounds.iter().map(|r| r.epsilon.unwrap()).collect();
    for (round, epsilon) in spent.iter().enumerate() {
        let exact = cost(&task, round as u32 + 1);
        assert!(
            (0.0..=1e-3).contains(&(epsilon - exact)),
            "{epsilon} {exact}"
        );
    }
    let privacy = detail.summary.privacy.unwrap();
    assert_eq!(privacy.epsilon, spent[2]);
    let limits = task.contribution().unwrap().limits().unwrap();
    assert_eq!(
        (privacy.limit, privacy.delta),
        (limits.epsilon, limits.delta)
    );
    assert!(privacy.epsilon <= privacy.limit);
    let listed: Vec<federation::round::messages::FederationSummary> = server
        .api
        .get("/v1/federations")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(listed[0].privacy, Some(privacy));
    for player in &mut players {
        assert_eq!(player.stopped(), Some(StopReason::Finished));
    }
    server.stop().await;
}

#[tokio::test]
async fn tasks_that_no_server_takes() {
    let (_home, server) = Server::fresh().await;
    let refused = async |task: Value| {
        let response = server
            .api
            .post("/v1/federations")
            .bearer_auth(ADMIN)
            .json(&json!({ "task": task }))
            .send()
            .await
            .unwrap();
        let problem = problem(response).await;
        assert_eq!((problem.status, &problem.code[..]), (422, "bad_task"));
        problem.faults
    };
    let mut open = secure_task(1, 4, 4, 3);
    open["federation"]["secure_sum"]["masks"] = json!(false);
    let faults = refused(open).await;
    assert_eq!(faults[0].path, "federation.secure_sum.masks");
    assert!(faults[0].message.contains("only in simulations"));
    let generous = Task::from_value(noisy_task(9, 1_000.0)).unwrap();
    let faults = refused(noisy_task(9, cost(&generous, 1) / 2.0)).await;
    assert_eq!(faults[0].path, "federation.privacy.noise_multiplier");
    let listed: Vec<Value> = server
        .api
        .get("/v1/federations")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert!(listed.is_empty());
    server.stop().await;
    // The masked updates do not fit into the largest body.
    let home = Home::new();
    let config = aggregator::AggregatorConfig {
        max_body: 4_000,
        ..home.config()
    };
    let server = Server::start(config, Arc::new(aggregator::RealClock)).await;
    let response = server
        .api
        .post("/v1/federations")
        .bearer_auth(ADMIN)
        .json(&json!({ "task": secure_task(1, 4, 4, 3) }))
        .send()
        .await
        .unwrap();
    let problem = problem(response).await;
    assert_eq!(problem.faults[0].path, "federation.secure_sum");
    server.stop().await;
}

#[tokio::test]
async fn who_closes_a_federation_closes_its_sum_too() {
    let source = secure_task(1, 3, 3, 3);
    let task = Task::from_value(source.clone()).unwrap();
    let home = Home::new();
    let clock = Arc::new(TestClock::at(1_700_000_000_000));
    let server = Server::start(home.config(), clock.clone()).await;
    let invite = server.api.create(source).await;
    let mut players = Player::many(&task, 3);
    let mut live = Live::join(&server.api, &invite, &players)
        .await
        .with(&clock);
    // Two have sent their masked updates.
    players[2].silent = BTreeMap::from([(0, Phase::Masked)]);
    for _ in 0..60 {
        for player in &mut players {
            player.turn(&mut live).await;
        }
    }
    let view = live.members[0].view().await;
    assert_eq!((view.phase, view.delivered), (Phase::Masked, 2));
    let closed = server.api.close(&invite.federation).await;
    assert_eq!(closed.status, FederationStatus::Closed);
    let (record, entries) = audited(&server.api, &invite.federation, &task).await;
    assert_eq!((record.step(), record.rounds()), (0, 1));
    let Entry::Round(round) = &entries[1] else {
        panic!()
    };
    assert_eq!(round.aborted, Some(AbortReason::Closed));
    assert_eq!(round.cohort.as_ref().unwrap().contributors.len(), 2);
    for player in &mut players {
        player.silent.clear();
        player
            .until(&mut live, |action| matches!(action, Action::Stop(_)))
            .await;
        assert_eq!(player.stopped(), Some(StopReason::Closed));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_task_that_says_nothing_of_them_gets_secure_sums_and_the_optimiser_that_suits_it() {
    let home = Home::new();
    let server = Server::start(home.config(), Arc::new(aggregator::RealClock)).await;
    let created = async |source: Value| {
        let invite = server.api.create(source).await;
        let path = format!("/v1/federations/{}", invite.federation);
        let detail: Value = server
            .api
            .get(&path)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        detail["task"].clone()
    };
    let mut silent = task(1, 3);
    silent.as_object_mut().unwrap().remove("optimizer");
    let said = silent.clone();
    silent["federation"]
        .as_object_mut()
        .unwrap()
        .remove("secure_sum");
    let silent = created(silent).await;
    assert_eq!(silent["optimizer"], json!({ "kind": "node-perturbation" }));
    assert_eq!(silent["federation"]["secure_sum"], json!({}));
    assert_eq!(created(said).await["federation"]["secure_sum"], false);
    assert_eq!(
        created(task(1, 3)).await["optimizer"],
        json!({ "kind": "zo-adam" })
    );
    server.stop().await;
}
