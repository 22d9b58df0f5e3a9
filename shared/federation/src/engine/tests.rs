//! Whole federations of client machines over the engine, with its state in memory.

use super::local::Local;
use super::memory::Memory;
use crate::record::Replay;
use crate::round::messages::{Enrolment, Metrics, Standing, SumMessage, Update};
use crate::round::phase::{Phase, RoundKind};
use crate::round::refusal::Refusal;
use crate::round::rehearsal::{NOW, Rehearsal, bytes, identity, task};
use crate::rules::advance::Sums;
use secure_sum::Bytes32;
use secure_sum::messages::{RoundKeys, Signature};
use serde_json::{Value, json};

/// All participants draw the same bytes again and again, so rounding and noise are the same with
/// and without masks.
fn constant(masks: bool, more: &Value) -> Rehearsal {
    let mut federation = json!({
        "clip": 0.3,
        "secure_sum": { "cohort_min": 3, "max_examples": 5, "masks": masks },
    });
    for (key, value) in more.as_object().unwrap() {
        federation[key] = value.clone();
    }
    let entropy = |who| -> Box<dyn Fn() -> Bytes32 + Send + Sync> {
        Box::new(move || bytes(who, b"constant"))
    };
    let mut cast = Rehearsal::with_entropy(task(federation), 5, entropy);
    cast.play_out();
    assert!(cast.clients.iter().all(|c| c.suspicion().is_none()));
    cast
}

#[test]
fn masks_cancel_to_the_last_bit() {
    for more in [
        json!({}),
        json!({ "rule": "scalars" }),
        json!({ "server": { "kind": "adam" } }),
        json!({ "privacy": { "epsilon": 8.0 } }),
        json!({ "clip": 1e5 }),
    ] {
        let (masked, plain) = (constant(true, &more), constant(false, &more));
        assert_eq!(masked.aggregator.records().len(), 4, "{more}");
        let start = task(json!({})).generator().unwrap().initial();
        assert_ne!(masked.aggregator.theta(), start, "{more}");
        let bits = |cast: &Rehearsal| -> Vec<u32> {
            cast.aggregator
                .theta()
                .iter()
                .map(|t| t.to_bits())
                .collect()
        };
        assert_eq!(bits(&masked), bits(&plain), "{more}");
        for (with, without) in masked
            .aggregator
            .records()
            .iter()
            .zip(plain.aggregator.records())
        {
            assert_eq!(with.theta, without.theta, "{more}");
            assert_eq!(with.metrics, without.metrics);
            assert_eq!(with.epsilon, without.epsilon);
        }
        // All participants have taken part in everything, by their own account too.
        for (one, other) in masked.clients.iter().zip(&plain.clients) {
            assert_eq!((one.delivered(), other.delivered()), (4, 4));
            assert_eq!(
                one.privacy(&masked.task),
                other.privacy(&plain.task),
                "{more}"
            );
        }
    }
}

#[test]
fn several_groups_are_summed_apart_and_nobody_is_left_out() {
    let federation = json!({
        "clip": 1.0,
        "secure_sum": { "cohort_min": 6, "groups": 2 },
    });
    let mut cast = Rehearsal::new(task(federation), 7);
    cast.play_out();
    let mut replay = Replay::new(&cast.task).unwrap();
    for line in cast.aggregator.lines(0) {
        let entry = replay.take(&cast.task, line, crate::record::Commitments::Check);
        let Some(entry) = entry.unwrap() else {
            continue;
        };
        let Some(Sums::Secure { groups }) = entry.sums else {
            panic!("{entry:?}")
        };
        let mut sizes: Vec<usize> = groups.iter().map(|g| g.members.len()).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [3, 4]);
    }
    assert_eq!(replay.parameters(), cast.aggregator.theta());
}

#[test]
fn who_joins_again_is_the_same_participant() {
    let task = task(json!({ "clip": 1.0 }));
    let mut aggregator = Local::new(Memory::default(), "hub", &task, NOW).unwrap();
    let key = |who| Some(identity(who).public());
    assert_eq!(aggregator.join(NOW, key(0)), Ok(0));
    assert_eq!(aggregator.join(NOW, key(1)), Ok(1));
    assert_eq!(aggregator.join(NOW, key(0)), Ok(0));
    // Without a key a participant is not recognised.
    assert_eq!(aggregator.join(NOW, None), Ok(2));
    assert_eq!(aggregator.join(NOW, None), Ok(3));
    assert_eq!(aggregator.join(NOW, key(2)), Ok(4));
}

