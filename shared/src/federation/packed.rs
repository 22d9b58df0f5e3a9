//! Vectors in JSON: base64 of little-endian numbers, which is exact and a third of the text.

macro_rules! packed {
    ($name:ident, $number:ty) => {
        /// Packs and unpacks such numbers (serde's `with`).
        pub mod $name {
            use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

            const SIZE: usize = size_of::<$number>();

            /// Numbers → text.
            ///
            /// # Errors
            /// The serialiser's.
            pub fn serialize<S: Serializer>(numbers: &[$number], to: S) -> Result<S::Ok, S::Error> {
                let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
                to.serialize_str(&super::encode(&bytes))
            }

            /// Text → numbers; nothing if it is no base64, or not of whole numbers.
            #[must_use]
            pub fn unpack(text: &str) -> Option<Vec<$number>> {
                let bytes = super::decode(text)?;
                let (numbers, rest) = bytes.as_chunks::<SIZE>();
                let number = |n: &[u8; SIZE]| <$number>::from_le_bytes(*n);
                rest.is_empty()
                    .then(|| numbers.iter().map(number).collect())
            }

            /// Text → numbers.
            ///
            /// # Errors
            /// No base64, or not of whole numbers.
            pub fn deserialize<'de, D: Deserializer<'de>>(
                from: D,
            ) -> Result<Vec<$number>, D::Error> {
                unpack(&String::deserialize(from)?)
                    .ok_or_else(|| D::Error::custom("no packed numbers"))
            }
        }
    };
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Bytes → base64 (RFC 4648, with padding). By hand, as is [`decode`]: the crate is made for speed, and kilobytes of
/// the browser's module.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for part in bytes.chunks(3) {
        let mut word = 0;
        for at in 0..3 {
            word = word << 8 | u32::from(part.get(at).copied().unwrap_or(0));
        }
        for at in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= part.len() { digit.into() } else { '=' });
        }
    }
    text
}

/// Base64 → bytes. Nothing if it is no base64 in its only form: padded, without other characters or stray bits.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut value = [64; 256];
    for (digit, at) in DIGITS.iter().zip(0..) {
        value[usize::from(*digit)] = at;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (parts, rest) = text.as_bytes().as_chunks::<4>();
    for (number, part) in parts.iter().enumerate() {
        let padding = match part {
            _ if number + 1 < parts.len() => 0,
            [_, _, b'=', b'='] => 2,
            [.., b'='] => 1,
            _ => 0,
        };
        let mut word = 0_u32;
        for digit in &part[..4 - padding] {
            let digit = value[usize::from(*digit)];
            if digit == 64 {
                return None;
            }
            word = word << 6 | digit;
        }
        word <<= 6 * padding;
        let [_, three @ ..] = word.to_be_bytes();
        let (kept, stray) = three.split_at(3 - padding);
        if stray.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(kept);
    }
    rest.is_empty().then_some(bytes)
}

packed!(f32s, f32);
#[cfg(feature = "cma-es")]
packed!(f64s, f64);
packed!(i64s, i64);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Both {
        #[serde(with = "super::f32s")]
        floats: Vec<f32>,
        #[serde(with = "super::i64s")]
        integers: Vec<i64>,
    }

    fn there_and_back(both: &Both) -> Both {
        serde_json::from_str(&serde_json::to_string(both).unwrap()).unwrap()
    }

    #[test]
    fn known_text() {
        let both = Both {
            floats: vec![1.0, -2.5],
            integers: vec![-1, 258],
        };
        let text = json!({ "floats": "AACAPwAAIMA=", "integers": "//////////8CAQAAAAAAAA==" });
        assert_eq!(serde_json::to_value(&both).unwrap(), text);
        assert_eq!(there_and_back(&both), both);
        let none = Both {
            floats: Vec::new(),
            integers: Vec::new(),
        };
        assert_eq!(there_and_back(&none), none);
    }

    #[test]
    fn what_is_no_list_of_numbers_is_refused() {
        for floats in [
            json!("AACAPw"),
            json!("AACA"),
            json!("AACAPwAA"),
            json!("AACAPw==="),
            json!("AACA Pw=="),
            json!("AACAP*=="),
            json!([1.0]),
            json!(1.0),
            json!(null),
        ] {
            let value = json!({ "floats": floats, "integers": "" });
            assert!(
                serde_json::from_value::<Both>(value.clone()).is_err(),
                "{value}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_bit_survives(bits in prop::collection::vec(any::<u32>(), 0..20), integers in prop::collection::vec(any::<i64>(), 0..20)) {
            // NaN and −0 too.
            let both = Both { floats: bits.iter().map(|b| f32::from_bits(*b)).collect(), integers };
            let back = there_and_back(&both);
            prop_assert_eq!(back.floats.iter().map(|f| f.to_bits()).collect::<Vec<_>>(), bits);
            prop_assert_eq!(back.integers, both.integers);
        }
    }
}
