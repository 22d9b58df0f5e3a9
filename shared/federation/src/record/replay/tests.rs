use super::*;
use crate::record::{Commitment, hash, rounded, write};
use crate::round::messages::Metrics;
use crate::round::phase::Phase;
use crate::round::rehearsal::{Rehearsal, bytes, identity, secure_task, task};
use crate::rules::advance::GroupSum;
use ground::hex::hex;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// A federation of four with noise that ended: its task and its record.
static ENDED: LazyLock<(Task, Vec<String>)> = LazyLock::new(|| {
    let task = task(json!({
        "rounds": 3,
        "clip": 1.0,
        "secure_sum": { "cohort_min": 3 },
        "privacy": { "epsilon": 8.0 },
    }));
    let mut cast = Rehearsal::new(task, 4);
    cast.play_out();
    assert_eq!(cast.aggregator.lines(0).len(), 4);
    (cast.task, cast.aggregator.lines(0).to_vec())
});

fn read(task: &Task, lines: &[String]) -> Result<Replay, Difference> {
    let mut record = Replay::new(task).unwrap();
    for line in lines {
        record.take(task, line, Commitments::Check)?;
    }
    Ok(record)
}

fn wrong(line: u32, what: What) -> Option<Difference> {
    Some(Difference { line, what })
}

/// The record with the entry of one round changed, and all later lines chained to that.
fn with(number: usize, change: impl FnOnce(&mut RoundEntry)) -> Vec<String> {
    let (_, lines) = &*ENDED;
    let mut changed = lines[..number].to_vec();
    let Line { previous, entry } = serde_json::from_str(&lines[number]).unwrap();
    let Entry::Round(mut entry) = entry else {
        panic!("line {number} is no round")
    };
    change(&mut entry);
    changed.push(write(&previous, Entry::Round(entry)));
    for line in &lines[number + 1..] {
        let Line { entry, .. } = serde_json::from_str(line).unwrap();
        changed.push(write(&hash(changed.last().unwrap()), entry));
    }
    changed
}

fn cohort(entry: &mut RoundEntry) -> &mut Cohort {
    entry.cohort.as_mut().unwrap()
}

fn groups(entry: &mut RoundEntry) -> &mut Vec<GroupSum> {
    let Some(Sums::Secure { groups }) = &mut entry.sums else {
        panic!("no sum")
    };
    groups
}

#[test]
fn a_record_replays_to_what_it_says() {
    let (task, lines) = &*ENDED;
    let record = read(task, lines).unwrap();
    assert_eq!((record.step(), record.rounds(), record.lines()), (3, 3, 4));
    assert_eq!(*record.head(), hash(&lines[3]));
    assert_eq!(*record.theta(), theta_hash(record.parameters()));
    assert_eq!(record.federation(), "hub");
    assert!(record.epsilon(task).unwrap() <= 8.0 && record.is_spent(task));
    // Read in pieces, and stored between any two, it is the same.
    let mut pieces = Replay::new(task).unwrap();
    for line in lines {
        pieces.take(task, line, Commitments::Trust).unwrap();
        let stored = serde_json::to_string(&pieces).unwrap();
        pieces = serde_json::from_str(&stored).unwrap();
    }
    assert_eq!(pieces.parameters(), record.parameters());
    assert_eq!(pieces.head(), record.head());
}

