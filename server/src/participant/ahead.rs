//! Inputs of the evaluation that comes next, rendered while the open one's answers are awaited.
//!
//! They are used if the next evaluation is the one that was expected, and dropped otherwise. Nothing is sent
//! before the machine asks: no query is spent on a guess.

use federation::round::asking::Pieces;
use federation::round::client::Evaluation;
use federation::round::workbench::Workbench;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinHandle;
use tuning::query::Queries;

/// No more images are rendered for an evaluation that nobody has asked for yet.
const MOST_BYTES: usize = 64 << 20;

/// The first requests of an evaluation that nobody has asked for yet.
pub struct Ahead {
    of: Evaluation,
    ready: Pieces<Queries>,
}

impl Ahead {
    /// What is there for this evaluation: all, or nothing if another one was expected.
    pub fn of(self, evaluation: &Evaluation) -> Pieces<Queries> {
        if self.of == *evaluation {
            self.ready
        } else {
            Pieces::default()
        }
    }
}

/// Rendering ahead, on a thread of its own.
pub struct Preparation {
    enough: Arc<AtomicBool>,
    thread: JoinHandle<Ahead>,
}

impl Preparation {
    /// Begins with the first request of at most `most` inputs, and renders no more of them than the `window` that are
    /// under way at once: that bounds the memory.
    pub fn begin(bench: &Arc<Workbench>, of: Evaluation, most: usize, window: usize) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let (bench, stop) = (Arc::clone(bench), Arc::clone(&enough));
        let thread = tokio::task::spawn_blocking(move || {
            let requests = Workbench::requests(&of, most).into_iter();
            let mut ready = Pieces::default();
            let mut left = MOST_BYTES;
            for request in requests.take(window) {
                let queries = bench.queries(&of, request.clone());
                if let Queries::Images { bytes, .. } = &queries {
                    left = left.saturating_sub(bytes.len());
                }
                ready.0.push((request, queries));
                if left == 0 || stop.load(Ordering::Relaxed) {
                    break;
                }
            }
            Ahead { of, ready }
        });
        Self { enough, thread }
    }

    /// Ends it with the request that is being rendered; the driver would have to wait for that one anyway.
    pub async fn end(mut self) -> Option<Ahead> {
        self.enough.store(true, Ordering::Relaxed);
        (&mut self.thread).await.ok()
    }
}

impl Drop for Preparation {
    /// Given up: nobody wants the rest.
    fn drop(&mut self) {
        self.enough.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic: that is how it fails.
mod tests {
    use super::*;
    use crate::commands::join::built_in;
    use crate::task_source;
    use federation::round::client::{Part, Purpose};
    use tuning::optimizer::Candidate;

    /// 40 examples under one candidate, cut into requests of 3.
    fn bench_and_evaluation() -> (Arc<Workbench>, Evaluation) {
        let task = task_source::load("handwriting", &[]).unwrap();
        let theta = vec![0.25; task.generator().unwrap().dim()];
        let examples = built_in(&task, 1, 40).unwrap_or_else(|_| panic!("digits"));
        let bench = Workbench::new(task, 0, examples, Vec::new()).unwrap();
        let evaluation = Evaluation {
            purpose: Purpose::Step,
            theta,
            candidates: vec![Candidate::BASE],
            points: tuning::optimizer::points::Points::default(),
            part: Part::Training,
            examples: (0..40).collect(),
        };
        (Arc::new(bench), evaluation)
    }

    #[tokio::test]
    async fn what_is_ready_is_what_would_be_rendered_and_its_amount_is_bounded() {
        let (bench, evaluation) = bench_and_evaluation();
        let preparation = Preparation::begin(&bench, evaluation.clone(), 3, 4);
        while !preparation.thread.is_finished() {
            tokio::task::yield_now().await;
        }
        let ready = preparation.end().await.unwrap();
        let ready = ready.of(&evaluation).0;
        assert_eq!(ready.len(), 4);
        let requests = Workbench::requests(&evaluation, 3);
        for ((range, ready), request) in ready.iter().zip(requests) {
            let asked = bench.queries(&evaluation, request.clone());
            assert_eq!((range, ready.count(), ready), (&request, 3, &asked));
        }
    }

    #[tokio::test]
    async fn for_another_evaluation_nothing_is_ready() {
        let (bench, evaluation) = bench_and_evaluation();
        let ahead = Preparation::begin(&bench, evaluation.clone(), 3, 4)
            .end()
            .await;
        let mut other = evaluation;
        other.theta[0] = 0.5;
        assert!(ahead.unwrap().of(&other).0.is_empty());
    }
}
