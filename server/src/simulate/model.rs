//! The black box of a simulation: a model in this process, or the task's model API over HTTP.

use crate::native::transport::{HttpCaller, model_api as model_caller};
use federation::task::{Inputs, Task};
use model_api::{
    Classifier, ClassifierOptions, PRINTED_DIGITS, PixelRange, TextKind, TextModel, TextOptions,
    TextQuery,
};
use model_client::caller::CallError;
use model_client::pace::REQUEST_INPUTS;
use model_client::purse::Purse;
use model_client::{Scores, TextQueries};
use std::path::{Path, PathBuf};
use tuning::query::Queries;
use tuning::wording::SoftShape;

use super::report::Cost;

/// The model of a simulation.
pub enum Model {
    /// An image classifier in this process.
    Local(Box<Classifier>),
    /// A text model in this process.
    Texts(Box<TextModel>),
    /// A model API over HTTP, and the runtime to call it.
    Remote(Box<HttpCaller>, tokio::runtime::Runtime),
}

/// Why the model of a simulation fails.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The model's file cannot be read.
    #[error("cannot read {path}: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        cause: std::io::Error,
    },
    /// The file is not a model that can be used.
    #[error(transparent)]
    Load(#[from] model_api::LoadError),
    /// `--range` is wrong.
    #[error("--range: {0}")]
    Range(String),
    /// The model does not fit the task.
    #[error(
        "the model takes {height}×{width} images and has {classes} classes, but the task says otherwise"
    )]
    Disagrees {
        /// Height of the model's input, in pixels.
        height: usize,
        /// Width of the model's input, in pixels.
        width: usize,
        /// Number of the model's classes.
        classes: usize,
    },
    /// The folder of `--model-folder` cannot be used.
    #[error(transparent)]
    Folder(#[from] model_api::TextLoadError),
    /// The model is for the other kind of inputs.
    #[error("{0}")]
    OtherKind(&'static str),
    /// The model takes no soft prompts, or none of the task's size.
    #[error(
        "the task's soft prompts have {} tokens of {} numbers, but the model takes {}", .wanted.0, .wanted.1,
        .limits.map_or("none".to_owned(), |(tokens, hidden)| format!("up to {tokens} of {hidden}"))
    )]
    SoftPrompts {
        /// Numbers of tokens and of values in each, in the task.
        wanted: (usize, usize),
        /// Their maximum in the model; `None` if it takes no soft prompts.
        limits: Option<(usize, usize)>,
    },
    /// A run of the model failed.
    #[error("the model failed: {0}")]
    Run(String),
    /// The call to the model API failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The runtime cannot be started.
    #[error("cannot start: {0}")]
    Runtime(std::io::Error),
}

/// Maximum number of images in one batch, which bounds the memory of a measurement on thousands of
/// images.
const CHUNK: usize = 128;
/// Maximum number of texts that are scored together in this process: a whole step, so that all its
/// prompts share the cores.
const TEXTS: usize = 8192;
/// Number of embeddings that a simulation keeps (some 200 MB at 384 numbers each), so that no text
/// is encoded twice for the many prompts that are tried between two measurements.
const EMBEDDINGS: usize = 1 << 17;

/// Number of threads with which a simulation computes.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

