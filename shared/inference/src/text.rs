//! Text models in ONNX, run by `rten` in this process: sentence encoders and masked language
//! models.
//!
//! A folder in the layout of the Hugging Face hub is all that is needed: `config.json`,
//! `tokenizer.json`, and `model.onnx` or `onnx/model.onnx`.

mod cache;
mod embeddings;
mod encoder;
mod error;
mod folder;
mod kind;
mod masked;
mod network;
mod query;
mod words;

#[cfg(test)]
mod tests;

use std::path::Path;

use model_client::Scores;

use crate::RunError;
use encoder::Encoder;
use masked::Masked;

pub(crate) use cache::{Cache, Embedding, key as cache_key};
pub(crate) use encoder::normalise;
pub(crate) use folder::Folder;
pub(crate) use kind::embedding;
pub(crate) use network::{Network, Row};
pub(crate) use query::check_labels;

pub use encoder::dot;
pub use error::{QueryError, TextError, TextLoadError};
pub use folder::{Files, is_clip};
pub use kind::TextKind;
pub use query::{Fill, Prepared, SoftLimits, TextQuery, prompts};
pub use words::Words;
pub(crate) use words::frame;

/// How to use a folder as a text model.
#[derive(Clone, Debug, PartialEq)]
pub struct TextOptions {
    /// Kind of the model; inferred from `config.json` and the model's outputs if `None`.
    pub kind: Option<TextKind>,
    /// Name of the output that is read; the one that fits if `None`.
    pub output: Option<String>,
    /// Maximum number of tokens of a text, special tokens included; if `None`, the smallest limit
    /// that the folder's files state.
    pub max_tokens: Option<usize>,
    /// Divisor of a sentence encoder's cosines.
    pub temperature: f32,
    /// Number of embeddings that a sentence encoder keeps; 0 keeps none.
    pub cache: usize,
    /// Maximum number of texts in one run. With 1 a text's scores are the same to the last bit
    /// whatever else is asked; more saves time, and changes scores by rounding. If `None`, it is
    /// measured whether other texts in the run change scores by more than rounding: then 1
    /// (dynamically quantised models scale by the largest value of the whole batch), else
    /// [`DEFAULT_BATCH`](Self::DEFAULT_BATCH).
    pub batch: Option<usize>,
    /// Number of threads that one call uses together, at least 1. Calls from several threads share
    /// them.
    pub threads: usize,
}

impl TextOptions {
    /// Maximum number of texts in one run of a model whose answers do not depend on the other
    /// texts.
    pub const DEFAULT_BATCH: usize = 16;
}

impl Default for TextOptions {
    fn default() -> Self {
        Self {
            kind: None,
            output: None,
            max_tokens: None,
            temperature: 0.05,
            cache: 16_384,
            batch: None,
            threads: 1,
        }
    }
}

/// Counters of a text model since it was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextStats {
    /// Number of texts that went through the network.
    pub encodes: u64,
    /// Number of texts whose embeddings were in the cache; a text that a request holds several
    /// times counts once.
    pub cache_hits: u64,
}

/// A loaded text model that takes texts and label words and answers scores. `Send + Sync`; the same
/// calls in the same order give the same scores (see [`TextOptions::batch`]).
pub struct TextModel {
    model: Model,
    max_tokens: usize,
    soft: Option<SoftLimits>,
}

enum Model {
    Encoder(Encoder),
    Masked(Masked),
}

impl TextModel {
    /// Loads the folder `dir` and tries the model on a few texts, so that anything that does not
    /// fit is found here and not by the first request.
    ///
    /// # Errors
    /// [`TextLoadError`], which says what does not fit and what to do about it.
    pub fn load(dir: &Path, options: &TextOptions) -> Result<Self, TextLoadError> {
        Self::of(|| Folder::open(dir), options)
    }

