//! Conditional stochastic rounding, which turns a clipped vector into integers whose norm is known
//! exactly.
//!
//! Source: Kairouz, Liu and Steinke 2021, Algorithm 1 and Proposition 22. Plain stochastic rounding
//! can lengthen a vector by √d; rounding again until the norm is within a bound that most attempts
//! meet costs far less noise. The bound on the integers holds whatever the floating-point numbers
//! before it did, and privacy rests on it alone. (The random rotation of Algorithm 1 is left out:
//! it makes a small modulus wrap less, and this ring never wraps.)

use super::PrivacyError;

/// Maximum number of attempts. Each succeeds with probability at least 1 − e^(−1/2), so all fail
/// with less than 10⁻²⁷.
const ATTEMPTS: usize = 128;
/// Entries stay below 2⁶², so that rounding and noise fit into i64.
const ENTRY_MAX: f64 = 4.611_686_018_427_388e18;

/// The largest squared norm of a conditionally rounded vector of `dim` entries whose norm before
/// rounding was at most `radius` = clip·scale: ⌊min{(r + √d)², r² + d/4 + r + √d/2}⌋, Theorem 1 of
/// Kairouz et al. with β = e^(−1/2), where √(2 ln 1/β) = 1.
///
/// The rounding enforces this integer, and ρ is computed from it. `radius` lies between 0 and
/// [`Mechanism::RADIUS_MAX`](super::Mechanism::RADIUS_MAX); beyond, the result saturates at
/// `u64::MAX`, which bounds nothing.
#[must_use]
pub fn rounded_norm_squared(radius: f64, dim: usize) -> u64 {
    let d = dim as f64;
    let always = (radius + d.sqrt()) * (radius + d.sqrt());
    let mostly = radius * radius + d / 4.0 + radius + d.sqrt() / 2.0;
    always.min(mostly) as u64
}

/// Rounds `values`·`scale` to integers at random, each entry up or down with its own value as the
/// mean, repeatedly until the squared norm is at most `norm_squared`. Zero stays zero.
///
/// A bound of `u64::MAX` does not limit anything. After 128 attempts, which a clipped vector does
/// not need, it rounds towards zero.
///
/// # Errors
/// [`PrivacyError::NotFinite`] for NaN or infinity, [`PrivacyError::Scale`] if the scale is not a
/// positive finite number, [`PrivacyError::Overflow`] for an entry of 2⁶² or more,
/// [`PrivacyError::Norm`] if not even rounding towards zero is within the bound.
pub fn conditional_round(
    values: &[f32],
    scale: f64,
    norm_squared: u64,
    words: &mut impl FnMut() -> u64,
) -> Result<Vec<i64>, PrivacyError> {
    if !(scale > 0.0 && scale.is_finite()) {
        return Err(PrivacyError::Scale);
    }
    if !values.iter().all(|value| value.is_finite()) {
        return Err(PrivacyError::NotFinite);
    }
    if !values
        .iter()
        .all(|value| (f64::from(*value) * scale).abs() < ENTRY_MAX)
    {
        return Err(PrivacyError::Overflow);
    }
    let mut rounded = vec![0; values.len()];
    for attempt in 0..=ATTEMPTS {
        for (out, value) in rounded.iter_mut().zip(values) {
            let value = f64::from(*value) * scale;
            *out = if attempt < ATTEMPTS {
                stochastic(value, words())
            } else {
                value as i64
            };
        }
        if squared(&rounded) <= norm_squared {
            return Ok(rounded);
        }
    }
    Err(PrivacyError::Norm)
}

/// ⌊value⌋, or one more with the probability of the fraction, to 53 bits.
fn stochastic(value: f64, word: u64) -> i64 {
    const UNIT: f64 = 1.0 / (1_u64 << 53) as f64;
    let floor = value.floor();
    floor as i64 + i64::from(((word >> 11) as f64) * UNIT < value - floor)
}

