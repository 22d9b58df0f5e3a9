//! The record of a federation: one line of JSON for its beginning and one for every round that
//! ended, each with the hash of the line before. Append-only; anyone may read it.
//!
//! Anyone who holds it can recompute every θ bit for bit ([`Replay`]): every participant does so
//! and takes θ from nowhere else, and so does `fed-bbpt audit`. With secure sums it also holds each
//! contributor's signed commitment to the vector that they sent, and round keys are signed together
//! with the hash of the record's last line, so that the members of one cohort have seen the same
//! record.

mod replay;
#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic: that is how it fails.
mod tests;

pub use replay::{Checkpoint, Commitments, Difference, Patience, Replay, What};

use crate::round::phase::AbortReason;
use crate::rules::advance::Sums;
use ground::hash::{Hash, sha256_hex};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The `previous` of the first line.
#[must_use]
pub fn nothing() -> Hash {
    "0".repeat(64)
}

/// One line of the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Hash of the line before.
    pub previous: Hash,
    /// The content of the line.
    pub entry: Entry,
}

/// The content of a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// The federation begins.
    Opened {
        /// Version of the record's form: 1.
        format: u32,
        /// The federation's id.
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
    /// Number of θ updates before it. A counting round does not move θ and is not counted.
    pub step: u32,
    /// Why there is no new θ; `None` if there is one.
    pub aborted: Option<AbortReason>,
    /// The secure sum, if it reached the phase in which masked vectors are sent.
    pub cohort: Option<Cohort>,
    /// What was summed; `None` in an aborted round.
    pub sums: Option<Sums>,
    /// Hash of θ after the round.
    pub theta: Hash,
    /// ε that all rounds so far have cost a participant, to three decimals; `None` without noise.
    pub epsilon: Option<f64>,
}

/// The members of a secure sum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cohort {
    /// Hash of the roster, U1.
    pub roster: Hash,
    /// U2: the participants who had sent shares.
    pub senders: Vec<u32>,
    /// U3: the participants whose vectors are in the sum, ascending.
    pub contributors: Vec<Commitment>,
}

/// A contributor's signed commitment to its vector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commitment {
    /// Number in the federation.
    pub participant: u32,
    /// Ed25519 public key.
    pub identity: Hash,
    /// SHA-256 of the masked vector.
    pub vector: Hash,
    /// Signature over [`secure_sum::messages::commitment`], in hexadecimal.
    pub signature: String,
}

/// Writes a line, without its line end. Its hash is the [`sha256_hex`] of that text.
#[must_use]
pub fn write(previous: &Hash, entry: Entry) -> String {
    let line = Line {
        previous: previous.clone(),
        entry,
    };
    // Strings, finite numbers and lists: JSON can always hold them.
    serde_json::to_string(&line).unwrap_or_default()
}

/// Parses a line; `None` if the text is not one.
#[must_use]
pub fn read(text: &str) -> Option<Line> {
    // By way of a value: one parser of JSON is compiled, and not one for each type.
    let value: Value = serde_json::from_slice(text.as_bytes()).ok()?;
    serde_json::from_value(value).ok()
}

/// The hash of a line.
#[must_use]
pub fn hash(line: &str) -> Hash {
    sha256_hex(line.as_bytes())
}

/// ε as the record states it: rounded up to three decimals.
#[must_use]
pub fn rounded(epsilon: f64) -> f64 {
    libm::ceil(epsilon * 1e3) / 1e3
}
