//! Pictures for the page: an example, the prompt, the prompted example, and the model's answers to
//! both.

use federation::round::client::Part;
use model_client::{OutputKind, Scores};
use serde_json::{Value, json};
use tuning::generator;
use tuning::generator::Prepared;
use tuning::objective::Objective;
use tuning::optimizer::Candidate;
use tuning::query::Queries;

use super::examples::Examples;
use super::owner::Owner;
use super::report::{self, Area, Buffers, Trouble};
use super::troubles::no_data;

/// Maximum number of pictures shown.
const MOST: usize = 24;

impl Owner {
    /// The model's answer to one input, for people, before anything is learnt: its likeliest class
    /// by the name that the server (`stated`) or the task gives it, and its probability.
    pub fn named(&self, row: &[f32], stated: &[String]) -> Value {
        let best = tuning::objective::loss::argmax(row);
        let largest = row.get(best).copied().unwrap_or(0.0);
        let share = match self.task().model.output.kind {
            OutputKind::Logits => {
                1.0 / row
                    .iter()
                    .map(|s| (s - largest).exp())
                    .sum::<f32>()
                    .max(1.0)
            }
            OutputKind::Probabilities => largest,
        };
        let names = match () {
            () if self.task().model.output.classes == stated.len() => stated,
            () if self.task().model.output.classes == self.task().labels.len() => {
                &self.task().labels[..]
            }
            () => &[],
        };
        json!({ "label": names.get(best), "class": best, "share": share })
    }

    /// Posts up to `count` pictures of the held-out part (of the training part if nothing is held
    /// out). Each costs two queries.
    ///
    /// # Errors
    /// The trouble to show.
    pub async fn pictures(&self, count: usize) -> Result<(), Trouble> {
        let Some(examples) = self.examples.borrow().clone() else {
            return Err(no_data());
        };
        let indices = chosen(&examples, count.min(MOST));
        let (theta, [bare, with_prompt]) = (self.theta_now(), self.objectives()?);
        let Ok(generator) = self.task().generator() else {
            return Ok(());
        };
        let prepared: Vec<Prepared> = indices
            .iter()
            .map(|index| generator.prepare(examples.image(*index)))
            .collect();
        let batch: Vec<&Prepared> = prepared.iter().collect();
        let mut prompted = Vec::new();
        generator::render(
            &*generator,
            &theta,
            &[Candidate::BASE],
            &batch,
            &mut prompted,
        );
        let original: Vec<u8> = indices
            .iter()
            .flat_map(|index| examples.image(*index))
            .copied()
            .collect();
        let count = indices.len();
        let [as_they_are, with_it] =
            [original, prompted.clone()].map(|bytes| Queries::Images { bytes, count });
        let (before, now) = self.before_and_now(&as_they_are, &with_it).await?;
        self.other_queries
            .set(self.other_queries.get() + 2 * indices.len() as u64);

        let shape = self.task().shape();
        let bytes = shape.bytes();
        let mut buffers = Buffers::default();
        let pictures: Vec<Value> = indices
            .iter()
            .enumerate()
            .map(|(i, index)| {
                let (original, prompted) =
                    (examples.image(*index), &prompted[i * bytes..][..bytes]);
                let (answer_before, score_before) = answer(&bare, before.row(i));
                let (answer_now, score_now) = answer(&with_prompt, now.row(i));
                json!({
                    "label": self.task().labels[examples.label(*index)],
                    "width": shape.width,
                    "height": shape.height,
                    "original": buffers.add(original),
                    "prompt": buffers.add(&difference(original, prompted)),
                    "prompted": buffers.add(prompted),
                    "answerBefore": self.task().labels.get(answer_before),
                    "answerNow": self.task().labels.get(answer_now),
                    "scoreBefore": score_before,
                    "scoreNow": score_now,
                })
            })
            .collect();
        report::post_with(
            &self.host,
            &json!({ "type": "pictures", "pictures": pictures }),
            buffers,
        );
        self.progress(true);
        Ok(())
    }

    /// Asks the model about the same inputs without a prompt and with the current one.
    ///
    /// # Errors
    /// The trouble to show.
    pub async fn before_and_now(
        &self,
        bare: &Queries,
        prompted: &Queries,
    ) -> Result<(Scores, Scores), Trouble> {
        let model = &self.me.model;
        let before = model.ask_all(model.purse(), bare);
        let now = model.ask_all(model.purse(), prompted);
        match futures::future::try_join(before, now).await {
            Ok(scores) => Ok(scores),
            Err(error) => Err(self.model_trouble(&error).await),
        }
    }

    /// The current θ; the initial one before the record was read.
    pub fn theta_now(&self) -> Vec<f32> {
        self.me
            .with_client(|client| client.theta().map(<[f32]>::to_vec))
            .flatten()
            .unwrap_or_else(|| self.task().initial().unwrap_or_default())
    }

    /// The objectives for unprompted and for prompted inputs.
    pub fn objectives(&self) -> Result<[Objective; 2], Trouble> {
        let learnt = self.me.with_client(|client| client.mappings(self.task()));
        let mappings = learnt.flatten().or_else(|| self.task().mapping.fixed()).ok_or_else(|| {
            Trouble::new(
                Area::Training,
                "no_mapping_yet",
                "The model's answers cannot be named yet",
                "This federation learns from your examples which of the model's classes stand for which label. Start taking part; then the pictures can be shown.",
            )
        })?;
        Ok([mappings.unprompted, mappings.prompted].map(|m| self.task().objective(m)))
    }
}

/// Picks examples evenly over the part, so that not all are of one class.
pub fn chosen(examples: &Examples, count: usize) -> Vec<usize> {
    let part = match examples.part(Part::Holdout) {
        [] => examples.part(Part::Training),
        holdout => holdout,
    };
    let count = count.min(part.len());
    (0..count).map(|i| part[i * part.len() / count]).collect()
}

/// The difference (prompted − original)/2 around mid grey, as bytes.
fn difference(original: &[u8], prompted: &[u8]) -> Vec<u8> {
    let level =
        |(a, b): (&u8, &u8)| ((i16::from(*b) - i16::from(*a)) / 2 + 128).clamp(0, 255) as u8;
    original.iter().zip(prompted).map(level).collect()
}

/// The label with the largest score, and its softmax probability.
pub fn answer(objective: &Objective, row: &[f32]) -> (usize, f32) {
    let scores = objective.label_scores(row);
    let best = tuning::objective::loss::argmax(&scores);
    let largest = scores.get(best).copied().unwrap_or(0.0);
    let sum: f32 = scores.iter().map(|s| (s - largest).exp()).sum();
    (best, 1.0 / sum.max(1.0))
}
