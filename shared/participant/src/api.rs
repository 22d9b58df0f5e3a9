//! The aggregator's HTTP API, as participants and organisers use it.

use federation::round::client::{Action, Event};
use federation::round::messages::{
    CreateFederation, CreateInvite, FederationDetail, FederationSummary, Invite, InviteSummary,
    JoinRequest, Joined, Problem, RoundView, join_statement,
};
use federation::round::phase::Phase;
use federation::round::refusal::Refusal;
use ground::hex::hex;
use ground::wire;
use model_client::escape;
use model_client::transport::{Call, NoAnswer, Transport};
use secure_sum::identity::Identity;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Milliseconds for which the aggregator may hold an answer back until something changes.
const WAIT_MS: u32 = 20_000;
/// Milliseconds after which a request is given up; [`WAIT_MS`] more if its answer may be held back.
const LIMIT_MS: f64 = 30_000.0;

const JSON: &str = "application/json";

/// Why a request to the aggregator failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The aggregator refused, with a code that a participant's machine understands.
    #[error("{refusal}")]
    Refused {
        /// The reason for the refusal.
        refusal: Refusal,
        /// The aggregator's own words.
        words: String,
    },
    /// The aggregator refused with another problem document.
    #[error("the aggregator refuses: {}{}", .0.title, describe(.0))]
    Problem(Box<Problem>),
    /// There was no answer.
    #[error("the aggregator at {url} does not answer: {reason}")]
    Unreachable {
        /// The aggregator's address.
        url: String,
        /// The cause.
        reason: NoAnswer,
    },
    /// The answer is not an aggregator's.
    #[error("what answers at {url} is not an aggregator ({detail}); check the address")]
    NotAnAggregator {
        /// The address that was asked.
        url: String,
        /// What came instead.
        detail: String,
    },
}

fn describe(problem: &Problem) -> String {
    let detail = problem.detail.iter().map(|d| format!(": {d}"));
    detail
        .chain(problem.faults.iter().map(|f| format!("\n  {f}")))
        .collect()
}

/// The client of the API at one address.
pub struct Api<T> {
    transport: T,
    base: String,
    token: Mutex<Option<String>>,
    sent: AtomicU64,
    received: AtomicU64,
}

impl<T: Transport> Api<T> {
    /// Makes a client of the aggregator at the origin `base`. `token` is a participant's or the
    /// organiser's.
    pub fn new(base: &str, token: Option<String>, transport: T) -> Self {
        Self {
            transport,
            base: base.trim_end_matches('/').to_owned(),
            token: Mutex::new(token),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        }
    }

