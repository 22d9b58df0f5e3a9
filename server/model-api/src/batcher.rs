//! Merges waiting requests into one run of the model, on its own threads.
//!
//! There is no separate batching thread: a free worker collects its own batch, one worker at a
//! time. While all workers are busy the queue grows, and the next batch is larger by itself, so the
//! delay is paid only when the machine is idle.

#[cfg(test)]
pub(crate) mod tests;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

pub(crate) use inference::Images;

use crate::metrics::ModelMetrics;
use crate::text::Prepared;
use crate::{Classifier, RunError, TextModel};

/// The model that runs batches of requests. It is a trait so that tests can hold a run back.
pub(crate) trait Backend<W>: Send + Sync + 'static {
    /// Scores each request, in order. The scores of a request are row-major, with the same number
    /// of values for each of its items.
    fn run(&self, parts: &[&W]) -> Result<Vec<Vec<f32>>, RunError>;
}

impl Backend<ImageWork> for Classifier {
    fn run(&self, parts: &[&ImageWork]) -> Result<Vec<Vec<f32>>, RunError> {
        let parts: Vec<_> = parts
            .iter()
            .map(|part| (part.images.pixels(), part.prompts.as_deref()))
            .collect();
        self.run_parts(&parts)
    }
}

impl Backend<Prepared> for TextModel {
    fn run(&self, parts: &[&Prepared]) -> Result<Vec<Vec<f32>>, RunError> {
        Self::run(self, parts)
    }
}

/// A request to an image model.
#[derive(Debug)]
pub(crate) struct ImageWork {
    pub images: Images,
    /// Prompts with which to compare the images, in place of the model's own labels. Only for pairs
    /// like CLIP.
    pub prompts: Option<Vec<String>>,
}

impl ImageWork {
    /// Cuts `count` images into parts of at most `most`, each with its number of images.
    pub(crate) fn cut(self, count: usize, most: usize) -> Vec<(Self, usize)> {
        if count <= most {
            return vec![(self, count)];
        }
        let Self { images, prompts } = self;
        let parts = images.cut(count, most).into_iter();
        parts
            .map(|(images, count)| {
                let prompts = prompts.clone();
                (Self { images, prompts }, count)
            })
            .collect()
    }
}

impl From<Images> for ImageWork {
    fn from(images: Images) -> Self {
        Self {
            images,
            prompts: None,
        }
    }
}

/// The answer to one request: the scores of its items, row-major.
pub(crate) type Answer = Result<Vec<f32>, RunError>;

struct Job<W> {
    work: W,
    /// Number of items: images or texts.
    count: usize,
    arrived: Instant,
    reply: oneshot::Sender<Answer>,
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Too many items are waiting.
    Full,
    /// The server is stopping.
    Stopping,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub max_batch: usize,
    pub max_queue: usize,
    pub max_delay: Duration,
}

/// The queue and its workers. When it is dropped, the workers finish what is waiting and then end.
pub(crate) struct Batcher<W> {
    queue: Arc<Queue<W>>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

struct Queue<W> {
    limits: Limits,
    metrics: Arc<ModelMetrics>,
    state: Mutex<State<W>>,
    changed: Condvar,
}

struct State<W> {
    jobs: VecDeque<Job<W>>,
    /// Total number of items in `jobs`.
    items: usize,
    /// Whether a worker is waiting for more requests that could share its run.
    collecting: bool,
    stopping: bool,
}

impl<W> Drop for Batcher<W> {
    fn drop(&mut self) {
        let mut state = self
            .queue
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        state.stopping = true;
        drop(state);
        self.queue.changed.notify_all();
    }
}

impl<W: Send + 'static> Batcher<W> {
    /// Starts `workers` threads.
    pub(crate) fn start(
        backend: Arc<dyn Backend<W>>,
        workers: usize,
        limits: Limits,
        metrics: Arc<ModelMetrics>,
    ) -> std::io::Result<Self> {
        let state = Mutex::new(State {
            jobs: VecDeque::new(),
            items: 0,
            collecting: false,
            stopping: false,
        });
        let queue = Arc::new(Queue {
            limits,
            metrics,
            state,
            changed: Condvar::new(),
        });
        let batcher = Self {
            queue,
            workers: Mutex::default(),
        };
        for index in 0..workers.max(1) {
            let queue = Arc::clone(&batcher.queue);
            let backend = Arc::clone(&backend);
            let worker = std::thread::Builder::new()
                .name(format!("model-{index}"))
                .spawn(move || queue.work(&*backend))
                .inspect_err(|_| batcher.stop())?;
            batcher
                .workers
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(worker);
        }
        Ok(batcher)
    }

