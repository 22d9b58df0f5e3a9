//! Why a participant cannot continue: [`DriveError`].

use crate::api::ApiError;
use federation::round::workbench::AnswerCount;
use model_client::caller::CallError;

/// Why a participant cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// A call to the model API failed.
    #[error(transparent)]
    Model(#[from] CallError),
    /// The model API answered more or fewer inputs than it was asked.
    #[error(transparent)]
    Answers(#[from] AnswerCount),
    /// The state could not be stored.
    #[error("{0}")]
    State(String),
    /// A secure sum's message would be sent although the state to which it belongs is not stored.
    /// If the sum were begun anew after a restart, it could reveal the update.
    #[error("what belongs to the secure sum could not be stored, and so nothing was sent")]
    UnkeptSum,
    /// The answer is not an aggregator's.
    #[error(transparent)]
    Aggregator(#[from] ApiError),
    /// The task is meant for simulations only.
    #[error(
        "this federation sums updates without the masks, which only simulations may do; nothing was sent"
    )]
    NoMasks,
}
