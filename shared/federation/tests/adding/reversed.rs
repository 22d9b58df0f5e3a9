//! A mapping: the model's classes are the task's labels in reverse order.

use std::sync::Arc;

use ground::fault::Reader;
use tuning::objective::counts::Counted;
use tuning::objective::mapping::{Kind, Mapping, Sizes};

#[derive(Debug)]
struct Reversed {
    labels: usize,
}

pub fn build(reader: &mut Reader<'_>, sizes: Sizes) -> (Arc<dyn Kind>, Option<Counted>) {
    let Sizes { labels, classes } = sizes;
    if labels != classes {
        let message = format!("needs as many labels as classes, not {labels} and {classes}");
        reader.fault("kind", message);
    }
    (Arc::new(Reversed { labels }), None)
}

impl Kind for Reversed {
    fn fixed(&self) -> Option<Mapping> {
        Some(Mapping::Groups {
            groups: (0..self.labels).rev().map(|class| vec![class]).collect(),
            offset: Vec::new(),
            scale: Vec::new(),
        })
    }

    /// Never asked for: nothing is counted.
    fn fit(&self, _: &[f32], _: Counted, _: Sizes) -> Mapping {
        Mapping::Identity
    }
}
