//! The distributed discrete Gaussian: what one participant adds to a sum, and what the sum costs.
//!
//! Source: Kairouz, Liu and Steinke 2021, Theorem 1 and Proposition 14. All integers are in units
//! of 1/scale. Everything here also holds for every larger cohort: its noise is that of
//! `contributors_min` participants plus independent noise, and adding that is post-processing.

use super::clip::l2_norm;
use super::{DiscreteGaussian, PrivacyError, conditional_round, rounded_norm_squared};

/// Number of terms of τ that are added one by one; all later ones are bounded by the first of them.
const TAU_TERMS: u32 = 1000;

/// How one sum is made private. Built from public settings, the same at every participant and at
/// the aggregator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mechanism {
    clip: f64,
    scale: f64,
    dim: usize,
    contributors_min: u32,
    noise: DiscreteGaussian,
    norm_squared: u64,
    /// The largest squared distance of neighbours' rounded vectors, in units².
    distance_squared: f64,
}

impl Mechanism {
    /// The largest clip·scale, 2³¹ units, at which squared norms fit into u64.
    pub const RADIUS_MAX: f64 = (1_u64 << 31) as f64;

    /// Makes the mechanism for vectors of `dim` entries and L2 norm up to `clip`, rounded to
    /// multiples of 1/`scale`.
    ///
    /// The noise of any `contributors_min` participants together has a standard deviation of at
    /// least `noise_multiplier`·`clip`. If sums are split into groups, `contributors_min` is the
    /// smallest number in a group.
    ///
    /// # Errors
    /// [`PrivacyError::Clip`], [`Scale`](PrivacyError::Scale),
    /// [`Dimension`](PrivacyError::Dimension), [`Contributors`](PrivacyError::Contributors),
    /// [`NoiseMultiplier`](PrivacyError::NoiseMultiplier) for a setting outside its range;
    /// [`Variance`](PrivacyError::Variance) if one share of the noise does not fit.
    pub fn new(
        clip: f64,
        scale: f64,
        dim: usize,
        contributors_min: u32,
        noise_multiplier: f64,
    ) -> Result<Self, PrivacyError> {
        if !(noise_multiplier > 0.0 && noise_multiplier.is_finite()) {
            return Err(PrivacyError::NoiseMultiplier);
        }
        // Also checks everything else first.
        let least = Self::with_share(clip, scale, dim, contributors_min, 1)?;
        let sigma = noise_multiplier * clip * scale;
        let variance = sigma * sigma;
        let quotient = variance / f64::from(contributors_min);
        if quotient > DiscreteGaussian::VARIANCE_MAX as f64 {
            return Err(PrivacyError::Variance);
        }
        // From just below the quotient, which is rounded, to the first integer that is enough:
        // exactly, and without a 128-bit division, which is much code in wasm.
        let mut share = (quotient * (1.0 - f64::EPSILON)) as u64;
        while u128::from(share) * u128::from(contributors_min) < variance.ceil() as u128 {
            share += 1;
        }
        Ok(Self {
            noise: DiscreteGaussian::new(share.max(1))?,
            ..least
        })
    }

    /// The same mechanism where neighbours differ by less than a whole contribution: by a vector of
    /// norm `difference`, as when one example has no part in it. Rounding moves each entry of both by
    /// less than one unit, whatever it draws, so that the integers' distance is at most
    /// `difference`·scale + 2√d. If rounding may cost `slack` times as much, that is
    /// `difference`·scale + 2√d·`slack`.
    #[must_use]
    pub fn for_difference(self, difference: f64, slack: f64) -> Self {
        let distance = difference * self.scale + 2.0 * (self.dim as f64).sqrt() * slack;
        Self {
            distance_squared: distance * distance,
            ..self
        }
    }

    /// Makes the mechanism with a variance of `share` units² from each participant.
    pub(super) fn with_share(
        clip: f64,
        scale: f64,
        dim: usize,
        contributors_min: u32,
        share: u64,
    ) -> Result<Self, PrivacyError> {
        if !(clip > 0.0 && clip.is_finite()) {
            return Err(PrivacyError::Clip);
        }
        let radius = clip * scale;
        if !(scale > 0.0 && radius > 0.0 && radius <= Self::RADIUS_MAX) {
            return Err(PrivacyError::Scale);
        }
        if dim == 0 || u32::try_from(dim).is_err() {
            return Err(PrivacyError::Dimension);
        }
        if contributors_min == 0 {
            return Err(PrivacyError::Contributors);
        }
        let norm_squared = rounded_norm_squared(radius, dim);
        Ok(Self {
            clip,
            scale,
            dim,
            contributors_min,
            noise: DiscreteGaussian::new(share)?,
            norm_squared,
            distance_squared: norm_squared as f64,
        })
    }

