//! What a mapping is learnt from: sums over the model's answers to labelled examples, without a
//! prompt and, where θ₀ already changes the input, also at θ₀
//! (`federation::task::Task::counts_twice`). They add up over participants, so a whole federation
//! learns one mapping in a *counting round* and nobody sees another participant's counts.
//!
//! Only what the mapping's ranking needs is counted. Every number is a mean over examples and lies
//! in [−1, 1]: probabilities as they are, logits clipped to ±[`LOGIT_MOST`] and divided by it. So a
//! weighted mean of the participants' means is the mean over all examples, and no sum of them can
//! leave its range.

use super::loss::{log_probability, softmax};
use crate::query::OutputKind;
use serde::{Deserialize, Serialize};

/// Bound of the logits that are counted; larger magnitudes count as this one. No known classifier
/// exceeds it, and a power of two divides exactly.
pub const LOGIT_MOST: f32 = 128.0;

/// Maximum number of values in one message.
pub const MOST: usize = 4_000_000;

/// What is counted of each answer, for C classes and L labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Counted {
    /// Examples by label, and the probability of each class by label: L + L·C numbers.
    Probabilities,
    /// Examples by label, the logit of each class by label, and its square: L + L·C + C numbers.
    Logits,
    /// The mean logit of each class, over all labels: C numbers.
    Means,
}

impl Counted {
    /// Number of values that are counted, given L labels and C classes.
    #[must_use]
    pub fn length(self, labels: usize, classes: usize) -> usize {
        match self {
            Self::Probabilities => labels * (1 + classes),
            Self::Logits => labels * (1 + classes) + classes,
            Self::Means => classes,
        }
    }
}

/// The counts of one participant.
#[derive(Clone, Debug, PartialEq)]
pub struct Counts {
    counted: Counted,
    labels: usize,
    classes: usize,
    examples: u32,
    sums: Vec<f64>,
}

impl Counts {
    /// Starts a count with nothing in it.
    #[must_use]
    pub fn new(counted: Counted, labels: usize, classes: usize) -> Self {
        Self {
            counted,
            labels,
            classes,
            examples: 0,
            sums: vec![0.0; counted.length(labels, classes)],
        }
    }

    /// Counts the model's answer `row` (C numbers) to one example of the given label.
    pub fn count(&mut self, row: &[f32], label: usize, output: OutputKind) {
        let logits: Vec<f32> = match output {
            OutputKind::Logits => row.to_vec(),
            OutputKind::Probabilities => row.iter().map(|p| log_probability(*p)).collect(),
        };
        self.examples += 1;
        let values: Vec<f64> = match self.counted {
            Counted::Probabilities => softmax(&logits).into_iter().map(f64::from).collect(),
            Counted::Logits | Counted::Means => logits.iter().map(|l| within(*l)).collect(),
        };
        if self.counted == Counted::Means {
            self.sums.iter_mut().zip(values).for_each(|(s, v)| *s += v);
            return;
        }
        let (by_label, rest) = self.sums.split_at_mut(self.labels);
        let (cells, squares) = rest.split_at_mut(self.labels * self.classes);
        by_label[label] += 1.0;
        let cells = cells[label * self.classes..].iter_mut();
        cells.zip(&values).for_each(|(s, v)| *s += v);
        let squares = squares.iter_mut();
        squares.zip(&values).for_each(|(s, v)| *s += v * v);
    }

    /// The means over all examples counted, [`Counted::length`] numbers: what one participant
    /// contributes.
    #[must_use]
    pub fn means(&self) -> Vec<f32> {
        let examples = f64::from(self.examples.max(1));
        let mean = |s: &f64| (s / examples) as f32;
        self.sums.iter().map(mean).collect()
    }
}

/// Scales a logit into [−1, 1]; NaN counts as 0.
fn within(logit: f32) -> f64 {
    if logit.is_nan() {
        return 0.0;
    }
    f64::from(logit.clamp(-LOGIT_MOST, LOGIT_MOST) / LOGIT_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weighted_mean_of_means_is_the_mean_of_the_union() {
        for counted in [Counted::Probabilities, Counted::Logits, Counted::Means] {
            let new = || Counts::new(counted, 2, 3);
            let (mut a, mut b, mut union) = (new(), new(), new());
            let rows = [
                [3.0, 1.0, 0.0],
                [0.0, 3.0, 1e9],
                [-2.0, 1.0, f32::NAN],
                [0.0, -2.0, -1e9],
            ];
            for (i, row) in rows.iter().enumerate() {
                // A value that is not a number has no probability either.
                if counted == Counted::Probabilities && i == 2 {
                    continue;
                }
                let mine = if i < 1 { &mut a } else { &mut b };
                mine.count(row, i % 2, OutputKind::Logits);
                union.count(row, i % 2, OutputKind::Logits);
            }
            assert_eq!(union.means().len(), counted.length(2, 3));
            let weight = |c: &Counts| f64::from(c.examples) / f64::from(union.examples);
            let both = a.means().into_iter().zip(b.means());
            for ((mine, theirs), all) in both.zip(union.means()) {
                let mean = weight(&a) * f64::from(mine) + weight(&b) * f64::from(theirs);
                assert!((mean - f64::from(all)).abs() < 1e-6, "{counted:?}");
                assert!((-1.0..=1.0).contains(&all), "{counted:?} {all}");
            }
        }
    }
}
