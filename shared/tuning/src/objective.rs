//! What is minimised: the loss of the black box's answers, after its classes were mapped to the
//! task's labels.

pub mod counts;
pub mod loss;
pub mod mapping;

use crate::query::OutputKind;
use ground::fault::Reader;
use loss::Loss;
use mapping::Mapping;
use serde::{Deserialize, Serialize};

/// The result of a batch of answers: summed loss and numbers of right answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Sum of the losses.
    pub loss: f64,
    /// Number of right answers: those whose largest label score is the true label's.
    pub correct: u32,
    /// Number of answers.
    pub total: u32,
}

impl Outcome {
    /// Mean loss of an answer; 0 if there are no answers.
    #[must_use]
    pub fn mean_loss(&self) -> f32 {
        if self.total == 0 {
            0.0
        } else {
            (self.loss / f64::from(self.total)) as f32
        }
    }

    /// Share of right answers, from 0 to 1; 0 if there are no answers.
    #[must_use]
    pub fn accuracy(&self) -> f32 {
        if self.total == 0 {
            0.0
        } else {
            self.correct as f32 / self.total as f32
        }
    }

    /// Adds another batch's result.
    pub fn add(&mut self, other: &Self) {
        self.loss += other.loss;
        self.correct += other.correct;
        self.total += other.total;
    }
}

/// Mapping and loss of one task.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// How the model's classes are mapped to labels.
    pub mapping: Mapping,
    /// The loss.
    pub loss: Loss,
    /// Factor of the label scores before the softmax.
    pub temperature: f32,
    /// Whether the model answers with logits or with probabilities.
    pub output: OutputKind,
}

impl Objective {
    /// Reads `[loss]`: `kind`, `temperature`, `margin`, `gamma`.
    pub fn read_loss(reader: &mut Reader<'_>) -> (Loss, f32) {
        let margin = reader.number("margin", 0.0..=100.0, Some(0.0));
        let losses = [
            ("cross-entropy", Loss::CrossEntropy),
            ("margin", Loss::Margin { margin }),
            (
                "focal",
                Loss::Focal {
                    gamma: reader.number("gamma", 0.0..=10.0, Some(2.0)),
                },
            ),
        ];
        let kind = reader.choice("kind", &losses.map(|(name, _)| name), Some(losses[0].0));
        let temperature = reader.number("temperature", 1e-3..=1e3, Some(1.0));
        (losses[kind].1, temperature)
    }

    /// The scores of the labels for one answer `row` (one number for each class), on the scale of
    /// logits.
    #[must_use]
    pub fn label_scores(&self, row: &[f32]) -> Vec<f32> {
        let mut scores = self.mapping.apply(row, self.output);
        scores.iter_mut().for_each(|s| *s *= self.temperature);
        scores
    }

    /// Scores one answer: its loss, and whether its largest label score is the true label's.
    #[must_use]
    pub fn score(&self, row: &[f32], label: usize) -> Outcome {
        self.score_of(&self.label_scores(row), label)
    }

    /// Scores one answer by its [label scores](Self::label_scores).
    #[must_use]
    pub fn score_of(&self, scores: &[f32], label: usize) -> Outcome {
        Outcome {
            loss: f64::from(self.loss.of(scores, label)),
            correct: u32::from(loss::argmax(scores) == label),
            total: 1,
        }
    }
}
