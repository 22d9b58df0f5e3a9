//! Decides what each column holds, by its name or else by its cells.

use super::super::DataError;
use super::super::error::{LISTED, short};
use super::super::labels::Labels;
use super::{LONGEST, Row, Text, TextExample};

/// Names of label columns, the surest first: MNLI has five annotators' labels beside the gold one.
const LABELS: [&str; 12] = [
    "gold_label",
    "label",
    "class",
    "class index",
    "category",
    "target",
    "is_duplicate",
    "quality",
    "sentiment",
    "topic",
    "intent",
    "coarse_label",
];

/// Names of columns that form a pair.
const PAIRS: [[&str; 2]; 9] = [
    ["sentence1", "sentence2"],
    ["question1", "question2"],
    ["premise", "hypothesis"],
    ["#1 string", "#2 string"],
    ["text1", "text2"],
    ["question", "sentence"],
    ["title", "description"],
    ["title", "text"],
    ["title", "content"],
];

/// Names of columns that hold the only text.
const SINGLE: [&str; 9] = [
    "text",
    "sentence",
    "content",
    "review",
    "question",
    "utterance",
    "comment",
    "description",
    "title",
];

fn find<S: AsRef<str>>(names: &[S], wanted: &str) -> Option<usize> {
    names
        .iter()
        .position(|name| name.as_ref().eq_ignore_ascii_case(wanted))
}

fn label_of<S: AsRef<str>>(names: &[S]) -> Option<usize> {
    LABELS.iter().find_map(|wanted| find(names, wanted))
}

fn texts_of<S: AsRef<str>>(names: &[S]) -> Vec<usize> {
    let pair = PAIRS
        .iter()
        .find_map(|[a, b]| Some(vec![find(names, a)?, find(names, b)?]));
    pair.or_else(|| {
        SINGLE
            .iter()
            .find_map(|wanted| find(names, wanted).map(|c| vec![c]))
    })
    .unwrap_or_default()
}

/// Whether a first row names its columns.
pub(super) fn is_header(cells: impl Iterator<Item = String>) -> bool {
    let cells: Vec<String> = cells.collect();
    label_of(&cells).is_some() || !texts_of(&cells).is_empty()
}

/// The columns that are used.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Columns {
    /// Column of the label; `None` in files without labels.
    label: Option<usize>,
    /// Columns of the first and of the second text.
    texts: Vec<usize>,
}

impl Columns {
    /// Columns of lines that were cut into a label (if there are labels) and a text.
    pub fn of_lines(labelled: bool) -> Self {
        Self {
            label: labelled.then_some(0),
            texts: vec![usize::from(labelled)],
        }
    }

    /// Columns of lines that were cut into a label, a text, and the second text of a pair.
    pub fn of_pasted() -> Self {
        Self {
            label: Some(0),
            texts: vec![1, 2],
        }
    }

    /// Columns of JSON objects with these keys.
    pub fn of_keys(file: &str, keys: &[&str], known: &Labels) -> Result<Self, DataError> {
        let (label, texts) = (label_of(keys), texts_of(keys));
        let none = |name: &str| DataError::NoSuchColumn {
            file: file.to_owned(),
            name: name.to_owned(),
            found: keys.iter().take(LISTED).map(|k| short(k)).collect(),
        };
        if texts.is_empty() {
            return Err(none("text"));
        }
        if label.is_none() && !known.known().is_empty() {
            return Err(none("label"));
        }
        Ok(Self { label, texts })
    }

    /// Columns of a table, whose header is removed from the rows.
    pub fn of_table(file: &str, rows: &mut Vec<Row>, known: &Labels) -> Result<Self, DataError> {
        let Some(first) = rows.first() else {
            return Err(DataError::Empty {
                file: file.to_owned(),
            });
        };
        let width = first.cells.len();
        let is_label = |cell: &String| known.find(cell).is_some();
        let header = is_header(first.cells.iter().cloned()) && !first.cells.iter().any(is_label);
        let names = if header {
            rows.remove(0).cells
        } else {
            Vec::new()
        };
        let label = match label_of(&names) {
            Some(label) => Some(label),
            None if known.known().is_empty() => repeated(rows, width),
            None => Some(labels_in(rows, width, known)),
        };
        let mut texts = texts_of(&names);
        if texts.is_empty() {
            texts = wordy(rows, width, label);
        }
        if texts.is_empty() {
            return Err(DataError::NoSuchColumn {
                file: file.to_owned(),
                name: "text".to_owned(),
                found: names.iter().take(LISTED).map(|n| short(n)).collect(),
            });
        }
        Ok(Self { label, texts })
    }

    /// The example in a row.
    pub fn example(&self, file: &str, row: &Row, known: &Labels) -> Result<TextExample, DataError> {
        let cell = |column: usize| row.cells.get(column).map_or("", |cell| cell.trim());
        let label = self.label.map_or("", cell);
        if label.is_empty() && !known.known().is_empty() {
            return Err(DataError::NoLabel {
                file: file.to_owned(),
                row: row.number,
            });
        }
        let parts: Vec<&str> = self.texts.iter().skip(1).map(|c| cell(*c)).collect();
        let text = Text {
            first: cut(self.texts.first().map_or("", |c| cell(*c))),
            second: cut(parts.join(" ").trim()),
        };
        if text.first.is_empty() && text.second.is_empty() {
            return Err(DataError::NoText {
                file: file.to_owned(),
                row: row.number,
            });
        }
        Ok(TextExample {
            row: row.number,
            text,
            label: label.to_owned(),
        })
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

/// The column whose every cell is a known label, preferring the first and the last. If there is
/// none, the shorter of those two: its cells will be reported as unknown labels.
fn labels_in(rows: &[Row], width: usize, known: &Labels) -> usize {
    let last = width.saturating_sub(1);
    let order = [0, last].into_iter().chain(1..last);
    let cell = |row: &Row, column: usize| row.cells.get(column).cloned().unwrap_or_default();
    for column in order {
        if rows
            .iter()
            .all(|row| known.find(&cell(row, column)).is_some())
        {
            return column;
        }
    }
    let length = |column| {
        rows.iter()
            .map(|row| cell(row, column).len())
            .sum::<usize>()
    };
    if length(last) < length(0) { last } else { 0 }
}

/// Without known labels: the first or the last column, if its cells repeat as labels do.
fn repeated(rows: &[Row], width: usize) -> Option<usize> {
    let repeats = |column: &usize| {
        let mut cells: Vec<&str> = rows
            .iter()
            .map(|row| row.cells.get(*column).map_or("", String::as_str))
            .collect();
        cells.sort_unstable();
        cells.dedup();
        4 * cells.len() <= rows.len() && width > 1
    };
    [0, width.saturating_sub(1)].into_iter().find(repeats)
}

/// The columns in which at least half of the cells hold several words; else the one with the
/// longest texts.
fn wordy(rows: &[Row], width: usize, label: Option<usize>) -> Vec<usize> {
    let others = || (0..width).filter(|column| Some(*column) != label);
    let cells = |column: usize| rows.iter().filter_map(move |row| row.cells.get(column));
    let several = |column: &usize| {
        2 * cells(*column).filter(|c| c.trim().contains(' ')).count() >= rows.len().max(1)
    };
    let found: Vec<usize> = others().filter(several).collect();
    if !found.is_empty() {
        return found;
    }
    let longest = others().max_by_key(|column| cells(*column).map(String::len).sum::<usize>());
    longest.into_iter().collect()
}