#[test]
fn each_alteration_is_found_at_its_line() {
    let (task, lines) = &*ENDED;
    assert_eq!(with(2, |_| {}), *lines);
    type Change = fn(&mut RoundEntry);
    let changes: [(Change, What); 27] = [
        (|e| e.round += 1, What::Number),
        (|e| e.step -= 1, What::Number),
        (|e| e.theta = "0".repeat(64), What::Theta),
        (|e| groups(e)[0].sum[3] += 1 << 22, What::Theta),
        (|e| groups(e)[0].sum.truncate(5), What::Theta),
        (|e| e.epsilon = None, What::Epsilon),
        (|e| e.epsilon = e.epsilon.map(|x| x + 0.01), What::Epsilon),
        (|e| e.epsilon = e.epsilon.map(|x| x - 0.01), What::Epsilon),
        (|e| e.aborted = Some(AbortReason::Overflow), What::Malformed),
        (|e| e.sums = None, What::Malformed),
        (
            |e| {
                groups(e)[0].members.pop();
            },
            What::Members,
        ),
        (|e| groups(e)[0].members.push(9), What::Members),
        (|e| groups(e)[0].members[0] = 1, What::Members),
        (|e| groups(e).clear(), What::Members),
        (
            |e| {
                cohort(e).contributors.pop();
            },
            What::Members,
        ),
        (|e| cohort(e).contributors.swap(0, 1), What::Members),
        // The same participant's vector twice.
        (
            |e| {
                let first = cohort(e).contributors[0].clone();
                cohort(e).contributors.insert(0, first);
                groups(e)[0].members.insert(0, 0);
            },
            What::Members,
        ),
        // Fewer than the number over which the noise was split.
        (
            |e| {
                cohort(e).contributors.truncate(2);
                groups(e)[0].members.truncate(2);
            },
            What::Members,
        ),
        (
            |e| {
                cohort(e).senders.remove(2);
            },
            What::Members,
        ),
        (|e| cohort(e).senders.swap(0, 1), What::Members),
        (
            |e| {
                e.sums = Some(Sums::Plain {
                    mean: vec![0.0; 8],
                    metrics: Metrics::default(),
                });
            },
            What::Members,
        ),
        (
            |e| {
                e.cohort = None;
                e.epsilon = Some(0.0);
            },
            What::Epsilon,
        ),
        (
            |e| cohort(e).contributors[1].vector = "7".repeat(64),
            What::Signature,
        ),
        // A signer of a set of senders has seen that set.
        (|e| cohort(e).senders.push(9), What::Signature),
        (
            |e| cohort(e).contributors[1].signature = "7".repeat(128),
            What::Signature,
        ),
        (
            |e| cohort(e).contributors[1].signature = "7".repeat(126),
            What::Malformed,
        ),
        (
            |e| {
                let (a, b) = (&cohort(e).contributors[1].identity.clone(), 2);
                cohort(e).contributors[b].identity.clone_from(a);
            },
            What::Identity,
        ),
    ];
    for (number, (change, what)) in changes.into_iter().enumerate() {
        let found = read(task, &with(2, change)).err();
        assert_eq!(found, wrong(3, what), "change {number}");
    }
}

#[test]
fn a_signature_that_fits_another_round_does_not_fit_this_one() {
    let (task, lines) = &*ENDED;
    let Line { entry, .. } = serde_json::from_str(&lines[1]).unwrap();
    let Entry::Round(first) = entry else { panic!() };
    let replayed = with(2, |e| {
        let first = first.cohort.clone().unwrap();
        cohort(e).contributors[0].vector = first.contributors[0].vector.clone();
        cohort(e).contributors[0].signature = first.contributors[0].signature.clone();
    });
    assert_eq!(read(task, &replayed).err(), wrong(3, What::Signature));
    // A participant trusts that the others check their own.
    let mut trusting = Replay::new(task).unwrap();
    for line in &replayed {
        trusting.take(task, line, Commitments::Trust).unwrap();
    }
}

