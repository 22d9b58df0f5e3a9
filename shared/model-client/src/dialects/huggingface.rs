//! `huggingface`: the tasks of Hugging Face's inference API, as its router, its inference endpoints
//! and `fed-bbpt model-api` serve them.
//!
//! The API answers with probabilities. Their natural logarithms, which are logits of the same
//! distribution, are passed on.
//!
//! <https://huggingface.co/docs/inference-providers/tasks/index>

use serde_json::{Value, json};

use super::{Cure, Entry, Help, Labels, Sends, UNREACHABLE};
use crate::{
    Description, Dialect, Method, ModelApiError, ModelSpec, Protocol, Request, Response, Scores,
    SharedEmbedder, TextDialect, TextQueries, picture, status,
};
use ground::fault::Reader;
use ground::form::{FormField, FormKind};
use std::sync::Arc;
use tuning::wording::TextTask;

/// The dialect as the registry lists it.
pub(super) const ENTRY: Entry = Entry {
    help: Help {
        spoken_by: "Hugging Face’s inference tasks",
        listing: "https://huggingface.co/{model}",
        fields: &[FormField {
            texts: Some("zero-shot-classification"),
            options: &[
                (
                    "zero-shot-image-classification",
                    "zero-shot image classification",
                ),
                (
                    "zero-shot-classification",
                    "zero-shot classification of texts",
                ),
                ("text-classification", "text classification"),
                ("fill-mask", "fill mask"),
            ],
            ..FormField::new(
                "model.huggingface.task",
                "Task",
                FormKind::Choice,
                "zero-shot-image-classification",
            )
        }],
        cures: &[Cure {
            codes: UNREACHABLE,
            who: "fed-bbpt model-api",
            what: "Start it with",
            setting: "fed-bbpt model-api --allow-origin {page}",
            port: 8701,
        }],
    }
    .for_pages(),
    sends: Sends::Files,
    labels: Labels::SentUnless("huggingface.task", "text-classification"),
    takes_template: true,
    answers_logarithms: true,
    counts_tokens: false,
    runs_here: false,
    read: |r, of_texts| Arc::new(r.table("huggingface", |r| Settings::read(r, of_texts))),
};

/// The table `[model.huggingface]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The task of the model at the API.
    pub task: Kind,
}

/// The tasks of the inference API that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Zero-shot image classification: an image, and the labels that it might have.
    ZeroShotImage,
    /// Zero-shot text classification: a text, the labels that it might have, and a hypothesis
    /// template.
    ZeroShot,
    /// Text classification: a text, and the model's own labels.
    Text,
    /// Fill-mask: a text with a mask, and the words that may stand in its place.
    FillMask,
}

impl Kind {
    const TEXTS: [Self; 3] = [Self::ZeroShot, Self::Text, Self::FillMask];
    const TEXT_NAMES: [&'static str; 3] = [
        "zero-shot-classification",
        "text-classification",
        "fill-mask",
    ];
    const IMAGE_NAMES: [&'static str; 1] = ["zero-shot-image-classification"];

    /// Whether the task takes a label template.
    #[must_use]
    pub fn has_template(self) -> bool {
        self == Self::ZeroShot
    }
}

impl Settings {
    fn read(r: &mut Reader<'_>, of_texts: bool) -> Self {
        let task = if of_texts {
            Kind::TEXTS[r.choice("task", &Kind::TEXT_NAMES, None)]
        } else {
            r.choice("task", &Kind::IMAGE_NAMES, Some(Kind::IMAGE_NAMES[0]));
            Kind::ZeroShotImage
        };
        Self { task }
    }
}

impl super::Settings for Settings {
    fn images(&self, spec: &ModelSpec) -> Result<Box<dyn Dialect>, ModelApiError> {
        let words = &spec.output.words;
        Ok(Box::new(HuggingFace::new(spec, self, words, String::new())))
    }

