//! Turns a task's fetched files into a model that answers.

use model_client::on_device::{OnDevice, Takes};
use thiserror::Error;

use crate::fetched::{self, FileError};
use crate::text::Files;
use crate::{
    Classifier, ClassifierOptions, InProcess, LoadError, TextLoadError, TextModel, TextOptions,
};

/// Why the fetched files are not a model that the task can use.
#[derive(Debug, Error)]
pub enum OnDeviceError {
    /// A file is missing, or differs from the task's.
    #[error(transparent)]
    File(#[from] FileError),
    /// The range in the task cannot be read.
    #[error("model.on_device.range: {0}")]
    Range(String),
    /// The file is not a classifier of such images.
    #[error("{}", in_task(.0))]
    Classifier(#[from] LoadError),
    /// The files are not a text model.
    #[error("{}", in_task(.0))]
    Texts(#[from] TextLoadError),
}

impl OnDeviceError {
    /// A code for programs: `model_missing`, `model_hash`, or `model_unusable`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::Range(_) | Self::Classifier(_) | Self::Texts(_) => "model_unusable",
        }
    }
}

/// Rewrites a complaint about command-line flags as one about the task's settings, which are what
/// must change here.
fn in_task(error: &dyn std::fmt::Display) -> String {
    let settings = [
        ("--layout", "model.input.layout"),
        ("--size", "model.input.height and width"),
        ("--range", "model.on_device.range"),
        ("--max-tokens", "model.on_device.max_tokens"),
    ];
    let text = settings
        .into_iter()
        .fold(error.to_string(), |text, (flag, setting)| {
            text.replace(flag, setting)
        });
    // A classifier's scores are named after the model's output.
    text.replace("--tensor", "model.output.name or model.on_device.output")
}

/// A task's files on their way into a model; each is checked.
pub struct Fetched {
    model: OnDevice,
    files: Files,
}

impl Fetched {
    /// Starts without files.
    #[must_use]
    pub fn new(model: OnDevice) -> Self {
        Self {
            model,
            files: Files::new(),
        }
    }

    /// Takes the bytes of file number `at` of the task's list. Numbers beyond the list are ignored.
    ///
    /// # Errors
    /// [`OnDeviceError::File`] if the task names another file.
    pub fn add(&mut self, at: usize, bytes: Vec<u8>) -> Result<(), OnDeviceError> {
        let Some(file) = self.model.files.get(at) else {
            return Ok(());
        };
        fetched::check(file, &bytes)?;
        self.files.insert(file.path.clone(), bytes);
        Ok(())
    }

    /// Loads the model and tries it. It is run by `threads` threads; a request holds at most
    /// `max_batch` inputs.
    ///
    /// # Errors
    /// [`OnDeviceError`], which says what is missing or does not fit.
    pub fn load(mut self, threads: usize, max_batch: usize) -> Result<InProcess, OnDeviceError> {
        let wanted = self.model.files.iter();
        if let Some(file) = wanted.clone().find(|f| !self.files.contains_key(&f.path)) {
            return Err(FileError::Missing(file.path.clone()).into());
        }
        let name = self.model.name;
        match self.model.takes {
            Takes::Images {
                layout,
                height,
                width,
                range,
                output,
            } => {
                let onnx = self.files.remove(&name);
                let onnx = onnx.ok_or_else(|| FileError::Missing(name.clone()))?;
                let options = ClassifierOptions {
                    layout,
                    range: range.parse().map_err(OnDeviceError::Range)?,
                    output: Some(output),
                    labels: Vec::new(),
                    size: Some((height, width)),
                    threads,
                };
                let classifier = Classifier::load(onnx, &options)?;
                Ok(InProcess::images(name, max_batch, classifier))
            }
            Takes::Texts {
                output,
                max_tokens,
                temperature,
            } => {
                let options = TextOptions {
                    output,
                    max_tokens,
                    temperature,
                    threads,
                    ..TextOptions::default()
                };
                let model = TextModel::load_files(self.files, &options)?;
                Ok(InProcess::texts(name, max_batch, model))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ground::hash::sha256_hex;
    use model_client::Layout;
    use model_client::ModelFile;

    use super::*;

    const DIGITS: &[u8] =
        include_bytes!("../../../server/model-api/models/printed-digits/printed-digits.onnx");

    fn digits(size: usize) -> OnDevice {
        OnDevice {
            name: "digits.onnx".into(),
            files: vec![ModelFile {
                path: "digits.onnx".into(),
                address: "digits.onnx".into(),
                sha256: sha256_hex(DIGITS),
            }],
            takes: Takes::Images {
                layout: Layout::Nchw,
                height: size,
                width: size,
                range: "0:1".into(),
                output: "logits".into(),
            },
        }
    }

    fn load(model: OnDevice, files: &[&[u8]]) -> Result<InProcess, OnDeviceError> {
        let mut fetched = Fetched::new(model);
        for (at, bytes) in files.iter().enumerate() {
            fetched.add(at, bytes.to_vec())?;
        }
        fetched.load(1, 16)
    }

    #[test]
    fn what_is_not_the_tasks_model_is_refused_with_the_cure() {
        assert!(load(digits(32), &[DIGITS]).is_ok());
        let refusal = |model: OnDevice, files: &[&[u8]]| load(model, files).err().unwrap();
        assert_eq!(refusal(digits(32), &[]).code(), "model_missing");
        let other = refusal(digits(32), &[&DIGITS[1..]]);
        assert_eq!(other.code(), "model_hash");
        assert!(other.to_string().contains(&sha256_hex(DIGITS)), "{other}");
        let size = refusal(digits(64), &[DIGITS]);
        assert_eq!(size.code(), "model_unusable");
        assert!(size.to_string().contains("model.input.height"), "{size}");
        let mut text = digits(32);
        text.files[0].sha256 = sha256_hex(b"hello");
        let no_onnx = refusal(text, &[b"hello"]);
        assert!(no_onnx.to_string().contains("no ONNX model"), "{no_onnx}");
    }

    #[test]
    fn a_folder_in_memory_is_a_text_model() {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../server/model-api/tests/text/encoder");
        let paths = [
            "onnx/model.onnx",
            "config.json",
            "tokenizer.json",
            "1_Pooling/config.json",
        ];
        let files = paths.map(|path| std::fs::read(folder.join(path)).unwrap());
        let named = paths.iter().zip(&files);
        let model = OnDevice {
            name: "encoder".into(),
            files: named
                .map(|(path, bytes)| ModelFile {
                    path: (*path).to_owned(),
                    address: format!("encoder/{path}"),
                    sha256: sha256_hex(bytes),
                })
                .collect(),
            takes: Takes::Texts {
                output: None,
                max_tokens: None,
                temperature: 0.05,
            },
        };
        let in_memory = load(model, &files.each_ref().map(Vec::as_slice)).unwrap();
        let InProcess::Texts(_, in_memory) = in_memory else {
            panic!("not of texts")
        };
        let on_disk = TextModel::load(&folder, &TextOptions::default()).unwrap();
        let query = [crate::TextQuery::new("a good film", "it is {}")];
        let labels = ["good", "bad"];
        assert_eq!(
            in_memory.score(&query, &labels).unwrap(),
            on_disk.score(&query, &labels).unwrap()
        );
    }
}
