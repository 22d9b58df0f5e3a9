//! The numbers that a model takes for black and white.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// Mean and standard deviation of ImageNet's training pixels (R, G, B; 0 is black, 1 is white), as
/// torchvision's models use them.
const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// How pixels become the model's input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PixelRange {
    /// Linear: black becomes `low`, white becomes `high`.
    Linear {
        /// What black becomes.
        low: f32,
        /// What white becomes.
        high: f32,
    },
    /// `(pixel − mean) / standard deviation` for each channel, with the numbers of ImageNet.
    Imagenet,
    /// `(pixel − mean) / standard deviation` for each channel, for pixels from 0 to 1.
    Normalised {
        /// The channels' means.
        mean: [f32; 3],
        /// The channels' standard deviations.
        std: [f32; 3],
    },
}

impl PixelRange {
    /// Black is 0, white is 1.
    pub const UNIT: Self = Self::Linear {
        low: 0.0,
        high: 1.0,
    };

    /// For each channel, the map from a pixel in \[0,1\] to the model's input.
    #[must_use]
    pub fn maps(self) -> [Map; 3] {
        std::array::from_fn(|channel| match self {
            Self::Linear { low, high } => Map {
                scale: high - low,
                offset: low,
            },
            Self::Imagenet => normalised(IMAGENET_MEAN[channel], IMAGENET_STD[channel]),
            Self::Normalised { mean, std } => normalised(mean[channel], std[channel]),
        })
    }

    /// For each channel and byte, the model's input. Equals [`maps`](Self::maps) of `byte / 255`,
    /// so that bytes and floats give the same answer.
    #[must_use]
    pub fn tables(self) -> [[f32; 256]; 3] {
        self.maps().map(|map| {
            // Lossless: at most 255.
            #[allow(clippy::cast_precision_loss)]
            std::array::from_fn(|byte| map.apply(byte as f32 / 255.0))
        })
    }
}

fn normalised(mean: f32, std: f32) -> Map {
    Map {
        scale: 1.0 / std,
        offset: -mean / std,
    }
}

/// A linear map, `value · scale + offset`.
#[derive(Clone, Copy, Debug)]
pub struct Map {
    scale: f32,
    offset: f32,
}

impl Map {
    /// Maps a pixel in \[0,1\] to the model's input.
    #[must_use]
    pub fn apply(self, value: f32) -> f32 {
        value * self.scale + self.offset
    }
}

impl fmt::Display for PixelRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linear { low, high } => write!(f, "{low}:{high}"),
            Self::Imagenet => f.write_str("imagenet"),
            Self::Normalised { mean, std } => write!(f, "mean {mean:?}, std {std:?}"),
        }
    }
}

impl FromStr for PixelRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "imagenet" {
            return Ok(Self::Imagenet);
        }
        // The browser's module has no other reader of numbers than JSON's.
        let number = |text: &str| {
            let value: Value = serde_json::from_slice(text.trim().as_bytes()).ok()?;
            // The precision of the models.
            #[allow(clippy::cast_possible_truncation)]
            let value = value.as_f64()? as f32;
            value.is_finite().then_some(value)
        };
        text.split_once(':')
            .and_then(|(low, high)| Some((number(low)?, number(high)?)))
            .filter(|(low, high)| low != high)
            .map(|(low, high)| Self::Linear { low, high })
            .ok_or_else(|| {
                format!(
                    "`{text}` is no range; say 0:1, -1:1, 0:255, any other LOW:HIGH, or imagenet"
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        let linear = |low, high| Ok(PixelRange::Linear { low, high });
        assert_eq!("0:1".parse::<PixelRange>(), Ok(PixelRange::UNIT));
        assert_eq!("-1:1".parse::<PixelRange>(), linear(-1.0, 1.0));
        assert_eq!("0:255".parse::<PixelRange>(), linear(0.0, 255.0));
        assert_eq!("imagenet".parse::<PixelRange>(), Ok(PixelRange::Imagenet));
        for bad in ["", "1", "0:", "a:b", "1:1", "0:inf", "0:1:2", "Imagenet"] {
            assert!(bad.parse::<PixelRange>().is_err(), "{bad}");
        }
    }

    #[test]
    fn black_and_white_become_what_is_said() {
        let tables = "-1:1".parse::<PixelRange>().unwrap().tables();
        assert_eq!((tables[0][0], tables[2][255]), (-1.0, 1.0));
        let tables = PixelRange::Imagenet.tables();
        for channel in 0..3 {
            let mean = IMAGENET_MEAN[channel] * 255.0;
            let below = tables[channel][mean.floor() as usize];
            let above = tables[channel][mean.ceil() as usize];
            assert!(below < 0.0 && above > 0.0, "the mean becomes 0");
            let white = (1.0 - IMAGENET_MEAN[channel]) / IMAGENET_STD[channel];
            assert!((tables[channel][255] - white).abs() < 1e-5);
        }
    }
}