#[test]
fn lines_that_are_cut_swapped_or_strange_are_found() {
    let (task, lines) = &*ENDED;
    let without = |at: usize| [&lines[..at], &lines[at + 1..]].concat();
    let swapped = |a: usize, b: usize| {
        let mut lines = lines.clone();
        lines.swap(a, b);
        lines
    };
    let replaced = |at: usize, line: String| {
        let mut lines = lines.clone();
        lines[at] = line;
        lines
    };
    let chained = |at: usize, entry: &Entry| {
        let before = at.checked_sub(1).map_or(nothing(), |b| hash(&lines[b]));
        replaced(at, write(&before, entry.clone()))
    };
    let entry = |at: usize| serde_json::from_str::<Line>(&lines[at]).unwrap().entry;
    let opened = |source: &Value, theta: &str, format: u32| Entry::Opened {
        format,
        federation: "hub".to_owned(),
        task: source.clone(),
        theta: theta.to_owned(),
    };
    let mut other = task.source().clone();
    other["seed"] = json!(77);
    let start = theta_hash(&task.generator().unwrap().initial());
    let cases = [
        (without(0), 1, What::Previous),
        (without(1), 2, What::Previous),
        (without(2), 3, What::Previous),
        (swapped(1, 2), 2, What::Previous),
        (swapped(2, 3), 3, What::Previous),
        (replaced(2, lines[1].clone()), 3, What::Previous),
        (replaced(1, String::new()), 2, What::Malformed),
        (replaced(1, "{}".to_owned()), 2, What::Malformed),
        (
            replaced(3, lines[3].replace("round", "ring")),
            4,
            What::Malformed,
        ),
        (replaced(3, lines[3][..100].to_owned()), 4, What::Malformed),
        (chained(0, &opened(&other, &start, 1)), 1, What::Task),
        (chained(0, &opened(&json!(null), &start, 1)), 1, What::Task),
        (
            chained(0, &opened(task.source(), &start[1..], 1)),
            1,
            What::Theta,
        ),
        (
            chained(0, &opened(task.source(), &start, 2)),
            1,
            What::Place,
        ),
        (chained(0, &entry(1)), 1, What::Place),
        (chained(2, &entry(0)), 3, What::Place),
    ];
    for (lines, line, what) in cases {
        assert_eq!(read(task, &lines).err(), wrong(line, what), "{lines:?}");
    }
    // A record of another task does not begin here.
    let elsewhere = Task::from_value(other).unwrap();
    assert_eq!(read(&elsewhere, lines).err(), wrong(1, What::Task));
}

#[test]
fn a_difference_changes_nothing() {
    let (task, lines) = &*ENDED;
    let mut record = read(task, &lines[..2]).unwrap();
    let before = record.clone();
    for bad in [
        with(2, |e| cohort(e).contributors[3].vector = "7".repeat(64)),
        with(2, |e| e.theta = "0".repeat(64)),
        with(2, |e| e.epsilon = None),
    ] {
        assert!(record.take(task, &bad[2], Commitments::Check).is_err());
        assert_eq!(record, before);
    }
    assert!(record.take(task, &lines[2], Commitments::Check).is_ok());
}

/// A round in which nobody's vector is, but that costs as much as one.
fn sent(task: &Task, record: &Replay, round: u32) -> Cohort {
    let context = record.context(task, round).unwrap().digest();
    let (senders, vector) = (vec![0, 1, 2], [5; 32]);
    let commitment = |who: u32| {
        let identity = identity(who as usize);
        let signed = messages::commitment(&context, who, &hash_senders(&senders), &vector);
        Commitment {
            participant: who,
            identity: hex(&identity.public()),
            vector: hex(&vector),
            signature: hex(&identity.sign(&signed)),
        }
    };
    Cohort {
        roster: nothing(),
        contributors: senders.iter().map(|who| commitment(*who)).collect(),
        senders,
    }
}

