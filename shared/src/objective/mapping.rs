//! From the model's classes to the task's labels.
//!
//! Measured on real models, the choice of the mapping moves accuracy more than any prompt does on clean data,
//! so it is a part of the task and never an afterthought.

use super::loss::softmax;
use crate::fault::Reader;
use crate::model_api::OutputKind;
use serde::{Deserialize, Serialize};

/// What a task file asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum MappingSpec {
    /// Class i is label i.
    Identity,
    /// The classes of each label, stated.
    Groups {
        /// `groups[label]` = model classes.
        groups: Vec<Vec<usize>>,
    },
    /// Learnt from which classes answer to which labels on unprompted training examples.
    Frequency {
        /// Classes for each label.
        per_label: usize,
        /// Rank by (class mean − grand mean)/sd of the logits instead of by mean probability; also calibrates.
        lift: bool,
    },
}

impl MappingSpec {
    /// Reads `[mapping]`.
    pub(crate) fn read(reader: &mut Reader<'_>, labels: usize, classes: usize) -> Self {
        match reader.choice(
            "kind",
            &["identity", "groups", "frequency"],
            Some("identity"),
        ) {
            1 => {
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
                if groups.iter().any(Vec::is_empty)
                    || groups.iter().flatten().any(|c| *c >= classes)
                {
                    reader.fault(
                        "groups",
                        format!("each list must hold at least one class number below {classes}"),
                    );
                }
                Self::Groups { groups }
            }
            2 => {
                let per_label = reader.whole("per_label", 1..=1000, Some(1)) as usize;
                if per_label * labels > classes {
                    reader.fault("per_label", format!("{labels} labels × {per_label} classes exceed the model's {classes} classes"));
                }
                let lift =
                    reader.choice("rank", &["probability", "lift"], Some("probability")) == 1;
                Self::Frequency { per_label, lift }
            }
            _ => {
                if labels != classes {
                    reader.fault("kind", format!("\"identity\" needs as many labels as the model has classes, but there are {labels} labels and {classes} classes"));
                }
                Self::Identity
            }
        }
    }

    /// The mapping, where it needs no learning.
    #[must_use]
    pub fn fixed(&self) -> Option<Mapping> {
        match self {
            Self::Identity => Some(Mapping::Identity),
            Self::Groups { groups } => Some(Mapping::Groups {
                groups: groups.clone(),
                offset: Vec::new(),
                scale: Vec::new(),
            }),
            Self::Frequency { .. } => None,
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
        /// `groups[label]` = model classes.
        groups: Vec<Vec<usize>>,
        /// Subtracted from each class's logit, if not empty.
        offset: Vec<f32>,
        /// Divides each class's logit then, if not empty.
        scale: Vec<f32>,
    },
}

/// Probabilities below this count as this: log must stay finite.
const FLOOR: f32 = 1e-12;

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
            (Self::Groups { groups, .. }, OutputKind::Probabilities) => groups
                .iter()
                .map(|g| log(g.iter().filter_map(|&c| row.get(c)).sum()))
                .collect(),
        }
    }
}

/// Sums from which a `frequency` mapping is fitted. They add up over batches and over participants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frequencies {
    classes: usize,
    examples: Vec<f64>,
    probability: Vec<f64>,
    logit: Vec<f64>,
    logit_squared: Vec<f64>,
}

impl Frequencies {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(labels: usize, classes: usize) -> Self {
        let cells = vec![0.0; labels * classes];
        Self {
            classes,
            examples: vec![0.0; labels],
            probability: cells.clone(),
            logit: cells,
            logit_squared: vec![0.0; classes],
        }
    }

    /// Counts the answer to one unprompted example.
    pub fn count(&mut self, row: &[f32], label: usize, output: OutputKind) {
        let logits: Vec<f32> = match output {
            OutputKind::Logits => row.to_vec(),
            OutputKind::Probabilities => row.iter().map(|p| libm::logf(p.max(FLOOR))).collect(),
        };
        self.examples[label] += 1.0;
        for (c, (p, l)) in softmax(&logits).iter().zip(&logits).enumerate() {
            self.probability[label * self.classes + c] += f64::from(*p);
            self.logit[label * self.classes + c] += f64::from(*l);
            self.logit_squared[c] += f64::from(*l) * f64::from(*l);
        }
    }

