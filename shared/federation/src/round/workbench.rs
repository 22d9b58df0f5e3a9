//! A participant's examples, prepared for the generator, and the pure halves of an evaluation:
//! which images or texts go to the model, and what its answers mean.
//!
//! The browser, `fed-bbpt join` and the simulation differ in how they send; all of them use this.

use super::client::{Client, Environment, Evaluation, Event, Part, Purpose, Secrets};
use crate::task::{Inputs, Task};
use ground::fault::Faults;
use model_client::{Scores, TextQueries};
use owner_data::texts::Text;
use std::ops::Range;
use tuning::generator::{Generator, Prepared, Scratch, TextGenerator, render};
use tuning::objective::counts::Counts;
use tuning::objective::mapping::Mapping;
use tuning::objective::{Objective, Outcome};
use tuning::optimizer::memory::PictureMemory;
use tuning::optimizer::{Candidate, Optimizer, Seen};
use tuning::query::Queries;
use tuning::wording::Prompt;

/// An example's input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// 3·H·W planar bytes as the model takes them.
    Image(Vec<u8>),
    /// One text or a pair.
    Text(Text),
}

/// One example, and its label's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// The input, of the task's kind.
    pub input: Input,
    /// Number of the label, below `task.labels.len()`.
    pub label: usize,
}

impl Labelled {
    /// Makes a labelled image.
    #[must_use]
    pub fn image(image: Vec<u8>, label: usize) -> Self {
        Self {
            input: Input::Image(image),
            label,
        }
    }
}

enum Content {
    Image {
        original: Vec<u8>,
        prepared: Prepared,
    },
    Text(Text),
}

struct Item {
    content: Content,
    label: usize,
}

impl Item {
    /// The prepared image; `None` for a text.
    fn prepared(&self) -> Option<&Prepared> {
        match &self.content {
            Content::Image { prepared, .. } => Some(prepared),
            Content::Text(_) => None,
        }
    }
}

/// The prompt generator of the task's kind of inputs.
enum Prompter {
    Images(Box<dyn Generator>),
    Texts(Box<dyn TextGenerator>),
}

/// A participant's task, tools and examples.
pub struct Workbench {
    task: Task,
    prompter: Prompter,
    optimizer: Box<dyn Optimizer>,
    training: Vec<Item>,
    holdout: Vec<Item>,
    secrets: Option<Secrets>,
}

impl Workbench {
    /// Prepares everything once. Examples must have the task's kind, size and labels; those of the
    /// other kind are left out.
    pub fn new(
        task: Task,
        participant: u32,
        training: Vec<Labelled>,
        holdout: Vec<Labelled>,
    ) -> Result<Self, Faults> {
        let prompter = match task.inputs {
            Inputs::Images(_) => Prompter::Images(task.generator()?),
            Inputs::Texts(_) => Prompter::Texts(task.text_generator()?),
        };
        let optimizer = task.optimizer(participant)?;
        let prepare = |examples: Vec<Labelled>| -> Vec<Item> {
            let prepare_one = |e: Labelled| {
                let content = match (e.input, &prompter) {
                    (Input::Image(original), Prompter::Images(generator)) => Content::Image {
                        prepared: generator.prepare(&original),
                        original,
                    },
                    (Input::Text(text), Prompter::Texts(_)) => Content::Text(text),
                    _ => return None,
                };
                Some(Item {
                    content,
                    label: e.label,
                })
            };
            examples.into_iter().filter_map(prepare_one).collect()
        };
        let (training, holdout) = (prepare(training), prepare(holdout));
        Ok(Self {
            task,
            prompter,
            optimizer,
            training,
            holdout,
            secrets: None,
        })
    }

    /// The secrets for secure sums.
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

