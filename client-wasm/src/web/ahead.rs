//! Images of the evaluation that comes next, rendered while the open one's answers are awaited.
//!
//! They are used if the next evaluation is the one that was expected, and dropped otherwise. Nothing is sent
//! before the machine asks: no query is spent on a guess.

use std::cell::RefCell;
use std::future::Future;

use federation::round::asking::Pieces;
use federation::round::client::Evaluation;
use federation::round::workbench::Workbench;

use super::owner::Owner;
use super::timer::{now, sleep};

/// No more memory is taken for a step that nobody has asked for yet.
const MOST_BYTES: usize = 256 << 20;
/// The CPU renders less of it: only what goes out together.
const MOST_BYTES_ON_CPU: usize = 64 << 20;

/// What is ready of an evaluation.
pub struct Ahead {
    /// Of this one.
    pub of: Evaluation,
    /// All images, by the GPU.
    pub step: Option<Vec<u8>>,
    /// Those of the first requests, by the CPU.
    pub requests: Pieces<Vec<u8>>,
    /// What they took.
    pub milliseconds: f64,
}

impl Ahead {
    /// Nothing yet.
    pub fn new(of: Evaluation) -> Self {
        Self {
            of,
            step: None,
            requests: Pieces::default(),
            milliseconds: 0.0,
        }
    }
}

impl Owner {
    /// What will be asked next, as far as it is certain; nothing if the owner wants no preparation.
    pub fn upcoming(&self, bench: &Workbench) -> Option<Evaluation> {
        // Wording texts takes no time.
        if self.task.text.is_some() {
            return None;
        }
        let client = self.client.borrow();
        let client = client.as_ref().filter(|_| self.opening.prepare)?;
        client.upcoming(&bench.environment())
    }

    /// Renders ahead once the renderer is `free`: on the GPU the whole step, on the CPU as many requests as are
    /// under way at once.
    pub async fn prepare(
        &self,
        bench: &Workbench,
        ahead: &RefCell<Ahead>,
        free: impl Future<Output = ()>,
    ) {
        let of = ahead.borrow().of.clone();
        free.await;
        let bytes = self.task.shape().bytes();
        if self.gpu.borrow().is_some() {
            if of.queries() as usize * bytes <= MOST_BYTES {
                let before = now();
                let step = self.render_on_gpu(bench, &of).await;
                let mut ahead = ahead.borrow_mut();
                ahead.step = step;
                ahead.milliseconds = now() - before;
            }
            return;
        }
        let most = self.model.size_of(of.queries() as usize);
        let requests = Workbench::requests(&of, most).into_iter();
        let mut left = MOST_BYTES_ON_CPU;
        for (number, request) in requests.take(self.model.window()).enumerate() {
            if number > 0 {
                // Answers come first.
                sleep(0.0).await;
            }
            let (before, mut images) = (now(), Vec::new());
            bench.render(&of, request.clone(), &mut images);
            left = left.saturating_sub(images.len());
            let mut ahead = ahead.borrow_mut();
            ahead.requests.0.push((request, images));
            ahead.milliseconds += now() - before;
            if left == 0 {
                break;
            }
        }
    }
}