#[test]
fn aborted_rounds_cost_too_and_nothing_is_spent_beyond_the_budget() {
    let task = task(json!({
        "clip": 1.0,
        "secure_sum": { "cohort_min": 3 },
        "privacy": { "epsilon": 4.0, "noise_multiplier": 2.0 },
    }));
    let mut record = Replay::new(&task).unwrap();
    let mut lines = vec![record.open(&task, "f")];
    let mut told = Vec::new();
    let mut round = 0;
    while !record.is_spent(&task) {
        // A round in which nothing was sent costs nothing.
        for masked in [false, true] {
            let cohort = masked.then(|| sent(&task, &record, round));
            let reason = Err(AbortReason::TooFewUnmasked);
            let (entry, line, _) = record.conclude(&task, round, reason, cohort);
            told.push(entry.epsilon.unwrap());
            lines.push(line);
            round += 1;
        }
    }
    assert!(told.len() >= 4 && told[0] == 0.0, "{told:?}");
    assert!(told.chunks(2).all(|pair| pair[0] < pair[1]), "{told:?}");
    assert!(told.windows(3).step_by(2).all(|w| w[1] == w[2]), "{told:?}");
    assert!(*told.last().unwrap() <= rounded(4.0));
    let again = read(&task, &lines).unwrap();
    assert_eq!(
        (again.head(), again.ledger()),
        (record.head(), record.ledger())
    );
    // One more.
    let cohort = Some(sent(&task, &record, round));
    let (_, line, _) = record.conclude(&task, round, Err(AbortReason::Overflow), cohort);
    lines.push(line);
    assert_eq!(
        read(&task, &lines).err(),
        wrong(lines.len() as u32, What::Budget)
    );
}

#[test]
fn a_federation_without_masks_has_no_cohort() {
    let plain = task(json!({}));
    let mut record = Replay::new(&plain).unwrap();
    let first = record.open(&plain, "f");
    let update = || Sums::Plain {
        mean: vec![0.5; 8],
        metrics: Metrics::default(),
    };
    let good = record.clone().conclude(&plain, 0, Ok(update()), None).1;
    assert!(read(&plain, &[first.clone(), good]).is_ok());
    let cohort = Some(sent(&plain, &record, 0));
    let bad = record.clone().conclude(&plain, 0, Ok(update()), cohort).1;
    assert_eq!(read(&plain, &[first, bad]).err(), wrong(2, What::Members));
    // Nor is there one in simulations where nobody signs, but there are members.
    let unmasked = secure_task(json!({ "cohort_min": 3, "masks": false }));
    let mut cast = Rehearsal::new(unmasked, 4);
    cast.play_out();
    let record = read(&cast.task, cast.aggregator.lines(0)).unwrap();
    assert_eq!(record.parameters(), cast.aggregator.theta());
    let Line { entry, .. } = serde_json::from_str(&cast.aggregator.lines(1)[0]).unwrap();
    let Entry::Round(RoundEntry { cohort, .. }) = entry else {
        panic!()
    };
    assert_eq!(cohort.unwrap().contributors.len(), 4);
}

