//! An evaluation: images → prompted images → model API → losses; texts go the way of [`super::texts`].
//!
//! While some requests are under way the next one's images are rendered (on the GPU all of them were, in one
//! dispatch), and after them those of the evaluation that comes next ([`super::ahead`]). What a failed evaluation
//! had already been answered is kept: queries cost money.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::ops::Range;
use std::pin::pin;

use futures::future::{Either, select};
use futures::stream::{FuturesUnordered, StreamExt as _};
use shared::generator::Prepared;
use shared::model_api::Scores;
use shared::round::client::{Evaluation, Event, Purpose};
use shared::round::workbench::Workbench;

use super::ahead::Ahead;
use super::owner::Owner;
use super::report::{Place, Trouble};
use super::timer::{Signal, now};
use crate::renderer::Choice;

/// The answers so far of an evaluation, by request.
pub struct Partial {
    of: Evaluation,
    most: usize,
    answers: Vec<Option<Scores>>,
}

impl Owner {
    /// Carries an evaluation out.
    ///
    /// # Errors
    /// The trouble to show; the driver pauses. Answers that came are kept for the next try.
    pub async fn evaluate(&self, evaluation: &Evaluation) -> Result<Event, Trouble> {
        let Some(bench) = self.bench.borrow().clone() else {
            return Err(no_data());
        };
        let most = self.model.images_per_request();
        let ahead = self.ahead.take();
        let ready = ahead.filter(|ahead| ahead.is_of(evaluation, most));
        let upcoming = self.upcoming(&bench);
        let requests = Workbench::requests(evaluation, most);
        let mut answers = match self.partial.borrow_mut().take() {
            Some(partial) if partial.of == *evaluation && partial.most == most => partial.answers,
            _ => vec![None; requests.len()],
        };
        let missing: Vec<(usize, Range<usize>)> = requests
            .into_iter()
            .enumerate()
            .filter(|(number, _)| answers[*number].is_none())
            .collect();
        let begun = upcoming.map(|next| RefCell::new(Ahead::new(next, most)));
        let (renderer, number) = (Signal::default(), missing.len());
        let free = renderer.wait();
        let asked = {
            let asking = pin!(self.ask_all(
                &bench,
                evaluation,
                missing,
                ready.unwrap_or_default(),
                &renderer,
                &mut answers
            ));
            let preparing = pin!(async {
                if let Some(begun) = begun.as_ref().filter(|_| number > 0) {
                    self.prepare(&bench, begun, free).await;
                }
            });
            match select(asking, preparing).await {
                // What the GPU has begun is wanted next; the CPU stops where it is.
                Either::Left((asked, preparing)) => {
                    if asked.is_ok() && self.gpu.borrow().is_some() {
                        preparing.await;
                    }
                    asked
                }
                Either::Right(((), asking)) => asking.await,
            }
        };
        *self.ahead.borrow_mut() = begun.map(RefCell::into_inner);
        if let Err(trouble) = asked {
            if trouble.code == "model_too_large" && self.model.too_large() {
                // In smaller requests.
                return Box::pin(self.evaluate(evaluation)).await;
            }
            *self.partial.borrow_mut() = Some(Partial {
                of: evaluation.clone(),
                most,
                answers,
            });
            return Err(trouble);
        }
        self.model.evaluated(answers.len());
        let answers: Vec<Scores> = answers.into_iter().flatten().collect();
        let client = self.client.borrow();
        let event = client
            .as_ref()
            .map(|client| bench.event(client, evaluation, &answers));
        match event {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(Trouble::new(
                Place::Model,
                "model_wrong_shape",
                "The model API cannot be used",
                error.to_string(),
            )),
            // Left meanwhile; the machine takes no event any more.
            None => Ok(Event::Start),
        }
    }

    /// Asks what is missing. `renderer` is raised when it has nothing more to do for this evaluation.
    async fn ask_all(
        &self,
        bench: &Workbench,
        evaluation: &Evaluation,
        missing: Vec<(usize, Range<usize>)>,
        ready: Ahead,
        renderer: &Signal,
        answers: &mut [Option<Scores>],
    ) -> Result<(), Trouble> {
        if missing.is_empty() {
            return Ok(());
        }
        #[cfg(feature = "texts")]
        if self.task.text.is_some() {
            return self
                .ask_about_texts(bench, evaluation, missing, answers)
                .await;
        }
        let started = now();
        let on_gpu = match ready.step {
            Some(step) => {
                self.prepared
                    .set(self.prepared.get() + evaluation.queries());
                Some(step)
            }
            None => self.render_on_gpu(bench, evaluation).await,
        };
        if on_gpu.is_some() {
            renderer.raise();
        }
        let mut render_ms = now() - started;
        let bytes = self.task.shape().bytes();
        let mut buffer = Vec::new();
        {
            let left = Cell::new(missing.len());
            // Pulled whenever a place is free: rendered then, and sent at once.
            let requests = missing.into_iter().map(|(number, images)| {
                let before = now();
                let count = images.len();
                let request = match (&on_gpu, ready.requests.get(number)) {
                    (Some(step), _) => self
                        .model
                        .ask(&step[images.start * bytes..images.end * bytes], count),
                    (None, Some(images)) => {
                        self.prepared.set(self.prepared.get() + count as u32);
                        self.model.ask(images, count)
                    }
                    (None, None) => {
                        bench.render(evaluation, images, &mut buffer);
                        self.model.ask(&buffer, count)
                    }
                };
                render_ms += now() - before;
                left.set(left.get() - 1);
                if left.get() == 0 {
                    renderer.raise();
                }
                async move { request.await.map(|scores| (number, scores)) }
            });
            self.gather(requests, answers).await?;
        }
        if let Some(rendered) = on_gpu {
            *self.rendered.borrow_mut() = rendered;
        }
        if evaluation.purpose == Purpose::Step {
            // All that was computed for this step, whenever; and what was waited for besides.
            self.render_ms.set(Some(ready.milliseconds + render_ms));
            self.ask_ms.set(Some(now() - started - render_ms));
        }
        Ok(())
    }

    /// Takes the answers to requests, as many of which are under way as the model's pace allows.
    pub async fn gather<F: Future<Output = Result<(usize, Scores), Trouble>>>(
        &self,
        mut requests: impl Iterator<Item = F>,
        answers: &mut [Option<Scores>],
    ) -> Result<(), Trouble> {
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < self.model.window()
                && let Some(request) = requests.next()
            {
                under_way.push(request);
            }
            let Some(answer) = under_way.next().await else {
                return Ok(());
            };
            let (number, scores) = answer?;
            answers[number] = Some(scores);
            self.progress(false);
        }
    }

    /// All images of a step by the GPU, if it is used. When it fails it is not used again, and the step is
    /// rendered on the CPU from the same counters.
    pub async fn render_on_gpu(
        &self,
        bench: &Workbench,
        evaluation: &Evaluation,
    ) -> Option<Vec<u8>> {
        // The GPU derives directions, and takes no points that have none.
        if evaluation.purpose != Purpose::Step || !evaluation.points.is_empty() {
            return None;
        }
        let gpu = self.gpu.borrow().clone()?;
        let batch: Vec<&Prepared> = bench.prepared(evaluation).collect();
        let mut out = self.rendered.take();
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

/// Nothing loaded.
pub fn no_data() -> Trouble {
    Trouble::new(
        Place::Data,
        "no_data",
        "No data yet",
        "Choose the data to take part with first.",
    )
}
