//! `labels.csv` / `labels.tsv`: a table that gives each picture its label.

use std::collections::BTreeMap;

use super::super::DataError;
use super::super::csv::records::{Records, separator, text};
use super::super::error::short;
use super::components;

/// Finds the table of labels among the chosen files: `labels.csv`, `labels.tsv`, `label.csv` or
/// `label.tsv`, the one in the topmost folder. `None` if there is none, or there are no pictures
/// for it to name.
#[must_use]
pub fn find_label_table<'a>(paths: &[&'a str]) -> Option<&'a str> {
    const PICTURES: [&str; 7] = [".png", ".jpg", ".jpeg", ".jfif", ".webp", ".gif", ".bmp"];
    const TABLES: [&str; 4] = ["labels.csv", "labels.tsv", "label.csv", "label.tsv"];
    let name = |path: &str| {
        components(path)
            .last()
            .unwrap_or_default()
            .to_ascii_lowercase()
    };
    let hidden = |path: &str| components(path).any(super::is_hidden);
    paths
        .iter()
        .any(|path| PICTURES.iter().any(|end| name(path).ends_with(end)))
        .then_some(())?;
    paths
        .iter()
        .filter(|path| TABLES.contains(&&name(path)[..]) && !hidden(path))
        .min_by_key(|path| (components(path).count(), **path))
        .copied()
}

/// Labels by path.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelTable {
    path: String,
    /// Path within the choice → label.
    labels: BTreeMap<String, String>,
}

impl LabelTable {
    /// Reads a table with a row `path,label` for each picture. Columns are found by the header
    /// (`path`, `file`, `filename`, `image` or `name`; `label`, `class` or `target`); without a
    /// header they are the first two. Paths are relative to the table's own folder.
    ///
    /// # Errors
    /// [`DataError`], if the bytes are not text, rows differ in length, a label is empty, or a path
    /// has two labels; [`DataError::Empty`] without a row.
    pub fn parse(path: &str, bytes: &[u8]) -> Result<Self, DataError> {
        let file = || path.to_owned();
        let bytes = text(path, bytes)?;
        let mut records = Records::new(path, bytes, separator(bytes));
        let mut cells = Vec::new();
        let folder: Vec<&str> = {
            let mut parts: Vec<&str> = components(path).collect();
            parts.pop();
            parts
        };
        let mut columns = None;
        let mut labels: BTreeMap<String, String> = BTreeMap::new();
        while records.next(&mut cells)? {
            let row = records.row;
            let texts: Vec<String> = cells.iter().map(|cell| cell.text()).collect();
            let (path_column, label_column, width) = match columns {
                Some(columns) => columns,
                None => {
                    let at = |names: &[&str]| {
                        texts
                            .iter()
                            .position(|t| names.contains(&&t.trim().to_ascii_lowercase()[..]))
                    };
                    let header = at(&["path", "file", "filename", "file_name", "image", "name"])
                        .zip(at(&["label", "class", "target"]));
                    let (p, l) = header.unwrap_or((0, 1));
                    let found = *columns.insert((p, l, texts.len()));
                    if header.is_some() {
                        continue;
                    }
                    found
                }
            };
            if texts.len() != width || width < 2 {
                return Err(DataError::RaggedRow {
                    file: file(),
                    row,
                    expected: width.max(2),
                    got: texts.len(),
                    more: 0,
                });
            }
            if !cells.iter().all(|cell| cell.is_utf8()) {
                return Err(DataError::NotUtf8 { file: file(), row });
            }
            let label = texts[label_column].trim();
            if label.is_empty() {
                return Err(DataError::NoLabel { file: file(), row });
            }
            let picture = folder
                .iter()
                .copied()
                .chain(components(&texts[path_column]));
            let picture = picture.collect::<Vec<_>>().join("/");
            match labels.get(&picture) {
                Some(before) if before != label => {
                    return Err(DataError::LabelTwice {
                        file: file(),
                        row,
                        path: short(&texts[path_column]),
                    });
                }
                _ => {
                    labels.insert(picture, label.to_owned());
                }
            }
        }
        if labels.is_empty() {
            return Err(DataError::Empty { file: file() });
        }
        Ok(Self {
            path: file(),
            labels,
        })
    }

    /// The table's own path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The label of the picture at `path` within the choice.
    #[must_use]
    pub fn label(&self, path: &str) -> Option<&str> {
        let path = components(path).collect::<Vec<_>>().join("/");
        self.labels.get(&path).map(String::as_str)
    }
}
