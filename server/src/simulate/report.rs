//! What a simulation found, as JSON and as a table.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Who trains with whose data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// All participants together.
    Federated,
    /// Each alone; the mean over participants.
    Local,
    /// One participant with the union of the data.
    Centralised,
}

/// One point of a curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// θ updates before.
    pub step: u32,
    /// On the test data.
    pub test_accuracy: f64,
    /// On the test data.
    pub test_loss: f64,
    /// Training and measuring queries spent so far, by the participant who spent most.
    pub queries_per_participant: u64,
}

/// What one setting reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Who trained.
    pub setting: Setting,
    /// Final accuracy on the test data; for `local`, the mean over participants.
    pub test_accuracy: f64,
    /// Final mean loss on the test data.
    pub test_loss: f64,
    /// The worst and the best participant (`local` only).
    pub range: Option<(f64, f64)>,
    /// Queries of the participant who spent most.
    pub queries_per_participant: u64,
    /// Bytes of updates and other messages that a participant sends in all.
    pub bytes_up_per_participant: u64,
    /// Bytes of θ that a participant loads in all.
    pub bytes_down_per_participant: u64,
    /// The curve (not for `local`).
    pub curve: Vec<Point>,
    /// SHA-256 of the final θ (not for `local`).
    pub theta: Option<String>,
}

/// Seconds and memory of a run; differs from run to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Wall time.
    pub seconds: f64,
    /// Highest resident memory of the process, if the system tells.
    pub peak_memory_kib: Option<u64>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The task's name.
    pub task: String,
    /// Its hash.
    pub task_hash: String,
    /// The seed.
    pub seed: u64,
    /// Participants.
    pub clients: usize,
    /// How the data was split.
    pub partition: String,
    /// Training examples of each participant.
    pub examples: Vec<usize>,
    /// Test examples.
    pub test_examples: usize,
    /// Number of parameters.
    pub parameters: usize,
    /// Accuracy without a prompt.
    pub zero_shot: f64,
    /// What each setting reached.
    pub outcomes: Vec<Outcome>,
    /// Only with `--timings`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timings: Option<Timings>,
}

/// The report as a table for a terminal.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut lines = vec![
        format!(
            "{} · {} participants · {} · seed {}",
            report.task, report.clients, report.partition, report.seed
        ),
        format!(
            "{:<28}{:>10}{:>14}{:>12}{:>12}",
            "", "accuracy", "queries each", "up each", "down each"
        ),
        format!("{:<28}{:>9.1}%", "zero-shot", 100.0 * report.zero_shot),
    ];
    for o in &report.outcomes {
        let name = match (o.setting, o.range) {
            (Setting::Local, Some((low, high))) => {
                format!("local-only ({:.1}–{:.1})", 100.0 * low, 100.0 * high)
            }
            (Setting::Local, None) => "local-only".to_owned(),
            (Setting::Federated, _) => "federated".to_owned(),
            (Setting::Centralised, _) => "centralised".to_owned(),
        };
        lines.push(format!(
            "{:<28}{:>9.1}%{:>14}{:>12}{:>12}",
            name,
            100.0 * o.test_accuracy,
            o.queries_per_participant,
            bytes(o.bytes_up_per_participant),
            bytes(o.bytes_down_per_participant),
        ));
    }
    lines.join("\n")
}

fn bytes(n: u64) -> String {
    match n {
        0..10_000 => format!("{n} B"),
        10_000..10_000_000 => format!("{} KB", n / 1000),
        _ => format!("{} MB", n / 1_000_000),
    }
}
