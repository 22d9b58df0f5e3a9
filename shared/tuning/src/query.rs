//! What a model is asked, and what its numbers mean: images or texts under a prompt, on their way
//! to scores.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::wording::Prompt;

/// What the numbers in the score tensor mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[serde(rename_all = "lowercase")]
pub enum OutputKind {
    /// Unbounded; softmax makes them probabilities.
    Logits,
    /// From 0 to 1.
    Probabilities,
}

/// The soft prompts of some texts, and whose they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SoftQueries {
    /// [prompts, tokens, hidden], row by row.
    pub embeddings: Vec<f32>,
    /// Tokens of one.
    pub tokens: usize,
    /// Numbers of a token.
    pub hidden: usize,
    /// Which prompt each text has.
    pub of_text: Vec<u32>,
    /// They stand before the label templates instead of before the texts.
    pub before_label: bool,
}

/// Texts to be scored together, prompts included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TextQueries {
    /// Whole model inputs.
    pub texts: Vec<String>,
    /// The label template of each text, in which `{}` stands for the label word; none at all for
    /// masked language models, whose texts hold the mask.
    pub templates: Vec<String>,
    /// Soft prompts, where the task has them.
    pub soft: Option<SoftQueries>,
}

impl SoftQueries {
    /// The embeddings before text number `text`; empty if there are none.
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
    /// The texts that come next have the soft prompt of `prompt`, if it has one.
    pub fn begin(&mut self, prompt: &Prompt) {
        if let Some(new) = &prompt.soft {
            let soft = self.soft.get_or_insert_default();
            (soft.tokens, soft.hidden) = (new.shape.tokens, new.shape.hidden);
            soft.before_label = new.before_label;
            soft.embeddings.extend(&new.embeddings);
        }
    }

    /// A part of them, with all soft prompts.
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

/// What one request asks: of images or of texts.
#[derive(Clone, Debug, PartialEq)]
pub enum Queries {
    /// `[count][3·H·W]` bytes.
    Images {
        /// The images, planar.
        bytes: Vec<u8>,
        /// How many.
        count: usize,
    },
    /// Texts with their label templates.
    Texts(TextQueries),
}

impl Queries {
    /// How many inputs are asked.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Images { count, .. } => *count,
            Self::Texts(queries) => queries.texts.len(),
        }
    }

    /// A part of them.
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
