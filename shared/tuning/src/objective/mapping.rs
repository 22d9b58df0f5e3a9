//! From the model's classes to the task's labels.
//!
//! Measured on real models, the choice of the mapping moves accuracy more than any prompt does on
//! clean data, so it is a part of the task and never an afterthought.

use super::counts::{Counted, LOGIT_MOST};
use crate::query::OutputKind;
use ground::fault::Reader;
use serde::{Deserialize, Serialize};

/// What a task file asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct MappingSpec {
    /// From which classes to which labels.
    pub kind: Kind,
    /// What of it is learnt; nothing if it is stated whole.
    pub learnt: Option<Learnt>,
}

/// From which classes to which labels.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Class i is label i.
    Identity,
    /// `[label]` = its model classes, stated.
    Groups(Vec<Vec<usize>>),
    /// Learnt: so many classes for each label, those that answer most to its examples.
    Frequency(usize),
}

/// How a mapping is learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learnt {
    /// From what.
    pub counted: Counted,
    /// By all in the federation's first concluded round; else by each participant alone.
    pub together: bool,
    /// Training examples that a participant asks for it, at most.
    pub examples: u32,
}

impl MappingSpec {
    /// Reads `[mapping]`.
    pub fn read(reader: &mut Reader<'_>, labels: usize, classes: usize) -> Self {
        let kinds = ["identity", "groups", "frequency"];
        let kind = match reader.choice("kind", &kinds, Some(kinds[0])) {
            1 => Kind::Groups(read_groups(reader, labels, classes)),
            2 => {
                let per_label = reader.whole("per_label", 1..=1000, Some(1)) as usize;
                if per_label * labels > classes {
                    reader.fault("per_label", format!("{labels} labels × {per_label} classes exceed the model's {classes} classes"));
                }
                Kind::Frequency(per_label)
            }
            _ => {
                if labels != classes {
                    reader.fault("kind", format!("\"identity\" needs as many labels as the model has classes, but there are {labels} labels and {classes} classes"));
                }
                Kind::Identity
            }
        };
        let counted = match kind {
            Kind::Frequency(_) => {
                let ranks = ["probability", "lift"];
                let counted = [Counted::Probabilities, Counted::Logits];
                Some(counted[reader.choice("rank", &ranks, Some(ranks[0]))])
            }
            _ => reader.flag("calibrate", false).then_some(Counted::Means),
        };
        let learnt = counted.map(|counted| Learnt {
            counted,
            together: reader.choice("learn", &["together", "alone"], Some("together")) == 0,
            examples: reader.whole("examples", 1..=100_000, Some(512)) as u32,
        });
        Self { kind, learnt }
    }

    /// The mapping, where it needs no learning.
    #[must_use]
    pub fn fixed(&self) -> Option<Mappings> {
        let mapping = match &self.kind {
            _ if self.learnt.is_some() => return None,
            Kind::Identity => Mapping::Identity,
            Kind::Groups(groups) => Mapping::Groups {
                groups: groups.clone(),
                offset: Vec::new(),
                scale: Vec::new(),
            },
            Kind::Frequency(_) => return None,
        };
        Some(mapping.into())
    }

    /// The mapping that follows from the means of what was counted ([`Counted`]). Total: whatever
    /// the numbers are, there is one, and the same one everywhere.
    #[must_use]
    pub fn fit(&self, means: &[f32], labels: usize, classes: usize) -> Mapping {
        let counted = self.learnt.map(|l| l.counted);
        let Some(counted) = counted.filter(|c| c.length(labels, classes) == means.len()) else {
            return Mapping::Identity;
        };
        let per_label = match &self.kind {
            Kind::Frequency(per_label) => *per_label,
            // Bias calibration: each class's mean logit is subtracted.
            stated => {
                let groups = match stated {
                    Kind::Groups(groups) => groups.clone(),
                    _ => (0..classes).map(|c| vec![c]).collect(),
                };
                return Mapping::Groups {
                    groups,
                    offset: means.iter().map(|m| m * LOGIT_MOST).collect(),
                    scale: Vec::new(),
                };
            }
        };
        frequency(means, labels, classes, per_label, counted)
    }
}

fn read_groups(reader: &mut Reader<'_>, labels: usize, classes: usize) -> Vec<Vec<usize>> {
    let groups = reader.list("groups", None, "lists of class numbers", |v| {
        v.as_array()?
            .iter()
            .map(|c| c.as_u64().map(|c| c as usize))
            .collect::<Option<Vec<_>>>()
    });
    if groups.len() != labels {
        reader.fault(
            "groups",
            format!(
                "must hold one list for each of the {labels} labels, but holds {}",
                groups.len()
            ),
        );
    }
    if groups.iter().any(Vec::is_empty) || groups.iter().flatten().any(|c| *c >= classes) {
        reader.fault(
            "groups",
            format!("each list must hold at least one class number below {classes}"),
        );
    }
    groups
}

