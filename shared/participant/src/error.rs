//! Why a participant does not go on: [`DriveError`].

use crate::api::ApiError;
use federation::round::workbench::AnswerCount;
use model_client::caller::CallError;

/// Why a participant does not go on.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The model API.
    #[error(transparent)]
    Model(#[from] CallError),
    /// The model API answered more or fewer inputs than were asked.
    #[error(transparent)]
    Answers(#[from] AnswerCount),
    /// The state could not be kept.
    #[error("{0}")]
    State(String),
    /// A secure sum's message would be sent, but the state that it belongs to is kept nowhere. Begun anew after a
    /// restart, the same sum could give the update away.
    #[error("what belongs to the secure sum could not be stored, and so nothing was sent")]
    UnkeptSum,
    /// The aggregator answers, but not as one.
    #[error(transparent)]
    Aggregator(#[from] ApiError),
    /// The task is for simulations.
    #[error(
        "this federation sums updates without the masks, which only simulations may do; nothing was sent"
    )]
    NoMasks,
}