    /// What the client's machine needs to know.
    #[must_use]
    pub fn environment(&self) -> Environment<'_> {
        Environment {
            task: &self.task,
            optimizer: &*self.optimizer,
            dim: self.task.dim(),
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

    /// The prepared examples of an evaluation, in order, to fill the GPU's buffers.
    pub fn prepared<'a>(
        &'a self,
        evaluation: &'a Evaluation,
    ) -> impl Iterator<Item = &'a Prepared> {
        self.chosen(evaluation).filter_map(Item::prepared)
    }

    /// Label numbers of an evaluation's examples, in order.
    #[must_use]
    pub fn labels(&self, evaluation: &Evaluation) -> Vec<usize> {
        self.chosen(evaluation).map(|i| i.label).collect()
    }

    /// Number of groups of inputs in an evaluation: one for each candidate, or one of the
    /// originals.
    #[must_use]
    pub fn groups(evaluation: &Evaluation) -> usize {
        evaluation.candidates.len().max(1)
    }

    /// Cuts an evaluation into requests of at most `most` inputs. A request is a range of inputs,
    /// counted group by group, example by example.
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

    /// The inputs of a request.
    #[must_use]
    pub fn queries(&self, evaluation: &Evaluation, request: Range<usize>) -> Queries {
        match &self.prompter {
            Prompter::Images(_) => {
                let (mut bytes, count) = (Vec::new(), request.len());
                self.render(evaluation, request, &mut bytes);
                Queries::Images { bytes, count }
            }
            Prompter::Texts(generator) => {
                Queries::Texts(self.texts(&**generator, evaluation, request))
            }
        }
    }

    /// The texts of a request, group by group in the order of [`Workbench::render`].
    fn texts(
        &self,
        generator: &dyn TextGenerator,
        evaluation: &Evaluation,
        request: Range<usize>,
    ) -> TextQueries {
        let mut queries = TextQueries::default();
        let items: Vec<&Item> = self.chosen(evaluation).collect();
        let Some(wording) = self.task.inputs.texts().filter(|_| !items.is_empty()) else {
            return queries;
        };
        let (mut point, mut begun, mut prompt) = (Vec::new(), None, Prompt::default());
        for at in request {
            let (group, item) = (at / items.len(), items[at % items.len()]);
            // Without candidates the texts are sent without a prompt, to see what the model does
            // alone.
            if begun != Some(group) && evaluation.point(group, &mut point) {
                prompt = generator.prompt(&point);
                begun = Some(group);
                queries.begin(&prompt);
            }
            if let Content::Text(text) = &item.content {
                wording.ask(&mut queries, text, &prompt);
            }
        }
        queries
    }

    /// Renders the images of a request on the CPU: `[images][3·H·W]` bytes, ready to be sent.
    pub fn render(&self, evaluation: &Evaluation, images: Range<usize>, out: &mut Vec<u8>) {
        let items: Vec<&Item> = self.chosen(evaluation).collect();
        let bytes = self.task.shape().bytes();
        out.resize(images.len() * bytes, 0);
        let (Prompter::Images(generator), false) = (&self.prompter, items.is_empty()) else {
            return;
        };
        // All that are asked together, however the requests are cut.
        let batch: Vec<&Prepared> = items.iter().filter_map(|item| item.prepared()).collect();
        let (mut scratch, mut point) = (Scratch::default(), Vec::new());
        let mut begun = None;
        for (image, slot) in images.zip(out.chunks_exact_mut(bytes)) {
            let (group, item) = (image / items.len(), items[image % items.len()]);
            let Content::Image { original, prepared } = &item.content else {
                continue;
            };
            // The images are sent as they are, to see what the model does without a prompt.
            if begun != Some(group) && !evaluation.point(group, &mut point) {
                slot.copy_from_slice(original);
                continue;
            }
            if begun != Some(group) {
                generator.begin(&point, &mut scratch);
                generator.gather(&point, &batch, &mut scratch);
                begun = Some(group);
            }
            if let Some(candidate) = evaluation.candidates.get(group) {
                let picture = image % items.len();
                candidate.move_nodes(picture, generator.nodes(), &mut scratch.nodes);
            }
            generator.prompt(&point, prepared, &mut scratch, slot);
        }
    }

    /// One image of a part for showing: original and prompted bytes, and its label. `None` for a
    /// text.
    #[must_use]
    pub fn show(
        &self,
        part: Part,
        index: usize,
        theta: &[f32],
    ) -> Option<(Vec<u8>, Vec<u8>, usize)> {
        let item = self.items(part).get(index)?;
        let (Content::Image { original, prepared }, Prompter::Images(generator)) =
            (&item.content, &self.prompter)
        else {
            return None;
        };
        let mut prompted = Vec::new();
        render(
            &**generator,
            theta,
            &[Candidate::BASE],
            &[prepared],
            &mut prompted,
        );
        Some((original.clone(), prompted, item.label))
    }

    /// Computes what the answers to all [`Workbench::requests`] mean, in order.
    ///
    /// # Errors
    /// There are fewer or more answers than inputs.
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
        if let (Purpose::Mapping, Some(learnt)) = (evaluation.purpose, self.task.mapping.learnt) {
            let output = &self.task.model.output;
            let mut counts = Counts::new(learnt.counted, self.task.labels.len(), output.classes);
            rows.zip(&labels)
                .for_each(|(row, label)| counts.count(row, *label, output.kind));
            return Ok(Event::Evaluated {
                outcomes: Vec::new(),
                means: Some(counts.means()),
                memory: None,
            });
        }
        let prompted = !evaluation.candidates.is_empty();
        let mapping = client
            .mappings(&self.task)
            .map_or(Mapping::Identity, |m| m.of(prompted).clone());
        let objective = self.task.objective(mapping);
        let mut outcomes = vec![Outcome::default(); Self::groups(evaluation)];
        let (mut losses, mut scores) = (Vec::new(), Vec::new());
        for outcome in &mut outcomes {
            for (label, row) in labels.iter().zip(&mut rows) {
                let of_labels = objective.label_scores(row);
                let scored = objective.score_of(&of_labels, *label);
                losses.push(scored.loss as f32);
                scores.extend(of_labels);
                outcome.add(&scored);
            }
        }
        let (means, memory) = match self.look(client, evaluation, &objective, (&losses, &scores)) {
            Some((gradient, memory)) => (Some(gradient), Some(memory)),
            None => (None, None),
        };
        Ok(Event::Evaluated {
            outcomes,
            means,
            memory,
        })
    }

    /// The gradient of a step whose optimiser looks at each picture, and what the participant then
    /// remembers; otherwise `None`. Losses and label scores are in the order in which was asked.
    fn look(
        &self,
        client: &Client,
        evaluation: &Evaluation,
        objective: &Objective,
        (losses, scores): (&[f32], &[f32]),
    ) -> Option<(Vec<f32>, PictureMemory)> {
        let by_picture = self.optimizer.by_picture()?;
        let (Purpose::Step, Prompter::Images(generator)) = (evaluation.purpose, &self.prompter)
        else {
            return None;
        };
        let pictures = self.training.iter();
        let seen = Seen {
            generator: &**generator,
            theta: &evaluation.theta,
            pictures: pictures
                .filter_map(|item| Some((item.prepared()?, item.label)))
                .collect(),
            batch: &evaluation.examples,
            begun_anew: client.has_begun_anew(),
            losses,
            scores,
            labels: self.task.labels.len(),
            loss: objective.loss,
            bound: self.task.example_bound(),
        };
        let mut memory = client.memory().clone();
        let gradient = by_picture.gradient(&evaluation.candidates, &seen, &mut memory);
        Some((gradient, memory))
    }
}

