//! Sentence encoders: a text's scores are its cosines with its prompts.

use std::collections::HashMap;
use std::sync::Arc;

use rten_tensor::TensorView;
use rten_tensor::prelude::*;

use super::cache::{self, Cache, Embedding, Key};
use super::error::{QueryError, TextLoadError};
use super::folder::Folder;
use super::network::{Network, Row};
use super::query::{self, Embed, Piece, Prepared, SoftLimits, SoftPrompts, TextQuery};
use super::words::Words;
use super::{TextOptions, TextStats};
use crate::RunError;

pub(super) struct Encoder {
    network: Network,
    words: Words,
    pooling: Pooling,
    /// Number of values in an embedding.
    width: usize,
    temperature: f32,
    cache: Cache,
}

/// How the tokens' vectors are combined into the text's. Used if the network does not do it itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pooling {
    Mean,
    /// The first token, `[CLS]`.
    First,
}

/// Collects one request's strings, and which of them are compared.
pub(super) fn prepare(
    queries: &[TextQuery<'_>],
    labels: &[&str],
    limits: Option<SoftLimits>,
) -> Result<Prepared, QueryError> {
    let mut soft_prompts = SoftPrompts::new(limits);
    let mut pieces: Vec<Piece> = Vec::new();
    // A step asks the same texts under every prompt: one entry for each saves copying and hashing.
    let (mut texts, mut begins) = (HashMap::new(), HashMap::new());
    let mut pairs = Vec::with_capacity(queries.len());
    for (number, query) in queries.iter().enumerate() {
        let soft = soft_prompts.take(number, query.soft_text)?;
        let key = (query.text, soft.as_ref().map(|soft| soft.digest));
        let text = *texts.entry(key).or_insert_with(|| {
            pieces.push(Piece {
                text: query.text.to_owned(),
                soft,
            });
            pieces.len() - 1
        });
        let soft = soft_prompts.take(number, query.soft_template)?;
        let key = (query.template, soft.as_ref().map(|soft| soft.digest));
        let begin = match begins.get(&key) {
            Some(&begin) => begin,
            None => {
                let begin = pieces.len();
                let new = query::prompts(query.template, labels);
                let new = new.ok_or_else(|| QueryError::NoPlace {
                    text: number,
                    template: query.template.chars().take(80).collect(),
                })?;
                pieces.extend(new.map(|text| Piece {
                    text,
                    soft: soft.clone(),
                }));
                begins.insert(key, begin);
                begin
            }
        };
        pairs.push((text, begin));
    }
    Ok(Prepared::Embed(Embed {
        pieces,
        pairs,
        labels: labels.len(),
    }))
}

/// Prepares texts whose embeddings themselves are requested: nothing is compared.
pub(super) fn prepare_embeddings(texts: &[String]) -> Prepared {
    let piece = |text: &String| Piece {
        text: text.clone(),
        soft: None,
    };
    Prepared::Embed(Embed {
        pieces: texts.iter().map(piece).collect(),
        pairs: Vec::new(),
        labels: 0,
    })
}

impl Encoder {
    /// Makes the encoder; `shape` is that of the network's output for one text.
    pub(super) fn new(
        folder: &Folder,
        network: Network,
        words: Words,
        shape: &[usize],
        options: &TextOptions,
    ) -> Result<Self, TextLoadError> {
        Ok(Self {
            pooling: if shape.len() == 3 {
                pooling(folder)?
            } else {
                Pooling::Mean
            },
            width: shape.last().copied().unwrap_or(0),
            network,
            words,
            temperature: options.temperature,
            cache: Cache::new(options.cache),
        })
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn words(&self) -> &Words {
        &self.words
    }

    pub(super) fn stats(&self) -> TextStats {
        self.cache.stats()
    }

    /// Maximum number of texts in a run.
    #[cfg(test)]
    pub(super) fn batch(&self) -> usize {
        self.network.batch()
    }

    /// Scores each request, row-major.
    pub(super) fn run(&self, parts: &[&Prepared]) -> Result<Vec<Vec<f32>>, RunError> {
        let parts: Vec<&Embed> = parts
            .iter()
            .filter_map(|part| match part {
                Prepared::Embed(embed) => Some(embed),
                Prepared::Fill(_) => None,
            })
            .collect();
        let pieces: Vec<&Piece> = parts.iter().flat_map(|part| &part.pieces).collect();
        let embeddings = self.embed(&pieces)?;
        let mut rest = embeddings.as_slice();
        let mut scores = Vec::with_capacity(parts.len());
        for part in parts {
            let (own, others) = rest.split_at(part.pieces.len());
            rest = others;
            if part.labels == 0 {
                scores.push(own.iter().flat_map(|own| own.iter().copied()).collect());
                continue;
            }
            let rows = part.pairs.iter().flat_map(|&(text, begin)| {
                own[begin..begin + part.labels]
                    .iter()
                    .map(move |prompt| dot(&own[text], prompt) / self.temperature)
            });
            scores.push(rows.collect());
        }
        Ok(scores)
    }

    /// Embeds texts as vectors of length 1, with the cache.
    pub(super) fn embed(&self, texts: &[&Piece]) -> Result<Vec<Embedding>, RunError> {
        let key = |piece: &&Piece| {
            let soft = piece.soft.as_ref().map(|soft| &soft.digest);
            cache::key(&piece.text, soft)
        };
        let keys: Vec<Key> = texts.iter().map(key).collect();
        let mut found = self.cache.get(&keys);
        let mut places: HashMap<Key, usize> = HashMap::new();
        let mut new = Vec::new();
        for (at, key) in keys
            .iter()
            .enumerate()
            .filter(|(at, _)| found[*at].is_none())
        {
            places.entry(*key).or_insert_with(|| {
                new.push(at);
                new.len() - 1
            });
        }
        let missing: Vec<&Piece> = new.iter().map(|&at| texts[at]).collect();
        let encoded = self.encode(&missing)?;
        self.cache.put(new.iter().map(|&at| keys[at]).zip(&encoded));
        for (place, key) in found.iter_mut().zip(&keys) {
            if place.is_none() {
                *place = places.get(key).map(|&at| Arc::clone(&encoded[at]));
            }
        }
        // Each was known or has just been encoded, so nothing is lost here.
        Ok(found.into_iter().flatten().collect())
    }

    fn encode(&self, texts: &[&Piece]) -> Result<Vec<Embedding>, RunError> {
        let tokens = texts.iter().map(|piece| {
            let soft = piece.soft.as_ref().map_or(0, |soft| soft.tokens);
            self.words.tokens_around(&piece.text, soft)
        });
        let tokens: Vec<Vec<i32>> = tokens
            .map(|tokens| tokens.map(|tokens| tokens.ids).map_err(RunError::Model))
            .collect::<Result<_, _>>()?;
        let at = self.words.soft_at();
        let rows = tokens.iter().zip(texts).map(|(ids, piece)| Row {
            ids,
            soft: piece.soft.as_ref().map(|soft| (at, &soft.embeddings[..])),
        });
        let rows: Vec<Row<'_>> = rows.collect();
        self.network.run_all(&rows, self.width, |view, row, text| {
            let mut embedding = self.pool(view, row, tokens[text].len())?;
            normalise(&mut embedding)?;
            Ok(embedding.into())
        })
    }

    /// Combines the vectors of one text of `length` tokens.
    fn pool(
        &self,
        view: &TensorView<'_, f32>,
        row: usize,
        length: usize,
    ) -> Result<Vec<f32>, RunError> {
        let wrong = || RunError::Model(format!("its output has the shape {:?}", view.shape()));
        let shape = view.shape().to_vec();
        match *shape {
            [rows, width] if row < rows && width == self.width => {
                Ok(view.slice((row, ..)).to_vec())
            }
            [rows, most, width] if row < rows && length <= most && width == self.width => {
                let tokens = match self.pooling {
                    Pooling::First => 1,
                    Pooling::Mean => length,
                };
                let mut sum = vec![0.0; width];
                for token in 0..tokens {
                    for (sum, value) in sum.iter_mut().zip(view.slice((row, token, ..)).iter()) {
                        *sum += value;
                    }
                }
                // Normalising divides by the length, so the sum serves as the mean.
                Ok(sum)
            }
            _ => Err(wrong()),
        }
    }
}

fn pooling(folder: &Folder) -> Result<Pooling, TextLoadError> {
    let stated = folder.optional_json("1_Pooling/config.json")?;
    let modes: Vec<&str> = stated
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, on)| name.starts_with("pooling_mode_") && **on == true)
        .map(|(name, _)| name.as_str())
        .collect();
    match *modes {
        [] | ["pooling_mode_mean_tokens"] => Ok(Pooling::Mean),
        ["pooling_mode_cls_token"] => Ok(Pooling::First),
        _ => Err(TextLoadError::Pooling(modes.join(" and "))),
    }
}

/// Scales to length 1.
pub(crate) fn normalise(vector: &mut [f32]) -> Result<(), RunError> {
    let length = dot(vector, vector).sqrt();
    if !(length.is_finite() && length > 0.0) {
        return Err(RunError::NotFinite);
    }
    vector.iter_mut().for_each(|value| *value /= length);
    Ok(())
}

/// The scalar product of two vectors of one length.
pub fn dot(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}
