//! What a platform for participants must provide: [`Platform`].

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

/// A place in which a participant runs. Its futures need not be [`Send`], because a browser has one
/// thread.
pub trait Platform {
    /// The transport to the aggregator and the model API, with the clock.
    type Transport: Transport;

    /// The participant.
    fn participant(&self) -> &Participant<Self::Transport>;

    /// Stores the participant's state. Called after every step of the machine, before anything that
    /// follows from it is sent, because the same bytes must be sent again after a restart. Returns
    /// whether the state was stored; if it was not and the participant continues nevertheless, the
    /// platform has reported it.
    ///
    /// # Errors
    /// Why the participant cannot continue without a stored state.
    fn save(&self) -> impl Future<Output = Result<bool, String>>;

    /// Shows the participant's progress: after each step, and, if not `at_once`, after each answer.
    fn show(&self, at_once: bool) {
        let _ = at_once;
    }

    /// Shows why the participant cannot continue. [`ControlFlow::Continue`] pauses it until its
    /// owner resumes; [`ControlFlow::Break`] ends the run. After
    /// [`CallError::Budget`](model_client::caller::CallError::Budget) the participant leaves,
    /// whichever this returns.
    fn failed(&self, error: DriveError) -> impl Future<Output = ControlFlow<DriveError>> {
        async { ControlFlow::Break(error) }
    }

    /// Notes that the aggregator gave no useful answer for the `tries`th time in a row; it will be
    /// asked again.
    fn outage(&self, error: &ApiError, tries: u32) {
        let _ = (error, tries);
    }

    /// Notes that an update, or the last message of a secure sum, was accepted.
    fn delivered(&self) -> impl Future<Output = ()> {
        async {}
    }

    /// Whether inputs are prepared before they are asked. Only time depends on it.
    fn prepares(&self) -> bool {
        true
    }

    /// Renders all images of an evaluation at once (`queries × 3·H·W` bytes), on platforms where
    /// that is quicker than one request after another, such as on a GPU; `None` on others.
    fn render_all(
        &self,
        bench: &Workbench,
        evaluation: &Evaluation,
    ) -> impl Future<Output = Option<Vec<u8>>> {
        let _ = (bench, evaluation);
        async { None }
    }

    /// Whether [`render_all`](Self::render_all) renders anything.
    fn renders_all(&self) -> bool {
        false
    }

    /// Renders the queries of a request that is being prepared; `None` if they cannot be rendered.
    /// A platform with threads uses one.
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
