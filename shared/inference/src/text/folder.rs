//! A folder in the layout of the Hugging Face hub, on disk or in memory.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rten::Model;
use serde_json::Value;

use super::error::TextLoadError;
use crate::onnx_file;

/// Files by their path in a folder, with `/`: `onnx/model.onnx`.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Minimum number of tokens; fewer leave no room beside the special ones.
pub(super) const LEAST_TOKENS: usize = 8;
/// The limit if no file states one; it is that of nearly all encoders.
const USUAL_TOKENS: usize = 512;
/// RoBERTa's positions begin after the padding token's, so two of them are never used.
const ROBERTA_OFFSET: u64 = 2;

/// The files of one model.
pub(crate) struct Folder {
    /// Prefix of paths; empty for files in memory.
    dir: PathBuf,
    /// Networks are moved out when they are loaded: they are large.
    memory: Option<RefCell<Files>>,
    layout: &'static str,
    /// Content of `config.json`.
    pub config: Value,
    /// Content of `tokenizer_config.json`, or null.
    pub tokenizer_config: Value,
    /// Content of `tokenizer.json`.
    pub tokenizer: Vec<u8>,
}

impl Folder {
    pub(crate) fn open(dir: &Path) -> Result<Self, TextLoadError> {
        Self::read(dir, None)
    }

    pub(crate) fn in_memory(files: Files) -> Result<Self, TextLoadError> {
        Self::read(Path::new(""), Some(RefCell::new(files)))
    }

    fn read(dir: &Path, memory: Option<RefCell<Files>>) -> Result<Self, TextLoadError> {
        let layout = if is_clip(dir) {
            "config.json, tokenizer.json, preprocessor_config.json, and vision_model.onnx and text_model.onnx (there or in onnx/)"
        } else {
            "config.json, tokenizer.json, and model.onnx or onnx/model.onnx"
        };
        let mut folder = Self {
            dir: dir.to_owned(),
            memory,
            layout,
            config: Value::Null,
            tokenizer_config: Value::Null,
            tokenizer: Vec::new(),
        };
        folder.config = folder.json("config.json")?;
        folder.tokenizer_config = folder.optional_json("tokenizer_config.json")?;
        let path = folder.existing("tokenizer.json")?;
        folder.tokenizer = folder.bytes(&path)?;
        Ok(folder)
    }

    /// Finds `NAME.onnx`, in the folder or in `onnx/`.
    pub(crate) fn onnx(&self, name: &str) -> Result<PathBuf, TextLoadError> {
        onnx_places(&self.dir, name)
            .into_iter()
            .find(|path| self.has(path))
            .ok_or_else(|| self.missing(&format!("{name}.onnx")))
    }

    /// Loads one of its networks, once.
    pub(crate) fn network(&self, path: &Path) -> Result<Model, TextLoadError> {
        let model = match &self.memory {
            None => onnx_file::load_file(path),
            Some(_) => onnx_file::load_bytes(self.bytes(path)?),
        };
        model.map_err(|cause| TextLoadError::Onnx {
            path: path.to_owned(),
            cause,
        })
    }

    /// Returns whether there is such a file.
    pub(crate) fn has(&self, path: &Path) -> bool {
        match (&self.memory, path.to_str()) {
            (None, _) => path.is_file(),
            (Some(files), Some(name)) => files.borrow().contains_key(name),
            (Some(_), None) => false,
        }
    }

    /// Reads a file. One in memory is moved out.
    fn bytes(&self, path: &Path) -> Result<Vec<u8>, TextLoadError> {
        let taken = match (&self.memory, path.to_str()) {
            (None, _) => std::fs::read(path),
            (Some(files), Some(name)) if files.borrow().contains_key(name) => {
                Ok(files.borrow_mut().remove(name).unwrap_or_default())
            }
            (Some(_), _) => Err(std::io::ErrorKind::NotFound.into()),
        };
        taken.map_err(|cause| TextLoadError::Read {
            path: path.to_owned(),
            cause,
        })
    }