impl Model {
    /// Opens the file or folder if one is given; otherwise the embedded model if the task names it;
    /// otherwise the task's model API.
    pub fn open(
        task: &Task,
        file: Option<&Path>,
        folder: Option<&Path>,
        range: &str,
        output: Option<&str>,
        key: Option<String>,
    ) -> Result<Self, ModelError> {
        match (&task.inputs, file, folder) {
            (Inputs::Texts(_), Some(_), _) => {
                return Err(ModelError::OtherKind(
                    "--model-file is for images, but this task's inputs are texts; see --model-folder",
                ));
            }
            (Inputs::Images(_), _, Some(_)) => {
                return Err(ModelError::OtherKind(
                    "--model-folder is for texts, but this task's inputs are images; see --model-file",
                ));
            }
            (Inputs::Texts(text), None, Some(folder)) => {
                return Self::texts(folder, text.has_template(), text.soft);
            }
            (Inputs::Texts(_), None, None) => return Self::remote(task, key),
            (Inputs::Images(_), _, None) => {}
        }
        let bytes = match file {
            Some(path) => std::fs::read(path).map_err(|cause| ModelError::Read {
                path: path.to_owned(),
                cause,
            })?,
            None if task.model.name == "printed-digits" && !task.model.own.sends_files() => {
                PRINTED_DIGITS.to_vec()
            }
            None => return Self::remote(task, key),
        };
        let range: PixelRange = range.parse().map_err(ModelError::Range)?;
        // There are as many runs at once as cores; with a pool of one thread they would wait for
        // each other.
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

    fn texts(
        folder: &Path,
        has_template: bool,
        soft: Option<SoftShape>,
    ) -> Result<Self, ModelError> {
        let options = TextOptions {
            threads: cores(),
            // Scored alone, a text has the same scores whatever else is asked, so the same seed
            // gives the same report.
            batch: Some(1),
            cache: EMBEDDINGS,
            ..TextOptions::default()
        };
        let model = TextModel::load(folder, &options)?;
        if let Some(wanted) = soft {
            let limits = model.soft_prompts();
            if limits.is_none_or(|l| l.hidden != wanted.hidden || l.max_tokens < wanted.tokens) {
                return Err(ModelError::SoftPrompts {
                    wanted: (wanted.tokens, wanted.hidden),
                    limits: limits.map(|l| (l.max_tokens, l.hidden)),
                });
            }
        }
        if (model.kind() == TextKind::SentenceEncoder) != has_template {
            return Err(ModelError::OtherKind(
                "the task has text.template for a sentence encoder, or leaves it out for a masked language model, and --model-folder is the other one",
            ));
        }
        Ok(Self::Texts(Box::new(model)))
    }

    /// Opens the task's model API. It is asked for its description first: otherwise only refusals
    /// would show that the model is of another kind or takes fewer inputs at once.
    fn remote(task: &Task, key: Option<String>) -> Result<Self, ModelError> {
        let runtime = tokio::runtime::Runtime::new().map_err(ModelError::Runtime)?;
        let caller = Box::new(model_caller(task, key, None)?);
        runtime.block_on(caller.describe())?;
        Ok(Self::Remote(caller, runtime))
    }

    /// The scores of all inputs, paid for by the person who runs the simulation.
    pub fn ask(&self, queries: Queries, task: &Task) -> Result<Scores, ModelError> {
        match self {
            Self::Remote(caller, _) => self.ask_for(caller.purse(), queries, task),
            Self::Local(_) | Self::Texts(_) => self.ask_here(queries, task),
        }
    }

    /// The scores of all inputs, paid for with `purse` if they cost anything.
    pub fn ask_for(
        &self,
        purse: &Purse,
        queries: Queries,
        task: &Task,
    ) -> Result<Scores, ModelError> {
        match self {
            Self::Remote(caller, runtime) => Ok(runtime.block_on(caller.ask_all(purse, &queries))?),
            Self::Local(_) | Self::Texts(_) => self.ask_here(queries, task),
        }
    }

    /// What the calls have cost: for measuring, and in total. `None` without a price, or if no API
    /// is called.
    pub fn cost(&self, task: &Task) -> Option<Cost> {
        let (Self::Remote(caller, _), Some(price)) = (self, &task.model.price) else {
            return None;
        };
        Some(Cost {
            currency: price.currency.clone(),
            measuring: caller.purse().tally().cost(price),
            all: caller.all().cost(price),
        })
    }

    fn ask_here(&self, queries: Queries, task: &Task) -> Result<Scores, ModelError> {
        let mut values = Vec::with_capacity(queries.count() * task.model.output.classes);
        let mut take = |scores: Scores| values.extend_from_slice(scores.values());
        match queries {
            Queries::Images { bytes, .. } => {
                let size = task.shape().bytes();
                let most = self.most();
                for chunk in bytes.chunks(most * size) {
                    take(self.ask_images(chunk)?);
                }
            }
            Queries::Texts(queries) => {
                let (most, words) = (self.most(), task.inputs.texts().map(|t| &t.words[..]));
                let count = queries.texts.len();
                for start in (0..count).step_by(most) {
                    let part = queries.part(start..count.min(start + most));
                    take(self.ask_texts(part, words.unwrap_or_default())?);
                }
            }
        }
        Scores::new(task.model.output.classes, values).map_err(|e| ModelError::Run(e.to_string()))
    }

    /// Number of inputs for which a participant should ask at once.
    pub fn request(&self) -> usize {
        match self {
            Self::Local(_) | Self::Remote(..) => 2 * REQUEST_INPUTS,
            Self::Texts(_) => TEXTS,
        }
    }

    fn most(&self) -> usize {
        match self {
            Self::Local(_) => CHUNK,
            Self::Texts(_) => TEXTS,
            Self::Remote(..) => usize::MAX,
        }
    }

    fn ask_images(&self, images: &[u8]) -> Result<Scores, ModelError> {
        match self {
            Self::Local(classifier) => classifier
                .run(images)
                .map_err(|e| ModelError::Run(e.to_string())),
            Self::Texts(_) => Err(ModelError::OtherKind("images cannot be scored as texts")),
            Self::Remote(..) => Err(ModelError::OtherKind("a remote model is asked as a whole")),
        }
    }

    fn ask_texts(&self, queries: TextQueries, words: &[String]) -> Result<Scores, ModelError> {
        match self {
            Self::Local(_) => Err(ModelError::OtherKind("texts cannot be scored as images")),
            Self::Texts(model) => {
                let templates = queries.templates.iter().map(String::as_str);
                // A masked language model has no templates, and ignores them.
                let templates = templates.chain(std::iter::repeat(TextQuery::LABEL_ALONE));
                let texts = queries.texts.iter().zip(templates).enumerate();
                let asked: Vec<TextQuery<'_>> = texts
                    .map(|(at, (text, template))| {
                        let soft = queries.soft.as_ref();
                        let prompt = soft.map_or(&[][..], |soft| soft.prompt(at));
                        let (soft_text, soft_template) = match soft {
                            Some(soft) if soft.before_label => (&[][..], prompt),
                            _ => (prompt, &[][..]),
                        };
                        TextQuery {
                            text,
                            template,
                            soft_text,
                            soft_template,
                        }
                    })
                    .collect();
                model
                    .score(&asked, words)
                    .map_err(|e| ModelError::Run(e.to_string()))
            }
            Self::Remote(..) => Err(ModelError::OtherKind("a remote model is asked as a whole")),
        }
    }
}
