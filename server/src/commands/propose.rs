//! `fed-bbpt candidates --propose`: instructions from an LLM, as lines for the task file.

use super::block_on;
use super::candidates::{WORDS, print, read};
use crate::propose::prompts::{Example, PLACE, SHOWN, Subject};
use crate::propose::{Llm, Proposals, propose};
use crate::{CliError, data, task_source};
use clap::{Args, value_parser};
use federation::round::workbench::{Input, Labelled};
use federation::task::Task;
use relay::key::{self, KeyError};
use relay::upstream::Upstream;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use tuning::generator::instruction;
use tuning::generator::instruction::Place;
use tuning::wording::{Prompt, TextTask};

/// Maximum number of examples that are kept of a file; more are never shown.
const EXAMPLES: usize = 1000;
/// Maximum number of refused proposals that are reported singly.
const TOLD: usize = 20;
/// The tables of a task file that count before there are instructions.
const TABLES: [&str; 6] = ["format", "name", "description", "model", "data", "text"];

/// The arguments of `--propose`.
#[derive(Args)]
pub struct ProposeArgs {
    /// Ask an LLM for this many instructions, over chat completions in OpenAI's form. It is told
    /// the task's name and description, the label words and where the instructions stand.
    #[arg(long, value_name = "COUNT", group = "list", conflicts_with_all = WORDS,
          requires_all = ["task", "llm_url", "llm_model"],
          value_parser = value_parser!(u16).range(1..=instruction::MOST as i64))]
    propose: Option<u16>,
    /// The task file; its [generator] and [optimizer] may be missing.
    #[arg(long, value_name = "FILE", requires = "propose")]
    task: Option<String>,
    /// Address of the LLM's API: the part before /chat/completions, such as
    /// https://api.example.com/v1
    #[arg(long, value_name = "URL", requires = "propose")]
    llm_url: Option<String>,
    /// Name of the LLM at its API.
    #[arg(long, value_name = "NAME", requires = "propose")]
    llm_model: Option<String>,
    /// Vary these instructions, one on each line, instead of inventing new ones; they come first in
    /// the list.
    #[arg(long, value_name = "FILE", requires = "propose")]
    like: Option<PathBuf>,
    /// Show the LLM these labelled texts, ten in each request. They must be public: never name an owner's data here.
    #[arg(long, value_name = "FILE", requires = "propose")]
    examples: Option<PathBuf>,
    /// Maximum requests [default: 4, and 4 more for every 20 instructions].
    #[arg(long, requires = "propose", value_parser = value_parser!(u16).range(1..))]
    requests: Option<u16>,
    /// Maximum tokens of an answer [default: what the instructions need].
    #[arg(long, value_name = "TOKENS", requires = "propose", value_parser = value_parser!(u32).range(1..))]
    llm_max_tokens: Option<u32>,
    /// The environment variable that holds the LLM's key. If it is not set, an LLM on this machine
    /// is asked without a key.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "FED_BBPT_LLM_KEY",
        requires = "propose"
    )]
    key_env: String,
    /// Take the key from the operating system's keyring instead: the entry NAME of `fed-bbpt`.
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "key_env",
        requires = "propose"
    )]
    keyring: Option<String>,
    /// The LLM needs no key.
    #[arg(long, conflicts_with_all = ["key_env", "keyring"], requires = "propose")]
    no_key: bool,
    /// Send key and questions without TLS, to a server that is not this machine.
    #[arg(long, requires = "propose")]
    allow_plain_http: bool,
}

impl ProposeArgs {
    /// The number of instructions to ask for; `None` without `--propose`.
    pub fn count(&self) -> Option<usize> {
        self.propose.map(usize::from)
    }

    /// Where the key comes from, for error messages.
    fn source(&self) -> String {
        match &self.keyring {
            Some(entry) => format!("the keyring's entry `{entry}` of `fed-bbpt`"),
            None if self.no_key => "an environment variable, and leave --no-key away".to_owned(),
            None => format!("the environment variable {}", self.key_env),
        }
    }

    fn key(&self, upstream: &Upstream) -> Result<Option<String>, CliError> {
        if self.no_key {
            return Ok(None);
        }
        match key::from_either(self.keyring.as_deref(), &self.key_env) {
            Ok(key) => Ok(Some(key.reveal().to_owned())),
            Err(KeyError::NotSet(_)) if upstream.is_here() => Ok(None),
            Err(error) => Err(CliError::usage(error)),
        }
    }

