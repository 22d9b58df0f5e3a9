//! The prompts with which an LLM is asked to propose instructions, all in this file.
//!
//! There are two kinds, after APE (Zhou et al., "Large Language Models Are Human-Level Prompt
//! Engineers", ICLR 2023): *forward generation*, from the task's description and, if the organiser
//! names them, public examples of inputs and outputs; and *resampling*, which varies given
//! instructions and keeps their meaning. APE asks for one continuation at a time; chat models are
//! asked for a list.

use tuning::generator::instruction::{LONGEST, Place};

/// The system message, which tells the LLM its role.
pub const SYSTEM: &str = "You write short instructions for a language model that classifies texts. You answer with a JSON list \
                          of strings and nothing else.";

/// Stands for the instruction where the LLM is shown what the classifier reads.
pub const PLACE: &str = "[instruction]";
/// Number of examples in one request.
pub const SHOWN: usize = 10;
/// Maximum number of characters of an example's text.
const OF_TEXT: usize = 300;
/// Maximum number of label words that are named.
const WORDS: usize = 300;
/// Maximum number of instructions of each kind in one request: given ones, and ones not to be
/// repeated.
const LISTED: usize = 60;

/// A public example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The text.
    pub text: String,
    /// The word of its label.
    pub word: String,
}

/// What the instructions are for. All of it is in the task file, except the examples.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The task's name.
    pub name: String,
    /// The task's description; may be empty.
    pub description: String,
    /// The label words.
    pub words: Vec<String>,
    /// Where the instructions stand.
    pub place: Place,
    /// What the classifying model reads, with [`PLACE`] where the instruction stands.
    pub frame: String,
    /// Public examples; may be empty.
    pub examples: Vec<Example>,
    /// Instructions to vary; empty for forward generation.
    pub like: Vec<String>,
}

impl Subject {
    /// The question for `count` instructions. `request` is the number of the question, as each
    /// shows other examples. `known` instructions are not to be repeated.
    pub fn question(&self, count: usize, request: usize, known: &[String]) -> String {
        let mut parts = vec![format!(
            "A classification task: {}",
            one_line(&self.name, 120)
        )];
        if !self.description.trim().is_empty() {
            parts.push(self.description.trim().to_owned());
        }
        let more = match self.words.len().saturating_sub(WORDS) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let words = &self.words[..self.words.len().min(WORDS)];
        parts.push(format!("Its labels: {}{more}", words.join(", ")));
        let shown = SHOWN.min(self.examples.len());
        if shown > 0 {
            let examples = self
                .examples
                .iter()
                .cycle()
                .skip(request * shown)
                .take(shown);
            let examples = examples
                .map(|e| format!("Text: {}\nLabel: {}", one_line(&e.text, OF_TEXT), e.word));
            let examples: Vec<String> = examples.collect();
            parts.push(examples.join("\n\n"));
            parts.push(
                "Somebody gave these labels to these texts, following an instruction.".to_owned(),
            );
        }
        parts.push(self.what().to_owned());
        parts.push(match &*self.like {
            [] => format!("Write {count} of them, all different in wording."),
            like => format!(
                "These exist: {}\nWrite {count} variations of them. Each keeps the meaning of one of them in other words.",
                listed(like)
            ),
        });
        if !known.is_empty() {
            parts.push(format!("Do not repeat any of these: {}", listed(known)));
        }
        parts.push(format!(
            "Each is one line of at most {LONGEST} letters. Answer with a JSON list of {count} strings and nothing else."
        ));
        parts.join("\n\n")
    }

    /// Says what the instructions are, and where they stand.
    fn what(&self) -> String {
        let frame = &self.frame;
        match self.place {
            Place::Template => "Needed are label templates: short sentences that hold {} exactly once, where the word of a label \
                                is put in, such as \"This text is about {}.\" The classifier takes the label whose sentence fits \
                                the text best."
                .to_owned(),
            Place::Label => format!(
                "Needed are a few words that stand before a label template, where {PLACE} is in: {frame}\nThe classifier \
                 puts the word of each label in place of {{}} and takes the label whose sentence fits the text best. The words \
                 must not hold {{}} themselves."
            ),
            Place::Input => format!(
                "Needed are instructions that stand before the text, where {PLACE} is in: {frame}\nThe classifier reads \
                 this and says which label's word comes next, or fits best. The instructions must not hold {{}} or \
                 {PLACE}."
            ),
        }
    }
}

/// The last of the instructions, as JSON.
fn listed(instructions: &[String]) -> String {
    let last = &instructions[instructions.len().saturating_sub(LISTED)..];
    serde_json::json!(last).to_string()
}

/// The first characters of a text, without line breaks.
fn one_line(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        Subject {
            name: "News".to_owned(),
            description: "Which section?".to_owned(),
            words: ["sport", "world"].map(str::to_owned).to_vec(),
            place: Place::Input,
            frame: "[instruction] {text} Topic:".to_owned(),
            examples: Vec::new(),
            like: Vec::new(),
        }
    }

    #[test]
    fn only_what_is_public_is_told() {
        let asked = subject().question(7, 0, &[]);
        for part in [
            "News",
            "Which section?",
            "sport, world",
            "{text} Topic:",
            "Write 7 of",
            "JSON list of 7",
        ] {
            assert!(asked.contains(part), "{part}: {asked}");
        }
        for part in ["Text:", "variations", "repeat"] {
            assert!(!asked.contains(part), "{part}: {asked}");
        }
        let mut template = subject();
        template.place = Place::Template;
        assert!(
            template
                .question(7, 0, &[])
                .contains("hold {} exactly once")
        );
        let known = ["Which \"topic\"?".to_owned()];
        assert!(subject().question(7, 1, &known).ends_with("nothing else."));
        assert!(
            subject()
                .question(7, 1, &known)
                .contains(r#"repeat any of these: ["Which \"topic\"?"]"#)
        );
    }

    #[test]
    fn of_very_many_labels_some_are_named() {
        let mut subject = subject();
        subject.words = (0..1000).map(|i| format!("w{i}")).collect();
        let asked = subject.question(7, 0, &[]);
        assert!(asked.contains(", w299, and 700 more\n"), "{asked}");
    }

    #[test]
    fn given_ones_are_varied() {
        let mut subject = subject();
        subject.like = (0..100).map(|i| format!("no {i}.")).collect();
        let asked = subject.question(7, 0, &[]);
        assert!(
            asked.contains("\"no 40.\"") && asked.contains("7 variations"),
            "{asked}"
        );
        assert!(!asked.contains("\"no 39.\""), "{asked}");
    }

    #[test]
    fn every_request_shows_other_examples_and_only_their_beginnings() {
        let mut subject = subject();
        let example = |i: usize| Example {
            text: format!("text {i}.\n{}", "x".repeat(400)),
            word: "sport".to_owned(),
        };
        subject.examples = (0..15).map(example).collect();
        let shows = |request, i: usize| {
            subject
                .question(7, request, &[])
                .contains(&format!("Text: text {i}. xx"))
        };
        assert!(shows(0, 0) && shows(0, 9) && !shows(0, 10));
        assert!(shows(1, 10) && shows(1, 14) && shows(1, 4) && !shows(1, 5));
        assert!(subject.question(7, 0, &[]).contains("x…\nLabel: sport"));
        subject.examples.truncate(2);
        assert_eq!(subject.question(7, 3, &[]).matches("Text: ").count(), 2);
    }
}
