//! From the model's classes to the task's labels.
//!
//! Measured on real models, the choice of the mapping moves accuracy more than any prompt does on
//! clean data, so it is a part of the task and never an afterthought.
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

/// The sizes between which a mapping leads.
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
    /// The mapping that the settings state whole, or nothing if it must be learnt.
    fn fixed(&self) -> Option<Mapping>;

    /// The mapping that follows from `means`, the means of what was counted ([`Counted::length`]
    /// numbers). Total: any numbers give a mapping, and the same one on every machine.
    fn fit(&self, means: &[f32], counted: Counted, sizes: Sizes) -> Mapping;

    /// Whether class i is label i, as models of texts need it, which score the labels themselves.
    fn keeps_labels(&self) -> bool {
        false
    }
}

/// Reads a kind's own settings, and says what is counted to learn it, if anything is.
pub type Build = fn(&mut Reader<'_>, Sizes) -> (Arc<dyn Kind>, Option<Counted>);

/// The built-in kinds by the names that a task file uses. One line each; the first is the default.
#[must_use]
pub fn registry() -> Registry<Build> {
    Registry::new([
        ("identity", identity::build as Build),
        ("groups", groups::build),
        ("frequency", frequency::build),
    ])
}

/// What a task file's `[mapping]` asks for.
#[derive(Clone, Debug)]
pub struct MappingSpec {
    /// The kind of mapping.
    pub kind: Arc<dyn Kind>,
    /// How it is learnt; `None` if the settings state it whole.
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
    /// Maximum number of training examples that a participant asks for it.
    pub examples: u32,
}

impl MappingSpec {
    /// Reads `[mapping]`, whose kind is one of `registry`.
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

    /// The mapping, if it needs no learning.
    #[must_use]
    pub fn fixed(&self) -> Option<Mappings> {
        if self.learnt.is_some() {
            return None;
        }
        self.kind.fixed().map(Mappings::from)
    }

    /// The mapping that follows from the means of what was counted ([`Counted`]). Total: any
    /// numbers give a mapping, and the same one everywhere.
    #[must_use]
    pub fn fit(&self, means: &[f32], sizes: Sizes) -> Mapping {
        let counted = self.learnt.map(|l| l.counted);
        match counted.filter(|c| c.length(sizes.labels, sizes.classes) == means.len()) {
            Some(counted) => self.kind.fit(means, counted, sizes),
            None => Mapping::Identity,
        }
    }
}

/// A mapping in use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Mapping {
    /// Class i is label i.
    Identity,
    /// A label's score is the mean logit (or the log of the summed probability) of its classes.
    Groups {
        /// The model classes of each label: `groups[label]`.
        groups: Vec<Vec<usize>>,
        /// Subtracted from each class's logit, if not empty.
        offset: Vec<f32>,
        /// Divides each class's logit then, if not empty.
        scale: Vec<f32>,
    },
}

/// The mappings in use, for unprompted and for prompted inputs. They differ for a frame: it shrinks
/// the image, so the model answers other classes from the start, and its mapping would be unfair to
/// the unprompted model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mappings {
    /// Mapping for unprompted inputs.
    pub unprompted: Mapping,
    /// Mapping for prompted inputs.
    pub prompted: Mapping,
}

impl Mappings {
    /// The mapping for prompted inputs, or that for unprompted inputs.
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
    /// Uses one mapping for both kinds of input.
    fn from(mapping: Mapping) -> Self {
        Self {
            unprompted: mapping.clone(),
            prompted: mapping,
        }
    }
}

impl Mapping {
    /// The scores of the labels, as logits.
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
                        // Calibrated. Standardised log-probabilities would not be probabilities of
                        // anything.
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
mod tests {
    use super::*;
    use crate::objective::counts::Counts;
    use serde_json::json;

    const SIZES: Sizes = Sizes {
        labels: 3,
        classes: 4,
    };

    #[test]
    fn groups_average_logits_and_add_probabilities() {
        let mapping = Mapping::Groups {
            groups: vec![vec![0, 2], vec![1]],
            offset: vec![],
            scale: vec![],
        };
        assert_eq!(
            mapping.apply(&[1.0, 5.0, 3.0], OutputKind::Logits),
            [2.0, 5.0]
        );
        let p = mapping.apply(&[0.25, 0.5, 0.25], OutputKind::Probabilities);
        assert!((p[0] - p[1]).abs() < 1e-6);
    }

    fn spec(source: serde_json::Value) -> MappingSpec {
        let spec = ground::fault::section("mapping", &source, |r| {
            MappingSpec::read(&registry(), r, SIZES)
        });
        spec.unwrap()
    }

