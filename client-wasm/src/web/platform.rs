//! The browser as a platform of the [`participant`] that all platforms share.

use std::cell::Cell;
use std::ops::ControlFlow;

use federation::round::client::{Evaluation, Purpose};
use federation::round::workbench::Workbench;
use participant::api::ApiError;
use participant::{DriveError, Participant, Platform};
use tuning::generator::Prepared;

use super::owner::Owner;
use super::report::Area;
use super::transport::Web;
use super::troubles;
use crate::renderer::Choice;

/// Number of failures of the aggregator in a row after which the owner is told.
const TOLD_AFTER: u32 = 4;

impl Platform for Owner {
    type Transport = Web;

    fn participant(&self) -> &Participant<Web> {
        &self.me
    }

    async fn save(&self) -> Result<bool, String> {
        Ok(self.save_state().await)
    }

    fn show(&self, at_once: bool) {
        self.progress(at_once);
        if at_once {
            self.show_masked();
        }
    }

    async fn failed(&self, error: DriveError) -> ControlFlow<DriveError> {
        let trouble = match &error {
            DriveError::Model(error) => self.model_trouble(error).await,
            DriveError::UnkeptSum => troubles::unstored(),
            DriveError::Aggregator(error) => troubles::outage(error, Area::Training),
            other => troubles::other(other),
        };
        self.trouble(&trouble);
        ControlFlow::Continue(())
    }

    fn outage(&self, error: &ApiError, tries: u32) {
        if tries == TOLD_AFTER {
            self.trouble(&troubles::outage(error, Area::Training));
        }
    }

    fn prepares(&self) -> bool {
        self.opening.prepare
    }

    fn renders_all(&self) -> bool {
        self.gpu.borrow().is_some()
    }

    /// Renders all images of a step on the GPU, if it is used. If it fails it is not used again,
    /// and the step is rendered on the CPU from the same counters.
    async fn render_all(&self, bench: &Workbench, evaluation: &Evaluation) -> Option<Vec<u8>> {
        // The GPU derives directions, and takes no points that no direction names.
        if evaluation.purpose != Purpose::Step || !evaluation.points.is_empty() {
            return None;
        }
        let gpu = self.gpu.borrow().clone()?;
        let batch: Vec<&Prepared> = bench.prepared(evaluation).collect();
        let mut out = Vec::new();
        match gpu
            .render(&evaluation.theta, &evaluation.candidates, &batch, &mut out)
            .await
        {
            Ok(()) => Some(out),
            Err(error) => {
                *self.gpu.borrow_mut() = None;
                let reason = format!(
                    "The CPU: {error}. The step was done again on the CPU; nothing is lost."
                );
                let before = self.choice.borrow().clone();
                *self.choice.borrow_mut() = Choice {
                    name: "cpu",
                    reason,
                    ..before
                };
                self.show_backend();
                None
            }
        }
    }
}

impl Owner {
    /// Takes part until the client's machine stops. A second call while it runs does nothing.
    pub async fn run(&self) {
        let running: &Cell<bool> = &self.running;
        if running.replace(true) {
            return;
        }
        // After every failure it pauses, and has shown it.
        let _ = participant::run(self).await;
        running.set(false);
    }
}