    fn texts(
        &self,
        spec: &ModelSpec,
        text: &TextTask,
        _: Option<SharedEmbedder>,
    ) -> Result<Box<dyn TextDialect>, ModelApiError> {
        let harmless = text.harmless();
        Ok(Box::new(HuggingFace::new(
            spec,
            self,
            &text.words,
            harmless,
        )))
    }

    fn text_faults(&self, text: &TextTask) -> Option<(&'static str, &'static str)> {
        match (self.task.has_template(), text.has_template()) {
            (true, false) => Some((
                "text.template",
                "is missing: zero-shot-classification has a hypothesis template",
            )),
            (false, true) => Some((
                "text.template",
                "must be left out: only zero-shot-classification has one",
            )),
            _ => None,
        }
    }
}

/// Smallest probability whose logarithm is taken: rounded answers contain zeros.
const LEAST: f64 = 1e-9;
/// Longest pause in milliseconds for a model that is still being loaded.
const LONGEST_LOADING_MS: f64 = 60_000.0;

/// The dialect, configured for one model and one task.
struct HuggingFace {
    spec: ModelSpec,
    own: Settings,
    words: Vec<String>,
    harmless: String,
}

impl HuggingFace {
    /// Makes the dialect. `spec` must be free of faults; `words` are the names of the classes;
    /// `harmless` is a whole model input that reveals nothing about anyone.
    fn new(spec: &ModelSpec, own: &Settings, words: &[String], harmless: String) -> Self {
        Self {
            spec: spec.clone(),
            own: own.clone(),
            words: words.to_vec(),
            harmless,
        }
    }

    fn post(&self, body: &Value) -> Request {
        // A model's name is `owner/name`; the slash belongs to the path.
        let name: Vec<String> = self.spec.name.split('/').map(crate::escape).collect();
        Request {
            method: Method::Post,
            path: format!("/models/{}", name.join("/")),
            headers: vec![
                ("content-type".into(), "application/json".into()),
                ("accept".into(), "application/json".into()),
            ],
            body: body.to_string().into_bytes(),
        }
    }

    /// The request about one text.
    fn ask(&self, queries: &TextQueries) -> Request {
        let text = queries.texts.first().map_or("", String::as_str);
        let count = self.words.len();
        self.post(&match self.own.task {
            Kind::ZeroShot => {
                let template = queries.templates.first().map_or("{}", String::as_str);
                json!({
                    "inputs": text,
                    "parameters": { "candidate_labels": self.words, "hypothesis_template": template, "multi_label": false },
                })
            }
            Kind::FillMask => json!({ "inputs": text, "parameters": { "targets": self.words, "top_k": count } }),
            Kind::Text | Kind::ZeroShotImage => json!({ "inputs": text, "parameters": { "top_k": count } }),
        })
    }

    fn check(&self, response: &Response<'_>) -> Result<Description, ModelApiError> {
        self.read(response, 1)?;
        Ok(Description {
            max_batch: Some(1),
            labels: self.words.clone(),
            platform: "huggingface".to_owned(),
        })
    }

    fn check_status(&self, response: &Response<'_>) -> Result<(), ModelApiError> {
        match status::check(response, &self.spec.name) {
            Err(ModelApiError::Busy {
                retry_after_ms: None,
            }) => {
                // `{"error": "Model … is currently loading", "estimated_time": 20.0}`
                let said: Value = serde_json::from_slice(response.body).unwrap_or_default();
                let loading = said["estimated_time"]
                    .as_f64()
                    .filter(|seconds| *seconds > 0.0);
                Err(ModelApiError::Busy {
                    retry_after_ms: loading
                        .map(|seconds| (1000.0 * seconds).min(LONGEST_LOADING_MS) as u64),
                })
            }
            other => other,
        }
    }

