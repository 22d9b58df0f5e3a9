//! The record of a federation: one line of JSON for its beginning and one for every round that
//! ended, each with the hash of the line before. Append-only; everybody may read it.
//!
//! Whoever holds it can compute every θ again, bit by bit ([`Replay`]): every participant does so
//! and takes θ from nowhere else, and `fed-bbpt audit` does. Under masks it also holds each
//! contributor's signed commitment to the vector that they sent, and round keys are signed together
//! with the hash of the record's last line: members of one cohort have seen the same record.

mod read;
mod replay;

pub use read::read;
pub use replay::{Commitments, Difference, Patience, Place, Replay, What};

use crate::round::phase::AbortReason;
use crate::rules::advance::Sums;
use ground::hash::{Hash, sha256_hex};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `previous` of the first line.
#[must_use]
pub fn nothing() -> Hash {
    "0".repeat(64)
}

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Hash of the line before.
    pub previous: Hash,
    /// What it says.
    pub entry: Entry,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// The federation begins.
    Opened {
        /// Version of the record's form: 1.
        format: u32,
        /// The federation.
        federation: String,
        /// The task.
        task: Value,
        /// Hash of θ₀.
        theta: Hash,
    },
    /// A round ended.
    Round(RoundEntry),
}

/// A round that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundEntry {
    /// Its number, counting aborted rounds.
    pub round: u32,
    /// θ updates before it. A counting round moves θ by nothing and counts for none.
    pub step: u32,
    /// Why there is no new θ, if there is none.
    pub aborted: Option<AbortReason>,
    /// The secure sum, if it came so far that masked vectors were sent.
    pub cohort: Option<Cohort>,
    /// What was summed; nothing in an aborted round.
    pub sums: Option<Sums>,
    /// Hash of the θ that came out.
    pub theta: Hash,
    /// ε of a participant of all rounds so far, to three places; nothing without noise.
    pub epsilon: Option<f64>,
}

/// Who was in a secure sum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cohort {
    /// Hash of the roster, U1.
    pub roster: Hash,
    /// U2: who had sent shares.
    pub senders: Vec<u32>,
    /// U3: whose vectors are in the sum, ascending.
    pub contributors: Vec<Commitment>,
}

/// What a contributor signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commitment {
    /// Number in the federation.
    pub participant: u32,
    /// Ed25519 public key.
    pub identity: Hash,
    /// SHA-256 of the masked vector.
    pub vector: Hash,
    /// Over [`secure_sum::messages::commitment`].
    pub signature: String,
}

/// A line as text, without its end. Its hash is [`sha256_hex`] of that.
#[must_use]
pub fn write(previous: &Hash, entry: Entry) -> String {
    let line = Line {
        previous: previous.clone(),
        entry,
    };
    // Strings, finite numbers and lists: JSON can always hold them.
    serde_json::to_string(&line).unwrap_or_default()
}

/// The hash of a line.
#[must_use]
pub fn hash(line: &str) -> Hash {
    sha256_hex(line.as_bytes())
}

/// ε as the record tells it: to three places, upwards.
#[must_use]
pub fn rounded(epsilon: f64) -> f64 {
    libm::ceil(epsilon * 1e3) / 1e3
}
