//! `discrete`: n words before the text or before the label template, each chosen from N candidates.
//!
//! The prompt of BDPL (Diao et al., TMLR 2023). θ has n·N numbers, row by row; the word at a
//! position is the candidate with the largest number in that row, the first of those that are
//! equal. With the empty word among the candidates the prompt can be shorter than n words; if the
//! empty word comes first, θ₀ = 0 is no prompt at all.

use super::{TextEntry, TextGenerator};
use crate::candidate::{Domain, Space};
use crate::objective::loss::argmax;
use crate::wording::{Prompt, TextTask};
use ground::fault::Reader;
use ground::form::{About, FormField, FormKind};
use ground::order::distinct;

/// Maximum number of parameters: a mistyped number of words should not fill the memory.
const MOST: usize = 1 << 20;
/// Maximum number of letters of a candidate.
const LONGEST: usize = 64;

/// A prompt of words, each of which is chosen from a list of candidates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discrete {
    positions: usize,
    candidates: Vec<String>,
    /// Whether the prompt precedes the label template instead of the text.
    before_label: bool,
}

/// The generator as the registry lists it.
pub(super) const ENTRY: TextEntry = TextEntry {
    about: About::of("words from a list").offered("words from a list", &[
            FormField {
                help: "Separated by commas or line breaks. “No word” is always one of the choices, and the starting point. Anyone can read this list, so do not take it from data owners’ texts.",
                wide: true,
                ..FormField::new(
                    "generator.candidates",
                    "Words that the prompt may contain",
                    FormKind::Candidates,
                    "news, stories, report, world, national, market, game, software",
                )
            },
            FormField::new(
                "generator.positions",
                "Words in the prompt, at most",
                FormKind::Whole,
                "4",
            ),
            FormField {
                help: "Usually before the sentence, if there is one.",
                options: &[
                    ("", "wherever fits best"),
                    ("label", "before the sentence for a label"),
                    ("input", "before the text"),
                ],
                ..FormField::new("generator.place", "Where they go", FormKind::Choice, "")
            },
        ]),
    embeddings: false,
    domain: Domain::Categories,
    build,
};

/// Reads `positions` n, `candidates`, `place`.
fn build(reader: &mut Reader<'_>, text: &TextTask) -> Box<dyn TextGenerator> {
    let positions = reader.whole("positions", 1..=64, Some(4)) as usize;
    let candidates = reader.list("candidates", None, "texts", |v| {
        v.as_str().map(str::to_owned)
    });
    if reader.has("candidates") {
        check(reader, &candidates, positions);
    }
    Box::new(Discrete {
        positions,
        candidates,
        before_label: place(reader, text),
    })
}

/// Reads `place`: whether a prompt stands before the label template.
pub(super) fn place(reader: &mut Reader<'_>, text: &TextTask) -> bool {
    let default = if text.has_template() {
        "label"
    } else {
        "input"
    };
    let before_label = reader.choice("place", &["input", "label"], Some(default)) == 1;
    if before_label && !text.has_template() {
        reader.fault(
            "place",
            "\"label\" needs text.template; masked language models have \"input\" alone",
        );
    }
    before_label
}

fn check(reader: &mut Reader<'_>, candidates: &[String], positions: usize) {
    if distinct(candidates) != candidates.len() || candidates.len() < 2 {
        reader.fault("candidates", "must hold two words or more, all different");
    }
    // Braces would be taken for the place of the label word.
    let odd = |c: char| c.is_control() || c == '{' || c == '}';
    let bad = |word: &&String| {
        word.chars().count() > LONGEST || word.trim() != word.as_str() || word.contains(odd)
    };
    if let Some(word) = candidates.iter().find(bad) {
        reader.fault(
            "candidates",
            format!("holds {word:?}: words have at most {LONGEST} letters, no braces, and no blanks around them"),
        );
    }
    if candidates.len() * positions > MOST {
        reader.fault(
            "candidates",
            format!(
                "{} words at {positions} positions are more than {MOST} parameters",
                candidates.len()
            ),
        );
    }
}

impl TextGenerator for Discrete {
    fn dim(&self) -> usize {
        self.positions * self.candidates.len()
    }

    fn space(&self) -> Space {
        Space::categories(self.candidates.len())
    }

    fn prompt(&self, point: &[f32]) -> Prompt {
        let mut words = String::new();
        for row in point.chunks_exact(self.candidates.len().max(1)) {
            match self.candidates.get(argmax(row)).map(String::as_str) {
                None | Some("") => {}
                Some(word) => {
                    if !words.is_empty() {
                        words.push(' ');
                    }
                    words.push_str(word);
                }
            }
        }
        let (input, label) = if self.before_label {
            (String::new(), words)
        } else {
            (words, String::new())
        };
        Prompt {
            input,
            label,
            ..Prompt::default()
        }
    }
}