    fn subject(&self, place: Option<Place>) -> Result<Subject, CliError> {
        // The argument parser requires it.
        let task = self.task.as_deref().unwrap_or_default();
        let (task, text, place) = task_of(task, place)?;
        let like = match &self.like {
            Some(file) => given(file, place)?,
            None => Vec::new(),
        };
        let examples = match &self.examples {
            Some(file) => examples(file, &task, &text)?,
            None => Vec::new(),
        };
        Ok(Subject {
            name: task.name,
            description: task.description,
            place,
            frame: frame(&text, place),
            words: text.words,
            examples,
            like,
        })
    }
}

/// Asks the LLM, and prints the lines of `[generator]`.
pub fn run(
    args: &ProposeArgs,
    wanted: usize,
    place: Option<Place>,
    json: bool,
) -> Result<(), CliError> {
    let [url, model] = [&args.llm_url, &args.llm_model].map(|a| a.as_deref().unwrap_or_default());
    let upstream = Upstream::parse(url, args.allow_plain_http)
        .map_err(|fault| CliError::usage(format!("--llm-url: {fault}")))?;
    let subject = args.subject(place)?;
    let given = subject.like.len();
    if !(2..=instruction::MOST).contains(&(given + wanted)) {
        return Err(CliError::usage(format!(
            "{} instructions: 2 to {} are needed, those of --like among them",
            given + wanted,
            instruction::MOST
        )));
    }
    let key = args.key(&upstream)?;
    let llm = Llm::new(
        upstream.address(),
        model,
        key,
        &args.source(),
        args.llm_max_tokens,
    )
    .map_err(CliError::usage)?;
    let most = args
        .requests
        .map_or(4 + 4 * wanted.div_ceil(20), usize::from);
    eprintln!(
        "`{model}` at {} is told what the task file says of the task (name, description, {} label words, what stands around an \
         instruction), {given} given instructions, {} of the examples at a time, and its own proposals; nothing else",
        upstream.address(),
        subject.words.len(),
        subject.examples.len().min(SHOWN),
    );
    let got = block_on(propose(&llm, &subject, wanted, most))?.map_err(CliError::failed)?;
    report(&got, &llm);
    let (place, trouble, found) = (subject.place, got.trouble, got.found.len());
    let mut all = subject.like;
    all.extend(got.found);
    if all.len() < 2 {
        let why = trouble.unwrap_or_default();
        return Err(CliError::failed(format!(
            "no instructions were found: {why}"
        )));
    }
    print(&all, place, json)?;
    match trouble {
        None => Ok(()),
        Some(why) => Err(CliError::NotReached(format!(
            "only {found} of {wanted} proposals were found: {why}"
        ))),
    }
}

fn report(got: &Proposals, llm: &Llm) {
    for (entry, why) in got.refused.iter().take(TOLD) {
        eprintln!("refused: {entry} {why}");
    }
    let tally = llm.tally();
    let tokens = match tally.input_tokens {
        0 => "tokens not counted".to_owned(),
        sent => format!("{sent} tokens sent, {} answered", tally.output_tokens),
    };
    eprintln!(
        "{} requests, {tokens}: {} proposals, {} repeated, {} refused",
        tally.calls,
        got.found.len(),
        got.repeated,
        got.refused.len()
    );
}

/// The instructions that are to be varied.
fn given(file: &Path, place: Place) -> Result<Vec<String>, CliError> {
    let given = read(file, place)?;
    if given.is_empty() {
        let text = format!(
            "{} holds no instruction that could be varied",
            file.display()
        );
        return Err(CliError::usage(text));
    }
    Ok(given)
}

/// The part of a task file that counts here, and the place of its instructions. Its generator is
/// left out, because it would need the list that is still to be found.
fn task_of(name: &str, place: Option<Place>) -> Result<(Task, TextTask, Place), CliError> {
    let text = task_source::text(name).map_err(CliError::usage)?;
    let source = Task::value_of_toml(&text).map_err(CliError::usage)?;
    if source["text"].is_null() {
        return Err(CliError::usage(format!(
            "{name} has no [text]: instructions are for tasks of texts"
        )));
    }
    let place = place.unwrap_or(match source["text"]["template"] {
        Value::Null => Place::Input,
        _ => Place::Template,
    });
    // Any two instructions that are valid, so that the rest and the place are checked.
    let two = match place {
        Place::Template => ["{}", "{}."],
        Place::Label | Place::Input => ["", "a"],
    };
    let mut known = Map::new();
    for key in TABLES.iter().filter(|key| !source[**key].is_null()) {
        known.insert((*key).to_owned(), source[*key].clone());
    }
    let generator = json!({ "kind": "instruction", "place": place.name(), "instructions": two });
    known.insert("generator".to_owned(), generator);
    let task = Task::from_value(Value::Object(known)).map_err(CliError::usage)?;
    match task.inputs.texts().cloned() {
        Some(text) => Ok((task, text, place)),
        None => Err(CliError::usage(format!("{name} is no task of texts"))),
    }
}

