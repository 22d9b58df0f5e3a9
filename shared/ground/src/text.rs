//! Numbers in messages for people.
//!
//! The standard library has no such form: `{}` writes every digit of an f32 that became an f64 (0.10000000149011612
//! for 0.1), and `{:.6}` writes zeros at the end. Crates that write numbers write the shortest exact
//! digits, which is the same seventeen. So the standard library formats, and what is here cuts zeros off.

use std::fmt::{self, Display, Formatter};

/// Displays a number for people: whole numbers in full, others with up to six decimals, very large
/// and very small ones as `1.5e-9`.
#[derive(Clone, Copy, Debug)]
pub struct Short(pub f64);

impl Display for Short {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(number) = *self;
        if number.is_infinite() {
            return f.write_str(if number < 0.0 {
                "-infinity"
            } else {
                "infinity"
            });
        }
        let plain = number == 0.0 || (1e-4..1e15).contains(&number.abs());
        if !plain && !number.is_nan() {
            let text = format!("{number:.6e}");
            let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            return write!(f, "{}e{exponent}", without_zeros(digits));
        }
        f.write_str(without_zeros(&format!("{number:.6}")))
    }
}

fn without_zeros(digits: &str) -> &str {
    if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_for_people() {
        for (number, text) in [
            (0.0, "0"),
            (-0.5, "-0.5"),
            (f64::from(0.1_f32), "0.1"),
            (255.0, "255"),
            (0.999_999_9, "1"),
            (1.000_001, "1.000001"),
            (0.05, "0.05"),
            (1e-4, "0.0001"),
            (1.5e-9, "1.5e-9"),
            (1e300, "1e300"),
            (1e14, "100000000000000"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-infinity"),
        ] {
            assert_eq!(Short(number).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn numbers_stay_close(number in -1e12_f64..1e12) {
            let read: f64 = Short(number).to_string().parse().unwrap();
            prop_assert!((read - number).abs() <= 1e-3_f64.max(number.abs() * 1e-6));
        }
    }
}
