//! What stands behind the routes: one model, its requests' form, and the queue before it.

use std::sync::Arc;

use actix_web::web::Bytes;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::batcher::{Answer, Backend, Batcher, Images, Limits, Refused};
use crate::error::ApiError;
use crate::metrics::{Metrics, Unit};
use crate::protocol::{self, ModelInfo, TextInfo};
use crate::text::Prepared;
use crate::{TextModel, TextStats};

/// A request that waits for its scores.
pub(crate) struct Waiting {
    pub id: Option<String>,
    pub classes: usize,
    /// Whether the scores are sent as bytes behind the JSON.
    pub binary_output: bool,
    /// Dropped when the client goes away, which withdraws the request.
    pub answer: oneshot::Receiver<Answer>,
}

/// One served model.
pub(crate) trait Endpoint: Send + Sync {
    fn name(&self) -> &str;
    /// The name of its output.
    fn output(&self) -> &str;
    fn metadata(&self) -> Value;
    /// Whether reading a body takes long enough to hold up other connections. `json` of its
    /// bytes are JSON.
    fn is_slow(&self, json: usize) -> bool;
    /// Reads a request and queues it. `header_length` is the value of
    /// [`HEADER_LENGTH`](protocol::HEADER_LENGTH), if it came.
    fn accept(&self, body: &Bytes, header_length: Option<&str>) -> Result<Waiting, ApiError>;
    /// Drops what nobody waits for any more.
    fn sweep(&self);
    /// Finishes what waits and takes no more. Blocks.
    fn stop(&self);
    /// What a text model has done so far.
    fn stats(&self) -> Option<TextStats> {
        None
    }
}

/// A model that is not served yet.
pub(crate) enum Service {
    Images(ModelInfo, Arc<dyn Backend<Images>>),
    Texts(TextInfo, Arc<TextModel>),
}

impl Service {
    pub(crate) fn unit(&self) -> Unit {
        match self {
            Self::Images(..) => Unit::Images,
            Self::Texts(..) => Unit::Texts,
        }
    }

    /// Starts its `workers` threads.
    pub(crate) fn start(
        self,
        workers: usize,
        limits: Limits,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Arc<dyn Endpoint>> {
        Ok(match self {
            Self::Images(model, backend) => Arc::new(ImageEndpoint {
                model,
                batcher: Batcher::start(backend, workers, limits, metrics)?,
            }),
            Self::Texts(info, model) => Arc::new(TextEndpoint {
                info,
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

fn refused(refused: Refused) -> ApiError {
    match refused {
        Refused::Full => ApiError::Full,
        Refused::Stopping => ApiError::Stopping,
    }
}

struct ImageEndpoint {
    model: ModelInfo,
    batcher: Batcher<Images>,
}

/// From here on JSON of numbers is parsed on a thread of the blocking pool.
const LARGE_JSON: usize = 64 << 10;

impl Endpoint for ImageEndpoint {
    fn name(&self) -> &str {
        &self.model.name
    }

    fn output(&self) -> &str {
        &self.model.output
    }

    fn metadata(&self) -> Value {
        self.model.metadata()
    }

    fn is_slow(&self, json: usize) -> bool {
        json >= LARGE_JSON
    }

    fn accept(&self, body: &Bytes, header_length: Option<&str>) -> Result<Waiting, ApiError> {
        let request = protocol::parse_images(&self.model, body, header_length)?;
        let answer = self.batcher.submit(request.images, request.count);
        Ok(Waiting {
            id: request.id,
            classes: self.model.classes,
            binary_output: request.binary_output,
            answer: answer.map_err(refused)?,
        })
    }

    fn sweep(&self) {
        self.batcher.sweep();
    }

    fn stop(&self) {
        self.batcher.stop();
    }
}

struct TextEndpoint {
    info: TextInfo,
    model: Arc<TextModel>,
    batcher: Batcher<Prepared>,
}

impl Endpoint for TextEndpoint {
    fn name(&self) -> &str {
        &self.info.name
    }

    fn output(&self) -> &str {
        protocol::LOGITS
    }

    fn metadata(&self) -> Value {
        self.info.metadata()
    }

    /// Tokenizing is slow even where reading is not.
    fn is_slow(&self, _: usize) -> bool {
        true
    }

    fn accept(&self, body: &Bytes, header_length: Option<&str>) -> Result<Waiting, ApiError> {
        let request = protocol::parse_texts(&self.info, body, header_length)?;
        let labels: Vec<&str> = request.labels.iter().map(String::as_str).collect();
        let prepared = self
            .model
            .prepare(&request.queries(), &labels)
            .map_err(|error| ApiError::BadRequest(error.to_string()))?;
        let answer = self.batcher.submit(prepared, request.texts.len());
        Ok(Waiting {
            classes: labels.len(),
            id: request.id,
            binary_output: request.binary_output,
            answer: answer.map_err(refused)?,
        })
    }

    fn sweep(&self) {
        self.batcher.sweep();
    }

    fn stop(&self) {
        self.batcher.stop();
    }

    fn stats(&self) -> Option<TextStats> {
        Some(self.model.stats())
    }
}
