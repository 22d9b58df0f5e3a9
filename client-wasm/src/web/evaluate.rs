//! An evaluation: images → prompted images → model API → losses; texts go the way of [`super::texts`].
//!
//! Requests are cut as they leave: how large they are is learnt from the answers ([`model_client::pace`]).
//!
//! While some requests are under way the next one's images are rendered (on the GPU all of them were, in one
//! dispatch), and after them those of the evaluation that comes next ([`super::ahead`]). What a failed evaluation
//! had already been answered is kept: queries cost money.

use std::cell::RefCell;
use std::future::Future;
use std::ops::Range;
use std::pin::pin;

use federation::round::asking::{Asking, Pieces};
use federation::round::client::{Evaluation, Event, Purpose};
use federation::round::workbench::Workbench;
use futures::future::{Either, select};
use futures::stream::{FuturesUnordered, StreamExt as _};
use model_client::Scores;
use tuning::generator::Prepared;

use super::ahead::Ahead;
use super::owner::Owner;
use super::report::{Place, Trouble};
use super::timer::{Signal, now};
use crate::renderer::Choice;

/// What was answered so far of an evaluation.
pub struct Partial {
    of: Evaluation,
    asking: Asking,
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
        let ready = self.ahead.take().filter(|ahead| ahead.of == *evaluation);
        let upcoming = self.upcoming(&bench);
        let mut asking = match self.partial.borrow_mut().take() {
            Some(partial) if partial.of == *evaluation => partial.asking,
            _ => Asking::new(evaluation.queries() as usize),
        };
        let begun = upcoming.map(|next| RefCell::new(Ahead::new(next)));
        let (renderer, is_more) = (Signal::default(), asking.is_more());
        let free = renderer.wait();
        let asked = {
            let ask = self.ask_all(&bench, evaluation, ready, &renderer, &mut asking);
            let preparing = pin!(async {
                if let Some(begun) = begun.as_ref().filter(|_| is_more) {
                    self.prepare(&bench, begun, free).await;
                }
            });
            match select(pin!(ask), preparing).await {
                // What the GPU has begun is wanted next; the CPU stops where it is.
                Either::Left((asked, preparing)) => {
                    if asked.is_ok() && self.gpu.borrow().is_some() {
                        preparing.await;
                    }
                    asked
                }
                Either::Right(((), ask)) => ask.await,
            }
        };
        *self.ahead.borrow_mut() = begun.map(RefCell::into_inner);
        if let Err(trouble) = asked {
            asking.again();
            *self.partial.borrow_mut() = Some(Partial {
                of: evaluation.clone(),
                asking,
            });
            return Err(trouble);
        }
        let answers = asking.into_answers();
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
        ready: Option<Ahead>,
        renderer: &Signal,
        asking: &mut Asking,
    ) -> Result<(), Trouble> {
        if !asking.is_more() {
            return Ok(());
        }
        if self.task.text.is_some() {
            return self.ask_about_texts(bench, evaluation, asking).await;
        }
        let started = now();
        let (step, mut ready, before_ms) = match ready {
            Some(ahead) => (ahead.step, ahead.requests, ahead.milliseconds),
            None => (None, Pieces::default(), 0.0),
        };
        let on_gpu = match step {
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
        // Rendered when a place is free, and sent at once.
        self.gather(asking, |asking| {
            let (allowed, size) = (self.model.images_per_request(), |all| self.model.cut(all));
            let (images, prepared) = ready.cut(asking, allowed, size)?;
            let before = now();
            let (range, count) = (images.clone(), images.len());
            let request = if let Some(step) = &on_gpu {
                let images = &step[images.start * bytes..images.end * bytes];
                self.model.ask(images, count)
            } else if let Some(prepared) = prepared {
                self.prepared.set(self.prepared.get() + count as u32);
                self.model.ask(&prepared, count)
            } else {
                bench.render(evaluation, images, &mut buffer);
                self.model.ask(&buffer, count)
            };
            render_ms += now() - before;
            if !asking.is_more() {
                renderer.raise();
            }
            Some((range, request))
        })
        .await?;
        if let Some(rendered) = on_gpu {
            *self.rendered.borrow_mut() = rendered;
        }
        if evaluation.purpose == Purpose::Step {
            // All that was computed for this step, whenever; and what was waited for besides.
            self.render_ms.set(Some(before_ms + render_ms));
            self.ask_ms.set(Some(now() - started - render_ms));
        }
        Ok(())
    }

    /// Takes the answers to requests, as many of which are under way as the model's pace allows. `next` cuts and
    /// sends one. When one was too large, the others' answers, which are paid for, are awaited, and what was not answered is
    /// cut again.
    pub async fn gather<F: Future<Output = Result<Scores, Trouble>>>(
        &self,
        asking: &mut Asking,
        mut next: impl FnMut(&mut Asking) -> Option<(Range<usize>, F)>,
    ) -> Result<(), Trouble> {
        let (mut under_way, mut too_large) = (FuturesUnordered::new(), false);
        loop {
            while !too_large
                && under_way.len() < self.model.window()
                && let Some((inputs, request)) = next(asking)
            {
                under_way.push(async move { (inputs, request.await) });
            }
            match under_way.next().await {
                Some((inputs, Ok(scores))) => {
                    asking.answered(inputs.start, scores);
                    self.progress(false);
                }
                Some((inputs, Err(trouble))) if self.model.too_large(&trouble, inputs.len()) => {
                    too_large = true;
                }
                Some((_, Err(trouble))) => return Err(trouble),
                None if too_large => {
                    too_large = false;
                    asking.again();
                }
                None => return Ok(()),
            }
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
