//! Splits CSV text into records and cells (RFC 4180, with any of three separators).

use super::super::DataError;
use super::super::files::{FileKind, kind_of};

/// One cell, blanks and outer quotation marks removed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cell<'a> {
    /// The bytes; in quoted cells a doubled quotation mark still stands doubled.
    pub raw: &'a [u8],
    quoted: bool,
}

impl Cell<'_> {
    /// The cell as text. What is not UTF-8 is replaced: whoever cares asks [`Cell::is_utf8`].
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

/// Refuses what is not text by its first bytes; removes a byte order mark.
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

/// The separator that occurs most in the first line: comma, semicolon or tab.
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
    // With equal counts the first of the list.
    let most = counts.iter().map(|c| c.0).max();
    counts
        .iter()
        .find(|c| Some(c.0) == most)
        .map_or(b',', |c| c.1)
}

/// A cursor over the records. Rows are counted as records from 1; empty lines count but yield nothing.
pub(crate) struct Records<'a> {
    file: String,
    bytes: &'a [u8],
    position: usize,
    separator: u8,
    /// Row of the record that was read last.
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

    /// Reads the next record that is not an empty line into `cells`; false at the end.
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

    /// Reads one cell; true if another one follows in the same record.
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
            // What stands between the closing mark and the separator carries no meaning.
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

    /// Bytes up to the next separator or line end.
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

    /// Steps over a separator (true) or a line end or the end of the text (false).
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

/// A decimal number such as `12`, `-0.5`, `.5`, `3.9e-02`; where semicolons separate cells, the comma is a
/// decimal point too. `None` for anything else, `nan` and `inf` included.
///
/// A parser of our own because the standard library's, exact to the last bit, weighs 20 KB in wasm; this
/// one errs by some 10⁻⁷, and pixels have 256 levels.
pub(crate) fn number(text: &[u8], separator: u8) -> Option<f32> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (digits, exponent) = match digits.iter().position(|b| b | 32 == b'e') {
        Some(at) => (&digits[..at], exponent(&digits[at + 1..])?),
        None => (digits, 0),
    };
    let mut value = 0f64;
    let mut scale = 1f64;
    let mut point = false;
    let mut any = false;
    for &byte in digits {
        match byte {
            b'0'..=b'9' => {
                any = true;
                if point {
                    scale *= 0.1;
                    value += f64::from(byte - b'0') * scale;
                } else {
                    value = value * 10.0 + f64::from(byte - b'0');
                }
            }
            b'.' if !point => point = true,
            b',' if !point && separator == b';' => point = true,
            _ => return None,
        }
    }
    let step = if exponent < 0 { 0.1 } else { 10.0 };
    for _ in 0..exponent.unsigned_abs() {
        value *= step;
    }
    let value = if negative { -value } else { value } as f32;
    (any && value.is_finite()).then_some(value)
}

/// The exponent, at most ±99: far beyond any pixel.
fn exponent(text: &[u8]) -> Option<i32> {
    let (sign, digits) = match text {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        _ => (1, text),
    };
    match digits {
        [] => None,
        _ if !digits.iter().all(u8::is_ascii_digit) => None,
        _ => {
            let size = digits
                .iter()
                .fold(0i32, |sum, b| (sum * 10 + i32::from(b - b'0')).min(99));
            Some(sign * size)
        }
    }
}
