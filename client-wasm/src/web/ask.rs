//! Requests to the model API, at the pace that its answers allow, and repeated where repeating can help.

use std::cell::{Cell, RefCell};
use std::future::Future;

use federation::round::workbench::REQUEST_IMAGES;
use federation::task::Task;
use futures::future::Either;
use model_client::address::origin_of;
use model_client::cache::{Asked, Cache};
use model_client::pace::{Pace, Ticket, most_inputs};
use model_client::tally::Tally;
use model_client::{
    Description, Dialect, Method, ModelApiError, Protocol, Request, Response, Retry, Scores,
    dialect,
};
use model_client::{TextDialect, TextQueries};
use tuning::query::Queries;

use super::embeddings;
use super::http::{self, Answer, Call, NoAnswer};
use super::on_device;
use super::report::{Place, Trouble};
use super::timer::Signal;
use super::timer::{back_off, now, sleep};
use ground::text::Short;

/// So many tries when the server answers that it cannot just now.
const TRIES: u32 = 6;
/// And so many when there is no answer at all: more would only hide the cause.
const SILENT_TRIES: u32 = 3;
/// And so many when it has no room: limits of a minute must pass.
const BUSY_TRIES: u32 = 12;
/// A server may ask for a pause; not for a longer one than this.
const LONGEST_PAUSE_MS: f64 = 600_000.0;

/// The trouble's code where the budget does not cover another request.
pub const OUT_OF_MONEY: &str = "model_budget";

/// How the API is spoken to about the task's kind of inputs.
enum Speech {
    Images(Box<dyn Dialect>),
    Texts(Box<dyn TextDialect>),
}

impl Speech {
    fn new(task: &Task) -> Result<Self, ModelApiError> {
        if task.text.is_some() {
            let embedder = embeddings::embedder(task);
            return task.text_dialect(embedder).map(Self::Texts);
        }
        dialect(&task.model).map(Self::Images)
    }

    /// What holds whatever the inputs are.
    fn protocol(&self) -> &dyn Protocol {
        match self {
            Self::Images(dialect) => &**dialect,
            Self::Texts(dialect) => &**dialect,
        }
    }

    /// Texts have another way in: nobody asks a model of texts about images.
    fn infer_request(&self, images: &[u8], count: usize) -> Result<Request, ModelApiError> {
        match self {
            Self::Images(dialect) => dialect.infer_request(images, count),
            Self::Texts(_) => Err(other_kind()),
        }
    }
}

fn other_kind() -> ModelApiError {
    ModelApiError::InvalidSpec {
        faults: vec!["input.kind is not that of what is to be sent".to_owned()],
    }
}

/// The model API as one owner uses it.
pub struct ModelApi {
    url: String,
    /// The page's own origin, which the server must allow.
    page: String,
    speech: Speech,
    image_bytes: usize,
    key: RefCell<Option<String>>,
    pace: RefCell<Pace>,
    /// Requests under way.
    under_way: Cell<usize>,
    limit_ms: f64,
    paid: Paid,
    /// Bytes of bodies sent.
    pub sent: Cell<u64>,
    /// Bytes of bodies received.
    pub received: Cell<u64>,
}

/// What only matters where calls cost money, or where the same is asked again.
struct Paid {
    price: Option<model_client::Price>,
    tally: Cell<Tally>,
    /// Nothing where no answers are kept.
    cache: Option<RefCell<Cache>>,
    /// What was under way has ended, one way or the other.
    ended: Signal,
    classes: usize,
}

/// Inputs under way that others may wait for, as long as this lives; given up where no answer came.
struct UnderWay<'a>(&'a Paid, model_client::cache::Ticket);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(cache) = &self.0.cache {
            cache.borrow_mut().give_up(&self.1);
        }
        self.0.ended.raise();
    }
}

/// A request under way, as long as this lives: one that is dropped is none any more.
struct Counted<'a>(&'a ModelApi);

impl<'a> Counted<'a> {
    fn new(model: &'a ModelApi) -> Self {
        model.under_way.set(model.under_way.get() + 1);
        Self(model)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.under_way.set(self.0.under_way.get() - 1);
        self.0.paid.ended.raise();
    }
}

