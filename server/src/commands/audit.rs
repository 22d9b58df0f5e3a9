//! `fed-bbpt audit`: recomputes and verifies a federation's record.

use super::{block_on, say};
use crate::CliError;
use crate::native::transport::aggregator;
use clap::Args;
use federation::record::{Commitments, Difference, Entry, Line, Replay, What};
use federation::rules::choice::Choice;
use federation::rules::settings::Unit;
use federation::task::Task;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

/// The arguments of `fed-bbpt audit`.
#[derive(Args)]
pub struct AuditArgs {
    /// The record: a file with one line for the beginning and one for each round; with --server, the federation's id there.
    #[arg(
        value_name = "FILE or FEDERATION",
        required_unless_present = "federation"
    )]
    record: Option<PathBuf>,
    /// Read the record from this aggregator.
    #[arg(long)]
    server: Option<String>,
    /// The former way to name the federation.
    #[arg(long, requires = "server", conflicts_with = "record", hide = true)]
    federation: Option<String>,
    /// Require the record with this fingerprint: the first digits, or all, of the hash of its last
    /// line.
    #[arg(long, value_name = "HEX", value_parser = fingerprint_of)]
    fingerprint: Option<String>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

/// Number of hexadecimal digits of a hash that people compare.
const FINGERPRINT: usize = 16;

/// Reads a fingerprint as people write it, in groups or without spaces.
fn fingerprint_of(text: &str) -> Result<String, String> {
    let digits: String = text.split_whitespace().collect();
    let good =
        (FINGERPRINT..=64).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_hexdigit());
    good.then(|| digits.to_ascii_lowercase())
        .ok_or_else(|| format!("write {FINGERPRINT} to 64 hexadecimal digits"))
}

/// What a consistent record says.
#[derive(Debug, PartialEq, Serialize)]
struct Summary {
    task: String,
    task_hash: String,
    federation: String,
    lines: u32,
    rounds: u32,
    updates: u32,
    aborted: u32,
    /// Number of rounds in which the mapping was learnt.
    counted: u32,
    /// What is to be kept, by the held-out examples in the record.
    choice: Option<Choice>,
    /// Number of participants whose vectors are in a sum; `None` without secure sums, whose record
    /// does not name them.
    contributors: Option<usize>,
    epsilon: Option<f64>,
    /// The limit of ε in the task.
    epsilon_limit: Option<f32>,
    delta: Option<f32>,
    /// What ε is about: `participant`, or `example`; `None` without noise.
    privacy_unit: Option<&'static str>,
    theta: String,
    head: String,
    fingerprint: String,
}

/// What is wrong with a record.
#[derive(Debug, PartialEq, thiserror::Error)]
enum Wrong {
    #[error(transparent)]
    Line(#[from] Difference),
    #[error("line 1 of the record is wrong: its task has faults:\n{0}")]
    Task(String),
    #[error("the record holds together, but it is another one: its fingerprint is {0}")]
    Another(String),
}

impl Wrong {
    /// The number of the faulty line, counted from 1; `None` if no single line is at fault.
    fn line(&self) -> Option<u32> {
        match self {
            Self::Line(difference) => Some(difference.line),
            Self::Task(_) => Some(1),
            Self::Another(_) => None,
        }
    }
}

/// Reads the record, recomputes it, and prints what it found.
pub fn run(args: &AuditArgs) -> Result<(), CliError> {
    let mut audit = Audit::default();
    let named = args
        .federation
        .as_ref()
        .map(PathBuf::from)
        .or_else(|| args.record.clone());
    match (&named, &args.server) {
        (Some(path), None) => read_file(path, &mut audit)?,
        (Some(id), Some(server)) => {
            block_on(read_server(server, &id.to_string_lossy(), &mut audit))??;
        }
        // clap does not let this happen.
        (None, _) => return Err(CliError::usage("name a file, or --server and a federation")),
    }
    let found = audit.end(args.fingerprint.as_deref());
    if args.json {
        let answer = match &found {
            Ok(summary) => {
                let mut answer = json!(summary);
                answer["holds"] = true.into();
                answer
            }
            Err(wrong) => json!({ "holds": false, "line": wrong.line(), "why": wrong.to_string() }),
        };
        say(&answer.to_string());
    }
    let summary = found.map_err(CliError::failed)?;
    if !args.json {
        say(&words(&summary));
    }
    Ok(())
}

fn read_file(path: &Path, audit: &mut Audit) -> Result<(), CliError> {
    let unreadable =
        |e: std::io::Error| CliError::usage(format!("cannot read {}: {e}", path.display()));
    let file = std::fs::File::open(path).map_err(unreadable)?;
    for line in BufReader::new(file).split(b'\n') {
        // Bytes that are no text are no JSON either, and that line is reported.
        let line = String::from_utf8_lossy(&line.map_err(unreadable)?).into_owned();
        if !audit.take(&line) {
            break;
        }
    }
    if audit.is_empty() {
        return Err(CliError::usage(format!("{} is empty", path.display())));
    }
    Ok(())
}

async fn read_server(server: &str, federation: &str, audit: &mut Audit) -> Result<(), CliError> {
    let aggregator = aggregator(server, None).map_err(CliError::usage)?;
    let mut from = 0;
    loop {
        let lines = aggregator.record(federation, from).await;
        let lines = lines.map_err(CliError::usage)?;
        from += lines.len() as u32;
        if lines.is_empty() || !lines.iter().all(|line| audit.take(line)) {
            break;
        }
    }
    if audit.is_empty() {
        return Err(CliError::usage(format!(
            "{server} has no record of {federation}"
        )));
    }
    Ok(())
}

/// A record that is read line by line, however long it is.
#[derive(Default)]
struct Audit {
    replay: Option<(Task, Replay)>,
    aborted: u32,
    contributors: BTreeSet<u32>,
    wrong: Option<Wrong>,
}

impl Audit {
    /// Takes the next line; returns whether to go on.
    fn take(&mut self, line: &str) -> bool {
        if self.wrong.is_none()
            && let Err(wrong) = self.read(line)
        {
            self.wrong = Some(wrong);
        }
        self.wrong.is_none()
    }

