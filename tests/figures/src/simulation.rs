//! Runs `fed-bbpt simulate` on the handwritten digits and reads its reports.

use std::borrow::Borrow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use xtask::run::{seconds, show};
use xtask::workspace::root;

/// One simulation, of 10 participants unless stated otherwise: 1,000 training examples are split
/// with Dirichlet 0.5, and the rest is the test.
pub struct Simulation<'a> {
    pub task: &'a str,
    /// The folder of the digits in CSV.
    pub digits: &'a Path,
    pub seed: u64,
    /// Settings of the task that are replaced first.
    pub base: &'a [&'a str],
    /// Further arguments of `fed-bbpt simulate`.
    pub further: &'a [&'a str],
}

/// Random differences of θ itself, which was the default before node perturbation: one base loss and
/// 15 forward differences on the same 4 examples, as many queries a step. What a rule, a sum or noise
/// costs is measured with it.
pub const IN_THETA: [&str; 3] = [
    "federation.ask_ahead=true",
    r#"optimizer={"kind":"zo-sgd","directions":15,"differences":"forward","perturbation":0.05,"learning_rate":0.02}"#,
    "federation.batch=4",
];

impl Simulation<'_> {
    /// Runs the simulation and returns its report; prints what runs and how long it took.
    pub fn run(&self, binary: &Path) -> Result<Value> {
        self.run_with(binary, 10)
    }

    /// Runs the simulation with another number of participants.
    pub fn run_with(&self, binary: &Path, clients: usize) -> Result<Value> {
        let (seed, clients) = (self.seed.to_string(), clients.to_string());
        let mut command = Command::new(binary);
        command
            .args(["simulate", "--task", self.task, "--data"])
            .arg(self.digits)
            .args(["--train", "1000", "--clients", &clients])
            .args(["--partition", "dirichlet:0.5", "--seed", &seed, "--json"]);
        for setting in self.base {
            command.args(["--set", setting]);
        }
        command.args(self.further);
        report(&mut command)
    }
}

/// Runs a `fed-bbpt simulate … --json` and returns its report; prints what runs and how long it
/// took.
pub fn report(command: &mut Command) -> Result<Value> {
    println!("{}", show(command));
    let started = Instant::now();
    // Progress and warnings on stderr go straight to the person who waits.
    let output = command
        .current_dir(root())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", show(command)))?;
    if !output.status.success() {
        bail!("`{}` failed ({})", show(command), output.status);
    }
    println!("  done in {}", seconds(started.elapsed()));
    serde_json::from_slice(&output.stdout).context("the simulation's report is not JSON")
}

/// A federation of people who each have `each` digits in a built-in handwriting of their own, for the
/// figures of what noise costs.
pub struct Noisy {
    pub clients: u32,
    pub each: u32,
    /// The ε that must not be exceeded; `None` without noise.
    pub epsilon: Option<f64>,
    /// Settings of the task that are replaced.
    pub set: Vec<String>,
}

impl Noisy {
    /// Runs it; returns the accuracy without a prompt and that at the end.
    pub fn run(&self, binary: &Path) -> Result<(f64, f64)> {
        let mut command = Command::new(binary);
        command
            .args(["simulate", "--task", "digits-light-on-dark"])
            .args(["--data", "handwriting", "--seed", "1"])
            .args(["--each", &self.each.to_string()])
            .args(["--clients", &self.clients.to_string()])
            .args(["--only", "federated", "--eval-every", "1000", "--json"]);
        for setting in &self.set {
            command.args(["--set", setting]);
        }
        let report = report(&mut command)?;
        let spent = report["federation"]["privacy"]["epsilon"].as_f64();
        if let Some((spent, limit)) = spent.zip(self.epsilon)
            && spent > limit
        {
            bail!("ε is {spent} where at most {limit} was allowed");
        }
        let accuracy = number(outcome(&report, "federated")?, "test_accuracy")?;
        Ok((number(&report, "zero_shot")?, accuracy))
    }
}

/// The outcome of `setting` (`federated`, `local` or `centralised`).
pub fn outcome<'a>(report: &'a Value, setting: &str) -> Result<&'a Value> {
    report["outcomes"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|outcome| outcome["setting"] == setting)
        .with_context(|| format!("the report has no outcome named {setting}"))
}

/// The number `key` of `object`.
pub fn number(object: &Value, key: &str) -> Result<f64> {
    object[key]
        .as_f64()
        .with_context(|| format!("the report has no number {key}"))
}

/// Rounds to four decimal places: a test image is 0.13%.
pub fn rounded(fraction: f64) -> f64 {
    (fraction * 1e4).round() / 1e4
}

pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The number that `get` finds in each of several reports or outcomes.
pub fn each<T: Borrow<Value>>(
    several: &[T],
    get: impl Fn(&Value) -> Result<f64>,
) -> Result<Vec<f64>> {
    several.iter().map(|one| get(one.borrow())).collect()
}

/// Enters the mean of `values` as `key` and, if there are several, each of them as `key_by_…`, such
/// as `key_by_seed`.
pub fn enter(result: &mut Map<String, Value>, key: &str, by: &str, values: &[f64]) {
    result.insert(key.to_owned(), json!(rounded(mean(values))));
    if values.len() > 1 {
        let each: Vec<f64> = values.iter().copied().map(rounded).collect();
        result.insert(format!("{key}_by_{by}"), json!(each));
    }
}
