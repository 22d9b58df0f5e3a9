//! The discrete Gaussian, sampled exactly with integers only, so that no rounding error of
//! floating-point numbers shapes the noise.
//!
//! Source: Canonne, Kamath and Steinke 2020, "The Discrete Gaussian for Differential Privacy",
//! Algorithms 1 (exp(−γ) coins), 2 (discrete Laplace) and 3 (discrete Gaussian). As in every
//! rejection sampler, the time of a draw depends on its value.

use super::PrivacyError;

/// The distribution P(x) ∝ exp(−x²/2σ²) over the integers, with mean 0 and an integer σ².
///
/// Its variance is at most σ², and for σ² ≥ 1 less than a millionth below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiscreteGaussian {
    variance: u64,
    /// The proposal's scale t is 2 to this power, the one nearest to σ. Algorithm 3 takes ⌊σ⌋ + 1;
    /// any t gives the same distribution, because the proposal's exp(−|y|/t) cancels, and this one
    /// needs no division.
    shift: u32,
}

impl DiscreteGaussian {
    /// The largest σ² for which every product in the sampler fits into 128 bits.
    pub const VARIANCE_MAX: u64 = 1 << 62;

    /// The distribution with parameter σ² = `variance`.
    ///
    /// # Errors
    /// [`PrivacyError::Variance`] outside 1..=[`VARIANCE_MAX`](Self::VARIANCE_MAX).
    pub fn new(variance: u64) -> Result<Self, PrivacyError> {
        if !(1..=Self::VARIANCE_MAX).contains(&variance) {
            return Err(PrivacyError::Variance);
        }
        let shift = variance.ilog2().div_ceil(2);
        Ok(Self { variance, shift })
    }

    /// The parameter σ².
    #[must_use]
    pub fn variance(&self) -> u64 {
        self.variance
    }

    /// Draws once from uniform `words`, about 17 on average; never ends on a source that repeats
    /// itself for ever.
    ///
    /// A magnitude beyond i64 (its probability is below exp(−2³⁰) at the largest σ²) is drawn
    /// again.
    pub fn sample(&self, words: &mut impl FnMut() -> u64) -> i64 {
        let variance = u128::from(self.variance);
        loop {
            let (negative, magnitude) = laplace(self.shift, words);
            // Accepted with probability exp(−(|y| − σ²/t)²/2σ²) = exp(−m²/2σ²t²), m = | |y|·t − σ²
            // |. m² has more than 128 bits; with m = h·t + l it is three coins: h²/2σ², h·l/σ²t and
            // l²/2σ²t².
            let m = (magnitude << self.shift).abs_diff(variance);
            let h = m >> self.shift;
            let l = m ^ h << self.shift;
            let Some(h_squared) = h.checked_mul(h) else {
                continue;
            };
            if exp_coin(h_squared, 2 * variance, words)
                && exp_coin(h * l, variance << self.shift, words)
                && exp_coin(l * l, variance << (2 * self.shift + 1), words)
                && let Ok(magnitude) = i64::try_from(magnitude)
            {
                return if negative { -magnitude } else { magnitude };
            }
        }
    }
}

/// Algorithm 2 with scale t = 2^`shift` (and s = 1): P(y) ∝ exp(−|y|/t). Returns sign and
/// magnitude; zero has one sign only.
fn laplace(shift: u32, words: &mut impl FnMut() -> u64) -> (bool, u128) {
    let t = 1_u128 << shift;
    loop {
        let low = below(t, words);
        if !exp_coin_to_one(low, t, words) {
            continue;
        }
        let mut high = 0_u64;
        while exp_coin_to_one(1, 1, words) {
            high += 1;
        }
        // t is at most 2³¹, so 2⁶⁴·t and, in the caller, 2⁶⁴·t² still fit.
        let magnitude = low | u128::from(high) << shift;
        let negative = words() & 1 == 1;
        if !(negative && magnitude == 0) {
            return (negative, magnitude);
        }
    }
}

/// Algorithm 1: true with probability exp(−p/q).
fn exp_coin(mut p: u128, q: u128, words: &mut impl FnMut() -> u64) -> bool {
    // Each whole part of the exponent is a coin of its own; the first that fails ends the loop, so
    // it is short.
    while p > q {
        if !exp_coin_to_one(1, 1, words) {
            return false;
        }
        p -= q;
    }
    exp_coin_to_one(p, q, words)
}

/// Algorithm 1 for p ≤ q: the first k at which a coin of probability p/qk fails is odd with
/// probability exp(−p/q).
fn exp_coin_to_one(p: u128, q: u128, words: &mut impl FnMut() -> u64) -> bool {
    let mut k = 1_u64;
    // Two coins, 1/k and p/q, rather than one: q·k may not fit.
    while below(u128::from(k), words) == 0 && below(q, words) < p {
        k += 1;
    }
    k & 1 == 1
}

/// Uniform in 0..n without bias (by rejection). For n = 1 no word is consumed.
fn below(n: u128, words: &mut impl FnMut() -> u64) -> u128 {
    let Some(mask) = u128::MAX.checked_shr((n - 1).leading_zeros()) else {
        return 0;
    };
    loop {
        let mut draw = u128::from(words());
        if mask > u128::from(u64::MAX) {
            draw = draw << 64 | u128::from(words());
        }
        draw &= mask;
        if draw < n {
            return draw;
        }
    }
}

#[cfg(test)]
mod tests;
