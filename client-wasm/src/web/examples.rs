//! The owner's examples, fitted to the model's input, and their split.

use shared::data::partition::split_holdout;
use shared::round::client::Part;
use shared::round::workbench::Labelled;
use shared::task::Task;

/// Labelled images and their split.
pub struct Examples {
    bytes: usize,
    images: Vec<u8>,
    labels: Vec<u32>,
    training: Vec<usize>,
    holdout: Vec<usize>,
}

impl Examples {
    /// `images` hold 3·H·W bytes for each label. The split is a function of the task and the labels.
    pub fn new(task: &Task, images: Vec<u8>, labels: Vec<u32>) -> Option<Self> {
        let bytes = task.shape().bytes();
        let known = labels
            .iter()
            .all(|label| (*label as usize) < task.labels.len());
        if labels.is_empty() || images.len() != labels.len() * bytes || !known {
            return None;
        }
        let classes: Vec<usize> = labels.iter().map(|label| *label as usize).collect();
        let (training, holdout) = split_holdout(&classes, f64::from(task.holdout), task.seed);
        // A single example is trained on rather than only measured with.
        let (training, holdout) = if training.is_empty() {
            (holdout, training)
        } else {
            (training, holdout)
        };
        Some(Self {
            bytes,
            images,
            labels,
            training,
            holdout,
        })
    }

    /// The indices of a part.
    pub fn part(&self, part: Part) -> &[usize] {
        match part {
            Part::Training => &self.training,
            Part::Holdout => &self.holdout,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// The image of an example, by its number among all.
    pub fn image(&self, index: usize) -> &[u8] {
        &self.images[index * self.bytes..][..self.bytes]
    }

    /// Its label.
    pub fn label(&self, index: usize) -> usize {
        self.labels[index] as usize
    }

    /// What the training works with.
    pub fn labelled(&self, part: Part) -> Vec<Labelled> {
        let one = |&index: &usize| Labelled::image(self.image(index).to_vec(), self.label(index));
        self.part(part).iter().map(one).collect()
    }

    /// For the storage: the number of examples, their labels (both u32, little-endian), their images.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 + 4 * self.labels.len() + self.images.len());
        bytes.extend((self.labels.len() as u32).to_le_bytes());
        bytes.extend(self.labels.iter().flat_map(|label| label.to_le_bytes()));
        bytes.extend(&self.images);
        bytes
    }

    /// From the storage; nothing if the bytes do not belong to the task.
    pub fn from_bytes(task: &Task, bytes: &[u8]) -> Option<Self> {
        let (count, rest) = bytes.split_first_chunk::<4>()?;
        let (labels, images) =
            rest.split_at_checked((u32::from_le_bytes(*count) as usize).checked_mul(4)?)?;
        let labels = labels
            .chunks_exact(4)
            .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        Self::new(task, images.to_vec(), labels)
    }
}
