//! The `data` of a JSON tensor: numbers, flat or nested like the shape, in row-major order.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde_json::Value;

/// Deserialises the numbers of a JSON tensor into one flat list. The protocol allows both a flat
/// list and lists nested like the shape; both give the same. `null`, which some servers write for
/// NaN, becomes NaN so that the caller can name the place. `true` and `false` become 1 and 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TensorData(pub Vec<f64>);

impl<'de> Deserialize<'de> for TensorData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut values = Vec::new();
        List(&mut values).deserialize(deserializer)?;
        Ok(Self(values))
    }
}

impl TensorData {
    /// Reads them from JSON that was parsed already; `None` if it is not such data.
    #[must_use]
    pub fn from_value(data: &Value) -> Option<Self> {
        fn take(item: &Value, values: &mut Vec<f64>) -> Option<()> {
            match item {
                Value::Array(items) => items.iter().try_for_each(|item| take(item, values))?,
                Value::Null => values.push(f64::NAN),
                Value::Bool(value) => values.push(f64::from(u8::from(*value))),
                Value::Number(number) => values.push(number.as_f64()?),
                Value::String(_) | Value::Object(_) => return None,
            }
            Some(())
        }
        let mut values = Vec::new();
        data.is_array().then(|| take(data, &mut values))??;
        Some(Self(values))
    }
}

/// A list of items.
struct List<'a>(&'a mut Vec<f64>);

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(ItemVisitor(self.0))
    }
}

/// A number or a list of items.
struct Item<'a>(&'a mut Vec<f64>);

impl<'de> DeserializeSeed<'de> for Item<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(ItemVisitor(self.0))
    }
}

struct ItemVisitor<'a>(&'a mut Vec<f64>);

impl<'de> Visitor<'de> for ItemVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers, or lists of numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Item(&mut *self.0))?.is_some() {}
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.0.push(value);
        Ok(())
    }

    // Tensors hold at most 64-bit integers; those above 2^53 have no meaning as pixels or scores.
    #[allow(clippy::cast_precision_loss)]
    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.visit_f64(value as f64)
    }

    #[allow(clippy::cast_precision_loss)]
    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.visit_f64(value as f64)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.visit_f64(f64::from(u8::from(value)))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.visit_f64(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<TensorData, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn flat_and_nested_are_the_same() {
        let flat = parse("[1, -2, 3.5, 4]").unwrap();
        assert_eq!(flat, parse("[[1, -2], [3.5, 4]]").unwrap());
        assert_eq!(flat.0, [1.0, -2.0, 3.5, 4.0]);
        assert!(parse("[null]").unwrap().0[0].is_nan());
    }

    #[test]
    fn parsed_json_reads_the_same() {
        for text in [
            "[1, -2, 3.5, 4]",
            "[[1, true], [[], [-0.0]]]",
            "[]",
            "7",
            "{}",
            r#"["1"]"#,
            r#"[{"a":1}]"#,
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(TensorData::from_value(&value), parse(text).ok(), "{text}");
        }
        assert!(
            TensorData::from_value(&serde_json::json!([null]))
                .unwrap()
                .0[0]
                .is_nan()
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["7", "{}", r#"["1"]"#, r#"[{"a":1}]"#, "[1", "[1e999]"] {
            assert!(parse(text).is_err(), "{text}");
        }
        // Depth is bounded by the JSON parser, so the stack is safe.
        assert!(parse(&"[".repeat(100_000)).is_err());
    }
}
