//! Why an owner's data cannot be used, in words that name the place and the remedy.

use super::MAX_FILES;
use super::files::FileKind;
use ground::image::ImageError;
use ground::text::Short;

/// A fault in an owner's data. The text names the file, the row or byte, the cause, and what to do.
///
/// Rows and columns are counted from 1, as spreadsheets show them (a header is row 1).
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DataError {
    /// The file's first bytes do not match its name or use.
    #[error(
        "{file}: this looks like {found}, but {expected} was expected; choose another file{hint}"
    )]
    WrongKind {
        /// The file's name.
        file: String,
        /// What the first bytes look like.
        found: FileKind,
        /// What was expected.
        expected: &'static str,
        /// Further advice, starting with a comma; may be empty.
        hint: &'static str,
    },
    /// The file ends before its content is complete.
    #[error(
        "{file}: the file ends after {got} of {needed} bytes; it was probably cut off while it was copied or downloaded: fetch it again"
    )]
    Truncated {
        /// The file's name.
        file: String,
        /// Bytes that the header promises.
        needed: u64,
        /// Bytes present.
        got: u64,
    },
    /// The file goes on after its content is complete.
    #[error(
        "{file}: {extra} bytes follow after the end at byte {needed}; the header does not belong to this content: fetch the file again"
    )]
    TrailingBytes {
        /// The file's name.
        file: String,
        /// Bytes that the header promises.
        needed: u64,
        /// Bytes beyond them.
        extra: u64,
    },
    /// An IDX file of a form that is not supported.
    #[error("{file}: IDX file with {found}; supported are {supported}")]
    IdxForm {
        /// The file's name.
        file: String,
        /// The element type or dimensions found.
        found: String,
        /// What is supported.
        supported: &'static str,
    },
    /// An images file and a labels file with different numbers of entries.
    #[error(
        "{images_file} holds {images} images, but {labels_file} holds {labels} labels; choose two files that belong together"
    )]
    PairMismatch {
        /// File of the images.
        images_file: String,
        /// Number of images.
        images: u64,
        /// File of the labels.
        labels_file: String,
        /// Number of labels.
        labels: u64,
    },
    /// A CSV row with more or fewer columns than the first.
    #[error("{file}, row {row}: {got} columns where {expected} are expected{}; correct or delete the row", also(*more))]
    RaggedRow {
        /// The file's name.
        file: String,
        /// Row, from 1.
        row: usize,
        /// Columns of the first row.
        expected: usize,
        /// Columns of this row.
        got: usize,
        /// Number of further rows with the same fault.
        more: usize,
    },
    /// A pixel cell that is not a number.
    #[error(
        "{file}, row {row}, column {column}: {text:?} is not a number; pixel cells must hold numbers"
    )]
    NotANumber {
        /// The file's name.
        file: String,
        /// Row, from 1.
        row: usize,
        /// Column, from 1.
        column: usize,
        /// The cell's text, shortened.
        text: String,
    },
    /// A pixel value outside the range of the file.
    #[error(
        "{file}, row {row}, column {column}: the value {} lies outside {}..{}; pixel values may run over 0..1, 0..16 or 0..255",
        Short((*value).into()), Short((*low).into()), Short((*high).into())
    )]
    OutOfRange {
        /// The file's name.
        file: String,
        /// Row, from 1.
        row: usize,
        /// Column, from 1.
        column: usize,
        /// The value found.
        value: f32,
        /// Smallest value allowed.
        low: f32,
        /// Largest value allowed.
        high: f32,
    },
    /// A row without a label.
    #[error("{file}, row {row}: the label is empty; fill it in or delete the row")]
    NoLabel {
        /// The file's name.
        file: String,
        /// Row, from 1.
        row: usize,
    },
    /// A row without a text.
    #[error("{file}, row {row}: the text is empty; fill it in or delete the row")]
    NoText {
        /// The file's name.
        file: String,
        /// Row, from 1.
        row: usize,
    },
    /// A line that is not a JSON object.
    #[error("{file}, row {row}: not a JSON object ({cause}); each line must hold one")]
    JsonLine {
        /// The file's name.
        file: String,
        /// Row, from 1.
        row: usize,
        /// The parser's words.
        cause: String,
    },
    /// A quoted cell that is never closed.
    #[error(
        "{file}, row {row}: a quotation mark is opened and never closed; add the closing one or delete it"
    )]
    OpenQuote {
        /// The file's name.
        file: String,
        /// Row, from 1, in which the quotation begins.
        row: usize,
    },
    /// A text that is not UTF-8.
    #[error("{file}, row {row}: a text that is not UTF-8; save the file as \"CSV UTF-8\"")]
    NotUtf8 {
        /// The file's name.
        file: String,
        /// Row, from 1.
        row: usize,
    },
    /// The number of pixel columns makes no picture.
    #[error(
        "{file}: {pixels} pixel columns are neither a square grey picture (such as 784 = 28×28) nor a square RGB one (3072 = 32×32×3); state width and height, or remove the columns that are not pixels"
    )]
    NoShape {
        /// The file's name.
        file: String,
        /// Pixel columns found.
        pixels: usize,
    },
    /// Stated width and height do not fit the number of pixel columns.
    #[error(
        "{file}: {pixels} pixel columns do not fit the stated {width}×{height} (×1 or ×3); correct the statement"
    )]
    ShapeMismatch {
        /// The file's name.
        file: String,
        /// Pixel columns found.
        pixels: usize,
        /// Stated width.
        width: usize,
        /// Stated height.
        height: usize,
    },
    /// First and last column could both be the label.
    #[error(
        "{file}: cannot tell whether the first or the last column is the label; add a header row that names it `label`"
    )]
    WhichLabel {
        /// The file's name.
        file: String,
    },
    /// The stated label column does not exist.
    #[error(
        "{file}: there is no column named {name:?}; the first columns are {}",
        list(found)
    )]
    NoSuchColumn {
        /// The file's name.
        file: String,
        /// The stated name.
        name: String,
        /// Names of the first columns found.
        found: Vec<String>,
    },
    /// A file, or the whole choice, without a single example.
    #[error(
        "{file}: no labelled example in it; choose pictures in one folder per class, an IDX pair, or a CSV with a label column"
    )]
    Empty {
        /// The file's name, or a word for the choice as a whole.
        file: String,
    },
    /// Sizes that make no image, or too large a one.
    #[error("{file}: {cause}; change or remove this picture")]
    Image {
        /// The file's name.
        file: String,
        /// What is wrong with the size.
        cause: ImageError,
    },
    /// A picture that the decoder refused.
    #[error(
        "{file}: the picture cannot be decoded ({cause}); open it in a picture viewer and save it again as PNG, or remove it"
    )]
    Picture {
        /// The file's name.
        file: String,
        /// The decoder's words.
        cause: String,
    },
    /// More files than [`MAX_FILES`]; a warning: an even sample was taken.
    #[error(
        "{count} usable files were chosen; {MAX_FILES} of them are used, spread evenly over the folders. Choose fewer files to decide yourself which"
    )]
    TooManyFiles {
        /// All usable files that were counted.
        count: usize,
    },
    /// Labels that the federation does not know.
    #[error("{examples} examples carry labels that this federation does not know: {}; it knows {}. Rename the folders or labels, or leave these examples out", some(unknown, *kinds), list(known))]
    UnknownLabels {
        /// Up to eight of the unknown labels.
        unknown: Vec<String>,
        /// How many different unknown labels there are.
        kinds: usize,
        /// How many examples carry one.
        examples: usize,
        /// The federation's labels.
        known: Vec<String>,
    },
    /// Only one class is present; a warning: one may take part, but learns and contributes little.
    #[error(
        "all {examples} examples have the label {label:?}; with a single class there is little to learn: add examples of another class"
    )]
    OneClass {
        /// The label.
        label: String,
        /// Number of examples.
        examples: usize,
    },
    /// A table of paths and labels that names a file twice with different labels.
    #[error(
        "{file}, row {row}: {path:?} stands there a second time, with another label; keep one of the two rows"
    )]
    LabelTwice {
        /// The table's name.
        file: String,
        /// Row, from 1.
        row: usize,
        /// The path named twice.
        path: String,
    },
}

