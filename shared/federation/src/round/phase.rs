//! The phases of a round.
//!
//! With secure sums: `Open → Keys → Shares → Masked → Confirm → Unmask →
//! Done | Aborted`. Without:
//! `Open → Upload → Done | Aborted`.

use serde::{Deserialize, Serialize};

/// What a round sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[derive(ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub enum RoundKind {
    /// Updates of θ.
    #[default]
    Training,
    /// Counts from which the mapping is learnt ([`tuning::objective::counts`]); θ stays. A
    /// federation whose mapping is learnt together begins with one of these that is concluded.
    Counting,
}

/// The phase of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[derive(ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub enum Phase {
    /// θ_t is published; everyone trains; participants with an update enrol.
    Open,
    /// The cohort publishes its round keys (secure sums).
    Keys,
    /// The cohort exchanges shares (secure sums).
    Shares,
    /// The cohort sends masked updates (secure sums).
    Masked,
    /// Survivors sign which participants they were told are in the sum (secure sums).
    Confirm,
    /// Survivors who have seen enough such signatures help to remove the masks (secure sums).
    Unmask,
    /// The cohort sends plain updates.
    Upload,
    /// θ_{t+1} exists.
    Done,
    /// The round ended without a new θ.
    Aborted,
}

impl Phase {
    /// The next phase, if one follows when enough messages have arrived.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        Some(match self {
            Self::Keys => Self::Shares,
            Self::Shares => Self::Masked,
            Self::Masked => Self::Confirm,
            Self::Confirm => Self::Unmask,
            Self::Upload | Self::Unmask => Self::Done,
            Self::Open | Self::Done | Self::Aborted => return None,
        })
    }

    /// Returns whether the cohort owes a message in it.
    #[must_use]
    pub fn collects(self) -> bool {
        self.next().is_some()
    }

    /// Returns whether the round is over.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Done | Self::Aborted)
    }
}

/// Why a round ended without a new θ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[derive(ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub enum AbortReason {
    /// Fewer than `open.count_min` enrolled in time.
    TooFewEnrolled,
    /// Fewer than `upload.count_min` delivered in time.
    TooFewUpdates,
    /// Too few published their round keys in time (secure sums).
    TooFewKeys,
    /// Too few sent their shares in time (secure sums).
    TooFewShares,
    /// Too few sent their masked updates in time (secure sums).
    TooFewMasked,
    /// Too few confirmed who is in the sum: the sum is lost, and nobody's update was seen (secure
    /// sums).
    TooFewConfirmed,
    /// Too few helped to remove the masks: the sum is lost, and nobody's update was seen (secure
    /// sums).
    TooFewUnmasked,
    /// The shares do not open the sum: somebody sent false ones (secure sums).
    FalseShares,
    /// The new θ would have held a number that is not finite.
    Overflow,
    /// The organiser closed the federation.
    Closed,
}
