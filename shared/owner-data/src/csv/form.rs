//! The first pass over a table, which finds its form (header, label column, picture size, range)
//! and every fault.

use super::super::DataError;
use super::super::error::{LISTED, short};
use super::super::labels::Labels;
use super::records::{Cell, Records, number, separator};
use super::{LabelColumn, Options, Range};

/// What the first pass found.
#[derive(Debug, PartialEq)]
pub(super) struct Form {
    pub separator: u8,
    pub header: bool,
    /// Whether the first column holds row numbers.
    pub skip_first: bool,
    pub label: usize,
    pub width: usize,
    pub height: usize,
    pub channels: usize,
    /// Pixel value that becomes white.
    pub high: f32,
    /// Number of examples.
    pub rows: usize,
}

const LABEL_NAMES: [&str; 6] = ["label", "labels", "class", "target", "digit", "y"];
const INDEX_NAMES: [&str; 4] = ["", "index", "id", "unnamed: 0"];

pub(super) fn find(file: &str, bytes: &[u8], options: &Options) -> Result<Form, DataError> {
    let separator = separator(bytes);
    let scan = Scan::new(file, bytes, separator)?;
    let (label, skip_first) = label_column(file, &scan, options)?;
    let pixels = scan.columns - 1 - usize::from(skip_first);
    let (width, height, channels) = shape(file, pixels, options.size)?;
    let mut form = Form {
        separator,
        header: scan.header.is_some(),
        skip_first,
        label,
        width,
        height,
        channels,
        high: options.range.high(),
        rows: scan.rows,
    };
    form.high = values(file, bytes, &form, options.range)?;
    Ok(form)
}

/// What is known about a column that may hold the labels.
#[derive(Default)]
struct Candidate {
    texts: Vec<String>,
    many: bool,
    rows_not_numeric: usize,
}

impl Candidate {
    /// Maximum number of distinct texts that are kept: no federation has more classes that are
    /// worth guessing by.
    const MOST: usize = 300;

    fn see(&mut self, cell: &Cell<'_>, separator: u8) {
        self.rows_not_numeric += usize::from(number(cell.raw, separator).is_none());
        if self.many {
            return;
        }
        let text = cell.text();
        if !self.texts.contains(&text) {
            self.many = self.texts.len() == Self::MOST;
            self.texts.push(text);
        }
    }

    fn constant(&self) -> bool {
        self.texts.len() == 1
    }

    fn zero(&self, separator: u8) -> bool {
        self.constant() && number(self.texts[0].as_bytes(), separator) == Some(0.0)
    }

    fn whole_numbers(&self, separator: u8) -> bool {
        self.texts
            .iter()
            .all(|t| number(t.as_bytes(), separator).is_some_and(|v| v >= 0.0 && v % 1.0 == 0.0))
    }
}

struct Scan {
    header: Option<Vec<String>>,
    columns: usize,
    rows: usize,
    separator: u8,
    /// First, second (for tables with row numbers) and last column.
    first: Candidate,
    second: Candidate,
    last: Candidate,
    /// Whether the first column counts the rows.
    counts_rows: bool,
}

