//! What client and aggregator say to each other. JSON, but for [`Update`], which is binary
//! ([`super::wire`]).

use super::phase::{AbortReason, Phase, RoundKind};
use super::refusal::Refusal;
use crate::rules::choice::Choice;
use ground::hash::Hash;
use secure_sum::messages::{Inbox, Masked, Roster, RoundKeys, Shares, Survivors, Unmask};
use serde::{Deserialize, Serialize};

/// `POST /v1/federations/{id}/participants`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[derive(ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct JoinRequest {
    /// From the invite link.
    pub invite: String,
    /// The participant's long-term Ed25519 public key, 64 hexadecimal digits. Who joins again with
    /// it gets the same number and a fresh token. Empty for somebody whom the federation need not
    /// know again.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub identity: String,
    /// The identity's signature over [`join_statement`], 128 hexadecimal digits; empty without an
    /// identity.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub proof: String,
}

/// What an identity signs to join: no signature from elsewhere, nor one for another federation or
/// invite, can stand for it. The invite's hash stands in it and not the secret, so that a statement
/// gives nothing away.
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

/// Its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct Joined {
    /// The participant's number in this federation.
    pub participant: u32,
    /// Proves it from now on, as a bearer token. Shown once.
    pub token: String,
    /// The task as JSON.
    #[ts(type = "unknown")]
    pub task: serde_json::Value,
    /// Its hash.
    pub task_hash: Hash,
}

/// Where a federation is.
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

/// Where a participant is in the current round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[derive(ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub enum Standing {
    /// Nothing was heard from them in this round.
    Idle,
    /// They have an update and wait for the cohort.
    Enrolled,
    /// They are in the cohort and owe this phase's message.
    InCohort,
    /// This phase's message of theirs was taken.
    Delivered,
    /// They were in the cohort, but did not deliver in an earlier phase of this round.
    Dropped,
}

/// `GET /v1/federations/{id}/round`: all that a client needs to know what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct RoundView {
    /// Grows with every change; ask for the next view with `?after=version`.
    #[ts(type = "number")]
    pub version: u64,
    /// The federation's.
    pub status: FederationStatus,
    /// Updates of θ so far: the number of this round's successor θ is `step + 1`.
    pub step: u32,
    /// Counts all rounds, aborted ones too.
    pub round: u32,
    /// The round's.
    pub phase: Phase,
    /// Hash of θ_t.
    pub theta: Hash,
    /// Lines of the federation's record so far.
    pub lines: u32,
    /// Hash of the last of them: what everybody who takes part must agree on.
    pub record: Hash,
    /// Who had joined when the training from this θ_t began, and how many rounds from it were
    /// aborted: what the draw of those who train follows from (`federation.active`).
    pub registered: u32,
    /// Likewise.
    pub attempt: u32,
    /// The asking participant's.
    pub standing: Standing,
    /// Enrolled in this round.
    pub enrolled: u32,
    /// Waited for in this phase, once the cohort is frozen.
    pub cohort: u32,
    /// Those of them whose message was taken.
    pub delivered: u32,
    /// Participants heard of lately.
    pub live: u32,
    /// Milliseconds until the phase ends in any case; nothing while its clock stands.
    #[ts(type = "number | null")]
    pub deadline_ms: Option<u64>,
}

/// `POST /v1/federations/{id}/rounds/{round}/enrol`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[derive(schemars::JsonSchema)]
pub struct Enrolment {
    /// Hash of the θ that the update is computed from.
    pub theta: Hash,
    /// There is no update: the participant was not drawn (`federation.active`) and only says that
    /// it is there, so that the round's clock runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits: bool,
}

/// Sums over one participant's examples. They add up over participants.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct Metrics {
    /// Held-out examples that θ_t gets right.
    pub correct: u32,
    /// Held-out examples.
    pub total: u32,
    /// Sum of their losses at θ_t.
    pub loss: f64,
    /// Queries spent since the last delivered update, measuring included.
    pub queries: u32,
    /// Held-out examples, the same ones, that the model gets right without a prompt. Nothing where
    /// that is not told: under noise.
    #[serde(default)]
    pub unprompted: Option<u32>,
}

