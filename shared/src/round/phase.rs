//! The phases of a round.
//!
//! With secure sums: `Open → Keys → Shares → Masked → Unmask → Done | Aborted`. Without:
//! `Open → Upload → Done | Aborted`.

use serde::{Deserialize, Serialize};

/// Where a round is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(export))]
pub enum Phase {
    /// θ_t is published; everyone trains; who has an update enrols.
    Open,
    /// The cohort publishes its round keys (secure sums).
    Keys,
    /// The cohort exchanges shares (secure sums).
    Shares,
    /// The cohort sends masked updates (secure sums).
    Masked,
    /// Survivors help to take the masks off (secure sums).
    Unmask,
    /// The cohort sends plain updates.
    Upload,
    /// θ_{t+1} exists.
    Done,
    /// The round ended without one.
    Aborted,
}

impl Phase {
    /// No further transition.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Done | Self::Aborted)
    }
}

/// Why a round ended without a new θ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(export))]
pub enum AbortReason {
    /// Fewer than `open.count_min` enrolled in time.
    TooFewEnrolled,
    /// Fewer than `upload.count_min` delivered in time.
    TooFewUpdates,
    /// The new θ would have held a number that is not finite.
    Overflow,
    /// The organiser closed the federation.
    Closed,
}
