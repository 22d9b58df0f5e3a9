//! `identity`: class i is label i.

use super::groups::calibrated;
use super::{Kind, Mapping, Sizes};
use crate::objective::counts::Counted;
use ground::fault::Reader;
use std::sync::Arc;

#[derive(Debug)]
struct Identity;

/// Reads `calibrate`.
pub(super) fn build(
    reader: &mut Reader<'_>,
    Sizes { labels, classes }: Sizes,
) -> (Arc<dyn Kind>, Option<Counted>) {
    if labels != classes {
        reader.fault("kind", format!("\"identity\" needs as many labels as the model has classes, but there are {labels} labels and {classes} classes"));
    }
    let calibrate = reader.flag("calibrate", false);
    (Arc::new(Identity), calibrate.then_some(Counted::Means))
}

impl Kind for Identity {
    fn fixed(&self) -> Option<Mapping> {
        Some(Mapping::Identity)
    }

    fn fit(&self, means: &[f32], _: Counted, sizes: Sizes) -> Mapping {
        calibrated((0..sizes.classes).map(|c| vec![c]).collect(), means)
    }

    fn keeps_labels(&self) -> bool {
        true
    }
}
