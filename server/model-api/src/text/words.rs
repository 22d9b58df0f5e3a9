//! From texts to tokens.

use serde_json::Value;
use tokenizers::{Tokenizer, TruncationParams};

use super::error::{QueryError, TextLoadError};
use super::folder::Folder;

/// A model's tokenizer.
pub(crate) struct Words {
    tokenizer: Tokenizer,
    pad: i32,
    unknown: Option<u32>,
    /// Whether a word inside a sentence begins with a space token, as in RoBERTa: `great` and
    /// ` great` are two tokens, and the second is the one that follows other words.
    space_first: bool,
}

/// The tokens of a text.
pub(crate) struct Tokens {
    pub ids: Vec<i32>,
    /// Tokens beyond the limit.
    pub cut: Vec<i32>,
}

impl Words {
    pub(crate) fn load(folder: &Folder, max_tokens: usize) -> Result<Self, TextLoadError> {
        let mut tokenizer =
            Tokenizer::from_bytes(&folder.tokenizer).map_err(|error| TextLoadError::File {
                path: folder.path("tokenizer.json"),
                cause: error.to_string(),
            })?;
        let stated = tokenizer.get_padding().map(|padding| padding.pad_id);
        let pad = folder.config["pad_token_id"]
            .as_u64()
            .and_then(|id| u32::try_from(id).ok())
            .or(stated)
            .or_else(|| ["[PAD]", "<pad>"].iter().find_map(|pad| tokenizer.token_to_id(pad)))
            .unwrap_or(0);
        let json: Value = serde_json::from_slice(&folder.tokenizer).unwrap_or_default();
        let unknown = json["model"]["unk_token"]
            .as_str()
            .or_else(|| token_text(&folder.tokenizer_config["unk_token"]))
            .and_then(|token| tokenizer.token_to_id(token));
        tokenizer.with_padding(None);
        Self {
            tokenizer,
            pad: signed(pad),
            unknown,
            space_first: needs_space(&json["pre_tokenizer"]),
        }
        .with_max_tokens(max_tokens)
    }

    /// Keeps at most `max_tokens` of each text.
    pub(crate) fn with_max_tokens(mut self, max_tokens: usize) -> Result<Self, TextLoadError> {
        let truncation = TruncationParams {
            max_length: max_tokens,
            ..TruncationParams::default()
        };
        match self.tokenizer.with_truncation(Some(truncation)) {
            Ok(_) => Ok(self),
            Err(_) => Err(TextLoadError::MaxTokens {
                asked: max_tokens,
                least: max_tokens + 1,
                most: usize::MAX,
            }),
        }
    }

    /// What fills the shorter texts of a batch.
    pub(crate) fn pad(&self) -> i32 {
        self.pad
    }

    /// Number of different tokens.
    pub(crate) fn vocabulary(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// A text's tokens, special ones included; never none.
    pub(crate) fn tokens(&self, text: &str) -> Result<Tokens, String> {
        let encoding = self
            .tokenizer
            .encode_fast(text, true)
            .map_err(|error| error.to_string())?;
        let mut ids: Vec<i32> = encoding.get_ids().iter().map(|&id| signed(id)).collect();
        if ids.is_empty() {
            // An empty text for a tokenizer without special tokens; networks want at least one.
            ids.push(self.pad);
        }
        let cut = encoding.get_overflowing().iter();
        let cut = cut.flat_map(|rest| rest.get_ids().iter().map(|&id| signed(id)));
        Ok(Tokens {
            ids,
            cut: cut.collect(),
        })
    }

    /// The one token of a label word in the middle of a sentence.
    pub(crate) fn label(&self, word: &str) -> Result<usize, QueryError> {
        let spaced = if self.space_first && !word.starts_with(' ') {
            format!(" {word}")
        } else {
            word.to_owned()
        };
        let encoding = self.tokenizer.encode(spaced, false);
        let refused = |tokens| {
            Err(QueryError::Word {
                word: word.to_owned(),
                tokens,
            })
        };
        match encoding {
            Ok(encoding) => match *encoding.get_ids() {
                [id] if Some(id) != self.unknown => Ok(id as usize),
                _ => refused(encoding.get_tokens().to_vec()),
            },
            Err(_) => refused(Vec::new()),
        }
    }

    /// The mask token and its number.
    pub(crate) fn mask(&self, folder: &Folder) -> Option<(String, i32)> {
        let stated = token_text(&folder.tokenizer_config["mask_token"]);
        stated
            .into_iter()
            .chain(["<mask>", "[MASK]"])
            .find_map(|token| {
                let id = self.tokenizer.token_to_id(token)?;
                Some((token.to_owned(), signed(id)))
            })
    }
}

/// Some files write a token as a string, others as an object.
fn token_text(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token["content"].as_str())
}

/// Byte-level BPE that does not put the space there itself.
fn needs_space(pre_tokenizer: &Value) -> bool {
    let parts = pre_tokenizer["pretokenizers"].as_array();
    let parts = parts.map_or(std::slice::from_ref(pre_tokenizer), Vec::as_slice);
    parts.iter().any(|part| {
        part["type"] == "ByteLevel" && part["add_prefix_space"].as_bool() == Some(false)
    })
}

/// Networks count tokens with a sign; no vocabulary comes near the limit.
fn signed(id: u32) -> i32 {
    i32::try_from(id).unwrap_or(i32::MAX)
}
