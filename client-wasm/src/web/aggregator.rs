//! Requests to the aggregator. Whatever goes wrong is either a [`Refusal`], which the client machine
//! understands, or an [`Outage`], which passes.

use std::cell::Cell;

use federation::round::client::{Action, Event};
use federation::round::messages::{FederationStatus, RoundView, Standing, join_statement};
use federation::round::phase::Phase;
use federation::round::refusal::Refusal;
use ground::hex::hex;
use ground::wire;
use secure_sum::identity::Identity;
use serde_json::{Value, json};

use super::http::{self, Answer, Call, NoAnswer};

/// Milliseconds until a request is given up.
const LIMIT_MS: f64 = 30_000.0;
/// The aggregator is asked to hold an answer back for a change no longer than this.
const WAIT_MS: u32 = 20_000;

const JSON: &str = "application/json";

/// What is used of a `FederationDetail`.
pub struct Detail {
    /// Its summary, as it came.
    pub summary: Value,
    /// The task, as it came.
    pub task: Value,
    /// The task's hash.
    pub task_hash: String,
}

/// The aggregator of one federation.
pub struct Aggregator {
    base: String,
    federation: String,
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

/// A request that one of the machine's actions needs. One type for all, so that what sends it again and again
/// is in the module once.
pub struct Request {
    path: String,
    /// Content type and bytes of a POST; a GET has none.
    body: Option<(&'static str, Vec<u8>)>,
    answer: Kind,
}

/// What the answer to a request is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    View,
    Lines,
    Input,
}

impl Request {
    fn get(path: String, answer: Kind) -> Self {
        Self {
            path,
            body: None,
            answer,
        }
    }

    fn post(path: String, body: (&'static str, Vec<u8>)) -> Self {
        Self {
            path,
            body: Some(body),
            answer: Kind::View,
        }
    }

    /// Where the round is; after a version, waits a while for a change.
    pub fn look(after: Option<u64>) -> Self {
        let path = match after {
            Some(version) => format!("/round?after={version}&wait_ms={WAIT_MS}"),
            None => "/round".to_owned(),
        };
        Self::get(path, Kind::View)
    }

    /// What carries an action out; nothing where that is not a request.
    pub fn of(action: &Action) -> Option<Self> {
        let binary = wire::CONTENT_TYPE;
        Some(match action {
            Action::Sync { after } => Self::look(*after),
            Action::Read { from } => Self::get(format!("/record?from={from}"), Kind::Lines),
            Action::Fetch { round, phase } => {
                let phase = match phase {
                    Phase::Shares => "shares",
                    Phase::Masked => "masked",
                    _ => "unmask",
                };
                Self::get(format!("/rounds/{round}/sum?phase={phase}"), Kind::Input)
            }
            Action::Enrol { round, body } => {
                let body = json!({ "theta": body.theta }).to_string().into_bytes();
                Self::post(format!("/rounds/{round}/enrol"), (JSON, body))
            }
            Action::Upload(update) => Self::post(
                format!("/rounds/{}/update", update.round),
                (binary, wire::encode(update)),
            ),
            Action::Send { round, message } => Self::post(
                format!("/rounds/{round}/sum"),
                (binary, wire::encode(message)),
            ),
            _ => return None,
        })
    }

    /// A message of ours: its answer says that it was taken.
    pub fn is_message(&self) -> bool {
        self.body.is_some()
    }

    /// The aggregator may wait before it answers.
    pub fn holds_back(&self) -> bool {
        self.path.contains("&wait_ms=")
    }
}

impl Aggregator {
    /// The federation `id` at the aggregator of that origin.
    pub fn new(origin: &str, id: &str) -> Self {
        let name = String::from(js_sys::encode_uri_component(id));
        Self {
            base: format!("{}/v1/federations/{name}", origin.trim_end_matches('/')),
            federation: id.to_owned(),
            sent: Cell::new(0),
            received: Cell::new(0),
        }
    }

    /// What everybody may know. It is mostly handed on to the page as it is.
    pub async fn detail(&self) -> Result<Detail, Failure> {
        let answer = self.send("GET", "", None, None, LIMIT_MS).await?;
        Ok(detail(&self.read(&answer)?))
    }

    /// The same from an answer that came already.
    pub fn announced(&self, text: &str) -> Option<Detail> {
        let answer: Value = serde_json::from_slice(text.as_bytes()).ok()?;
        self.received.set(self.received.get() + text.len() as u64);
        Some(detail(&answer))
    }