    /// The distribution of the noise that one participant draws for each entry; its variance is
    /// σ_i² in units².
    #[must_use]
    pub fn noise(&self) -> DiscreteGaussian {
        self.noise
    }

    /// σ_i² in units², rounded up: `contributors_min` such shares have at least the stated
    /// variance.
    #[must_use]
    pub fn share_variance(&self) -> u64 {
        self.noise.variance()
    }

    /// The largest squared L2 norm of one participant's rounded vector, in units².
    #[must_use]
    pub fn norm_squared(&self) -> u64 {
        self.norm_squared
    }

    /// The standard deviation of the noise on one entry of the sum of `contributors` participants,
    /// in the units of the update.
    #[must_use]
    pub fn standard_deviation(&self, contributors: u32) -> f64 {
        (f64::from(contributors) * self.share_variance() as f64).sqrt() / self.scale
    }

    /// ρ of one sum in the sense of zCDP, against an observer who sees only the sum.
    ///
    /// With Δ₂² the largest squared distance of neighbours (that of a contribution from zero, unless
    /// [`Mechanism::for_difference`] says otherwise), Δ₁ = min(√d·Δ₂, Δ₂²), n contributors and V = n·σ_i²,
    /// Proposition 14 gives min{Δ₂²/2V + τd, (Δ₂²/V + 2Δ₁τ/√V + τ²d)/2} (its third term is never
    /// the smallest, by this Δ₁).
    #[must_use]
    pub fn rho(&self) -> f64 {
        let dim = self.dim as f64;
        let squared = self.distance_squared;
        let one_norm = (dim * squared).sqrt().min(squared);
        let variance = f64::from(self.contributors_min) * self.share_variance() as f64;
        let tau = tau(self.share_variance(), self.contributors_min);
        let gaussian = squared / (2.0 * variance);
        let first = gaussian + tau * dim;
        let second = gaussian + one_norm * tau / variance.sqrt() + tau * tau * dim / 2.0;
        first.min(second)
    }

    /// A bound, in units, that no entry of the summed noise exceeds in magnitude, except with
    /// probability 2⁻⁴⁰ for the whole vector.
    ///
    /// A discrete Gaussian is sub-Gaussian with its own σ² (Canonne, Kamath and Steinke 2020), so
    /// for V = n·σ_i² each entry exceeds b with probability at most 2·exp(−b²/2V).
    #[must_use]
    pub fn noise_bound(&self, contributors_max: u32) -> u64 {
        let variance = f64::from(contributors_max) * self.share_variance() as f64;
        let log = 41.0 * core::f64::consts::LN_2 + libm::log(self.dim as f64);
        // At most 2⁴⁷·√(2·51), far below the end of u64.
        (2.0 * variance * log).sqrt().ceil() as u64
    }

    /// What one participant puts into the sum: `values` rounded within the norm bound, plus its
    /// noise; in units, one integer for each entry.
    ///
    /// # Errors
    /// [`PrivacyError::Length`]; [`PrivacyError::NotFinite`]; [`PrivacyError::Norm`] for a vector
    /// that was not clipped; [`PrivacyError::Overflow`] if an entry leaves i64 (practically
    /// impossible).
    pub fn contribution(
        &self,
        values: &[f32],
        words: &mut impl FnMut() -> u64,
    ) -> Result<Vec<i64>, PrivacyError> {
        if values.len() != self.dim {
            return Err(PrivacyError::Length);
        }
        if l2_norm(values)? > self.clip {
            return Err(PrivacyError::Norm);
        }
        let mut integers = conditional_round(values, self.scale, self.norm_squared, words)?;
        for entry in &mut integers {
            let noise = self.noise.sample(words);
            *entry = entry.checked_add(noise).ok_or(PrivacyError::Overflow)?;
        }
        Ok(integers)
    }
}

/// τ = 10·Σ_{k=1}^{n−1} exp(−2π²σ_i²·k/(k+1)): the distance of a sum of n discrete Gaussians from a
/// discrete Gaussian, in each entry.
fn tau(share_variance: u64, contributors: u32) -> f64 {
    let exponent = -2.0 * core::f64::consts::PI.powi(2) * share_variance as f64;
    let term = |k: u32| libm::exp(exponent * f64::from(k) / (f64::from(k) + 1.0));
    let last = contributors - 1;
    let summed = last.min(TAU_TERMS);
    let rest = f64::from(last - summed);
    // Terms fall with k, so one term times their number bounds the rest, without adding up billions
    // of them.
    let head: f64 = (1..=summed).map(term).sum();
    10.0 * (head + rest * term(summed.max(1)))
}

#[cfg(test)]
mod tests;
