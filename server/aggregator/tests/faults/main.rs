//! A whole federation in one thread, deterministic, with faults: messages are lost, duplicated,
//! delayed and reordered; participants crash at any action and return from their last stored state,
//! pause, leave, vanish, or join late; the aggregator crashes between handling, storing and
//! answering; its clock jumps both ways.
//!
//! The real machines run here ([`federation::round::client`], [`federation::engine`]) over both stores, in memory and
//! SQLite; only the network, the participants' disks and the clock are simulated. [`world::World`] checks what must hold after every single message.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

mod disk;
mod ops;
mod oracle;
mod participant;
mod reproductions;
mod scenario;
mod world;

use disk::{Disk, File};
use federation::engine::memory::Memory;
use ops::{Op, ops, secure_ops};
use proptest::prelude::*;
use scenario::{Scenario, Secure, scenario, secure_scenario};
use world::{Shown, World};

/// Runs the faults, then lets everything heal; the federation must come to its end.
fn survive<D: Disk>(scenario: &Scenario, ops: &[Op]) {
    let mut world = World::<D>::new(scenario);
    for op in ops {
        world.apply(op);
    }
    world.heal_and_finish();
}

#[test]
fn without_faults_all_rounds_are_done_at_once() {
    let scenario = Scenario::default();
    let mut world = World::<Memory>::new(&scenario);
    world.heal_and_finish();
    let records = world.records();
    assert_eq!(records.len(), scenario.rounds as usize, "{records:?}");
    assert!(
        records.iter().all(|r| r.delivered == scenario.participants),
        "{records:?}"
    );
    assert!(world.elapsed() < 60_000, "took {} ms", world.elapsed());
}

#[test]
fn without_faults_all_count_and_those_who_are_drawn_train() {
    let secure = Secure {
        cohort: (3, 8),
        ..Secure::default()
    };
    for secure in [None, Some(secure)] {
        let least = if secure.is_some() { 3 } else { 2 };
        let scenario = Scenario {
            participants: 7,
            rounds: 4,
            mapping: "together",
            active: 2,
            secure,
            ..Scenario::default()
        };
        let mut world = World::<Memory>::new(&scenario);
        world.heal_and_finish();
        let records = world.records();
        let delivered: Vec<u32> = records.iter().map(|r| r.delivered).collect();
        assert_eq!(delivered, [7, least, least, least, least], "{records:?}");
        assert!(world.elapsed() < 60_000, "took {} ms", world.elapsed());
    }
}

/// All who were drawn vanish before they do anything: the draw widens, and the others continue.
#[test]
fn a_draw_of_those_who_are_gone_does_not_hold_the_others_up() {
    let scenario = Scenario {
        participants: 6,
        rounds: 6,
        active: 1,
        ..Scenario::default()
    };
    let mut world = World::<Memory>::new(&scenario);
    for who in [0, 2, 3, 5] {
        world.apply(&Op::Vanish { who });
        world.apply(&Op::Pass { ms: 4_000 });
    }
    world.heal_and_finish();
    let aborted = world.records().iter().filter(|r| r.reason.is_some());
    assert!(aborted.count() > 0, "{:?}", world.records());
}

#[test]
fn without_faults_all_sums_are_opened_at_once() {
    for (groups, privacy, scalars) in [
        (1, None, false),
        (2, None, true),
        (1, Some((8.0, None)), false),
    ] {
        let scenario = Scenario {
            participants: 7,
            secure: Some(Secure {
                cohort: (6, 8),
                groups,
                privacy,
                scalars,
                ..Secure::default()
            }),
            ..Scenario::default()
        };
        let mut world = World::<Memory>::new(&scenario);
        world.heal_and_finish();
        let records = world.records();
        assert_eq!(records.len(), scenario.rounds as usize, "{records:?}");
        assert!(records.iter().all(|r| r.delivered == 7), "{records:?}");
        assert!(world.elapsed() < 60_000, "took {} ms", world.elapsed());
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let noise = [
        Op::Network {
            loss: 25,
            duplicate: 25,
            delay: 900,
        },
        Op::Pass { ms: 9_000 },
        Op::Crash {
            who: 0,
            moment: ops::Moment::Now,
        },
        Op::Pass { ms: 3_000 },
    ];
    for secure in [None, Some(Secure::default())] {
        let run = || {
            let mut world = World::<Memory>::new(&Scenario {
                secure: secure.clone(),
                ..Scenario::default()
            });
            noise.iter().for_each(|op| world.apply(op));
            world.heal_and_finish();
            (world.records().to_vec(), world.record(), world.elapsed())
        };
        assert_eq!(run(), run());
    }
}

proptest! {
    // `PROPTEST_CASES=20000 cargo test -p aggregator --test faults` searches longer.
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_round_ends_and_nothing_is_counted_twice(scenario in scenario(), ops in ops()) {
        survive::<Memory>(&scenario, &ops);
    }
}

proptest! {
    // A round of these costs a hundred times as much, because keys are agreed on and messages
    // signed.
    #![proptest_config(ProptestConfig { cases: cases() / 10, max_shrink_iters: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_secure_sum_ends_and_what_is_opened_is_the_sum(scenario in secure_scenario(), ops in secure_ops()) {
        survive::<Memory>(&scenario, &ops);
    }
}

proptest! {
    // Every commit is a transaction of a database, and every crash opens it anew.
    #![proptest_config(ProptestConfig { cases: cases() / 60, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_round_ends_over_sqlite(scenario in scenario(), ops in ops()) {
        survive::<File>(&scenario, &ops);
    }

    #[test]
    fn every_secure_sum_ends_over_sqlite(scenario in secure_scenario(), ops in secure_ops()) {
        survive::<File>(&scenario, &ops);
    }
}

/// Both stores keep the same state: the same faults lead to the same record, and to the same lists and downloads on the
/// way.
#[test]
fn both_stores_come_to_the_same() {
    let noise = [
        Op::Network {
            loss: 25,
            duplicate: 25,
            delay: 900,
        },
        Op::Pass { ms: 9_000 },
        Op::AggregatorCrash {
            moment: ops::Moment::BeforeStoring,
            down: 700,
        },
        Op::Pass { ms: 3_000 },
    ];
    for secure in [None, Some(Secure::default())] {
        let scenario = Scenario {
            secure,
            ..Scenario::default()
        };
        fn run<D: Disk>(scenario: &Scenario, noise: &[Op]) -> (Vec<String>, Vec<Shown>, u64) {
            let mut world = World::<D>::new(scenario);
            let mut shown = vec![world.shown()];
            for op in noise {
                world.apply(op);
                shown.push(world.shown());
            }
            world.heal_and_finish();
            shown.push(world.shown());
            assert!(shown.iter().any(|all| !all.ticking.is_empty()));
            (world.record(), shown, world.elapsed())
        }
        let memory = run::<Memory>(&scenario, &noise);
        assert_eq!(memory, run::<File>(&scenario, &noise));
    }
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1_500)
}
