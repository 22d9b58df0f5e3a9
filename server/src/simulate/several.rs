//! Runs a simulation with several seeds: means and spreads, resumed where an earlier run stopped.

use super::report::{Report, Setting};
use super::{SimulateArgs, SimulateError, run};
use ground::hash::sha256_hex;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The results of one setting over the seeds. Accuracies are from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// `zero_shot`, `federated`, `local` or `centralised`; with a held-out part also each of these
    /// with `_chosen`, for what that part chose to keep.
    pub setting: String,
    /// Mean accuracy on the test data.
    pub mean: f64,
    /// Sample standard deviation of the accuracy; 0 for a single seed.
    pub deviation: f64,
    /// Accuracy of the worst seed.
    pub lowest: f64,
    /// Accuracy of the best seed.
    pub highest: f64,
    /// Queries of the participant with the most, as a mean over the seeds.
    pub queries_per_participant: f64,
}

/// The reports of all seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Several {
    /// Hash of all arguments but the seed and the places of results, which tells whether an earlier
    /// file is of the same simulation.
    pub fingerprint: String,
    /// Means and spreads over the seeds that were run.
    pub summary: Vec<Row>,
    /// The report of each seed.
    pub runs: Vec<Report>,
}

/// Runs every seed of `args.seeds`. With `--report` the file is written after each seed, and seeds
/// that it already has are not run again.
pub fn several(args: &SimulateArgs) -> Result<Several, SimulateError> {
    let fingerprint = fingerprint(args);
    let earlier = args.report.as_deref().and_then(read);
    let mut runs = match earlier {
        Some(earlier) if earlier.fingerprint == fingerprint => earlier.runs,
        Some(_) => {
            tracing::warn!("the report's file is of another simulation, and is replaced");
            Vec::new()
        }
        None => Vec::new(),
    };
    runs.retain(|run| args.seeds.contains(&run.seed));
    for &seed in &args.seeds {
        if runs.iter().any(|run| run.seed == seed) {
            tracing::info!("seed {seed} was run before");
            continue;
        }
        let one = SimulateArgs {
            seed,
            ..args.clone()
        };
        runs.push(run(&one)?);
        runs.sort_by_key(|run| args.seeds.iter().position(|s| *s == run.seed));
        if let Some(path) = &args.report {
            write(path, &summarised(&fingerprint, &runs))?;
        }
    }
    Ok(summarised(&fingerprint, &runs))
}

fn fingerprint(args: &SimulateArgs) -> String {
    let same = SimulateArgs {
        seed: 0,
        seeds: Vec::new(),
        report: None,
        json: false,
        markdown: false,
        ..args.clone()
    };
    sha256_hex(format!("{same:?}").as_bytes())
}

fn summarised(fingerprint: &str, runs: &[Report]) -> Several {
    let zero_shot: Vec<(f64, f64)> = runs.iter().map(|r| (r.zero_shot, 0.0)).collect();
    let mut summary = vec![row("zero_shot", &zero_shot)];
    for (setting, name) in [
        (Setting::Federated, "federated"),
        (Setting::Local, "local"),
        (Setting::Centralised, "centralised"),
    ] {
        let reached: Vec<(f64, f64)> = runs
            .iter()
            .flat_map(|r| &r.outcomes)
            .filter(|o| o.setting == setting)
            .map(|o| (o.test_accuracy, o.queries_per_participant as f64))
            .collect();
        if !reached.is_empty() {
            summary.push(row(name, &reached));
        }
        let chosen: Vec<(f64, f64)> = runs
            .iter()
            .flat_map(|r| &r.outcomes)
            .filter(|o| o.setting == setting)
            .filter_map(|o| Some((o.chosen?.test_accuracy, o.queries_per_participant as f64)))
            .collect();
        if !chosen.is_empty() {
            summary.push(row(&format!("{name}_chosen"), &chosen));
        }
    }
    Several {
        fingerprint: fingerprint.to_owned(),
        summary,
        runs: runs.to_vec(),
    }
}

fn row(setting: &str, reached: &[(f64, f64)]) -> Row {
    let count = reached.len() as f64;
    let mean = reached.iter().map(|r| r.0).sum::<f64>() / count;
    let squares: f64 = reached.iter().map(|r| (r.0 - mean) * (r.0 - mean)).sum();
    Row {
        setting: setting.to_owned(),
        mean,
        deviation: (squares / (count - 1.0).max(1.0)).sqrt(),
        lowest: reached.iter().map(|r| r.0).fold(f64::INFINITY, f64::min),
        highest: reached.iter().map(|r| r.0).fold(0.0, f64::max),
        queries_per_participant: reached.iter().map(|r| r.1).sum::<f64>() / count,
    }
}

fn read(path: &Path) -> Option<Several> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Writes the file completely or not at all: a crash leaves the earlier file.
fn write(path: &Path, several: &Several) -> Result<(), SimulateError> {
    let failed = |cause| SimulateError::Write {
        path: path.to_owned(),
        cause,
    };
    let bytes = serde_json::to_vec_pretty(several).map_err(|e| failed(e.into()))?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    std::fs::write(&beside, bytes).map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)
}

const COLUMNS: [&str; 6] = ["", "accuracy", "±", "worst", "best", "queries each"];

impl Row {
    fn cells(&self) -> [String; 6] {
        [
            self.setting.replace('_', "-"),
            format!("{:.1}%", 100.0 * self.mean),
            format!("{:.1}", 100.0 * self.deviation),
            format!("{:.1}%", 100.0 * self.lowest),
            format!("{:.1}%", 100.0 * self.highest),
            format!("{:.0}", self.queries_per_participant),
        ]
    }
}

/// The results as a Markdown table.
#[must_use]
pub fn markdown(several: &Several) -> String {
    let mut lines = vec![
        format!("|{} |", COLUMNS.join(" | ")),
        "|---|---|---|---|---|---|".to_owned(),
    ];
    let row = |row: &Row| format!("| {} |", row.cells().join(" | "));
    lines.extend(several.summary.iter().map(row));
    lines.join("\n")
}

/// The results as a table for a terminal.
#[must_use]
pub fn lines(several: &Several) -> String {
    let line = |cells: [&str; 6]| {
        let [name, mean, deviation, worst, best, queries] = cells;
        format!("{name:<20}{mean:>10}{deviation:>7}{worst:>9}{best:>9}{queries:>14}")
    };
    let mut lines = vec![line(COLUMNS)];
    let row = |row: &Row| line(row.cells().each_ref().map(String::as_str));
    lines.extend(several.summary.iter().map(row));
    lines.push(format!("{} seeds", several.runs.len()));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::{Several, markdown, row};

    #[test]
    fn means_and_spreads() {
        let row = row("federated", &[(0.5, 10.0), (0.7, 20.0), (0.6, 30.0)]);
        assert!((row.mean - 0.6).abs() < 1e-12 && (row.deviation - 0.1).abs() < 1e-12);
        assert_eq!((row.lowest, row.highest), (0.5, 0.7));
        assert_eq!(row.queries_per_participant, 20.0);
        let table = markdown(&Several {
            fingerprint: String::new(),
            summary: vec![row],
            runs: Vec::new(),
        });
        assert!(
            table.ends_with("| federated | 60.0% | 10.0 | 50.0% | 70.0% | 20 |"),
            "{table}"
        );
    }

    #[test]
    fn one_seed_has_no_spread() {
        assert_eq!(row("zero_shot", &[(0.25, 0.0)]).deviation, 0.0);
    }
}
