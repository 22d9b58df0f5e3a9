//! What a participant works with: their examples, prepared for the generator, and the pure halves of an
//! evaluation: which images go to the model, and what its answers mean.
//!
//! The browser, `fed-bbpt join` and the simulation differ in how they send; all of them use this.

use super::client::{Client, Environment, Evaluation, Event, Part, Purpose, Secrets};
use crate::fault::Faults;
use crate::generator::{Generator, Prepared, Scratch, render};
use crate::model_api::Scores;
use crate::objective::Outcome;
use crate::objective::mapping::{Frequencies, Mapping};
use crate::optimizer::{Candidate, Optimizer};
use crate::task::Task;
use std::ops::Range;

/// One example: 3·H·W planar bytes as the model takes them, and its label's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// The image.
    pub image: Vec<u8>,
    /// Below `task.labels.len()`.
    pub label: usize,
}

struct Item {
    original: Vec<u8>,
    prepared: Prepared,
    label: usize,
}

/// Images that one request holds where the model's server does not say less: enough to use a batch well, few
/// enough that several requests are under way while the next is rendered.
pub const REQUEST_IMAGES: usize = 32;

/// A participant's task, tools and examples.
pub struct Workbench {
    task: Task,
    generator: Box<dyn Generator>,
    optimizer: Box<dyn Optimizer>,
    training: Vec<Item>,
    holdout: Vec<Item>,
    secrets: Option<Secrets>,
}

impl Workbench {
    /// Prepares everything once. Examples must have the task's size and labels.
    pub fn new(
        task: Task,
        participant: u32,
        training: Vec<Labelled>,
        holdout: Vec<Labelled>,
    ) -> Result<Self, Faults> {
        let generator = task.generator()?;
        let optimizer = task.optimizer(participant)?;
        let prepare = |examples: Vec<Labelled>| -> Vec<Item> {
            let prepare_one = |e: Labelled| Item {
                prepared: generator.prepare(&e.image),
                original: e.image,
                label: e.label,
            };
            examples.into_iter().map(prepare_one).collect()
        };
        let (training, holdout) = (prepare(training), prepare(holdout));
        Ok(Self {
            task,
            generator,
            optimizer,
            training,
            holdout,
            secrets: None,
        })
    }

    /// What secure sums need.
    #[must_use]
    pub fn with_secrets(mut self, secrets: Secrets) -> Self {
        self.secrets = Some(secrets);
        self
    }

    /// The task.
    #[must_use]
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// The prompt generator.
    #[must_use]
    pub fn generator(&self) -> &dyn Generator {
        &*self.generator
    }