    #[test]
    fn frequency_finds_the_permutation() {
        // The model calls label 0 class 2, label 1 class 0, label 2 class 1.
        for rank in ["probability", "lift"] {
            let spec = spec(json!({ "kind": "frequency", "rank": rank }));
            let mut counts = Counts::new(spec.learnt.unwrap().counted, 3, 4);
            for (label, class) in [(0, 2), (1, 0), (2, 1), (0, 2), (1, 0), (2, 3)] {
                let mut row = [0.0; 4];
                row[class] = 4.0;
                counts.count(&row, label, OutputKind::Logits);
            }
            let Mapping::Groups {
                groups,
                offset,
                scale,
            } = spec.fit(&counts.means(), SIZES)
            else {
                panic!()
            };
            assert_eq!((groups[0][0], groups[1][0]), (2, 0));
            assert!(groups[2][0] == 1 || groups[2][0] == 3);
            if rank == "lift" {
                assert!((offset[0] - 8.0 / 6.0).abs() < 1e-4, "{offset:?}");
                // Of 4 twice and 0 four times.
                assert!((scale[0] - (32.0_f32 / 9.0).sqrt()).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn a_label_that_one_participant_lacks_is_mapped_together() {
        // Each has seen one label only. Alone, either would give the other's class away.
        let spec = spec(json!({ "kind": "frequency" }));
        let of = |label: usize, row: [f32; 4]| {
            let mut counts = Counts::new(Counted::Probabilities, 3, 4);
            counts.count(&row, label, OutputKind::Logits);
            counts.means()
        };
        let (a, b, c) = (
            of(0, [1.0, 9.0, 0.0, 0.0]),
            of(1, [9.0, 0.0, 0.0, 0.0]),
            of(2, [0.0, 1.0, 0.0, 9.0]),
        );
        let all: Vec<f32> = (0..a.len()).map(|i| (a[i] + b[i] + c[i]) / 3.0).collect();
        let Mapping::Groups { groups, .. } = spec.fit(&all, SIZES) else {
            panic!()
        };
        assert_eq!(groups, [[1], [0], [3]]);
    }

    #[test]
    fn calibration_subtracts_what_every_class_gets_anyway() {
        let sizes = Sizes {
            labels: 2,
            classes: 2,
        };
        let spec = ground::fault::section("mapping", &json!({ "calibrate": true }), |r| {
            MappingSpec::read(&registry(), r, sizes)
        });
        let spec = spec.unwrap();
        let mut counts = Counts::new(Counted::Means, 2, 2);
        counts.count(&[5.0, 1.0], 0, OutputKind::Logits);
        counts.count(&[3.0, 1.0], 1, OutputKind::Logits);
        let mapping = spec.fit(&counts.means(), sizes);
        let scores = mapping.apply(&[4.5, 1.0], OutputKind::Logits);
        assert!((scores[0] - 0.5).abs() < 1e-4 && scores[1].abs() < 1e-4);
        // Of probabilities the logarithm's.
        let mut counts = Counts::new(Counted::Means, 2, 2);
        counts.count(&[0.8, 0.2], 0, OutputKind::Probabilities);
        let mapping = spec.fit(&counts.means(), sizes);
        let scores = mapping.apply(&[0.8, 0.2], OutputKind::Probabilities);
        assert!(
            scores[0].abs() < 1e-3 && scores[1].abs() < 1e-3,
            "{scores:?}"
        );
    }

    #[test]
    fn any_numbers_give_a_mapping() {
        let spec = spec(json!({ "kind": "frequency", "rank": "lift" }));
        let length = Counted::Logits.length(3, 4);
        for number in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            let Mapping::Groups { groups, .. } = spec.fit(&vec![number; length], SIZES) else {
                panic!()
            };
            assert!(groups.iter().all(|g| g.len() == 1));
        }
        assert_eq!(spec.fit(&[], SIZES), Mapping::Identity);
    }

    #[test]
    fn settings_of_what_is_learnt() {
        let learnt = |source| spec(source).learnt;
        let together = Learnt {
            counted: Counted::Probabilities,
            together: true,
            examples: 512,
        };
        assert_eq!(learnt(json!({ "kind": "frequency" })), Some(together));
        let source =
            json!({ "kind": "frequency", "rank": "lift", "learn": "alone", "examples": 9 });
        assert_eq!(
            learnt(source),
            Some(Learnt {
                counted: Counted::Logits,
                together: false,
                examples: 9
            })
        );
        let groups = json!({ "kind": "groups", "groups": [[0], [1], [2, 3]] });
        assert_eq!(learnt(groups.clone()), None);
        let mut calibrated = groups;
        calibrated["calibrate"] = json!(true);
        assert_eq!(learnt(calibrated).map(|l| l.counted), Some(Counted::Means));
    }
}
