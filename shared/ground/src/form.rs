//! Settings as the organiser's page shows them in its form. What can be chosen by name states its own, so
//! that the page keeps no list of names.

use serde::Serialize;

/// One setting in the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ts_rs::TS)]
#[ts(export)]
pub struct FormField {
    /// Its path in a task file: `generator.grid`.
    pub path: &'static str,
    /// A few words before the control.
    pub label: &'static str,
    /// How it is edited.
    pub kind: FormKind,
    /// What the form begins with.
    pub value: &'static str,
    /// Whether only tasks of images have it.
    pub images_only: bool,
    /// What it begins with in a task of texts, if that differs.
    pub texts: Option<&'static str>,
    /// A sentence under the control; empty for none.
    pub help: &'static str,
    /// The values among which [`FormKind::Choice`] chooses, each with words for people.
    pub options: &'static [(&'static str, &'static str)],
    /// Whether it takes the whole width.
    pub wide: bool,
}

impl FormField {
    /// A narrow field that begins alike for images and texts, without help or options.
    #[must_use]
    pub const fn new(
        path: &'static str,
        label: &'static str,
        kind: FormKind,
        value: &'static str,
    ) -> Self {
        Self {
            path,
            label,
            kind,
            value,
            images_only: false,
            texts: None,
            help: "",
            options: &[],
            wide: false,
        }
    }
}

/// How a setting is edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ts_rs::TS)]
#[ts(export)]
#[serde(rename_all = "lowercase")]
pub enum FormKind {
    /// A line of text.
    Text,
    /// Several lines of text.
    Paragraph,
    /// A list of words, to which the empty word is added.
    Candidates,
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// One of the options.
    Choice,
}

/// What people are told about something that can be chosen by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct About {
    /// What it is, where a task is described: "a frame around the picture".
    pub words: &'static str,
    /// What it is called where the form offers it; `None` if only a task file can choose it.
    pub choice: Option<&'static str>,
    /// The settings that the form shows with it.
    pub fields: &'static [FormField],
}

impl About {
    /// About something that only a task file can choose.
    #[must_use]
    pub const fn of(words: &'static str) -> Self {
        Self {
            words,
            choice: None,
            fields: &[],
        }
    }
}
