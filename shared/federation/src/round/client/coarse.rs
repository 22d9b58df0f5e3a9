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

/// One of the two powers of two around `count`; over all offsets the mean is `count`, to 9%. 0 for 0.
fn power_of_two(count: u32, offset: f64) -> u32 {
    if count == 0 {
        return 0;
    }
    let exponent = libm::floor(libm::log2(f64::from(count)) + offset);
    1 << (exponent as u32).min(30)
}

#[cfg(test)]
mod tests;
