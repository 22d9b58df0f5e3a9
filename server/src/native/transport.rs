//! The transport of a separate process: HTTP by `reqwest`, or a model that runs in this process.

use super::body::{self, BodyError};
use super::embeddings::Loading;
use super::on_device::Device;
use federation::task::Task;
use ground::rng::{Stream, purpose};
use model_client::caller::{CallError, Caller};
use model_client::transport::{Answer, Call, NoAnswer, Transport};
use participant::api::{Api, ApiError};
pub use relay::cause_of;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The client of the aggregator's API over HTTP.
pub type Aggregator = Api<HttpTransport>;
/// The client of a model API over HTTP, or of a model in this process.
pub type HttpCaller = Caller<HttpTransport>;

/// The client of the aggregator at `base`, with a participant's or the organiser's token.
///
/// # Errors
/// HTTP cannot be set up.
pub fn aggregator(base: &str, token: Option<String>) -> Result<Aggregator, ApiError> {
    let transport = HttpTransport::new().map_err(|why| ApiError::Unreachable {
        url: base.to_owned(),
        reason: NoAnswer::Never { why },
    })?;
    Ok(Api::new(base, token, transport))
}

/// The client of the task's model API, with `key`. The files of a model that runs here, or of its
/// embeddings, are kept in `folder`, so that they are fetched once.
///
/// # Errors
/// HTTP cannot be set up, or the task's model is not one that can be asked.
pub fn model_api(
    task: &Task,
    key: Option<String>,
    folder: Option<PathBuf>,
) -> Result<HttpCaller, CallError> {
    let mut transport = HttpTransport::new().map_err(CallError::Cannot)?;
    transport.device = Device::of(task);
    transport.embeddings = Loading::of(task);
    if let Some(folder) = folder {
        if let Some(device) = &mut transport.device {
            device.keep_in(folder.clone());
        }
        if let Some(embeddings) = &mut transport.embeddings {
            embeddings.keep_in(folder);
        }
    }
    let embedder = transport.embeddings.as_ref().map(Loading::embedder);
    let caller = participant::caller(task, embedder, transport)?;
    caller.set_key(key);
    Ok(caller)
}

/// HTTP, the process's clock, and the model in this process if the task has one.
pub struct HttpTransport {
    http: reqwest::Client,
    /// The model, if it runs here.
    device: Option<Device>,
    /// The embeddings, if prompts are sent as such.
    embeddings: Option<Loading>,
    begun: Instant,
    jitter: Mutex<Stream>,
}

impl HttpTransport {
    fn new() -> Result<Self, String> {
        let http = reqwest::Client::builder().build();
        Ok(Self {
            http: http.map_err(|e| format!("cannot set up HTTP: {e}"))?,
            device: None,
            embeddings: None,
            begun: Instant::now(),
            jitter: Mutex::new(Stream::new(u64::from(std::process::id()), purpose::JITTER)),
        })
    }

    /// Whether prompts, with the texts in them, are sent as embeddings.
    pub fn sends_embeddings(&self) -> bool {
        self.embeddings.is_some()
    }

    async fn ask(&self, call: &Call<'_>) -> Result<Answer, NoAnswer> {
        let limit = Duration::from_secs_f64(call.limit_ms / 1000.0);
        let failed = |error: reqwest::Error| match error.is_timeout() {
            true => NoAnswer::TimedOut {
                seconds: limit.as_secs() as u32,
            },
            false => NoAnswer::Unreachable {
                cause: cause_of(&error),
            },
        };
        let method = match call.method {
            "POST" => reqwest::Method::POST,
            "DELETE" => reqwest::Method::DELETE,
            _ => reqwest::Method::GET,
        };
        let mut request = self.http.request(method, call.url()).timeout(limit);
        for (name, value) in &call.headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = call.body {
            request = request.body(body.to_vec());
        }
        let response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let headers = response.headers().iter();
        let headers =
            headers.filter_map(|(n, v)| Some((n.to_string(), v.to_str().ok()?.to_owned())));
        let headers = headers.collect();
        match body::read(response, body::OF_A_SERVER).await {
            Ok(body) => Ok(Answer {
                status,
                headers,
                body,
            }),
            Err(BodyError::Broken(error)) => Err(failed(error)),
            Err(BodyError::TooLarge { most }) => Err(NoAnswer::TooLarge { most }),
        }
    }
}

impl Transport for HttpTransport {
    async fn send(&self, call: Call<'_>) -> Result<Answer, NoAnswer> {
        if let Some(device) = &self.device {
            return device.answer(&call).await.map_err(never);
        }
        let answer = self.ask(&call).await;
        if let Err(reason) = &answer {
            tracing::warn!(url = call.base, %reason, "no answer");
        }
        answer
    }

    fn now_ms(&self) -> f64 {
        self.begun.elapsed().as_secs_f64() * 1000.0
    }

    async fn sleep(&self, ms: f64) {
        tokio::time::sleep(Duration::from_secs_f64(ms.max(0.0) / 1000.0)).await;
    }

    fn uniform(&self) -> f32 {
        let jitter = self.jitter.lock();
        jitter.unwrap_or_else(PoisonError::into_inner).uniform()
    }

    fn is_here(&self) -> bool {
        self.device.is_some()
    }

    async fn ready(&self) -> Result<(), NoAnswer> {
        match &self.embeddings {
            Some(embeddings) => embeddings.ready().await.map_err(never),
            None => Ok(()),
        }
    }
}

fn never(error: impl std::error::Error) -> NoAnswer {
    NoAnswer::Never {
        why: error.to_string(),
    }
}