impl Default for Metrics {
    /// Of nobody: what sums begin with.
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
    /// Sums must be finite and possible.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.correct <= self.total
            && self.unprompted.is_none_or(|right| right <= self.total)
            && self.loss.abs() <= MAX_LOSS
            && self.total <= MAX_EXAMPLES
            && self.queries <= MAX_QUERIES
    }

    /// Adds another participant's.
    pub fn add(&mut self, other: &Self) {
        self.correct = self.correct.saturating_add(other.correct);
        self.total = self.total.saturating_add(other.total);
        self.loss += other.loss;
        self.queries = self.queries.saturating_add(other.queries);
        let both = self.unprompted.zip(other.unprompted);
        self.unprompted = both.map(|(a, b)| a.saturating_add(b));
    }
}

/// No participant has more examples than this.
pub const MAX_EXAMPLES: u32 = 10_000_000;
/// No participant spends more queries in a round.
pub const MAX_QUERIES: u32 = 100_000_000;
/// No participant's sum of losses is larger. Far beyond any loss, and small enough that 10⁶
/// participants' sum stays finite: JSON cannot say infinity, and a record that holds it could not
/// be read again.
pub const MAX_LOSS: f64 = 1e300;
/// No entry of an update is larger: with at most 10⁷ examples and 10⁶ participants the sum stays
/// exact enough and far from overflow.
pub const MAX_ENTRY: f32 = 1e6;

/// `POST /v1/federations/{id}/rounds/{round}/update`, binary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// The round.
    pub round: u32,
    /// Hash of the θ_t that it starts from.
    pub theta: Hash,
    /// Training examples: the update's weight.
    pub examples: u32,
    /// θ_i − θ_t.
    pub delta: Vec<f32>,
    /// The participant's sums.
    pub metrics: Metrics,
}

impl Update {
    /// Everything that can be wrong without looking at the round.
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
    /// In [`Phase::Keys`].
    Keys(RoundKeys),
    /// In [`Phase::Shares`].
    Shares(Shares),
    /// In [`Phase::Masked`].
    Masked(Masked),
    /// In [`Phase::Unmask`].
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
            Self::Unmask(_) => Phase::Unmask,
        }
    }
}

/// What a cohort member needs for its message, binary: `GET …/rounds/{round}/{phase}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SumInput {
    /// For [`Phase::Shares`].
    Roster(Roster),
    /// For [`Phase::Masked`].
    Inbox(Inbox),
    /// For [`Phase::Unmask`].
    Survivors(Survivors),
}

impl SumInput {
    /// The phase that it is for.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self {
            Self::Roster(_) => Phase::Shares,
            Self::Inbox(_) => Phase::Masked,
            Self::Survivors(_) => Phase::Unmask,
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
    /// θ updates before it.
    pub step: u32,
    /// What it summed, or would have.
    #[serde(default)]
    pub kind: RoundKind,
    /// `Done` or `Aborted`.
    pub phase: Phase,
    /// Why it was aborted.
    pub reason: Option<AbortReason>,
    /// Cohort size.
    pub cohort: u32,
    /// Updates in the sum.
    pub delivered: u32,
    /// The cohort's sums, measured at θ_t, before the update.
    pub metrics: Metrics,
    /// Hash of the θ that came out.
    pub theta: Hash,
    /// ε that all rounds so far may have cost a participant, at the task's δ; nothing without
    /// noise.
    #[serde(default)]
    pub epsilon: Option<f64>,
    /// Bytes of updates that came in.
    #[ts(type = "number")]
    pub bytes_up: u64,
    /// Milliseconds since 1970.
    #[ts(type = "number")]
    pub finished_at: u64,
}

