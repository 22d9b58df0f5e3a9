//! The privacy that has been spent: zero-concentrated differential privacy, added up and stated as
//! ε at δ.
//!
//! Sources: Bun and Steinke 2016 (ρ-zCDP: the Rényi divergence of order α between neighbours is at
//! most αρ for every α > 1; composition adds, Lemma 1.7); Canonne, Kamath and Steinke 2020,
//! Corollary 13 (from ρ to ε and δ).

use super::PrivacyError;
use serde::{Deserialize, Serialize};

/// The total cost ρ of all sums so far. Never negative, never infinite; stored values are checked
/// when they are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Ledger {
    rho: f64,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Stored {
    rho: f64,
}

impl TryFrom<Stored> for Ledger {
    type Error = PrivacyError;

    fn try_from(stored: Stored) -> Result<Self, PrivacyError> {
        let mut ledger = Self::default();
        ledger.compose(stored.rho)?;
        Ok(ledger)
    }
}

impl From<Ledger> for Stored {
    fn from(ledger: Ledger) -> Self {
        Self { rho: ledger.rho }
    }
}

impl Ledger {
    /// A ledger with nothing spent.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The total ρ.
    #[must_use]
    pub fn rho(&self) -> f64 {
        self.rho
    }

    /// Adds one more release of cost `rho`.
    ///
    /// # Errors
    /// [`PrivacyError::Rho`] if the cost is negative, NaN or infinite, or the total would be
    /// infinite; nothing is added then.
    pub fn compose(&mut self, rho: f64) -> Result<(), PrivacyError> {
        let total = self.rho + rho;
        if !(rho >= 0.0 && total.is_finite()) {
            return Err(PrivacyError::Rho);
        }
        self.rho = total;
        Ok(())
    }

    /// ε at δ. Infinite, which promises nothing, for a δ outside (0, 1).
    #[must_use]
    pub fn epsilon(&self, delta: f64) -> f64 {
        epsilon_of(self.rho, delta)
    }

    /// Returns whether one more release of cost `next_rho` would make ε at δ larger than `epsilon`.
    /// Also true if an argument is NaN: what cannot be accounted for must not happen.
    #[must_use]
    pub fn would_exceed(&self, next_rho: f64, epsilon: f64, delta: f64) -> bool {
        let mut after = *self;
        after.compose(next_rho).is_err() || epsilon.is_nan() || after.epsilon(delta) > epsilon
    }
}

/// The smallest ε for which ρ-zCDP is known to imply (ε, δ)-differential privacy: min over α > 1 of
/// αρ + ln(1/(αδ))/(α − 1) + ln(1 − 1/α), and at least 0.
///
/// Infinite for a ρ that is negative or NaN and for a δ outside (0, 1). Every α gives a valid ε, so
/// an inexact minimum errs on the safe side.
#[must_use]
pub fn epsilon_of(rho: f64, delta: f64) -> f64 {
    if !(rho >= 0.0 && delta > 0.0 && delta < 1.0) {
        return f64::INFINITY;
    }
    if rho == 0.0 {
        return 0.0;
    }
    // With x = α − 1 the derivative is ρ − (ln(1/δ) − ln(1 + x))/x²: negative before its only zero,
    // positive after it. At x = √(ln(1/δ)/ρ) and at x = 1/δ it is positive already.
    let log = -libm::log(delta);
    let mut low = 0.0;
    let mut high = (log / rho).sqrt().min(1.0 / delta);
    // A few more than 53 halvings; at most as many as f64 has binades and bits.
    loop {
        let x = 0.5 * (low + high);
        if x <= low || x >= high {
            break;
        }
        if rho * x * x < log - libm::log(1.0 + x) {
            low = x;
        } else {
            high = x;
        }
    }
    let x = high;
    let epsilon = (1.0 + x) * rho + (log - libm::log(1.0 + x)) / x - libm::log(1.0 + 1.0 / x);
    // A ρ at the end of f64's range leaves no x to divide by.
    if epsilon.is_nan() {
        f64::INFINITY
    } else {
        epsilon.max(0.0)
    }
}

#[cfg(test)]
mod tests;
