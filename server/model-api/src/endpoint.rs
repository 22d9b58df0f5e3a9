//! One model behind the routes: the form of its requests, and its queue.

use std::sync::Arc;

use actix_web::web::Bytes;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::batcher::{Answer, Backend, Batcher, ImageWork, Images, Limits, Refused};
use crate::error::ApiError;
use crate::keys::{Caller, Charge};
use crate::metrics::{ModelMetrics, Unit};
use crate::protocol::{self, ModelInfo, TextInfo};
use crate::text::{Fill, Prepared, prompts};
use crate::{QueryError, TextKind, TextModel, TextQuery, TextStats};

/// A queued request that waits for its scores.
pub(crate) struct Waiting {
    pub id: Option<String>,
    pub classes: usize,
    /// Whether the scores are sent as bytes after the JSON.
    pub binary_output: bool,
    /// The scores to come. Dropping it, when the client goes away, withdraws the request.
    pub answer: Reply,
}

/// Receives an answer part by part.
#[derive(Debug)]
pub(crate) struct Reply(Vec<oneshot::Receiver<Answer>>);

impl Reply {
    /// Waits for all scores of the request, row-major.
    pub(crate) async fn scores(self) -> Result<Vec<f32>, ApiError> {
        let mut scores = Vec::new();
        for part in self.0 {
            let part = part.await.map_err(|_| ApiError::Lost)??;
            if scores.is_empty() {
                scores = part;
            } else {
                scores.extend(part);
            }
        }
        Ok(scores)
    }
}

/// One served model. When it is dropped, waiting requests are finished and its threads end.
pub(crate) enum Endpoint {
    Images(ImageEndpoint),
    Texts(TextEndpoint),
}

/// A model that is not served yet.
pub(crate) enum Service {
    Images(ModelInfo, Arc<dyn Backend<ImageWork>>),
    Texts(TextInfo, Arc<TextModel>, Defaults),
}

/// How texts are classified if a request does not say how.
#[derive(Clone, Debug, Default)]
pub(crate) struct Defaults {
    /// The labels; empty if texts are only classified by a request's own labels.
    pub labels: Vec<String>,
    /// The template, as in [`Served::Text`](crate::Served::Text).
    pub template: Option<String>,
}

impl Service {
    pub(crate) fn unit(&self) -> Unit {
        match self {
            Self::Images(..) => Unit::Images,
            Self::Texts(..) => Unit::Texts,
        }
    }

    /// Starts the model's worker threads.
    pub(crate) fn start(
        self,
        workers: usize,
        limits: Limits,
        metrics: Arc<ModelMetrics>,
    ) -> std::io::Result<Endpoint> {
        Ok(match self {
            Self::Images(info, backend) => Endpoint::Images(ImageEndpoint {
                info,
                run: limits.max_batch.max(1),
                batcher: Batcher::start(backend, workers, limits, metrics)?,
            }),
            Self::Texts(info, model, defaults) => Endpoint::Texts(TextEndpoint {
                info,
                defaults,
                batcher: Batcher::start(
                    Arc::clone(&model) as Arc<dyn Backend<Prepared>>,
                    workers,
                    limits,
                    metrics,
                )?,
                model,
            }),
        })
    }
}

/// Size in bytes of JSON numbers from which they are parsed on a thread of the blocking pool.
const LARGE_JSON: usize = 64 << 10;

