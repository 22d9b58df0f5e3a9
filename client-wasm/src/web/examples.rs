//! The owner's examples, in the form that the model takes, and how they are split.

use federation::round::client::Part;
use federation::round::workbench::Input;
use federation::round::workbench::Labelled;
use federation::task::{Inputs, Task};
use ground::wire;
use owner_data::partition::split_holdout;
use owner_data::texts::Text;
use serde_json::{Value, json};

use super::report::Buffers;

/// Labelled inputs, divided into a training and a held-out part.
pub struct Examples {
    content: Content,
    labels: Vec<u32>,
    training: Vec<usize>,
    holdout: Vec<usize>,
}

enum Content {
    Images {
        /// Number of bytes of one image.
        bytes: usize,
        images: Vec<u8>,
    },
    Texts(Vec<Text>),
}

/// Number of characters of a text that the page shows.
const SHOWN: usize = 400;

impl Examples {
    /// Examples of images, 3·H·W bytes for each label. The split depends on the task and the labels
    /// alone. `None` if the lengths do not match.
    pub fn new(task: &Task, images: Vec<u8>, labels: Vec<u32>) -> Option<Self> {
        let bytes = task.shape().bytes();
        let fits = images.len() == labels.len() * bytes;
        fits.then_some(Content::Images { bytes, images })
            .and_then(|content| Self::split(task, content, labels))
    }

    /// Examples of texts, one for each label. `None` if the lengths do not match.
    pub fn of_texts(task: &Task, texts: Vec<Text>, labels: Vec<u32>) -> Option<Self> {
        let fits = texts.len() == labels.len();
        fits.then_some(Content::Texts(texts))
            .and_then(|content| Self::split(task, content, labels))
    }

    fn split(task: &Task, content: Content, labels: Vec<u32>) -> Option<Self> {
        let known = labels
            .iter()
            .all(|label| (*label as usize) < task.labels.len());
        if labels.is_empty() || !known {
            return None;
        }
        let classes: Vec<usize> = labels.iter().map(|label| *label as usize).collect();
        let (training, holdout) = split_holdout(&classes, f64::from(task.holdout), task.seed);
        // A single example is trained on, and not only measured with.
        let (training, holdout) = if training.is_empty() {
            (holdout, training)
        } else {
            (training, holdout)
        };
        Some(Self {
            content,
            labels,
            training,
            holdout,
        })
    }

    /// The indices of the examples in a part.
    pub fn part(&self, part: Part) -> &[usize] {
        match part {
            Part::Training => &self.training,
            Part::Holdout => &self.holdout,
        }
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// The image of example number `index`, 3·H·W bytes; empty for texts.
    pub fn image(&self, index: usize) -> &[u8] {
        match &self.content {
            Content::Images { bytes, images } => &images[index * bytes..][..*bytes],
            Content::Texts(_) => &[],
        }
    }

    /// The texts; empty for images.
    pub fn texts(&self) -> &[Text] {
        match &self.content {
            Content::Images { .. } => &[],
            Content::Texts(texts) => texts,
        }
    }

    /// The label of example number `index`.
    pub fn label(&self, index: usize) -> usize {
        self.labels[index] as usize
    }

    /// The examples of a part in the form that the training takes.
    pub fn labelled(&self, part: Part) -> Vec<Labelled> {
        let one = |&index: &usize| match &self.content {
            Content::Images { .. } => {
                Labelled::image(self.image(index).to_vec(), self.label(index))
            }
            Content::Texts(texts) => Labelled {
                input: Input::Text(texts[index].clone()),
                label: self.label(index),
            },
        };
        self.part(part).iter().map(one).collect()
    }

    /// The example number `index` as JSON for the page to show; its pixels go into `buffers`.
    pub fn sample(&self, task: &Task, index: usize, buffers: &mut Buffers) -> Value {
        let label = &task.labels[self.label(index)];
        match &self.content {
            Content::Images { .. } => json!({
                "label": label,
                "width": task.shape().width,
                "height": task.shape().height,
                "rgba": buffers.add(self.image(index)),
            }),
            Content::Texts(texts) => {
                let [first, second] = shown(&texts[index]);
                json!({ "label": label, "first": first, "second": second })
            }
        }
    }

    /// Mean number of bytes of a question about one of these texts; `None` for images.
    pub fn mean_bytes(&self, task: &Task) -> Option<usize> {
        let (texts, wording) = (self.texts(), task.inputs.texts()?);
        if let Some(bytes) = model_client::prompt_embeds::text_bytes(&task.model, Some(wording)) {
            return Some(bytes);
        }
        let none = tuning::wording::Prompt::default();
        let inputs: usize = texts.iter().map(|t| wording.input(t, &none).len()).sum();
        let template = wording.template(&none).map_or(0, |template| template.len());
        Some(inputs / texts.len().max(1) + template)
    }

    /// The bytes to store: the number of examples, their labels (both u32, little-endian), then
    /// images or texts.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend((self.labels.len() as u32).to_le_bytes());
        bytes.extend(self.labels.iter().flat_map(|label| label.to_le_bytes()));
        match &self.content {
            Content::Images { images, .. } => bytes.extend(images),
            Content::Texts(texts) => {
                let pairs: Vec<[&str; 2]> = texts.iter().map(|t| [&*t.first, &*t.second]).collect();
                bytes.extend(wire::encode(&pairs));
            }
        }
        bytes
    }

    /// Reads the stored bytes; `None` if they do not belong to the task.
    pub fn from_bytes(task: &Task, bytes: &[u8]) -> Option<Self> {
        let (count, rest) = bytes.split_first_chunk::<4>()?;
        let (labels, content) =
            rest.split_at_checked((u32::from_le_bytes(*count) as usize).checked_mul(4)?)?;
        let labels = labels
            .chunks_exact(4)
            .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        match task.inputs {
            Inputs::Texts(_) => {
                let pairs: Vec<[String; 2]> = wire::decode(content).ok()?;
                let text = |[first, second]: [String; 2]| Text { first, second };
                Self::of_texts(task, pairs.into_iter().map(text).collect(), labels)
            }
            Inputs::Images(_) => Self::new(task, content.to_vec(), labels),
        }
    }
}

/// The beginnings of both texts of a pair, as far as the page shows them.
pub fn shown(text: &Text) -> [String; 2] {
    [&text.first, &text.second].map(|part| {
        let mut letters = part.chars();
        let mut shown: String = letters.by_ref().take(SHOWN).collect();
        if letters.next().is_some() {
            shown.push('…');
        }
        shown
    })
}
