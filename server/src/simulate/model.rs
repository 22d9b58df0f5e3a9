//! The black box of a simulation: an ONNX model in this process, or the task's model API over HTTP.

use crate::participant::caller::{CallError, HttpCaller};
use model_api::{Classifier, ClassifierOptions, PRINTED_DIGITS, PixelRange};
use shared::model_api::Scores;
use shared::task::Task;
use std::path::{Path, PathBuf};

/// Answers images.
pub enum Model {
    /// In this process.
    Local(Box<Classifier>),
    /// Over HTTP.
    Remote(Box<HttpCaller>, tokio::runtime::Runtime),
}

/// Why it does not.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file.
    #[error("cannot read {path}: {cause}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// Not a model that can be used.
    #[error(transparent)]
    Load(#[from] model_api::LoadError),
    /// `--range`.
    #[error("--range: {0}")]
    Range(String),
    /// It does not fit the task.
    #[error(
        "the model takes {height}×{width} images and has {classes} classes, but the task says otherwise"
    )]
    Disagrees {
        /// Its input.
        height: usize,
        /// Its input.
        width: usize,
        /// Its output.
        classes: usize,
    },
    /// A run failed.
    #[error("the model failed: {0}")]
    Run(String),
    /// The model API failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// No runtime.
    #[error("cannot start: {0}")]
    Runtime(std::io::Error),
}

/// The largest batch that is run at once: bounds the memory of a measurement on thousands of images.
const CHUNK: usize = 128;

/// Threads that a simulation computes with.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

impl Model {
    /// The file if one is given; else the embedded model if the task names it; else the task's model API.
    pub fn open(
        task: &Task,
        file: Option<&Path>,
        range: &str,
        output: Option<&str>,
    ) -> Result<Self, ModelError> {
        let bytes = match file {
            Some(path) => std::fs::read(path).map_err(|cause| ModelError::Read {
                path: path.to_owned(),
                cause,
            })?,
            None if task.model.name == "printed-digits" => PRINTED_DIGITS.to_vec(),
            None => {
                let runtime = tokio::runtime::Runtime::new().map_err(ModelError::Runtime)?;
                return Ok(Self::Remote(
                    Box::new(HttpCaller::new(task, None)?),
                    runtime,
                ));
            }
        };
        let range: PixelRange = range.parse().map_err(ModelError::Range)?;
        // As many runs at once as there are cores; with one thread in its pool they would wait for each other.
        let options = ClassifierOptions {
            range,
            output: output.map(str::to_owned),
            threads: cores(),
            ..ClassifierOptions::default()
        };
        let classifier = Classifier::load(bytes, &options)?;
        let (height, width, classes) = (
            classifier.height(),
            classifier.width(),
            classifier.classes(),
        );
        if (height, width, classes)
            != (
                task.model.input.height,
                task.model.input.width,
                task.model.output.classes,
            )
        {
            return Err(ModelError::Disagrees {
                height,
                width,
                classes,
            });
        }
        Ok(Self::Local(Box::new(classifier)))
    }

    /// Scores of `count` images (planar bytes).
    pub fn ask(&self, images: &[u8], count: usize, task: &Task) -> Result<Scores, ModelError> {
        let size = task.shape().bytes();
        let mut values = Vec::with_capacity(count * task.model.output.classes);
        for chunk in images.chunks(CHUNK * size) {
            let scores = match self {
                Self::Local(classifier) => classifier
                    .run(chunk)
                    .map_err(|e| ModelError::Run(e.to_string()))?,
                Self::Remote(caller, runtime) => {
                    runtime.block_on(caller.ask(chunk.to_vec(), chunk.len() / size))?
                }
            };
            (0..scores.rows()).for_each(|i| values.extend_from_slice(scores.row(i)));
        }
        Scores::new(task.model.output.classes, values).map_err(|e| ModelError::Run(e.to_string()))
    }
}
