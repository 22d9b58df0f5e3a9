//! `fed-bbpt simulate`: many participants in one process, over the same state machines as the real thing.
//!
//! Compared at equal queries for each participant: zero-shot, federated, local-only (mean over participants),
//! and centralised (one participant who holds the union). Same seed, same report.
//!
//! Where updates are summed under masks, the simulation adds the same vectors without them: masks cancel, and the
//! result is the same bit by bit (`--masks` shows it). Only the federation is bounded, summed and noisy: whoever
//! trains alone tells nobody anything, so the local-only and centralised baselines carry neither clip nor noise.

mod attack;
mod federate;
mod measure;
mod model;
mod report;
mod run;
mod secrets;
mod several;
mod shift;
mod split;
mod templates;

pub use model::ModelError;
pub use report::table;
pub use run::run;
pub use several::{lines, markdown, several};

use crate::data;
use crate::data::split::Split;
use crate::task_source::TaskError;
use clap::Args;
use ground::fault::Faults;
use owner_data::partition::Partition;
use std::path::PathBuf;

/// What `fed-bbpt simulate` takes.
#[derive(Args, Debug, Clone)]
pub struct SimulateArgs {
    /// The task file (TOML), or the name of a built-in task.
    #[arg(long)]
    pub task: String,
    /// A folder of images by class, a zip, or CSV or IDX files; for a task of texts, tables of them.
    #[arg(long, value_name = "PATH")]
    pub data: PathBuf,
    /// Test data; without it, `--train` says how many of `--data` are trained on and the rest is the test.
    #[arg(long, value_name = "PATH")]
    pub test: Option<PathBuf>,
    /// Of `--data`, which part to train on: where a set is cut into parts by folders, files or a list.
    #[arg(long, value_name = "PART", value_enum)]
    pub split: Option<Split>,
    /// Of `--test` (without it, of `--data`), which part to measure with.
    #[arg(long, value_name = "PART", value_enum)]
    pub test_split: Option<Split>,
    /// Examples to train on when `--test` is not given (drawn with the seed).
    #[arg(long)]
    pub train: Option<usize>,
    /// Train on so many examples of each class, drawn with the seed; without --test, the rest is the test.
    #[arg(long, value_name = "K", conflicts_with = "train", value_parser = clap::value_parser!(u32).range(1..))]
    pub shots: Option<u32>,
    /// Test on so many examples at most, drawn with the seed.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub test_count: Option<u32>,
    /// Participants.
    #[arg(long, default_value_t = 10)]
    pub clients: usize,
    /// iid | dirichlet:ALPHA | shards:K
    #[arg(long, default_value = "dirichlet:0.5")]
    pub partition: Partition,
    /// Change every image alike before anything sees it: contrast=0.6,field=0.6,seed=3
    #[arg(long, value_name = "SETTINGS")]
    pub shift: Option<shift::Shift>,
    /// Hold this part of everybody's examples out: then the report also tells what they say is to be kept.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, value_parser = fraction)]
    pub holdout: f64,
    /// Rounds, instead of the task's.
    #[arg(long)]
    pub rounds: Option<u32>,
    /// Seed of the split, the batches and the directions.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Several seeds, 0,1,2: mean and spread. With --report, seeds that the file holds already are not run again.
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["seed", "record"])]
    pub seeds: Vec<u64>,
    /// Measure the test accuracy every so many rounds.
    #[arg(long, default_value_t = 10)]
    pub eval_every: u32,
    /// An ONNX file to ask in this process, instead of the task's model API.
    #[arg(long, value_name = "FILE")]
    pub model_file: Option<PathBuf>,
    /// A folder with a text model to ask in this process, instead of the task's model API.
    #[arg(
        long,
        value_name = "FOLDER",
        alias = "model-dir",
        conflicts_with = "model_file"
    )]
    pub model_folder: Option<PathBuf>,
    /// What the ONNX file's pixels range over: 0:1 | -1:1 | 0:255 | imagenet.
    #[arg(long, default_value = "0:1", allow_hyphen_values = true)]
    pub range: String,
    /// Which of the ONNX file's outputs holds the scores.
    // The field keeps its name: reports of several seeds know their settings by it.
    #[arg(long = "tensor", value_name = "TENSOR", alias = "output")]
    pub output: Option<String>,
    /// Key for the task's model API, where that is called.
    #[arg(long, env = "FED_BBPT_MODEL_KEY", hide_env_values = true)]
    pub model_key: Option<String>,
    /// Only this: federated | local | centralised (repeatable). All by default.
    #[arg(long)]
    pub only: Vec<report::Setting>,
    /// Of these label templates take the one with the least loss on the training data, without a prompt (repeatable;
    /// of texts with a sentence encoder).
    #[arg(long = "template", value_name = "TEMPLATE")]
    pub templates: Vec<String>,
    /// Write the report here as JSON.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Add the masks of secure sums too: the same result, more slowly, with all messages' bytes counted.
    #[arg(long)]
    pub masks: bool,
    /// This part of the participants (0 to 1, drawn with the seed) sends bad updates.
    #[arg(long, value_name = "FRACTION", requires = "attack", value_parser = fraction)]
    pub bad: Option<f64>,
    /// What they send: sign-flip | scale:FACTOR
    #[arg(long, requires = "bad")]
    pub attack: Option<attack::Attack>,
    /// Write the federation's record here, for `fed-bbpt audit` (with --masks, so that it is signed).
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Put wall time and peak memory into the report; it then differs from run to run.
    #[arg(long)]
    pub timings: bool,
    /// Of a task with a list of instructions, also measure each of them on the test data: what could be chosen at
    /// best, which no participant can know.
    #[arg(long)]
    pub oracle: bool,
    /// Print the report as JSON instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Print the table of --seeds in Markdown.
    #[arg(long, requires = "seeds", conflicts_with = "json")]
    pub markdown: bool,
    /// Replace a setting of the task: `optimizer.learning_rate=0.02` (repeatable; the value is JSON or a text).
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
}

