//! Decides which files of a choice hold texts, and which of a task's names their labels use.

use super::super::DataError;
use super::super::labels::{Labels, Resolved};
use super::TextExample;

/// Extensions of the files that are read from a folder or a zip; a single file may have any.
const TABLES: [&str; 5] = ["csv", "tsv", "jsonl", "ndjson", "json"];
/// Extensions that are read only if there is no table: beside one they are licences and lists of
/// classes.
const LINES: [&str; 5] = ["txt", "all", "train", "dev", "test"];

/// For each path, whether the file is read.
#[must_use]
pub fn taken(paths: &[&str]) -> Vec<bool> {
    let of = |endings: &[&str], name: &&str| endings.contains(&ending(name)) && !is_hidden(name);
    let endings = if paths.iter().any(|name| of(&TABLES, name)) {
        &TABLES[..]
    } else {
        &LINES
    };
    let is_taken = |name| paths.len() == 1 || of(endings, name);
    paths.iter().map(is_taken).collect()
}

fn ending(name: &str) -> &str {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    name.rsplit_once('.').map_or("", |(_, ending)| ending)
}

fn is_hidden(name: &str) -> bool {
    name.split('/')
        .any(|part| part.starts_with('.') || part == "__MACOSX")
}

/// Removes texts whose annotators did not agree (SNLI's label `-`), unless the task has that label.
/// Returns the number removed.
pub fn leave_out_disputed(examples: &mut Vec<TextExample>, labels: &[String]) -> usize {
    let before = examples.len();
    if !labels.iter().any(|label| label == "-") {
        examples.retain(|example| example.label != "-");
    }
    before - examples.len()
}

/// Returns the task's `labels`; or its `words`, if the examples' labels are not all among the
/// labels but are all among the words.
#[must_use]
pub fn naming(examples: &[TextExample], labels: &[String], words: &[String]) -> Labels {
    let by_label = Labels::new(labels);
    let by_word = Labels::new(words);
    let all = |names: &Labels| examples.iter().all(|e| names.find(&e.label).is_some());
    if !all(&by_label) && all(&by_word) {
        by_word
    } else {
        by_label
    }
}

/// The classes of the examples, under the names that [`naming`] chooses.
///
/// # Errors
/// Those of [`Labels::resolve`].
pub fn resolve(
    examples: &[TextExample],
    labels: &[String],
    words: &[String],
) -> Result<Resolved, DataError> {
    naming(examples, labels, words).resolve(examples.iter().map(|e| &*e.label))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples(labels: &[&str]) -> Vec<TextExample> {
        let one = |label: &&str| TextExample {
            label: (*label).to_owned(),
            ..TextExample::default()
        };
        labels.iter().map(one).collect()
    }

    #[test]
    fn a_table_hides_what_lies_beside_it() {
        let files = [
            "a.csv",
            "b.jsonl.gz",
            "LICENCE.txt",
            ".c.csv",
            "x/.git/d.tsv",
        ];
        assert_eq!(taken(&files), [true, true, false, false, false]);
        assert_eq!(
            taken(&["a.txt", "stsa.binary.dev", "b.md"]),
            [true, true, false]
        );
        // A file that was chosen alone is meant.
        assert_eq!(taken(&["notes.md"]), [true]);
    }

    #[test]
    fn labels_go_before_words() {
        let names = |given: &[&str]| {
            let [labels, words] = [["1", "2"], ["World", "Sports"]];
            let owned = |list: [&str; 2]| list.map(str::to_owned).to_vec();
            resolve(&examples(given), &owned(labels), &owned(words)).map(|r| r.classes)
        };
        assert_eq!(names(&["2", "1"]), Ok(vec![1, 0]));
        assert_eq!(names(&["sports", "World"]), Ok(vec![1, 0]));
        let Err(DataError::UnknownLabels { known, .. }) = names(&["Sports", "2"]) else {
            panic!("a mixture was taken");
        };
        assert_eq!(known, ["1", "2"]);
    }

    #[test]
    fn disputed_texts_are_left_out_unless_they_are_a_class() {
        let labels = |more: &[&str]| more.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>();
        let mut some = examples(&["yes", "-", "no"]);
        assert_eq!(
            leave_out_disputed(&mut some, &labels(&["yes", "no", "-"])),
            0
        );
        assert_eq!(leave_out_disputed(&mut some, &labels(&["yes", "no"])), 1);
        assert_eq!(some.len(), 2);
    }
}
