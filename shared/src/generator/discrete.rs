//! `discrete`: n words before the text or before the label template, each one of N candidates.
//!
//! The prompt of BDPL (Diao et al., TMLR 2023). θ are n·N numbers, row by row; whichever candidate has the largest
//! number of its row is the word there, the first of equals. With the empty word among the candidates the prompt
//! can be shorter than n; where it is the first of them, θ₀ = 0 is no prompt at all.

use super::TextGenerator;
use crate::fault::Reader;
use crate::objective::loss::argmax;
use crate::task::text::{Prompt, TextTask};

/// The most parameters: a mistyped number of words should not fill the memory.
const MOST: usize = 1 << 20;
/// Letters of one candidate.
const LONGEST: usize = 64;

/// Candidates and how many of them make a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discrete {
    positions: usize,
    candidates: Vec<String>,
    /// Before the label template instead of before the text.
    before_label: bool,
}

/// Reads `positions` n, `candidates`, `place`.
pub(super) fn build(reader: &mut Reader<'_>, text: &TextTask) -> Box<dyn TextGenerator> {
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
    let mut sorted: Vec<&str> = candidates.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() != candidates.len() || candidates.len() < 2 {
        reader.fault("candidates", "must hold two words or more, all different");
    }
    // Braces would be taken for the label's place.
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

    fn columns(&self) -> Option<usize> {
        Some(self.candidates.len())
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

#[cfg(test)]
mod tests {
    use crate::fault::Faults;
    use crate::generator::fixture;
    use crate::task::Task;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn task(text: Value, generator: Value) -> Result<Task, Faults> {
        Task::from_value(fixture::task(text, generator))
    }

    fn about(generator: Value) -> Result<Task, Faults> {
        task(json!({ "template": "About {}." }), generator)
    }

    #[test]
    fn the_largest_of_a_row_is_the_word() {
        let generator = json!({ "positions": 3, "candidates": ["", "news", "of the"] });
        let task = about(generator).unwrap();
        assert_eq!(task.dim(), 9);
        let generator = task.text_generator().unwrap();
        assert_eq!((generator.dim(), generator.columns()), (9, Some(3)));
        let label = |point: &[f32]| generator.prompt(point).label;
        assert_eq!(label(&generator.initial()), "");
        assert_eq!(
            label(&[0., 1., 0., 5., 5., 4., -3., -2., -1.]),
            "news of the"
        );
        assert_eq!(generator.prompt(&[0.; 9]).input, "");
    }

    #[test]
    fn the_place_follows_from_the_model() {
        let words = ["a", "b"];
        let masked = json!({ "input": "{text} <mask>" });
        let by_default = task(masked.clone(), json!({ "candidates": words })).unwrap();
        let prompt = by_default.text_generator().unwrap().prompt(&[0.; 8]);
        assert_eq!((&*prompt.input, &*prompt.label), ("a a a a", ""));
        let stated = about(json!({ "candidates": words, "place": "input" })).unwrap();
        assert_eq!(
            stated.text_generator().unwrap().prompt(&[0.; 8]).input,
            "a a a a"
        );
        let faults = task(masked, json!({ "candidates": words, "place": "label" })).unwrap_err();
        assert_eq!(faults.0[0].path, "generator.place");
    }

    #[test]
    fn every_fault_is_told() {
        for (generator, count) in [
            (json!({}), 1),
            (json!({ "candidates": ["a"] }), 1),
            (json!({ "candidates": ["a", "a"] }), 1),
            (json!({ "candidates": ["a", " b"] }), 1),
            (json!({ "candidates": ["a", "{}"] }), 1),
            (json!({ "candidates": ["a", "b\n"] }), 1),
            (json!({ "candidates": ["a", 1] }), 2),
            (json!({ "kind": "statistic" }), 2),
            (json!({ "positions": 0, "place": "above", "colour": 1 }), 4),
        ] {
            let Faults(faults) = about(generator.clone()).unwrap_err();
            assert_eq!(faults.len(), count, "{generator} {faults:?}");
            assert!(faults.iter().all(|f| f.path.starts_with("generator.")));
        }
    }

    proptest! {
        #[test]
        fn any_point_gives_known_words(point in prop::collection::vec(any::<f32>(), 0..30)) {
            let task = about(json!({ "candidates": ["x", "y", ""] })).unwrap();
            let prompt = task.text_generator().unwrap().prompt(&point);
            prop_assert!(prompt.label.split(' ').all(|w| ["x", "y", ""].contains(&w)));
        }
    }
}
