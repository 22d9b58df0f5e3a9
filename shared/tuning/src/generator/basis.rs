//! The basis in which the `statistic` generator sees an image: s×s grey raster → q numbers.

use ground::fault::Reader;
use ground::order;
use ground::packed;
use serde_json::Value;

/// A basis: q rows of s² values. The statistics of an image are the scalar products of the rows
/// with the image's raster, from which the mean is subtracted first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Basis {
    /// Raster side s.
    pub size: usize,
    /// The mean raster, s² values.
    pub mean: Vec<f32>,
    /// The rows, q·s² values, row by row, each already divided by its statistic's scale.
    pub rows: Vec<f32>,
}

const DCT_SIZE: usize = 16;

impl Basis {
    /// Computes the q statistics z of a grey raster of s² values.
    pub fn statistics(&self, raster: &[f32]) -> Vec<f32> {
        self.rows
            .chunks_exact(self.size * self.size)
            .map(|row| {
                row.iter()
                    .zip(raster)
                    .zip(&self.mean)
                    .map(|((c, v), m)| c * (v - m))
                    .sum()
            })
            .collect()
    }

    /// The basis rows as patterns on an r×r grid, each scaled to a largest absolute value of 1, for
    /// an output that is spanned by the same patterns (`output = "basis"`).
    pub fn patterns(&self, grid: usize) -> Vec<f32> {
        let s = self.size;
        let mut patterns = Vec::new();
        for row in self.rows.chunks_exact(s * s) {
            let start = patterns.len();
            for y in 0..grid {
                for x in 0..grid {
                    patterns.push(sample(
                        row,
                        s,
                        (x as f32 + 0.5) / grid as f32,
                        (y as f32 + 0.5) / grid as f32,
                    ));
                }
            }
            let largest = patterns[start..]
                .iter()
                .fold(0f32, |a, v| a.max(v.abs()))
                .max(1e-9);
            patterns[start..].iter_mut().for_each(|v| *v /= largest);
        }
        patterns
    }

    /// Reads `basis = "dct"`, or `basis = { size, mean, components, scale }` with three lists of
    /// numbers, each a JSON list or base64 of little-endian f32.
    pub fn read(reader: &mut Reader<'_>, count: usize) -> Self {
        let fallback = Self {
            size: DCT_SIZE,
            mean: vec![0.5; DCT_SIZE * DCT_SIZE],
            rows: dct(count),
        };
        match reader.raw("basis") {
            None => fallback,
            Some(Value::String(name)) if name == "dct" => fallback,
            Some(Value::Object(table)) => match Self::from_table(table, count) {
                Ok(basis) => basis,
                Err(message) => {
                    reader.fault("basis", message);
                    fallback
                }
            },
            Some(_) => {
                reader.fault(
                    "basis",
                    "must be \"dct\" or a table { size, mean, components, scale }",
                );
                fallback
            }
        }
    }

    fn from_table(table: &serde_json::Map<String, Value>, count: usize) -> Result<Self, String> {
        let size = table
            .get("size")
            .and_then(Value::as_u64)
            .filter(|s| (2..=64).contains(s));
        let size = size.ok_or("size must be a whole number from 2 to 64")? as usize;
        let cells = size * size;
        let mean = numbers(table.get("mean"), "mean")?;
        if mean.len() != cells {
            return Err(format!(
                "mean must hold size² = {cells} numbers, but holds {}",
                mean.len()
            ));
        }
        let mut rows = numbers(table.get("components"), "components")?;
        if rows.len() % cells != 0 || rows.len() < count * cells {
            return Err(format!(
                "components must hold at least {count} rows (generator.statistics) of size² = {cells} numbers, but holds {} numbers",
                rows.len()
            ));
        }
        rows.truncate(count * cells);
        let scale = numbers(table.get("scale"), "scale")?;
        if scale.len() < count || scale.iter().any(|s| *s <= 0.0) {
            return Err(format!("scale must hold at least {count} positive numbers"));
        }
        for (row, s) in rows.chunks_exact_mut(cells).zip(&scale) {
            row.iter_mut().for_each(|v| *v /= s);
        }
        if let Some(key) = table
            .keys()
            .find(|k| !["size", "mean", "components", "scale"].contains(&k.as_str()))
        {
            return Err(format!(
                "{key} is not a setting; known here: size, mean, components, scale"
            ));
        }
        Ok(Self { size, mean, rows })
    }
}

