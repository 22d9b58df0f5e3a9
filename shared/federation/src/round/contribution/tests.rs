use super::*;
use crate::round::rehearsal::{bytes, task};
use crate::rules::settings::Federation;
use privacy::{Ledger, epsilon_of};
use proptest::prelude::*;
use secure_sum::encoding::Ring;
use serde_json::{Value, json};

fn federation(more: Value) -> Federation {
    task(more).federation
}

fn exact(clip: f64, cohort_max: u32, max_examples: u32, length: usize) -> Contribution {
    let federation = federation(json!({
        "clip": clip,
        "secure_sum": { "cohort_min": 3, "cohort_max": cohort_max, "max_examples": max_examples },
    }));
    Contribution::new(&federation, length).unwrap().unwrap()
}

fn noisy(privacy: Value, cohort: (u32, u32), length: usize) -> Contribution {
    let federation = federation(json!({
        "clip": 1.0,
        "privacy": privacy,
        "secure_sum": { "cohort_min": cohort.0, "survivors_min": cohort.0, "cohort_max": cohort.1 },
    }));
    Contribution::new(&federation, length).unwrap().unwrap()
}

const METRICS: Metrics = Metrics {
    correct: 3,
    total: 4,
    loss: 2.5,
    queries: 70,
    unprompted: Some(2),
};

fn norm(vector: &[f32]) -> f64 {
    vector
        .iter()
        .map(|x| f64::from(*x).powi(2))
        .sum::<f64>()
        .sqrt()
}

fn add_up(contribution: &Contribution, vectors: &[RingVector]) -> Vec<i64> {
    let mut sum = RingVector::zero(contribution.layout());
    vectors.iter().for_each(|v| sum.add(v).unwrap());
    sum.integers()
}

#[test]
fn nothing_is_encoded_where_updates_are_sent_as_they_are() {
    let plain = federation(json!({ "clip": 1.0 }));
    assert_eq!(Contribution::new(&plain, 8), Ok(None));
}

/// Five owners whose noise hides single examples, 100 of which are asked in a round.
fn by_example(rounds: u32, participations: u32) -> Contribution {
    let source = json!({
        "name": "t",
        "model": { "url": "http://127.0.0.1:1", "name": "m", "input": { "height": 8, "width": 8 }, "output": { "classes": 2 } },
        "data": { "labels": ["a", "b"] },
        "generator": { "kind": "statistic", "grid": 2, "statistics": 1 },
        "optimizer": { "kind": "node-perturbation" },
        "federation": {
            "rounds": rounds, "local_steps": 1, "batch": 100, "clip": 1.0,
            "privacy": { "epsilon": 4.0, "unit": "example", "participations": participations },
            "secure_sum": { "cohort_min": 5, "survivors_min": 5, "cohort_max": 8 },
        },
    });
    let task = crate::task::Task::from_value(source).unwrap();
    task.contribution().unwrap().clone()
}

#[test]
fn noise_for_examples_is_a_hundredth_and_pays_for_their_own_sums() {
    let whole = noisy(json!({ "epsilon": 4.0 }), (5, 8), 8);
    let (once, often) = (by_example(40, 1), by_example(40, 10));
    // In units of what one example changes; a participant's update is in all of the four rounds.
    let deviation = |c: &Contribution| {
        let noise = c.noise.as_ref().unwrap();
        noise.mechanism.standard_deviation(5)
    };
    assert!(deviation(&often) < 0.05 * deviation(&whole));
    assert!(often.noise_multiplier() > once.noise_multiplier());
    // As many sums as one example may be in cost ε, and no more is ever counted.
    let mut spent = Ledger::new();
    for _ in 0..40 {
        often.pay(&mut spent).unwrap();
    }
    let epsilon = spent.epsilon(often.limits().unwrap().delta);
    assert!((3.9..=4.0).contains(&epsilon), "{epsilon}");
    // A held-out example is in all 40 sums: together they tell less than its ten would.
    let noise = often.noise.as_ref().unwrap();
    let least = noise.mechanism.share_variance() as f64 * 5.0;
    let (scale, d) = (often.fixed.scale(), often.layout.entries as f64);
    let change = noise.metrics_share * 1.0 / 100.0 * scale + 2.0 * d.sqrt();
    assert!(40.0 * change * change / (2.0 * least) <= 10.0 * often.rho());
}

