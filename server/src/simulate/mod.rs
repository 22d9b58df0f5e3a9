//! `fed-bbpt simulate`: many participants in one process, over the same state machines as the real thing.
//!
//! Compared at equal queries for each participant: zero-shot, federated, local-only (mean over participants),
//! and centralised (one participant who holds the union). Same seed, same report.

mod model;
mod report;
mod run;

pub use model::ModelError;
pub use report::table;
pub use run::run;

use crate::data;
use clap::Args;
use shared::data::partition::Partition;
use shared::fault::Faults;
use std::path::PathBuf;

/// What `fed-bbpt simulate` takes.
#[derive(Args, Debug, Clone)]
pub struct SimulateArgs {
    /// The task file (TOML), or the name of a built-in task.
    #[arg(long)]
    pub task: String,
    /// A folder of images by class, a zip, or CSV or IDX files.
    #[arg(long)]
    pub data: PathBuf,
    /// Test data; without it, `--train` says how many of `--data` are trained on and the rest is the test.
    #[arg(long)]
    pub test: Option<PathBuf>,
    /// Examples to train on when `--test` is not given (drawn with the seed).
    #[arg(long)]
    pub train: Option<usize>,
    /// Participants.
    #[arg(long, default_value_t = 10)]
    pub clients: usize,
    /// iid | dirichlet:ALPHA | shards:K
    #[arg(long, default_value = "dirichlet:0.5")]
    pub partition: Partition,
    /// Rounds, instead of the task's.
    #[arg(long)]
    pub rounds: Option<u32>,
    /// Seed of the split, the batches and the directions.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Measure the test accuracy every so many rounds.
    #[arg(long, default_value_t = 10)]
    pub eval_every: u32,
    /// An ONNX file to ask in this process, instead of the task's model API.
    #[arg(long)]
    pub model_file: Option<PathBuf>,
    /// What the ONNX file's pixels range over: 0:1 | -1:1 | 0:255 | imagenet.
    #[arg(long, default_value = "0:1")]
    pub range: String,
    /// Which of the ONNX file's outputs holds the scores.
    #[arg(long)]
    pub output: Option<String>,
    /// Only this: federated | local | centralised (repeatable). All by default.
    #[arg(long)]
    pub only: Vec<report::Setting>,
    /// Write the report here as JSON.
    #[arg(long)]
    pub report: Option<PathBuf>,
    /// Put wall time and peak memory into the report; it then differs from run to run.
    #[arg(long)]
    pub timings: bool,
    /// Print the report as JSON instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Replace a setting of the task: `optimizer.learning_rate=0.02` (repeatable; the value is JSON or a text).
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
}

/// Why a simulation could not be run.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The task file.
    #[error("the task has faults:\n{0}")]
    Task(#[from] Faults),
    /// No such task.
    #[error("{0}")]
    NoTask(String),
    /// The data.
    #[error(transparent)]
    Data(#[from] data::LoadError),
    /// The split.
    #[error(transparent)]
    Partition(#[from] shared::data::partition::PartitionError),
    /// Too few examples.
    #[error("--train {train} leaves no test data: there are {have} examples in all")]
    NoTest {
        /// Asked for.
        train: usize,
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
    /// Our own mistake.
    #[error("the simulation contradicts itself: {0}")]
    Inconsistent(String),
}
