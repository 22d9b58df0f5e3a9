//! Labelled texts, or pairs of texts, as their owners have them.
//!
//! Without any option it reads CSV, tables separated by tabs (GLUE's), JSON lines, and lines of a
//! label and a sentence (Stanford's sentiment treebank, TREC). Columns are recognised by name
//! (`text`, `sentence`, `sentence1` and `sentence2`, `label`, …); in a table without such a header,
//! the label is the column that holds nothing but the federation's labels, and the text consists of
//! the columns with more than one word (AG News: class, title, description).
//!
//! Bytes that are not UTF-8 are read as Latin-1, cell by cell: old corpora hold both.

mod choice;
mod columns;
mod json;
mod lines;
mod pasted;
mod table;

use super::DataError;
use super::csv::records;
use super::labels::Labels;
use columns::Columns;

pub use choice::{leave_out_disputed, naming, resolve, taken};
pub use pasted::read_pasted;

/// One text, or a pair of them (title and body, premise and hypothesis).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// The text, or the first of a pair.
    pub first: String,
    /// The second text of a pair, or empty.
    pub second: String,
}

/// One labelled text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextExample {
    /// Line or record in which it begins, counted from 1 as in an editor.
    pub row: usize,
    /// The text.
    pub text: Text,
    /// The label as it stands in the file; see [`Labels`]. Empty only if the file has no labels.
    pub label: String,
}

/// Maximum number of characters that are read of one text: models read some hundreds of words, and
/// a file with broken quotation marks should not be sent to an API as a whole.
pub const LONGEST: usize = 10_000;

/// A row of a table, or a line.
struct Row {
    /// Line or record, counted from 1 as in an editor.
    number: usize,
    cells: Vec<String>,
}

/// Reads all examples of a file. `file` is the name used in errors; `known` are the federation's
/// labels. If `known` is empty (public text, to take words from), the file may be without labels,
/// too.
///
/// # Errors
/// [`DataError::WrongKind`] for content that is not text; [`DataError::RaggedRow`],
/// [`DataError::NoLabel`], [`DataError::NoText`], [`DataError::OpenQuote`], [`DataError::JsonLine`]
/// with the row; [`DataError::NoSuchColumn`] if no column is the text or the label;
/// [`DataError::Empty`].
pub fn read(file: &str, bytes: &[u8], known: &[String]) -> Result<Vec<TextExample>, DataError> {
    let bytes = records::text(file, bytes)?;
    read_as(file, bytes, form(file, bytes), &Labels::new(known))
}

fn read_as(
    file: &str,
    bytes: &[u8],
    form: Form,
    labels: &Labels,
) -> Result<Vec<TextExample>, DataError> {
    let (rows, columns) = match form {
        Form::Json => json::read(file, bytes, labels)?,
        Form::Lines => lines::read(bytes, labels),
        Form::Table(separator) => {
            let mut rows = table::read(file, bytes, separator)?;
            let columns = Columns::of_table(file, &mut rows, labels)?;
            (rows, columns)
        }
    };
    let examples: Vec<TextExample> = rows
        .iter()
        .map(|row| columns.example(file, row, labels))
        .collect::<Result<_, _>>()?;
    if examples.is_empty() {
        return Err(DataError::Empty {
            file: file.to_owned(),
        });
    }
    Ok(examples)
}

/// How a file is laid out.
#[derive(Debug, PartialEq, Eq)]
enum Form {
    /// One object per line, or one list of objects.
    Json,
    /// One label, blank and sentence per line.
    Lines,
    /// Cells with this separator; a tab means cells without quotation marks, as in GLUE.
    Table(u8),
}

fn form(file: &str, bytes: &[u8]) -> Form {
    let name = file.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let first = bytes.trim_ascii_start().first();
    if first == Some(&b'{') || (first == Some(&b'[') && name.contains(".json")) {
        return Form::Json;
    }
    if name.ends_with(".tsv") {
        return Form::Table(b'\t');
    }
    let separator = records::separator(bytes);
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let is_header = || {
        let cells = line.split(|b| *b == separator);
        columns::is_header(cells.map(|cell| decode(cell.trim_ascii())))
    };
    if name.ends_with(".csv") || line.contains(&b'\t') || first == Some(&b'"') || is_header() {
        return Form::Table(separator);
    }
    Form::Lines
}

/// Decodes UTF-8, or else Latin-1, whose bytes are the first 256 characters.
fn decode(bytes: &[u8]) -> String {
    match core::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|b| char::from(*b)).collect(),
    }
}

#[cfg(test)]
mod tests;