/// Why there are no scores.
enum Failure {
    Silent(NoAnswer),
    Api(ModelApiError),
}

impl ModelApi {
    /// The API that the task names.
    pub fn new(task: &Task, page: &str) -> Result<Self, ModelApiError> {
        let calls = &task.model.calls;
        let image_bytes = task.input_bytes();
        let most = most_inputs(image_bytes);
        Ok(Self {
            url: task.model.url.trim_end_matches('/').to_owned(),
            page: page.to_owned(),
            speech: Speech::new(task)?,
            image_bytes,
            key: RefCell::default(),
            pace: RefCell::new(Pace::new(calls, REQUEST_IMAGES, most)),
            under_way: Cell::default(),
            limit_ms: calls.time_out_ms.into(),
            paid: Paid {
                price: task.model.price.clone(),
                tally: Cell::default(),
                cache: match calls.cache {
                    0 => None,
                    most => Some(RefCell::new(Cache::new(most as usize))),
                },
                ended: Signal::default(),
                classes: task.model.output.classes,
            },
            sent: Cell::new(0),
            received: Cell::new(0),
        })
    }

    /// The origin, for people.
    pub fn origin(&self) -> String {
        origin_of(&self.url).unwrap_or_else(|| self.url.clone())
    }

    /// What is asked, for people.
    fn called(&self) -> String {
        if on_device::is_used() {
            return "The model on this device".to_owned();
        }
        format!("The model API at {}", self.origin())
    }

    /// Sets the owner's key. It stays in memory.
    pub fn set_key(&self, key: Option<String>) {
        *self.key.borrow_mut() = key.filter(|key| !key.is_empty());
    }

    /// Images, or texts, that one request may hold.
    pub fn images_per_request(&self) -> usize {
        self.pace.borrow().batch()
    }

    /// Requests that may be under way now.
    pub fn window(&self) -> usize {
        self.pace.borrow().window()
    }

    /// Inputs that the next request of an evaluation of `total` should hold.
    pub fn cut(&self, total: usize) -> usize {
        self.pace.borrow_mut().cut(total)
    }

    /// The same for requests that are only prepared.
    pub fn size_of(&self, total: usize) -> usize {
        self.pace.borrow().size_of(total)
    }

    /// A request of `inputs` failed. Whether smaller ones are to be tried.
    pub fn too_large(&self, trouble: &Trouble, inputs: usize) -> bool {
        let surely = match &trouble.code[..] {
            "model_too_large" => true,
            "model_bad_request" | "model_server_error" | "model_slow" | "model_unreachable" => {
                false
            }
            _ => return false,
        };
        self.pace.borrow_mut().too_large(inputs, surely)
    }

    /// Bytes that one image costs.
    pub fn bytes_per_image(&self) -> usize {
        self.image_bytes
    }

    /// Reads the model's description and compares it with the task.
    pub async fn describe(&self) -> Result<Description, Trouble> {
        let protocol = self.speech.protocol();
        let description = self
            .question(&protocol.describe_request(), |response| {
                protocol.check_description(response)
            })
            .await?;
        let description = Description {
            max_batch: match description.max_batch {
                None => self.limit().await,
                stated => stated,
            },
            ..description
        };
        if let Some(most) = description.max_batch {
            self.pace.borrow_mut().limit_batch(most);
        }
        self.try_embeddings().await?;
        Ok(description)
    }

    /// Where prompts are sent as embeddings: whether the model takes them, and whether they are its own.
    async fn try_embeddings(&self) -> Result<(), Trouble> {
        let Speech::Texts(dialect) = &self.speech else {
            return Ok(());
        };
        let trial = dialect.trial().map_err(|error| self.api_trouble(&error))?;
        let mut words = None;
        for request in trial.into_iter().flatten() {
            let read = |response: &Response<'_>| dialect.read_trial(response, words.as_ref());
            words = Some(self.question(&request, read).await?);
        }
        Ok(())
    }