/// A model API answered more or fewer inputs than were asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the model API answered {got} inputs where {expected} were asked")]
pub struct AnswerCount {
    /// Number of inputs asked.
    pub expected: usize,
    /// Number of inputs answered.
    pub got: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use ground::rng::{Direction, Distribution};
    use serde_json::{Value, json};

    fn bench(text: Value) -> Workbench {
        let task = Task::from_value(json!({
            "name": "Topics",
            "model": { "url": "http://127.0.0.1:8701", "name": "encoder", "input": { "kind": "text" } },
            "data": { "labels": ["1", "2"] },
            "text": text,
            "generator": { "candidates": ["", "x", "y"], "positions": 2 },
        }))
        .unwrap();
        let example = |(label, first): (usize, &str)| Labelled {
            input: Input::Text(Text {
                first: first.to_owned(),
                second: String::new(),
            }),
            label,
        };
        let training = [(0, "a"), (1, "b"), (0, "c")].map(example).to_vec();
        // A picture among texts is skipped.
        let holdout = vec![Labelled::image(vec![1, 2, 3], 0)];
        Workbench::new(task, 0, training, holdout).unwrap()
    }

    fn evaluation(theta: Vec<f32>, candidates: Vec<Candidate>) -> Evaluation {
        Evaluation {
            purpose: Purpose::Step,
            theta,
            candidates,
            points: tuning::optimizer::points::Points::default(),
            part: Part::Training,
            examples: vec![2, 0],
        }
    }

    fn texts(bench: &Workbench, evaluation: &Evaluation, request: Range<usize>) -> TextQueries {
        match bench.queries(evaluation, request) {
            Queries::Texts(queries) => queries,
            Queries::Images { .. } => panic!("images of texts"),
        }
    }

    #[test]
    fn texts_carry_the_prompts_of_their_candidates() {
        let bench = bench(json!({ "template": "About {}." }));
        assert_eq!(bench.environment().holdout, 0);
        let theta = vec![0.0, 0.0, 1.0, 0.0, 2.0, 0.0];
        let drawn = Candidate {
            direction: Some(Direction {
                key: [1, 2],
                counter: [0, 0, 0],
                distribution: Distribution::Gumbel,
            }),
            scale: 1.0,
        };
        let both = evaluation(theta.clone(), vec![Candidate::BASE, drawn]);
        let asked = texts(&bench, &both, 0..4);
        assert_eq!(asked.texts, ["c", "a", "c", "a"]);
        assert_eq!(asked.templates[..2], ["y x About {}.", "y x About {}."]);
        assert_eq!(asked.templates[2], asked.templates[3]);
        // However it is cut, the same is asked.
        for most in 1..4 {
            let mut parts = TextQueries::default();
            for request in Workbench::requests(&both, most) {
                let part = texts(&bench, &both, request);
                parts.texts.extend(part.texts);
                parts.templates.extend(part.templates);
            }
            assert_eq!(parts, asked);
        }
        let bare = texts(&bench, &evaluation(theta, Vec::new()), 0..2);
        assert_eq!(bare.templates, ["About {}.", "About {}."]);
        assert_eq!(bench.labels(&both), [0, 0]);
        assert!(bench.show(Part::Training, 0, &[0.0; 6]).is_none());
    }

    #[test]
    fn masked_models_get_no_template() {
        let bench = bench(json!({ "input": "{text}: <mask>" }));
        let theta = vec![0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
        let asked = texts(&bench, &evaluation(theta, vec![Candidate::BASE]), 0..2);
        assert_eq!(asked.texts, ["x y c: <mask>", "x y a: <mask>"]);
        assert!(asked.templates.is_empty());
    }
}