#[test]
fn accuracy_is_reported_with_noise_for_examples_and_losses_are_not() {
    let contribution = by_example(4, 2);
    let metrics = Metrics {
        correct: 150,
        total: 200,
        loss: 9e9,
        queries: 5,
        unprompted: Some(3),
    };
    let vectors: Vec<RingVector> = (0..5)
        .map(|seed| {
            contribution
                .encode(&[0.0; 8], 9, &metrics, &[seed; 32])
                .unwrap()
        })
        .collect();
    let decoded = contribution
        .decode(&add_up(&contribution, &vectors), 5)
        .unwrap();
    assert!(
        (f64::from(decoded.metrics.correct) / f64::from(decoded.metrics.total) - 0.75).abs() < 0.2,
        "{decoded:?}"
    );
    let loss = decoded.metrics.loss / f64::from(decoded.metrics.total);
    assert!(loss < 0.2 * LOSS_RANGE, "{decoded:?}");
}

#[test]
fn what_is_no_number_is_refused() {
    let contribution = exact(1.0, 10, 100, 2);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let encoded = contribution.encode(&[0.5, bad], 1, &METRICS, &[0; 32]);
        assert_eq!(encoded, Err(ContributionError::NotFinite));
    }
    // An update of another length is not of this task.
    assert!(contribution.encode(&[0.5], 1, &METRICS, &[0; 32]).is_err());
}

#[test]
fn long_updates_keep_their_direction_and_are_counted() {
    let contribution = exact(0.5, 3, 100, 2);
    for (update, clipped) in [
        ([3.0, -4.0], 1),
        ([0.3, -0.39], 0),
        ([0.3, -0.41], 1),
        ([3e30, -4e30], 1),
        ([0.0, 0.0], 0),
    ] {
        let vector = contribution
            .encode(&update, 100, &METRICS, &[1; 32])
            .unwrap();
        let decoded = contribution.decode(&vector.integers(), 1).unwrap();
        assert_eq!(decoded.clipped, clipped, "{update:?}");
        if clipped == 1 {
            assert!((norm(&decoded.mean) - 0.5).abs() < 1e-5, "{decoded:?}");
            let slope = f64::from(update[1]) / f64::from(update[0]);
            assert!((f64::from(decoded.mean[1] / decoded.mean[0]) - slope).abs() < 1e-4);
        }
    }
}

#[test]
fn examples_weigh_up_to_a_limit() {
    let contribution = exact(1.0, 3, 10, 1);
    let encode = |x: f32, examples| {
        contribution
            .encode(&[x], examples, &METRICS, &[examples as u8; 32])
            .unwrap()
    };
    let mean = |vectors: &[RingVector]| {
        let sum = add_up(&contribution, vectors);
        let decoded = contribution.decode(&sum, vectors.len() as u32).unwrap();
        (decoded.mean[0], decoded.weight)
    };
    let (three, one) = (encode(1.0, 6), encode(-1.0, 2));
    let (x, weight) = mean(&[three, one.clone()]);
    assert!((x - 0.5).abs() < 1e-5);
    assert_eq!(weight, 8.0);
    // A million examples count as ten.
    let (x, weight) = mean(&[encode(1.0, 1_000_000), encode(-1.0, 10)]);
    assert!(x.abs() < 1e-5);
    assert_eq!(weight, 20.0);
    // No examples give no mean.
    assert_eq!(contribution.decode(&encode(1.0, 0).integers(), 1), None);
}

