//! What a place where participants run must provide: [`Platform`].

use crate::api::ApiError;
use crate::error::DriveError;
use crate::state::Participant;
use federation::round::client::Evaluation;
use federation::round::workbench::Workbench;
use model_client::transport::Transport;
use std::future::Future;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use tuning::query::Queries;

/// A place where a participant runs. Its futures need not be [`Send`]: in a browser there is one thread.
pub trait Platform {
    /// The way to the aggregator and to the model API, and the clock.
    type Transport: Transport;

    /// The participant.
    fn participant(&self) -> &Participant<Self::Transport>;

    /// Keeps the participant's state. Called after every step of the machine, before anything that follows from it is
    /// sent: after a restart the same bytes must be sent again. Gives whether the state was kept; where it was not, and
    /// the participant goes on all the same, the platform has said so.
    ///
    /// # Errors
    /// Why the participant cannot go on without.
    fn save(&self) -> impl Future<Output = Result<bool, String>>;

    /// Shows where the participant is: after each step, and (not `at_once`) after each answer.
    fn show(&self, at_once: bool) {
        let _ = at_once;
    }

    /// Shows why the participant does not go on. [`ControlFlow::Continue`] pauses it, until its owner resumes;
    /// [`ControlFlow::Break`] ends the run. Of [`CallError::Budget`](model_client::caller::CallError::Budget) the
    /// participant leaves whatever this gives.
    fn failed(&self, error: DriveError) -> impl Future<Output = ControlFlow<DriveError>> {
        async { ControlFlow::Break(error) }
    }

    /// The aggregator gave no useful answer for the `tries`th time; it is asked again.
    fn outage(&self, error: &ApiError, tries: u32) {
        let _ = (error, tries);
    }

    /// An update, or the last message of a secure sum, was taken.
    fn delivered(&self) -> impl Future<Output = ()> {
        async {}
    }

    /// Whether inputs are prepared before they are asked. Nothing but the time depends on it.
    fn prepares(&self) -> bool {
        true
    }

    /// All images of an evaluation at once, `queries × 3·H·W` bytes, where that is quicker here than one request after
    /// the other (on a GPU); nothing where it is not.
    fn render_all(
        &self,
        bench: &Workbench,
        evaluation: &Evaluation,
    ) -> impl Future<Output = Option<Vec<u8>>> {
        let _ = (bench, evaluation);
        async { None }
    }

    /// Whether [`render_all`](Self::render_all) gives anything.
    fn renders_all(&self) -> bool {
        false
    }

    /// What a request that is prepared asks; nothing where it cannot be rendered. A platform with threads uses one.
    fn render(
        &self,
        bench: &Arc<Workbench>,
        evaluation: &Arc<Evaluation>,
        request: Range<usize>,
    ) -> impl Future<Output = Option<Queries>> {
        let (bench, evaluation) = (Arc::clone(bench), Arc::clone(evaluation));
        async move { Some(bench.queries(&evaluation, request)) }
    }
}