    fn read(&self, response: &Response<'_>, count: usize) -> Result<Scores, ModelApiError> {
        self.check_status(response)?;
        if status::is_html(response.body) {
            return Err(other(&status::detail(response.body)));
        }
        let answer: Value =
            serde_json::from_slice(response.body).map_err(|error| ModelApiError::Malformed {
                detail: format!("its JSON cannot be read ({error})"),
            })?;
        if count != 1 {
            return Err(ModelApiError::WrongShape {
                expected: format!("{count} answers"),
                got: "1".to_owned(),
            });
        }
        let pairs =
            pairs(&answer).ok_or_else(|| other("its answer lists no labels with scores"))?;
        let plain = |text: &str| text.trim().to_lowercase();
        let mut row = Vec::with_capacity(self.words.len());
        let mut faults = Vec::new();
        for word in &self.words {
            // First an exact match, then one that ignores case and the spaces of a token.
            let exact = pairs.iter().find(|(label, _)| label == word);
            match exact.or_else(|| pairs.iter().find(|(label, _)| plain(label) == plain(word))) {
                Some((_, score)) if (-1e-3..=1.001).contains(score) => {
                    row.push(libm::log(score.max(LEAST)) as f32)
                }
                Some((_, score)) => faults.push(format!(
                    "the score of `{word}` is {}, but a probability was expected",
                    ground::text::Short(*score)
                )),
                None => faults.push(format!(
                    "the answer has no score for `{word}`, but for {}",
                    pairs
                        .iter()
                        .take(12)
                        .map(|(label, _)| format!("`{label}`"))
                        .collect::<Vec<_>>()
                        .join(", ")
                )),
            }
        }
        if faults.is_empty() {
            Scores::new(self.words.len(), row)
        } else {
            Err(ModelApiError::Disagrees { faults })
        }
    }
}

/// The labels with their scores, in any form in which the tasks answer.
fn pairs(answer: &Value) -> Option<Vec<(String, f64)>> {
    // Zero-shot classification for a long time: `{"labels": […], "scores": […]}`
    if let (Some(labels), Some(scores)) = (answer["labels"].as_array(), answer["scores"].as_array())
    {
        let pair =
            |(label, score): (&Value, &Value)| Some((label.as_str()?.to_owned(), score.as_f64()?));
        return (labels.len() == scores.len())
            .then(|| labels.iter().zip(scores).map(pair).collect::<Option<_>>())?;
    }
    let list = answer.as_array()?;
    // A list for each input, and there is one input.
    if let [inner @ (Value::Array(_) | Value::Object(_))] = &list[..]
        && (inner.is_array() || inner["labels"].is_array())
    {
        return pairs(inner);
    }
    list.iter()
        .map(|entry| {
            // Fill-mask calls it `token_str`.
            let label = entry["label"]
                .as_str()
                .or_else(|| entry["token_str"].as_str())?;
            Some((label.to_owned(), entry["score"].as_f64()?))
        })
        .collect()
}

fn other(why: &str) -> ModelApiError {
    ModelApiError::NotThisProtocol {
        detail: format!("{why} (expected Hugging Face's)"),
    }
}

impl Protocol for HuggingFace {
    /// No route describes a model, so the API is asked about one input that reveals nothing about
    /// anyone.
    fn describe_request(&self) -> Request {
        if self.own.task == Kind::ZeroShotImage {
            let grey = vec![128; 3 * self.spec.input.height * self.spec.input.width];
            return Dialect::infer_request(self, &grey, 1)
                .unwrap_or_else(|_| self.post(&Value::Null));
        }
        self.ask(&TextQueries {
            texts: vec![self.harmless.clone()],
            ..TextQueries::default()
        })
    }

    fn check_description(&self, response: &Response<'_>) -> Result<Description, ModelApiError> {
        self.check(response)
    }

    fn parse(&self, response: &Response<'_>, count: usize) -> Result<Scores, ModelApiError> {
        self.read(response, count)
    }
}

impl TextDialect for HuggingFace {
    fn infer_request(&self, queries: &TextQueries) -> Result<Request, ModelApiError> {
        Ok(self.ask(queries))
    }
}

impl Dialect for HuggingFace {
    fn infer_request(&self, images: &[u8], count: usize) -> Result<Request, ModelApiError> {
        let file = picture::only(&self.spec, images, count)?;
        Ok(self.post(&json!({
            "inputs": picture::base64(&file),
            "parameters": { "candidate_labels": self.words },
        })))
    }
}