    /// What the client's machine wants to know.
    #[must_use]
    pub fn environment(&self) -> Environment<'_> {
        Environment {
            task: &self.task,
            optimizer: &*self.optimizer,
            dim: self.generator.dim(),
            training: self.training.len(),
            holdout: self.holdout.len(),
            secrets: self.secrets.as_ref(),
        }
    }

    fn items(&self, part: Part) -> &[Item] {
        match part {
            Part::Training => &self.training,
            Part::Holdout => &self.holdout,
        }
    }

    fn chosen<'a>(&'a self, evaluation: &'a Evaluation) -> impl Iterator<Item = &'a Item> {
        let items = self.items(evaluation.part);
        evaluation
            .examples
            .iter()
            .filter_map(|i| items.get(*i as usize))
    }

    /// The prepared examples of an evaluation, in order: what the GPU's buffers are filled from.
    pub fn prepared<'a>(
        &'a self,
        evaluation: &'a Evaluation,
    ) -> impl Iterator<Item = &'a Prepared> {
        self.chosen(evaluation).map(|i| &i.prepared)
    }

    /// True label numbers of an evaluation's examples, in order.
    #[must_use]
    pub fn labels(&self, evaluation: &Evaluation) -> Vec<usize> {
        self.chosen(evaluation).map(|i| i.label).collect()
    }

    /// How many groups of images an evaluation has: one for each candidate, or the originals.
    #[must_use]
    pub fn groups(evaluation: &Evaluation) -> usize {
        evaluation.candidates.len().max(1)
    }

    /// Cuts an evaluation into requests of at most `most` images. A request is a range of images, counted
    /// group by group, example by example.
    #[must_use]
    pub fn requests(evaluation: &Evaluation, most: usize) -> Vec<Range<usize>> {
        let (total, most) = (
            Self::groups(evaluation) * evaluation.examples.len(),
            most.max(1),
        );
        (0..total)
            .step_by(most)
            .map(|start| start..total.min(start + most))
            .collect()
    }

    /// Renders the images of a request on the CPU: [images][3·H·W] bytes, ready to be sent.
    pub fn render(&self, evaluation: &Evaluation, images: Range<usize>, out: &mut Vec<u8>) {
        let items: Vec<&Item> = self.chosen(evaluation).collect();
        let bytes = self.task.shape().bytes();
        out.resize(images.len() * bytes, 0);
        if items.is_empty() {
            return;
        }
        let (mut scratch, mut point) = (Scratch::default(), Vec::new());
        let mut begun = None;
        for (image, slot) in images.zip(out.chunks_exact_mut(bytes)) {
            let (group, item) = (image / items.len(), items[image % items.len()]);
            // The images as they are: for a mapping, or to see what the model does without a prompt.
            let Some(candidate) = evaluation.candidates.get(group) else {
                slot.copy_from_slice(&item.original);
                continue;
            };
            if begun != Some(group) {
                candidate.apply(&evaluation.theta, &mut point);
                self.generator.begin(&point, &mut scratch);
                begun = Some(group);
            }
            self.generator
                .prompt(&point, &item.prepared, &mut scratch, slot);
        }
    }

    /// One example of a part for showing: original and prompted bytes, and its label.
    #[must_use]
    pub fn show(
        &self,
        part: Part,
        index: usize,
        theta: &[f32],
    ) -> Option<(Vec<u8>, Vec<u8>, usize)> {
        let item = self.items(part).get(index)?;
        let mut prompted = Vec::new();
        render(
            &*self.generator,
            theta,
            &[Candidate::BASE],
            &[&item.prepared],
            &mut prompted,
        );
        Some((item.original.clone(), prompted, item.label))
    }

    /// What the answers mean: the answers to all [`Workbench::requests`], in order.
    ///
    /// # Errors
    /// Fewer or more answers than images.
    pub fn event(
        &self,
        client: &Client,
        evaluation: &Evaluation,
        answers: &[Scores],
    ) -> Result<Event, AnswerCount> {
        let labels = self.labels(evaluation);
        let (got, expected) = (
            answers.iter().map(Scores::rows).sum(),
            Self::groups(evaluation) * labels.len(),
        );
        if got != expected {
            return Err(AnswerCount { expected, got });
        }
        let mut rows = answers.iter().flat_map(|a| (0..a.rows()).map(|i| a.row(i)));
        if evaluation.purpose == Purpose::Mapping {
            let mut frequencies =
                Frequencies::new(self.task.labels.len(), self.task.model.output.classes);
            rows.zip(&labels).for_each(|(row, label)| {
                frequencies.count(row, *label, self.task.model.output.kind)
            });
            return Ok(Event::Evaluated {
                outcomes: Vec::new(),
                frequencies: Some(frequencies),
            });
        }
        let objective = self
            .task
            .objective(client.mapping(&self.task).unwrap_or(Mapping::Identity));
        let mut outcomes = vec![Outcome::default(); Self::groups(evaluation)];
        for outcome in &mut outcomes {
            labels
                .iter()
                .zip(&mut rows)
                .for_each(|(label, row)| outcome.add(&objective.score(row, *label)));
        }
        Ok(Event::Evaluated {
            outcomes,
            frequencies: None,
        })
    }
}

/// A model API answered more or fewer images than were asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the model API answered {got} images where {expected} were asked")]
pub struct AnswerCount {
    /// Asked.
    pub expected: usize,
    /// Answered.
    pub got: usize,
}
