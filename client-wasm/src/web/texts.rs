//! What only a task of texts has: examples with the model's answers, and the question for a check.

use federation::task::Inputs;
use model_client::TextQueries;
use owner_data::texts::Text;
use serde_json::{Value, json};
use tuning::query::Queries;
use tuning::wording::{Prompt, TextTask};

use super::examples::shown;
use super::owner::Owner;
use super::pictures::{answer, chosen};
use super::report::{self, Trouble};
use super::troubles::no_data;

impl Owner {
    /// A question that reveals nothing about anyone.
    pub fn harmless_text(&self) -> Queries {
        let word = || "Hello.".to_owned();
        let text = Text {
            first: word(),
            second: word(),
        };
        Queries::Texts(self.queries(&[&text], &Prompt::default()))
    }

    /// Posts up to `count` texts of the held-out part (of the training part if nothing is held out)
    /// with the model's answers without a prompt and with the current one. Each costs two queries.
    ///
    /// # Errors
    /// The trouble to show.
    pub async fn answered_texts(&self, count: usize) -> Result<(), Trouble> {
        let Some(examples) = self.examples.borrow().clone() else {
            return Err(no_data());
        };
        let indices = chosen(&examples, count);
        let texts: Vec<&Text> = indices.iter().map(|i| &examples.texts()[*i]).collect();
        let [without, with] = self.objectives()?;
        let prompt = self.task().prompt(&self.theta_now()).unwrap_or_default();
        let bare = Queries::Texts(self.queries(&texts, &Prompt::default()));
        let prompted = Queries::Texts(self.queries(&texts, &prompt));
        let (before, now) = self.before_and_now(&bare, &prompted).await?;
        self.other_queries
            .set(self.other_queries.get() + 2 * texts.len() as u64);
        let shown: Vec<Value> = indices
            .iter()
            .enumerate()
            .map(|(i, index)| {
                let (answer_before, score_before) = answer(&without, before.row(i));
                let (answer_now, score_now) = answer(&with, now.row(i));
                let [first, second] = shown(texts[i]);
                json!({
                    "label": self.task().labels[examples.label(*index)],
                    "first": first,
                    "second": second,
                    "answerBefore": self.task().labels.get(answer_before),
                    "answerNow": self.task().labels.get(answer_now),
                    "scoreBefore": score_before,
                    "scoreNow": score_now,
                })
            })
            .collect();
        report::post(&self.host, &json!({ "type": "texts", "texts": shown }));
        self.progress(true);
        Ok(())
    }

    fn queries(&self, texts: &[&Text], prompt: &Prompt) -> TextQueries {
        let Inputs::Texts(wording) = &self.task().inputs else {
            return TextQueries::default();
        };
        wording.queries(texts.iter().copied(), prompt)
    }
}

/// The description of a task of texts, for the page, before anything is asked.
pub fn described(text: &TextTask) -> Value {
    json!({ "words": text.words, "shown": text.shown(&Prompt::default()) })
}
