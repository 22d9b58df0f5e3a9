//! The bodies of Hugging Face's answers.

use serde_json::{Value, json};

use super::bad;
use crate::endpoint::TextEndpoint;
use crate::error::ApiError;
use crate::probability::{log_softmax, top};
use crate::text::dot;

/// A function that a request applies to scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Apply {
    Softmax,
    Sigmoid,
    Nothing,
}

impl Apply {
    /// Reads a request's `function_to_apply`.
    pub(super) fn find(name: Option<&str>) -> Result<Self, ApiError> {
        match name {
            None | Some("softmax") => Ok(Self::Softmax),
            Some("sigmoid") => Ok(Self::Sigmoid),
            Some("none") => Ok(Self::Nothing),
            Some(other) => Err(bad(format!(
                "function_to_apply is `{other}`, but must be softmax, sigmoid or none"
            ))),
        }
    }

    fn to(self, scores: &[f32]) -> Vec<f64> {
        let each =
            |map: fn(f64) -> f64| scores.iter().map(|&score| map(f64::from(score))).collect();
        match self {
            Self::Softmax => log_softmax(scores).into_iter().map(f64::exp).collect(),
            Self::Sigmoid => each(|score| 1.0 / (1.0 + (-score).exp())),
            Self::Nothing => each(|score| score),
        }
    }
}

/// Labels with scores, `[{"label": …, "score": …}, …]`, the best first; a list of such lists for
/// several inputs.
pub(crate) struct Labelled {
    pub(super) labels: Vec<String>,
    /// The classes of the labels; `None` if they are all of the model's, in order.
    pub(super) columns: Option<(usize, Vec<usize>)>,
    pub(super) top: usize,
    pub(super) apply: Apply,
    /// Whether the answer is a single list and not a list of lists.
    pub(super) lone: bool,
}

impl Labelled {
    /// An answer with the probabilities of all labels.
    pub(super) fn all(
        labels: Vec<String>,
        columns: Option<(usize, Vec<usize>)>,
        lone: bool,
    ) -> Self {
        Self {
            labels,
            columns,
            top: usize::MAX,
            apply: Apply::Softmax,
            lone,
        }
    }

    pub(super) fn answer(&self, scores: &[f32]) -> Value {
        let classes = self
            .columns
            .as_ref()
            .map_or(self.labels.len(), |(all, _)| *all);
        let row = |row: &[f32]| {
            let chosen = self.columns.as_ref();
            let chosen = chosen.map(|(_, at)| at.iter().map(|&at| row[at]).collect::<Vec<f32>>());
            let values = self.apply.to(chosen.as_deref().unwrap_or(row));
            let best = top(&values, self.top);
            let entry = |at: usize| json!({ "label": self.labels[at], "score": values[at] });
            best.into_iter().map(entry).collect::<Value>()
        };
        rows(scores.chunks_exact(classes.max(1)).map(row), self.lone)
    }
}

/// Tokens for masks: `[{"score": …, "token": …, "token_str": …, "sequence": …}, …]`, the best
/// first. The scores are probabilities in the whole vocabulary, even if there are targets.
pub(crate) struct Fills {
    /// The texts' tokens.
    pub(super) texts: Vec<Vec<i32>>,
    pub(super) masks: Vec<usize>,
    pub(super) targets: Option<Vec<usize>>,
    pub(super) top: usize,
    pub(super) lone: bool,
}

impl Fills {
    pub(super) fn answer(&self, endpoint: &TextEndpoint, scores: &[f32]) -> Value {
        let words = endpoint.model.words();
        let id = |token: i32| u32::try_from(token).unwrap_or(u32::MAX);
        let row = |(row, (text, &mask)): (&[f32], (&Vec<i32>, &usize))| {
            let logs = log_softmax(row);
            let tokens = match &self.targets {
                None => top(&logs, self.top),
                Some(targets) => {
                    let values: Vec<f64> = targets.iter().map(|&token| logs[token]).collect();
                    let best = top(&values, self.top);
                    best.into_iter().map(|at| targets[at]).collect()
                }
            };
            let entry = |token: usize| {
                let new = u32::try_from(token).unwrap_or(u32::MAX);
                let mut whole: Vec<u32> = text.iter().map(|&token| id(token)).collect();
                whole[mask] = new;
                json!({
                    "score": logs[token].exp(),
                    "token": token,
                    "token_str": words.text(&[new]),
                    "sequence": words.text(&whole),
                })
            };
            tokens.into_iter().map(entry).collect::<Value>()
        };
        let each = scores.chunks_exact(endpoint.model.width().max(1));
        rows(
            each.zip(self.texts.iter().zip(&self.masks)).map(row),
            self.lone,
        )
    }
}

fn rows(rows: impl Iterator<Item = Value>, lone: bool) -> Value {
    let mut rows: Vec<Value> = rows.collect();
    match rows.pop() {
        Some(only) if lone && rows.is_empty() => only,
        last => {
            rows.extend(last);
            Value::Array(rows)
        }
    }
}

/// Writes embeddings, row by row.
pub(super) fn vectors(values: &[f32], width: usize, lone: bool) -> Value {
    rows(
        values.chunks_exact(width.max(1)).map(|row| json!(row)),
        lone,
    )
}

/// Writes the cosines of the first row with the others; all rows have length 1.
pub(super) fn similarities(values: &[f32], width: usize) -> Value {
    let mut rows = values.chunks_exact(width.max(1));
    let first = rows.next().unwrap_or_default();
    rows.map(|row| json!(dot(first, row))).collect()
}
