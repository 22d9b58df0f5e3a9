//! Calls a model API at the pace that its answers allow. It repeats calls where that can help,
//! answers from its cache, counts bytes and money, and gives up with the cause. The [`Transport`]
//! decides how a request travels.

use crate::asking::Asking;
use crate::cache::{self, Cache};
use crate::pace::{Pace, REQUEST_INPUTS, Ticket, most_inputs};
use crate::purse::{Paying, Purse};
use crate::retry;
use crate::tally::Tally;
use crate::transport::{Answer, Call, NoAnswer, Transport};
use crate::{
    Description, Dialect, Method, ModelApiError, ModelSpec, Protocol, Request, Response, Scores,
    TextDialect, Usage,
};
use event_listener::Event;
use futures::stream::{FuturesUnordered, StreamExt as _};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use tuning::query::Queries;

/// Longest time in milliseconds before checking again whether a request may leave.
const LONGEST_WAIT_MS: f64 = 60_000.0;

/// Why a call to the model API was given up.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CallError {
    /// The answer says why.
    #[error(transparent)]
    Model(#[from] ModelApiError),
    /// No answer came.
    #[error(
        "the model API at {url} does not answer: {reason}; check that it runs and that the address is right"
    )]
    Silent {
        /// The address that was asked.
        url: String,
        /// Why there was no answer.
        reason: NoAnswer,
    },
    /// The money is spent.
    #[error(
        "the budget of {budget} {currency} for the model API (model.price.budget) is spent: {spent:.4} {currency} so far, and another question would exceed it"
    )]
    Budget {
        /// The amount spent so far.
        spent: f64,
        /// The maximum amount that may be spent.
        budget: f64,
        /// The currency of both amounts.
        currency: String,
    },
    /// The platform cannot ask at all, because a local model or a table of embeddings cannot be
    /// loaded.
    #[error("{0}")]
    Cannot(String),
    /// A mistake in this program: images for a model of texts, or the reverse.
    #[error("images were to be sent to a model of texts, or texts to one of images")]
    OtherKind,
}

/// The dialect, for a model of images or of texts.
enum Speech {
    Images(Box<dyn Dialect>),
    Texts(Box<dyn TextDialect>),
}

impl Speech {
    /// The part of the dialect that is the same for images and texts.
    fn protocol(&self) -> &dyn Protocol {
        match self {
            Self::Images(dialect) => &**dialect,
            Self::Texts(dialect) => &**dialect,
        }
    }
}

/// The client of one model API: a dialect, a transport, the pace, the cache and the counts.
pub struct Caller<T> {
    transport: T,
    speech: Speech,
    url: String,
    key: Mutex<Option<String>>,
    limit_ms: f64,
    classes: usize,
    pace: Mutex<Pace>,
    purse: Purse,
    /// All calls so far, no matter which purse paid for them.
    all: Mutex<Tally>,
    /// Answers that are known; `None` if the task file turns caching off.
    cache: Option<Mutex<Cache>>,
    /// Raised whenever a question that was under way has ended, with or without an answer.
    ended: Event,
    under_way: AtomicUsize,
    sent: AtomicU64,
    received: AtomicU64,
}

impl<T: Transport> Caller<T> {
    /// Makes the client of a model API of images, or, with `texts`, of texts. An input takes about
    /// `input_bytes` bytes in a request.
    ///
    /// # Errors
    /// [`ModelApiError::InvalidSpec`] with every fault of `spec`.
    pub fn new(
        spec: &ModelSpec,
        texts: Option<Box<dyn TextDialect>>,
        input_bytes: usize,
        transport: T,
    ) -> Result<Self, ModelApiError> {
        let calls = &spec.calls;
        Ok(Self {
            transport,
            speech: match texts {
                Some(dialect) => Speech::Texts(dialect),
                None => Speech::Images(crate::dialect(spec)?),
            },
            url: spec.url.trim_end_matches('/').to_owned(),
            key: Mutex::default(),
            limit_ms: calls.time_out_ms.into(),
            classes: spec.output.classes,
            pace: Mutex::new(Pace::new(calls, REQUEST_INPUTS, most_inputs(input_bytes))),
            purse: Purse::new(spec.price.clone()),
            all: Mutex::default(),
            cache: match calls.cache {
                0 => None,
                most => Some(Mutex::new(Cache::new(most as usize))),
            },
            ended: Event::new(),
            under_way: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        })
    }