#[test]
fn a_seed_decides_and_nothing_else() {
    for contribution in [
        exact(1.0, 10, 1_000, 64),
        noisy(json!({ "epsilon": 8.0 }), (3, 10), 64),
    ] {
        let update: Vec<f32> = (0..64).map(|i| (i as f32).sin() / 20.0).collect();
        let encode = |seed| {
            contribution
                .encode(&update, 17, &METRICS, &[seed; 32])
                .unwrap()
        };
        assert_eq!(encode(1), encode(1));
        assert_ne!(encode(1), encode(2));
    }
}

#[test]
fn no_cohort_overflows() {
    for (clip, cohort_max) in [
        (1.0, 3),
        (1.0, 300),
        (1.0, 10_000),
        (1e-6, 10_000),
        (1e6, 10_000),
        (0.3, 1_237),
    ] {
        let contribution = exact(clip, cohort_max, 1_000_000, 2);
        let greatest = Metrics {
            correct: u32::MAX,
            total: u32::MAX,
            loss: 1e300,
            queries: u32::MAX,
            unprompted: Some(u32::MAX),
        };
        for sign in [1.0, -1.0] {
            let update = [sign * clip as f32 * 100.0, 0.0];
            let metrics = Metrics {
                loss: f64::from(sign) * greatest.loss,
                ..greatest
            };
            let one = contribution
                .encode(&update, u32::MAX, &metrics, &[3; 32])
                .unwrap();
            // In the ring, and without one.
            let mut sum = RingVector::zero(contribution.layout());
            let mut wide = [0_i128; 9];
            for _ in 0..cohort_max {
                sum.add(&one).unwrap();
                wide.iter_mut()
                    .zip(one.integers())
                    .for_each(|(w, x)| *w += i128::from(x));
            }
            let integers: Vec<i128> = sum.integers().into_iter().map(i128::from).collect();
            assert_eq!(integers, wide, "clip {clip}, {cohort_max} participants");
            assert!(integers[0] != 0 && (integers[0] > 0) == (sign > 0.0));
        }
    }
    // A small cohort needs half the bytes.
    assert_eq!(exact(1.0, 300, 1_000, 2).layout().ring, Ring::U32);
}

#[test]
fn counts_are_bounded_one_by_one_and_add_up() {
    let federation = federation(json!({
        "clip": 1e-3,
        "secure_sum": { "cohort_min": 3, "cohort_max": 10_000, "max_examples": 100 },
    }));
    let contribution = Contribution::counting(&federation, 3).unwrap().unwrap();
    let encode = |means: [f32; 3], examples| {
        contribution.encode(&means, examples, &Metrics::default(), &[5; 32])
    };
    let sum = |vectors: &[RingVector]| {
        let count = vectors.len() as u32;
        contribution.decode(&add_up(&contribution, vectors), count)
    };
    // Whatever the norm bound of updates, but at most 1 each.
    let (a, b) = (
        encode([1.0, 0.5, -1.0], 10).unwrap(),
        encode([0.0, 7.0, -9.0], 30).unwrap(),
    );
    let decoded = sum(&[a, b]).unwrap();
    assert_eq!((decoded.weight, decoded.clipped), (40.0, 1));
    for (mean, expected) in decoded.mean.iter().zip([0.25, 0.875, -1.0]) {
        assert!((mean - expected).abs() < 1e-3, "{:?}", decoded.mean);
    }
    // As many as a cohort may have, each as large as possible.
    let most = encode([1.0, -1.0, 1.0], 100).unwrap();
    let decoded = sum(&vec![most; 10_000]).unwrap();
    assert_eq!(decoded.mean, [1.0, -1.0, 1.0]);
    assert!(encode([f32::NAN, 0.0, 0.0], 1).is_err());
}

