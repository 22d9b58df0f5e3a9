//! Vectors in JSON: base64 of little-endian numbers, which is exact and a third of the text.

macro_rules! packed {
    ($name:ident, $number:ty) => {
        /// Packs and unpacks such numbers (serde's `with`).
        pub mod $name {
            use base64::Engine as _;
            use base64::engine::general_purpose::STANDARD;
            use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

            const SIZE: usize = size_of::<$number>();

            /// Numbers → text.
            ///
            /// # Errors
            /// The serialiser's.
            pub fn serialize<S: Serializer>(numbers: &[$number], to: S) -> Result<S::Ok, S::Error> {
                let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
                to.serialize_str(&STANDARD.encode(bytes))
            }

            /// Text → numbers.
            ///
            /// # Errors
            /// No base64, or not of whole numbers.
            pub fn deserialize<'de, D: Deserializer<'de>>(
                from: D,
            ) -> Result<Vec<$number>, D::Error> {
                let bytes = STANDARD
                    .decode(String::deserialize(from)?)
                    .map_err(|_| D::Error::custom("not base64"))?;
                let (numbers, rest) = bytes.as_chunks::<SIZE>();
                if rest.is_empty() {
                    Ok(numbers
                        .iter()
                        .map(|n| <$number>::from_le_bytes(*n))
                        .collect())
                } else {
                    Err(D::Error::custom("cut off"))
                }
            }
        }
    };
}

packed!(f32s, f32);
packed!(i64s, i64);