impl From<Faults> for SimulateError {
    fn from(faults: Faults) -> Self {
        Self::Task(faults.into())
    }
}

/// A share, as flags take it.
pub(crate) fn fraction(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    number
        .filter(|n| (0.0..=1.0).contains(n))
        .ok_or_else(|| format!("{text} is not a number from 0 to 1"))
}

/// Why a simulation could not be run.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The task.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The data.
    #[error(transparent)]
    Data(#[from] data::LoadError),
    /// The split.
    #[error(transparent)]
    Partition(#[from] owner_data::partition::PartitionError),
    /// Too few examples.
    #[error("--train {train} leaves no test data: there are {have} examples in all")]
    NoTest {
        /// Asked for.
        train: usize,
        /// There.
        have: usize,
    },
    /// Nothing new to measure with.
    #[error(
        "--split {0} and --test-split {0} of the same data: what is trained on cannot be measured with"
    )]
    SameSplit(Split),
    /// Too few of a class.
    #[error("--shots {shots}: there are only {have} examples with the label {label:?}")]
    TooFewShots {
        /// Asked for.
        shots: u32,
        /// The class.
        label: String,
        /// There.
        have: usize,
    },
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The report.
    #[error("cannot write {path}: {cause}")]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// No cohort can be formed.
    #[error(
        "the task sums the updates of {cohort_min} participants or more, but there are {clients}; see --clients, or set federation.secure_sum.cohort_min"
    )]
    TooFew {
        /// The least.
        cohort_min: u32,
        /// There.
        clients: usize,
    },
    /// Under masks nobody's vector can be changed from outside.
    #[error("--bad changes what is sent, which masks hide: leave --masks out")]
    MaskedAttack,
    /// The aggregator.
    #[error(transparent)]
    Aggregator(#[from] federation::engine::CommandError),
    /// It would go on for ever.
    #[error("{0} rounds in a row were aborted, the last one as {1}")]
    Stuck(u32, String),
    /// A participant gave up.
    #[error("participant {0} stopped: {1}")]
    Stopped(u32, String),
    /// `--oracle` of another task.
    #[error(
        "--oracle measures a list of instructions, and the task has none: generator.kind = \"instruction\""
    )]
    NoInstructions,
    /// Our own mistake.
    #[error("the simulation contradicts itself: {0}")]
    Inconsistent(String),
}