impl Scan {
    fn new(file: &str, bytes: &[u8], separator: u8) -> Result<Self, DataError> {
        let mut records = Records::new(file, bytes, separator);
        let mut cells = Vec::new();
        if !records.next(&mut cells)? {
            return Err(DataError::Empty {
                file: file.to_owned(),
            });
        }
        let columns = cells.len();
        let first_row = cells.clone();
        let two = records.next(&mut cells)?;
        let header = is_header(&first_row, two.then_some(&cells[..]), separator);
        let mut scan = Self {
            header: header.then(|| first_row.iter().map(Cell::text).collect()),
            columns,
            rows: 0,
            separator,
            first: Candidate::default(),
            second: Candidate::default(),
            last: Candidate::default(),
            counts_rows: true,
        };
        let mut ragged: Option<DataError> = None;
        let mut see = |row: usize, cells: &[Cell<'_>]| {
            if cells.len() != columns {
                match &mut ragged {
                    Some(DataError::RaggedRow { more, .. }) => *more += 1,
                    _ => {
                        ragged = Some(DataError::RaggedRow {
                            file: file.to_owned(),
                            row,
                            expected: columns,
                            got: cells.len(),
                            more: 0,
                        });
                    }
                }
                return;
            }
            let number = number(cells[0].raw, separator);
            scan.counts_rows &=
                number == Some(scan.rows as f32) || number == Some(scan.rows as f32 + 1.0);
            scan.rows += 1;
            scan.first.see(&cells[0], separator);
            if let Some(cell) = cells.get(1) {
                scan.second.see(cell, separator);
            }
            scan.last.see(&cells[columns - 1], separator);
        };
        if !header {
            see(1, &first_row);
        }
        if two {
            see(records.row, &cells);
            while records.next(&mut cells)? {
                see(records.row, &cells);
            }
        }
        match ragged {
            Some(fault) => Err(fault),
            None if scan.rows == 0 => Err(DataError::Empty {
                file: file.to_owned(),
            }),
            None => Ok(scan),
        }
    }
}

/// Decides whether a first row is a header: it names a label column, or some column holds a number
/// in the next row but not in this one, or (in a table of one row) at most one cell is a number.
fn is_header(first: &[Cell<'_>], second: Option<&[Cell<'_>]>, separator: u8) -> bool {
    let numeric = |cell: &Cell<'_>| number(cell.raw, separator).is_some();
    if first.iter().any(|cell| is_name(&cell.text(), &LABEL_NAMES)) {
        return true;
    }
    match second {
        // A single differing column may be the label column of a table without a header, whose
        // labels are numbers and words; pixels of such a first row would all be numbers.
        Some(second) => {
            let turned = first
                .iter()
                .zip(second)
                .filter(|(a, b)| !numeric(a) && numeric(b))
                .count();
            turned > 1 || (turned == 1 && first.len() == 2)
        }
        None => first.len() > 2 && !first.iter().skip(1).any(numeric),
    }
}

fn is_name(text: &str, names: &[&str]) -> bool {
    names.contains(&text.trim().to_ascii_lowercase().as_str())
}

/// Finds the label column, and whether the first column holds row numbers.
fn label_column(file: &str, scan: &Scan, options: &Options) -> Result<(usize, bool), DataError> {
    let last = scan.columns - 1;
    if scan.columns < 2 {
        return Err(DataError::NoShape {
            file: file.to_owned(),
            pixels: last,
        });
    }
    let names = scan.header.as_deref().unwrap_or_default();
    // A first column counts as row numbers only if it alone spoils the number of pixel columns.
    let fits = |pixels| shape(file, pixels, options.size).is_ok();
    let index_named = names
        .first()
        .is_some_and(|name| is_name(name, &INDEX_NAMES));
    let index =
        scan.columns > 2 && (index_named || (scan.counts_rows && !fits(last) && fits(last - 1)));
    let leading = usize::from(index);
    let named = match &options.label {
        LabelColumn::First => Some(leading),
        LabelColumn::Last => Some(last),
        LabelColumn::Named(name) => {
            let at = names.iter().position(|n| n == name).or_else(|| {
                names
                    .iter()
                    .position(|n| is_name(n, &[&name.to_ascii_lowercase()]))
            });
            Some(at.ok_or_else(|| DataError::NoSuchColumn {
                file: file.to_owned(),
                name: short(name),
                found: names.iter().take(LISTED).cloned().collect(),
            })?)
        }
        LabelColumn::Auto => names.iter().position(|name| is_name(name, &LABEL_NAMES)),
    };
    if let Some(column) = named {
        return Ok((column, index && column != 0));
    }
    let first = if index { &scan.second } else { &scan.first };
    let choice = prefer_last(first, &scan.last, scan.separator, &options.known);
    match choice {
        Some(true) => Ok((last, index)),
        Some(false) => Ok((leading, index)),
        None => Err(DataError::WhichLabel {
            file: file.to_owned(),
        }),
    }
}