impl DataError {
    /// True where the data can be used all the same and the text is advice.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        matches!(self, Self::OneClass { .. } | Self::TooManyFiles { .. })
    }
}

/// How many names an error text lists at most.
pub(super) const LISTED: usize = 8;

/// Shortens a text from outside for an error message.
pub(super) fn short(text: &str) -> String {
    const MOST: usize = 40;
    if text.chars().count() <= MOST {
        text.to_owned()
    } else {
        text.chars().take(MOST).chain(['…']).collect()
    }
}

fn also(more: usize) -> String {
    match more {
        0 => String::new(),
        1 => " (and one more such row)".to_owned(),
        _ => format!(" (and {more} more such rows)"),
    }
}

fn list(names: &[String]) -> String {
    some(names, names.len())
}

fn some(names: &[String], total: usize) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(LISTED)
        .map(|name| format!("{:?}", short(name)))
        .collect();
    let rest = total.saturating_sub(shown.len());
    match rest {
        0 => shown.join(", "),
        _ => format!("{} and {rest} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_names_place_and_cure() {
        let text = DataError::RaggedRow {
            file: "a.csv".into(),
            row: 7,
            expected: 65,
            got: 64,
            more: 2,
        }
        .to_string();
        assert_eq!(
            text,
            "a.csv, row 7: 64 columns where 65 are expected (and 2 more such rows); correct or delete the row"
        );
    }

    #[test]
    fn long_lists_are_cut() {
        let known: Vec<String> = (0..43).map(|n| n.to_string()).collect();
        let text = DataError::UnknownLabels {
            unknown: vec!["x".into()],
            kinds: 1,
            examples: 3,
            known,
        }
        .to_string();
        assert!(text.contains("\"7\" and 35 more"), "{text}");
        assert!(!text.contains("\"8\""), "{text}");
    }

    #[test]
    fn advice_is_told_from_faults() {
        assert!(DataError::TooManyFiles { count: 20_000 }.is_warning());
        assert!(!DataError::Empty { file: "x".into() }.is_warning());
    }
}
