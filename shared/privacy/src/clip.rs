//! Clipping: no participant contributes a vector that is longer than agreed.

use super::PrivacyError;

/// Scales `values` so that its L2 norm, summed in f64, is at most `clip`. Returns whether scaling
/// was needed; otherwise nothing changes.
///
/// # Errors
/// [`PrivacyError::Clip`] if the bound is not a positive finite number, [`PrivacyError::NotFinite`]
/// if an entry is NaN or infinite. The vector is then unchanged.
pub fn l2_clip(values: &mut [f32], clip: f32) -> Result<bool, PrivacyError> {
    if !(clip > 0.0 && clip.is_finite()) {
        return Err(PrivacyError::Clip);
    }
    let bound = f64::from(clip);
    let mut norm = l2_norm(values)?;
    if norm <= bound {
        return Ok(false);
    }
    while norm > bound {
        // A nudge below the exact factor, and every product rounded towards zero: one pass is
        // nearly always enough, and each further one makes the vector shorter.
        let factor = bound / norm * (1.0 - f64::EPSILON * 16.0);
        for value in values.iter_mut() {
            *value = towards_zero(f64::from(*value) * factor);
        }
        norm = l2_norm(values)?;
    }
    Ok(true)
}

/// The L2 norm in f64. The largest f32 squared is 1.2e77, so nothing overflows.
///
/// # Errors
/// [`PrivacyError::NotFinite`].
pub(super) fn l2_norm(values: &[f32]) -> Result<f64, PrivacyError> {
    let squared: f64 = values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
    if squared.is_finite() {
        Ok(squared.sqrt())
    } else {
        Err(PrivacyError::NotFinite)
    }
}

/// The nearest f32 that is not larger in magnitude than `value`.
fn towards_zero(value: f64) -> f32 {
    let nearest = value as f32;
    if f64::from(nearest).abs() > value.abs() {
        // The bit pattern one below that of a number other than zero is its neighbour towards zero.
        f32::from_bits(nearest.to_bits() - 1)
    } else {
        nearest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_vectors_stay_and_long_ones_keep_their_direction() {
        let mut values = [0.3, -0.375];
        assert_eq!(l2_clip(&mut values, 0.5), Ok(false));
        assert_eq!(values, [0.3, -0.375]);
        let mut values = [3.0, -4.0];
        assert_eq!(l2_clip(&mut values, 0.5), Ok(true));
        assert!((values[0] - 0.3).abs() < 1e-6 && (values[1] + 0.4).abs() < 1e-6);
        assert_eq!(l2_clip(&mut [], 1.0), Ok(false));
    }

    #[test]
    fn what_is_no_number_is_refused_and_left_alone() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = [5.0, bad, 5.0];
            assert_eq!(l2_clip(&mut values, 1.0), Err(PrivacyError::NotFinite));
            assert_eq!((values[0], values[2]), (5.0, 5.0));
        }
        for clip in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert_eq!(l2_clip(&mut [1.0], clip), Err(PrivacyError::Clip));
        }
    }

    #[test]
    fn extremes_end() {
        let tiny = f32::from_bits(1);
        for clip in [tiny, f32::MIN_POSITIVE, 1.0, f32::MAX] {
            let mut values = vec![f32::MAX; 1000];
            assert_eq!(l2_clip(&mut values, clip), Ok(true));
            assert!(l2_norm(&values).unwrap() <= f64::from(clip));
        }
        let mut values = vec![tiny; 1000];
        assert_eq!(l2_clip(&mut values, tiny), Ok(true));
        assert!(l2_norm(&values).unwrap() <= f64::from(tiny));
    }

    proptest! {
        #[test]
        fn the_norm_is_within_the_bound_and_close_to_it(
            mut values in prop::collection::vec(-1e6_f32..1e6, 1..300),
            clip in 1e-3_f32..1e3,
        ) {
            let before = l2_norm(&values).unwrap();
            let clipped = l2_clip(&mut values, clip).unwrap();
            let after = l2_norm(&values).unwrap();
            prop_assert_eq!(clipped, before > f64::from(clip));
            prop_assert!(after <= f64::from(clip));
            if clipped {
                prop_assert!(after >= f64::from(clip) * (1.0 - 1e-6));
            }
            prop_assert_eq!(l2_clip(&mut values, clip), Ok(false));
        }
    }
}