/// Returns whether the last column rather than the first holds the labels; `None` if that cannot be
/// told.
fn prefer_last(
    first: &Candidate,
    last: &Candidate,
    separator: u8,
    known: &[String],
) -> Option<bool> {
    let decide = |first: bool, last: bool| (first != last).then_some(last);
    let labels = Labels::new(known);
    let fits = |c: &Candidate| {
        !known.is_empty() && !c.many && c.texts.iter().all(|t| labels.find(t).is_some())
    };
    // A column of words holds no pixels.
    decide(first.rows_not_numeric > 0, last.rows_not_numeric > 0)
        // A corner of the picture is often black throughout; labels vary.
        .or_else(|| decide(!first.constant(), !last.constant()))
        .or_else(|| decide(fits(first), fits(last)))
        .or_else(|| decide(!first.zero(separator), !last.zero(separator)))
        .or_else(|| {
            decide(
                first.whole_numbers(separator),
                last.whole_numbers(separator),
            )
        })
        .or_else(|| decide(!first.many, !last.many))
        // Labels take few distinct values. The difference must be a factor of two, or it may be
        // chance.
        .or_else(|| {
            let (a, b) = (first.texts.len(), last.texts.len());
            decide(2 * a <= b, 2 * b <= a)
        })
}

/// Width, height and channels of a picture with `pixels` values.
fn shape(
    file: &str,
    pixels: usize,
    size: Option<(usize, usize)>,
) -> Result<(usize, usize, usize), DataError> {
    if let Some((width, height)) = size {
        let one = width.checked_mul(height).filter(|&n| n > 0);
        return match one {
            Some(n) if n == pixels => Ok((width, height, 1)),
            Some(n) if n.checked_mul(3) == Some(pixels) => Ok((width, height, 3)),
            _ => Err(DataError::ShapeMismatch {
                file: file.to_owned(),
                pixels,
                width,
                height,
            }),
        };
    }
    // No number is both a square and three times a square.
    let side = |n: usize| {
        let side = n.isqrt();
        (side > 0 && side * side == n).then_some(side)
    };
    match (
        side(pixels),
        pixels.is_multiple_of(3).then(|| side(pixels / 3)).flatten(),
    ) {
        (Some(side), _) => Ok((side, side, 1)),
        (None, Some(side)) => Ok((side, side, 3)),
        (None, None) => Err(DataError::NoShape {
            file: file.to_owned(),
            pixels,
        }),
    }
}

/// Checks labels and pixel values; returns the upper end of the range.
fn values(file: &str, bytes: &[u8], form: &Form, range: Range) -> Result<f32, DataError> {
    let mut records = Records::new(file, bytes, form.separator);
    let mut cells = Vec::new();
    if form.header {
        records.next(&mut cells)?;
    }
    let mut most = 0f32;
    while records.next(&mut cells)? {
        let row = records.row;
        for (column, cell) in cells.iter().enumerate() {
            if column == form.label {
                if cell.raw.is_empty() {
                    return Err(DataError::NoLabel {
                        file: file.to_owned(),
                        row,
                    });
                }
                if !cell.is_utf8() {
                    return Err(DataError::NotUtf8 {
                        file: file.to_owned(),
                        row,
                    });
                }
            } else if !(form.skip_first && column == 0) {
                let value =
                    number(cell.raw, form.separator).ok_or_else(|| DataError::NotANumber {
                        file: file.to_owned(),
                        row,
                        column: column + 1,
                        text: short(&cell.text()),
                    })?;
                if !(0.0..=form.high).contains(&value) {
                    return Err(DataError::OutOfRange {
                        file: file.to_owned(),
                        row,
                        column: column + 1,
                        value,
                        low: 0.0,
                        high: form.high,
                    });
                }
                most = most.max(value);
            }
        }
    }
    Ok(match range {
        Range::Auto => [1.0, 16.0]
            .into_iter()
            .find(|&high| most <= high)
            .unwrap_or(255.0),
        stated => stated.high(),
    })
}
