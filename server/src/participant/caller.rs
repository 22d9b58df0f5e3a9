//! Calls a model API over HTTP, at the pace that its answers allow: retries where that can help, counts bytes and
//! money, gives up with the cause.

use super::body::{self, BodyError};
use super::embeddings::{Loading, TableError};
use super::on_device::{Device, DeviceError};
use super::purse::{Paying, Purse};
use federation::round::asking::Asking;
use federation::round::workbench::REQUEST_IMAGES;
use federation::task::Task;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use ground::rng::{Stream, purpose};
use model_client::cache::Cache;
use model_client::pace::{Pace, Ticket, most_inputs};
use model_client::tally::Tally;
use model_client::{
    Description, Dialect, Method, ModelApiError, Protocol, Request, Response, Retry, Scores,
    TextDialect, Usage,
};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tuning::query::Queries;

/// Tries of one call.
const TRIES: u32 = 6;
/// First pause between tries; doubles.
const PAUSE_MS: u64 = 200;
/// Tries of a call that the server has no room for: limits of a minute must pass.
const BUSY_TRIES: u32 = 12;
/// Longest pause that is chosen here.
const LONGEST_PAUSE_MS: u64 = 30_000;
/// Longest pause where the server asks for one.
const LONGEST_ASKED_MS: u64 = 600_000;
/// After so long it is looked again whether a request may leave.
const LONGEST_WAIT_MS: f64 = 60_000.0;

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
    /// The money is spent.
    #[error(
        "the budget of {budget} {currency} for the model API (model.price.budget) is spent: {spent:.4} {currency} so far, and another question would exceed it"
    )]
    Budget {
        /// So far.
        spent: f64,
        /// At most.
        budget: f64,
        /// Of both.
        currency: String,
    },
    /// The model is to run here, and cannot.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Prompts are to be sent as embeddings, and cannot.
    #[error(transparent)]
    Embeddings(#[from] TableError),
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

impl Speech {
    /// What holds whatever the inputs are.
    fn protocol(&self) -> &dyn Protocol {
        match self {
            Self::Images(dialect) => &**dialect,
            Self::Texts(dialect) => &**dialect,
        }
    }
}

/// A model API and a way to it.
pub struct HttpCaller {
    http: reqwest::Client,
    /// Asked instead of anybody, where the model runs here.
    device: Option<Device>,
    /// Needed where prompts are sent as embeddings.
    embeddings: Option<Loading>,
    speech: Speech,
    url: String,
    key: Option<String>,
    classes: usize,
    begun: Instant,
    pace: Mutex<Pace>,
    purse: Purse,
    /// What was called by everybody, whoever paid.
    all: Mutex<Tally>,
    /// Nothing where none is kept.
    cache: Option<Mutex<Cache>>,
    /// What was under way has ended, one way or the other.
    ended: Notify,
    under_way: AtomicUsize,
    jitter: Mutex<Stream>,
    sent: AtomicU64,
    received: AtomicU64,
}

impl HttpCaller {
    /// For the task's model API. The key goes into an `Authorization: Bearer` header and nowhere else.
    pub fn new(task: &Task, key: Option<String>) -> Result<Self, CallError> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_millis(task.model.calls.time_out_ms.into()))
            .build()
            .map_err(|e| CallError::Setup(e.to_string()))?;
        let embeddings = Loading::of(task);
        Ok(Self {
            http,
            device: Device::of(task),
            speech: match task.text {
                None => Speech::Images(model_client::dialect(&task.model)?),
                Some(_) => {
                    let embedder = embeddings.as_ref().map(Loading::embedder);
                    Speech::Texts(task.text_dialect(embedder)?)
                }
            },
            embeddings,
            url: task.model.url.clone(),
            key,
            classes: task.model.output.classes,
            begun: Instant::now(),
            pace: Mutex::new(Pace::new(
                &task.model.calls,
                REQUEST_IMAGES,
                most_inputs(task.input_bytes()),
            )),
            purse: Purse::new(task.model.price.clone()),
            all: Mutex::default(),
            cache: match task.model.calls.cache {
                0 => None,
                most => Some(Mutex::new(Cache::new(most as usize))),
            },
            ended: Notify::new(),
            under_way: AtomicUsize::new(0),
            jitter: Mutex::new(Stream::new(u64::from(std::process::id()), purpose::JITTER)),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        })
    }

    /// Keeps a model that runs here, or its embeddings, in `folder`, so that they are fetched once.
    #[must_use]
    pub fn keeping_models_in(mut self, folder: PathBuf) -> Self {
        if let Some(device) = &mut self.device {
            device.keep_in(folder.clone());
        }
        if let Some(embeddings) = &mut self.embeddings {
            embeddings.keep_in(folder);
        }
        self
    }

    /// Whether prompts, with the texts in them, are sent as embeddings.
    pub fn sends_embeddings(&self) -> bool {
        self.embeddings.is_some()
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

    /// Requests that may be under way now.
    pub fn window(&self) -> usize {
        locked(&self.pace).window()
    }

    /// Inputs that a request may hold now.
    pub fn batch(&self) -> usize {
        locked(&self.pace).batch()
    }

    /// Inputs that the next request of an evaluation of `total` should hold.
    pub fn cut(&self, total: usize) -> usize {
        locked(&self.pace).cut(total)
    }

    /// The same for requests that are only prepared.
    pub fn size_of(&self, total: usize) -> usize {
        locked(&self.pace).size_of(total)
    }

    /// A request of `inputs` failed. Whether smaller ones are to be tried.
    fn too_large(&self, error: &CallError, inputs: usize) -> bool {
        let surely = match error {
            CallError::Model(ModelApiError::TooLarge { .. }) => true,
            CallError::Model(
                ModelApiError::BadRequest { .. } | ModelApiError::ServerError { .. },
            )
            | CallError::Unreachable { .. } => false,
            _ => return false,
        };
        locked(&self.pace).too_large(inputs, surely)
    }

    /// Whoever asks pays with this, unless it is somebody else's question.
    pub fn purse(&self) -> &Purse {
        &self.purse
    }

    /// What was called so far by everybody, whoever paid.
    pub fn all(&self) -> Tally {
        *locked(&self.all)
    }

    /// Checks that the model is the one that the task describes, and learns how much it takes at once.
    pub async fn describe(&self) -> Result<Description, CallError> {
        let protocol = self.speech.protocol();
        let request = protocol.describe_request();
        let read = |response: &Response<'_>| protocol.check_description(response);
        // A dialect without a description asks about one harmless input.
        let asked = usize::from(request.method == Method::Post);
        let mut description = self.call(&self.purse, &request, asked, read).await?;
        if description.max_batch.is_none() {
            description.max_batch = self.limit().await;
        }
        if let Some(most) = description.max_batch {
            locked(&self.pace).limit_batch(most);
        }
        self.try_embeddings().await?;
        Ok(description)
    }

    /// Where prompts are sent as embeddings: whether the model takes them, and whether they are its own.
    async fn try_embeddings(&self) -> Result<(), CallError> {
        let (Some(embeddings), Speech::Texts(dialect)) = (&self.embeddings, &self.speech) else {
            return Ok(());
        };
        embeddings.ready().await?;
        let mut words = None;
        for request in dialect.trial()?.into_iter().flatten() {
            let read = |response: &Response<'_>| dialect.read_trial(response, words.as_ref());
            words = Some(self.call(&self.purse, &request, 1, read).await?);
        }
        Ok(())
    }

    /// The largest batch, where the server says it elsewhere. Most do not, and then no answer is no fault.
    async fn limit(&self) -> Option<usize> {
        let protocol = self.speech.protocol();
        let request = protocol.limit_request().filter(|_| !self.is_on_device())?;
        let (status, headers, body) = self.once(&request).await.ok()?;
        protocol.limit(&Response {
            status,
            headers: &headers,
            body: &body,
        })
    }

    /// Sends a request of another kind than the task's questions to the same API: with the same repetitions, waits
    /// and counts.
    pub async fn converse<T>(
        &self,
        request: &Request,
        read: impl Fn(&Response<'_>) -> Result<T, ModelApiError>,
    ) -> Result<T, CallError> {
        self.call(&self.purse, request, 1, read).await
    }

    /// Scores of all inputs, which must be of the task's kind and fit into one request. What was answered before is
    /// not asked again.
    async fn ask(&self, purse: &Purse, queries: Queries) -> Result<Scores, CallError> {
        let Some(cache) = &self.cache else {
            return self.ask_api(purse, &queries).await;
        };
        let asked = loop {
            // Before looking: what ends in between is not missed.
            let ended = self.ended.notified();
            let split = locked(cache).split(&queries);
            match split {
                Some(asked) => break asked,
                None => ended.await,
            }
        };
        // Also where this future is dropped: others wait for it.
        let mut under_way = UnderWay {
            caller: self,
            ticket: Some(asked.ticket()),
        };
        let answer = match &asked.missing {
            Some(missing) => Some(self.ask_api(purse, missing).await?),
            None => None,
        };
        under_way.ticket = None;
        let joined = locked(cache).join(asked, answer.as_ref(), self.classes);
        drop(under_way);
        Ok(joined?)
    }

    /// Scores of any number of inputs, asked in as many requests as it takes, and paid for with `purse`.
    pub async fn ask_all(&self, purse: &Purse, queries: &Queries) -> Result<Scores, CallError> {
        let mut asking = Asking::new(queries.count());
        let next = |asking: &mut Asking| {
            let request = asking.cut(self.cut(asking.total()))?;
            Some((request.clone(), queries.part(request)))
        };
        self.ask_missing(purse, &mut asking, next, || ()).await?;
        let answers = asking.into_answers();
        let values = answers.iter().flat_map(Scores::values).copied().collect();
        Ok(Scores::new(self.classes, values)?)
    }

    /// Asks what `asking` has left, as many requests at a time as the pace allows: `next` cuts one off when its place comes
    /// free, and gives its inputs and what it asks; `all_sent` is called after the last. When one was too large, the others'
    /// answers, which are paid for, are awaited, and what was not answered is cut again.
    ///
    /// # Errors
    /// Of the first request that gets no scores.
    pub async fn ask_missing(
        &self,
        purse: &Purse,
        asking: &mut Asking,
        mut next: impl FnMut(&mut Asking) -> Option<(Range<usize>, Queries)>,
        all_sent: impl FnOnce(),
    ) -> Result<(), CallError> {
        let (mut all_sent, mut too_large) = (Some(all_sent), false);
        let mut under_way = FuturesUnordered::new();
        loop {
            while !too_large
                && under_way.len() < self.window()
                && let Some((inputs, queries)) = next(asking)
            {
                let answer = self.ask(purse, queries);
                under_way.push(async move { (inputs, answer.await) });
            }
            if !asking.is_more()
                && let Some(all_sent) = all_sent.take()
            {
                all_sent();
            }
            match under_way.next().await {
                Some((inputs, Ok(scores))) => asking.answered(inputs.start, scores),
                Some((inputs, Err(error))) if self.too_large(&error, inputs.len()) => {
                    tracing::debug!(%error, inputs = inputs.len(), "smaller requests are tried");
                    too_large = true;
                }
                Some((_, Err(error))) => return Err(error),
                None if too_large => {
                    too_large = false;
                    asking.again();
                }
                None => return Ok(()),
            }
        }
    }

    async fn ask_api(&self, purse: &Purse, queries: &Queries) -> Result<Scores, CallError> {
        let count = queries.count();
        if let Some(embeddings) = &self.embeddings {
            embeddings.ready().await?;
        }
        let request = match (&self.speech, queries) {
            (Speech::Images(dialect), Queries::Images { bytes, count }) => {
                dialect.infer_request(bytes, *count)?
            }
            (Speech::Texts(dialect), Queries::Texts(queries)) => dialect.infer_request(queries)?,
            _ => return Err(CallError::OtherKind),
        };
        let protocol = self.speech.protocol();
        self.call(purse, &request, count, |response| {
            protocol.parse(response, count)
        })
        .await
    }

    /// Waits until a request may leave: for the money, the rate, and pauses that the server asked for.
    async fn leave<'a>(
        &self,
        purse: &'a Purse,
        queries: usize,
    ) -> Result<(Ticket, Paying<'a>), CallError> {
        let paying = purse.pay(queries, self.batch()).await?;
        loop {
            let taken = locked(&self.pace).take(self.now_ms());
            match taken {
                Ok(ticket) => return Ok((ticket, paying)),
                Err(wait) => {
                    let wait = wait.min(LONGEST_WAIT_MS);
                    tokio::time::sleep(Duration::from_secs_f64(wait / 1000.0)).await;
                }
            }
        }
    }

    fn now_ms(&self) -> f64 {
        self.begun.elapsed().as_secs_f64() * 1000.0
    }

    fn count(&self, purse: &Purse, queries: usize, usage: Option<Usage>) {
        purse.add(queries, usage);
        locked(&self.all).add(queries, usage);
    }

    /// `queries`: how many inputs the request holds.
    async fn call<T>(
        &self,
        purse: &Purse,
        request: &Request,
        queries: usize,
        read: impl Fn(&Response<'_>) -> Result<T, ModelApiError>,
    ) -> Result<T, CallError> {
        if let Some(device) = &self.device {
            let answer = device.answer(request).await?;
            let value = read(&Response {
                status: answer.status,
                headers: &answer.headers,
                body: &answer.body,
            })?;
            self.count(purse, queries, None);
            return Ok(value);
        }
        let mut pause = PAUSE_MS;
        let mut tries = 1;
        loop {
            let (ticket, paying) = self.leave(purse, queries).await?;
            let (sent, counted) = (Instant::now(), Counted::new(&self.under_way));
            let result = self.once(request).await;
            let under_way = counted.end();
            let mut most = TRIES;
            let (error, wait) = match result {
                Ok((status, headers, body)) => {
                    let response = Response {
                        status,
                        headers: &headers,
                        body: &body,
                    };
                    if (200..300).contains(&status) && queries > 0 {
                        self.count(purse, queries, self.speech.protocol().usage(&response));
                    }
                    match read(&response) {
                        Ok(value) => {
                            let took = sent.elapsed().as_secs_f64() * 1000.0;
                            locked(&self.pace).answered(took, under_way, queries);
                            return Ok(value);
                        }
                        Err(error) => match error.retry() {
                            Retry::Safe { after_ms } => {
                                if matches!(error, ModelApiError::Busy { .. }) {
                                    most = BUSY_TRIES;
                                    self.push_back(ticket, after_ms.or(Some(pause)));
                                }
                                (CallError::from(error), after_ms)
                            }
                            Retry::Never => return Err(error.into()),
                        },
                    }
                }
                Err(error) => {
                    self.push_back(ticket, None);
                    (error, None)
                }
            };
            if tries >= most {
                return Err(error);
            }
            drop(paying);
            let jitter = self.jitter.lock().map_or(0.5, |mut s| s.uniform());
            let wait = match wait {
                Some(asked) => asked.min(LONGEST_ASKED_MS),
                None => pause.min(LONGEST_PAUSE_MS),
            };
            let wait = Duration::from_millis(wait + (wait as f32 * 0.5 * jitter) as u64);
            match &error {
                CallError::Unreachable { .. } => {
                    tracing::warn!(tries, ?wait, %error, "no answer of the model; it is asked again");
                }
                _ => tracing::debug!(tries, ?wait, %error, "asking the model again"),
            }
            tokio::time::sleep(wait).await;
            pause = (2 * pause).min(LONGEST_PAUSE_MS);
            tries += 1;
        }
    }

    fn push_back(&self, ticket: Ticket, after_ms: Option<u64>) {
        let after_ms = after_ms.map(|ms| ms.min(LONGEST_ASKED_MS));
        locked(&self.pace).pushed_back(ticket, self.now_ms(), after_ms);
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
        let body = match body::read(response, body::OF_A_MODEL).await {
            Ok(body) => body,
            Err(BodyError::Broken(error)) => return Err(unreachable(error)),
            Err(error @ BodyError::TooLarge { .. }) => {
                let detail = error.to_string();
                return Err(ModelApiError::NotThisProtocol { detail }.into());
            }
        };
        self.received
            .fetch_add(body.len() as u64, Ordering::Relaxed);
        Ok((status, headers, body))
    }
}

/// Inputs under way that others may wait for; given up where no answer came.
struct UnderWay<'a> {
    caller: &'a HttpCaller,
    ticket: Option<model_client::cache::Ticket>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let (Some(cache), Some(ticket)) = (&self.caller.cache, &self.ticket) {
            locked(cache).give_up(ticket);
        }
        self.caller.ended.notify_waiters();
    }
}

/// A request under way, as long as this lives: a call that is dropped is none any more.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }

    /// Ends it; how many were under way, this one included.
    fn end(self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a panic elsewhere left half done is only numbers for the pace and the count.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The innermost cause: "connection refused" says more than "error sending request".
pub fn cause_of(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
