//! The messages between client and aggregator. JSON, except [`Update`], which is binary
//! ([`ground::wire`]).

use super::phase::{AbortReason, Phase, RoundKind};
use super::refusal::Refusal;
use crate::rules::choice::Choice;
use ground::hash::Hash;
use secure_sum::messages::{
    Confirmation, Confirmations, Inbox, Masked, Roster, RoundKeys, Shares, Survivors, Unmask,
};
use serde::{Deserialize, Serialize};

/// Body of `POST /v1/federations/{id}/participants`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[derive(ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct JoinRequest {
    /// The secret of the invite link.
    pub invite: String,
    /// The participant's long-term Ed25519 public key, 64 hexadecimal digits. Joining again with it
    /// gives the same number and a fresh token. Empty for a participant whom the federation need
    /// not recognise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub identity: String,
    /// The identity's signature over [`join_statement`], 128 hexadecimal digits; empty without an
    /// identity.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub proof: String,
}

/// The bytes that an identity signs to join. A signature from elsewhere, or for another federation
/// or invite, cannot stand for it. It contains the invite's hash and not the secret, so that a
/// statement reveals nothing.
#[must_use]
pub fn join_statement(federation: &str, invite: &str) -> Vec<u8> {
    let invite = ground::hash::sha256_hex(invite.as_bytes());
    [
        b"fed-bbpt join v1\0",
        federation.as_bytes(),
        b"\0",
        invite.as_bytes(),
    ]
    .concat()
}

/// Answer to [`JoinRequest`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct Joined {
    /// The participant's number in this federation.
    pub participant: u32,
    /// Bearer token that proves it from now on. Shown once.
    pub token: String,
    /// The task as JSON.
    #[ts(type = "unknown")]
    pub task: serde_json::Value,
    /// Hash of the task.
    pub task_hash: Hash,
}

/// The state of a federation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[derive(ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub enum FederationStatus {
    /// Rounds go on.
    Running,
    /// All rounds are done.
    Finished,
    /// Closed by the organiser.
    Closed,
}

/// A participant's standing in the current round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[derive(ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub enum Standing {
    /// The participant has not been heard of in this round.
    Idle,
    /// The participant has an update and waits for the cohort.
    Enrolled,
    /// The participant is in the cohort and owes this phase's message.
    InCohort,
    /// The participant's message of this phase was taken.
    Delivered,
    /// The participant was in the cohort, but did not deliver in an earlier phase of this round.
    Dropped,
}

/// Answer of `GET /v1/federations/{id}/round`: all that a client needs to know what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct RoundView {
    /// Grows with every change; `?after=version` waits for the next view.
    #[ts(type = "number")]
    pub version: u64,
    /// State of the federation.
    pub status: FederationStatus,
    /// Number of θ updates so far; the current round makes number `step + 1`.
    pub step: u32,
    /// Number of the round; aborted rounds count, too.
    pub round: u32,
    /// Phase of the round.
    pub phase: Phase,
    /// Hash of θ_t.
    pub theta: Hash,
    /// Number of lines of the federation's record so far.
    pub lines: u32,
    /// Hash of the record's last line, on which all participants must agree.
    pub record: Hash,
    /// Number of participants who had joined when the training from this θ_t began; with `attempt`
    /// it decides the draw (`federation.active`).
    pub registered: u32,
    /// Number of rounds from this θ_t that were aborted.
    pub attempt: u32,
    /// Standing of the participant who asks.
    pub standing: Standing,
    /// Number of participants enrolled in this round.
    pub enrolled: u32,
    /// Number of participants waited for in this phase, once the cohort is frozen.
    pub cohort: u32,
    /// Number of them whose message was taken.
    pub delivered: u32,
    /// Number of participants heard of lately.
    pub live: u32,
    /// Milliseconds until the phase ends in any case; `null` while its clock stands.
    #[ts(type = "number | null")]
    pub deadline_ms: Option<u64>,
}

/// Body of `POST /v1/federations/{id}/rounds/{round}/enrol`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[derive(schemars::JsonSchema)]
pub struct Enrolment {
    /// Hash of the θ that the update is computed from.
    pub theta: Hash,
    /// Whether there is no update: the participant was not drawn (`federation.active`) and only
    /// says that it is present, so that the round's clock runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits: bool,
}

/// Sums over one participant's held-out examples. They add up over participants.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct Metrics {
    /// Number of held-out examples that θ_t gets right.
    pub correct: u32,
    /// Number of held-out examples.
    pub total: u32,
    /// Sum of the losses at θ_t.
    pub loss: f64,
    /// Queries spent since the last delivered update, including measurements.
    pub queries: u32,
    /// Number of the same held-out examples that the model gets right without a prompt. `null` if
    /// that is not reported: under noise.
    #[serde(default)]
    pub unprompted: Option<u32>,
}

impl Default for Metrics {
    /// The metrics of nobody, with which sums begin.
    fn default() -> Self {
        Self {
            correct: 0,
            total: 0,
            loss: 0.0,
            queries: 0,
            unprompted: Some(0),
        }
    }
}

