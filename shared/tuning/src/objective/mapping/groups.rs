//! `groups`: the task file states which classes stand for each label.

use super::{Kind, Mapping, Sizes};
use crate::objective::counts::{Counted, LOGIT_MOST};
use ground::fault::Reader;
use std::sync::Arc;

/// The model classes of each label, indexed by label.
#[derive(Debug)]
struct Groups(Vec<Vec<usize>>);

/// Reads `groups` and `calibrate`.
pub(super) fn build(reader: &mut Reader<'_>, sizes: Sizes) -> (Arc<dyn Kind>, Option<Counted>) {
    let groups = read_groups(reader, sizes.labels, sizes.classes);
    let calibrate = reader.flag("calibrate", false);
    (
        Arc::new(Groups(groups)),
        calibrate.then_some(Counted::Means),
    )
}

impl Kind for Groups {
    fn fixed(&self) -> Option<Mapping> {
        Some(Mapping::Groups {
            groups: self.0.clone(),
            offset: Vec::new(),
            scale: Vec::new(),
        })
    }

    fn fit(&self, means: &[f32], _: Counted, _: Sizes) -> Mapping {
        calibrated(self.0.clone(), means)
    }
}

/// Calibrates the bias of `groups`: subtracts from each class's logit its mean, counted as
/// [`Counted::Means`].
pub(super) fn calibrated(groups: Vec<Vec<usize>>, means: &[f32]) -> Mapping {
    Mapping::Groups {
        groups,
        offset: means.iter().map(|m| m * LOGIT_MOST).collect(),
        scale: Vec::new(),
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
