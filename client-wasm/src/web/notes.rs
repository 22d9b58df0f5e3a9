//! What there is to say about an owner's data while they are read: what was left out, advice, the first fault.

use std::cell::{Cell, RefCell};

use owner_data::DataError;
use serde_json::{Value, json};

use super::host::Host;
use super::report::{self, Area, Trouble};

/// So many skipped files are named.
const NAMED: usize = 20;

/// Collected by a loader.
#[derive(Default)]
pub struct Notes {
    skipped: RefCell<Vec<(String, String)>>,
    total: Cell<usize>,
    fault: RefCell<Option<DataError>>,
    warnings: RefCell<Vec<String>>,
}

impl Notes {
    /// A file or row is left out, with the reason.
    pub fn skip(&self, name: &str, reason: &str) {
        self.add_skipped(1);
        let mut skipped = self.skipped.borrow_mut();
        if skipped.len() < NAMED {
            // The reason often begins with the name, which the page shows beside it.
            let reason = reason
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix(": "))
                .unwrap_or(reason);
            skipped.push((name.to_owned(), reason.to_owned()));
        }
    }

    /// So many more are left out, without names.
    pub fn add_skipped(&self, count: usize) {
        self.total.set(self.total.get() + count);
    }

    /// Advice.
    pub fn warn(&self, text: String) {
        self.warnings.borrow_mut().push(text);
    }

    /// Keeps the first fault, for the case that nothing is usable; gives its text.
    pub fn remember(&self, fault: DataError) -> String {
        let text = fault.to_string();
        self.fault.borrow_mut().get_or_insert(fault);
        text
    }

    /// Says that nothing is usable, and why: the first fault there was, `code` and `text` of it.
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

    /// The named ones that are left out, for a report.
    pub fn skipped(&self) -> Vec<Value> {
        self.skipped
            .borrow()
            .iter()
            .map(|(name, reason)| json!({ "name": name, "reason": reason }))
            .collect()
    }

    /// How many are left out in all.
    pub fn skipped_total(&self) -> usize {
        self.total.get()
    }

    /// The advice there was.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.borrow().clone()
    }
}

/// The text as a sentence.
pub fn sentence(text: &str) -> String {
    if text.ends_with('.') {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

/// The beginning of a text from outside.
pub fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Stable names of data faults.
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
