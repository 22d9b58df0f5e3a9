//! Splits CSV text into records and cells (RFC 4180, with one of three separators).

use super::super::DataError;
use super::super::files::{FileKind, kind_of};

/// One cell, without blanks and quotation marks around it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cell<'a> {
    /// The bytes; in quoted cells, doubled quotation marks are still doubled.
    pub raw: &'a [u8],
    quoted: bool,
}

impl Cell<'_> {
    /// The cell as text. Bytes that are not UTF-8 are replaced; see [`Cell::is_utf8`].
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(self.raw);
        if self.quoted {
            let mut plain = String::with_capacity(text.len());
            let mut letters = text.chars().peekable();
            while let Some(letter) = letters.next() {
                plain.push(letter);
                if letter == '"' {
                    letters.next_if_eq(&'"');
                }
            }
            plain
        } else {
            text.into_owned()
        }
    }

    pub fn is_utf8(&self) -> bool {
        core::str::from_utf8(self.raw).is_ok()
    }
}

/// Removes a byte order mark, and refuses content whose first bytes show that it is not text.
pub(crate) fn text<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a [u8], DataError> {
    let hint = match kind_of(bytes) {
        FileKind::Text => return Ok(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)),
        FileKind::Empty => {
            return Err(DataError::Empty {
                file: file.to_owned(),
            });
        }
        FileKind::Utf16 => ", or save this one as \"CSV UTF-8\"",
        FileKind::Zip => ", or export a spreadsheet as CSV",
        FileKind::Gzip => ", or unpack this one first",
        _ => "",
    };
    Err(DataError::WrongKind {
        file: file.to_owned(),
        found: kind_of(bytes),
        expected: "CSV text",
        hint,
    })
}

/// Returns the most frequent separator of the first line: comma, semicolon or tab.
pub(crate) fn separator(bytes: &[u8]) -> u8 {
    let mut counts = [(0usize, b','), (0, b';'), (0, b'\t')];
    let mut quoted = false;
    for &byte in bytes {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => break,
            _ if !quoted => {
                for (count, separator) in &mut counts {
                    *count += usize::from(byte == *separator);
                }
            }
            _ => {}
        }
    }
    // With equal counts, the first of the list wins.
    let most = counts.iter().map(|c| c.0).max();
    counts
        .iter()
        .find(|c| Some(c.0) == most)
        .map_or(b',', |c| c.1)
}

/// A cursor over the records. Rows are counted as records from 1; empty lines count but are
/// skipped.
pub(crate) struct Records<'a> {
    file: String,
    bytes: &'a [u8],
    position: usize,
    separator: u8,
    /// Row of the last record read.
    pub row: usize,
}

impl<'a> Records<'a> {
    pub fn new(file: &str, bytes: &'a [u8], separator: u8) -> Self {
        Self {
            file: file.to_owned(),
            bytes,
            position: 0,
            separator,
            row: 0,
        }
    }

    /// Reads the next record that is not an empty line into `cells`; returns false at the end.
    pub fn next(&mut self, cells: &mut Vec<Cell<'a>>) -> Result<bool, DataError> {
        loop {
            cells.clear();
            if self.position >= self.bytes.len() {
                return Ok(false);
            }
            self.row += 1;
            while self.cell(cells)? {}
            if cells.len() > 1 || cells.iter().any(|cell| !cell.raw.is_empty()) {
                return Ok(true);
            }
        }
    }

    /// Reads one cell; returns true if the same record goes on.
    fn cell(&mut self, cells: &mut Vec<Cell<'a>>) -> Result<bool, DataError> {
        let start = self.position;
        let rest = &self.bytes[start..];
        let blanks = rest.iter().take_while(|&&b| b == b' ').count();
        if rest.get(blanks) == Some(&b'"') {
            let open = start + blanks + 1;
            let close = self.closing_quote(open)?;
            cells.push(Cell {
                raw: &self.bytes[open..close],
                quoted: true,
            });
            self.position = close + 1;
            // Anything between the closing quotation mark and the separator has no meaning.
            let skip = self.unquoted_length();
            self.position += skip;
        } else {
            let length = self.unquoted_length();
            let raw = rest[..length].trim_ascii();
            cells.push(Cell { raw, quoted: false });
            self.position = start + length;
        }
        Ok(self.end_of_cell())
    }

    /// Number of bytes up to the next separator or line end.
    fn unquoted_length(&self) -> usize {
        let rest = &self.bytes[self.position..];
        rest.iter()
            .position(|&b| b == self.separator || b == b'\n' || b == b'\r')
            .unwrap_or(rest.len())
    }

    fn closing_quote(&self, mut position: usize) -> Result<usize, DataError> {
        while let Some(found) = self.bytes[position..].iter().position(|&b| b == b'"') {
            let mark = position + found;
            if self.bytes.get(mark + 1) != Some(&b'"') {
                return Ok(mark);
            }
            position = mark + 2;
        }
        Err(DataError::OpenQuote {
            file: self.file.clone(),
            row: self.row,
        })
    }

    /// Skips a separator (true), a line end, or the end of the text (false).
    fn end_of_cell(&mut self) -> bool {
        match self.bytes.get(self.position) {
            Some(&b'\r') => {
                self.position += 1 + usize::from(self.bytes.get(self.position + 1) == Some(&b'\n'));
                false
            }
            Some(&b'\n') => {
                self.position += 1;
                false
            }
            Some(_) => {
                self.position += 1;
                true
            }
            None => false,
        }
    }
}

/// Reads a decimal number such as `12`, `-0.5`, `.5` or `3.9e-02`; if cells are separated by
/// semicolons, the decimal point may be a comma. `None` for anything else, `nan` and `inf` included.
pub(crate) fn number(text: &[u8], separator: u8) -> Option<f32> {
    let text = std::str::from_utf8(text).ok()?;
    if text
        .bytes()
        .any(|b| b.is_ascii_alphabetic() && b | 32 != b'e')
    {
        return None;
    }
    let number: f32 = match separator {
        b';' => text.replace(',', ".").parse(),
        _ => text.parse(),
    }
    .ok()?;
    number.is_finite().then_some(number)
}
