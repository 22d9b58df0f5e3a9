//! `fed-bbpt candidates`: what a prompt may be made of, as lines for the task file: words from public text, or a list
//! of whole instructions.

use super::say;
use crate::Failure;
use crate::data;
use clap::{Args, ValueEnum};
use shared::data::candidates::{Choice, candidates};
use shared::generator::instruction::{self, Place};
use std::path::{Path, PathBuf};

/// What `fed-bbpt candidates` takes.
#[derive(Args)]
pub struct CandidatesArgs {
    /// Public text of the task's domain: CSV, TSV, JSON lines, or lines of text. Labels are not used.
    #[arg(long, required_unless_present = "instructions")]
    data: Option<PathBuf>,
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
    /// Check a file of instructions, one in a line, and print them for the generator "instruction".
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "count", "min_count", "min_pmi", "groups"])]
    instructions: Option<PathBuf>,
    /// What the instructions are: label templates that hold {}, or words before the label template or the input.
    #[arg(long, value_enum, default_value_t = Where::Template, requires = "instructions")]
    place: Where,
}

/// [`Place`] as an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Where {
    Template,
    Label,
    Input,
}

/// Prints the candidates, which are those of the text whatever order its lines have; or the instructions.
pub fn run(args: &CandidatesArgs) -> Result<(), Failure> {
    match (&args.instructions, &args.data) {
        (Some(file), _) => instructions(file, args.place),
        (None, Some(data)) => words(args, data),
        // The argument parser asks for one of them.
        (None, None) => Err(Failure::usage("--data or --instructions is needed")),
    }
}

fn words(args: &CandidatesArgs, data: &Path) -> Result<(), Failure> {
    let mut notes = Vec::new();
    let examples = data::texts::read(data, &[], &mut notes).map_err(Failure::usage)?;
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
            data.display(),
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

fn instructions(file: &Path, place: Where) -> Result<(), Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|e| Failure::usage(format!("cannot read {}: {e}", file.display())))?;
    let (name, place) = match place {
        Where::Template => ("template", Place::Template),
        Where::Label => ("label", Place::Label),
        Where::Input => ("input", Place::Input),
    };
    let (listed, notes) = listed(&text, place)
        .map_err(|faults| Failure::usage(format!("{}:\n{}", file.display(), faults.join("\n"))))?;
    notes.iter().for_each(|note| eprintln!("{note}"));
    say("kind = \"instruction\"");
    say(&format!("place = \"{name}\""));
    say("instructions = [");
    for instruction in listed {
        let text = serde_json::to_string(&instruction).map_err(Failure::failed)?;
        say(&format!("    {text},"));
    }
    say("]");
    Ok(())
}

/// The instructions of a text's lines, without empty lines and repetitions, of which the second list tells; or all
/// faults.
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
    if !(2..=instruction::MOST).contains(&list.len()) {
        faults.push(format!(
            "{} different instructions: 2 to {} are needed",
            list.len(),
            instruction::MOST
        ));
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
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(listed("", Place::Label).is_err());
    }
}