    /// Joins: our number and our token. With an identity that joined before, the number that it had.
    pub async fn join(&self, invite: &str, identity: &Identity) -> Result<(u32, String), Failure> {
        let body = json!({
            "invite": invite,
            "identity": hex(&identity.public()),
            "proof": hex(&identity.sign(&join_statement(&self.federation, invite))),
        })
        .to_string();
        let answer = self
            .send(
                "POST",
                "/participants",
                None,
                Some((JSON, body.as_bytes())),
                LIMIT_MS,
            )
            .await?;
        let joined = self.read(&answer)?;
        match (joined["participant"].as_u64(), joined["token"].as_str()) {
            (Some(participant), Some(token)) => Ok((participant as u32, token.to_owned())),
            _ => Err(Failure::Outage(
                "its answer holds no token; reload the page".to_owned(),
            )),
        }
    }

    /// Asks once. The answer is what the machine waits for.
    pub async fn ask(&self, token: &str, request: &Request) -> Result<Event, Failure> {
        let body = request.body.as_ref().map(|(kind, body)| (*kind, &body[..]));
        let held = if request.holds_back() { WAIT_MS } else { 0 };
        let limit = LIMIT_MS + f64::from(held);
        let method = if body.is_some() { "POST" } else { "GET" };
        let answer = self
            .send(method, &request.path, Some(token), body, limit)
            .await?;
        match request.answer {
            Kind::View => self
                .read(&answer)
                .ok()
                .and_then(|value| view(&value))
                .map(Event::View),
            Kind::Lines => lines(&answer.body).map(Event::Lines),
            Kind::Input => wire::decode(&answer.body).ok().map(Event::Input),
        }
        .ok_or_else(|| foreign(&answer))
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
        let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = |name: &str| problem[name].as_str().map(str::to_owned);
        let words = text("detail").or_else(|| text("title")).unwrap_or_default();
        match text("code").map(|code| Refusal::from_code(&code)) {
            // Told to wait is not told no.
            Some(Some(Refusal::RateLimited)) => {
                Failure::Outage("it asks to be left alone for a while (429)".to_owned())
            }
            Some(Some(refusal)) => Failure::Refused(refusal, words),
            Some(None) => Failure::Outage(format!("it answers {status}: {words}")),
            None => Failure::Outage(format!(
                "it answers {status} where an answer of the aggregator was expected; is there a proxy in between?"
            )),
        }
    }

    fn read(&self, answer: &Answer) -> Result<Value, Failure> {
        serde_json::from_slice(&answer.body).map_err(|_| foreign(answer))
    }
}

fn detail(answer: &Value) -> Detail {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Detail {
        task_hash: text(&answer["summary"]["task_hash"]),
        task: answer["task"].clone(),
        summary: answer["summary"].clone(),
    }
}

fn foreign(answer: &Answer) -> Failure {
    let kind = answer.header("content-type").unwrap_or("no content type");
    Failure::Outage(format!(
        "its answer is not what this page understands ({kind}); reload the page, it may be older than the aggregator"
    ))
}

/// Each line with its end; nothing where the last one has none, and so was cut, or where it is no text.
fn lines(body: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(body).ok()?;
    if text.is_empty() {
        return Some(Vec::new());
    }
    let whole = text.strip_suffix('\n')?;
    Some(whole.split('\n').map(str::to_owned).collect())
}

/// By hand: the derived reader is ten times as large.
fn view(value: &Value) -> Option<RoundView> {
    let count = |key: &str| value[key].as_u64().and_then(|count| count.try_into().ok());
    Some(RoundView {
        version: value["version"].as_u64()?,
        status: match value["status"].as_str()? {
            "running" => FederationStatus::Running,
            "finished" => FederationStatus::Finished,
            "closed" => FederationStatus::Closed,
            _ => return None,
        },
        step: count("step")?,
        round: count("round")?,
        phase: match value["phase"].as_str()? {
            "open" => Phase::Open,
            "keys" => Phase::Keys,
            "shares" => Phase::Shares,
            "masked" => Phase::Masked,
            "unmask" => Phase::Unmask,
            "upload" => Phase::Upload,
            "done" => Phase::Done,
            "aborted" => Phase::Aborted,
            _ => return None,
        },
        theta: value["theta"].as_str()?.to_owned(),
        lines: count("lines")?,
        record: value["record"].as_str()?.to_owned(),
        registered: count("registered")?,
        attempt: count("attempt")?,
        standing: match value["standing"].as_str()? {
            "idle" => Standing::Idle,
            "enrolled" => Standing::Enrolled,
            "in-cohort" => Standing::InCohort,
            "delivered" => Standing::Delivered,
            "dropped" => Standing::Dropped,
            _ => return None,
        },
        enrolled: count("enrolled")?,
        cohort: count("cohort")?,
        delivered: count("delivered")?,
        live: count("live")?,
        deadline_ms: match &value["deadline_ms"] {
            Value::Null => None,
            deadline => Some(deadline.as_u64()?),
        },
    })
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