    /// Loads a model from files in memory. Weights in a second file are not supported there.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn load_files(files: Files, options: &TextOptions) -> Result<Self, TextLoadError> {
        Self::of(|| Folder::in_memory(files), options)
    }

    fn of(
        open: impl FnOnce() -> Result<Folder, TextLoadError>,
        options: &TextOptions,
    ) -> Result<Self, TextLoadError> {
        if !(options.temperature.is_finite() && options.temperature > 0.0) {
            return Err(TextLoadError::Temperature(options.temperature));
        }
        let folder = open()?;
        let max_tokens = folder.max_tokens(options.max_tokens)?;
        let mut words = Words::load(&folder, max_tokens)?;
        let mut network = Network::load(&folder, "model", options.threads, words.pad())?;
        let max_tokens = network
            .exact_length()
            .map_or(max_tokens, |exact| exact.min(max_tokens));
        words.limit(max_tokens);

        let trial = |words: &Words, text: &str| {
            let tokens = words.tokens(text).map_err(|cause| TextLoadError::File {
                path: folder.path("tokenizer.json"),
                cause,
            })?;
            Ok::<_, TextLoadError>(tokens.ids)
        };
        let (short, long) = (
            trial(&words, "a trial")?,
            trial(&words, &"a trial ".repeat(max_tokens))?,
        );
        let failed = |tokens: usize| move |cause| TextLoadError::Trial { tokens, cause };
        let length = network.exact_length().unwrap_or(short.len());
        let outputs = network.outputs(&short).map_err(failed(short.len()))?;
        let vocabulary = words.vocabulary();
        let wanted = options.output.as_deref();
        let found = kind::find(&folder, &outputs, length, vocabulary, options.kind, wanted)?;
        network.choose(found.output);
        // The longest text is tried, too: a limit that is too high for the model shows here.
        network
            .choose_batch(options.batch, TextOptions::DEFAULT_BATCH, &short, &long)
            .map_err(failed(long.len()))?;
        let soft = network
            .find_embeddings(&short, folder.vocabulary().unwrap_or(vocabulary))
            .map_err(failed(short.len()))?
            .map(|(hidden, spread)| SoftLimits {
                hidden,
                max_tokens: words.most_soft(),
                mean: spread.mean,
                deviation: spread.deviation,
            })
            .filter(|limits| limits.max_tokens > 0);
        if soft.is_none() {
            tracing::info!(
                "soft prompts are not taken: the model's word embeddings were not found"
            );
        }
        let shape = &found.output.shape;
        let model = match found.kind {
            TextKind::SentenceEncoder => {
                Model::Encoder(Encoder::new(&folder, network, words, shape, options)?)
            }
            TextKind::MaskedLm => {
                Model::Masked(Masked::new(&folder, network, words, shape, max_tokens)?)
            }
        };
        Ok(Self {
            model,
            max_tokens,
            soft,
        })
    }

    /// What soft prompts must look like; `None` if this model takes none.
    #[must_use]
    pub fn soft_prompts(&self) -> Option<SoftLimits> {
        self.soft
    }

    /// Kind of the model.
    #[must_use]
    pub fn kind(&self) -> TextKind {
        match self.model {
            Model::Encoder(_) => TextKind::SentenceEncoder,
            Model::Masked(_) => TextKind::MaskedLm,
        }
    }

    /// Maximum number of tokens of a text, special tokens included.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// The token at which a masked language model tries the label words; `None` for a sentence
    /// encoder.
    #[must_use]
    pub fn mask_token(&self) -> Option<&str> {
        match &self.model {
            Model::Encoder(_) => None,
            Model::Masked(masked) => Some(masked.mask_token()),
        }
    }

    /// Counters since it was loaded.
    #[must_use]
    pub fn stats(&self) -> TextStats {
        match &self.model {
            Model::Encoder(encoder) => encoder.stats(),
            Model::Masked(masked) => masked.stats(),
        }
    }

    /// Scores each text against each label, one row a text.
    ///
    /// A sentence encoder answers the cosine between the text and its template with the label put
    /// into every `{}`, divided by the [temperature](TextOptions::temperature). A masked language
    /// model ignores templates; it answers the label word's logit at the text's one mask. Soft
    /// prompts follow the first special token ([CLS], <s>); if both together are too long, the text
    /// is cut, and an encoder that takes the mean over tokens includes theirs.
    ///
    /// # Errors
    /// [`TextError::Query`] if the texts, templates or labels cannot be scored by this model,
    /// [`TextError::Run`] if the model fails.
    pub fn score(
        &self,
        queries: &[TextQuery<'_>],
        labels: &[impl AsRef<str>],
    ) -> Result<Scores, TextError> {
        let labels: Vec<&str> = labels.iter().map(AsRef::as_ref).collect();
        let prepared = self.prepare(queries, &labels)?;
        let scores = self.run(&[&prepared])?.concat();
        Ok(Scores::new(labels.len(), scores).map_err(RunError::from)?)
    }

    /// Checks everything that can be checked without running the network.
    ///
    /// # Errors
    /// [`QueryError`], which says what this model cannot score.
    pub fn prepare(
        &self,
        queries: &[TextQuery<'_>],
        labels: &[&str],
    ) -> Result<Prepared, QueryError> {
        query::check(queries, labels)?;
        match &self.model {
            Model::Encoder(_) => encoder::prepare(queries, labels, self.soft),
            Model::Masked(masked) => masked.prepare(queries, labels, self.soft),
        }
    }

    /// Prepares a request for a sentence encoder's embeddings themselves, [texts,
    /// [width](Self::width)], of length 1.
    #[must_use]
    pub fn prepare_embeddings(&self, texts: &[String]) -> Option<Prepared> {
        match &self.model {
            Model::Encoder(_) => Some(encoder::prepare_embeddings(texts)),
            Model::Masked(_) => None,
        }
    }

    /// Prepares a request for a masked language model's logits of the whole vocabulary at each
    /// text's mask, [texts, [width](Self::width)].
    #[must_use]
    pub fn prepare_vocabulary(&self, texts: &[String]) -> Option<Result<Fill, QueryError>> {
        match &self.model {
            Model::Encoder(_) => None,
            Model::Masked(masked) => Some(masked.prepare_vocabulary(texts)),
        }
    }

    /// Number of values in an embedding, or of tokens that have logits.
    #[must_use]
    pub fn width(&self) -> usize {
        match &self.model {
            Model::Encoder(encoder) => encoder.width(),
            Model::Masked(masked) => masked.width(),
        }
    }

    /// The model's tokenizer.
    #[must_use]
    pub fn words(&self) -> &Words {
        match &self.model {
            Model::Encoder(encoder) => encoder.words(),
            Model::Masked(masked) => masked.words(),
        }
    }

    /// Scores several requests in one run; each result is row-major.
    ///
    /// # Errors
    /// [`RunError::Model`] if the model fails, [`RunError::NotFinite`] if it answers NaN or
    /// infinity.
    pub fn run(&self, parts: &[&Prepared]) -> Result<Vec<Vec<f32>>, RunError> {
        let scores = match &self.model {
            Model::Encoder(encoder) => encoder.run(parts),
            Model::Masked(masked) => masked.run(parts),
        }?;
        if scores.iter().flatten().all(|score| score.is_finite()) {
            Ok(scores)
        } else {
            Err(RunError::NotFinite)
        }
    }
}