impl Metrics {
    /// Returns whether the sums are finite and possible.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.correct <= self.total
            && self.unprompted.is_none_or(|right| right <= self.total)
            && self.loss.abs() <= MAX_LOSS
            && self.total <= MAX_EXAMPLES
            && self.queries <= MAX_QUERIES
    }

    /// Adds another participant's sums.
    pub fn add(&mut self, other: &Self) {
        self.correct = self.correct.saturating_add(other.correct);
        self.total = self.total.saturating_add(other.total);
        self.loss += other.loss;
        self.queries = self.queries.saturating_add(other.queries);
        let both = self.unprompted.zip(other.unprompted);
        self.unprompted = both.map(|(a, b)| a.saturating_add(b));
    }
}

/// Maximum number of a participant's examples.
pub const MAX_EXAMPLES: u32 = 10_000_000;
/// Maximum number of a participant's queries in a round.
pub const MAX_QUERIES: u32 = 100_000_000;
/// Maximum sum of a participant's losses. Far beyond any loss, and small enough that the sum over
/// 10⁶ participants stays finite: JSON cannot express infinity, and a record that held it could not
/// be read again.
pub const MAX_LOSS: f64 = 1e300;
/// Maximum magnitude of an update's entry: with at most 10⁷ examples and 10⁶ participants the sum
/// stays exact enough and far from overflow.
pub const MAX_ENTRY: f32 = 1e6;

/// Body of `POST /v1/federations/{id}/rounds/{round}/update`, binary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// Number of the round.
    pub round: u32,
    /// Hash of the θ_t that it starts from.
    pub theta: Hash,
    /// Number of training examples: the update's weight.
    pub examples: u32,
    /// θ_i − θ_t.
    pub delta: Vec<f32>,
    /// The participant's metrics.
    pub metrics: Metrics,
}

impl Update {
    /// Checks everything that can be checked without the round.
    pub fn validate(&self, dim: usize) -> Result<(), Refusal> {
        if self.delta.len() != dim {
            return Err(Refusal::Malformed);
        }
        if self.delta.iter().any(|d| !d.is_finite()) {
            return Err(Refusal::NotFinite);
        }
        let in_range = self.delta.iter().all(|d| d.abs() <= MAX_ENTRY);
        if !in_range
            || !self.metrics.is_valid()
            || self.examples == 0
            || self.examples > MAX_EXAMPLES
        {
            return Err(Refusal::OutOfRange);
        }
        Ok(())
    }
}

/// A cohort member's message in one phase of a secure sum, binary: `POST …/rounds/{round}/{phase}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SumMessage {
    /// The message of [`Phase::Keys`].
    Keys(RoundKeys),
    /// The message of [`Phase::Shares`].
    Shares(Shares),
    /// The message of [`Phase::Masked`].
    Masked(Masked),
    /// The message of [`Phase::Confirm`].
    Confirmation(Confirmation),
    /// The message of [`Phase::Unmask`].
    Unmask(Unmask),
}

impl SumMessage {
    /// The phase that it belongs to.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self {
            Self::Keys(_) => Phase::Keys,
            Self::Shares(_) => Phase::Shares,
            Self::Masked(_) => Phase::Masked,
            Self::Confirmation(_) => Phase::Confirm,
            Self::Unmask(_) => Phase::Unmask,
        }
    }
}

/// What a cohort member needs for its message, binary: `GET …/rounds/{round}/{phase}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SumInput {
    /// The input for [`Phase::Shares`].
    Roster(Roster),
    /// The input for [`Phase::Masked`].
    Inbox(Inbox),
    /// The input for [`Phase::Confirm`].
    Survivors(Survivors),
    /// The input for [`Phase::Unmask`].
    Confirmations(Confirmations),
}

impl SumInput {
    /// The phase that it is for.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self {
            Self::Roster(_) => Phase::Shares,
            Self::Inbox(_) => Phase::Masked,
            Self::Survivors(_) => Phase::Confirm,
            Self::Confirmations(_) => Phase::Unmask,
        }
    }
}

/// One finished round, for dashboards and records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct RoundRecord {
    /// Its number.
    pub round: u32,
    /// Number of θ updates before it.
    pub step: u32,
    /// What it summed, or would have.
    #[serde(default)]
    pub kind: RoundKind,
    /// `Done` or `Aborted`.
    pub phase: Phase,
    /// Why it was aborted; `null` if it was not.
    pub reason: Option<AbortReason>,
    /// Size of the cohort.
    pub cohort: u32,
    /// Number of updates in the sum.
    pub delivered: u32,
    /// The cohort's metrics, measured at θ_t, before the update.
    pub metrics: Metrics,
    /// Hash of θ after the round.
    pub theta: Hash,
    /// ε that all rounds so far may have cost a participant, at the task's δ; `null` without noise.
    #[serde(default)]
    pub epsilon: Option<f64>,
    /// Bytes of updates received.
    #[ts(type = "number")]
    pub bytes_up: u64,
    /// When it ended, in milliseconds since 1970.
    #[ts(type = "number")]
    pub finished_at: u64,
}

