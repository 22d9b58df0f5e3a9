use super::*;
use crate::round::rehearsal;
use secure_sum::identity::Identity;
use serde_json::json;
use std::collections::BTreeSet;

fn report(person: u32, examples: u32, exact: &Metrics) -> Report {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&person.to_le_bytes());
    let secrets = Secrets {
        identity: Identity::from_seed(seed),
        entropy: Box::new(|| [0; 32]),
    };
    let task = rehearsal::secure_task(json!({}));
    Dither::new(&task, Some(&secrets)).report(examples, exact, false)
}

fn exact(correct: u32, total: u32) -> Metrics {
    Metrics {
        correct,
        total,
        loss: 1.3 * f64::from(total),
        queries: 1_024 + total,
        unprompted: Some(correct / 2),
    }
}

#[test]
fn many_counts_give_one_report() {
    // From any report, at least these many different counts are possible.
    for person in 0..20 {
        let mut reports = BTreeSet::new();
        let mut counts = 0;
        for total in 17..=32 {
            for correct in 0..=total {
                let made = report(person, 67, &exact(correct, total)).metrics;
                reports.insert((made.correct, made.total, made.unprompted, made.queries));
                counts += 1;
            }
        }
        assert!(counts >= 3 * reports.len(), "{counts} {}", reports.len());
    }
}

#[test]
fn a_report_never_changes_for_the_same_numbers() {
    let first = report(3, 67, &exact(4, 23));
    assert_eq!(report(3, 67, &exact(4, 23)), first);
    assert!(first.examples.is_power_of_two() && first.metrics.total.is_power_of_two());
    assert!(first.metrics.is_valid());
}

#[test]
fn over_many_people_the_rounding_evens_out() {
    let (mut right, mut total, mut loss) = (0, 0, 0.0);
    let (mut queries, people) = (0_u64, 4_000);
    for person in 0..people {
        let made = report(person, 67, &exact(4 + person % 9, 23 + person % 30)).metrics;
        right += made.correct;
        total += made.total;
        loss += made.loss;
        queries += u64::from(made.queries);
    }
    let accuracy = f64::from(right) / f64::from(total);
    // The mean of (4 … 12)/(23 … 52) by examples is 0.2133.
    assert!((accuracy - 0.2133).abs() < 0.01, "{accuracy}");
    assert!((loss / f64::from(total) - 1.3).abs() < 0.01);
    let mean = queries as f64 / f64::from(people);
    assert!((mean - 1_061.5).abs() < 10.0, "{mean}");
}

#[test]
fn few_and_none_are_reported_as_possible_numbers() {
    for person in 0..50 {
        for total in 0..4 {
            for correct in 0..=total {
                let made = report(person, 1 + total, &exact(correct, total));
                assert!(made.metrics.is_valid() && made.examples > 0);
                assert_eq!(made.metrics.total == 0, total == 0);
            }
        }
    }
}

#[test]
fn what_was_measured_is_not_reported_twice() {
    let task = rehearsal::secure_task(json!({}));
    let secrets = Secrets {
        identity: Identity::from_seed([1; 32]),
        entropy: Box::new(|| [0; 32]),
    };
    let made = Dither::new(&task, Some(&secrets)).report(67, &exact(4, 23), true);
    assert_eq!((made.metrics.total, made.metrics.unprompted), (0, Some(0)));
    // Without a long-term key there is nobody to protect.
    let made = Dither::new(&task, None).report(67, &exact(4, 23), false);
    assert_eq!((made.examples, made.metrics), (67, exact(4, 23)));
}
