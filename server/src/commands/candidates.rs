//! `fed-bbpt candidates`: words for a prompt from public text, as a line for the task file.

use super::say;
use crate::Failure;
use crate::data;
use clap::Args;
use shared::data::candidates::{Choice, candidates};
use std::path::PathBuf;

/// What `fed-bbpt candidates` takes.
#[derive(Args)]
pub struct CandidatesArgs {
    /// Public text of the task's domain: CSV, TSV, JSON lines, or lines of text. Labels are not used.
    #[arg(long)]
    data: PathBuf,
    /// Words at most; the empty word comes on top.
    #[arg(long, default_value_t = 100)]
    count: usize,
    /// Only from word groups that are seen at least so often.
    #[arg(long, default_value_t = 5)]
    min_count: u32,
    /// Neighbours with at least this pointwise mutual information (in nats) are a group.
    #[arg(long, default_value_t = 1.0)]
    min_pmi: f64,
    /// Take the groups themselves as candidates instead of their words.
    #[arg(long)]
    groups: bool,
}

/// Prints the candidates, which are those of the text whatever order its lines have.
pub fn run(args: &CandidatesArgs) -> Result<(), Failure> {
    let mut notes = Vec::new();
    let examples = data::texts::read(&args.data, &[], &mut notes).map_err(Failure::usage)?;
    notes.iter().for_each(|note| eprintln!("{note}"));
    let texts = examples
        .iter()
        .flat_map(|e| [e.text.first.as_str(), e.text.second.as_str()]);
    let choice = Choice {
        count: args.count,
        min_count: args.min_count,
        min_pmi: args.min_pmi,
        groups: args.groups,
        ..Choice::default()
    };
    let found = candidates(texts, choice);
    if found.is_empty() {
        return Err(Failure::usage(format!(
            "{}: no group of words is seen {} times; give more text, or lower --min-count or --min-pmi",
            args.data.display(),
            args.min_count
        )));
    }
    // A list of JSON texts is one of TOML, too.
    let mut all = vec![String::new()];
    all.extend(found);
    let list = serde_json::to_string(&all).map_err(Failure::failed)?;
    say(&format!("candidates = {list}"));
    Ok(())
}
