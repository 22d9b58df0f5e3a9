//! `fed-bbpt simulate`: many participants in one process, over the same state machines as the real thing.
//!
//! It compares, at equal queries for each participant: zero-shot, federated, local-only (mean over
//! participants), and centralised (one participant with all the data). The same seed gives the same
//! report.
//!
//! Where updates are summed under masks, the simulation adds the same vectors without them: masks
//! cancel, and the result is the same bit for bit (`--masks` shows it). Only the federation is
//! bounded, summed and noisy: a participant who trains alone sends nothing, so the local-only and
//! centralised baselines carry neither clip nor noise.

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

/// The arguments of `fed-bbpt simulate`.
#[derive(Args, Debug, Clone)]
pub struct SimulateArgs {
    /// The task file (TOML), or the name of a built-in task.
    #[arg(long)]
    pub task: String,
    /// Training data: a folder of images by class, a zip, or CSV or IDX files; for a task of texts,
    /// tables of texts. `handwriting` gives every participant a built-in handwriting of their own,
    /// and tests on that of other people.
    #[arg(long, value_name = "PATH")]
    pub data: PathBuf,
    /// Number of examples of each participant with --data handwriting.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub each: u32,
    /// Test data; without it, `--train` examples of --data are trained on and the rest is the test.
    #[arg(long, value_name = "PATH")]
    pub test: Option<PathBuf>,
    /// Which split of --data to train on, if the set has several (folders, files or a list).
    #[arg(long, value_name = "PART", value_enum)]
    pub split: Option<Split>,
    /// Which split of --test (or, without it, of --data) to measure with.
    #[arg(long, value_name = "PART", value_enum)]
    pub test_split: Option<Split>,
    /// Number of examples to train on if --test is not given, drawn with the seed.
    #[arg(long)]
    pub train: Option<usize>,
    /// Train on this many examples of each class, drawn with the seed; without --test, the rest is
    /// the test.
    #[arg(long, value_name = "K", conflicts_with = "train", value_parser = clap::value_parser!(u32).range(1..))]
    pub shots: Option<u32>,
    /// Maximum number of test examples, drawn with the seed.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub test_count: Option<u32>,
    /// Number of participants.
    #[arg(long, default_value_t = 10)]
    pub clients: usize,
    /// How to split the data: iid | dirichlet:ALPHA | shards:K
    #[arg(long, default_value = "dirichlet:0.5")]
    pub partition: Partition,
    /// Change every image in the same way before anything sees it: contrast=0.6,field=0.6,seed=3
    #[arg(long, value_name = "SETTINGS")]
    pub shift: Option<shift::Shift>,
    /// Hold out this share of each participant's examples; the report then also tells what they
    /// choose to keep.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, value_parser = fraction)]
    pub holdout: f64,
    /// Number of rounds, instead of the task's.
    #[arg(long)]
    pub rounds: Option<u32>,
    /// Seed of the split, the batches and the directions.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Several seeds, such as 0,1,2: reports mean and spread. Seeds that the --report file already
    /// has are not run again.
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["seed", "record"])]
    pub seeds: Vec<u64>,
    /// Measure the test accuracy once in this many rounds.
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
    /// Range of the ONNX file's pixels: 0:1 | -1:1 | 0:255 | imagenet.
    #[arg(long, default_value = "0:1", allow_hyphen_values = true)]
    pub range: String,
    /// Name of the ONNX file's output with the scores.
    // The field keeps its name, because reports of several seeds identify their settings by it.
    #[arg(long = "tensor", value_name = "TENSOR", alias = "output")]
    pub output: Option<String>,
    /// API key for the task's model API, if it is called.
    #[arg(long, env = "FED_BBPT_MODEL_KEY", hide_env_values = true)]
    pub model_key: Option<String>,
    /// Run only this: federated | local | centralised (repeatable). Default: all.
    #[arg(long)]
    pub only: Vec<report::Setting>,
    /// Compare these label templates, and use the one with the least loss on the training data
    /// without a prompt (repeatable; for texts with a sentence encoder).
    #[arg(long = "template", value_name = "TEMPLATE")]
    pub templates: Vec<String>,
    /// File to write the report to, as JSON.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Also add the masks of secure sums: gives the same result, more slowly, and counts the bytes
    /// of all messages.
    #[arg(long)]
    pub masks: bool,
    /// Share of the participants (0 to 1, drawn with the seed) that send bad updates.
    #[arg(long, value_name = "FRACTION", requires = "attack", value_parser = fraction)]
    pub bad: Option<f64>,
    /// What bad participants send: sign-flip | scale:FACTOR
    #[arg(long, requires = "bad")]
    pub attack: Option<attack::Attack>,
    /// File to write the federation's record to, for `fed-bbpt audit` (signed only with --masks).
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Add wall time and peak memory to the report, which then differs from run to run.
    #[arg(long)]
    pub timings: bool,
    /// For a task with a list of instructions, also measure each of them on the test data: the best
    /// possible choice, which no participant can know.
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

/// Reads a share from 0 to 1 from a flag.
pub(crate) fn fraction(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    number
        .filter(|n| (0.0..=1.0).contains(n))
        .ok_or_else(|| format!("{text} is not a number from 0 to 1"))
}

/// Why a simulation cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The task file has faults.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The data cannot be loaded.
    #[error(transparent)]
    Data(#[from] data::LoadError),
    /// The built-in handwriting does not suit the task.
    #[error("{0}")]
    BuiltIn(String),
    /// The data cannot be divided among the participants.
    #[error(transparent)]
    Partition(#[from] owner_data::partition::PartitionError),
    /// There are too few examples.
    #[error("--train {train} leaves no test data: there are {have} examples in all")]
    NoTest {
        /// Number of examples asked for.
        train: usize,
        /// Number of examples that there are.
        have: usize,
    },
    /// No test data remain.
    #[error(
        "--split {0} and --test-split {0} of the same data: what is trained on cannot be measured with"
    )]
    SameSplit(Split),
    /// A class has too few examples.
    #[error("--shots {shots}: there are only {have} examples with the label {label:?}")]
    TooFewShots {
        /// Number of examples asked for.
        shots: u32,
        /// The label of the class.
        label: String,
        /// Number of examples that there are.
        have: usize,
    },
    /// The model cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The report cannot be written.
    #[error("cannot write {path}: {cause}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        cause: std::io::Error,
    },
    /// There are too few participants for a cohort.
    #[error(
        "the task sums the updates of {cohort_min} participants or more, but there are {clients}; see --clients, or set federation.secure_sum.cohort_min"
    )]
    TooFew {
        /// The minimum size of a cohort.
        cohort_min: u32,
        /// Number of participants.
        clients: usize,
    },
    /// Bad updates with masks: under masks nobody's vector can be changed from outside.
    #[error("--bad changes what is sent, which masks hide: leave --masks out")]
    MaskedAttack,
    /// The aggregator failed.
    #[error(transparent)]
    Aggregator(#[from] federation::engine::CommandError),
    /// Too many rounds in a row were aborted, and it would go on for ever.
    #[error("{0} rounds in a row were aborted, the last one as {1}")]
    Stuck(u32, String),
    /// A participant gave up.
    #[error("participant {0} stopped: {1}")]
    Stopped(u32, String),
    /// `--oracle` was given for a task without a list of instructions.
    #[error(
        "--oracle measures a list of instructions, and the task has none: generator.kind = \"instruction\""
    )]
    NoInstructions,
    /// A mistake in the simulation itself.
    #[error("the simulation contradicts itself: {0}")]
    Inconsistent(String),
}
