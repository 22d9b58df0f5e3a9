//! A folder in the layout of the Hugging Face hub.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error::TextLoadError;

/// Fewer tokens have no room beside the special ones.
pub(super) const LEAST_TOKENS: usize = 8;
/// If no file states a limit; nearly all encoders stop there.
const USUAL_TOKENS: usize = 512;
/// RoBERTa's positions begin behind the padding token's, so two of them are never used.
const ROBERTA_OFFSET: u64 = 2;

/// The files of one model.
pub(crate) struct Folder {
    dir: PathBuf,
    layout: &'static str,
    /// `config.json`
    pub config: Value,
    /// `tokenizer_config.json`, or null.
    pub tokenizer_config: Value,
    /// `tokenizer.json`
    pub tokenizer: Vec<u8>,
}

impl Folder {
    pub(crate) fn open(dir: &Path) -> Result<Self, TextLoadError> {
        let layout = if is_clip(dir) {
            "config.json, tokenizer.json, preprocessor_config.json, and vision_model.onnx and text_model.onnx (there or in onnx/)"
        } else {
            "config.json, tokenizer.json, and model.onnx or onnx/model.onnx"
        };
        let mut folder = Self {
            dir: dir.to_owned(),
            layout,
            config: Value::Null,
            tokenizer_config: Value::Null,
            tokenizer: Vec::new(),
        };
        folder.config = folder.json("config.json")?;
        folder.tokenizer_config = folder.optional_json("tokenizer_config.json")?;
        let path = folder.existing("tokenizer.json")?;
        folder.tokenizer = read(&path)?;
        Ok(folder)
    }

    /// Where `NAME.onnx` stands: in the folder or in `onnx/`.
    pub(crate) fn onnx(&self, name: &str) -> Result<PathBuf, TextLoadError> {
        find_onnx(&self.dir, name).ok_or_else(|| self.missing(&format!("{name}.onnx")))
    }

    /// Any file of it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A JSON file that must be there.
    pub(crate) fn json(&self, name: &str) -> Result<Value, TextLoadError> {
        parse(&self.existing(name)?)
    }

    /// A JSON file, or null if it is not there.
    pub(crate) fn optional_json(&self, name: &str) -> Result<Value, TextLoadError> {
        let path = self.path(name);
        if path.is_file() {
            parse(&path)
        } else {
            Ok(Value::Null)
        }
    }

    /// Rows of the table of word embeddings, if the files say.
    pub(crate) fn vocabulary(&self) -> Option<usize> {
        usize::try_from(self.config["vocab_size"].as_u64()?).ok()
    }

    /// The tokens that are kept of a text: `asked`, or the smallest limit that the files state.
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
            // Some files state 10^30 for "no limit", which is no whole number of 64 bits.
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
        if path.is_file() {
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

/// Whether the folder holds a pair of an image and a text encoder.
pub(crate) fn is_clip(dir: &Path) -> bool {
    find_onnx(dir, "vision_model").is_some() || find_onnx(dir, "text_model").is_some()
}

fn find_onnx(dir: &Path, name: &str) -> Option<PathBuf> {
    let file = format!("{name}.onnx");
    [dir.join(&file), dir.join("onnx").join(&file)]
        .into_iter()
        .find(|path| path.is_file())
}

fn read(path: &Path) -> Result<Vec<u8>, TextLoadError> {
    std::fs::read(path).map_err(|cause| TextLoadError::Read {
        path: path.to_owned(),
        cause,
    })
}

fn parse(path: &Path) -> Result<Value, TextLoadError> {
    serde_json::from_slice(&read(path)?).map_err(|error| TextLoadError::File {
        path: path.to_owned(),
        cause: error.to_string(),
    })
}