/// Samples an s×s raster bilinearly at (u, v), each in \[0,1\].
fn sample(raster: &[f32], s: usize, u: f32, v: f32) -> f32 {
    let at = |t: f32| {
        let position = (t * s as f32 - 0.5).clamp(0.0, (s - 1) as f32);
        let first = (position as usize).min(s.saturating_sub(2));
        (first, position - first as f32)
    };
    let ((x, wx), (y, wy)) = (at(u), at(v));
    let line = |y: usize| raster[y * s + x] * (1.0 - wx) + raster[y * s + x + 1] * wx;
    line(y) * (1.0 - wy) + line(y + 1) * wy
}

fn numbers(value: Option<&Value>, name: &str) -> Result<Vec<f32>, String> {
    let numbers: Option<Vec<f32>> = match value {
        Some(Value::String(text)) => packed::f32s::unpack(text),
        Some(Value::Array(_)) => value.and_then(flatten),
        _ => None,
    };
    let numbers = numbers.ok_or_else(|| {
        format!("{name} must be a list of numbers, or base64 of little-endian 32-bit floats")
    })?;
    if numbers.iter().any(|n| !n.is_finite()) {
        return Err(format!("{name} holds a number that is not finite"));
    }
    Ok(numbers)
}

fn flatten(value: &Value) -> Option<Vec<f32>> {
    let mut out = Vec::new();
    for item in value.as_array()? {
        match item {
            Value::Array(_) => out.extend(flatten(item)?),
            _ => out.push(item.as_f64()? as f32),
        }
    }
    Some(out)
}

/// The `count` lowest frequencies of the orthonormal 2-D DCT-II on a 16×16 raster, along
/// anti-diagonals from the constant on. Natural images have coefficients that fall with frequency,
/// so each row is divided by a scale of 16·0.25/(1 + u + v) to bring the statistics near unit
/// variance.
fn dct(count: usize) -> Vec<f32> {
    let s = DCT_SIZE;
    let frequency = |at: usize| (at % s, at / s);
    let diagonal = |at: usize| (at % s + at / s, at / s);
    let frequencies: Vec<(usize, usize)> =
        order::sorted(s * s, &|a, b| diagonal(a).cmp(&diagonal(b)))
            .into_iter()
            .map(frequency)
            .collect();
    let wave = |k: usize, x: usize| {
        let amplitude = if k == 0 {
            libm::sqrtf(1.0 / s as f32)
        } else {
            libm::sqrtf(2.0 / s as f32)
        };
        amplitude
            * libm::cosf(core::f32::consts::PI * (2 * x + 1) as f32 * k as f32 / (2 * s) as f32)
    };
    frequencies
        .into_iter()
        .take(count)
        .flat_map(|(u, v)| {
            let scale = 4.0 / (1 + u + v) as f32;
            (0..s * s).map(move |i| wave(u, i % s) * wave(v, i / s) / scale)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dct_rows_are_orthogonal() {
        let rows = dct(12);
        let dot = |a: usize, b: usize| -> f32 {
            (0..256)
                .map(|i| rows[a * 256 + i] * rows[b * 256 + i])
                .sum()
        };
        for a in 0..12 {
            for b in 0..a {
                assert!(dot(a, b).abs() < 1e-4, "{a} {b} {}", dot(a, b));
            }
        }
        assert!((dot(0, 0) - 1.0 / 16.0).abs() < 1e-5);
    }

    #[test]
    fn base64_and_lists_agree() {
        let list = serde_json::json!([[1.0, 2.5], [-3.0, 0.0]]);
        let bytes: Vec<u8> = [1.0f32, 2.5, -3.0, 0.0]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        let text = Value::String(packed::encode(&bytes));
        assert_eq!(numbers(Some(&list), "x"), numbers(Some(&text), "x"));
        assert!(numbers(Some(&Value::String("AA".into())), "x").is_err());
    }

    #[test]
    fn patterns_peak_at_one() {
        let basis = Basis {
            size: 16,
            mean: vec![0.0; 256],
            rows: dct(4),
        };
        for pattern in basis.patterns(8).chunks_exact(64) {
            let peak = pattern.iter().fold(0f32, |a, v| a.max(v.abs()));
            assert!((peak - 1.0).abs() < 1e-6);
        }
    }
}
