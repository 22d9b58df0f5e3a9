//! Which model is kept in the end: the one without a prompt, the last θ, or an earlier one. It
//! follows from what the record reports about held-out examples, so that all participants make the
//! same choice; nobody must lose by taking part.
//!
//! Round t reports, for the same held-out examples of its participants, how many θ_t gets right and
//! how many the model gets right without a prompt. The gain g = (right − right without)/examples
//! compares rounds with different participants. The last θ was never measured; the measurement of
//! the round before stands for it.
//!
//! The numbers are noisy. The standard error of the difference of two accuracies p, q over n and m
//! examples is √(p(1 − p)/n + q(1 − q)/m) if the examples differ; here they are the same, and
//! answers correlate, so the true one is smaller. An earlier θ is kept if it is better than the
//! last by more than one standard error: neither mistake is worse. A prompt is kept only if it is
//! better than none beyond `DOUBT`: a gain that is not taken leaves the model as it was, while a
//! false one makes it worse. An earlier θ is the best of many, and some of many look better by
//! chance, so correspondingly less doubt is left to it (Bonferroni).

use crate::round::messages::Metrics;
use serde::{Deserialize, Serialize};

/// Maximum share of prompts without a gain that are kept.
const DOUBT: f64 = 0.05;

/// Standard errors by which the best of `tests` prompts must be better: the normal distribution's
/// upper quantile of [`DOUBT`]/`tests`, to 0.003 (Abramowitz and Stegun 26.2.22).
fn certainty(tests: u32) -> f64 {
    let t = (-2.0 * libm::log(DOUBT / f64::from(tests.max(1)))).sqrt();
    t - (2.307_53 + 0.270_61 * t) / (1.0 + 0.992_29 * t + 0.044_81 * t * t)
}

/// What a round reports about θ_t on held-out examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct Measured {
    /// Number t of the θ.
    pub step: u32,
    /// Number of right answers with θ_t.
    pub correct: u32,
    /// Number of right answers without a prompt.
    pub unprompted: u32,
    /// Number of examples.
    pub total: u32,
}

impl Measured {
    /// Reads it from metrics; `None` if nothing was measured, or the unprompted model was not.
    #[must_use]
    pub fn of(step: u32, metrics: &Metrics) -> Option<Self> {
        let unprompted = metrics.unprompted?;
        (metrics.total > 0).then_some(Self {
            step,
            correct: metrics.correct,
            unprompted,
            total: metrics.total,
        })
    }

    fn gain(&self) -> f64 {
        (f64::from(self.correct) - f64::from(self.unprompted)) / f64::from(self.total)
    }

    /// Returns whether it is better than no prompt by more than chance, as the best of `tests`.
    fn helps(&self, tests: u32) -> bool {
        let spread = variance(self.correct, self.total) + variance(self.unprompted, self.total);
        self.gain() > certainty(tests) * spread.sqrt()
    }
}

/// The variance p(1 − p)/n.
fn variance(right: u32, total: u32) -> f64 {
    let p = f64::from(right.min(total)) / f64::from(total);
    p * (1.0 - p) / f64::from(total)
}

/// Which model is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[derive(ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub enum Keep {
    /// The model as it is: no prompt was better by more than chance.
    Unprompted,
    /// The θ of an earlier round.
    Earlier,
    /// The last θ.
    Last,
}

/// Which model is kept, and the measurement that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct Choice {
    /// Which model is kept.
    pub keep: Keep,
    /// The measurement of the prompt that is kept, or of the best one if none is.
    pub measured: Measured,
}

/// The best measurement so far, and the latest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    best: Option<Measured>,
    latest: Option<Measured>,
    rounds: u32,
}

impl Tally {
    /// Takes a concluded round, in order. Returns whether θ_t is the best so far.
    pub fn take(&mut self, measured: Measured) -> bool {
        self.latest = Some(measured);
        self.rounds += 1;
        let better = self.best.is_none_or(|best| measured.gain() > best.gain());
        if better {
            self.best = Some(measured);
        }
        better
    }

