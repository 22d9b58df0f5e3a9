//! Notes on an owner's data while they are read: what was left out, advice, and the first fault.

use std::cell::{Cell, RefCell};

use owner_data::DataError;
use serde_json::{Value, json};

use super::host::Host;
use super::report::{self, Area, Trouble};

/// Maximum number of skipped files that are named.
const NAMED: usize = 20;

/// The notes that a loader collects.
#[derive(Default)]
pub struct Notes {
    skipped: RefCell<Vec<(String, String)>>,
    total: Cell<usize>,
    fault: RefCell<Option<DataError>>,
    warnings: RefCell<Vec<String>>,
}

impl Notes {
    /// Notes a file or row that is left out, with the reason.
    pub fn skip(&self, name: &str, reason: &str) {
        self.add_skipped(1);
        let mut skipped = self.skipped.borrow_mut();
        if skipped.len() < NAMED {
            // The reason often begins with the name, which the page shows beside it already.
            let reason = reason
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix(": "))
                .unwrap_or(reason);
            skipped.push((name.to_owned(), reason.to_owned()));
        }
    }

    /// Counts `count` more that are left out, without their names.
    pub fn add_skipped(&self, count: usize) {
        self.total.set(self.total.get() + count);
    }

    /// Notes advice for the owner.
    pub fn warn(&self, text: String) {
        self.warnings.borrow_mut().push(text);
    }

    /// Keeps the first fault, in case nothing is usable; returns its text.
    pub fn remember(&self, fault: DataError) -> String {
        let text = fault.to_string();
        self.fault.borrow_mut().get_or_insert(fault);
        text
    }

    /// Posts that nothing is usable and why: the first fault, in the `code` and text that `told`
    /// makes of it.
    pub fn refuse(&self, host: &Host, told: impl FnOnce(&DataError) -> (&'static str, String)) {
        let fault = self.fault.take().unwrap_or(DataError::Empty {
            file: "the chosen data".to_owned(),
        });
        let (code, text) = told(&fault);
        report::trouble(
            host,
            &Trouble::new(Area::Data, code, "These data cannot be used", text),
        );
    }

    /// The named files that are left out, for a report.
    pub fn skipped(&self) -> Vec<Value> {
        self.skipped
            .borrow()
            .iter()
            .map(|(name, reason)| json!({ "name": name, "reason": reason }))
            .collect()
    }

    /// Total number of files and rows that are left out.
    pub fn skipped_total(&self) -> usize {
        self.total.get()
    }

    /// The advice for the owner.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.borrow().clone()
    }
}

/// Turns a text into a sentence, with a capital letter and a full stop.
pub fn sentence(text: &str) -> String {
    if text.ends_with('.') {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

/// Shortens a text from outside to its beginning.
pub fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

/// The stable code of a data fault.
pub fn code(fault: &DataError) -> &'static str {
    match fault {
        DataError::WrongKind { .. } => "wrong_kind",
        DataError::Truncated { .. } => "truncated",
        DataError::TrailingBytes { .. } => "trailing_bytes",
        DataError::IdxForm { .. } => "idx_form",
        DataError::PairMismatch { .. } => "pair_mismatch",
        DataError::RaggedRow { .. } => "ragged_row",
        DataError::NotANumber { .. } => "not_a_number",
        DataError::OutOfRange { .. } => "out_of_range",
        DataError::NoLabel { .. } => "no_label",
        DataError::NoText { .. } => "no_text",
        DataError::JsonLine { .. } => "json_line",
        DataError::OpenQuote { .. } => "open_quote",
        DataError::NotUtf8 { .. } => "not_utf8",
        DataError::NoShape { .. } => "no_shape",
        DataError::ShapeMismatch { .. } => "shape_mismatch",
        DataError::WhichLabel { .. } => "which_label",
        DataError::NoSuchColumn { .. } => "no_such_column",
        DataError::Empty { .. } => "empty_data",
        DataError::Image { .. } => "image_size",
        DataError::Picture { .. } => "undecodable_picture",
        DataError::TooManyFiles { .. } => "too_many_files",
        DataError::UnknownLabels { .. } => "unknown_labels",
        DataError::OneClass { .. } => "one_class",
        DataError::LabelTwice { .. } => "label_twice",
    }
}