/// What the classifier reads: the instruction's place and the text around it.
fn frame(text: &TextTask, place: Place) -> String {
    let mut prompt = Prompt::default();
    match place {
        Place::Template => return String::new(),
        Place::Label => prompt.label = PLACE.to_owned(),
        Place::Input => prompt.input = PLACE.to_owned(),
    }
    text.shown(&prompt)
}

/// Public examples: one of each label first, then a second one of each, and so on.
fn examples(file: &Path, task: &Task, text: &TextTask) -> Result<Vec<Example>, CliError> {
    let loaded = data::load(file, task).map_err(CliError::usage)?;
    loaded.notes.iter().for_each(|note| eprintln!("{note}"));
    let mut of_label = vec![0_usize; text.words.len()];
    let mut ranked = Vec::new();
    for Labelled { input, label } in loaded.examples {
        let (Input::Text(own), Some(seen)) = (input, of_label.get_mut(label)) else {
            continue;
        };
        let example = Example {
            text: format!("{} {}", own.first, own.second),
            word: text.words[label].clone(),
        };
        ranked.push((*seen, label, example));
        *seen += 1;
    }
    ranked.sort_by_key(|(rank, label, _)| (*rank, *label));
    let examples = ranked.into_iter().map(|(.., example)| example);
    Ok(examples.take(EXAMPLES).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic: that is how it fails.
mod tests {
    use super::*;

    const TASK: &str = r#"
        name = "News"
        [model]
        url = "http://127.0.0.1:1"
        name = "m"
        input = { kind = "text" }
        [data]
        labels = ["1", "2"]
        [text]
        words = ["sport", "world"]
        template = "On {}."
        [generator]
        kind = "instruction"
        [federation]
        query_budget = 1
    "#;

    fn of(task: &str, place: Option<Place>) -> Result<(Task, TextTask, Place), String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("task.toml");
        std::fs::write(&file, task).unwrap();
        task_of(file.to_str().unwrap(), place).map_err(|error| match error {
            CliError::Usage(text) => text,
            _ => "not the file's fault".to_owned(),
        })
    }

    #[test]
    fn a_task_file_without_a_list_is_enough() {
        let (task, text, place) = of(TASK, None).unwrap();
        assert_eq!((&*task.name, place), ("News", Place::Template));
        assert_eq!(frame(&text, Place::Label), "[instruction] On {}.");
        assert_eq!(frame(&text, Place::Input), "[instruction] {text}");
        let masked = TASK.replace("template = \"On {}.\"", "input = \"{text} <mask>\"");
        let (_, text, place) = of(&masked, None).unwrap();
        assert_eq!(place, Place::Input);
        assert_eq!(frame(&text, place), "[instruction] {text} <mask>");
        assert!(
            of(&masked, Some(Place::Label))
                .unwrap_err()
                .contains("generator.place")
        );
        let other = TASK.replace("labels = [\"1\", \"2\"]", "labels = [\"1\"]");
        assert!(of(&other, None).unwrap_err().contains("data.labels"));
        assert!(of("name = \"x\"", None).unwrap_err().contains("no [text]"));
        assert!(of("=", None).unwrap_err().contains("not TOML"));
    }

    #[test]
    fn examples_go_round_the_labels() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("public.csv");
        std::fs::write(&file, "1,a one\n1,a two\n1,a three\n2,b one\n").unwrap();
        let (task, text, _) = of(TASK, None).unwrap();
        let found = examples(&file, &task, &text).map_err(|_| "loads").unwrap();
        let found: Vec<(&str, &str)> = found.iter().map(|e| (e.text.trim(), &*e.word)).collect();
        assert_eq!(
            found,
            [
                ("a one", "sport"),
                ("b one", "world"),
                ("a two", "sport"),
                ("a three", "sport")
            ]
        );
    }
}
