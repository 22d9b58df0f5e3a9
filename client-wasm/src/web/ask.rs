//! One request to the model API, repeated where repeating can help.

use std::cell::{Cell, RefCell};
use std::future::Future;

#[cfg(feature = "on-device")]
use futures::future::Either;
use shared::model_api::{
    Description, Dialect, Method, ModelApiError, Request, Response, Retry, Scores, dialect,
};
#[cfg(feature = "texts")]
use shared::model_api::{TextDialect, TextQueries, text_dialect};
use shared::round::workbench::REQUEST_IMAGES;
use shared::task::{Task, origin_of};

use super::http::{self, Answer, Call, NoAnswer};
#[cfg(feature = "on-device")]
use super::on_device;
use super::report::{Place, Trouble};
use super::timer::{back_off, sleep};

/// Milliseconds until a request is given up.
const LIMIT_MS: f64 = 30_000.0;
/// So many tries when the server answers that it cannot just now.
const TRIES: u32 = 6;
/// And so many when there is no answer at all: more would only hide the cause.
const SILENT_TRIES: u32 = 3;
/// A server may ask for a pause; not for a longer one than this.
const LONGEST_PAUSE_MS: f64 = 60_000.0;
/// No request's body is made larger (servers limit bodies), unless a single image is.
const MOST_BODY: usize = 8 << 20;
/// Nor does one hold more images: several smaller ones are answered sooner.
const MOST_IMAGES: usize = REQUEST_IMAGES;

/// How the API is spoken to about the task's kind of inputs.
enum Speech {
    Images(Box<dyn Dialect>),
    #[cfg(feature = "texts")]
    Texts(Box<dyn TextDialect>),
}

impl Speech {
    fn new(task: &Task) -> Result<Self, ModelApiError> {
        #[cfg(feature = "texts")]
        if task.text.is_some() {
            return text_dialect(task).map(Self::Texts);
        }
        dialect(&task.model).map(Self::Images)
    }

    fn describe_request(&self) -> Request {
        match self {
            Self::Images(dialect) => dialect.describe_request(),
            #[cfg(feature = "texts")]
            Self::Texts(dialect) => dialect.describe_request(),
        }
    }

    fn check_description(&self, answer: &Response<'_>) -> Result<Description, ModelApiError> {
        match self {
            Self::Images(dialect) => dialect.check_description(answer),
            #[cfg(feature = "texts")]
            Self::Texts(dialect) => dialect.check_description(answer),
        }
    }

    /// Texts have another way in: nobody asks a model of texts about images.
    fn infer_request(&self, images: &[u8], count: usize) -> Result<Request, ModelApiError> {
        match self {
            Self::Images(dialect) => dialect.infer_request(images, count),
            #[cfg(feature = "texts")]
            Self::Texts(_) => Err(other_kind()),
        }
    }

    fn parse(&self, answer: &Response<'_>, count: usize) -> Result<Scores, ModelApiError> {
        match self {
            Self::Images(dialect) => dialect.parse(answer, count),
            #[cfg(feature = "texts")]
            Self::Texts(dialect) => dialect.parse(answer, count),
        }
    }
}

#[cfg(feature = "texts")]
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
    description: RefCell<Description>,
    /// Bytes of bodies sent.
    pub sent: Cell<u64>,
    /// Bytes of bodies received.
    pub received: Cell<u64>,
}

/// Why there are no scores.
enum Failure {
    Silent(NoAnswer),
    Api(ModelApiError),
}

impl ModelApi {
    /// The API that the task names.
    pub fn new(task: &Task, page: &str) -> Result<Self, ModelApiError> {
        Ok(Self {
            url: task.model.url.trim_end_matches('/').to_owned(),
            page: page.to_owned(),
            speech: Speech::new(task)?,
            image_bytes: task.shape().bytes() * task.model.input.datatype.size(),
            key: RefCell::default(),
            description: RefCell::default(),
            sent: Cell::new(0),
            received: Cell::new(0),
        })
    }

