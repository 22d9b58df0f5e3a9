//! Images or texts.

use ground::image::Fit;
use tuning::wording::TextTask;

/// What a task's inputs are, with the settings that belong to that kind of input alone. Code that
/// differs between images and texts matches on it.
#[derive(Clone, Debug)]
pub enum Inputs {
    /// Images, and how an owner's image is turned into the model's input.
    Images(Fit),
    /// Texts, and how they and the labels are worded.
    Texts(Box<TextTask>),
}

impl Inputs {
    /// The wording of texts; `None` for images.
    #[must_use]
    pub fn texts(&self) -> Option<&TextTask> {
        match self {
            Self::Texts(text) => Some(text),
            Self::Images(_) => None,
        }
    }
}
