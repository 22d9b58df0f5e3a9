//! Output mappings: from the model's classes to the task's labels.
//!
//! On real models the choice of the mapping moves the accuracy more than any prompt does on clean
//! data, so the mapping is part of the task and no afterthought.
//!
//! To add a kind of mapping: write its file with a `build` function and put its name into the list
//! in [`registry`]. `docs/adding.md` walks through it.

mod frequency;
mod groups;
mod identity;

use super::counts::Counted;
use super::loss::log_probability;
use crate::query::OutputKind;
use ground::fault::Reader;
use ground::registry::Registry;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::sync::Arc;

/// The sizes of a mapping: how many labels, and how many classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Number of labels of the task.
    pub labels: usize,
    /// Number of classes of the model.
    pub classes: usize,
}

/// A kind of mapping with its settings: which of the model's classes stand for which of the task's
/// labels.
pub trait Kind: Debug + Send + Sync {
    /// The mapping, if the settings state it completely; `None` if it must be learnt.
    fn fixed(&self) -> Option<Mapping>;

    /// The mapping that follows from `means`, the means of what was counted ([`Counted::length`]
    /// numbers). Any numbers give a mapping, the same one on every machine.
    fn fit(&self, means: &[f32], counted: Counted, sizes: Sizes) -> Mapping;

    /// Whether class i is label i. Models of texts need that, because they score the labels
    /// themselves.
    fn keeps_labels(&self) -> bool {
        false
    }
}

/// Reads a kind's own settings. Returns the kind, and what must be counted to learn it, if
/// anything.
pub type Build = fn(&mut Reader<'_>, Sizes) -> (Arc<dyn Kind>, Option<Counted>);

/// The built-in kinds by their names in a task file, one line each. The first is the default.
#[must_use]
pub fn registry() -> Registry<Build> {
    Registry::new([
        ("identity", identity::build as Build),
        ("groups", groups::build),
        ("frequency", frequency::build),
    ])
}

/// The mapping that a task file's `[mapping]` table describes.
#[derive(Clone, Debug)]
pub struct MappingSpec {
    /// The kind of mapping.
    pub kind: Arc<dyn Kind>,
    /// How the mapping is learnt; `None` if the settings state it completely.
    pub learnt: Option<Learnt>,
}

/// How a mapping is learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learnt {
    /// The counts from which it is learnt.
    pub counted: Counted,
    /// Whether all participants learn it together in the federation's first concluded round,
    /// instead of each alone.
    pub together: bool,
    /// Maximum number of training examples for which a participant asks the model to learn it.
    pub examples: u32,
}

impl MappingSpec {
    /// Reads `[mapping]`, with a kind out of `registry`.
    pub fn read(registry: &Registry<Build>, reader: &mut Reader<'_>, sizes: Sizes) -> Self {
        let (_, build) = registry.choose(reader, "kind", |_| true);
        let (kind, counted) = build(reader, sizes);
        let learnt = counted.map(|counted| Learnt {
            counted,
            together: reader.choice("learn", &["together", "alone"], Some("together")) == 0,
            examples: reader.whole("examples", 1..=100_000, Some(512)) as u32,
        });
        Self { kind, learnt }
    }

    /// The mapping, if it needs no learning; `None` otherwise.
    #[must_use]
    pub fn fixed(&self) -> Option<Mappings> {
        if self.learnt.is_some() {
            return None;
        }
        self.kind.fixed().map(Mappings::from)
    }

    /// The mapping that follows from the means of what was counted ([`Counted::length`] numbers).
    /// Any numbers give a mapping, the same one on every machine.
    #[must_use]
    pub fn fit(&self, means: &[f32], sizes: Sizes) -> Mapping {
        let counted = self.learnt.map(|l| l.counted);
        match counted.filter(|c| c.length(sizes.labels, sizes.classes) == means.len()) {
            Some(counted) => self.kind.fit(means, counted, sizes),
            None => Mapping::Identity,
        }
    }
}

/// A mapping that is stated or was learnt: turns a model's answer into label scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Mapping {
    /// Class i stands for label i.
    Identity,
    /// A label's score is the mean logit (or the log of the summed probability) of its classes.
    Groups {
        /// The model classes of each label: `groups[label]`.
        groups: Vec<Vec<usize>>,
        /// Offset that is subtracted from each class's logit; empty for none.
        offset: Vec<f32>,
        /// Divisor of each class's logit, after the offset; empty for none.
        scale: Vec<f32>,
    },
}

/// The mappings for unprompted and for prompted inputs. They differ for a frame, which shrinks the
/// image: the model then answers with other classes from the start, and the mapping of the shrunk
/// image would be unfair to the unprompted model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mappings {
    /// Mapping for unprompted inputs.
    pub unprompted: Mapping,
    /// Mapping for prompted inputs.
    pub prompted: Mapping,
}

impl Mappings {
    /// The mapping for prompted inputs if `prompted`, otherwise the one for unprompted inputs.
    #[must_use]
    pub fn of(&self, prompted: bool) -> &Mapping {
        if prompted {
            &self.prompted
        } else {
            &self.unprompted
        }
    }
}

impl From<Mapping> for Mappings {
    /// Uses the same mapping for prompted and unprompted inputs.
    fn from(mapping: Mapping) -> Self {
        Self {
            unprompted: mapping.clone(),
            prompted: mapping,
        }
    }
}

impl Mapping {
    /// The scores of the labels, as logits, for one answer `row` (one number for each class).
    #[must_use]
    pub fn apply(&self, row: &[f32], output: OutputKind) -> Vec<f32> {
        match (self, output) {
            (Self::Identity, OutputKind::Logits) => row.to_vec(),
            (Self::Identity, OutputKind::Probabilities) => {
                row.iter().map(|p| log_probability(*p)).collect()
            }
            (
                Self::Groups {
                    groups,
                    offset,
                    scale,
                },
                OutputKind::Logits,
            ) => {
                let logit = |c: usize| {
                    (row.get(c).copied().unwrap_or(0.0) - offset.get(c).unwrap_or(&0.0))
                        / scale.get(c).unwrap_or(&1.0)
                };
                groups
                    .iter()
                    .map(|g| g.iter().map(|&c| logit(c)).sum::<f32>() / g.len().max(1) as f32)
                    .collect()
            }
            (
                Self::Groups {
                    groups,
                    offset,
                    scale,
                },
                OutputKind::Probabilities,
            ) => {
                let probability = |c: usize| {
                    let p = row.get(c).copied().unwrap_or(0.0);
                    match offset.get(c) {
                        // Bias calibration. Standardised log-probabilities would not be
                        // probabilities of anything.
                        Some(offset) if scale.is_empty() => p * libm::expf(-offset),
                        _ => p,
                    }
                };
                groups
                    .iter()
                    .map(|g| log_probability(g.iter().map(|&c| probability(c)).sum()))
                    .collect()
            }
        }
    }
}

#[cfg(test)]
mod tests;