/// One line of the list of federations, and the head of a dashboard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct FederationSummary {
    /// The federation's id in addresses.
    pub id: String,
    /// The task's name.
    pub name: String,
    /// The task's paragraph for data owners.
    pub description: String,
    /// State of the federation.
    pub status: FederationStatus,
    /// Number of θ updates so far.
    pub step: u32,
    /// Number of θ updates planned.
    pub steps: u32,
    /// Number of participants who ever joined.
    pub participants: u32,
    /// Number of participants heard of lately.
    pub live: u32,
    /// Number of parameters.
    pub dim: u32,
    /// The model API's origin.
    pub model_origin: String,
    /// When it was created, in milliseconds since 1970.
    #[ts(type = "number")]
    pub created_at: u64,
    /// Hash of the task.
    pub task_hash: Hash,
    /// Whether updates are summed under masks.
    #[serde(default)]
    pub secure: bool,
    /// What all rounds so far may have cost a participant; `null` without noise.
    #[serde(default)]
    pub privacy: Option<PrivacySpent>,
}

/// The privacy spent by a federation, or by one participant.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct PrivacySpent {
    /// ε spent so far.
    pub epsilon: f64,
    /// Limit of ε: no round begins that would exceed it.
    pub limit: f64,
    /// The δ at which ε is stated.
    pub delta: f64,
}

/// Answer of `GET /v1/federations/{id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct FederationDetail {
    /// The federation's summary.
    pub summary: FederationSummary,
    /// The task as JSON.
    #[ts(type = "unknown")]
    pub task: serde_json::Value,
    /// Finished rounds, oldest first (the last 2,000).
    pub rounds: Vec<RoundRecord>,
    /// What these rounds say is to be kept; `null` as long as no held-out examples were measured.
    #[serde(default)]
    pub choice: Option<Choice>,
    /// The current round as an outsider sees it.
    pub current: RoundView,
}

/// An error as the API answers it: RFC 9457 problem+json with a stable code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct Problem {
    /// Always `about:blank`: the code says it all.
    #[serde(rename = "type")]
    pub kind: String,
    /// HTTP status.
    pub status: u16,
    /// A [`Refusal`]'s code, or `bad_task`, `bad_request`, `internal`.
    pub code: String,
    /// A sentence for people.
    pub title: String,
    /// Details of this case.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
    /// The faults of a task file.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub faults: Vec<ground::fault::Fault>,
}

/// Body of `POST /v1/federations` (organiser).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[derive(ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct CreateFederation {
    /// The task file's text (TOML); exclusive with `task`.
    #[serde(default)]
    pub task_toml: Option<String>,
    /// The task as JSON; exclusive with `task_toml`.
    #[serde(default)]
    #[ts(type = "unknown")]
    pub task: Option<serde_json::Value>,
}

/// Answer to [`CreateFederation`], and to `POST /v1/federations/{id}/invites`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct Invite {
    /// The federation's id.
    pub federation: String,
    /// Id of the invite in the organiser's list; not a secret.
    pub id: String,
    /// The invite's secret. It goes into a link's fragment, which browsers do not send.
    pub invite: String,
    /// The address at which people reach the server, for links, without a slash at its end; `null`
    /// if the server was not told.
    #[serde(default)]
    pub public_url: Option<String>,
}

/// Body of `POST /v1/federations/{id}/invites` (organiser). Without a body, anyone may use the
/// invite, and it does not expire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[derive(ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct CreateInvite {
    /// Seconds from now for which it can be used.
    #[serde(default)]
    #[ts(type = "number | null")]
    pub expires_in_seconds: Option<u64>,
    /// Maximum number of participants who may join with it.
    #[serde(default)]
    pub uses: Option<u32>,
}

/// One line of `GET /v1/federations/{id}/invites` (organiser). The secret is shown only when it is
/// made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct InviteSummary {
    /// The invite's id in addresses.
    pub id: String,
    /// When it was made, in milliseconds since 1970.
    #[ts(type = "number")]
    pub created_at: u64,
    /// When it expires, in milliseconds since 1970; `null` if it does not.
    #[ts(type = "number | null")]
    pub expires_at: Option<u64>,
    /// Maximum number of participants who may join with it; `null` for no limit.
    pub uses: Option<u32>,
    /// Number of participants who have joined with it.
    pub used: u32,
    /// Whether the organiser has revoked it.
    pub revoked: bool,
}

/// Data of the server-sent events named `progress` of `GET /v1/federations/{id}/events`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct Progress {
    /// The current round as an outsider sees it.
    pub current: RoundView,
    /// The last finished round, if it is new since the last event.
    pub finished: Option<RoundRecord>,
    /// Number of participants who ever joined.
    pub participants: u32,
}
