//! The dialects, one file each: what a task file tells them, what they can do, and how their
//! requests and answers look.
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

/// The built-in dialects by their names in a task file, one line each. The first is the default.
#[must_use]
pub fn registry() -> Registry<Entry> {
    Registry::new([
        ("open-inference", open_inference::ENTRY),
        ("on-device", on_device::ENTRY),
        ("openai", openai::ENTRY),
        ("huggingface", huggingface::ENTRY),
    ])
}

/// A dialect as it stands in a [`registry`]: what it can do in any task, and how its settings are
/// read.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Texts for people about the dialect.
    pub help: Help,
    /// How images travel.
    pub sends: Sends,
    /// Whether the label words go with each text.
    pub labels: Labels,
    /// Whether a task of texts may have a label template with this dialect.
    pub takes_template: bool,
    /// Whether answers are natural logarithms of probabilities in every task, so that `output.kind`
    /// must be logits.
    pub answers_logarithms: bool,
    /// Whether its answers say how many tokens they cost.
    pub counts_tokens: bool,
    /// Whether the model runs on the device that holds the data, so that nothing is sent.
    pub runs_here: bool,
    /// Reads the dialect's own table in `[model]`. The flag says whether the task's inputs are
    /// texts; a dialect that cannot take such inputs notes a fault at `input.kind`.
    pub read: fn(&mut Reader<'_>, bool) -> Arc<dyn Settings>,
}

/// Texts for people about a dialect. The pages get them as `web/src/generated/dialects.ts`, which
/// `cargo xtask generate` writes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Help {
    /// The servers that speak it, for the organiser's form.
    pub spoken_by: &'static str,
    /// Where to look up the server's names of its models. `{url}` and `{model}` stand for the
    /// task's.
    pub listing: &'static str,
    /// The settings of its own table that the organiser's form shows with it.
    pub fields: &'static [FormField],
    /// What to change if a call failed, the likeliest cure first.
    pub cures: &'static [Cure],
}

impl Help {
    /// Keeps the texts where people read them from here: natively. In a browser's module they would
    /// only be dead weight.
    #[must_use]
    pub const fn for_pages(self) -> Self {
        if cfg!(target_family = "wasm") {
            Self {
                spoken_by: "",
                listing: "",
                fields: &[],
                cures: &[],
            }
        } else {
            self
        }
    }
}

/// One thing to change if a call failed.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cure {
    /// The codes of the errors that it may cure ([`ModelApiError::code`]).
    pub codes: &'static [&'static str],
    /// Who has to change it: a server, or a person.
    pub who: &'static str,
    /// What is wrong and what to do.
    pub what: &'static str,
    /// What to type, if anything. `{url}` and `{model}` stand for the task's address and model,
    /// `{page}` for the origin of the page, and `{versioned}` for the address with `/v1`.
    pub setting: &'static str,
    /// The port on which such a server listens by default, or 0. If the model's address has this
    /// port, this cure comes first.
    pub port: u16,
}

/// Codes of the errors that mean that a browser got no answer.
pub(crate) const UNREACHABLE: &[&str] = &["model_cors", "model_unreachable"];
/// Codes of the errors that mean that the model is not the one that the task names.
pub(crate) const OTHER_MODEL: &[&str] = &["model_not_found", "model_disagrees"];

/// Whether the label words go to the model with each text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// The words are sent.
    Sent,
    /// The words are not sent: the model is asked for the next word.
    Kept,
    /// The words are sent, unless the named setting of `[model]` has this value.
    SentUnless(&'static str, &'static str),
}

/// How images travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sends {
    /// As tensors of numbers, in the form that `[model.input]` states.
    Tensors,
    /// As picture files, one in each request, to models that are asked about words.
    Files,
}

/// A dialect's own settings in a task file, and what the dialect can do in this task.
pub trait Settings: Debug + Send + Sync {
    /// The dialect for a task of images. `spec` must have no faults.
    ///
    /// # Errors
    /// [`ModelApiError::InvalidSpec`] from a dialect that takes texts only.
    fn images(&self, spec: &ModelSpec) -> Result<Box<dyn Dialect>, ModelApiError> {
        Err(takes_no("images", spec))
    }

    /// The dialect for a task of texts. `spec` must have no faults. `embedder` makes embeddings of
    /// texts, for tasks whose prompts are sent as embeddings.
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

    /// What in a task of texts cannot be sent: the key of the setting in the task file, and the
    /// reason. `None` if everything can.
    fn text_faults(&self, text: &TextTask) -> Option<(&'static str, &'static str)> {
        let _ = text;
        None
    }

    /// Whether soft prompts can be sent, as embeddings beside a text or in its place.
    fn takes_embeddings(&self) -> bool {
        false
    }

    /// The files that a participant must fetch to send a text as embeddings; `None` for dialects
    /// that do not send embeddings in place of the text.
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

/// A dialect and its settings, as a task file chose them.
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
    /// Reads the own settings of the dialect `entry`, which a task file calls `name`. `of_texts`
    /// says whether the task's inputs are texts.
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

    /// The dialect's settings, which say what it can do in this task.
    #[must_use]
    pub fn settings(&self) -> &dyn Settings {
        &*self.settings
    }

    /// Whether images are sent as files.
    #[must_use]
    pub fn sends_files(&self) -> bool {
        self.entry.sends == Sends::Files
    }

    /// Whether answers are natural logarithms of probabilities, no matter in which form the API
    /// sends them.
    #[must_use]
    pub fn answers_logarithms(&self) -> bool {
        self.entry.answers_logarithms
    }

    /// Whether answers say how many tokens they cost.
    #[must_use]
    pub fn counts_tokens(&self) -> bool {
        self.entry.counts_tokens
    }

    /// Whether the model runs on the device that holds the data, so that nothing is sent.
    #[must_use]
    pub fn runs_here(&self) -> bool {
        self.entry.runs_here
    }
}

#[cfg(test)]
mod tests;
