//! Queries: images or texts under a prompt, as they are put to a model, and the kind of numbers
//! with which it answers.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::wording::Prompt;

/// What the numbers in the model's score tensor mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[serde(rename_all = "lowercase")]
pub enum OutputKind {
    /// Unbounded numbers, which a softmax turns into probabilities.
    Logits,
    /// Probabilities, each from 0 to 1.
    Probabilities,
}

/// The soft prompts of a batch of texts, and which text has which.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SoftQueries {
    /// The prompts' embeddings, `[prompts][tokens][hidden]`.
    pub embeddings: Vec<f32>,
    /// Number of tokens of one prompt.
    pub tokens: usize,
    /// Number of values in the embedding of one token.
    pub hidden: usize,
    /// For each text, the index of its prompt.
    pub of_text: Vec<u32>,
    /// Whether the prompts stand before the label templates and not before the texts.
    pub before_label: bool,
}

/// Texts that are scored together, with their prompts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TextQueries {
    /// Whole model inputs, one for each text.
    pub texts: Vec<String>,
    /// The label template of each text, in which `{}` stands for the label word. Empty for masked
    /// language models, whose texts hold the mask.
    pub templates: Vec<String>,
    /// Soft prompts; `None` if the task has none.
    pub soft: Option<SoftQueries>,
}

impl SoftQueries {
    /// The embeddings before text number `text`, tokens·hidden numbers; empty if it has none.
    #[must_use]
    pub fn prompt(&self, text: usize) -> &[f32] {
        let size = self.tokens * self.hidden;
        let begin = self.of_text.get(text).map(|prompt| *prompt as usize * size);
        begin
            .and_then(|begin| self.embeddings.get(begin..begin + size))
            .unwrap_or_default()
    }
}

impl TextQueries {
    /// Puts the soft prompt of `prompt`, if it has one, before the texts that are added from now
    /// on.
    pub fn begin(&mut self, prompt: &Prompt) {
        if let Some(new) = &prompt.soft {
            let soft = self.soft.get_or_insert_default();
            (soft.tokens, soft.hidden) = (new.shape.tokens, new.shape.hidden);
            soft.before_label = new.before_label;
            soft.embeddings.extend(&new.embeddings);
        }
    }

    /// The texts in `range`, with all soft prompts.
    #[must_use]
    pub fn part(&self, range: std::ops::Range<usize>) -> Self {
        Self {
            texts: self.texts[range.clone()].to_vec(),
            templates: self
                .templates
                .get(range.clone())
                .unwrap_or_default()
                .to_vec(),
            soft: self.soft.as_ref().map(|soft| SoftQueries {
                of_text: soft.of_text[range].to_vec(),
                ..soft.clone()
            }),
        }
    }
}

/// What one request asks about: images or texts.
#[derive(Clone, Debug, PartialEq)]
pub enum Queries {
    /// `[count][3·H·W]` bytes.
    Images {
        /// The images, 3·H·W planar bytes each.
        bytes: Vec<u8>,
        /// Number of images.
        count: usize,
    },
    /// Texts with their label templates.
    Texts(TextQueries),
}

impl Queries {
    /// Number of inputs in the request.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Images { count, .. } => *count,
            Self::Texts(queries) => queries.texts.len(),
        }
    }

    /// The inputs in `range`.
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> Self {
        match self {
            Self::Images { bytes, count } => {
                let size = bytes.len() / (*count).max(1);
                Self::Images {
                    bytes: bytes[range.start * size..range.end * size].to_vec(),
                    count: range.len(),
                }
            }
            Self::Texts(queries) => Self::Texts(queries.part(range)),
        }
    }
}
