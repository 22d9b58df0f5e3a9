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
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Deserialize)]
    struct Known {
        noise_multiplier: f64,
        sums: u32,
        delta: f64,
        rdp: f64,
        pld: f64,
    }

    #[derive(Deserialize)]
    struct Vectors {
        gaussian: Vec<Known>,
    }

    #[test]
    fn agrees_with_dp_accounting() {
        let vectors: Vectors =
            serde_json::from_str(include_str!("../../vectors/epsilon.json")).unwrap();
        assert!(vectors.gaussian.len() >= 50);
        for k in vectors.gaussian {
            let mut ledger = Ledger::new();
            for _ in 0..k.sums {
                ledger.compose(0.5 / k.noise_multiplier.powi(2)).unwrap();
            }
            let ours = ledger.epsilon(k.delta);
            let case = (k.noise_multiplier, k.sums, k.delta, ours, k.rdp, k.pld);
            assert!((ours / k.rdp - 1.0).abs() < 0.02, "{case:?}");
            assert!(ours >= k.pld, "{case:?}");
        }
    }

    #[test]
    fn the_minimum_is_a_minimum() {
        for rho in [1e-6, 1e-3, 0.1, 1.0, 30.0] {
            for delta in [1e-12, 1e-5, 0.01] {
                let ours = epsilon_of(rho, delta);
                let others = (1..200_000).map(|i| {
                    let alpha = 1.0 + 1e-4 * 1.0001_f64.powi(i);
                    alpha * rho - (alpha * delta).ln() / (alpha - 1.0) + (-1.0 / alpha).ln_1p()
                });
                let least = others.fold(f64::INFINITY, f64::min).max(0.0);
                assert!(
                    ours <= least + 1e-9 && ours >= least - 1e-6 * least,
                    "{rho} {delta}: {ours} {least}"
                );
                // Bun and Steinke 2016, Proposition 1.3, is looser.
                assert!(ours < rho + 2.0 * (rho * (1.0 / delta).ln()).sqrt());
            }
        }
    }

    #[test]
    fn extremes_end_and_promise_nothing_false() {
        assert_eq!(epsilon_of(0.0, 1e-5), 0.0);
        for rho in [1e-300, 1e-30, 1e30, 1e300, f64::MAX] {
            for delta in [1e-300, 1e-30, 0.5, 1.0 - 1e-16] {
                let epsilon = epsilon_of(rho, delta);
                assert!(
                    epsilon >= 0.0 && (rho < 1.0 || epsilon >= rho),
                    "{rho} {delta}"
                );
            }
        }
        for delta in [0.0, 1.0, -0.1, 2.0, f64::NAN] {
            assert_eq!(epsilon_of(0.1, delta), f64::INFINITY);
            assert!(Ledger::new().would_exceed(0.1, 100.0, delta));
        }
        for rho in [-1.0, f64::NAN] {
            assert_eq!(epsilon_of(rho, 0.1), f64::INFINITY);
        }
    }

    #[test]
    fn what_cannot_be_counted_is_refused_and_blocks() {
        let mut ledger = Ledger::new();
        ledger.compose(0.25).unwrap();
        for rho in [-1e-9, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(ledger.compose(rho), Err(PrivacyError::Rho));
            assert!(ledger.would_exceed(rho, 1e9, 1e-5));
        }
        assert!(ledger.would_exceed(0.0, f64::NAN, 1e-5));
        ledger.compose(f64::MAX).unwrap();
        assert_eq!(ledger.compose(f64::MAX), Err(PrivacyError::Rho));
        assert_eq!(ledger.rho(), f64::MAX);
    }

    #[test]
    fn a_round_is_blocked_before_the_budget_is_passed() {
        let (rho, budget, delta) = (0.01, 2.0, 1e-6);
        let mut ledger = Ledger::new();
        let mut rounds = 0;
        while !ledger.would_exceed(rho, budget, delta) {
            ledger.compose(rho).unwrap();
            rounds += 1;
        }
        assert!(ledger.epsilon(delta) <= budget);
        assert!(epsilon_of(ledger.rho() + rho, delta) > budget);
        assert!(rounds > 3, "{rounds}");
    }

    #[test]
    fn is_stored_and_checked_when_read() {
        let mut ledger = Ledger::new();
        ledger.compose(0.3).unwrap();
        let text = serde_json::to_string(&ledger).unwrap();
        assert_eq!(text, r#"{"rho":0.3}"#);
        assert_eq!(serde_json::from_str::<Ledger>(&text).unwrap(), ledger);
        for bad in [r#"{"rho":-1}"#, r#"{"rho":null}"#, "{}"] {
            assert!(serde_json::from_str::<Ledger>(bad).is_err(), "{bad}");
        }
        let stored = postcard::to_stdvec(&ledger).unwrap();
        assert_eq!(postcard::from_bytes::<Ledger>(&stored).unwrap(), ledger);
        for bad in [f64::NAN, f64::INFINITY, -1.0] {
            let stored = postcard::to_stdvec(&bad).unwrap();
            assert!(postcard::from_bytes::<Ledger>(&stored).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn more_spent_is_a_larger_epsilon_and_more_delta_a_smaller(
            rho in 1e-6_f64..10.0, more in 1.001_f64..10.0, delta in 1e-12_f64..0.01, wider in 1.1_f64..10.0,
        ) {
            let epsilon = epsilon_of(rho, delta);
            prop_assert!(epsilon_of(rho * more, delta) >= epsilon);
            prop_assert!(epsilon_of(rho, delta * wider) <= epsilon);
            if epsilon > 0.0 {
                prop_assert!(epsilon_of(rho * more, delta) > epsilon);
            }
        }

        #[test]
        fn composition_adds_in_any_order(mut costs in prop::collection::vec(0.0_f64..1.0, 0..20)) {
            let total = |costs: &[f64]| {
                let mut ledger = Ledger::new();
                costs.iter().for_each(|rho| ledger.compose(*rho).unwrap());
                ledger.epsilon(1e-5)
            };
            let forwards = total(&costs);
            costs.reverse();
            prop_assert!((total(&costs) - forwards).abs() <= 1e-9 * (1.0 + forwards));
        }

        #[test]
        fn would_exceed_says_what_would_be(
            spent in 0.0_f64..5.0, next in 0.0_f64..1.0, budget in 0.0_f64..20.0, delta in 1e-9_f64..0.1,
        ) {
            let mut ledger = Ledger::new();
            ledger.compose(spent).unwrap();
            let blocked = ledger.would_exceed(next, budget, delta);
            prop_assert_eq!(ledger.rho(), spent);
            ledger.compose(next).unwrap();
            prop_assert_eq!(blocked, ledger.epsilon(delta) > budget);
        }
    }
}
