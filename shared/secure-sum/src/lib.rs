//! Secure sums: the aggregator learns the sum of the cohort's vectors and no single one.
//!
//! Source: K. Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine
//! Learning", CCS 2017, with the sparse graph of J. H. Bell et al., "Secure Single-Server
//! Aggregation with (Poly)Logarithmic Overhead", CCS 2020 (SecAgg+). One server, five messages of
//! each participant:
//!
//! | phase | participant → server | server → participant | set that it freezes |
//! |---|---|---|---|
//! | Keys | [`messages::RoundKeys`] | [`messages::Roster`] | U1: who is in the roster |
//! | Shares | [`messages::Shares`] | [`messages::Inbox`] | U2: who dealt shares |
//! | Masked | [`messages::Masked`] | [`messages::Survivors`] | U3: whose vector is in the sum |
//! | Confirm | [`messages::Confirmation`] | [`messages::Confirmations`] | U4: who was shown the same sets |
//! | Unmask | [`messages::Unmask`] | | U5: who answered |
//!
//! U1 ⊇ U2 ⊇ U3 ⊇ U4 ⊇ U5. The participant's half is [`participant`], the aggregator's [`opening`];
//! where to look for the rest: integers and their ring, [`encoding`]; who holds whose shares,
//! [`graph`]; shares, [`shamir`]; key agreement and envelopes, [`keys`]; who signs, [`identity`];
//! masks, [`keystream`].
//!
//! What a participant i adds to its vector x_i, in the ring, over its neighbours j ∈ U2:
//! y_i = x_i + PRG(b_i) + Σ_{j>i} PRG(s_ij) − Σ_{j<i} PRG(s_ij). The pair masks cancel in the sum. Of each i
//! either the self-mask's seed b_i (i ∈ U3) or the masking key that gives all s_ij (i ∈ U2 \ U3) is
//! revealed, never both: with both, y_i would be x_i.
//!
//! Everything is deterministic given the participant's seed, does no IO, and every message from
//! outside is judged before it is used: a participant answers with a [`suspicion::Suspicion`], the
//! aggregator with `false` or an [`opening::OpenError`].
//!
//! # An aggregator that lies
//!
//! The aggregator can show different participants different rosters, senders (U2) or survivors
//! (U3). What keeps it from opening less than it should:
//!
//! * A roster is bound into every key: envelopes from a participant who was shown another one do
//!   not open.
//! * Masks and commitments are bound to U2. A holder reveals a share of a survivor's self-mask only
//!   if the survivor signed its vector under the U2 that the holder was shown.
//! * Before anything is revealed, every survivor signs (roster, U2, U3), and reveals shares only
//!   when t members of its group signed the same. With t > ⅔m of m members, two views would need
//!   2t − m > m/3 members who sign both: an honest member signs one.
//!
//! So with at most [`bound::Bound::colluders`] members of a group on its side, the aggregator opens
//! at most one sum per group and round, and it is over at least [`bound::Bound::honest`] members who
//! are not.
//!
//! # What this does not hide
//!
//! * The sum itself, and what follows from it: noise (crate `privacy`, where it is used) is for
//!   that.
//! * Anything, once more members of a group than that collude with the server.
//! * The order of [`graph`] comes from the roster's hash, so a server that chooses the roster can
//!   try many of them. Up to [`SumPolicy::degree`] + 1 members the graph is complete and there is
//!   nothing to choose.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub mod bound;
pub mod encoding;
pub mod graph;
pub mod identity;
pub mod keys;
pub mod keystream;
pub mod messages;
pub mod opening;
pub mod participant;
mod secret;
pub mod shamir;
pub mod suspicion;
pub mod vectors;

#[cfg(test)]
#[path = "tests/cohort.rs"]
mod cohort;
#[cfg(test)]
#[path = "tests/lying.rs"]
mod lying;
#[cfg(test)]
#[path = "tests/malicious.rs"]
mod malicious;
#[cfg(test)]
#[path = "tests/sums.rs"]
mod sums;

/// 32 bytes: a hash, a key, a seed or a share.
pub type Bytes32 = [u8; 32];

/// What every key, signature and hash of one sum is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// The federation's id.
    pub federation: String,
    /// SHA-256 of the task, which also states the [`SumPolicy`].
    pub task: Bytes32,
    /// Number of the round.
    pub round: u32,
    /// Hash of θ_t.
    pub theta: Bytes32,
    /// Hash of the record's head before this round.
    pub record: Bytes32,
}

impl Context {
    /// SHA-256 over a domain-separated, length-prefixed encoding: contexts that differ anywhere
    /// have different digests.
    #[must_use]
    pub fn digest(&self) -> Bytes32 {
        digest(
            "context",
            &[
                self.federation.as_bytes(),
                &self.task,
                &self.round.to_le_bytes(),
                &self.theta,
                &self.record,
            ],
        )
    }
}

