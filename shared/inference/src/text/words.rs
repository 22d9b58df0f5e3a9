//! Turns texts into tokens.

use serde_json::Value;
use tokenizers::Tokenizer;

use super::error::{QueryError, TextLoadError};
use super::folder::{Folder, LEAST_TOKENS};

/// A model's tokenizer.
pub struct Words {
    tokenizer: Tokenizer,
    pad: i32,
    unknown: Option<u32>,
    max_tokens: usize,
    /// Number of special tokens before every text; soft prompts follow the first of them.
    opening: usize,
    /// Number of special tokens after every text; they stay when a text is cut.
    closing: usize,
    /// Whether a word inside a sentence begins with a space token, as in RoBERTa: `great` and
    /// ` great` are two tokens, and the second one follows other words.
    space_first: bool,
}

/// The tokens of a text.
pub struct Tokens {
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
            .or_else(|| {
                ["[PAD]", "<pad>"]
                    .iter()
                    .find_map(|pad| tokenizer.token_to_id(pad))
            })
            .unwrap_or(0);
        let json: Value = serde_json::from_slice(&folder.tokenizer).unwrap_or_default();
        let unknown = json["model"]["unk_token"]
            .as_str()
            .or_else(|| token_text(&folder.tokenizer_config["unk_token"]))
            .and_then(|token| tokenizer.token_to_id(token));
        tokenizer.with_padding(None);
        // Texts are cut here, so that it is known what is cut off.
        let unlimited = tokenizer.with_truncation(None).map(|_| ());
        let frame = unlimited.and_then(|()| frame(&tokenizer));
        let (opening, closing) = frame.map_err(|error| TextLoadError::File {
            path: folder.path("tokenizer.json"),
            cause: error.to_string(),
        })?;
        Ok(Self {
            tokenizer,
            pad: signed(pad),
            unknown,
            max_tokens,
            opening,
            closing,
            space_first: needs_space(&json["pre_tokenizer"]),
        })
    }

    /// Limits each text to `max_tokens`.
    pub(crate) fn limit(&mut self, max_tokens: usize) {
        self.max_tokens = max_tokens;
    }

    /// The token that fills up the shorter texts of a batch.
    pub(crate) fn pad(&self) -> i32 {
        self.pad
    }

    /// Number of different tokens.
    pub(crate) fn vocabulary(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// A text's tokens, special ones included; at least one.
    pub fn tokens(&self, text: &str) -> Result<Tokens, String> {
        self.tokens_beside(text, 0)
    }

    /// A text's tokens, leaving room for `soft` tokens of a soft prompt, which are not among them.
    fn tokens_beside(&self, text: &str, soft: usize) -> Result<Tokens, String> {
        let encoding = self
            .tokenizer
            .encode_fast(text, true)
            .map_err(|error| error.to_string())?;
        let mut ids: Vec<i32> = encoding.get_ids().iter().map(|&id| signed(id)).collect();
        if ids.is_empty() {
            // An empty text and a tokenizer without special tokens; networks need at least one
            // token.
            ids.push(self.pad);
        }
        let end = ids.len().saturating_sub(self.closing);
        let keep = self.max_tokens.saturating_sub(self.closing + soft);
        let cut = if end > keep {
            ids.drain(keep..end).collect()
        } else {
            Vec::new()
        };
        Ok(Tokens { ids, cut })
    }

    /// Position of a soft prompt: after the first special token, [CLS] or <s>.
    pub(crate) fn soft_at(&self) -> usize {
        self.opening.min(1)
    }

    /// Maximum number of tokens of a soft prompt, so that something is left for the text.
    pub(crate) fn most_soft(&self) -> usize {
        self.max_tokens.saturating_sub(LEAST_TOKENS)
    }

    /// A text's tokens with `soft` places for a soft prompt at [`Words::soft_at`]. The tokens there
    /// are never looked up, but networks that count positions over tokens must not take them for
    /// padding.
    pub(crate) fn tokens_around(&self, text: &str, soft: usize) -> Result<Tokens, String> {
        let mut tokens = self.tokens_beside(text, soft)?;
        let place = self.unknown.map_or(tokens.ids[0], signed);
        let at = self.soft_at();
        tokens.ids.splice(at..at, std::iter::repeat_n(place, soft));
        Ok(tokens)
    }

    /// The only token of a label word in the middle of a sentence.
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

    /// The single token meant by `text`: the token of exactly this name, else what the text is
    /// split into.
    pub fn token(&self, text: &str) -> Result<usize, QueryError> {
        if let Some(id) = self.tokenizer.token_to_id(text) {
            return Ok(id as usize);
        }
        let encoding = self.tokenizer.encode(text, false);
        match encoding.as_ref().map(|encoding| encoding.get_ids()) {
            Ok([id]) if Some(*id) != self.unknown => Ok(*id as usize),
            _ => Err(QueryError::Word {
                word: text.to_owned(),
                tokens: encoding.map_or_else(|_| Vec::new(), |found| found.get_tokens().to_vec()),
            }),
        }
    }

    /// The text of tokens, without special tokens; may be empty.
    pub fn text(&self, ids: &[u32]) -> String {
        self.tokenizer.decode(ids, true).unwrap_or_default()
    }

    /// The text of one token; its name if there is none, as for special tokens.
    pub fn token_text(&self, token: usize) -> String {
        let id = u32::try_from(token).unwrap_or(u32::MAX);
        let text = self.text(&[id]);
        if text.is_empty() {
            self.tokenizer.id_to_token(id).unwrap_or_default()
        } else {
            text
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

/// Number of special tokens that the tokenizer puts before and after a text.
pub(crate) fn frame(tokenizer: &Tokenizer) -> tokenizers::Result<(usize, usize)> {
    let (bare, framed) = (tokenizer.encode("a", false)?, tokenizer.encode("a", true)?);
    let (bare, framed) = (bare.get_ids(), framed.get_ids());
    let begin = framed
        .windows(bare.len().max(1))
        .position(|ids| ids == bare);
    Ok(begin.map_or((0, 0), |begin| (begin, framed.len() - begin - bare.len())))
}

/// Some files write a token as a string, others as an object.
fn token_text(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token["content"].as_str())
}

/// Returns whether this is byte-level BPE that does not add the space itself.
fn needs_space(pre_tokenizer: &Value) -> bool {
    let parts = pre_tokenizer["pretokenizers"].as_array();
    let parts = parts.map_or(std::slice::from_ref(pre_tokenizer), Vec::as_slice);
    parts.iter().any(|part| {
        part["type"] == "ByteLevel" && part["add_prefix_space"].as_bool() == Some(false)
    })
}

/// Networks take signed token numbers; no vocabulary comes near the limit.
fn signed(id: u32) -> i32 {
    i32::try_from(id).unwrap_or(i32::MAX)
}