    /// The transport that carries requests.
    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// Sets the token of all further requests; `None` for none.
    pub fn set_token(&self, token: Option<String>) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// The token, if there is one.
    pub fn token(&self) -> Option<String> {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        token.clone()
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

    async fn send(
        &self,
        method: &'static str,
        path: &str,
        body: Option<(&'static str, Vec<u8>)>,
        held_ms: u32,
    ) -> Result<Vec<u8>, ApiError> {
        let path = format!("/v1{path}");
        let bearer = self.token().map(|token| format!("Bearer {token}"));
        let bearer = bearer.as_deref().map(|bearer| ("authorization", bearer));
        let kind = body.as_ref().map(|(kind, _)| ("content-type", *kind));
        let body = body.as_ref().map(|(_, bytes)| &bytes[..]);
        let length = body.map_or(0, <[u8]>::len) as u64;
        self.sent.fetch_add(length, Ordering::Relaxed);
        let call = Call {
            method,
            base: &self.base,
            path: &path,
            headers: bearer.into_iter().chain(kind).collect(),
            body,
            limit_ms: LIMIT_MS + f64::from(held_ms),
        };
        let answer = match self.transport.send(call).await {
            Ok(answer) => answer,
            Err(reason @ NoAnswer::TooLarge { .. }) => return Err(self.foreign(&reason)),
            Err(reason) => {
                return Err(ApiError::Unreachable {
                    url: self.base.clone(),
                    reason,
                });
            }
        };
        let length = answer.body.len() as u64;
        self.received.fetch_add(length, Ordering::Relaxed);
        if (200..300).contains(&answer.status) {
            return Ok(answer.body);
        }
        Err(match parse::<Problem>(&answer.body) {
            Ok(problem) => match Refusal::from_code(&problem.code) {
                Some(refusal) => ApiError::Refused {
                    refusal,
                    words: problem.detail.unwrap_or(problem.title),
                },
                None => ApiError::Problem(Box::new(problem)),
            },
            Err(_) => self.foreign(&format_args!("status {}", answer.status)),
        })
    }

    fn foreign(&self, detail: &dyn std::fmt::Display) -> ApiError {
        ApiError::NotAnAggregator {
            url: self.base.clone(),
            detail: detail.to_string(),
        }
    }

    fn read<A: DeserializeOwned>(&self, body: &[u8]) -> Result<A, ApiError> {
        parse(body).map_err(|error| self.foreign(&error))
    }

    async fn get<A: DeserializeOwned>(&self, path: &str) -> Result<A, ApiError> {
        self.read(&self.send("GET", path, None, 0).await?)
    }

    async fn post<A: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<A, ApiError> {
        // Our messages have string keys and finite numbers only, which JSON can always represent.
        let body = body.map(|body| (JSON, serde_json::to_vec(body).unwrap_or_default()));
        self.read(&self.send("POST", path, body, 0).await?)
    }

    async fn post_binary(&self, path: &str, body: &impl Serialize) -> Result<RoundView, ApiError> {
        let body = Some((wire::CONTENT_TYPE, wire::encode(body)));
        self.read(&self.send("POST", path, body, 0).await?)
    }

    /// Carries out an action of the participant's machine that is a request to the aggregator. A
    /// message that was accepted is answered with a view of the round. Any other action gives only
    /// [`Event::Start`], to which the machine returns its open action again.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn carry_out(&self, federation: &str, action: &Action) -> Result<Event, ApiError> {
        let of = address(federation);
        Ok(match action {
            Action::Sync { after } => Event::View(self.round(federation, *after).await?),
            Action::Read { from } => Event::Lines(self.record(federation, *from).await?),
            Action::Fetch { round, phase } => {
                let phase = match phase {
                    Phase::Shares => "shares",
                    Phase::Masked => "masked",
                    Phase::Confirm => "confirm",
                    // Messages of other phases need nothing.
                    _ => "unmask",
                };
                let path = format!("{of}/rounds/{round}/sum?phase={phase}");
                let body = self.send("GET", &path, None, 0).await?;
                Event::Input(wire::decode(&body).map_err(|error| self.foreign(&error))?)
            }
            Action::Enrol { round, body } => {
                let path = format!("{of}/rounds/{round}/enrol");
                Event::View(self.post(&path, Some(body)).await?)
            }
            Action::Upload(update) => {
                let path = format!("{of}/rounds/{}/update", update.round);
                Event::View(self.post_binary(&path, update).await?)
            }
            Action::Send { round, message } => {
                let path = format!("{of}/rounds/{round}/sum");
                Event::View(self.post_binary(&path, message).await?)
            }
            _ => Event::Start,
        })
    }

    /// Joins with an invite, as a participant whom the federation recognises by this key.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn join(
        &self,
        federation: &str,
        invite: &str,
        identity: &Identity,
    ) -> Result<Joined, ApiError> {
        let proof = identity.sign(&join_statement(federation, invite));
        let body = JoinRequest {
            invite: invite.to_owned(),
            identity: hex(&identity.public()),
            proof: hex(&proof),
        };
        let path = format!("{}/participants", address(federation));
        self.post(&path, Some(&body)).await
    }