    /// Asks what is not one of the task's questions, and repeats it where that can help.
    async fn question<T>(
        &self,
        request: &Request,
        read: impl Fn(&Response<'_>) -> Result<T, ModelApiError>,
    ) -> Result<T, Trouble> {
        if request.method == Method::Post {
            self.check_budget(1)?;
        }
        let mut tries = 0;
        loop {
            let result = self.send(request).await.map_err(Failure::Silent);
            let read = result.and_then(|answer| {
                // It asks about one harmless input.
                if request.method == Method::Post {
                    self.pay(&answer, 1);
                }
                read(&view(&answer)).map_err(Failure::Api)
            });
            match read {
                Ok(found) => return Ok(found),
                Err(failure) => self.pause_or_give_up(failure, &mut tries).await?,
            }
        }
    }

    /// The largest batch, where the server says it elsewhere. Most do not, and then no answer is no fault.
    async fn limit(&self) -> Option<usize> {
        if on_device::is_used() {
            return None;
        }
        let protocol = self.speech.protocol();
        let answer = self.send(&protocol.limit_request()?).await.ok()?;
        protocol.limit(&view(&answer))
    }

    /// Asks for the scores of `count` images (3·H·W bytes each). The request leaves before the future is
    /// polled, if it may leave now.
    pub fn ask<'a>(
        &'a self,
        images: &[u8],
        count: usize,
    ) -> impl Future<Output = Result<Scores, Trouble>> + use<'a> {
        if self.paid.cache.is_some() {
            let bytes = images.to_vec();
            return Either::Left(self.ask_new(Queries::Images { bytes, count }));
        }
        let answer = self.ask_with(self.speech.infer_request(images, count), count);
        Either::Right(answer)
    }

    /// Any number of inputs, in as many requests as it takes, one after the other.
    pub async fn ask_all(&self, queries: &Queries) -> Result<Scores, Trouble> {
        let (count, mut next) = (queries.count(), 0);
        let (mut values, mut classes) = (Vec::new(), 1);
        while next < count {
            let end = count.min(next + self.images_per_request());
            let scores = match queries.part(next..end) {
                Queries::Images { bytes, count } => self.ask(&bytes, count).await?,
                Queries::Texts(texts) => self.ask_texts(&texts).await?,
            };
            classes = scores.classes();
            values.extend_from_slice(scores.values());
            next = end;
        }
        Scores::new(classes, values).map_err(|error| self.api_trouble(&error))
    }

    /// The same about texts.
    pub fn ask_texts<'a>(
        &'a self,
        queries: &TextQueries,
    ) -> impl Future<Output = Result<Scores, Trouble>> + use<'a> {
        if self.paid.cache.is_some() {
            return Either::Left(self.ask_new(Queries::Texts(queries.clone())));
        }
        let answer = self.ask_with(self.texts_request(queries), queries.texts.len());
        Either::Right(answer)
    }

    fn texts_request(&self, queries: &TextQueries) -> Result<Request, ModelApiError> {
        match &self.speech {
            Speech::Images(_) => Err(other_kind()),
            Speech::Texts(dialect) => dialect.infer_request(queries),
        }
    }

    /// Asks only what is not known yet, and not what is being asked already.
    fn ask_new<'a>(
        &'a self,
        queries: Queries,
    ) -> impl Future<Output = Result<Scores, Trouble>> + use<'a> {
        // At once, where nobody else is asking the same.
        let mut first = self.split(&queries);
        async move {
            let (asked, under_way, answer) = loop {
                let ended = self.paid.ended.wait();
                match first.take().or_else(|| self.split(&queries)) {
                    Some(found) => break found,
                    None => ended.await,
                }
            };
            let answer = match answer {
                Some(answer) => Some(answer.await?),
                None => None,
            };
            let joined = match &self.paid.cache {
                Some(cache) => {
                    let classes = self.paid.classes;
                    cache.borrow_mut().join(asked, answer.as_ref(), classes)
                }
                None => Scores::new(1, Vec::new()),
            };
            drop(under_way);
            joined.map_err(|error| self.api_trouble(&error))
        }
    }

    /// What is not known of some queries, and the answer to that, which is asked for at once.
    #[allow(clippy::type_complexity)] // The future has no name.
    fn split<'a>(
        &'a self,
        queries: &Queries,
    ) -> Option<(
        Asked,
        UnderWay<'a>,
        Option<impl Future<Output = Result<Scores, Trouble>> + use<'a>>,
    )> {
        let asked = self.paid.cache.as_ref()?.borrow_mut().split(queries)?;
        let under_way = UnderWay(&self.paid, asked.ticket());
        let answer = asked.missing.as_ref().map(|missing| {
            let request = match missing {
                Queries::Images { bytes, count } => self.speech.infer_request(bytes, *count),
                Queries::Texts(texts) => self.texts_request(texts),
            };
            self.ask_with(request, missing.count())
        });
        Some((asked, under_way, answer))
    }

    fn ask_with<'a>(
        &'a self,
        request: Result<Request, ModelApiError>,
        count: usize,
    ) -> impl Future<Output = Result<Scores, Trouble>> + use<'a> {
        let first = request.as_ref().ok().and_then(|request| {
            let ticket = self.may_leave(count).ok()?.ok()?;
            Some(self.attempt(ticket, request))
        });
        async move {
            let request = request.map_err(|error| self.api_trouble(&error))?;
            let mut tries = 0;
            let mut attempt = first;
            loop {
                let (ticket, sent, counted, answer) = match attempt.take() {
                    Some(first) => first,
                    None => self.attempt(self.leave(count).await?, &request),
                };
                let result = answer.await;
                let under_way = self.under_way.get();
                drop(counted);
                let scores = result.map_err(Failure::Silent).and_then(|answer| {
                    self.received
                        .set(self.received.get() + answer.body.len() as u64);
                    self.pay(&answer, count);
                    self.speech
                        .protocol()
                        .parse(&view(&answer), count)
                        .map_err(Failure::Api)
                });
                let failure = match scores {
                    Ok(scores) => {
                        let mut pace = self.pace.borrow_mut();
                        pace.answered(now() - sent, under_way, count);
                        return Ok(scores);
                    }
                    Err(failure) => failure,
                };
                let pushed_back = match &failure {
                    Failure::Silent(_) => Some(None),
                    Failure::Api(ModelApiError::Busy { retry_after_ms }) => Some(*retry_after_ms),
                    Failure::Api(_) => None,
                };
                if let Some(after_ms) = pushed_back {
                    let after_ms = after_ms.map(|ms| ms.min(LONGEST_PAUSE_MS as u64));
                    self.pace.borrow_mut().pushed_back(ticket, now(), after_ms);
                }
                self.pause_or_give_up(failure, &mut tries).await?;
            }
        }
    }

    fn attempt<'a>(
        &'a self,
        ticket: Ticket,
        request: &Request,
    ) -> (
        Ticket,
        f64,
        Counted<'a>,
        impl Future<Output = Result<Answer, NoAnswer>> + use<>,
    ) {
        let counted = Counted::new(self);
        (ticket, now(), counted, self.send(request))
    }

    /// Whether a request of `count` inputs may leave now: its ticket, or how long to wait.
    fn may_leave(&self, count: usize) -> Result<Result<Ticket, f64>, Trouble> {
        self.check_budget(count)?;
        Ok(self.pace.borrow_mut().take(now()))
    }

    /// Waits until it may.
    async fn leave(&self, count: usize) -> Result<Ticket, Trouble> {
        loop {
            let ended = self.paid.ended.wait();
            match self.may_leave(count) {
                Ok(Ok(ticket)) => return Ok(ticket),
                Ok(Err(wait)) => sleep(wait.min(LONGEST_PAUSE_MS)).await,
                // What those under way will have cost is only known once they have ended.
                Err(_) if self.under_way.get() > 0 => ended.await,
                Err(trouble) => return Err(trouble),
            }
        }
    }

    fn check_budget(&self, count: usize) -> Result<(), Trouble> {
        let Some(price) = &self.paid.price else {
            return Ok(());
        };
        let tally = self.paid.tally.get();
        if tally.covers(
            price,
            count,
            self.under_way.get(),
            self.images_per_request(),
        ) {
            return Ok(());
        }
        let currency = &price.currency;
        let (spent, budget) = (Short(tally.cost(price)), Short(price.budget));
        Err(Trouble::new(
            Place::Model,
            OUT_OF_MONEY,
            format!("The budget of {budget} {currency} for the model is spent"),
            format!(
                "Asking the model has cost {spent} {currency} so far, and the next question would go over the limit of this federation. Nothing more is asked. What you contributed stays; the organiser can start another federation with a higher limit."
            ),
        ))
    }

    /// Notes what an answer cost.
    fn pay(&self, answer: &Answer, count: usize) {
        if (200..300).contains(&answer.status) {
            let mut tally = self.paid.tally.get();
            tally.add(count, self.speech.protocol().usage(&view(answer)));
            self.paid.tally.set(tally);
        }
    }

    /// Calls so far.
    pub fn tally(&self) -> Tally {
        self.paid.tally.get()
    }

    /// Goes on counting from there.
    pub fn resume_tally(&self, tally: Tally) {
        self.paid.tally.set(tally);
    }

    fn send(&self, request: &Request) -> impl Future<Output = Result<Answer, NoAnswer>> + use<> {
        let bearer = self
            .key
            .borrow()
            .as_ref()
            .map(|key| format!("Bearer {key}"));
        let mut headers: Vec<(&str, &str)> = request
            .headers
            .iter()
            .map(|(name, value)| (&name[..], &value[..]))
            .collect();
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        self.sent.set(self.sent.get() + request.body.len() as u64);
        let call = Call {
            method: request.method.name(),
            url: format!("{}{}", self.url, request.path),
            headers,
            body: (request.method == Method::Post).then_some(&request.body[..]),
            limit_ms: self.limit_ms,
        };
        if on_device::is_used() {
            return Either::Left(on_device::send(&call));
        }
        Either::Right(http::send(&call))
    }

    /// Waits before the next try, or says why there is none.
    async fn pause_or_give_up(&self, failure: Failure, tries: &mut u32) -> Result<(), Trouble> {
        *tries += 1;
        let pause = match &failure {
            Failure::Silent(_) if *tries < SILENT_TRIES => back_off(*tries, 500.0, 5_000.0),
            Failure::Silent(reason) => return Err(self.silence(reason).await),
            Failure::Api(error) => match error.retry() {
                Retry::Safe { after_ms }
                    if *tries
                        < match error {
                            ModelApiError::Busy { .. } => BUSY_TRIES,
                            _ => TRIES,
                        } =>
                {
                    let asked = after_ms.map_or(0.0, |ms| (ms as f64).min(LONGEST_PAUSE_MS));
                    asked + back_off(*tries, 250.0, 15_000.0)
                }
                _ => return Err(self.api_trouble(error)),
            },
        };
        sleep(pause).await;
        Ok(())
    }

    fn api_trouble(&self, error: &ModelApiError) -> Trouble {
        Trouble::new(
            Place::Model,
            error.code(),
            format!("{} cannot be used", self.called()),
            format!("{}.", capitalised(&error.to_string())),
        )
    }

    /// Names the cause of a missing answer. Browsers do not tell a refusal by CORS from a server that is not
    /// there, but a request without CORS, whose answer nobody can read, goes through in the first case only.
    async fn silence(&self, reason: &NoAnswer) -> Trouble {
        let origin = self.origin();
        let cure = format!(
            "start it with `--allow-origin {}` (fed-bbpt model-api), or name {} in its CORS settings",
            self.page, self.page
        );
        match reason {
            NoAnswer::TimedOut { seconds } => Trouble::new(
                Place::Model,
                "model_slow",
                format!("The model API at {origin} is too slow"),
                format!(
                    "It gave no answer within {seconds} seconds, {SILENT_TRIES} times. Look whether it is overloaded, then go on."
                ),
            ),
            _ if http::is_there(&self.url).await => Trouble::new(
                Place::Model,
                "model_cors",
                format!("The model API at {origin} does not allow this page"),
                format!(
                    "It runs, but its CORS rules keep its answers from pages of {}: {cure}.",
                    self.page
                ),
            ),
            _ => Trouble::new(
                Place::Model,
                "model_unreachable",
                format!("The model API at {origin} cannot be reached"),
                format!(
                    "It is not running, or not reachable from this browser. If it does run, it refuses this page (CORS): {cure}."
                ),
            ),
        }
    }
}

fn view(answer: &Answer) -> Response<'_> {
    Response {
        status: answer.status,
        headers: &answer.headers,
        body: &answer.body,
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        letters.fold(
            first.to_ascii_uppercase().into(),
            |mut text: String, letter| {
                text.push(letter);
                text
            },
        )
    })
}