impl Endpoint {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Images(endpoint) => &endpoint.info.name,
            Self::Texts(endpoint) => &endpoint.info.name,
        }
    }

    /// The name of the model's output.
    pub(crate) fn output(&self) -> &str {
        match self {
            Self::Images(endpoint) => &endpoint.info.output,
            Self::Texts(_) => protocol::LOGITS,
        }
    }

    pub(crate) fn metadata(&self) -> Value {
        match self {
            Self::Images(endpoint) => endpoint.info.metadata(),
            Self::Texts(endpoint) => endpoint.info.metadata(),
        }
    }

    /// Whether reading a body takes long enough to hold up other connections. `json` is the number
    /// of its bytes that are JSON.
    pub(crate) fn is_slow(&self, json: usize) -> bool {
        match self {
            Self::Images(_) => json >= LARGE_JSON,
            // Tokenizing is slow even if reading is not.
            Self::Texts(_) => true,
        }
    }

    /// Reads a request and queues it. `header_length` is the value of
    /// [`HEADER_LENGTH`](protocol::HEADER_LENGTH), if there is one.
    pub(crate) fn accept(
        &self,
        caller: &Caller,
        body: &Bytes,
        header_length: Option<&str>,
    ) -> Result<Waiting, ApiError> {
        match self {
            Self::Images(endpoint) => {
                let request = protocol::parse_images(&endpoint.info, body, header_length)?;
                let charge = caller.charge(request.count)?;
                Ok(Waiting {
                    id: request.id,
                    classes: endpoint.info.classes,
                    binary_output: request.binary_output,
                    answer: endpoint.score(charge, request.images.into(), request.count)?,
                })
            }
            Self::Texts(endpoint) => {
                let request = protocol::parse_texts(&endpoint.info, body, header_length)?;
                Ok(Waiting {
                    classes: request.labels.len(),
                    answer: endpoint.score(caller, &request.queries(), &request.labels)?,
                    id: request.id,
                    binary_output: request.binary_output,
                })
            }
        }
    }

    /// Removes requests whose clients have gone.
    pub(crate) fn sweep(&self) {
        match self {
            Self::Images(endpoint) => endpoint.batcher.sweep(),
            Self::Texts(endpoint) => endpoint.batcher.sweep(),
        }
    }

    /// Stops taking requests and finishes those that wait. Blocks.
    pub(crate) fn stop(&self) {
        match self {
            Self::Images(endpoint) => endpoint.batcher.stop(),
            Self::Texts(endpoint) => endpoint.batcher.stop(),
        }
    }

    /// The counters of a text model.
    pub(crate) fn stats(&self) -> Option<TextStats> {
        match self {
            Self::Images(_) => None,
            Self::Texts(endpoint) => Some(endpoint.model.stats()),
        }
    }
}

/// A classifier's number of classes, and a choice of them.
pub(crate) type Columns = (usize, Vec<usize>);

/// Maximum number of labels in an error about an unknown label.
const SHOWN_LABELS: usize = 20;

/// A request of decoded images, to be compared with `prompts` in place of the model's own labels.
pub(crate) fn bytes(pixels: Vec<u8>, prompts: Option<Vec<String>>) -> ImageWork {
    ImageWork {
        images: Images::Bytes(pixels.into()),
        prompts,
    }
}

pub(crate) struct ImageEndpoint {
    pub info: ModelInfo,
    /// Maximum number of images in a run of the model.
    run: usize,
    batcher: Batcher<ImageWork>,
}

impl ImageEndpoint {
    /// Queues `count` images, in several parts if they are more than a run takes.
    pub(crate) fn score(
        &self,
        charge: Charge<'_>,
        work: ImageWork,
        count: usize,
    ) -> Result<Reply, ApiError> {
        submit(charge, &self.batcher, work.cut(count, self.run))
    }

    /// The name of class `class`; if there are no names, `LABEL_n`, as Hugging Face's tools write
    /// it.
    pub(crate) fn label(&self, class: usize) -> String {
        let name = self.info.labels.get(class);
        name.cloned().unwrap_or_else(|| format!("LABEL_{class}"))
    }

    /// How images are scored by these labels. For pairs like CLIP: the prompts made of them with
    /// `template`, or with the model's own template. For other models: the number of classes, and
    /// the classes that the labels name.
    pub(crate) fn candidates(
        &self,
        labels: &[String],
        template: Option<&str>,
    ) -> Result<(Option<Vec<String>>, Option<Columns>), ApiError> {
        let bad = |text: String| Err(ApiError::BadRequest(text));
        if let Some(own) = &self.info.template {
            let template = template.unwrap_or(own);
            if labels.iter().any(|label| label.trim().is_empty()) {
                return bad("a label is empty; each must be a word or more".into());
            }
            if labels
                .iter()
                .any(|label| label.len() > protocol::MAX_TEXT_BYTES)
            {
                return bad("a label is longer than any model reads".into());
            }
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            return match prompts(template, &labels) {
                Some(prompts) => Ok((Some(prompts.collect()), None)),
                None => bad(format!(
                    "the template `{template}` has no `{{}}`; put `{{}}` where the label belongs"
                )),
            };
        }
        let own = self.labels();
        let places = labels
            .iter()
            .map(|label| own.iter().position(|own| own == label).ok_or(label));
        match places.collect() {
            Ok(columns) => Ok((None, Some((own.len(), columns)))),
            Err(label) => {
                let mut known = own;
                known.truncate(SHOWN_LABELS);
                bad(format!(
                    "`{label}` is none of this classifier's labels, and it knows no others; they are {}{}",
                    known.join(", "),
                    if self.info.classes > SHOWN_LABELS {
                        ", …"
                    } else {
                        ""
                    }
                ))
            }
        }
    }

