//! When a phase ends: count{min,max} and time{min,max}.
//!
//! A phase succeeds as soon as `count_max` messages have arrived, or those of everyone who could
//! send one; otherwise once `time_min` has passed and `count_min` have arrived. At `time_max` it
//! ends in any case: successfully with `count_min`, else as an abort.

use super::phase::Phase;
use ground::fault::Reader;
use serde::{Deserialize, Serialize};

/// Bounds of one phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Minimum number of messages.
    pub count_min: u32,
    /// Maximum number of messages.
    pub count_max: u32,
    /// How long to wait for more than the minimum, in milliseconds.
    pub time_min_ms: u64,
    /// When the phase ends in any case, in milliseconds.
    pub time_max_ms: u64,
}

impl Limits {
    pub(crate) fn read(reader: &mut Reader<'_>, time_min: u64, time_max: u64) -> Self {
        let count_min = reader.whole("count_min", 1..=1_000_000, Some(1)) as u32;
        let count_max = reader.whole("count_max", 1..=1_000_000, Some(1_000_000)) as u32;
        if count_max < count_min {
            reader.fault("count_max", "is less than count_min");
        }
        let time_min_ms = reader.whole("time_min_ms", 0..=86_400_000, Some(time_min));
        let time_max_ms = reader.whole(
            "time_max_ms",
            100..=7 * 86_400_000,
            Some(time_max.max(time_min_ms + 100)),
        );
        if time_max_ms < time_min_ms {
            reader.fault("time_max_ms", "is less than time_min_ms");
        }
        Self {
            count_min,
            count_max,
            time_min_ms,
            time_max_ms,
        }
    }

    /// Decides about a phase that began `elapsed` ms ago, with `count` messages from `possible`
    /// participants.
    #[must_use]
    pub fn verdict(&self, count: u32, possible: u32, elapsed: u64) -> Verdict {
        let enough = count >= self.count_min;
        if enough && (count >= self.count_max || count >= possible || elapsed >= self.time_min_ms) {
            return Verdict::Go;
        }
        if elapsed >= self.time_max_ms {
            Verdict::TooFew
        } else {
            Verdict::Wait
        }
    }
}

/// What to do with a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on to the next phase.
    Go,
    /// Wait.
    Wait,
    /// Time is up and too few messages have arrived.
    TooFew,
}

/// The bounds of a secure sum's phases.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecurePhases {
    /// The cohort publishes its round keys.
    pub keys: Limits,
    /// The cohort exchanges shares.
    pub shares: Limits,
    /// The cohort sends masked updates.
    pub masked: Limits,
    /// The survivors confirm who is in the sum.
    pub confirm: Limits,
    /// The survivors help to remove the masks.
    pub unmask: Limits,
    /// More than this share of the members with keys must still be there at the end.
    pub threshold: f32,
}

impl SecurePhases {
    /// How many of `members` must be there at the end.
    #[must_use]
    pub fn needed(&self, members: u32) -> u32 {
        (f64::from(members) * f64::from(self.threshold)) as u32 + 1
    }
}

/// The bounds of all phases.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Everyone trains; participants with an update enrol. Its clock starts with the first of them.
    pub open: Limits,
    /// The cohort delivers.
    pub upload: Limits,
    /// Phases that replace `upload` if updates are summed under masks.
    pub secure: Option<SecurePhases>,
    /// Minimum number of participants drawn to train from each θ_t; 0: nobody is drawn, all train.
    pub active: u32,
    /// Whether the participants take turns, so that none is drawn again before nearly all were.
    pub in_turns: bool,
    /// A participant who was not heard of for this long is taken for gone, until heard of again.
    pub lease_ms: u64,
}

impl Policy {
    /// How many are drawn to train (FedOne, ICML 2025, draws one): as many as `Open` needs at
    /// least, and twice as many with each aborted round from the same θ_t, so that participants who
    /// never come cannot hold the federation up. `None` if all train.
    #[must_use]
    pub fn drawn(&self, attempt: u32) -> Option<u32> {
        let least = self.limits(Phase::Open, 0)?.count_min.max(self.active);
        let widened = u64::from(least) << attempt.min(31);
        (self.active > 0).then(|| u32::try_from(widened).unwrap_or(u32::MAX))
    }

    /// The bounds of a phase that waits for messages. `members` have published their keys.
    #[must_use]
    pub fn limits(&self, phase: Phase, members: u32) -> Option<Limits> {
        let at_least = |limits: Limits, least: u32| Limits {
            count_min: limits.count_min.max(least),
            ..limits
        };
        let needed = |secure: &SecurePhases| secure.needed(members);
        Some(match (phase, &self.secure) {
            // A cohort that could not suffice is not frozen: it would be aborted as soon as all
            // delivered, and the same participants would enrol again at once, round after round.
            (Phase::Open, None) => at_least(self.open, self.upload.count_min),
            (Phase::Open, Some(secure)) => at_least(self.open, secure.keys.count_min),
            (Phase::Upload, None) => self.upload,
            (Phase::Keys, Some(secure)) => secure.keys,
            (Phase::Shares, Some(secure)) => at_least(secure.shares, needed(secure)),
            (Phase::Masked, Some(secure)) => at_least(secure.masked, needed(secure)),
            (Phase::Confirm, Some(secure)) => at_least(secure.confirm, needed(secure)),
            (Phase::Unmask, Some(secure)) => at_least(secure.unmask, needed(secure)),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let limits = Limits {
            count_min: 2,
            count_max: 4,
            time_min_ms: 100,
            time_max_ms: 1000,
        };
        assert_eq!(limits.verdict(4, 9, 0), Verdict::Go);
        assert_eq!(limits.verdict(3, 3, 0), Verdict::Go);
        assert_eq!(limits.verdict(3, 9, 50), Verdict::Wait);
        assert_eq!(limits.verdict(2, 9, 100), Verdict::Go);
        assert_eq!(limits.verdict(1, 1, 500), Verdict::Wait);
        assert_eq!(limits.verdict(1, 1, 1000), Verdict::TooFew);
    }
}
