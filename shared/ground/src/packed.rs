//! Vectors in JSON as base64 of little-endian numbers: exact, and a third of the size of decimal
//! text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

macro_rules! packed {
    ($name:ident, $number:ty) => {
        /// Packs and unpacks a vector of one number type; for `#[serde(with = …)]`.
        pub mod $name {
            use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

            const SIZE: usize = size_of::<$number>();

            /// Writes numbers as base64.
            ///
            /// # Errors
            /// Those of the serialiser.
            pub fn serialize<S: Serializer>(numbers: &[$number], to: S) -> Result<S::Ok, S::Error> {
                let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
                to.serialize_str(&super::encode(&bytes))
            }

            /// Reads numbers from base64; `None` unless the text is base64 of whole numbers of this
            /// type.
            #[must_use]
            pub fn unpack(text: &str) -> Option<Vec<$number>> {
                let bytes = super::decode(text)?;
                let (numbers, rest) = bytes.as_chunks::<SIZE>();
                let number = |n: &[u8; SIZE]| <$number>::from_le_bytes(*n);
                rest.is_empty()
                    .then(|| numbers.iter().map(number).collect())
            }

            /// Reads numbers from base64.
            ///
            /// # Errors
            /// Fails unless the value is a string with base64 of whole numbers of this type.
            pub fn deserialize<'de, D: Deserializer<'de>>(
                from: D,
            ) -> Result<Vec<$number>, D::Error> {
                unpack(&String::deserialize(from)?)
                    .ok_or_else(|| D::Error::custom("no packed numbers"))
            }
        }
    };
}

/// Encodes bytes as base64 (RFC 4648, with padding).
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes base64 in its canonical form: with padding, without stray characters or bits. `None` for
/// any other text.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

packed!(f32s, f32);
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
