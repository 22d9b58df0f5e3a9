//! What can be wrong with a privacy setting or with a vector that is to be made private.

use thiserror::Error;

/// Why a privacy setting or a vector is refused. Every fault fails closed: nothing is released,
/// nothing is counted.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PrivacyError {
    /// A vector holds NaN or infinity.
    #[error("the update holds NaN or infinity")]
    NotFinite,
    /// The vector's length differs from the one the mechanism was made for.
    #[error("the update has another length than the sum")]
    Length,
    /// The vector's L2 norm is above the bound.
    #[error("the update's norm is above the clipping bound")]
    Norm,
    /// The clipping bound is not a positive finite number.
    #[error("the clipping bound must be a positive finite number")]
    Clip,
    /// The scale is not a positive finite number, or clip·scale is above
    /// [`Mechanism::RADIUS_MAX`](super::Mechanism::RADIUS_MAX).
    #[error("the fixed-point scale must be positive, and clip times scale at most 2^31")]
    Scale,
    /// The number of entries is zero or above `u32::MAX`.
    #[error("the number of entries must be between 1 and 2^32 - 1")]
    Dimension,
    /// `contributors_min` is zero.
    #[error("at least one contributor is needed")]
    Contributors,
    /// The noise multiplier is not a positive finite number.
    #[error("the noise multiplier must be a positive finite number")]
    NoiseMultiplier,
    /// The variance is outside
    /// 1..=[`DiscreteGaussian::VARIANCE_MAX`](super::DiscreteGaussian::VARIANCE_MAX).
    #[error("the variance of one noise share must be between 1 and 2^62 squared units")]
    Variance,
    /// ε is not a positive finite number.
    #[error("epsilon must be a positive finite number")]
    Epsilon,
    /// δ is outside (0, 1).
    #[error("delta must lie between 0 and 1")]
    Delta,
    /// The number of sums is zero.
    #[error("the number of sums must be at least 1")]
    Sums,
    /// ρ is negative, NaN or infinite, or the ledger would become infinite.
    #[error("rho must be finite and not negative")]
    Rho,
    /// A sum of integers leaves the range of i64.
    #[error("an entry leaves the range of 64-bit integers")]
    Overflow,
    /// Even the largest possible noise does not reach the wanted ε.
    #[error("no noise that fits into the sum reaches the wanted epsilon")]
    Unreachable,
}

impl PrivacyError {
    /// A stable code for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NotFinite => "not_finite",
            Self::Length => "length",
            Self::Norm => "norm",
            Self::Clip => "clip",
            Self::Scale => "scale",
            Self::Dimension => "dimension",
            Self::Contributors => "contributors",
            Self::NoiseMultiplier => "noise_multiplier",
            Self::Variance => "variance",
            Self::Epsilon => "epsilon",
            Self::Delta => "delta",
            Self::Sums => "sums",
            Self::Rho => "rho",
            Self::Overflow => "overflow",
            Self::Unreachable => "unreachable",
        }
    }
}
