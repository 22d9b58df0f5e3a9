//! The least noise that keeps a wanted ε.

use super::{DiscreteGaussian, Mechanism, PrivacyError, epsilon_of};

/// Computes the smallest noise multiplier with which `sums` sums stay within `epsilon` at `delta`;
/// the other settings are those of [`Mechanism::new`], and `neighbours` makes of a mechanism the one
/// that counts ([`Mechanism::for_difference`], or the same). A [`Ledger`](super::Ledger) that adds them
/// one by one blocks none of them.
///
/// Each participant's noise variance is a whole number of units². The multiplier returned is the
/// one that the least sufficient variance really gives.
///
/// # Errors
/// [`PrivacyError::Epsilon`], [`Delta`](PrivacyError::Delta), [`Sums`](PrivacyError::Sums) for a
/// target outside its range; the errors of [`Mechanism::new`]; [`PrivacyError::Unreachable`] if the
/// largest possible noise is too little.
pub fn noise_multiplier(
    (epsilon, delta, sums): (f64, f64, u32),
    clip: f64,
    scale: f64,
    dim: usize,
    contributors_min: u32,
    neighbours: &dyn Fn(Mechanism) -> Mechanism,
) -> Result<f64, PrivacyError> {
    if !(epsilon > 0.0 && epsilon.is_finite()) {
        return Err(PrivacyError::Epsilon);
    }
    if !(delta > 0.0 && delta < 1.0) {
        return Err(PrivacyError::Delta);
    }
    if sums == 0 {
        return Err(PrivacyError::Sums);
    }
    // A ledger adds in f64, with one rounding for each sum.
    let total = f64::from(sums) * (1.0 + 1e-9 + f64::from(sums) * f64::EPSILON);
    let fits = |mechanism: &Mechanism| epsilon_of(total * mechanism.rho(), delta) <= epsilon;
    let with_share = |share| {
        let made = Mechanism::with_share(clip, scale, dim, contributors_min, share);
        made.map(neighbours)
    };

    // Searches for the smallest share that suffices: ρ falls as the share grows.
    let (mut low, mut high) = (0, DiscreteGaussian::VARIANCE_MAX);
    if !fits(&with_share(high)?) {
        return Err(PrivacyError::Unreachable);
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if fits(&with_share(middle)?) {
            high = middle;
        } else {
            low = middle;
        }
    }
    let variance = high as f64 * f64::from(contributors_min);
    let mut multiplier = variance.sqrt() / (clip * scale);
    // The square of a rounded root may lie just above the integer that it came from, and cost a
    // whole unit².
    for _ in 0..8 {
        match Mechanism::new(clip, scale, dim, contributors_min, multiplier) {
            Ok(mechanism) if mechanism.share_variance() <= high => break,
            _ => multiplier = multiplier.next_down(),
        }
    }
    Ok(multiplier)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ledger;
    use proptest::prelude::*;

    #[test]
    fn close_to_the_continuous_mechanism_where_rounding_is_fine() {
        // 2²⁴ units to the clipping bound: rounding costs next to nothing, ρ = 1/2z².
        let z = noise_multiplier((2.0, 1e-5, 40), 1.0, 2.0_f64.powi(24), 576, 10, &|m| m).unwrap();
        let continuous = epsilon_of(40.0 / (2.0 * z * z), 1e-5);
        assert!((1.999..=2.0).contains(&continuous), "{continuous}");
    }

    #[test]
    fn coarse_rounding_needs_more_noise() {
        let at = |scale| noise_multiplier((2.0, 1e-5, 40), 1.0, scale, 9920, 10, &|m| m).unwrap();
        let (fine, coarse) = (at(2.0_f64.powi(20)), at(16.0));
        assert!(coarse > 2.0 * fine, "{fine} {coarse}");
    }

    #[test]
    fn targets_outside_their_range_are_refused() {
        let refused = |epsilon, delta, sums| {
            noise_multiplier((epsilon, delta, sums), 1.0, 256.0, 10, 3, &|m| m).unwrap_err()
        };
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(refused(bad, 1e-5, 1), PrivacyError::Epsilon);
        }
        for bad in [0.0, 1.0, -1.0, f64::NAN] {
            assert_eq!(refused(1.0, bad, 1), PrivacyError::Delta);
        }
        assert_eq!(refused(1.0, 1e-5, 0), PrivacyError::Sums);
        assert_eq!(refused(1e-12, 1e-5, u32::MAX), PrivacyError::Unreachable);
        let bad_setting = noise_multiplier((1.0, 1e-5, 1), f64::NAN, 1.0, 1, 1, &|m| m);
        assert_eq!(bad_setting, Err(PrivacyError::Clip));
        // A budget so large that the least noise is enough.
        let least = noise_multiplier((1e6, 1e-5, 1), 1.0, 1.0, 10, 4, &|m| m).unwrap();
        assert_eq!(least, 2.0);
    }

    proptest! {
        #[test]
        fn all_sums_pass_the_ledger_and_less_noise_does_not(
            epsilon in 0.2_f64..20.0, exponent in 3_i32..10, sums in 1_u32..400,
            clip in 0.05_f64..5.0, bits in 3_i32..25, dim in 1_usize..10_000, n in 1_u32..200,
        ) {
            let (delta, scale) = (10.0_f64.powi(-exponent), 2.0_f64.powi(bits));
            let z = match noise_multiplier((epsilon, delta, sums), clip, scale, dim, n, &|m| m) {
                // The sampler's largest variance is not enough for a large clip in very fine units.
                Err(PrivacyError::Unreachable) => {
                    prop_assert!(clip * scale > 2.0_f64.powi(24));
                    return Ok(());
                }
                z => z.unwrap(),
            };
            let mechanism = Mechanism::new(clip, scale, dim, n, z).unwrap();
            let mut ledger = Ledger::new();
            for _ in 0..sums {
                prop_assert!(!ledger.would_exceed(mechanism.rho(), epsilon, delta));
                ledger.compose(mechanism.rho()).unwrap();
            }
            let share = mechanism.share_variance();
            // One unit² less or, where f64 cannot tell that apart, a millionth less.
            let less = share - (share / 1_000_000).max(1);
            if less > 0 {
                let less = Mechanism::with_share(clip, scale, dim, n, less).unwrap();
                prop_assert!(epsilon_of(f64::from(sums) * less.rho(), delta) > epsilon * (1.0 - 1e-8));
            }
        }

        #[test]
        fn a_smaller_epsilon_and_more_sums_need_more_noise(
            epsilon in 0.2_f64..20.0, sums in 1_u32..400, dim in 1_usize..10_000,
        ) {
            let z = |epsilon, sums| noise_multiplier((epsilon, 1e-5, sums), 1.0, 65536.0, dim, 5, &|m| m).unwrap();
            prop_assert!(z(epsilon * 0.9, sums) > z(epsilon, sums));
            prop_assert!(z(epsilon, sums + 1) > z(epsilon, sums));
        }
    }
}