#[test]
fn noise_leaves_room_too() {
    for (cohort, epsilon, length) in [
        ((3, 8), 0.5, 8),
        ((10, 300), 2.0, 576),
        ((100, 10_000), 8.0, 576),
        ((3, 10_000), 0.1, 5_000),
    ] {
        let contribution = noisy(json!({ "epsilon": epsilon }), cohort, length);
        let noise = contribution.noise.as_ref().unwrap();
        let radius = f64::from(noise.norm) * contribution.fixed.scale();
        let most =
            f64::from(cohort.1) * (radius + 1.0) + noise.mechanism.noise_bound(cohort.1) as f64;
        let room = match contribution.layout().ring {
            Ring::U32 => 2.0_f64.powi(31),
            Ring::U64 => 2.0_f64.powi(63),
        };
        assert!(most < room, "{cohort:?}: {most} of {room}");
    }
}

#[test]
fn sums_of_many_participants_metrics_are_still_read() {
    // Each has fewer examples than allowed, all together have more.
    let contribution = exact(1.0, 10_000, 1_000, 1);
    let one = Metrics {
        correct: 9_000,
        total: 20_000,
        loss: 12_345.5,
        queries: 100_000,
        unprompted: Some(8_000),
    };
    let vector = contribution.encode(&[0.5], 10, &one, &[0; 32]).unwrap();
    let sum: Vec<i64> = vector.integers().iter().map(|x| 5_000 * x).collect();
    let decoded = contribution.decode(&sum, 5_000).unwrap();
    assert_eq!(decoded.metrics.correct, 45_000_000);
    assert_eq!(decoded.metrics.total, 100_000_000);
    assert_eq!(decoded.metrics.loss, 5_000.0 * 12_345.5);
    assert_eq!(decoded.metrics.queries, 500_000_000);
    assert_eq!(decoded.metrics.unprompted, Some(40_000_000));
}

#[test]
fn counters_beyond_sense_are_no_sum() {
    let contribution = exact(1.0, 10, 100, 1);
    let sum = |counters: [i64; 7]| [&[5][..], &counters].concat();
    let good = sum([10, 3, 4, 0, 0, 0, 4]);
    assert!(contribution.decode(&good, 2).is_some());
    // The form from before the unprompted model was counted.
    let earlier = contribution.decode(&good[..7], 2).unwrap();
    assert_eq!(earlier.metrics.unprompted, None);
    for counters in [
        [0, 3, 4, 0, 0, 0, 0],
        [-5, 3, 4, 0, 0, 0, 0],
        [10, -1, 4, 0, 0, 0, 0],
        [10, 5, 4, 0, 0, 0, 0],
        [10, 3, i64::MAX, 0, 0, 0, 0],
        [10, i64::MIN, 4, 0, 0, 0, 0],
        [10, 3, 4, 0, 0, 0, 5],
        [10, 3, 4, 0, 0, 0, -1],
    ] {
        assert_eq!(contribution.decode(&sum(counters), 2), None, "{counters:?}");
    }
    // Nor is another length.
    for length in [0, 1, 6] {
        assert_eq!(contribution.decode(&vec![1; length], 2), None);
    }
}

