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

/// Answers images, or texts.
pub enum Model {
    /// Images, in this process.
    Local(Box<Classifier>),
    /// Texts, in this process.
    Texts(Box<TextModel>),
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
    /// `--model-folder`.
    #[error(transparent)]
    Folder(#[from] model_api::TextLoadError),
    /// A model of the other kind.
    #[error("{0}")]
    OtherKind(&'static str),
    /// It takes no soft prompts, or of another size.
    #[error(
        "the task's soft prompts have {} tokens of {} numbers, but the model takes {}", .wanted.0, .wanted.1,
        .limits.map_or("none".to_owned(), |(tokens, hidden)| format!("up to {tokens} of {hidden}"))
    )]
    SoftPrompts {
        /// Tokens and numbers of a token, in the task.
        wanted: (usize, usize),
        /// And at most, in the model.
        limits: Option<(usize, usize)>,
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
/// Texts that are scored in one go in this process: a whole step, so that all its prompts share the cores.
const TEXTS: usize = 8192;
/// Embeddings that a simulation keeps (some 200 MB at 384 numbers each): no text is ever encoded twice for the many
/// prompts that are tried between two measurements.
const EMBEDDINGS: usize = 1 << 17;

/// Threads that a simulation computes with.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

impl Model {
    /// The file or folder if one is given; else the embedded model if the task names it; else the task's model API.
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

    fn texts(
        folder: &Path,
        has_template: bool,
        soft: Option<SoftShape>,
    ) -> Result<Self, ModelError> {
        let options = TextOptions {
            threads: cores(),
            // Alone a text's scores are the same whatever else is asked: same seed, same report.
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

    /// The task's model API. It is asked for its description first: a model of another kind, or one that takes fewer at
    /// once, would only be noticed by its refusals.
    fn remote(task: &Task, key: Option<String>) -> Result<Self, ModelError> {
        let runtime = tokio::runtime::Runtime::new().map_err(ModelError::Runtime)?;
        let caller = Box::new(model_caller(task, key, None)?);
        runtime.block_on(caller.describe())?;
        Ok(Self::Remote(caller, runtime))
    }

    /// Scores of all inputs, asked by whoever runs the simulation.
    pub fn ask(&self, queries: Queries, task: &Task) -> Result<Scores, ModelError> {
        match self {
            Self::Remote(caller, _) => self.ask_for(caller.purse(), queries, task),
            Self::Local(_) | Self::Texts(_) => self.ask_here(queries, task),
        }
    }

    /// Scores of all inputs, paid for with `purse` where they cost anything.
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

    /// What asking has cost: whoever runs the simulation, and all together. Nothing without a price, or where nobody is
    /// called.
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

    /// Inputs that a participant should ask at once.
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
                // A masked language model has none, and looks at none.
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