    /// The origin, for people.
    pub fn origin(&self) -> String {
        origin_of(&self.url).unwrap_or_else(|| self.url.clone())
    }

    /// Sets the owner's key. It stays in memory.
    pub fn set_key(&self, key: Option<String>) {
        *self.key.borrow_mut() = key.filter(|key| !key.is_empty());
    }

    /// Images, or texts, that one request may hold.
    pub fn images_per_request(&self) -> usize {
        let most = (MOST_BODY / self.image_bytes.max(1)).clamp(1, MOST_IMAGES);
        self.description
            .borrow()
            .max_batch
            .map_or(most, |stated| most.min(stated.max(1)))
    }

    /// Bytes that one image costs.
    pub fn bytes_per_image(&self) -> usize {
        self.image_bytes
    }

    /// Reads the model's description and compares it with the task.
    pub async fn describe(&self) -> Result<Description, Trouble> {
        let request = self.speech.describe_request();
        let mut tries = 0;
        let description = loop {
            let result = self.send(&request).await.map_err(Failure::Silent);
            let read = result.and_then(|answer| {
                self.speech
                    .check_description(&view(&answer))
                    .map_err(Failure::Api)
            });
            match read {
                Ok(description) => break description,
                Err(failure) => self.pause_or_give_up(failure, &mut tries).await?,
            }
        };
        *self.description.borrow_mut() = description.clone();
        Ok(description)
    }

    /// Asks for the scores of `count` images (3·H·W bytes each). The request leaves before the future is
    /// polled.
    pub fn ask<'a>(
        &'a self,
        images: &[u8],
        count: usize,
    ) -> impl Future<Output = Result<Scores, Trouble>> + use<'a> {
        self.ask_with(self.speech.infer_request(images, count), count)
    }

    /// The same about texts.
    #[cfg(feature = "texts")]
    pub fn ask_texts<'a>(
        &'a self,
        queries: &TextQueries,
    ) -> impl Future<Output = Result<Scores, Trouble>> + use<'a> {
        let request = match &self.speech {
            Speech::Images(_) => Err(other_kind()),
            Speech::Texts(dialect) => Ok(dialect.infer_request(queries)),
        };
        self.ask_with(request, queries.texts.len())
    }

    fn ask_with<'a>(
        &'a self,
        request: Result<Request, ModelApiError>,
        count: usize,
    ) -> impl Future<Output = Result<Scores, Trouble>> + use<'a> {
        let first = request.as_ref().ok().map(|request| self.send(request));
        async move {
            let request = request.map_err(|error| self.api_trouble(&error))?;
            let mut tries = 0;
            let mut attempt = first;
            loop {
                let result = match attempt.take() {
                    Some(first) => first.await,
                    None => self.send(&request).await,
                };
                let scores = result.map_err(Failure::Silent).and_then(|answer| {
                    self.received
                        .set(self.received.get() + answer.body.len() as u64);
                    self.speech
                        .parse(&view(&answer), count)
                        .map_err(Failure::Api)
                });
                match scores {
                    Ok(scores) => return Ok(scores),
                    Err(failure) => self.pause_or_give_up(failure, &mut tries).await?,
                }
            }
        }
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
            limit_ms: LIMIT_MS,
        };
        #[cfg(feature = "on-device")]
        if on_device::is_used() {
            return Either::Left(on_device::send(&call));
        }
        #[cfg(feature = "on-device")]
        return Either::Right(http::send(&call));
        #[cfg(not(feature = "on-device"))]
        http::send(&call)
    }

    /// Waits before the next try, or says why there is none.
    async fn pause_or_give_up(&self, failure: Failure, tries: &mut u32) -> Result<(), Trouble> {
        *tries += 1;
        let pause = match &failure {
            Failure::Silent(_) if *tries < SILENT_TRIES => back_off(*tries, 500.0, 5_000.0),
            Failure::Silent(reason) => return Err(self.silence(reason).await),
            Failure::Api(error) => match error.retry() {
                Retry::Safe { after_ms } if *tries < TRIES => {
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
            format!("The model API at {} cannot be used", self.origin()),
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