    /// The names of all classes.
    pub(crate) fn labels(&self) -> Vec<String> {
        (0..self.info.classes)
            .map(|class| self.label(class))
            .collect()
    }
}

pub(crate) struct TextEndpoint {
    pub info: TextInfo,
    pub defaults: Defaults,
    pub model: Arc<TextModel>,
    batcher: Batcher<Prepared>,
}

impl TextEndpoint {
    /// Queues texts to be scored by labels.
    pub(crate) fn score(
        &self,
        caller: &Caller,
        queries: &[TextQuery<'_>],
        labels: &[String],
    ) -> Result<Reply, ApiError> {
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let charge = caller.charge(queries.len())?;
        let prepared = self.model.prepare(queries, &labels).map_err(bad)?;
        submit(charge, &self.batcher, vec![(prepared, queries.len())])
    }

    /// Queues plain texts to be scored by labels, combined according to the
    /// [template](Defaults::template).
    pub(crate) fn classify(
        &self,
        caller: &Caller,
        texts: &[String],
        labels: &[String],
        template: Option<&str>,
    ) -> Result<Reply, ApiError> {
        let template = template.unwrap_or(TextQuery::LABEL_ALONE);
        match self.model.kind() {
            TextKind::SentenceEncoder => {
                let queries: Vec<_> = texts
                    .iter()
                    .map(|text| TextQuery::new(text, template))
                    .collect();
                self.score(caller, &queries, labels)
            }
            TextKind::MaskedLm => {
                let texts = filled(template, texts);
                let queries: Vec<_> = texts
                    .iter()
                    .map(|text| TextQuery::new(text, TextQuery::LABEL_ALONE))
                    .collect();
                self.score(caller, &queries, labels)
            }
        }
    }

    /// Queues texts to be embedded.
    pub(crate) fn embed(&self, caller: &Caller, texts: &[String]) -> Result<Reply, ApiError> {
        let charge = caller.charge(texts.len())?;
        let prepared = self.model.prepare_embeddings(texts);
        let prepared = prepared.ok_or_else(|| self.not_for("embeddings", "sentence encoders"))?;
        submit(charge, &self.batcher, vec![(prepared, texts.len())])
    }

    /// Charges for texts with one mask each and tokenizes them, for [`fill`](Self::fill).
    pub(crate) fn masks<'a>(
        &self,
        caller: &'a Caller,
        texts: &[String],
    ) -> Result<(Fill, Charge<'a>), ApiError> {
        let charge = caller.charge(texts.len())?;
        match self.model.prepare_vocabulary(texts) {
            Some(fill) => Ok((fill.map_err(bad)?, charge)),
            None => Err(self.not_for("filling masks", "masked language models")),
        }
    }

    /// Queues texts for scores of the whole vocabulary at their masks.
    pub(crate) fn fill(&self, charge: Charge<'_>, fill: Fill) -> Result<Reply, ApiError> {
        let count = fill.texts.len();
        submit(charge, &self.batcher, vec![(Prepared::Fill(fill), count)])
    }

    /// The refusal of a task that this kind of model cannot do.
    pub(crate) fn not_for(&self, task: &str, kinds: &str) -> ApiError {
        ApiError::BadRequest(format!(
            "{task} is for {kinds}, and `{}` is a {}",
            self.info.name, self.info.kind
        ))
    }
}

/// Puts texts into a template at its `{}`.
pub(crate) fn filled(template: &str, texts: &[String]) -> Vec<String> {
    texts
        .iter()
        .map(|text| template.replacen("{}", text, 1))
        .collect()
}

fn bad(error: QueryError) -> ApiError {
    ApiError::BadRequest(error.to_string())
}

/// Queues work that was charged; what is not taken is given back.
fn submit<W: Send + 'static>(
    charge: Charge<'_>,
    batcher: &Batcher<W>,
    parts: Vec<(W, usize)>,
) -> Result<Reply, ApiError> {
    match batcher.submit(parts) {
        Ok(answers) => {
            charge.keep();
            Ok(Reply(answers))
        }
        Err(refused) => {
            charge.give_back();
            Err(match refused {
                Refused::Full => ApiError::Full,
                Refused::Stopping => ApiError::Stopping,
            })
        }
    }
}
