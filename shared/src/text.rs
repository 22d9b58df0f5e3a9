//! Texts made without the standard library's formatting of numbers: its exact algorithms and their tables are
//! a tenth of the browser's module, and a person wants six digits at most.

use std::fmt::{self, Display, Formatter, Write as _};

use serde_json::Value;

/// A number for people: whole numbers in full, others to six places after the point; very large and very
/// small ones as `1.5e-9`.
#[derive(Clone, Copy, Debug)]
pub struct Short(pub f64);

impl Display for Short {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(number) = *self;
        if !number.is_finite() {
            return f.write_str(if number.is_nan() {
                "NaN"
            } else if number < 0.0 {
                "-infinity"
            } else {
                "infinity"
            });
        }
        let (mut size, mut exponent) = (number.abs(), 0);
        if size != 0.0 && !(1e-4..1e15).contains(&size) {
            while size >= 10.0 {
                size /= 10.0;
                exponent += 1;
            }
            while size < 1.0 {
                size *= 10.0;
                exponent -= 1;
            }
        }
        // Below 10¹⁵ both parts are exact integers.
        let mut whole = size as u64;
        let mut millionths = ((size - whole as f64) * 1e6 + 0.5) as u64;
        if millionths == 1_000_000 {
            (whole, millionths) = (whole + 1, 0);
        }
        if number < 0.0 {
            f.write_char('-')?;
        }
        write!(f, "{whole}")?;
        if millionths > 0 {
            let mut places = 6;
            while millionths.is_multiple_of(10) {
                millionths /= 10;
                places -= 1;
            }
            write!(f, ".{millionths:0places$}")?;
        }
        if exponent != 0 {
            write!(f, "e{exponent}")?;
        }
        Ok(())
    }
}

/// `number`, or the nearer of the bounds; NaN stays NaN. `f32::clamp` can panic, and its words hold numbers.
#[inline]
#[must_use]
pub fn bounded(number: f32, low: f32, high: f32) -> f32 {
    if number < low {
        low
    } else if number > high {
        high
    } else {
        number
    }
}

/// Appends `value` as JSON without spaces, as `serde_json` does; `number` writes what is not whole.
pub fn write_json(value: &Value, out: &mut String, number: &dyn Fn(f64) -> String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(value) => {
            // Writing to a text cannot fail.
            let _ = match (value.as_u64(), value.as_i64(), value.as_f64()) {
                (Some(whole), _, _) => write!(out, "{whole}"),
                (_, Some(whole), _) => write!(out, "{whole}"),
                (_, _, other) => out.write_str(&number(other.unwrap_or_default())),
            };
        }
        Value::String(text) => quote(text, out),
        Value::Array(items) => {
            let mut before = '[';
            for item in items {
                out.push(before);
                before = ',';
                write_json(item, out, number);
            }
            out.push_str(if before == '[' { "[]" } else { "]" });
        }
        Value::Object(map) => {
            let mut before = '{';
            for (key, item) in map {
                out.push(before);
                before = ',';
                quote(key, out);
                out.push(':');
                write_json(item, out, number);
            }
            out.push_str(if before == '{' { "{}" } else { "}" });
        }
    }
}

/// Appends a JSON string, with the escapes that `serde_json` uses.
pub fn quote(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        let short = match character {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            '\0'..='\u{1f}' => {
                // Writing to a text cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(character));
                continue;
            }
            _ => {
                out.push(character);
                continue;
            }
        };
        out.push_str(short);
    }
    out.push('"');
}

/// `value` as JSON for people: its numbers are shortened.
#[must_use]
pub fn json_for_people(value: &Value) -> String {
    let mut out = String::new();
    write_json(value, &mut out, &|number| Short(number).to_string());
    out
}

/// A letter in the form that its upper and lower case share, for comparisons: in Latin, Greek, Cyrillic and
/// Armenian, the scripts with two cases that are in common use. Every other character is its own form.
#[must_use]
pub fn folded(letter: char) -> char {
    let code = u32::from(letter);
    let lower = match code {
        // Latin-1 without the multiplication sign; Greek without the hole among its capitals; Cyrillic;
        // Armenian; full-width Latin.
        0x41..=0x5a
        | 0xc0..=0xd6
        | 0xd8..=0xde
        | 0x391..=0x3a1
        | 0x3a3..=0x3ab
        | 0x410..=0x42f
        | 0xff21..=0xff3a => code + 32,
        0x400..=0x40f => code + 80,
        0x531..=0x556 => code + 48,
        // The final sigma.
        0x3c2 => 0x3c3,
        // Accented Greek.
        0x386 => 0x3ac,
        0x388..=0x38a => code + 37,
        0x38c => 0x3cc,
        0x38e | 0x38f => code + 63,
        // Latin Extended-A: pairs that begin at even or at odd numbers.
        0x100..=0x12f
        | 0x132..=0x137
        | 0x14a..=0x177
        | 0x1e00..=0x1e95
        | 0x1ea0..=0x1eff
        | 0x460..=0x481
        | 0x48a..=0x4bf
        | 0x4d0..=0x52f => code | 1,
        0x139..=0x148 | 0x179..=0x17e | 0x4c1..=0x4ce => code + code % 2,
        0x178 => 0xff,
        _ => code,
    };
    char::from_u32(lower).unwrap_or(letter)
}

/// Where `part` begins in `text`. The standard library's search is quick in long texts, and kilobytes of the
/// browser's module.
#[must_use]
pub fn position(text: &str, part: &str) -> Option<usize> {
    let mut windows = text.as_bytes().windows(part.len());
    windows.position(|window| window == part.as_bytes())
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

    #[test]
    fn json_is_what_serde_json_writes() {
        let value = serde_json::json!({
            "": [], "a\"\\\n\r\t\u{8}\u{c}\u{1}\u{7f}ü": { "x": [null, true, false, {}, -3, u64::MAX, i64::MIN, 1.5] },
        });
        let mut out = String::new();
        write_json(&value, &mut out, &|number| {
            serde_json::to_string(&number).unwrap()
        });
        assert_eq!(out, value.to_string());
    }

    #[test]
    fn both_cases_fold_to_one() {
        for (one, other) in [
            ("Cat", "cAT"),
            ("GRÜN", "grün"),
            ("Łódź", "ŁÓDŹ"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("Ёлка", "ёЛКА"),
        ] {
            let fold = |text: &str| text.chars().map(folded).collect::<String>();
            assert_eq!(fold(one), fold(other));
        }
    }

    proptest! {
        #[test]
        fn folding_keeps_different_letters_apart(letter in any::<char>()) {
            // Whatever is changed is changed to its own lower case, but for the final sigma.
            let lower: String = letter.to_lowercase().collect();
            let folded = folded(letter);
            prop_assert!(folded == letter || lower == folded.to_string() || letter == 'ς', "{letter} {folded}");
        }

        #[test]
        fn numbers_stay_close(number in -1e12_f64..1e12) {
            let read: f64 = Short(number).to_string().parse().unwrap();
            prop_assert!((read - number).abs() <= 1e-3_f64.max(number.abs() * 1e-6));
        }
    }
}