#[test]
fn noise_has_the_variance_that_was_promised() {
    const LENGTH: usize = 20_000;
    let contribution = noisy(
        json!({ "epsilon": 100.0, "noise_multiplier": 2.0 }),
        (5, 50),
        LENGTH,
    );
    let noise = contribution.noise.as_ref().unwrap();
    let vectors: Vec<RingVector> = (0..5)
        .map(|who| {
            contribution
                .encode(
                    &vec![0.0; LENGTH],
                    10,
                    &Metrics::default(),
                    &bytes(who, b"n"),
                )
                .unwrap()
        })
        .collect();
    let sum = add_up(&contribution, &vectors);
    let entries: Vec<f64> = sum[..LENGTH].iter().map(|x| *x as f64).collect();
    let mean = entries.iter().sum::<f64>() / LENGTH as f64;
    let variance = entries.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / LENGTH as f64;
    // z times everything that one may contribute, split over the smallest number of survivors.
    let promised = (2.0 * f64::from(noise.norm) * contribution.fixed.scale()).powi(2);
    let ratio = variance / promised;
    // The sample variance of N normal numbers has the relative standard deviation √(2/N): five of
    // them.
    let slack = 5.0 * (2.0 / LENGTH as f64).sqrt();
    assert!(
        (1.0 - slack..1.0 + slack + 1e-3).contains(&ratio),
        "{ratio}"
    );
    assert!(
        mean.abs() < 5.0 * (promised / LENGTH as f64).sqrt(),
        "{mean}"
    );
    // One participant has a fifth of it.
    let one = vectors[0].integers();
    let alone = one[..LENGTH]
        .iter()
        .map(|x| (*x as f64).powi(2))
        .sum::<f64>()
        / LENGTH as f64;
    assert!((5.0 * alone / promised - 1.0).abs() < slack + 1e-3);
}

#[test]
fn under_noise_counters_say_nothing_and_all_weigh_the_same() {
    let contribution = noisy(
        json!({ "epsilon": 1e4, "noise_multiplier": 0.01 }),
        (3, 300),
        2,
    );
    let metrics = [
        METRICS,
        Metrics {
            correct: 0,
            total: 400,
            loss: 4_000.0,
            queries: 9,
            unprompted: Some(7),
        },
        Metrics::default(),
    ];
    let updates = [[0.6_f32, 0.0], [0.0, 0.3], [0.0, 0.0]];
    let vectors: Vec<RingVector> = (0..300)
        .map(|who| {
            let (update, metrics) = (&updates[who % 3], &metrics[who % 3]);
            let seed = bytes((who % 256) as u8, &[(who / 256) as u8]);
            contribution
                .encode(update, 1 + who as u32, metrics, &seed)
                .unwrap()
        })
        .collect();
    for vector in &vectors {
        assert_eq!(vector.integers()[4..], [1, 0, 0, 0, 0, 0, 0]);
    }
    let sum = add_up(&contribution, &vectors);
    let decoded = contribution.decode(&sum, 300).unwrap();
    assert_eq!((decoded.weight, decoded.clipped), (300.0, 0));
    assert!((decoded.mean[0] - 0.2).abs() < 1e-3, "{decoded:?}");
    assert!((decoded.mean[1] - 0.1).abs() < 1e-3, "{decoded:?}");
    // The mean of everybody's accuracy (¾, 0, 0) and of their mean loss (0.625, 10, 0).
    let total = f64::from(decoded.metrics.total);
    assert_eq!(decoded.metrics.total, 300_000);
    let accuracy = f64::from(decoded.metrics.correct) / total;
    assert!((accuracy - 0.25).abs() < 0.01, "{accuracy}");
    let loss = decoded.metrics.loss / total;
    assert!((loss - 10.625 / 3.0).abs() < 0.1, "{loss}");
    assert_eq!(decoded.metrics.queries, 0);
    assert_eq!(decoded.metrics.unprompted, None);
    assert_eq!(contribution.decode(&sum, 0), None);
}

#[test]
fn metrics_do_not_lengthen_what_one_participant_contributes() {
    // As long as an update may be, every answer right, and losses beyond the range.
    let contribution = noisy(
        json!({ "epsilon": 1e4, "noise_multiplier": 0.01 }),
        (3, 10),
        3,
    );
    let noise = contribution.noise.as_ref().unwrap();
    let metrics = Metrics {
        correct: 10,
        total: 10,
        loss: 1e9,
        queries: 0,
        unprompted: Some(10),
    };
    let scale = contribution.fixed.scale();
    for seed in 0..20 {
        let vector = contribution
            .encode(&[600.0, 0.0, -800.0], 1, &metrics, &[seed; 32])
            .unwrap();
        let squared: f64 = vector.integers()[..5]
            .iter()
            .map(|x| (*x as f64 / scale).powi(2))
            .sum();
        let bound = f64::from(noise.norm) + 10.0 * noise.mechanism.standard_deviation(1);
        assert!(squared.sqrt() <= bound, "{} of {bound}", squared.sqrt());
    }
}

