//! The aggregator's HTTP API as a participant and as an organiser use it.

use super::body::{self, BodyError};
use super::caller::cause_of;
use federation::round::messages::{
    CreateFederation, CreateInvite, Enrolment, FederationDetail, FederationSummary, Invite,
    InviteSummary, JoinRequest, Joined, Problem, RoundView, SumInput, SumMessage, Update,
    join_statement,
};
use federation::round::phase::Phase;
use federation::round::refusal::Refusal;
use ground::hex::hex;
use ground::wire;
use reqwest::{Method, RequestBuilder, Response};
use secure_sum::identity::Identity;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Longest wait of a long poll.
const WAIT_MS: u64 = 20_000;
/// A request that is not a long poll takes at most this long.
const TIME_OUT: Duration = Duration::from_secs(30);

/// Why the aggregator did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// It said why.
    #[error("{refusal}")]
    Refused {
        /// The reason.
        refusal: Refusal,
    },
    /// Another problem document.
    #[error("the aggregator refuses: {}{}", .0.title, describe(.0))]
    Problem(Box<Problem>),
    /// No answer.
    #[error("the aggregator at {url} does not answer: {cause}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        cause: String,
    },
    /// An answer that is none.
    #[error("what answers at {url} is not an aggregator ({detail}); check the address")]
    NotAnAggregator {
        /// Where.
        url: String,
        /// What came.
        detail: String,
    },
}

fn describe(problem: &Problem) -> String {
    let detail = problem.detail.iter().map(|d| format!(": {d}"));
    detail
        .chain(problem.faults.iter().map(|f| format!("\n  {f}")))
        .collect()
}

/// The API at one address.
pub struct Aggregator {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Aggregator {
    /// `base` is the aggregator's origin; `token` a participant's or the organiser's.
    pub fn new(base: &str, token: Option<String>) -> Result<Self, ApiError> {
        let base = base.trim_end_matches('/').to_owned();
        let http = reqwest::Client::builder()
            .build()
            .map_err(|e| ApiError::Unreachable {
                url: base.clone(),
                cause: cause_of(&e),
            })?;
        Ok(Self {
            http,
            base,
            token,
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        })
    }

    /// The same address with a token.
    #[must_use]
    pub fn with_token(mut self, token: String) -> Self {
        self.token = Some(token);
        self
    }

    /// Bytes sent and received so far, bodies only.
    pub fn bytes(&self) -> (u64, u64) {
        (
            self.sent.load(Ordering::Relaxed),
            self.received.load(Ordering::Relaxed),
        )
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let builder = self
            .http
            .request(method, format!("{}/v1{path}", self.base))
            .timeout(TIME_OUT);
        match &self.token {
            Some(token) => builder.bearer_auth(token),
            None => builder,
        }
    }

    async fn send(&self, builder: RequestBuilder) -> Result<Vec<u8>, ApiError> {
        let unreachable = |e: reqwest::Error| ApiError::Unreachable {
            url: self.base.clone(),
            cause: cause_of(&e),
        };
        let response: Response = builder.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = match body::read(response, body::OF_AN_AGGREGATOR).await {
            Ok(body) => body,
            Err(BodyError::Broken(error)) => return Err(unreachable(error)),
            Err(error @ BodyError::TooLarge { .. }) => {
                return Err(ApiError::NotAnAggregator {
                    url: self.base.clone(),
                    detail: error.to_string(),
                });
            }
        };
        self.received
            .fetch_add(body.len() as u64, Ordering::Relaxed);
        if status.is_success() {
            return Ok(body);
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => match Refusal::from_code(&problem.code) {
                Some(refusal) => Err(ApiError::Refused { refusal }),
                None => Err(ApiError::Problem(Box::new(problem))),
            },
            Err(_) => Err(ApiError::NotAnAggregator {
                url: self.base.clone(),
                detail: format!("status {status}"),
            }),
        }
    }

    async fn json<T: DeserializeOwned>(&self, builder: RequestBuilder) -> Result<T, ApiError> {
        let body = self.send(builder).await?;
        serde_json::from_slice(&body).map_err(|e| ApiError::NotAnAggregator {
            url: self.base.clone(),
            detail: e.to_string(),
        })
    }

    fn post<T: Serialize>(&self, path: &str, body: &T) -> RequestBuilder {
        // Our messages hold string keys and finite numbers only, which JSON can always hold.
        let bytes = serde_json::to_vec(body).unwrap_or_default();
        self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.request(Method::POST, path)
            .header("content-type", "application/json")
            .body(bytes)
    }

    fn post_binary<T: Serialize>(&self, path: &str, body: &T) -> RequestBuilder {
        let bytes = wire::encode(body);
        self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.request(Method::POST, path)
            .header("content-type", wire::CONTENT_TYPE)
            .body(bytes)
    }

    fn not_an_aggregator(&self, detail: &dyn std::fmt::Display) -> ApiError {
        ApiError::NotAnAggregator {
            url: self.base.clone(),
            detail: detail.to_string(),
        }
    }

