//! The dialects, one file each: what a task file tells them, what they can, and the requests and
//! answers themselves.
//!
//! To add one: write its file with an `ENTRY` and put its name into the list in [`registry`].
//! `docs/adding.md` walks through it.

pub(crate) mod huggingface;
pub mod on_device;
pub(crate) mod open_inference;
pub(crate) mod openai;

use std::fmt::Debug;
use std::sync::Arc;

use ground::fault::Reader;
use ground::form::FormField;
use ground::registry::Registry;
use serde::Serialize;
use tuning::wording::TextTask;

use crate::prompt_embeds::PromptEmbeds;
use crate::{Dialect, ModelApiError, ModelSpec, SharedEmbedder, TextDialect};

/// The built-in dialects by the names that a task file uses. One line each; the first is the
/// default.
#[must_use]
pub fn registry() -> Registry<Entry> {
    Registry::new([
        ("open-inference", open_inference::ENTRY),
        ("on-device", on_device::ENTRY),
        ("openai", openai::ENTRY),
        ("huggingface", huggingface::ENTRY),
    ])
}

/// A dialect as [`registry`] lists it: what it can in any task, and how its settings are read.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What people are told about it.
    pub help: Help,
    /// How images travel.
    pub sends: Sends,
    /// Whether the label words go with each text.
    pub labels: Labels,
    /// Whether a task of texts may have a label template.
    pub takes_template: bool,
    /// Whether its answers are natural logarithms of probabilities in any task, so that
    /// `output.kind` can only be logits.
    pub answers_logarithms: bool,
    /// Whether its answers say how many tokens they cost.
    pub counts_tokens: bool,
    /// Whether the model runs where the data are, so that nothing is sent.
    pub runs_here: bool,
    /// Reads the table of `[model]` that only this dialect has, given whether the task's inputs are
    /// texts. A dialect that takes no such inputs notes a fault at `input.kind`.
    pub read: fn(&mut Reader<'_>, bool) -> Arc<dyn Settings>,
}

/// What people are told about a dialect. The pages have it as `web/src/generated/dialects.ts`,
/// which `cargo xtask generate` writes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Help {
    /// What speaks it, for the organiser's form.
    pub spoken_by: &'static str,
    /// Where to see what the server calls its models; `{url}` and `{model}` stand for the task's.
    pub listing: &'static str,
    /// The settings of its own table that the organiser's form shows with it.
    pub fields: &'static [FormField],
    /// What to change where a call failed, likeliest first.
    pub cures: &'static [Cure],
}

/// What to change where a call failed.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cure {
    /// The codes of the errors that it may cure ([`ModelApiError::code`]).
    pub codes: &'static [&'static str],
    /// Who has to change it: a server, or a person.
    pub who: &'static str,
    /// What is wrong and what to do.
    pub what: &'static str,
    /// What to type, if anything. `{url}` and `{model}` stand for the task's, `{page}` for the
    /// origin of the page, and `{versioned}` for the address with `/v1`.
    pub setting: &'static str,
    /// The port on which such a server listens by default, or 0: where the address has that port,
    /// it comes first.
    pub port: u16,
}

/// The codes of errors that say that a browser got no answer.
pub(crate) const UNREACHABLE: &[&str] = &["model_cors", "model_unreachable"];
/// The codes of errors that say that the model is another one than the task names.
pub(crate) const OTHER_MODEL: &[&str] = &["model_not_found", "model_disagrees"];

/// Whether the label words go to the model with each text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// They do.
    Sent,
    /// They do not: the model is asked for the next word.
    Kept,
    /// They do, unless this setting of `[model]` has this value.
    SentUnless(&'static str, &'static str),
}

/// How images travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sends {
    /// As tensors of numbers, in the form that `[model.input]` states.
    Tensors,
    /// As picture files, one in a request, to models that are asked about words.
    Files,
}

/// What a task file says to one dialect alone, and with it what that dialect can in this task.
pub trait Settings: Debug + Send + Sync {
    /// The dialect for a task of images. `spec` has no faults.
    ///
    /// # Errors
    /// [`ModelApiError::InvalidSpec`] from a dialect that takes texts only.
    fn images(&self, spec: &ModelSpec) -> Result<Box<dyn Dialect>, ModelApiError> {
        Err(takes_no("images", spec))
    }

    /// The dialect for a task of texts. `spec` has no faults; `embedder` makes embeddings of texts,
    /// where prompts are sent as such.
    ///
    /// # Errors
    /// [`ModelApiError::InvalidSpec`] from a dialect that takes images only.
    fn texts(
        &self,
        spec: &ModelSpec,
        text: &TextTask,
        embedder: Option<SharedEmbedder>,
    ) -> Result<Box<dyn TextDialect>, ModelApiError> {
        let _ = (text, embedder);
        Err(takes_no("texts", spec))
    }

    /// What of a task of texts cannot be sent: at which setting of the task file, and why.
    fn text_faults(&self, text: &TextTask) -> Option<(&'static str, &'static str)> {
        let _ = text;
        None
    }

    /// Whether soft prompts can be sent: embeddings beside a text, or in place of it.
    fn takes_embeddings(&self) -> bool {
        false
    }

    /// What must be fetched to send a text as embeddings, for a dialect that takes them in place of
    /// the text.
    fn prompt_embeds(&self) -> Option<&PromptEmbeds> {
        None
    }
}

fn takes_no(inputs: &str, spec: &ModelSpec) -> ModelApiError {
    ModelApiError::InvalidSpec {
        faults: vec![format!(
            "dialect is `{}`, which takes no {inputs}",
            spec.dialect
        )],
    }
}

/// The dialect that a task file chose, with its settings.
#[derive(Clone, Debug)]
pub struct Own {
    name: &'static str,
    entry: Entry,
    settings: Arc<dyn Settings>,
}

impl Default for Own {
    /// The Open Inference Protocol, which has no settings of its own.
    fn default() -> Self {
        Self {
            name: "open-inference",
            entry: open_inference::ENTRY,
            settings: Arc::new(open_inference::NoSettings),
        }
    }
}

impl Own {
    /// Reads what only the dialect `entry`, called `name`, is told. `of_texts`: the task's inputs
    /// are texts.
    pub fn read(r: &mut Reader<'_>, name: &'static str, entry: Entry, of_texts: bool) -> Self {
        Self {
            name,
            entry,
            settings: (entry.read)(r, of_texts),
        }
    }

    /// The dialect's name in the task file.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it can in this task.
    #[must_use]
    pub fn settings(&self) -> &dyn Settings {
        &*self.settings
    }

    /// Whether images go as files.
    #[must_use]
    pub fn sends_files(&self) -> bool {
        self.entry.sends == Sends::Files
    }

    /// Whether the answers are natural logarithms of probabilities, whatever the API answers in.
    #[must_use]
    pub fn answers_logarithms(&self) -> bool {
        self.entry.answers_logarithms
    }

    /// Whether its answers say how many tokens they cost.
    #[must_use]
    pub fn counts_tokens(&self) -> bool {
        self.entry.counts_tokens
    }

    /// Whether the model runs where the data are, so that nothing is sent.
    #[must_use]
    pub fn runs_here(&self) -> bool {
        self.entry.runs_here
    }
}

#[cfg(test)]
mod tests;