#[test]
fn all_rounds_fit_into_epsilon_and_hardly_more_would() {
    for (epsilon, rounds) in [(0.5, 10), (2.0, 50), (8.0, 200)] {
        let federation = federation(json!({
            "rounds": rounds,
            "clip": 1.0,
            "privacy": { "epsilon": epsilon, "delta": 1e-6 },
            "secure_sum": { "cohort_min": 10 },
        }));
        let contribution = Contribution::new(&federation, 576).unwrap().unwrap();
        let mut ledger = Ledger::new();
        for _ in 0..rounds {
            assert!(!ledger.would_exceed(contribution.rho(), epsilon, 1e-6));
            ledger.compose(contribution.rho()).unwrap();
        }
        let more = f64::from(rounds) * 1.02 + 1.0;
        assert!(epsilon_of(more * contribution.rho(), 1e-6) > epsilon);
    }
    assert_eq!(exact(1.0, 10, 100, 1).rho(), 0.0);
    assert_eq!(exact(1.0, 10, 100, 1).limits(), None);
}

proptest! {
    #[test]
    fn the_sum_is_the_mean_to_one_unit_for_each_participant(
        clip in 1e-3_f32..100.0,
        max_examples in 1_u32..10_000,
        participants in prop::collection::vec(
            (prop::collection::vec(-1.0_f32..1.0, 5), 0.0_f32..3.0, 1_u32..20_000, any::<[u8; 32]>(), 0_u32..1_000, -1e3_f64..1e6),
            1..12,
        ),
    ) {
        let contribution = exact(f64::from(clip), 12, max_examples, 5);
        let (mut vectors, mut metrics) = (Vec::new(), Metrics::default());
        let (mut sum, mut weight, mut clipped) = ([0.0_f64; 5], 0.0_f64, 0);
        for (direction, length, examples, seed, correct, loss) in &participants {
            let update: Vec<f32> = direction.iter().map(|x| clip * length * x).collect();
            let theirs = Metrics { correct: *correct, total: correct + 7, loss: *loss, queries: 3 * correct, unprompted: Some(correct / 2) };
            vectors.push(contribution.encode(&update, *examples, &theirs, seed).unwrap());
            metrics.add(&theirs);
            let factor = (f64::from(contribution.clip) / norm(&update)).min(1.0);
            clipped += u32::from(factor < 1.0);
            let w = f64::from((*examples).min(max_examples));
            weight += w;
            sum.iter_mut().zip(&update).for_each(|(s, x)| *s += w * factor * f64::from(*x));
        }
        let count = participants.len() as u32;
        let decoded = contribution.decode(&add_up(&contribution, &vectors), count).unwrap();
        prop_assert_eq!(decoded.weight, weight);
        prop_assert_eq!(decoded.clipped, clipped);
        let exactly = |m: &Metrics| (m.correct, m.total, m.queries, m.unprompted);
        prop_assert_eq!(exactly(&decoded.metrics), exactly(&metrics));
        prop_assert!((decoded.metrics.loss - metrics.loss).abs() <= f64::from(count) / LOSS_UNIT + 1e-6);
        // Every participant's entry is at most one unit off; the unit is that of w·Δ with w ≤ 1.
        let unit = f64::from(max_examples) / contribution.fixed.scale();
        for (ours, exact) in decoded.mean.iter().zip(&sum) {
            let exact = exact / weight;
            let slack = f64::from(count) * unit / weight + 1e-6 * f64::from(clip);
            prop_assert!((f64::from(*ours) - exact).abs() <= slack, "{} {} {}", ours, exact, slack);
        }
    }
}