/// Greedy: the best (label, class) pair first, each class given once, `per_label` classes for each
/// label. The rank of a pair is the class's mean probability on the label's examples, or its
/// *lift*: (mean logit on them − mean logit) / sd, by which the logits are then standardised too.
fn frequency(
    means: &[f32],
    labels: usize,
    classes: usize,
    per_label: usize,
    counted: Counted,
) -> Mapping {
    let (by_label, rest) = means.split_at(labels);
    let (cells, squares) = rest.split_at(labels * classes);
    let lift = counted == Counted::Logits;
    let grand: Vec<f64> = (0..classes)
        .map(|c| (0..labels).map(|l| f64::from(cells[l * classes + c])).sum())
        .collect();
    let sd: Vec<f64> = squares
        .iter()
        .zip(&grand)
        .map(|(square, grand)| (f64::from(*square) - grand * grand).max(1e-12).sqrt())
        .collect();
    let rank = |label: usize, class: usize| {
        let share = f64::from(by_label[label]);
        // Of a label without examples all cells are 0.
        let mean =
            f64::from(cells[label * classes + class]) / if share > 0.0 { share } else { 1.0 };
        if lift {
            (mean - grand[class]) / sd[class]
        } else {
            mean
        }
    };
    let mut pairs: Vec<(f64, usize, usize)> = (0..labels)
        .flat_map(|l| (0..classes).map(move |c| (l, c)))
        .map(|(l, c)| (rank(l, c), l, c))
        .collect();
    pairs.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    let mut groups = vec![Vec::new(); labels];
    let mut taken = vec![false; classes];
    for (_, label, class) in pairs {
        if groups[label].len() < per_label && !taken[class] {
            groups[label].push(class);
            taken[class] = true;
        }
    }
    let logits = |v: Vec<f64>| {
        let logit = |x| (x * f64::from(LOGIT_MOST)) as f32;
        v.into_iter().map(logit).collect()
    };
    let (offset, scale) = if lift {
        (logits(grand), logits(sd))
    } else {
        (Vec::new(), Vec::new())
    };
    Mapping::Groups {
        groups,
        offset,
        scale,
    }
}

/// A mapping in use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Mapping {
    /// Class i is label i.
    Identity,
    /// A label's score is the mean logit (or the log of the summed probability) of its classes.
    Groups {
        /// `groups[label]` = model classes.
        groups: Vec<Vec<usize>>,
        /// Subtracted from each class's logit, if not empty.
        offset: Vec<f32>,
        /// Divides each class's logit then, if not empty.
        scale: Vec<f32>,
    },
}

/// The mappings in use: a frame shrinks the image, so that the model answers with other classes
/// from the start, and its mapping would do the model without a prompt an injustice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mappings {
    /// For inputs as they are.
    pub unprompted: Mapping,
    /// For prompted inputs.
    pub prompted: Mapping,
}

impl Mappings {
    /// That of prompted inputs, or of inputs as they are.
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
    /// One for both.
    fn from(mapping: Mapping) -> Self {
        Self {
            unprompted: mapping.clone(),
            prompted: mapping,
        }
    }
}

/// Probabilities below this count as this: log must stay finite.
pub(super) const FLOOR: f32 = 1e-12;

impl Mapping {
    /// Scores of the labels, as logits.
    #[must_use]
    pub fn apply(&self, row: &[f32], output: OutputKind) -> Vec<f32> {
        let log = |p: f32| libm::logf(p.max(FLOOR));
        match (self, output) {
            (Self::Identity, OutputKind::Logits) => row.to_vec(),
            (Self::Identity, OutputKind::Probabilities) => row.iter().map(|p| log(*p)).collect(),
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
                    .map(|g| log(g.iter().map(|&c| probability(c)).sum()))
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
        let spec = ground::fault::section("mapping", &source, |r| MappingSpec::read(r, 3, 4));
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
            } = spec.fit(&counts.means(), 3, 4)
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
        let Mapping::Groups { groups, .. } = spec.fit(&all, 3, 4) else {
            panic!()
        };
        assert_eq!(groups, [[1], [0], [3]]);
    }

    #[test]
    fn calibration_subtracts_what_every_class_gets_anyway() {
        let spec = MappingSpec {
            kind: Kind::Identity,
            learnt: Some(Learnt {
                counted: Counted::Means,
                together: true,
                examples: 8,
            }),
        };
        let mut counts = Counts::new(Counted::Means, 2, 2);
        counts.count(&[5.0, 1.0], 0, OutputKind::Logits);
        counts.count(&[3.0, 1.0], 1, OutputKind::Logits);
        let mapping = spec.fit(&counts.means(), 2, 2);
        let scores = mapping.apply(&[4.5, 1.0], OutputKind::Logits);
        assert!((scores[0] - 0.5).abs() < 1e-4 && scores[1].abs() < 1e-4);
        // Of probabilities the logarithm's.
        let mut counts = Counts::new(Counted::Means, 2, 2);
        counts.count(&[0.8, 0.2], 0, OutputKind::Probabilities);
        let mapping = spec.fit(&counts.means(), 2, 2);
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
            let Mapping::Groups { groups, .. } = spec.fit(&vec![number; length], 3, 4) else {
                panic!()
            };
            assert!(groups.iter().all(|g| g.len() == 1));
        }
        assert_eq!(spec.fit(&[], 3, 4), Mapping::Identity);
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