/// One line of the list of federations, and the head of a dashboard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct FederationSummary {
    /// In addresses.
    pub id: String,
    /// The task's name.
    pub name: String,
    /// The task's paragraph for data owners.
    pub description: String,
    /// Running, finished, closed.
    pub status: FederationStatus,
    /// θ updates so far.
    pub step: u32,
    /// θ updates in all.
    pub steps: u32,
    /// All who ever joined.
    pub participants: u32,
    /// Those heard of lately.
    pub live: u32,
    /// Number of parameters.
    pub dim: u32,
    /// The model API's origin.
    pub model_origin: String,
    /// Milliseconds since 1970.
    #[ts(type = "number")]
    pub created_at: u64,
    /// Hash of the task.
    pub task_hash: Hash,
    /// Updates are summed under masks.
    #[serde(default)]
    pub secure: bool,
    /// What all rounds so far may have cost a participant; nothing without noise.
    #[serde(default)]
    pub privacy: Option<PrivacySpent>,
}

/// The ledger of a federation, or of one participant.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct PrivacySpent {
    /// ε so far.
    pub epsilon: f64,
    /// No round begins that would bring it above this.
    pub limit: f64,
    /// At this δ.
    pub delta: f64,
}

/// `GET /v1/federations/{id}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct FederationDetail {
    /// The head.
    pub summary: FederationSummary,
    /// The task as JSON.
    #[ts(type = "unknown")]
    pub task: serde_json::Value,
    /// Finished rounds, oldest first (the last 2,000).
    pub rounds: Vec<RoundRecord>,
    /// What these rounds say is to be kept; nothing as long as no held-out examples were measured.
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
    /// `about:blank`: the code says it all.
    #[serde(rename = "type")]
    pub kind: String,
    /// HTTP status.
    pub status: u16,
    /// A [`Refusal`]'s code, or `bad_task`, `bad_request`, `internal`.
    pub code: String,
    /// For people.
    pub title: String,
    /// More of it, for this case.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
    /// A task file's faults.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub faults: Vec<ground::fault::Fault>,
}

/// `POST /v1/federations` (organiser).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[derive(ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct CreateFederation {
    /// The task file's text (TOML), or
    #[serde(default)]
    pub task_toml: Option<String>,
    /// the task as JSON.
    #[serde(default)]
    #[ts(type = "unknown")]
    pub task: Option<serde_json::Value>,
}

/// Its answer, and that of `POST /v1/federations/{id}/invites`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct Invite {
    /// The federation.
    pub federation: String,
    /// Names the invite in the organiser's list; no secret.
    pub id: String,
    /// The invite's secret; it goes into a link's fragment, which browsers do not send.
    pub invite: String,
    /// The address under which people reach the server, for links, without a slash at its end; nothing where the server was
    /// not told.
    #[serde(default)]
    pub public_url: Option<String>,
}

/// `POST /v1/federations/{id}/invites` (organiser). Without a body, the invite is for anybody and
/// for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[derive(ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct CreateInvite {
    /// How long it can be joined with, in seconds from now.
    #[serde(default)]
    #[ts(type = "number | null")]
    pub expires_in_seconds: Option<u64>,
    /// How many participants may join with it.
    #[serde(default)]
    pub uses: Option<u32>,
}

/// One line of `GET /v1/federations/{id}/invites` (organiser). The secret is shown only when it is
/// made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct InviteSummary {
    /// In addresses.
    pub id: String,
    /// Milliseconds since 1970.
    #[ts(type = "number")]
    pub created_at: u64,
    /// Milliseconds since 1970; nothing if it does not expire.
    #[ts(type = "number | null")]
    pub expires_at: Option<u64>,
    /// Participants who may join with it; nothing for any number.
    pub uses: Option<u32>,
    /// Participants who have.
    pub used: u32,
    /// Taken back by the organiser.
    pub revoked: bool,
}

/// `GET /v1/federations/{id}/events`: server-sent events named `progress` carry this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct Progress {
    /// The current round as an outsider sees it.
    pub current: RoundView,
    /// The last finished round, if it is new since the last event.
    pub finished: Option<RoundRecord>,
    /// All who ever joined.
    pub participants: u32,
}
