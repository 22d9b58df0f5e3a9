//! Calls a model API over HTTP: retries where that can help, counts bytes, gives up with the cause.

use super::on_device::{Device, DeviceError};
use shared::model_api::{
    self, Description, Dialect, Method, ModelApiError, Request, Response, Retry, Scores,
    TextDialect,
};
use shared::rng::{Stream, purpose};
use shared::round::workbench::Queries;
use shared::task::Task;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One call, its retries not included, takes at most this long.
const TIME_OUT: Duration = Duration::from_secs(30);
/// Tries of one call.
const TRIES: u32 = 6;
/// First pause between tries; doubles.
const PAUSE_MS: u64 = 200;
/// Longest pause, also where the server asks for more.
const LONGEST_PAUSE_MS: u64 = 30_000;

/// Why a call was given up.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The answer says so.
    #[error(transparent)]
    Model(#[from] ModelApiError),
    /// No answer.
    #[error(
        "the model API at {url} does not answer: {cause}; check that it runs and that the address is right"
    )]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        cause: String,
    },
    /// The model is to run here, and cannot.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Our own mistake.
    #[error("images were to be sent to a model of texts, or texts to one of images")]
    OtherKind,
    /// No HTTP client.
    #[error("cannot set up HTTP: {0}")]
    Setup(String),
}

/// How the API is spoken to about the task's kind of inputs.
enum Speech {
    Images(Box<dyn Dialect>),
    Texts(Box<dyn TextDialect>),
}

/// A model API and a way to it.
pub struct HttpCaller {
    http: reqwest::Client,
    /// Asked instead of anybody, where the model runs here.
    device: Option<Device>,
    speech: Speech,
    url: String,
    key: Option<String>,
    jitter: Mutex<Stream>,
    sent: AtomicU64,
    received: AtomicU64,
}

impl HttpCaller {
    /// For the task's model API. The key goes into an `Authorization: Bearer` header and nowhere else.
    pub fn new(task: &Task, key: Option<String>) -> Result<Self, CallError> {
        let http = reqwest::Client::builder()
            .timeout(TIME_OUT)
            .build()
            .map_err(|e| CallError::Setup(e.to_string()))?;
        Ok(Self {
            http,
            device: Device::of(task),
            speech: match task.text {
                None => Speech::Images(model_api::dialect(&task.model)?),
                Some(_) => Speech::Texts(model_api::text_dialect(task)?),
            },
            url: task.model.url.clone(),
            key,
            jitter: Mutex::new(Stream::new(u64::from(std::process::id()), purpose::JITTER)),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        })
    }

    /// Keeps a model that runs here in `folder`, so that it is fetched once.
    #[must_use]
    pub fn keeping_models_in(mut self, folder: PathBuf) -> Self {
        if let Some(device) = &mut self.device {
            device.keep_in(folder);
        }
        self
    }

    /// Whether the model runs here.
    pub fn is_on_device(&self) -> bool {
        self.device.is_some()
    }

    /// Bytes sent and received so far, bodies only.
    pub fn bytes(&self) -> (u64, u64) {
        (
            self.sent.load(Ordering::Relaxed),
            self.received.load(Ordering::Relaxed),
        )
    }

    /// Checks that the model is the one that the task describes.
    pub async fn describe(&self) -> Result<Description, CallError> {
        let request = match &self.speech {
            Speech::Images(dialect) => dialect.describe_request(),
            Speech::Texts(dialect) => dialect.describe_request(),
        };
        self.call(&request, |response| match &self.speech {
            Speech::Images(dialect) => dialect.check_description(response),
            Speech::Texts(dialect) => dialect.check_description(response),
        })
        .await
    }

    /// Scores of all inputs, which must be of the task's kind.
    pub async fn ask(&self, queries: Queries) -> Result<Scores, CallError> {
        let count = queries.count();
        let request = match (&self.speech, queries) {
            (Speech::Images(dialect), Queries::Images { bytes, count }) => {
                dialect.infer_request(&bytes, count)?
            }
            (Speech::Texts(dialect), Queries::Texts(queries)) => dialect.infer_request(&queries),
            _ => return Err(CallError::OtherKind),
        };
        self.call(&request, |response| match &self.speech {
            Speech::Images(dialect) => dialect.parse(response, count),
            Speech::Texts(dialect) => dialect.parse(response, count),
        })
        .await
    }

    async fn call<T>(
        &self,
        request: &Request,
        read: impl Fn(&Response<'_>) -> Result<T, ModelApiError>,
    ) -> Result<T, CallError> {
        if let Some(device) = &self.device {
            let answer = device.answer(request).await?;
            return Ok(read(&Response {
                status: answer.status,
                headers: &answer.headers,
                body: &answer.body,
            })?);
        }
        let mut pause = PAUSE_MS;
        let mut tries = 1;
        loop {
            let (error, wait) = match self.once(request).await {
                Ok((status, headers, body)) => {
                    let response = Response {
                        status,
                        headers: &headers,
                        body: &body,
                    };
                    match read(&response) {
                        Ok(value) => return Ok(value),
                        Err(error) => match error.retry() {
                            Retry::Safe { after_ms } => (CallError::from(error), after_ms),
                            Retry::Never => return Err(error.into()),
                        },
                    }
                }
                Err(error) => (error, None),
            };
            if tries == TRIES {
                return Err(error);
            }
            let jitter = self.jitter.lock().map_or(0.5, |mut s| s.uniform());
            let wait = wait.unwrap_or(pause).min(LONGEST_PAUSE_MS);
            let wait = Duration::from_millis(wait + (wait as f32 * 0.5 * jitter) as u64);
            tracing::debug!(tries, ?wait, %error, "asking the model again");
            tokio::time::sleep(wait).await;
            pause *= 2;
            tries += 1;
        }
    }

    async fn once(
        &self,
        request: &Request,
    ) -> Result<(u16, Vec<(String, String)>, Vec<u8>), CallError> {
        let unreachable = |e: reqwest::Error| CallError::Unreachable {
            url: self.url.clone(),
            cause: cause_of(&e),
        };
        let url = format!("{}{}", self.url, request.path);
        let mut builder = match request.method {
            Method::Get => self.http.get(url),
            Method::Post => self.http.post(url),
        };
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if let Some(key) = &self.key {
            builder = builder.bearer_auth(key);
        }
        self.sent
            .fetch_add(request.body.len() as u64, Ordering::Relaxed);
        let response = builder
            .body(request.body.clone())
            .send()
            .await
            .map_err(unreachable)?;
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .filter_map(|(n, v)| Some((n.as_str().to_owned(), v.to_str().ok()?.to_owned())))
            .collect();
        let body = response.bytes().await.map_err(unreachable)?.to_vec();
        self.received
            .fetch_add(body.len() as u64, Ordering::Relaxed);
        Ok((status, headers, body))
    }
}

/// The innermost cause: "connection refused" says more than "error sending request".
pub fn cause_of(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