#[test]
fn an_aggregator_that_goes_on_from_its_place_writes_the_same() {
    let mut cast = Rehearsal::new(ENDED.0.clone(), 4);
    cast.play_to(1, Phase::Open);
    let here = cast.aggregator.record().clone();
    let mut stored = Replay::from(Checkpoint::of(&here));
    assert_eq!(
        stored.context(&cast.task, 1),
        here.clone().context(&cast.task, 1)
    );
    let cohort = Some(sent(&cast.task, &here, 1));
    let abort = || Err(AbortReason::TooFewUnmasked);
    let line = here
        .clone()
        .conclude(&cast.task, 1, abort(), cohort.clone())
        .1;
    assert_eq!(stored.conclude(&cast.task, 1, abort(), cohort).1, line);
    assert_eq!(stored.epsilon(&cast.task), {
        let mut reader = here;
        reader.take(&cast.task, &line, Commitments::Check).unwrap();
        reader.epsilon(&cast.task)
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_byte_of_what_was_continued_can_change(line in 0..3_usize, at in any::<prop::sample::Index>(), bit in 0..7_u8) {
        let (task, lines) = &*ENDED;
        let mut bytes = lines[line].clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let mut changed = lines.clone();
        // All of it is ASCII except for what a flipped bit makes of it.
        changed[line] = String::from_utf8_lossy(&bytes).into_owned();
        let difference = read(task, &changed).err();
        prop_assert!(difference.is_some_and(|d| d.line == line as u32 + 1 || d.line == line as u32 + 2), "{:?}", difference);
    }

    #[test]
    fn hashes_round_trip(seed in any::<u8>()) {
        let bytes = bytes(seed, b"hex");
        prop_assert_eq!(unhex(&hex(&bytes)), Some(bytes));
        prop_assert_eq!(unhex::<32>(&hex(&bytes)[1..]), None);
        prop_assert_eq!(unhex::<31>(&hex(&bytes)), None);
        prop_assert_eq!(unhex::<32>(&hex(&bytes).replace(['a', '1'], "g")).is_none(), hex(&bytes).contains(['a', '1']));
    }
}

/// A mapping that all learn together, as `[mapping]` says.
fn counting_task(federation: Value, mapping: Value) -> Task {
    let mut source = task(federation).source().clone();
    source["mapping"] = mapping;
    Task::from_value(source).unwrap()
}

#[test]
fn a_counting_round_comes_first_and_gives_everybody_the_same_mapping() {
    let secure = json!({ "clip": 1.0, "secure_sum": { "cohort_min": 3 } });
    for federation in [json!({}), secure, json!({ "combine": "median" })] {
        let mapping = json!({ "kind": "frequency", "rank": "lift" });
        let mut cast = Rehearsal::new(counting_task(federation, mapping), 4);
        // One example each: of more, nobody would learn how many exactly.
        cast.kits.iter_mut().for_each(|kit| kit.training = 1);
        cast.play_out();
        let records = cast.aggregator.records();
        assert_eq!(records.len(), 5, "{records:?}");
        let kinds: Vec<RoundKind> = records.iter().map(|r| r.kind).collect();
        assert_eq!(kinds[0], RoundKind::Counting);
        assert_eq!(kinds[1..], [RoundKind::Training; 4]);
        // θ did not move, and nothing was measured; the queries are reported.
        assert_eq!((records[0].step, records[1].step), (0, 0));
        assert_eq!(records[0].metrics.total, 0);
        assert_eq!(records[0].metrics.queries, 4);
        let initial = theta_hash(&cast.task.initial().unwrap());
        assert_eq!(records[0].theta, initial);

        let record = read(&cast.task, cast.aggregator.lines(0)).unwrap();
        let means = record.means().unwrap();
        assert_eq!(means.len(), cast.task.length_of(RoundKind::Counting));
        let mappings = record.mappings(&cast.task);
        for client in &cast.clients {
            assert_eq!(client.mappings(&cast.task), mappings);
        }
        // The mean of what the four reported, each with the same number of examples.
        let told = |who: f32| 1.0 / (2.0 + who);
        let expected = (told(0.0) + told(1.0) + told(2.0) + told(3.0)) / 4.0;
        assert!(
            means.iter().all(|m| (m - expected).abs() < 1e-4),
            "{means:?} {expected}"
        );
    }
}

#[test]
fn an_aborted_counting_round_is_tried_again() {
    let task = counting_task(json!({}), json!({ "calibrate": true }));
    let mut record = Replay::new(&task).unwrap();
    record.open(&task, "f");
    let abort = Err(AbortReason::TooFewEnrolled);
    record.conclude(&task, 0, abort, None);
    assert_eq!(record.kind(&task), RoundKind::Counting);
    // A list of another length, or with NaN, is not a count.
    for mean in [vec![0.5; 8], vec![f32::NAN; 2]] {
        let metrics = Metrics::default();
        let (entry, ..) = record.conclude(&task, 1, Ok(Sums::Plain { mean, metrics }), None);
        assert!(entry.aborted.is_some());
        record.round = 1;
    }
    let sums = Sums::Plain {
        mean: vec![0.5, 0.25],
        metrics: Metrics::default(),
    };
    record.conclude(&task, 1, Ok(sums), None);
    assert_eq!(
        (record.step(), record.kind(&task)),
        (0, RoundKind::Training)
    );
    let mappings = record.mappings(&task).unwrap();
    let scores = mappings
        .prompted
        .apply(&[64.0, 32.0], model_client::OutputKind::Logits);
    assert_eq!(scores, [0.0, 0.0]);
}

#[test]
fn patience_ends_a_federation_and_the_best_is_kept() {
    let task = task(json!({ "rounds": 50, "patience": 3 }));
    let mut record = Replay::new(&task).unwrap();
    record.open(&task, "f");
    let mut last = Vec::new();
    // Better to step 2, then worse: (right of 100 with θ_t, mean loss).
    let course = [
        (20, 2.0),
        (50, 1.0),
        (90, 0.5),
        (40, 0.7),
        (30, 0.5),
        (20, 0.9),
    ];
    for (round, (correct, loss)) in course.into_iter().enumerate() {
        assert!(!record.is_over(&task), "round {round}");
        if round == 2 {
            last = record.parameters().to_vec();
        }
        let metrics = Metrics {
            correct,
            total: 100,
            loss: 100.0 * loss,
            queries: 0,
            unprompted: Some(20),
        };
        let sums = Sums::Plain {
            mean: vec![0.1; task.dim()],
            metrics,
        };
        record.conclude(&task, round as u32, Ok(sums), None);
        // Stored as JSON and read again, it decides the same.
        record = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
    }
    assert!(record.is_over(&task));
    assert_eq!(record.choice().unwrap().keep, Keep::Earlier);
    assert_eq!(record.choice().unwrap().measured.step, 2);
    assert_eq!(record.kept(), Some(&last[..]));
    assert_ne!(record.parameters(), last);
}

/// What an optimiser learns from the common movement is not written anywhere: a reader of the
/// record recomputes it.
#[test]
fn what_hiso_learns_follows_from_the_record() {
    use crate::round::client::{Action, Purpose};
    for federation in [
        json!({ "rule": "scalars" }),
        json!({ "rule": "scalars", "clip": 1.0, "secure_sum": { "cohort_min": 3 } }),
    ] {
        let mut source = task(federation).source().clone();
        source["optimizer"]["kind"] = json!("hiso");
        let task = Task::from_value(source).unwrap();
        let mut cast = Rehearsal::new(task, 3);
        let step =
            |action: &Action| matches!(action, Action::Evaluate(e) if e.purpose == Purpose::Step);
        let Action::Evaluate(first) = cast.lead(0, step) else {
            panic!("no step")
        };
        assert!(first.points.is_empty());
        cast.play_to(2, Phase::Open);
        let record = read(&cast.task, cast.aggregator.lines(0)).unwrap();
        assert!(record.state().second.iter().any(|h| *h != 1.0));
        for who in 0..3 {
            let Action::Evaluate(later) = cast.lead(who, step) else {
                panic!("no step")
            };
            let memory = &record.state().second;
            for (number, candidate) in later.candidates.iter().enumerate() {
                let mut expected = later.theta.clone();
                if let Some(direction) = candidate.direction {
                    direction.for_each(expected.len(), |i, delta| {
                        expected[i] += candidate.scale * (1.0 / memory[i].sqrt()) * delta;
                    });
                }
                assert_eq!(later.points.get(number), Some(&expected[..]));
            }
        }
        cast.play_out();
        let record = read(&cast.task, cast.aggregator.lines(0)).unwrap();
        assert_eq!((record.step(), record.state().second.len()), (4, 8));
        // A restored aggregator has it from its own store.
        let stored = record.state().clone();
        assert_eq!(*cast.aggregator.record().state(), stored);
    }
}
