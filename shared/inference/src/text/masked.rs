//! Masked language models: a text's scores are the logits of the label words at its mask.

use std::sync::atomic::{AtomicU64, Ordering};

use rten_tensor::prelude::*;

use super::TextStats;
use super::error::{QueryError, TextLoadError};
use super::folder::Folder;
use super::network::{Network, Row};
use super::query::{Fill, Prepared, SoftLimits, SoftPrompts, TextQuery};
use super::words::Words;
use crate::RunError;

pub(super) struct Masked {
    network: Network,
    words: Words,
    mask: (String, i32),
    max_tokens: usize,
    /// Number of logits for each token of a text.
    width: usize,
    encodes: AtomicU64,
}

impl Masked {
    /// Makes the model; `shape` is that of the network's output for one text.
    pub(super) fn new(
        folder: &Folder,
        network: Network,
        words: Words,
        shape: &[usize],
        max_tokens: usize,
    ) -> Result<Self, TextLoadError> {
        Ok(Self {
            mask: words.mask(folder).ok_or(TextLoadError::NoMask)?,
            network,
            words,
            max_tokens,
            width: shape.last().copied().unwrap_or(0),
            encodes: AtomicU64::new(0),
        })
    }

    pub(super) fn mask_token(&self) -> &str {
        &self.mask.0
    }

    pub(super) fn stats(&self) -> TextStats {
        TextStats {
            encodes: self.encodes.load(Ordering::Relaxed),
            cache_hits: 0,
        }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn words(&self) -> &Words {
        &self.words
    }

    /// Tokenizes every text; every token of the vocabulary is tried at its mask.
    pub(super) fn prepare_vocabulary(&self, texts: &[String]) -> Result<Fill, QueryError> {
        let queries: Vec<_> = texts
            .iter()
            .map(|text| TextQuery::new(text, TextQuery::LABEL_ALONE))
            .collect();
        self.fill(&queries, (0..self.width).collect(), None)
    }

    /// Tokenizes every text, and every label word as one token.
    pub(super) fn prepare(
        &self,
        queries: &[TextQuery<'_>],
        labels: &[&str],
        limits: Option<SoftLimits>,
    ) -> Result<Prepared, QueryError> {
        let mut words = Vec::with_capacity(labels.len());
        for label in labels {
            let id = self.words.label(label)?;
            if id >= self.width {
                return Err(QueryError::Word {
                    word: (*label).to_owned(),
                    tokens: Vec::new(),
                });
            }
            words.push(id);
        }
        self.fill(queries, words, limits).map(Prepared::Fill)
    }

    /// Tokenizes every text, with one mask each.
    fn fill(
        &self,
        queries: &[TextQuery<'_>],
        words: Vec<usize>,
        limits: Option<SoftLimits>,
    ) -> Result<Fill, QueryError> {
        let mut soft_prompts = SoftPrompts::new(limits);
        let (mut texts, mut soft, mut masks) = (Vec::new(), Vec::new(), Vec::new());
        for (text, query) in queries.iter().enumerate() {
            let prompt = soft_prompts.take(text, query.soft_text)?;
            let places = prompt.as_ref().map_or(0, |prompt| prompt.tokens);
            let tokens = self.words.tokens_around(query.text, places);
            let tokens = tokens.map_err(|cause| QueryError::Tokenizer { text, cause })?;
            soft.push(prompt);
            let is_mask = |id: &&i32| **id == self.mask.1;
            let found = tokens.ids.iter().chain(&tokens.cut).filter(is_mask).count();
            if found != 1 {
                return Err(QueryError::Masks {
                    text,
                    found,
                    mask: self.mask.0.clone(),
                });
            }
            let at = tokens.ids.iter().position(|&id| id == self.mask.1);
            masks.push(at.ok_or(QueryError::MaskCut {
                text,
                max_tokens: self.max_tokens,
            })?);
            texts.push(tokens.ids);
        }
        Ok(Fill {
            texts,
            soft,
            masks,
            words,
        })
    }

    /// Scores each request, row-major.
    pub(super) fn run(&self, parts: &[&Prepared]) -> Result<Vec<Vec<f32>>, RunError> {
        let parts: Vec<&Fill> = parts
            .iter()
            .filter_map(|part| match part {
                Prepared::Fill(fill) => Some(fill),
                Prepared::Embed(_) => None,
            })
            .collect();
        let rows: Vec<(usize, &[usize])> = parts
            .iter()
            .flat_map(|part| part.masks.iter().map(|&mask| (mask, part.words.as_slice())))
            .collect();
        let at = self.words.soft_at();
        let texts: Vec<Row<'_>> = parts
            .iter()
            .flat_map(|part| part.texts.iter().zip(&part.soft))
            .map(|(ids, soft)| Row {
                ids,
                soft: soft.as_ref().map(|soft| (at, &soft.embeddings[..])),
            })
            .collect();
        let answers = self
            .network
            .run_all(&texts, self.width, |view, row, text| {
                let (mask, words) = rows[text];
                let shape = view.shape().to_vec();
                if shape.len() != 3 || shape[0] <= row || shape[1] <= mask || shape[2] < self.width
                {
                    return Err(RunError::Model(format!(
                        "its output has the shape {shape:?}"
                    )));
                }
                let logits = view.slice((row, mask, ..));
                Ok(words
                    .iter()
                    .map(|&word| logits[[word]])
                    .collect::<Vec<f32>>())
            })?;
        self.encodes
            .fetch_add(texts.len() as u64, Ordering::Relaxed);
        let mut answers = answers.into_iter();
        Ok(parts
            .iter()
            .map(|part| answers.by_ref().take(part.texts.len()).flatten().collect())
            .collect())
    }
}
