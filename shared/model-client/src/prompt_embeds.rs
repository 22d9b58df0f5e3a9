//! `[model.openai.prompt_embeds]`: prompts that are sent as embeddings, which vLLM takes in place
//! of a whole prompt (`prompt_embeds` of its completions,
//! <https://docs.vllm.ai/en/latest/features/prompt_embeds.html>). The text around a soft prompt
//! must then be embeddings too, so participants need the open model's tokenizer and its table of
//! input embeddings. Both are fetched once, like the files of a model on the device; the crate
//! `inference` turns tokens into rows of the table.

use serde::{Deserialize, Serialize};

use super::files::{ModelFile, hash, is_path};
use super::{ModelApiError, ModelSpec};
use crate::address::read_url;
use ground::fault::Reader;
use tuning::wording::TextTask;

/// Name of the table in most models.
const TENSOR: &str = "model.embed_tokens.weight";
/// Number of tokens to assume for a text, to decide how many texts a request may hold before any
/// text is known.
const USUAL_TOKENS: usize = 128;

/// The checked table `[model.openai.prompt_embeds]`: what to fetch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptEmbeds {
    /// Address below which both files are.
    pub url: String,
    /// The tokenizer, as Hugging Face's `tokenizers` writes it, and then the safetensors file that
    /// holds the table.
    pub files: [ModelFile; 2],
    /// Name of the table in the safetensors file.
    pub tensor: String,
}

impl PromptEmbeds {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        let url = read_url(r);
        let tokenizer = file(r, "tokenizer", "tokenizer.json", "tokenizer_sha256");
        let table = file(r, "table", "embeddings.safetensors", "table_sha256");
        let tensor = r.text("tensor", Some(TENSOR));
        if tensor.is_empty() || tensor.len() > 200 {
            r.fault("tensor", "must be 1 to 200 characters");
        }
        Self {
            url,
            files: [tokenizer, table],
            tensor,
        }
    }

    /// What must be fetched to ask `model` about the texts of `text`; `None` if prompts are words,
    /// or if the dialect takes embeddings beside a text.
    #[must_use]
    pub fn of<'a>(model: &'a ModelSpec, text: Option<&TextTask>) -> Option<&'a Self> {
        text?.soft?;
        model.own.settings().prompt_embeds()
    }
}

fn file<'a>(r: &mut Reader<'a>, key: &'a str, name: &str, sha256: &'a str) -> ModelFile {
    let path = r.text(key, Some(name));
    if !is_path(&path) {
        let message = "must be a path of letters, digits, or - _ . and / below model.openai.prompt_embeds.url";
        r.fault(key, message);
    }
    ModelFile {
        address: path.clone(),
        path,
        sha256: hash(r, sha256),
    }
}

/// Number of bytes of one text with its prompt in a request, both as embeddings, if the text has
/// `USUAL_TOKENS` tokens; `None` if no embeddings are sent.
#[must_use]
pub fn text_bytes(model: &ModelSpec, text: Option<&TextTask>) -> Option<usize> {
    PromptEmbeds::of(model, text)?;
    let soft = text?.soft?;
    // Base64 of two bytes for each number, as most tables have.
    Some((soft.tokens + USUAL_TOKENS) * soft.hidden * 2 * 4 / 3)
}

/// A model's tokenizer together with its table of input embeddings.
pub trait Embedder: Send + Sync {
    /// The rows of the text's tokens, as the model itself looks them up, with special tokens. The
    /// rows of `soft`, `[tokens, hidden]`, rounded to the table's own type, come after those that
    /// stand before every text (the beginning-of-sequence token, if the tokenizer adds one).
    /// Returned as a file in the format of `torch.save`.
    ///
    /// # Errors
    /// Why the embeddings cannot be made, in words.
    fn embed(&self, text: &str, soft: &[f32]) -> Result<Vec<u8>, String>;
}

/// The likeliest tokens with their log-probabilities, as an answer lists them.
pub type Listed = Vec<(String, f64)>;

