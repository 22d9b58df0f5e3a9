//! Rows and cells of tables of texts.

use super::super::DataError;
use super::super::csv::records::Records;
use super::{Row, decode};

/// Reads all rows, each with as many cells as the first. Cells between tabs are taken as they are:
/// GLUE's hold single quotation marks.
pub(super) fn read(file: &str, bytes: &[u8], separator: u8) -> Result<Vec<Row>, DataError> {
    let rows = if separator == b'\t' {
        between_tabs(bytes)
    } else {
        quoted(file, bytes, separator)?
    };
    let expected = rows.first().map_or(0, |row| row.cells.len());
    let mut ragged = rows.iter().filter(|row| row.cells.len() != expected);
    match ragged.next() {
        Some(row) => Err(DataError::RaggedRow {
            file: file.to_owned(),
            row: row.number,
            expected,
            got: row.cells.len(),
            more: ragged.count(),
        }),
        None => Ok(rows),
    }
}

fn between_tabs(bytes: &[u8]) -> Vec<Row> {
    let is_line = |(_, line): &(usize, &[u8])| !line.trim_ascii().is_empty();
    let row = |(i, line): (usize, &[u8])| Row {
        number: i + 1,
        cells: line
            .split(|b| *b == b'\t')
            .map(|cell| decode(cell.trim_ascii()))
            .collect(),
    };
    let lines = bytes.split(|b| *b == b'\n').enumerate();
    lines.filter(is_line).map(row).collect()
}

fn quoted(file: &str, bytes: &[u8], separator: u8) -> Result<Vec<Row>, DataError> {
    let mut records = Records::new(file, bytes, separator);
    let (mut rows, mut cells) = (Vec::new(), Vec::new());
    while records.next(&mut cells)? {
        let text = |cell: &super::records::Cell<'_>| {
            if cell.is_utf8() {
                cell.text()
            } else {
                decode(cell.raw).replace("\"\"", "\"")
            }
        };
        rows.push(Row {
            number: records.row,
            cells: cells.iter().map(text).collect(),
        });
    }
    Ok(rows)
}