/// The squared L2 norm, or `u64::MAX` if it is larger.
fn squared(values: &[i64]) -> u64 {
    values.iter().fold(0, |sum: u64, value| {
        let magnitude = value.unsigned_abs();
        sum.saturating_add(magnitude.saturating_mul(magnitude))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::l2_clip;
    use ground::rng::Stream;
    use proptest::prelude::*;

    fn seeded(seed: u32) -> impl FnMut() -> u64 {
        let mut stream = Stream::with_key([seed, 0x726f_756e]);
        move || u64::from(stream.next_u32()) << 32 | u64::from(stream.next_u32())
    }

    #[test]
    fn the_mean_is_the_value() {
        let values = [0.3_f32, -0.3, 2.5, -7.75, 4.0, 0.0];
        let mut words = seeded(1);
        let n = 100_000;
        let mut sums = [0_i64; 6];
        for _ in 0..n {
            let rounded = conditional_round(&values, 1.0, u64::MAX, &mut words).unwrap();
            sums.iter_mut().zip(rounded).for_each(|(s, r)| *s += r);
        }
        for (sum, value) in sums.iter().zip(values) {
            let mean = *sum as f64 / f64::from(n);
            // A coin's standard deviation is at most 1/2.
            let error = 5.0 * 0.5 / f64::from(n).sqrt();
            assert!((mean - f64::from(value)).abs() < error, "{value}: {mean}");
        }
        assert_eq!((sums[4], sums[5]), (4 * i64::from(n), 0));
    }

    #[test]
    fn most_attempts_meet_the_bound() {
        // Proposition 22: at least 1 − e^(−1/2) = 0.393 of them, here with every entry as far from
        // an integer as can be.
        let dim = 1000;
        let radius = 0.5 * (dim as f32).sqrt();
        let mut values = vec![0.5_f32; dim];
        l2_clip(&mut values, radius).unwrap();
        let bound = rounded_norm_squared(f64::from(radius), dim);
        let mut words = seeded(2);
        let good = (0..2000)
            .filter(|_| {
                let rounded: Vec<i64> = values
                    .iter()
                    .map(|v| stochastic(f64::from(*v), words()))
                    .collect();
                squared(&rounded) <= bound
            })
            .count();
        assert!((786..2000).contains(&good), "{good}");
    }

    #[test]
    fn the_bound_is_the_smaller_of_two() {
        // r = 100, d = 400: (120)² = 14400 against 10000 + 100 + 100 + 10.
        assert_eq!(rounded_norm_squared(100.0, 400), 10_210);
        // r = 1/4, d = 1: (5/4)² = 1.5625 against 1/16 + 1/4 + 1/4 + 1/2 = 1.0625.
        assert_eq!(rounded_norm_squared(0.25, 1), 1);
        // r = 0, d = 4: 4 against 2.
        assert_eq!(rounded_norm_squared(0.0, 4), 2);
    }

    #[test]
    fn a_bound_that_no_rounding_up_meets_rounds_towards_zero() {
        let mut words = seeded(3);
        let values = [0.9_f32; 400];
        let rounded = conditional_round(&values, 1.0, 0, &mut words);
        assert_eq!(rounded, Ok(vec![0; 400]));
        let long = conditional_round(&[2.5], 1.0, 3, &mut words);
        assert_eq!(long, Err(PrivacyError::Norm));
    }

    #[test]
    fn faults_are_told() {
        let round = |values: &[f32], scale| {
            conditional_round(values, scale, u64::MAX, &mut seeded(4)).unwrap_err()
        };
        assert_eq!(round(&[f32::NAN], 1.0), PrivacyError::NotFinite);
        assert_eq!(round(&[f32::INFINITY], 1.0), PrivacyError::NotFinite);
        assert_eq!(round(&[1.0], 2.0_f64.powi(62)), PrivacyError::Overflow);
        assert_eq!(round(&[f32::MAX], f64::MAX), PrivacyError::Overflow);
        for scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(round(&[1.0], scale), PrivacyError::Scale);
        }
        // The largest entries still fit, and their squares are compared without overflow.
        let most = 2.0_f64.powi(61);
        let rounded = conditional_round(&[1.0, -1.0], most, u64::MAX, &mut seeded(4));
        assert_eq!(rounded, Ok(vec![1 << 61, -(1 << 61)]));
    }

    proptest! {
        #[test]
        fn clipped_vectors_are_rounded_within_the_bound(
            mut values in prop::collection::vec(-3.0_f32..3.0, 1..200),
            clip in 0.01_f32..4.0,
            bits in 0_i32..24,
            seed in any::<u32>(),
        ) {
            l2_clip(&mut values, clip).unwrap();
            let scale = 2.0_f64.powi(bits);
            let bound = rounded_norm_squared(f64::from(clip) * scale, values.len());
            let rounded = conditional_round(&values, scale, bound, &mut seeded(seed)).unwrap();
            prop_assert!(squared(&rounded) <= bound);
            for (r, v) in rounded.iter().zip(&values) {
                prop_assert!((*r as f64 - f64::from(*v) * scale).abs() < 1.0);
            }
        }
    }
}