    /// Queues all parts of a request, or none. Each part comes with its number of items, at most
    /// `max_batch`. Dropping a receiver withdraws its part.
    pub(crate) fn submit(
        &self,
        parts: Vec<(W, usize)>,
    ) -> Result<Vec<oneshot::Receiver<Answer>>, Refused> {
        let count: usize = parts.iter().map(|(_, count)| count).sum();
        let mut state = self.queue.lock();
        if state.stopping {
            return Err(Refused::Stopping);
        }
        if state.items + count > self.queue.limits.max_queue {
            // Requests of clients that have gone must not keep others out.
            self.queue.drop_abandoned(&mut state);
        }
        if state.items + count > self.queue.limits.max_queue {
            return Err(Refused::Full);
        }
        let arrived = Instant::now();
        let queue = |(work, count)| {
            let (reply, answer) = oneshot::channel();
            state.jobs.push_back(Job {
                work,
                count,
                arrived,
                reply,
            });
            answer
        };
        let answers = parts.into_iter().map(queue).collect();
        state.items += count;
        self.queue.metrics.queued(state.items);
        drop(state);
        self.queue.changed.notify_all();
        Ok(answers)
    }

    /// Removes requests whose clients have gone, so that the queue's length is right.
    pub(crate) fn sweep(&self) {
        self.queue.drop_abandoned(&mut self.queue.lock());
    }

    /// Stops taking requests, finishes those that wait, and ends the threads. Blocks.
    pub(crate) fn stop(&self) {
        self.queue.lock().stopping = true;
        self.queue.changed.notify_all();
        let workers =
            std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        for worker in workers {
            // A worker catches the model's panics; if it died nevertheless, there is nothing to
            // save.
            let _ = worker.join();
        }
    }
}

impl<W: 'static> Queue<W> {
    fn lock(&self) -> MutexGuard<'_, State<W>> {
        // No code under this lock panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, backend: &dyn Backend<W>) {
        while let Some(batch) = self.next_batch() {
            self.run(backend, batch);
        }
    }

    /// Waits for work; `None` once the queue is stopped and empty.
    fn next_batch(&self) -> Option<Vec<Job<W>>> {
        let mut state = self.lock();
        loop {
            self.drop_abandoned(&mut state);
            let Some(first) = state.jobs.front().filter(|_| !state.collecting) else {
                if state.stopping && state.jobs.is_empty() {
                    return None;
                }
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let waited = first.arrived.elapsed();
            let full = state.items >= self.limits.max_batch || state.stopping;
            if full || waited >= self.limits.max_delay {
                break;
            }
            state.collecting = true;
            let left = self.limits.max_delay - waited;
            let waking = self.changed.wait_timeout(state, left);
            state = waking.unwrap_or_else(PoisonError::into_inner).0;
            state.collecting = false;
        }
        let mut batch = Vec::new();
        let mut items = 0;
        while let Some(job) = state.jobs.front() {
            if items > 0 && items + job.count > self.limits.max_batch {
                break;
            }
            items += job.count;
            batch.extend(state.jobs.pop_front());
        }
        state.items -= items;
        self.metrics.queued(state.items);
        drop(state);
        // Another worker can take the rest.
        self.changed.notify_all();
        Some(batch)
    }

    fn drop_abandoned(&self, state: &mut State<W>) {
        let before = state.jobs.len();
        state.jobs.retain(|job| !job.reply.is_closed());
        if state.jobs.len() < before {
            state.items = state.jobs.iter().map(|job| job.count).sum();
            self.metrics.abandoned(before - state.jobs.len());
            self.metrics.queued(state.items);
        }
    }

    fn run(&self, backend: &dyn Backend<W>, batch: Vec<Job<W>>) {
        let started = Instant::now();
        let parts: Vec<_> = batch.iter().map(|job| &job.work).collect();
        let count = batch.iter().map(|job| job.count).sum();
        let scores = run_caught(backend, &parts, count);
        drop(parts);
        self.metrics.ran(count, started.elapsed());
        match scores {
            Ok(scores) => {
                for (job, own) in batch.into_iter().zip(scores) {
                    // An error means that the client has gone.
                    let _ = job.reply.send(Ok(own));
                }
            }
            Err(error) if batch.len() == 1 => {
                tracing::error!(%error, items = count, "the model failed");
                for job in batch {
                    let _ = job.reply.send(Err(error.clone()));
                }
            }
            // One request of the batch may have made the others fail.
            Err(_) => batch
                .into_iter()
                .for_each(|job| self.run(backend, vec![job])),
        }
    }
}

/// Runs the model; a panic in its code fails one request, not the server.
fn run_caught<W: 'static>(
    backend: &dyn Backend<W>,
    parts: &[&W],
    count: usize,
) -> Result<Vec<Vec<f32>>, RunError> {
    catch_unwind(AssertUnwindSafe(|| backend.run(parts)))
        .unwrap_or_else(|_| Err(RunError::Model(format!("it panicked on {count} inputs"))))
}
