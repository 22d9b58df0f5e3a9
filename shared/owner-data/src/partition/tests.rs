use proptest::prelude::*;

use super::*;

/// Labels of ten classes of different sizes, mixed.
fn labels(count: usize) -> Vec<usize> {
    (0..count).map(|i| (i * i + i / 7) % 10).collect()
}

fn assert_is_partition(parts: &[Vec<usize>], count: usize) {
    assert!(parts.iter().all(|part| !part.is_empty()));
    assert!(parts.iter().all(|part| part.is_sorted()));
    let mut all = parts.concat();
    all.sort_unstable();
    assert!(all.iter().copied().eq(0..count), "each index exactly once");
}

#[test]
fn names_are_read_and_written() {
    for text in ["iid", "dirichlet:0.5", "dirichlet:100", "shards:2"] {
        assert_eq!(text.parse::<Partition>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "iid:",
        "iid:1",
        "dirichlet",
        "dirichlet:0",
        "dirichlet:-1",
        "dirichlet:nan",
        "dirichlet:inf",
        "shards:0",
        "shards:-1",
        "shards:1.5",
        "IID",
    ] {
        assert_eq!(
            text.parse::<Partition>(),
            Err(PartitionError::Unknown(text.into())),
            "{text}"
        );
    }
}

#[test]
fn impossible_splits_say_what_is_needed() {
    assert_eq!(
        Partition::Iid.split(&[0; 5], 0, 1),
        Err(PartitionError::NoParticipants)
    );
    let fault = Partition::Shards(2).split(&[0; 5], 3, 1).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "5 examples cannot be split among 3 participants as shards:2: at least 6 are needed"
    );
    assert!(matches!(
        Partition::Shards(usize::MAX).split(&[0; 5], 3, 1),
        Err(PartitionError::TooFew { .. })
    ));
}

#[test]
fn smaller_alpha_means_more_different_participants() {
    let labels = labels(2000);
    // Mean share of a participant's most frequent class.
    let skew = |partition: Partition| {
        let parts = partition.split(&labels, 10, 3).unwrap();
        assert_is_partition(&parts, labels.len());
        let share = |part: &Vec<usize>| {
            let most = (0..10)
                .map(|c| part.iter().filter(|&&i| labels[i] == c).count())
                .max();
            most.unwrap() as f64 / part.len() as f64
        };
        parts.iter().map(share).sum::<f64>() / 10.0
    };
    let (even, mild, strong) = (
        skew(Partition::Iid),
        skew(Partition::Dirichlet(1.0)),
        skew(Partition::Dirichlet(0.05)),
    );
    assert!(
        even + 0.05 < mild && mild + 0.15 < strong,
        "{even} {mild} {strong}"
    );
    assert!((skew(Partition::Dirichlet(1e6)) - even).abs() < 0.06);
}

#[test]
fn shards_hold_few_classes() {
    let labels: Vec<usize> = (0..1000).map(|i| i % 10).collect();
    let parts = Partition::Shards(2).split(&labels, 10, 1).unwrap();
    assert_is_partition(&parts, 1000);
    for part in parts {
        assert_eq!(part.len(), 100);
        let classes: std::collections::BTreeSet<usize> = part.iter().map(|&i| labels[i]).collect();
        assert!(classes.len() <= 2);
    }
}

#[test]
fn extreme_concentrations_still_feed_everybody() {
    for alpha in [f64::MIN_POSITIVE, 1e-9, 1e300, f64::MAX] {
        let parts = Partition::Dirichlet(alpha)
            .split(&labels(60), 50, 9)
            .unwrap();
        assert_is_partition(&parts, 60);
    }
}

