//! The dialects, one file each: what a task file tells them, what they can, and the requests and answers themselves.
//!
//! To add one: write its file with an `ENTRY` and put its name into the list in [`registry`]. `docs/adding.md` walks
//! through it.

pub(crate) mod huggingface;
pub mod on_device;
pub(crate) mod open_inference;
pub(crate) mod openai;

use std::fmt::Debug;
use std::sync::Arc;

use ground::fault::Reader;
use ground::registry::Registry;
use tuning::wording::TextTask;

use crate::prompt_embeds::PromptEmbeds;
use crate::{Dialect, ModelApiError, ModelSpec, SharedEmbedder, TextDialect};

/// The built-in dialects by the names that a task file uses. One line each; the first is the default.
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
    /// What speaks it, for the organiser's form.
    pub spoken_by: &'static str,
    /// How images travel.
    pub sends: Sends,
    /// Whether its answers are natural logarithms of probabilities in any task, so that `output.kind` can only be logits.
    pub answers_logarithms: bool,
    /// Whether its answers say how many tokens they cost.
    pub counts_tokens: bool,
    /// Whether the model runs where the data are, so that nothing is sent.
    pub runs_here: bool,
    /// Reads the table of `[model]` that only this dialect has, given whether the task's inputs are texts. A dialect that
    /// takes no such inputs notes a fault at `input.kind`.
    pub read: fn(&mut Reader<'_>, bool) -> Arc<dyn Settings>,
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

    /// The dialect for a task of texts. `spec` has no faults; `embedder` makes embeddings of texts, where prompts are sent
    /// as such.
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

    /// What must be fetched to send a text as embeddings, for a dialect that takes them in place of the text.
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
    /// Reads what only the dialect `entry`, called `name`, is told. `of_texts`: the task's inputs are texts.
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