    /// Sets the API key of the person who asks. It goes into an `Authorization: Bearer` header and
    /// nowhere else.
    pub fn set_key(&self, key: Option<String>) {
        *locked(&self.key) = key.filter(|key| !key.is_empty());
    }

    /// The transport that carries requests.
    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// The API's address, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Numbers of bytes sent and received so far, in bodies only.
    pub fn bytes(&self) -> [u64; 2] {
        [&self.sent, &self.received].map(|count| count.load(Ordering::Relaxed))
    }

    /// Continues the byte counts from earlier values.
    pub fn resume_bytes(&self, bytes: [u64; 2]) {
        self.sent.store(bytes[0], Ordering::Relaxed);
        self.received.store(bytes[1], Ordering::Relaxed);
    }

    /// Number of requests that may be under way now.
    pub fn window(&self) -> usize {
        locked(&self.pace).window()
    }

    /// Number of inputs that a request may hold now.
    pub fn batch(&self) -> usize {
        locked(&self.pace).batch()
    }

    /// Number of inputs for the next request of an evaluation of `total` inputs.
    pub fn cut(&self, total: usize) -> usize {
        locked(&self.pace).cut(total)
    }

    /// Number of inputs for a request of an evaluation of `total` inputs that is only being
    /// prepared.
    pub fn size_of(&self, total: usize) -> usize {
        locked(&self.pace).size_of(total)
    }

    /// Notes that a request of `inputs` inputs failed; returns whether to try smaller ones.
    fn too_large(&self, error: &CallError, inputs: usize) -> bool {
        let surely = match error {
            CallError::Model(ModelApiError::TooLarge { .. }) => true,
            CallError::Model(
                ModelApiError::BadRequest { .. } | ModelApiError::ServerError { .. },
            )
            | CallError::Silent { .. } => false,
            _ => return false,
        };
        locked(&self.pace).too_large(inputs, surely)
    }

    /// The participant's own purse, which pays unless another one is named.
    pub fn purse(&self) -> &Purse {
        &self.purse
    }

    /// All calls so far, no matter which purse paid for them.
    pub fn all(&self) -> Tally {
        *locked(&self.all)
    }

    /// Checks that the model is the one that the task describes, and learns how many inputs it
    /// takes at once.
    ///
    /// # Errors
    /// The model is another one, or it does not answer.
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

    /// Tries whether the model takes prompts as embeddings and has the same table of embeddings.
    /// Does nothing if the task sends none.
    async fn try_embeddings(&self) -> Result<(), CallError> {
        let Speech::Texts(dialect) = &self.speech else {
            return Ok(());
        };
        self.ready().await?;
        let mut words = None;
        for request in dialect.trial()?.into_iter().flatten() {
            let read = |response: &Response<'_>| dialect.read_trial(response, words.as_ref());
            words = Some(self.call(&self.purse, &request, 1, read).await?);
        }
        Ok(())
    }

    /// The largest batch, from a server that states it apart from the model's description. Most do
    /// not, so a missing answer is no error.
    async fn limit(&self) -> Option<usize> {
        let protocol = self.speech.protocol();
        let request = protocol.limit_request();
        let request = request.filter(|_| !self.transport.is_here())?;
        let answer = self.once(&request).await.ok()?;
        protocol.limit(&answer.response())
    }