    /// What to keep; `None` as long as nothing was measured.
    #[must_use]
    pub fn choose(&self) -> Option<Choice> {
        let (best, latest) = (self.best?, self.latest?);
        let spread = variance(best.correct, best.total) + variance(latest.correct, latest.total);
        let ahead = best.gain() - latest.gain();
        let is_ahead = ahead > spread.sqrt();
        let (keep, measured) = if is_ahead && best.helps(self.rounds) {
            (Keep::Earlier, best)
        } else if latest.helps(1) {
            (Keep::Last, latest)
        } else {
            (Keep::Unprompted, if is_ahead { best } else { latest })
        };
        Some(Choice { keep, measured })
    }
}

/// Chooses from the metrics of all concluded rounds, with the θ at which each was measured.
#[must_use]
pub fn choose<'a>(rounds: impl IntoIterator<Item = (u32, &'a Metrics)>) -> Option<Choice> {
    let mut tally = Tally::default();
    for (step, metrics) in rounds {
        if let Some(measured) = Measured::of(step, metrics) {
            tally.take(measured);
        }
    }
    tally.choose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(correct: u32, unprompted: u32, total: u32) -> Metrics {
        Metrics {
            correct,
            total,
            unprompted: Some(unprompted),
            ..Metrics::default()
        }
    }

    fn keeps(rounds: &[(u32, u32, u32)]) -> Option<(Keep, u32)> {
        let rounds: Vec<Metrics> = rounds.iter().map(|r| metrics(r.0, r.1, r.2)).collect();
        let chosen = choose((0..).zip(&rounds))?;
        Some((chosen.keep, chosen.measured.step))
    }

    #[test]
    fn what_is_kept() {
        // Clearly better than nothing, and ever better.
        let rising = [(40, 40, 100), (50, 40, 100), (60, 40, 100)];
        assert_eq!(keeps(&rising), Some((Keep::Last, 2)));
        // Better, then broken.
        let broken = [(40, 40, 100), (70, 40, 100), (45, 40, 100)];
        assert_eq!(keeps(&broken), Some((Keep::Earlier, 1)));
        // A little better before: noise.
        let noise = [(62, 40, 100), (60, 40, 100)];
        assert_eq!(keeps(&noise), Some((Keep::Last, 1)));
        // Worse than without a prompt, as good, or better by less than 1.645 standard errors (of
        // 0.07).
        for right in [30, 40, 51] {
            let last = keeps(&[(40, 40, 100), (right, 40, 100)]).map(|c| c.0);
            assert_eq!(last, Some(Keep::Unprompted), "{right}");
        }
        assert_eq!(keeps(&[(52, 40, 100)]), Some((Keep::Last, 0)));
        // The same with a hundred times as many examples is no noise.
        let many = [(4600, 4000, 10_000)];
        assert_eq!(keeps(&many), Some((Keep::Last, 0)));
    }

    #[test]
    fn the_best_of_many_must_be_better_by_more() {
        for (tests, quantile) in [(1, 1.6449), (20, 2.8070), (50, 3.0902)] {
            assert!((certainty(tests) - quantile).abs() < 3e-3, "{tests}");
        }
        // 16 points are twice the standard error.
        let rounds = |best: u32| {
            let mut rounds = vec![(42, 40, 100); 20];
            rounds[7] = (best, 40, 100);
            keeps(&rounds)
        };
        assert_eq!(rounds(56), Some((Keep::Unprompted, 7)));
        assert_eq!(rounds(61), Some((Keep::Earlier, 7)));
        // The last was not picked out.
        let mut rising = vec![(42, 40, 100); 20];
        rising.push((56, 40, 100));
        assert_eq!(keeps(&rising), Some((Keep::Last, 20)));
    }

    #[test]
    fn rounds_of_others_are_compared_by_their_gain() {
        // Second round: participants for whom the task is easier, and the prompt does nothing.
        let rounds = [(60, 30, 100), (90, 90, 100)];
        assert_eq!(keeps(&rounds), Some((Keep::Earlier, 0)));
    }

    #[test]
    fn nothing_measured_nothing_chosen() {
        assert_eq!(keeps(&[]), None);
        assert_eq!(keeps(&[(0, 0, 0)]), None);
        let untold = Metrics {
            unprompted: None,
            ..metrics(5, 0, 10)
        };
        assert_eq!(choose([(0, &untold)]), None);
    }
}