/// The rules of who holds whose shares, and how many of them open a secret.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SumPolicy {
    /// Minimum number of members of a roster; at least 3.
    pub cohort_min: u32,
    /// f in [⅔, 0.95]: of m holders (a member and its neighbours) t = ⌊m·f⌋ + 1 open a secret.
    pub threshold: f32,
    /// In a group of up to `degree` + 1 members all are neighbours; in a larger one each member has
    /// `degree` neighbours (rounded up to an even number). 2 to 254, because the x-coordinates of
    /// shares are bytes.
    pub degree: u32,
    /// Number of groups into which the roster is cut, each with a sum of its own.
    pub groups: u32,
}

/// The smallest threshold f: below two thirds, an aggregator that lies about who is in the sum could
/// open a single participant's vector with few colluders or none.
pub const THRESHOLD_MIN: f32 = 2.0 / 3.0;

impl Default for SumPolicy {
    fn default() -> Self {
        Self {
            cohort_min: 3,
            threshold: THRESHOLD_MIN,
            degree: 100,
            groups: 1,
        }
    }
}

impl SumPolicy {
    /// Returns whether every number is within its range.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.cohort_min >= 3
            && (THRESHOLD_MIN..=0.95).contains(&self.threshold)
            && (2..=254).contains(&self.degree)
            && self.groups >= 1
    }

    /// t = ⌊m·f⌋ + 1 of m, in f64 from the f32 f. More than two thirds, and for m ≥ 3 never more
    /// than m.
    #[must_use]
    pub fn threshold_of(&self, m: usize) -> usize {
        (m as f64 * f64::from(self.threshold)) as usize + 1
    }

    /// The smallest number of members whose sum any cohort under this policy opens; a share of
    /// noise must be large enough for it.
    #[must_use]
    pub fn contributors_min(&self) -> usize {
        self.threshold_of(self.cohort_min as usize / self.groups.max(1) as usize)
    }
}

/// Prefix of every label, so that nothing here is ever taken for something signed or hashed
/// elsewhere.
const DOMAIN: &str = "fed-bbpt secure-sum v1 ";

/// SHA-256 over the label and the parts, each preceded by its length as a little-endian u64.
pub fn digest(label: &str, parts: &[&[u8]]) -> Bytes32 {
    let mut hasher = Sha256::new();
    hasher.update(((DOMAIN.len() + label.len()) as u64).to_le_bytes());
    hasher.update(DOMAIN);
    hasher.update(label);
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// The bytes for signatures and for HKDF's `info`: the label, a zero byte, the parts. Parts have a
/// fixed length for each label, so no two texts collide.
pub fn labelled(label: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(DOMAIN.as_bytes());
    bytes.extend_from_slice(label.as_bytes());
    bytes.push(0);
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::cohort::context;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn contexts_that_differ_anywhere_have_another_digest() {
        let digests: BTreeSet<Bytes32> = [
            context(),
            Context {
                federation: "f\0".to_owned(),
                ..context()
            },
            Context {
                task: [0; 32],
                ..context()
            },
            Context {
                round: 3,
                ..context()
            },
            Context {
                theta: [0; 32],
                ..context()
            },
            Context {
                record: [0; 32],
                ..context()
            },
        ]
        .iter()
        .map(Context::digest)
        .collect();
        assert_eq!(digests.len(), 6);
        // Nor does moving a byte from one part to the next leave the digest unchanged.
        assert_ne!(digest("l", &[b"ab", b"c"]), digest("l", &[b"a", b"bc"]));
        assert_ne!(digest("la", &[b"b"]), digest("l", &[b"ab"]));
    }

    #[test]
    fn thresholds_are_a_majority_and_possible() {
        for threshold in [THRESHOLD_MIN, 0.7, 0.8, 0.9, 0.95] {
            let policy = SumPolicy {
                threshold,
                ..SumPolicy::default()
            };
            assert!(policy.is_valid());
            for m in 3..=255 {
                let t = policy.threshold_of(m);
                assert!(3 * t > 2 * m && t <= m, "{threshold} {m} {t}");
            }
        }
        assert_eq!(SumPolicy::default().threshold_of(100), 67);
        assert_eq!(SumPolicy::default().contributors_min(), 3);
    }

    #[test]
    fn policies_out_of_range_are_not_valid() {
        let usual = SumPolicy::default();
        for policy in [
            SumPolicy {
                cohort_min: 2,
                ..usual
            },
            SumPolicy {
                threshold: 0.66,
                ..usual
            },
            SumPolicy {
                threshold: 0.96,
                ..usual
            },
            SumPolicy {
                threshold: f32::NAN,
                ..usual
            },
            SumPolicy { degree: 1, ..usual },
            SumPolicy {
                degree: 255,
                ..usual
            },
            SumPolicy { groups: 0, ..usual },
        ] {
            assert!(!policy.is_valid(), "{policy:?}");
        }
    }
}