    fn read(&mut self, line: &str) -> Result<(), Wrong> {
        let (task, replay) = match &mut self.replay {
            Some(known) => known,
            // The first line states the task.
            none => none.insert(begin(line)?),
        };
        let Some(entry) = replay.take(task, line, Commitments::Check)? else {
            return Ok(());
        };
        self.aborted += u32::from(entry.aborted.is_some());
        let contributors = entry.cohort.into_iter().flat_map(|c| c.contributors);
        self.contributors
            .extend(contributors.map(|c| c.participant));
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.replay.is_none() && self.wrong.is_none()
    }

    fn end(self, fingerprint: Option<&str>) -> Result<Summary, Wrong> {
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        let malformed = Difference {
            line: 1,
            what: What::Malformed,
        };
        let (task, replay) = self.replay.ok_or(malformed)?;
        let head = replay.head().clone();
        if fingerprint.is_some_and(|wanted| !head.starts_with(wanted)) {
            return Err(Wrong::Another(spaced(&head)));
        }
        let limits = task.contribution().and_then(|c| c.limits());
        Ok(Summary {
            task: task.name.clone(),
            task_hash: task.hash(),
            federation: replay.federation().to_owned(),
            lines: replay.lines(),
            rounds: replay.rounds(),
            updates: replay.step(),
            aborted: self.aborted,
            counted: u32::from(replay.means().is_some()),
            choice: replay.choice(),
            contributors: task.contribution().map(|_| self.contributors.len()),
            epsilon: replay.epsilon(&task),
            epsilon_limit: limits.map(|l| l.epsilon as f32),
            delta: limits.map(|l| l.delta as f32),
            privacy_unit: limits.map(|l| match l.unit {
                Unit::Participant => "participant",
                Unit::Example => "example",
            }),
            theta: replay.theta().clone(),
            fingerprint: spaced(&head),
            head,
        })
    }
}

fn begin(line: &str) -> Result<(Task, Replay), Wrong> {
    let wrong = |what| Difference { line: 1, what };
    let line: Line = serde_json::from_str(line).map_err(|_| wrong(What::Malformed))?;
    let Entry::Opened { task, .. } = line.entry else {
        return Err(wrong(What::Place).into());
    };
    let faults = |faults: ground::fault::Faults| Wrong::Task(faults.to_string());
    let task = Task::from_value(task).map_err(faults)?;
    let replay = Replay::new(&task).map_err(faults)?;
    Ok((task, replay))
}

/// The first digits of a hash, in groups of four, as the page shows them.
fn spaced(hash: &str) -> String {
    let digits: Vec<char> = hash.chars().take(FINGERPRINT).collect();
    let groups: Vec<String> = digits.chunks(4).map(|c| c.iter().collect()).collect();
    groups.join(" ")
}

fn words(summary: &Summary) -> String {
    let mut lines = vec![
        format!("{} (federation {})", summary.task, summary.federation),
        format!(
            "rounds       {}: {} with a new θ, {} aborted",
            summary.rounds, summary.updates, summary.aborted
        ),
    ];
    if summary.counted > 0 {
        lines.push(format!(
            "mapping      learnt in {} of them",
            summary.counted
        ));
    }
    if let Some(choice) = &summary.choice {
        lines.push(format!("held out     {}", super::choice::words(choice)));
    }
    if let Some(contributors) = summary.contributors {
        lines.push(format!("contributors {contributors}"));
    }
    let whose = match summary.privacy_unit {
        // Its owner's client counts, and only that can.
        Some("example") => "an example that was in as many sums as the task allows",
        _ => "a participant who was in every sum",
    };
    if let (Some(epsilon), Some(limit), Some(delta)) =
        (summary.epsilon, summary.epsilon_limit, summary.delta)
    {
        lines.push(format!(
            "privacy      ε {epsilon} of {limit} at δ {delta:e}, of {whose}"
        ));
    }
    lines.extend([
        format!("θ            {}", summary.theta),
        format!("record       {} lines, {}", summary.lines, summary.head),
        format!("fingerprint  {}", summary.fingerprint),
        match summary.contributors {
            Some(_) => "Every θ follows from its sums, every line from the one before it, and every contributor signed.",
            None => "Every θ follows from its updates, and every line from the one before it. Without secure sums nobody signs what they sent.",
        }
        .to_owned(),
    ]);
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints() {
        assert_eq!(spaced("0123456789abcdef00"), "0123 4567 89ab cdef");
        let plain = Ok("0123456789abcdef".to_owned());
        assert_eq!(fingerprint_of("0123 4567 89AB cdef"), plain);
        for bad in ["", "0123", "0123 4567 89ab cdeg", &"0".repeat(65)] {
            assert!(fingerprint_of(bad).is_err(), "{bad}");
        }
    }
}