/// An answer to the harmless text of a trial.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tried {
    /// The tokens that may come next.
    pub listed: Listed,
    /// Number of the text's tokens as the server counts them; 0 if it does not say.
    pub tokens: u64,
}

/// Maximum total variation distance, from 0 to 1, between the answers to words and to embeddings.
/// Rounding to 16 bits makes a few hundredths; another table or tokenizer makes most of 1.
const MOST_APART: f64 = 0.1;

/// Compares the answers of a model to the same text as words and as embeddings.
///
/// # Errors
/// [`ModelApiError::OtherEmbeddings`] if they differ by more than rounding, or in the number of
/// tokens.
pub(super) fn compare(words: &Tried, embeddings: &Tried) -> Result<(), ModelApiError> {
    if words.tokens != embeddings.tokens && words.tokens > 0 && embeddings.tokens > 0 {
        return Err(ModelApiError::OtherEmbeddings {
            detail: format!(
                "a harmless text is {} tokens to the model, and {} to the tokenizer",
                words.tokens, embeddings.tokens
            ),
        });
    }
    let (words, embeddings) = (&words.listed, &embeddings.listed);
    if apart(words, embeddings) <= MOST_APART {
        return Ok(());
    }
    let first = |listed: &Listed| {
        let best = listed.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        best.map_or_else(String::new, |(token, log)| {
            format!("{token:?} with {:.0} %", 100.0 * log.exp())
        })
    };
    Err(ModelApiError::OtherEmbeddings {
        detail: format!(
            "its likeliest next word is {} after the words, and {} after the embeddings",
            first(words),
            first(embeddings)
        ),
    })
}

/// The total variation distance of two lists. A token that only one list has is taken to be, in the
/// other, as likely as the last one there, or less.
fn apart(one: &Listed, other: &Listed) -> f64 {
    let of = |listed: &Listed, token: &str| {
        let found = listed.iter().find(|(name, _)| name == token);
        found.map(|(_, log)| log.exp())
    };
    let least = |listed: &Listed| listed.iter().map(|(_, log)| log.exp()).fold(1.0, f64::min);
    let here = one.iter().map(|(token, log)| {
        let p = log.exp();
        (p - of(other, token).unwrap_or_else(|| p.min(least(other)))).abs()
    });
    let there = other.iter().filter(|(token, _)| of(one, token).is_none());
    let there = there.map(|(_, log)| log.exp() - log.exp().min(least(one)));
    (here.sum::<f64>() + there.sum::<f64>()) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_told_from_another_model() {
        let listed = |pairs: &[(&str, f64)]| -> Listed {
            pairs
                .iter()
                .map(|(t, p)| ((*t).to_owned(), p.ln()))
                .collect()
        };
        let words = listed(&[("a", 0.5), ("b", 0.3), ("c", 0.1)]);
        let rounded = listed(&[("a", 0.52), ("b", 0.29), ("d", 0.099)]);
        assert!(apart(&words, &rounded) < 0.02);
        let tried = |listed: &Listed, tokens| Tried {
            listed: listed.clone(),
            tokens,
        };
        compare(&tried(&words, 7), &tried(&rounded, 7)).unwrap();
        // Not every server counts tokens.
        compare(&tried(&words, 7), &tried(&rounded, 0)).unwrap();
        let longer = compare(&tried(&words, 7), &tried(&words, 6)).unwrap_err();
        assert!(
            longer.to_string().contains("7 tokens to the model, and 6"),
            "{longer}"
        );
        let other = listed(&[("x", 0.7), ("b", 0.2), ("c", 0.05)]);
        let other = compare(&tried(&words, 7), &tried(&other, 7)).unwrap_err();
        assert_eq!(other.code(), "model_other_embeddings");
        assert!(other.to_string().contains("\"a\" with 50 %"), "{other}");
        // Nearly all of the probability is elsewhere.
        assert!(apart(&words, &listed(&[("x", 1.0)])) > 0.4);
    }
}