    /// Adds another participant's sums.
    pub fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.examples, &other.examples),
            (&mut self.probability, &other.probability),
            (&mut self.logit, &other.logit),
            (&mut self.logit_squared, &other.logit_squared),
        ];
        for (mine, theirs) in pairs {
            mine.iter_mut().zip(theirs).for_each(|(a, b)| *a += b);
        }
    }

    /// Greedy: the best (label, class) pair first, each class given once, `per_label` classes for each label.
    #[must_use]
    pub fn fit(&self, per_label: usize, lift: bool) -> Mapping {
        let (labels, classes) = (self.examples.len(), self.classes);
        let total: f64 = self.examples.iter().sum::<f64>().max(1.0);
        let grand: Vec<f64> = (0..classes)
            .map(|c| {
                (0..labels)
                    .map(|l| self.logit[l * classes + c])
                    .sum::<f64>()
                    / total
            })
            .collect();
        let sd: Vec<f64> = (0..classes)
            .map(|c| {
                (self.logit_squared[c] / total - grand[c] * grand[c])
                    .max(1e-12)
                    .sqrt()
            })
            .collect();
        let rank = |label: usize, class: usize| {
            let (n, cell) = (self.examples[label].max(1.0), label * classes + class);
            if lift {
                (self.logit[cell] / n - grand[class]) / sd[class]
            } else {
                self.probability[cell] / n
            }
        };
        let mut pairs: Vec<(f64, usize, usize)> = (0..labels)
            .flat_map(|l| (0..classes).map(move |c| (l, c)))
            .map(|(l, c)| (rank(l, c), l, c))
            .collect();
        crate::sort::sort_by(&mut pairs, |a, b| {
            b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2))
        });
        let mut groups = vec![Vec::new(); labels];
        let mut taken = vec![false; classes];
        for (_, label, class) in pairs {
            if groups[label].len() < per_label && !taken[class] {
                groups[label].push(class);
                taken[class] = true;
            }
        }
        let as_f32 = |v: Vec<f64>| v.into_iter().map(|x| x as f32).collect();
        let (offset, scale) = if lift {
            (as_f32(grand), as_f32(sd))
        } else {
            (Vec::new(), Vec::new())
        };
        Mapping::Groups {
            groups,
            offset,
            scale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn frequency_finds_the_permutation() {
        // The model calls label 0 class 2, label 1 class 0, label 2 class 1.
        let mut counts = Frequencies::new(3, 4);
        for (label, class) in [(0, 2), (1, 0), (2, 1), (0, 2), (1, 0), (2, 3)] {
            let mut row = [0.0; 4];
            row[class] = 4.0;
            counts.count(&row, label, OutputKind::Logits);
        }
        for lift in [false, true] {
            let Mapping::Groups { groups, .. } = counts.fit(1, lift) else {
                panic!()
            };
            assert_eq!((groups[0][0], groups[1][0]), (2, 0));
            assert!(groups[2][0] == 1 || groups[2][0] == 3);
        }
    }

    #[test]
    fn sums_of_participants_are_the_sums_of_the_union() {
        let (mut a, mut b, mut union) = (
            Frequencies::new(2, 2),
            Frequencies::new(2, 2),
            Frequencies::new(2, 2),
        );
        for (i, row) in [[3.0, 1.0], [0.0, 3.0], [-2.0, 1.0], [0.0, -2.0]]
            .iter()
            .enumerate()
        {
            let mine = if i < 2 { &mut a } else { &mut b };
            mine.count(row, i % 2, OutputKind::Logits);
            union.count(row, i % 2, OutputKind::Logits);
        }
        a.add(&b);
        assert_eq!(a, union);
    }
}
