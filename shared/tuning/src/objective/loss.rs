//! The losses of label scores. They use `libm` and not the platform's `exp` and `ln`, for the same
//! bits everywhere.

use serde::{Deserialize, Serialize};

/// The loss of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Loss {
    /// −log softmax(scores)\[label\].
    CrossEntropy,
    /// max(0, margin + best other score − the true label's score), as in score-based black-box
    /// attacks.
    Margin {
        /// Lead that the true label's score must have for a loss of 0.
        margin: f32,
    },
    /// −(1 − p)^γ log p with p = softmax(scores)\[label\], in which answers that are right already
    /// count for little (Lin et al., ICCV 2017; the loss of BAR).
    Focal {
        /// Focusing exponent γ; 0 is cross-entropy.
        gamma: f32,
    },
}

impl Loss {
    /// The loss of `scores` (one for each label) if `label` is the true one. A task with a single
    /// label has loss 0.
    #[must_use]
    pub fn of(&self, scores: &[f32], label: usize) -> f32 {
        match *self {
            Self::CrossEntropy => log_sum_exp(scores) - scores[label],
            Self::Margin { margin } => {
                let others = scores
                    .iter()
                    .enumerate()
                    .filter(|(i, _)| *i != label)
                    .map(|(_, s)| *s);
                let best = others.fold(f32::NEG_INFINITY, f32::max);
                if best == f32::NEG_INFINITY {
                    0.0
                } else {
                    (margin + best - scores[label]).max(0.0)
                }
            }
            Self::Focal { gamma } => {
                let loss = Self::CrossEntropy.of(scores, label);
                let rest = (1.0 - libm::expf(-loss)).max(0.0);
                libm::powf(rest, gamma) * loss
            }
        }
    }

    /// The derivatives of [`Loss::of`] by the scores, as many as there are.
    #[must_use]
    pub fn slopes(&self, scores: &[f32], label: usize) -> Vec<f32> {
        let mut slopes = softmax(scores);
        let p = slopes[label];
        match *self {
            Self::CrossEntropy => slopes[label] -= 1.0,
            Self::Margin { .. } => {
                let lost = self.of(scores, label) > 0.0;
                let others = (0..scores.len()).filter(|i| *i != label);
                let best = others.fold(label, |best, i| {
                    if best == label || scores[i] > scores[best] {
                        i
                    } else {
                        best
                    }
                });
                slopes.fill(0.0);
                if lost && best != label {
                    (slopes[best], slopes[label]) = (1.0, -1.0);
                }
            }
            Self::Focal { gamma } => {
                // d/dlog p of −(1 − p)^γ log p, times d log p/d score.
                let rest = (1.0 - p).max(0.0);
                let log = log_probability(p);
                let steep = if rest > 0.0 {
                    gamma * libm::powf(rest, gamma - 1.0) * p * log
                } else {
                    0.0
                };
                let factor = libm::powf(rest, gamma) - steep;
                slopes[label] -= 1.0;
                slopes.iter_mut().for_each(|s| *s *= factor);
            }
        }
        slopes
    }
}

/// Computes log Σ exp(score) without overflow.
#[must_use]
pub fn log_sum_exp(scores: &[f32]) -> f32 {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = scores.iter().map(|s| libm::expf(s - largest)).sum();
    largest + libm::logf(sum)
}

/// Computes the softmax of the scores, exp / Σ exp.
#[must_use]
pub fn softmax(scores: &[f32]) -> Vec<f32> {
    let normaliser = log_sum_exp(scores);
    scores.iter().map(|s| libm::expf(s - normaliser)).collect()
}

/// Smallest probability whose logarithm is taken.
const LEAST_PROBABILITY: f32 = 1e-12;

/// Computes log p of a probability. Values below 1e-12 count as 1e-12, so that the result stays
/// finite.
pub(super) fn log_probability(p: f32) -> f32 {
    libm::logf(p.max(LEAST_PROBABILITY))
}

/// Index of the largest value; the first of several that are equal.
#[must_use]
pub fn argmax(scores: &[f32]) -> usize {
    let mut best = 0;
    for (i, s) in scores.iter().enumerate() {
        if *s > scores[best] {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cross_entropy_by_hand() {
        let loss = Loss::CrossEntropy.of(&[0.0, 0.0], 0);
        assert!((loss - core::f32::consts::LN_2).abs() < 1e-6);
        assert!(Loss::CrossEntropy.of(&[1000.0, -1000.0], 1).is_finite());
        assert_eq!(Loss::CrossEntropy.of(&[3.0], 0), 0.0);
    }

    #[test]
    fn slopes_are_the_derivatives() {
        let scores = [0.3f32, -1.2, 0.9, 0.1];
        for loss in [
            Loss::CrossEntropy,
            Loss::Margin { margin: 0.5 },
            Loss::Margin { margin: 0.0 },
            Loss::Focal { gamma: 2.0 },
            Loss::Focal { gamma: 0.0 },
        ] {
            for label in 0..scores.len() {
                let slopes = loss.slopes(&scores, label);
                for (i, slope) in slopes.iter().enumerate() {
                    let at = |step: f32| {
                        let mut moved = scores;
                        moved[i] += step;
                        loss.of(&moved, label)
                    };
                    let difference = (at(1e-2) - at(-1e-2)) / 2e-2;
                    assert!((slope - difference).abs() < 2e-3, "{loss:?} {label} {i}");
                }
            }
        }
        assert_eq!(Loss::Margin { margin: 1.0 }.slopes(&[3.0], 0), [0.0]);
    }

    #[test]
    fn margin_by_hand() {
        let margin = Loss::Margin { margin: 0.5 };
        assert_eq!(margin.of(&[1.0, 3.0, 2.0], 1), 0.0);
        assert_eq!(margin.of(&[1.0, 3.0, 2.0], 2), 1.5);
        assert_eq!(margin.of(&[1.0], 0), 0.0);
    }

    #[test]
    fn focal_by_hand() {
        let even = Loss::Focal { gamma: 2.0 }.of(&[1.0, 1.0], 0);
        assert!((even - 0.25 * core::f32::consts::LN_2).abs() < 1e-6);
        let scores = [0.3, -1.0, 2.0];
        let plain = Loss::CrossEntropy.of(&scores, 1);
        assert_eq!(Loss::Focal { gamma: 0.0 }.of(&scores, 1), plain);
        // A sure and right answer has loss 0; a sure and wrong one has the same loss for every γ.
        for gamma in [0.5, 2.0, 5.0] {
            let focal = Loss::Focal { gamma };
            assert_eq!(focal.of(&[90.0, -90.0], 0), 0.0);
            assert!((focal.of(&[90.0, -90.0], 1) - 180.0).abs() < 1e-3);
            assert_eq!(focal.of(&[3.0], 0), 0.0);
        }
    }

    #[test]
    fn softmax_sums_to_one() {
        assert!((softmax(&[1.0, 2.0, 700.0]).iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }
}