    /// The state of the round. With `after`, waits a while for a later version.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn round(&self, federation: &str, after: Option<u64>) -> Result<RoundView, ApiError> {
        let (query, held) = match after {
            Some(version) => (format!("?after={version}&wait_ms={WAIT_MS}"), WAIT_MS),
            None => (String::new(), 0),
        };
        let path = format!("{}/round{query}", address(federation));
        self.read(&self.send("GET", &path, None, held).await?)
    }

    /// Lines of the federation's record from number `from`, counted from 0: as many as the
    /// aggregator sends at once, and none if there are no more.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn record(&self, federation: &str, from: u32) -> Result<Vec<String>, ApiError> {
        let path = format!("{}/record?from={from}", address(federation));
        let body = self.send("GET", &path, None, 0).await?;
        lines(&body).ok_or_else(|| self.foreign(&"lines of a record that are cut or no text"))
    }

    /// The current θ, as little-endian f32.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn theta(&self, federation: &str) -> Result<Vec<u8>, ApiError> {
        let path = format!("{}/theta", address(federation));
        self.send("GET", &path, None, 0).await
    }

    /// Leaves the federation for good.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn leave(&self, federation: &str) -> Result<(), ApiError> {
        let path = format!("{}/participants/me", address(federation));
        self.send("DELETE", &path, None, 0).await.map(drop)
    }

    /// Creates a federation (organiser).
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn create(&self, body: &CreateFederation) -> Result<Invite, ApiError> {
        self.post("/federations", Some(body)).await
    }

    /// Makes another invite (organiser).
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn invite(&self, federation: &str, wish: &CreateInvite) -> Result<Invite, ApiError> {
        let path = format!("{}/invites", address(federation));
        self.post(&path, Some(wish)).await
    }

    /// All invites, without their secrets (organiser).
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn invites(&self, federation: &str) -> Result<Vec<InviteSummary>, ApiError> {
        self.get(&format!("{}/invites", address(federation))).await
    }

    /// Revokes an invite (organiser).
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn revoke(&self, federation: &str, invite: &str) -> Result<InviteSummary, ApiError> {
        let path = format!("{}/invites/{}", address(federation), escape(invite));
        self.read(&self.send("DELETE", &path, None, 0).await?)
    }

    /// Closes a federation (organiser).
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn close(&self, federation: &str) -> Result<FederationSummary, ApiError> {
        let path = format!("{}/close", address(federation));
        self.post(&path, None::<&()>).await
    }

    /// All federations.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn list(&self) -> Result<Vec<FederationSummary>, ApiError> {
        self.get("/federations").await
    }

    /// A federation's details with its history.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn detail(&self, federation: &str) -> Result<FederationDetail, ApiError> {
        self.get(&address(federation)).await
    }

    /// Reads a federation's details from an answer to [`detail`](Self::detail) that has already
    /// arrived.
    ///
    /// # Errors
    /// [`ApiError::NotAnAggregator`].
    pub fn announced(&self, text: &str) -> Result<FederationDetail, ApiError> {
        let length = text.len() as u64;
        self.received.fetch_add(length, Ordering::Relaxed);
        self.read(text.as_bytes())
    }
}

fn address(federation: &str) -> String {
    format!("/federations/{}", escape(federation))
}

/// The lines without their ends; `None` if the last line has no end, and so was cut off, or if the
/// body is no text.
fn lines(body: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(body).ok()?;
    if text.is_empty() {
        return Some(Vec::new());
    }
    let whole = text.strip_suffix('\n')?;
    Some(whole.split('\n').map(str::to_owned).collect())
}

/// Reads a message by way of a [`serde_json::Value`], so that one JSON parser is compiled and not
/// one for each type.
fn parse<A: DeserializeOwned>(body: &[u8]) -> Result<A, serde_json::Error> {
    serde_json::from_slice::<serde_json::Value>(body).and_then(serde_json::from_value)
}