    /// Sends a request that is no query of the task to the same API, with the same repetitions,
    /// pauses and counts. `read` reads the answer.
    ///
    /// # Errors
    /// Those of `read`, and those of any call.
    pub async fn converse<A>(
        &self,
        request: &Request,
        read: impl Fn(&Response<'_>) -> Result<A, ModelApiError>,
    ) -> Result<A, CallError> {
        self.call(&self.purse, request, 1, read).await
    }

    /// The scores of all inputs, which must be of the task's kind and fit into one request. What
    /// was answered before is not asked again.
    ///
    /// # Errors
    /// Why there are no scores: [`CallError`].
    pub async fn ask(&self, purse: &Purse, queries: Queries) -> Result<Scores, CallError> {
        let Some(cache) = &self.cache else {
            return self.ask_api(purse, &queries).await;
        };
        let asked = loop {
            // Listen before looking, so that nothing that ends in between is missed.
            let ended = self.ended.listen();
            let split = locked(cache).split(&queries);
            match split {
                Some(asked) => break asked,
                None => ended.await,
            }
        };
        // Given up even if this future is dropped, because others wait for it.
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

    /// The scores of any number of inputs, asked in as many requests as it takes and paid from
    /// `purse`.
    ///
    /// # Errors
    /// Those of the first request that gets no scores.
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

    /// Asks the inputs that `asking` has left, with as many requests at a time as the pace allows.
    /// `next` cuts a request when there is room for one, and returns its inputs and its queries;
    /// `answered` is called after each answer. If a request was too large, the answers to the
    /// others, which are paid for, are awaited, and the rest is cut again.
    ///
    /// # Errors
    /// Those of the first request that gets no scores. Answers up to then are kept in `asking`.
    pub async fn ask_missing(
        &self,
        purse: &Purse,
        asking: &mut Asking,
        mut next: impl FnMut(&mut Asking) -> Option<(Range<usize>, Queries)>,
        mut answered: impl FnMut(),
    ) -> Result<(), CallError> {
        let mut too_large = false;
        let mut under_way = FuturesUnordered::new();
        loop {
            let begun = !too_large && under_way.len() < self.window();
            let request = if begun { next(asking) } else { None };
            let ended = match request {
                Some((inputs, queries)) => {
                    let answer = self.ask(purse, queries);
                    under_way.push(async move { (inputs, answer.await) });
                    // The first poll sends it, so that it is on its way while the next request is
                    // made.
                    match futures::poll!(under_way.next()) {
                        Poll::Ready(ended) => ended,
                        Poll::Pending => continue,
                    }
                }
                None => under_way.next().await,
            };
            match ended {
                Some((inputs, Ok(scores))) => {
                    asking.answered(inputs.start, scores);
                    answered();
                }
                Some((inputs, Err(error))) if self.too_large(&error, inputs.len()) => {
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
        self.ready().await?;
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

    async fn ready(&self) -> Result<(), CallError> {
        let ready = self.transport.ready().await;
        ready.map_err(|reason| self.silence(reason))
    }

    fn silence(&self, reason: NoAnswer) -> CallError {
        match reason {
            NoAnswer::Never { why } => CallError::Cannot(why),
            reason @ NoAnswer::TooLarge { .. } => ModelApiError::NotThisProtocol {
                detail: reason.to_string(),
            }
            .into(),
            reason => CallError::Silent {
                url: self.url.clone(),
                reason,
            },
        }
    }

    /// Waits until a request may leave: for the budget, the rate limit, and pauses that the server
    /// asked for.
    async fn leave<'a>(
        &self,
        purse: &'a Purse,
        queries: usize,
    ) -> Result<(Ticket, Paying<'a>), CallError> {
        let paying = purse.pay(queries, self.batch()).await?;
        loop {
            let taken = locked(&self.pace).take(self.transport.now_ms());
            match taken {
                Ok(ticket) => return Ok((ticket, paying)),
                Err(wait) => self.transport.sleep(wait.min(LONGEST_WAIT_MS)).await,
            }
        }
    }

    fn count(&self, purse: &Purse, queries: usize, usage: Option<Usage>) {
        purse.add(queries, usage);
        locked(&self.all).add(queries, usage);
    }

    /// Sends one request of `queries` inputs and repeats it where that can help.
    async fn call<A>(
        &self,
        purse: &Purse,
        request: &Request,
        queries: usize,
        read: impl Fn(&Response<'_>) -> Result<A, ModelApiError>,
    ) -> Result<A, CallError> {
        let mut tries = 1;
        loop {
            let (ticket, paying) = self.leave(purse, queries).await?;
            let (sent, counted) = (self.transport.now_ms(), Counted::new(&self.under_way));
            let result = self.once(request).await;
            let under_way = counted.end();
            let error = match result {
                Ok(answer) => {
                    let response = answer.response();
                    if (200..300).contains(&answer.status) && queries > 0 {
                        self.count(purse, queries, self.speech.protocol().usage(&response));
                    }
                    match read(&response) {
                        Ok(value) => {
                            let took = self.transport.now_ms() - sent;
                            locked(&self.pace).answered(took, under_way, queries);
                            return Ok(value);
                        }
                        Err(error) => CallError::from(error),
                    }
                }
                Err(error) => error,
            };
            drop(paying);
            let pause = retry::pause(&error, tries, self.transport.uniform());
            let pushed_back = match &error {
                CallError::Silent { .. } => Some(None),
                // The server is busy: all requests wait as long as it says, or as long as this one
                // does.
                CallError::Model(ModelApiError::Busy { .. }) => {
                    Some(retry::asked(&error).or(pause.map(|ms| ms as u64)))
                }
                _ => None,
            };
            if let Some(after_ms) = pushed_back {
                locked(&self.pace).pushed_back(ticket, self.transport.now_ms(), after_ms);
            }
            let Some(pause) = pause else {
                return Err(error);
            };
            self.transport.sleep(pause).await;
            tries += 1;
        }
    }

    async fn once(&self, request: &Request) -> Result<Answer, CallError> {
        let bearer = locked(&self.key)
            .as_ref()
            .map(|key| format!("Bearer {key}"));
        let headers = request.headers.iter();
        let headers = headers.map(|(name, value)| (&name[..], &value[..]));
        let key = bearer.as_deref().map(|bearer| ("authorization", bearer));
        let call = Call {
            method: request.method.name(),
            base: &self.url,
            path: &request.path,
            headers: headers.chain(key).collect(),
            body: (request.method == Method::Post).then_some(&request.body[..]),
            limit_ms: self.limit_ms,
        };
        // A model on this device is sent nothing, so nothing is counted.
        let count = |total: &AtomicU64, body: &[u8]| {
            if !self.transport.is_here() {
                total.fetch_add(body.len() as u64, Ordering::Relaxed);
            }
        };
        count(&self.sent, &request.body);
        let answer = self.transport.send(call).await;
        let answer = answer.map_err(|reason| self.silence(reason))?;
        count(&self.received, &answer.body);
        Ok(answer)
    }
}

/// Inputs under way that others may wait for. Dropping this gives them up, unless an answer came.
struct UnderWay<'a, T> {
    caller: &'a Caller<T>,
    ticket: Option<cache::Ticket>,
}

impl<T> Drop for UnderWay<'_, T> {
    fn drop(&mut self) {
        if let (Some(cache), Some(ticket)) = (&self.caller.cache, &self.ticket) {
            locked(cache).give_up(ticket);
        }
        self.caller.ended.notify(usize::MAX);
    }
}

/// A request under way; dropping this ends it.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }

    /// Ends the request; returns how many were under way, including this one.
    fn end(self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Locks a mutex even if a thread panicked while holding it: all that it guards are the numbers of
/// the pace and the counts.
pub(crate) fn locked<A>(mutex: &Mutex<A>) -> MutexGuard<'_, A> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
