//! What an LLM is told when it is to propose instructions. All prompts stand here.
//!
//! Two forms, after APE (Zhou et al., "Large Language Models Are Human-Level Prompt Engineers", ICLR 2023): *forward
//! generation*, from what the task is and, where the organiser names them, public examples of inputs and outputs; and
//! *resampling*, which varies given instructions and keeps their meaning. APE asks for one continuation at a time; chat
//! models are asked for a list.

use tuning::generator::instruction::{LONGEST, Place};

/// What the LLM is, in the eyes of whoever asks.
pub const SYSTEM: &str = "You write short instructions for a language model that classifies texts. You answer with a JSON list \
                          of strings and nothing else.";

/// What stands for the instruction where the LLM is shown what the classifier reads.
pub const PLACE: &str = "[instruction]";
/// Examples that one request shows.
pub const SHOWN: usize = 10;
/// Letters of a text that are shown.
const OF_TEXT: usize = 300;
/// Label words that are named.
const WORDS: usize = 300;
/// Instructions of each kind that one request shows: given ones, and ones not to be repeated.
const LISTED: usize = 60;

/// An example that is public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The text.
    pub text: String,
    /// Its label's word.
    pub word: String,
}

/// What the instructions are for: everything of it is in the task file, but for the examples.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The task's name.
    pub name: String,
    /// Its description, or nothing.
    pub description: String,
    /// The label words.
    pub words: Vec<String>,
    /// Where the instructions stand.
    pub place: Place,
    /// What the classifying model reads, with [`PLACE`] where the instruction stands.
    pub frame: String,
    /// Public ones; may be none.
    pub examples: Vec<Example>,
    /// To be varied; none for forward generation.
    pub like: Vec<String>,
}

impl Subject {
    /// The question for `count` instructions. `request` counts the questions: each shows other examples. `known` are not
    /// to be repeated.
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

    /// What the instructions are, and where they stand.
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

/// The last of them, as JSON.
fn listed(instructions: &[String]) -> String {
    let last = &instructions[instructions.len().saturating_sub(LISTED)..];
    serde_json::json!(last).to_string()
}

/// The first letters of a text, without line breaks.
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