    /// Joins with an invite, as somebody whom the federation knows again by this key.
    pub async fn join(
        &self,
        federation: &str,
        invite: &str,
        identity: &Identity,
    ) -> Result<Joined, ApiError> {
        let proof = identity.sign(&join_statement(federation, invite));
        self.json(self.post(
            &format!("/federations/{federation}/participants"),
            &JoinRequest {
                invite: invite.to_owned(),
                identity: hex(&identity.public()),
                proof: hex(&proof),
            },
        ))
        .await
    }

    /// Where the round is; with `after`, waits for a later version.
    pub async fn round(&self, federation: &str, after: Option<u64>) -> Result<RoundView, ApiError> {
        let query = after.map_or_else(String::new, |v| format!("?after={v}&wait_ms={WAIT_MS}"));
        self.json(self.request(
            Method::GET,
            &format!("/federations/{federation}/round{query}"),
        ))
        .await
    }

    /// θ as bytes.
    pub async fn theta(&self, federation: &str) -> Result<Vec<u8>, ApiError> {
        self.send(self.request(Method::GET, &format!("/federations/{federation}/theta")))
            .await
    }

    /// Enrols in a round.
    pub async fn enrol(
        &self,
        federation: &str,
        round: u32,
        body: &Enrolment,
    ) -> Result<RoundView, ApiError> {
        self.json(self.post(
            &format!("/federations/{federation}/rounds/{round}/enrol"),
            body,
        ))
        .await
    }

    /// Sends an update.
    pub async fn update(&self, federation: &str, update: &Update) -> Result<RoundView, ApiError> {
        let path = format!("/federations/{federation}/rounds/{}/update", update.round);
        self.json(self.post_binary(&path, update)).await
    }

    /// Sends a message of a secure sum.
    pub async fn sum_message(
        &self,
        federation: &str,
        round: u32,
        message: &SumMessage,
    ) -> Result<RoundView, ApiError> {
        let path = format!("/federations/{federation}/rounds/{round}/sum");
        self.json(self.post_binary(&path, message)).await
    }

    /// What the message of a phase of a secure sum needs.
    pub async fn sum_input(
        &self,
        federation: &str,
        round: u32,
        phase: Phase,
    ) -> Result<SumInput, ApiError> {
        let phase = match phase {
            Phase::Shares => "shares",
            Phase::Masked => "masked",
            // No other phase's message needs anything.
            _ => "unmask",
        };
        let path = format!("/federations/{federation}/rounds/{round}/sum?phase={phase}");
        let body = self.send(self.request(Method::GET, &path)).await?;
        wire::decode(&body).map_err(|e| self.not_an_aggregator(&e))
    }

    /// Lines of the federation's record from number `from`, counted from 0; as many as the aggregator gives at
    /// once, none where there are no more.
    pub async fn record(&self, federation: &str, from: u32) -> Result<Vec<String>, ApiError> {
        let path = format!("/federations/{federation}/record?from={from}");
        let body = self.send(self.request(Method::GET, &path)).await?;
        let text = String::from_utf8(body).map_err(|e| self.not_an_aggregator(&e))?;
        Ok(text.split_terminator('\n').map(str::to_owned).collect())
    }

    /// Still here.
    pub async fn heartbeat(&self, federation: &str) -> Result<(), ApiError> {
        self.send(self.request(
            Method::POST,
            &format!("/federations/{federation}/heartbeat"),
        ))
        .await
        .map(drop)
    }

    /// Leaves for good.
    pub async fn leave(&self, federation: &str) -> Result<(), ApiError> {
        self.send(self.request(
            Method::DELETE,
            &format!("/federations/{federation}/participants/me"),
        ))
        .await
        .map(drop)
    }

    /// Creates a federation (organiser).
    pub async fn create(&self, body: &CreateFederation) -> Result<Invite, ApiError> {
        self.json(self.post("/federations", body)).await
    }

    /// Makes one more invite (organiser).
    pub async fn invite(&self, federation: &str, wish: &CreateInvite) -> Result<Invite, ApiError> {
        self.json(self.post(&format!("/federations/{federation}/invites"), wish))
            .await
    }

    /// All invites, without their secrets (organiser).
    pub async fn invites(&self, federation: &str) -> Result<Vec<InviteSummary>, ApiError> {
        self.json(self.request(Method::GET, &format!("/federations/{federation}/invites")))
            .await
    }

    /// Takes an invite back (organiser).
    pub async fn revoke(&self, federation: &str, invite: &str) -> Result<InviteSummary, ApiError> {
        let path = format!("/federations/{federation}/invites/{invite}");
        self.json(self.request(Method::DELETE, &path)).await
    }

    /// Closes a federation (organiser).
    pub async fn close(&self, federation: &str) -> Result<FederationSummary, ApiError> {
        self.json(self.request(Method::POST, &format!("/federations/{federation}/close")))
            .await
    }

    /// All federations.
    pub async fn list(&self) -> Result<Vec<FederationSummary>, ApiError> {
        self.json(self.request(Method::GET, "/federations")).await
    }

    /// One federation with its history.
    pub async fn detail(&self, federation: &str) -> Result<FederationDetail, ApiError> {
        self.json(self.request(Method::GET, &format!("/federations/{federation}")))
            .await
    }
}