#[test]
fn two_who_share_a_key_do_not_come_into_one_roster() {
    let federation = json!({ "clip": 1.0, "secure_sum": { "cohort_min": 3 } });
    let mut cast = Rehearsal::new(task(federation), 4);
    cast.play_to(0, Phase::Keys);
    for who in 0..2 {
        cast.lead(who, |a| {
            matches!(a, crate::round::client::Action::Send { .. })
        });
    }
    let (Some((_, SumMessage::Keys(first))), Some((_, SumMessage::Keys(second)))) =
        (cast.sent[0].last(), cast.sent[1].last())
    else {
        panic!()
    };
    let (first, second) = (first.clone(), second.clone());
    let send = |cast: &mut Rehearsal, who: u32, keys: RoundKeys| {
        let sent = cast.aggregator.send(who, NOW, 0, &SumMessage::Keys(keys));
        sent.map_err(|error| error.refusal().unwrap())
    };
    assert_eq!(send(&mut cast, 0, first.clone()), Ok(()));
    let context = cast
        .aggregator
        .record()
        .context(&cast.task, 0)
        .unwrap()
        .digest();
    let signed = |encryption: Bytes32, masking: Bytes32| {
        let text = RoundKeys::signed(&context, 1, &encryption, &masking);
        RoundKeys {
            encryption,
            masking,
            signature: Signature(identity(1).sign(&text)),
        }
    };
    for shared in [
        signed(first.encryption, second.masking),
        signed(second.encryption, first.masking),
        signed(first.masking, first.encryption),
        signed(second.encryption, second.encryption),
    ] {
        assert_eq!(send(&mut cast, 1, shared), Err(Refusal::BadIdentity));
    }
    assert_eq!(send(&mut cast, 1, second), Ok(()));
}

#[test]
fn nobody_waits_for_who_left_after_a_message() {
    let federation = json!({ "clip": 1.0, "secure_sum": { "cohort_min": 3 } });
    let mut cast = Rehearsal::new(task(federation), 5);
    cast.play_to(0, Phase::Masked);
    cast.lead(4, |a| {
        matches!(a, crate::round::client::Action::Send { .. })
    });
    cast.turn(4);
    assert_eq!(cast.aggregator.leave(4, NOW), Ok(()));
    cast.clients.truncate(4);
    // No more time passes than a tick needs.
    cast.play(|cast| cast.aggregator.round().phase == Phase::Confirm);
    cast.aggregator.tick(NOW).unwrap();
    cast.play(|cast| cast.aggregator.round().number == 1);
    let record = &cast.aggregator.records()[0];
    assert_eq!((record.phase, record.delivered), (Phase::Done, 5));
}

#[test]
fn a_member_of_the_cohort_who_was_not_heard_of_is_told_that_they_were_dropped() {
    let slow = |count_min: u32| json!({ "count_min": count_min, "time_min_ms": 0, "time_max_ms": 600_000 });
    let federation = json!({ "lease_seconds": 5, "open": slow(3), "upload": slow(2) });
    let task = task(federation);
    let mut aggregator = Local::new(Memory::default(), "hub", &task, NOW).unwrap();
    let numbers: Vec<u32> = (0..3)
        .map(|_| aggregator.join(NOW, None).unwrap())
        .collect();
    let enrolment = Enrolment {
        theta: aggregator.record().theta().clone(),
        waits: false,
    };
    for number in &numbers {
        aggregator.enrol(*number, NOW, 0, &enrolment).unwrap();
    }
    let update = Update {
        round: 0,
        theta: enrolment.theta,
        examples: 1,
        delta: vec![0.5; task.length_of(RoundKind::Training)],
        metrics: Metrics::default(),
    };
    aggregator.deliver(0, NOW, &update).unwrap();
    // Two participants are heard from in time, the third is not.
    let later = NOW + 4_000;
    assert!(
        numbers[..2]
            .iter()
            .all(|n| aggregator.view(*n, later).is_ok())
    );
    let late = NOW + 6_000;
    aggregator.tick(late).unwrap();
    let round = aggregator.round();
    assert_eq!((round.phase, round.gone), (Phase::Upload, 1));
    assert_eq!(
        aggregator.view(2, late).unwrap().standing,
        Standing::Dropped
    );
    let refused = aggregator.deliver(2, late, &update).unwrap_err();
    assert_eq!(refused, Refusal::NotInCohort.into());
    aggregator.deliver(1, late, &update).unwrap();
    assert_eq!(aggregator.records()[0].delivered, 2);
    assert_eq!(aggregator.view(2, late).unwrap().standing, Standing::Idle);
}
