//! Settings as the form on the organiser's page shows them. Everything that can be chosen by name
//! states its own settings, so the page keeps no list of names.

use serde::Serialize;

/// One setting in the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ts_rs::TS)]
#[ts(export)]
pub struct FormField {
    /// Path of the setting in a task file, such as `generator.grid`.
    pub path: &'static str,
    /// Label of the control: a few words.
    pub label: &'static str,
    /// The kind of control.
    pub kind: FormKind,
    /// Initial value in the form.
    pub value: &'static str,
    /// Whether the setting is for tasks of images only.
    pub images_only: bool,
    /// Initial value in a task of texts, if it differs.
    pub texts: Option<&'static str>,
    /// A sentence under the control; empty for none.
    pub help: &'static str,
    /// The values among which [`FormKind::Choice`] chooses, each with words for people.
    pub options: &'static [(&'static str, &'static str)],
    /// Whether the control takes the whole width of the form.
    pub wide: bool,
}

impl FormField {
    /// A narrow field with the same initial value for images and texts, and without help or
    /// options.
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

/// The kinds of controls.
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

/// Texts for people about something that can be chosen by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct About {
    /// A name for descriptions of a task, such as "a frame around the picture".
    pub words: &'static str,
    /// The name under which the form offers it; `None` if only a task file can choose it.
    pub choice: Option<&'static str>,
    /// The settings that the form shows along with it.
    pub fields: &'static [FormField],
}

impl About {
    /// Whether the texts are kept. In a browser's module they would only be dead weight: the pages
    /// have them from a file of their own.
    const KEPT: bool = !cfg!(target_family = "wasm");

    /// Texts about something that only a task file can choose.
    #[must_use]
    pub const fn of(words: &'static str) -> Self {
        Self {
            words: if Self::KEPT { words } else { "" },
            choice: None,
            fields: &[],
        }
    }

    /// The same with its name in the form, and the settings that the form shows along with it.
    #[must_use]
    pub const fn offered(self, choice: &'static str, fields: &'static [FormField]) -> Self {
        if !Self::KEPT {
            return self;
        }
        Self {
            choice: Some(choice),
            fields,
            ..self
        }
    }
}
