//! What a participant reports besides its update, so coarse that no one learns its counts.
//!
//! Sums over people are public, and two rounds whose cohorts differ by one person differ by that
//! person's report. Exact counts would tell how many examples somebody has and how many of them were
//! answered right. So a report holds only powers of two and rounded shares of them, and all rounding
//! is decided by a secret of the participant's that never changes: averaging over rounds tells no
//! more than one round does. Over many participants the rounding evens out, because each has its own.

use super::{Metrics, Secrets};
use crate::task::Task;
use secure_sum::keystream::Keystream;

/// Steps into which a mean loss is rounded, for each unit.
const LOSS_STEPS: f64 = 16.0;
/// A number of queries is rounded to between this many and twice as many units.
const QUERY_UNITS: i32 = 2;

/// What goes into the sum besides the update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// The update's weight.
    pub examples: u32,
    /// The metrics at θ_t.
    pub metrics: Metrics,
}

/// A participant's secret offsets, each uniform in [0, 1).
pub struct Dither(Option<Offsets>);

struct Offsets {
    weight: f64,
    holdout: f64,
    right: f64,
    loss: f64,
    queries: f64,
}

impl Dither {
    /// Derives the offsets from the participant's long-term key. Reports stay exact without one,
    /// where the task adds noise, and where updates are not summed in secret: the aggregator sees
    /// every update then, and the page says so.
    #[must_use]
    pub fn new(task: &Task, secrets: Option<&Secrets>) -> Self {
        let (secure, noisy) = (&task.federation.secure, &task.federation.privacy);
        let coarse = secure.is_some() && noisy.is_none();
        Self(secrets.filter(|_| coarse).map(|secrets| {
            let seed = zeroize::Zeroizing::new(secrets.identity.seed());
            let mut stream = Keystream::new(&seed, b"coarse reports");
            // 53 bits, as many as an f64 holds.
            let mut offset = || (stream.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
            Offsets {
                weight: offset(),
                holdout: offset(),
                right: offset(),
                loss: offset(),
                queries: offset(),
            }
        }))
    }

    /// Makes a report from exact numbers. `again` says that an update from the same θ was sent
    /// before: then what was measured is not reported a second time.
    #[must_use]
    pub fn report(&self, examples: u32, exact: &Metrics, again: bool) -> Report {
        let Some(offsets) = &self.0 else {
            return Report {
                examples,
                metrics: *exact,
            };
        };
        let queries = offsets.queries(exact.queries);
        let metrics = if again || exact.total == 0 {
            Metrics {
                queries,
                ..Metrics::default()
            }
        } else {
            let total = power_of_two(exact.total, offsets.holdout);
            let scale = f64::from(total) / f64::from(exact.total);
            let right = |count: u32| {
                let scaled = libm::floor(f64::from(count) * scale + offsets.right);
                (scaled as u32).min(total)
            };
            let mean = exact.loss / f64::from(exact.total);
            Metrics {
                correct: right(exact.correct),
                total,
                loss: libm::floor(mean * LOSS_STEPS + offsets.loss) / LOSS_STEPS * f64::from(total),
                queries,
                unprompted: exact.unprompted.map(right),
            }
        };
        Report {
            examples: power_of_two(examples, offsets.weight),
            metrics,
        }
    }
}

impl Offsets {
    fn queries(&self, queries: u32) -> u32 {
        let magnitude = libm::log2(f64::from(queries.max(1))) as i32;
        let unit = f64::from(1_u32 << (magnitude - QUERY_UNITS).clamp(0, 31));
        (libm::floor(f64::from(queries) / unit + self.queries) * unit) as u32
    }
}

/// One of the powers of two around `count`, the nearer the likelier over all offsets; 0 for 0.
fn power_of_two(count: u32, offset: f64) -> u32 {
    if count == 0 {
        return 0;
    }
    let exponent = libm::floor(libm::log2(f64::from(count)) + offset - 0.5);
    1 << (exponent.max(0.0) as u32).min(30)
}

#[cfg(test)]
mod tests {
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
            assert!(counts >= 4 * reports.len(), "{counts} {}", reports.len());
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
}
