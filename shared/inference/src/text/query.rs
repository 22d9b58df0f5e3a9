//! Requests to a text model, checked.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::error::QueryError;

/// One text, and the template into which its labels are put.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TextQuery<'a> {
    /// The whole input, prompt included; for a masked language model including the mask token.
    pub text: &'a str,
    /// Template for sentence encoders: `{}` stands for the label. [`TextQuery::LABEL_ALONE`] is the
    /// label without anything around it.
    pub template: &'a str,
    /// Soft prompt before the text: embeddings, [tokens, hidden], row by row; empty for none.
    pub soft_text: &'a [f32],
    /// Soft prompt before the template, for sentence encoders.
    pub soft_template: &'a [f32],
}

impl<'a> TextQuery<'a> {
    /// A query without soft prompts.
    #[must_use]
    pub const fn new(text: &'a str, template: &'a str) -> Self {
        Self {
            text,
            template,
            soft_text: &[],
            soft_template: &[],
        }
    }
}

impl TextQuery<'_> {
    /// The template that is only its label.
    pub const LABEL_ALONE: &'static str = "{}";
}

/// The label's place in a template.
const PLACE: &str = "{}";

/// Minimum number of labels; with fewer there is nothing to choose.
const MIN_LABELS: usize = 2;

/// A request that the network can be run on.
#[derive(Debug)]
pub enum Prepared {
    /// A request to a sentence encoder.
    Embed(Embed),
    /// A request to a masked language model.
    Fill(Fill),
}

/// A text with the soft prompt before it.
#[derive(Debug)]
pub struct Piece {
    pub text: String,
    pub soft: Option<Arc<SoftPrompt>>,
}

/// A soft prompt of the right size.
#[derive(Debug)]
pub struct SoftPrompt {
    /// SHA-256 of its values.
    pub digest: [u8; 32],
    /// Values, [tokens, hidden].
    pub embeddings: Vec<f32>,
    pub tokens: usize,
}

/// The soft prompts of one request, each once.
pub(super) struct SoftPrompts {
    limits: Option<SoftLimits>,
    known: HashMap<(usize, usize), Arc<SoftPrompt>>,
}

impl SoftPrompts {
    pub(super) fn new(limits: Option<SoftLimits>) -> Self {
        Self {
            limits,
            known: HashMap::new(),
        }
    }

    /// Checks and takes the soft prompt of text number `text`.
    pub(super) fn take(
        &mut self,
        text: usize,
        embeddings: &[f32],
    ) -> Result<Option<Arc<SoftPrompt>>, QueryError> {
        if embeddings.is_empty() {
            return Ok(None);
        }
        let Some(SoftLimits {
            hidden, max_tokens, ..
        }) = self.limits
        else {
            return Err(QueryError::NoSoftPrompts);
        };
        // Queries that share a prompt share its memory.
        let place = (embeddings.as_ptr().addr(), embeddings.len());
        if let Some(known) = self.known.get(&place) {
            return Ok(Some(Arc::clone(known)));
        }
        let tokens = embeddings.len() / hidden;
        if !embeddings.len().is_multiple_of(hidden) || tokens > max_tokens {
            return Err(QueryError::SoftPrompt {
                text,
                values: embeddings.len(),
                hidden,
                most: max_tokens,
            });
        }
        if !embeddings.iter().all(|value| value.is_finite()) {
            return Err(QueryError::SoftNotFinite(text));
        }
        let mut digest = Sha256::new();
        embeddings
            .iter()
            .for_each(|value| digest.update(value.to_le_bytes()));
        let new = Arc::new(SoftPrompt {
            digest: digest.finalize().into(),
            embeddings: embeddings.to_vec(),
            tokens,
        });
        self.known.insert(place, Arc::clone(&new));
        Ok(Some(new))
    }
}

/// What a model's soft prompts must look like, and what their generator should know.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SoftLimits {
    /// Number of values in one token's embedding.
    pub hidden: usize,
    /// Maximum number of tokens of a prompt.
    pub max_tokens: usize,
    /// Mean of all entries of the table of word embeddings.
    pub mean: f64,
    /// Standard deviation of all entries of the table, by which BBT scales its random projection.
    pub deviation: f64,
}

/// Texts to embed, and which of them to compare.
#[derive(Debug)]
pub struct Embed {
    /// The distinct texts of the request, and for each distinct template its prompts in the labels'
    /// order.
    pub pieces: Vec<Piece>,
    /// For each text, its index in `pieces`, and the index at which the prompts of its template
    /// begin.
    pub pairs: Vec<(usize, usize)>,
    /// Number of labels; 0 requests the embeddings of all pieces themselves.
    pub labels: usize,
}

/// Texts with one mask each, and the words that are tried there.
#[derive(Debug)]
pub struct Fill {
    /// The tokens of each text.
    pub texts: Vec<Vec<i32>>,
    /// Each text's soft prompt, whose places are among its tokens.
    pub soft: Vec<Option<Arc<SoftPrompt>>>,
    /// Position of the mask in each text.
    pub masks: Vec<usize>,
    /// The labels' tokens.
    pub words: Vec<usize>,
}

/// Checks what holds for every kind of model.
pub(super) fn check(queries: &[TextQuery<'_>], labels: &[&str]) -> Result<(), QueryError> {
    if queries.is_empty() {
        return Err(QueryError::NoTexts);
    }
    check_labels(labels)
}

/// Checks the labels.
pub(crate) fn check_labels(labels: &[&str]) -> Result<(), QueryError> {
    if labels.len() < MIN_LABELS {
        return Err(QueryError::FewLabels(labels.len()));
    }
    match labels.iter().position(|label| label.trim().is_empty()) {
        Some(at) => Err(QueryError::EmptyLabel(at)),
        None => Ok(()),
    }
}

/// Puts each label into `template`; `None` if it has no place for one.
pub fn prompts<'a>(
    template: &'a str,
    labels: &'a [&'a str],
) -> Option<impl Iterator<Item = String> + 'a> {
    template.contains(PLACE).then(|| {
        labels
            .iter()
            .map(move |label| template.replace(PLACE, label))
    })
}
