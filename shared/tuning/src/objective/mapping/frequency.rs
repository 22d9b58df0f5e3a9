//! `frequency`: learns, for each label, the classes with which the model answers its examples most
//! often.

use super::{Kind, Mapping, Sizes};
use crate::objective::counts::{Counted, LOGIT_MOST};
use ground::fault::Reader;
use ground::order;
use std::sync::Arc;

#[derive(Debug)]
struct Frequency {
    /// Number of classes for each label.
    per_label: usize,
}

/// Reads `per_label` and `rank`.
pub(super) fn build(
    reader: &mut Reader<'_>,
    Sizes { labels, classes }: Sizes,
) -> (Arc<dyn Kind>, Option<Counted>) {
    let per_label = reader.whole("per_label", 1..=1000, Some(1)) as usize;
    if per_label * labels > classes {
        reader.fault(
            "per_label",
            format!("{labels} labels × {per_label} classes exceed the model's {classes} classes"),
        );
    }
    let ranks = ["probability", "lift"];
    let counted = [Counted::Probabilities, Counted::Logits];
    let counted = counted[reader.choice("rank", &ranks, Some(ranks[0]))];
    (Arc::new(Frequency { per_label }), Some(counted))
}

impl Kind for Frequency {
    fn fixed(&self) -> Option<Mapping> {
        None
    }

    fn fit(&self, means: &[f32], counted: Counted, sizes: Sizes) -> Mapping {
        frequency(means, sizes.labels, sizes.classes, self.per_label, counted)
    }
}

/// Assigns classes to labels greedily: the best (label, class) pair first, each class given once,
/// `per_label` classes for each label. The rank of a pair is the class's mean probability on the
/// label's examples, or its *lift*: (mean logit on them − mean logit) / sd. With lift, the logits
/// are then standardised the same way.
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
        // The cells of a label without examples are all 0.
        let mean =
            f64::from(cells[label * classes + class]) / if share > 0.0 { share } else { 1.0 };
        if lift {
            (mean - grand[class]) / sd[class]
        } else {
            mean
        }
    };
    let ranks: Vec<f64> = (0..labels)
        .flat_map(|l| (0..classes).map(move |c| (l, c)))
        .map(|(l, c)| rank(l, c))
        .collect();
    let pairs = order::sorted(ranks.len(), &|a, b| ranks[b].total_cmp(&ranks[a]));
    let mut groups = vec![Vec::new(); labels];
    let mut taken = vec![false; classes];
    for (label, class) in pairs.into_iter().map(|at| (at / classes, at % classes)) {
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