    fn parse(&self, path: &Path) -> Result<Value, TextLoadError> {
        let borrowed = self.memory.as_ref().map(RefCell::borrow);
        let kept = borrowed
            .as_ref()
            .zip(path.to_str())
            .and_then(|(files, name)| files.get(name));
        let parsed = match kept {
            Some(bytes) => serde_json::from_slice(bytes),
            None => serde_json::from_slice(&self.bytes(path)?),
        };
        parsed.map_err(|error| TextLoadError::File {
            path: path.to_owned(),
            cause: error.to_string(),
        })
    }

    /// Path of a file of the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Reads a JSON file that must exist.
    pub(crate) fn json(&self, name: &str) -> Result<Value, TextLoadError> {
        self.parse(&self.existing(name)?)
    }

    /// Reads a JSON file; null if it does not exist.
    pub(crate) fn optional_json(&self, name: &str) -> Result<Value, TextLoadError> {
        let path = self.path(name);
        if self.has(&path) {
            self.parse(&path)
        } else {
            Ok(Value::Null)
        }
    }

    /// Number of rows of the table of word embeddings, if the files state it.
    pub(crate) fn vocabulary(&self) -> Option<usize> {
        usize::try_from(self.config["vocab_size"].as_u64()?).ok()
    }

    /// Maximum number of tokens of a text: `asked`, or the smallest limit that the files state.
    pub(crate) fn max_tokens(&self, asked: Option<usize>) -> Result<usize, TextLoadError> {
        let number = |value: &Value| {
            value
                .as_u64()
                .map(|n| usize::try_from(n).unwrap_or(usize::MAX))
        };
        let text_config = &self.config["text_config"];
        let positions = [&self.config, text_config]
            .into_iter()
            .find_map(|config| config["max_position_embeddings"].as_u64());
        let offset = match self.config["model_type"].as_str() {
            Some("roberta" | "xlm-roberta" | "camembert" | "mpnet" | "longformer") => {
                ROBERTA_OFFSET
            }
            _ => 0,
        };
        let positions =
            positions.and_then(|positions| usize::try_from(positions.saturating_sub(offset)).ok());
        let tokenizer: Value = serde_json::from_slice(&self.tokenizer).unwrap_or_default();
        let stated = [
            // Some files state 10^30 for "no limit", which is not a whole number of 64 bits.
            number(&self.tokenizer_config["model_max_length"]),
            number(&tokenizer["truncation"]["max_length"]),
            number(&self.optional_json("sentence_bert_config.json")?["max_seq_length"]),
            positions,
        ];
        let most = positions.unwrap_or(usize::MAX);
        let asked = asked
            .or_else(|| stated.into_iter().flatten().min())
            .unwrap_or(USUAL_TOKENS);
        if (LEAST_TOKENS..=most).contains(&asked) {
            Ok(asked)
        } else {
            Err(TextLoadError::MaxTokens {
                asked,
                least: LEAST_TOKENS,
                most,
            })
        }
    }

    fn existing(&self, name: &str) -> Result<PathBuf, TextLoadError> {
        let path = self.path(name);
        if self.has(&path) {
            Ok(path)
        } else {
            Err(self.missing(name))
        }
    }

    fn missing(&self, file: &str) -> TextLoadError {
        TextLoadError::Missing {
            dir: self.dir.clone(),
            file: file.to_owned(),
            layout: self.layout,
        }
    }
}

/// Returns whether the folder holds a pair of an image and a text encoder.
#[must_use]
pub fn is_clip(dir: &Path) -> bool {
    ["vision_model", "text_model"]
        .iter()
        .flat_map(|name| onnx_places(dir, name))
        .any(|path| path.is_file())
}

/// Where `NAME.onnx` may be.
fn onnx_places(dir: &Path, name: &str) -> [PathBuf; 2] {
    let file = format!("{name}.onnx");
    [dir.join(&file), dir.join("onnx").join(&file)]
}
