//! Labelled pictures in CSV: one row per picture, with its label in one column and its pixels in
//! the others.
//!
//! Without any option it reads scikit-learn's digits (64 values 0..16, then the label), the Kaggle
//! layout of MNIST (header, label first, 784 values 0..255), and tables written by pandas (an
//! unnamed first column of row numbers is skipped). Separators are comma, semicolon or tab; cells
//! may be quoted; line ends may be CRLF.
//!
//! Reading takes two passes over the bytes: the first finds every fault and the form of the table,
//! the second yields one example at a time, so that a large table is never in memory as pictures.

mod form;
pub(super) mod records;

use super::{DataError, Example};
use form::Form;
use ground::image::Image;
use records::{Records, number};

/// Which column holds the label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LabelColumn {
    /// A column with the header `label` (or `class`, `target`, `y`, `digit`); else the only column
    /// that is not numeric; else the first or the last, judged by its values.
    #[default]
    Auto,
    /// The first column.
    First,
    /// The last column.
    Last,
    /// The column with this header.
    Named(String),
}

/// The range of pixel values; its lower end becomes black, its upper end white.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Range {
    /// The smallest of the other ranges that holds all values of the file.
    #[default]
    Auto,
    /// 0..1
    Unit,
    /// 0..16, as in scikit-learn's digits.
    Sixteen,
    /// 0..255
    Byte,
}

impl Range {
    /// Upper end of the range.
    fn high(self) -> f32 {
        match self {
            Self::Unit => 1.0,
            Self::Sixteen => 16.0,
            Self::Auto | Self::Byte => 255.0,
        }
    }
}

/// The order of the three colours of a pixel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ColourOrder {
    /// R, G, B of the first pixel, then of the next (H×W×3).
    #[default]
    Interleaved,
    /// All of R, all of G, all of B (3×H×W).
    Planar,
}

/// What is known about a table beforehand. With the default, everything is inferred.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Which column holds the label.
    pub label: LabelColumn,
    /// Range of pixel values.
    pub range: Range,
    /// Width and height in pixels; pictures are square if it is `None`.
    pub size: Option<(usize, usize)>,
    /// Order of the colours, if there are three values per pixel.
    pub order: ColourOrder,
    /// The federation's labels; they help to tell a label column from a pixel column.
    pub known: Vec<String>,
}

/// A table that has been checked from end to end and yields its examples.
pub struct Reader<'a> {
    file: String,
    records: Records<'a>,
    form: Form,
    order: ColourOrder,
    cells: Vec<records::Cell<'a>>,
    pixels: Vec<u8>,
    left: usize,
}

impl<'a> Reader<'a> {
    /// Checks all of `bytes`; `file` is the name used in errors.
    ///
    /// # Errors
    /// [`DataError`], if the bytes are not text, rows are ragged, cells are not numbers or are out
    /// of range, labels are empty, the number of columns makes no picture, or the label column is
    /// ambiguous.
    pub fn new(file: &str, bytes: &'a [u8], options: &Options) -> Result<Self, DataError> {
        let bytes = records::text(file, bytes)?;
        let form = form::find(file, bytes, options)?;
        let mut records = Records::new(file, bytes, form.separator);
        let mut cells = Vec::new();
        if form.header {
            records.next(&mut cells)?;
        }
        Ok(Self {
            file: file.to_owned(),
            records,
            left: form.rows,
            order: options.order,
            form,
            cells,
            pixels: Vec::new(),
        })
    }

    /// Number of examples in the table.
    #[must_use]
    pub fn examples(&self) -> usize {
        self.form.rows
    }

    /// Width and height of each picture in pixels.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.form.width, self.form.height)
    }

    fn example(&mut self) -> Result<Option<Example>, DataError> {
        if !self.records.next(&mut self.cells)? {
            return Ok(None);
        }
        let form = &self.form;
        let scale = 255.0 / form.high;
        self.pixels.clear();
        for (column, cell) in self.cells.iter().enumerate() {
            if column != form.label && !(form.skip_first && column == 0) {
                // Checked in the first pass: it is a number.
                let value = number(cell.raw, form.separator).unwrap_or(0.0);
                // A cast saturates, so the result stays in 0..=255.
                self.pixels.push((value * scale + 0.5) as u8);
            }
        }
        let label = self
            .cells
            .get(form.label)
            .map(|cell| cell.text())
            .unwrap_or_default();
        let (width, height) = (form.width, form.height);
        let image = match (form.channels, self.order) {
            (1, _) => Image::from_grey(width, height, &self.pixels),
            (_, ColourOrder::Interleaved) => Image::from_rgb(width, height, &self.pixels),
            (_, ColourOrder::Planar) => Image::new(width, height, self.pixels.clone()),
        }
        .map_err(|cause| DataError::Image {
            file: self.file.clone(),
            cause,
        })?;
        Ok(Some(Example {
            image,
            label: tidy(label),
        }))
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<Example, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        self.example().transpose()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}

/// Reads all examples of a table; use [`Reader`] for large tables.
///
/// # Errors
/// Those of [`Reader::new`].
pub fn read(file: &str, bytes: &[u8], options: &Options) -> Result<Vec<Example>, DataError> {
    Reader::new(file, bytes, options)?.collect()
}

/// Removes the `.0` that pandas appends to whole numbers in columns with gaps.
fn tidy(label: String) -> String {
    match label.split_once('.') {
        Some((whole, zeros))
            if !whole.is_empty()
                && whole.bytes().all(|b| b.is_ascii_digit())
                && !zeros.is_empty()
                && zeros.bytes().all(|b| b == b'0') =>
        {
            whole.to_owned()
        }
        _ => label,
    }
}

#[cfg(test)]
mod tests;
