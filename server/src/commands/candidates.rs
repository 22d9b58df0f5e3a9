//! `fed-bbpt candidates`: the candidates for a prompt, as lines for the task file: words from
//! public text, or whole instructions from a file or from an LLM (`propose.rs`).

use super::propose::{self, ProposeArgs};
use super::{say, say_json};
use crate::CliError;
use crate::data;
use clap::{Args, ValueEnum};
use owner_data::candidates::{Choice, candidates};
use serde_json::json;
use std::path::{Path, PathBuf};
use tuning::generator::instruction;
use tuning::generator::instruction::Place;

/// The arguments of `fed-bbpt candidates`.
#[derive(Args)]
pub struct CandidatesArgs {
    /// Public text of the task's domain: CSV, TSV, JSON lines, or lines of text. Labels are not used.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["instructions", "propose"])]
    data: Option<PathBuf>,
    /// Maximum words; the empty word is added to them.
    #[arg(long, default_value_t = 100)]
    count: usize,
    /// Only from word groups that occur at least this often.
    #[arg(long, default_value_t = 5)]
    min_count: u32,
    /// Minimum pointwise mutual information (in nats) of neighbours that form a group.
    #[arg(long, default_value_t = 1.0)]
    min_pmi: f64,
    /// Take the groups themselves as candidates instead of their words.
    #[arg(long)]
    groups: bool,
    /// Check a file of instructions, one on each line, and print them for the generator
    /// "instruction".
    #[arg(long, value_name = "FILE", group = "list", conflicts_with_all = WORDS)]
    instructions: Option<PathBuf>,
    /// What the instructions are: label templates that hold {}, or words before the label template or the input
    /// [default: template; of --propose, input if the task has no text.template].
    #[arg(long, value_enum, requires = "list")]
    place: Option<Where>,
    /// Print the settings for the task file's [generator] as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    proposed: ProposeArgs,
}

/// The options for words.
pub const WORDS: [&str; 5] = ["data", "count", "min_count", "min_pmi", "groups"];

/// A [`Place`] as an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Where {
    Template,
    Label,
    Input,
}

impl From<Where> for Place {
    fn from(place: Where) -> Self {
        match place {
            Where::Template => Self::Template,
            Where::Label => Self::Label,
            Where::Input => Self::Input,
        }
    }
}

/// Prints the candidates from a text, which do not depend on the order of its lines; or the
/// instructions.
pub fn run(args: &CandidatesArgs) -> Result<(), CliError> {
    let place = args.place.map(Place::from);
    match (&args.instructions, args.proposed.count(), &args.data) {
        (Some(file), ..) => instructions(file, place.unwrap_or(Place::Template), args.json),
        (None, Some(count), _) => propose::run(&args.proposed, count, place, args.json),
        (None, None, Some(data)) => words(args, data),
        // The argument parser requires one of them.
        (None, None, None) => Err(CliError::usage(
            "--data, --instructions or --propose is needed",
        )),
    }
}

fn words(args: &CandidatesArgs, data: &Path) -> Result<(), CliError> {
    let mut notes = Vec::new();
    let examples = data::texts::read(data, &[], &mut notes).map_err(CliError::usage)?;
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
        return Err(CliError::usage(format!(
            "{}: no group of words is seen {} times; give more text, or lower --min-count or --min-pmi",
            data.display(),
            args.min_count
        )));
    }
    // A JSON list of texts is a TOML list too.
    let mut all = vec![String::new()];
    all.extend(found);
    if args.json {
        return say_json(&json!({ "candidates": all }));
    }
    let list = serde_json::to_string(&all).map_err(CliError::failed)?;
    say(&format!("candidates = {list}"));
    Ok(())
}

fn instructions(file: &Path, place: Place, json: bool) -> Result<(), CliError> {
    let listed = read(file, place)?;
    if !(2..=instruction::MOST).contains(&listed.len()) {
        return Err(CliError::usage(format!(
            "{}: {} different instructions: 2 to {} are needed",
            file.display(),
            listed.len(),
            instruction::MOST
        )));
    }
    print(&listed, place, json)
}

/// Prints the settings of `[generator]`, as lines or as JSON.
pub fn print(instructions: &[String], place: Place, json: bool) -> Result<(), CliError> {
    if json {
        return say_json(&json!({
            "kind": "instruction", "place": place.name(), "instructions": instructions,
        }));
    }
    say("kind = \"instruction\"");
    say(&format!("place = \"{}\"", place.name()));
    say("instructions = [");
    for instruction in instructions {
        let text = serde_json::to_string(instruction).map_err(CliError::failed)?;
        say(&format!("    {text},"));
    }
    say("]");
    Ok(())
}

/// Reads the instructions in a file, and reports repeated lines.
pub fn read(file: &Path, place: Place) -> Result<Vec<String>, CliError> {
    let text = std::fs::read_to_string(file)
        .map_err(|e| CliError::usage(format!("cannot read {}: {e}", file.display())))?;
    let (listed, notes) = listed(&text, place)
        .map_err(|faults| CliError::usage(format!("{}:\n{}", file.display(), faults.join("\n"))))?;
    notes.iter().for_each(|note| eprintln!("{note}"));
    Ok(listed)
}

/// The instructions on a text's lines, without empty lines, and the repetitions that were left out;
/// or all faults.
fn listed(text: &str, place: Place) -> Result<(Vec<String>, Vec<String>), Vec<String>> {
    let (mut list, mut notes, mut faults) = (Vec::<(usize, &str)>::new(), Vec::new(), Vec::new());
    let lines = text
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.trim()));
    for (at, line) in lines.filter(|(_, line)| !line.is_empty()) {
        if let Some((earlier, _)) = list.iter().find(|(_, known)| *known == line) {
            notes.push(format!("line {at} repeats line {earlier}, and is left out"));
            continue;
        }
        if let Some(message) = place.fault(line) {
            faults.push(format!("line {at} {message}"));
        }
        list.push((at, line));
    }
    if faults.is_empty() {
        let list = list.into_iter().map(|(_, line)| line.to_owned());
        Ok((list.collect(), notes))
    } else {
        Err(faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_instructions() {
        let text = "This is {}.\r\n\n  {} \nThis is {}.\n";
        let (list, notes) = listed(text, Place::Template).unwrap();
        assert_eq!(list, ["This is {}.", "{}"]);
        assert_eq!(notes, ["line 4 repeats line 1, and is left out"]);
        let faults = listed("a\nb {}", Place::Input).unwrap_err();
        assert!(
            faults.len() == 1 && faults[0].starts_with("line 2 holds {}"),
            "{faults:?}"
        );
        let faults = listed("none", Place::Template).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!(listed("\n", Place::Label).unwrap().0, [""; 0]);
    }
}
