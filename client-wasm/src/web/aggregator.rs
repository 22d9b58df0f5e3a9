//! Requests to the aggregator. Whatever goes wrong is either a [`Refusal`], which the client machine
//! understands, or an [`Outage`], which passes.

use std::cell::Cell;

use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::round::messages::{
    Enrolment, FederationDetail, JoinRequest, Joined, Problem, RoundView, Update,
};
use shared::round::refusal::Refusal;
use shared::round::wire;

use super::http::{self, Answer, Call, NoAnswer};

/// Milliseconds until a request is given up.
const LIMIT_MS: f64 = 30_000.0;
/// The aggregator is asked to hold an answer back for a change no longer than this.
const WAIT_MS: f64 = 20_000.0;

/// The aggregator of one federation.
pub struct Aggregator {
    base: String,
    /// Bytes of bodies sent.
    pub sent: Cell<u64>,
    /// Bytes of bodies received.
    pub received: Cell<u64>,
}

/// No useful answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The aggregator says no, with a code that the client machine knows, and in words.
    Refused(Refusal, String),
    /// It does not answer, or not as it should. It may later.
    Outage(String),
}

impl Aggregator {
    /// The federation `id` at the aggregator of that origin.
    pub fn new(origin: &str, id: &str) -> Self {
        let id = String::from(js_sys::encode_uri_component(id));
        Self {
            base: format!("{}/v1/federations/{id}", origin.trim_end_matches('/')),
            sent: Cell::new(0),
            received: Cell::new(0),
        }
    }

    /// What everybody may know.
    pub async fn detail(&self) -> Result<FederationDetail, Failure> {
        self.read(&self.send("GET", "", None, None, LIMIT_MS).await?)
    }

    /// Joins.
    pub async fn join(&self, invite: &str) -> Result<Joined, Failure> {
        let body = JsonBody::new(&JoinRequest {
            invite: invite.to_owned(),
        });
        self.read(
            &self
                .send(
                    "POST",
                    "/participants",
                    None,
                    Some(body.as_body()),
                    LIMIT_MS,
                )
                .await?,
        )
    }

    /// Where the round is; after a version, waits a while for a change.
    pub async fn round(&self, token: &str, after: Option<u64>) -> Result<RoundView, Failure> {
        let (path, limit) = match after {
            Some(version) => (
                format!("/round?after={version}&wait_ms={WAIT_MS}"),
                LIMIT_MS + WAIT_MS,
            ),
            None => ("/round".to_owned(), LIMIT_MS),
        };
        self.read(&self.send("GET", &path, Some(token), None, limit).await?)
    }

    /// θ's bytes.
    pub async fn theta(&self, hash: &str) -> Result<Vec<u8>, Failure> {
        Ok(self
            .send("GET", &format!("/theta?hash={hash}"), None, None, LIMIT_MS)
            .await?
            .body)
    }

    /// Enrols.
    pub async fn enrol(
        &self,
        token: &str,
        round: u32,
        body: &Enrolment,
    ) -> Result<RoundView, Failure> {
        let body = JsonBody::new(body);
        self.read(
            &self
                .send(
                    "POST",
                    &format!("/rounds/{round}/enrol"),
                    Some(token),
                    Some(body.as_body()),
                    LIMIT_MS,
                )
                .await?,
        )
    }

    /// Uploads.
    pub async fn upload(&self, token: &str, update: &Update) -> Result<RoundView, Failure> {
        let body = wire::encode(update);
        let path = format!("/rounds/{}/update", update.round);
        self.read(
            &self
                .send(
                    "POST",
                    &path,
                    Some(token),
                    Some((wire::CONTENT_TYPE, &body)),
                    LIMIT_MS,
                )
                .await?,
        )
    }

    /// Leaves.
    pub async fn leave(&self, token: &str) -> Result<(), Failure> {
        self.send("DELETE", "/participants/me", Some(token), None, LIMIT_MS)
            .await
            .map(|_| ())
    }

    async fn send(
        &self,
        method: &'static str,
        path: &str,
        token: Option<&str>,
        body: Option<(&str, &[u8])>,
        limit_ms: f64,
    ) -> Result<Answer, Failure> {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let mut headers: Vec<(&str, &str)> = Vec::new();
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        headers.extend(body.map(|(kind, _)| ("content-type", kind)));
        let call = Call {
            method,
            url: format!("{}{path}", self.base),
            headers,
            body: body.map(|(_, bytes)| bytes),
            limit_ms,
        };
        let answer = http::send(&call);
        self.sent
            .set(self.sent.get() + body.map_or(0, |(_, bytes)| bytes.len() as u64));
        let answer = answer
            .await
            .map_err(|reason| Failure::Outage(in_words(&reason)))?;
        self.received
            .set(self.received.get() + answer.body.len() as u64);
        match answer.status {
            200..=299 => Ok(answer),
            status => Err(self.failure(status, &answer)),
        }
    }

    fn failure(&self, status: u16, answer: &Answer) -> Failure {
        let problem: Option<Problem> = serde_json::from_slice(&answer.body).ok();
        let refusal = problem.as_ref().and_then(|p| Refusal::from_code(&p.code));
        match (refusal, problem) {
            // Told to wait is not told no.
            (Some(Refusal::RateLimited), _) => {
                Failure::Outage("it asks to be left alone for a while (429)".to_owned())
            }
            (Some(refusal), Some(problem)) => {
                Failure::Refused(refusal, problem.detail.unwrap_or(problem.title))
            }
            (None, Some(problem)) => {
                Failure::Outage(format!("it answers {status}: {}", problem.title))
            }
            _ => Failure::Outage(format!(
                "it answers {status} where an answer of the aggregator was expected; is there a proxy in between?"
            )),
        }
    }

    fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, Failure> {
        serde_json::from_slice(&answer.body).map_err(|_| {
            let kind = answer.header("content-type").unwrap_or("no content type");
            Failure::Outage(format!(
                "its answer is not what this page understands ({kind}); reload the page, it may be older than the aggregator"
            ))
        })
    }
}

struct JsonBody(String);

impl JsonBody {
    fn new(value: &impl Serialize) -> Self {
        // Messages with text keys always serialise; were one not to, the empty body is refused.
        Self(serde_json::to_string(value).unwrap_or_default())
    }

    fn as_body(&self) -> (&str, &[u8]) {
        ("application/json", self.0.as_bytes())
    }
}

fn in_words(reason: &NoAnswer) -> String {
    match reason {
        NoAnswer::TimedOut { seconds } => format!("it does not answer within {seconds} seconds"),
        NoAnswer::Unreachable => {
            "it cannot be reached (no network, or it is not running)".to_owned()
        }
        NoAnswer::Broken => "the connection broke while its answer came".to_owned(),
    }
}