#[test]
fn dirichlet_has_the_right_mean_and_variance() {
    for alpha in [0.3, 1.0, 4.0] {
        let mut stream = Stream::new(11, purpose::PARTITION);
        let draws: Vec<f64> = (0..20_000)
            .map(|_| dirichlet(alpha, 5, &mut stream)[2])
            .collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance =
            draws.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>() / draws.len() as f64;
        // Mean and variance of a share under a symmetric Dirichlet distribution with n shares: 1/n
        // and (1/n)(1 - 1/n)/(nα + 1).
        assert!((mean - 0.2).abs() < 0.006, "{alpha}: {mean}");
        let expected = 0.16 / (5.0 * alpha + 1.0);
        assert!(
            (variance / expected - 1.0).abs() < 0.05,
            "{alpha}: {variance} {expected}"
        );
    }
}

#[test]
fn holdout_is_stratified() {
    let labels: Vec<usize> = (0..1000).map(|i| usize::from(i % 5 == 0)).collect();
    let (train, held) = split_holdout(&labels, 0.2, 4);
    assert_eq!((train.len(), held.len()), (800, 200));
    assert_eq!(held.iter().filter(|&&i| labels[i] == 1).count(), 40);
    assert_ne!(held, split_holdout(&labels, 0.2, 5).1);
    let (train, held) = split_holdout(&[0, 0, 1, 2, 2], 0.01, 4);
    assert_eq!(held.len(), 2);
    assert!(train.contains(&2));
    assert_eq!(split_holdout(&[0, 1], 1.0, 1).0.len(), 0);
    assert_eq!(split_holdout(&[0, 1], f64::NAN, 1).1.len(), 0);
}

/// The frozen results that native and wasm must both reproduce.
#[test]
fn frozen_vectors() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../vectors/partition.json")).unwrap();
    for case in vectors["splits"].as_array().unwrap() {
        let partition: Partition = case["partition"].as_str().unwrap().parse().unwrap();
        let labels: Vec<usize> = serde_json::from_value(case["labels"].clone()).unwrap();
        let expected: Vec<Vec<usize>> = serde_json::from_value(case["parts"].clone()).unwrap();
        let seed = case["seed"].as_u64().unwrap();
        assert_eq!(
            partition.split(&labels, expected.len(), seed).unwrap(),
            expected,
            "{partition}"
        );
    }
    for case in vectors["holdouts"].as_array().unwrap() {
        let labels: Vec<usize> = serde_json::from_value(case["labels"].clone()).unwrap();
        let held: Vec<usize> = serde_json::from_value(case["held"].clone()).unwrap();
        let (fraction, seed) = (
            case["fraction"].as_f64().unwrap(),
            case["seed"].as_u64().unwrap(),
        );
        assert_eq!(split_holdout(&labels, fraction, seed).1, held);
    }
}

proptest! {
    #[test]
    fn every_split_is_a_partition(
        labels in prop::collection::vec(0usize..6, 1..120),
        participants in 1usize..12,
        rule in 0..3,
        alpha in 0.01f64..20.0,
        shards in 1usize..4,
        seed: u64,
    ) {
        let partition = match rule {
            0 => Partition::Iid,
            1 => Partition::Dirichlet(alpha),
            _ => Partition::Shards(shards),
        };
        match partition.split(&labels, participants, seed) {
            Ok(parts) => {
                prop_assert_eq!(parts.len(), participants);
                assert_is_partition(&parts, labels.len());
                prop_assert_eq!(partition.split(&labels, participants, seed).unwrap(), parts);
            }
            Err(PartitionError::TooFew { needed, .. }) => prop_assert!(labels.len() < needed),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn every_holdout_is_a_partition(labels in prop::collection::vec(0usize..4, 0..60), fraction in -0.5f64..1.5, seed: u64) {
        let (train, held) = split_holdout(&labels, fraction, seed);
        let mut all = [train, held.clone()].concat();
        all.sort_unstable();
        prop_assert!(all.into_iter().eq(0..labels.len()));
        if fraction > 0.0 && fraction < 1.0 {
            for members in by_class(&labels).iter().filter(|members| members.len() > 1) {
                let out = members.iter().filter(|i| held.contains(i)).count();
                prop_assert!(out > 0 && out < members.len());
            }
        }
    }
}
