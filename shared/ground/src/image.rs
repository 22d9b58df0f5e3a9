//! Images as all crates see them: u8, planar C×H×W with the channels R, G, B.
//!
//! Planar, because the prompting step then works on long runs of one channel, which vectorise.

use serde::{Deserialize, Serialize};

/// Largest number of pixels; larger images are refused before memory is allocated for them.
pub const MAX_PIXELS: usize = 50_000_000;

/// Why bytes are not an image, or not a usable one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The number of bytes does not match the size.
    #[error("an image of {width}×{height} needs {expected} bytes, but {got} were given")]
    Length {
        /// Pixels across.
        width: usize,
        /// Pixels down.
        height: usize,
        /// Bytes that an image of this size has.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// The image has no pixels.
    #[error("the image is empty (its width or height is 0)")]
    Empty,
    /// The image has more than [`MAX_PIXELS`] pixels.
    #[error("the image has {width}×{height} pixels; at most 50 million are taken: make it smaller")]
    TooLarge {
        /// Pixels across.
        width: usize,
        /// Pixels down.
        height: usize,
    },
}

/// An RGB image.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    width: usize,
    height: usize,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image({}×{})", self.width, self.height)
    }
}

fn check(width: usize, height: usize, channels: usize, got: usize) -> Result<(), ImageError> {
    if width == 0 || height == 0 {
        return Err(ImageError::Empty);
    }
    match width.checked_mul(height) {
        Some(pixels) if pixels <= MAX_PIXELS => {
            let expected = channels * pixels;
            if got == expected {
                Ok(())
            } else {
                Err(ImageError::Length {
                    width,
                    height,
                    expected,
                    got,
                })
            }
        }
        _ => Err(ImageError::TooLarge { width, height }),
    }
}

impl Image {
    /// Makes an image from 3·H·W planar bytes.
    ///
    /// # Errors
    /// [`ImageError`], if the size is empty or too large, or the number of bytes does not match it.
    pub fn new(width: usize, height: usize, bytes: Vec<u8>) -> Result<Self, ImageError> {
        check(width, height, 3, bytes.len())?;
        Ok(Self {
            width,
            height,
            bytes,
        })
    }

    /// Makes an image from H·W grey values.
    ///
    /// # Errors
    /// Those of [`Image::new`].
    pub fn from_grey(width: usize, height: usize, grey: &[u8]) -> Result<Self, ImageError> {
        check(width, height, 1, grey.len())?;
        Ok(Self {
            width,
            height,
            bytes: grey.repeat(3),
        })
    }

    /// Makes an image from H·W·3 interleaved bytes, the output of most decoders.
    ///
    /// # Errors
    /// Those of [`Image::new`].
    pub fn from_rgb(width: usize, height: usize, rgb: &[u8]) -> Result<Self, ImageError> {
        check(width, height, 3, rgb.len())?;
        let bytes = (0..3)
            .flat_map(|c| rgb.iter().skip(c).step_by(3).copied())
            .collect();
        Ok(Self {
            width,
            height,
            bytes,
        })
    }

    /// Makes an image from H·W·4 interleaved bytes, as a canvas gives them. Transparent pixels show
    /// the grey level `background`.
    ///
    /// # Errors
    /// Those of [`Image::new`].
    pub fn from_rgba(
        width: usize,
        height: usize,
        rgba: &[u8],
        background: u8,
    ) -> Result<Self, ImageError> {
        check(width, height, 4, rgba.len())?;
        let pixels = width * height;
        let mut bytes = vec![0; 3 * pixels];
        for (i, pixel) in rgba.chunks_exact(4).enumerate() {
            let alpha = u32::from(pixel[3]);
            for c in 0..3 {
                let over = u32::from(pixel[c]) * alpha + u32::from(background) * (255 - alpha);
                bytes[c * pixels + i] = ((over + 127) / 255) as u8;
            }
        }
        Ok(Self {
            width,
            height,
            bytes,
        })
    }

    /// Pixels across.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Pixels down.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// The 3·H·W planar bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// H·W·4 interleaved opaque bytes, as a canvas takes them.
    #[must_use]
    pub fn to_rgba(&self) -> Vec<u8> {
        rgba_of(&self.bytes)
    }

    /// The image's negative.
    #[must_use]
    pub fn inverted(mut self) -> Self {
        self.bytes.iter_mut().for_each(|b| *b = 255 - *b);
        self
    }
}

/// Converts planar bytes (3·pixels) into opaque interleaved RGBA, as a canvas takes it.
#[must_use]
pub fn rgba_of(planar: &[u8]) -> Vec<u8> {
    let pixels = planar.len() / 3;
    (0..pixels)
        .flat_map(|i| [planar[i], planar[pixels + i], planar[2 * pixels + i], 255])
        .collect()
}

/// How an owner's image is turned into the model's input: scaled, whole, into a box in the middle
/// of the input, on an even background.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fit {
    /// Width of the model's input in pixels.
    pub width: usize,
    /// Height of the model's input in pixels.
    pub height: usize,
    /// Width in pixels of the box for the image; the input's width if it fills all of it.
    pub inner_width: usize,
    /// Height in pixels of the box for the image.
    pub inner_height: usize,
    /// Grey level outside the box.
    pub background: u8,
    /// Whether to use the image's negative.
    pub invert: bool,
    /// Whether to keep the ratio of the sides, with background in what is left of the box, instead
    /// of stretching.
    pub keep_aspect: bool,
}

impl Fit {
    /// Resamples with a triangle filter (bilinear, widened for shrinking so that nothing aliases).
    #[must_use]
    pub fn apply(&self, image: &Image) -> Image {
        let (mut w, mut h) = (self.inner_width, self.inner_height);
        if self.keep_aspect {
            let scale = (w as f64 / image.width as f64).min(h as f64 / image.height as f64);
            w = ((image.width as f64 * scale).round() as usize).clamp(1, w);
            h = ((image.height as f64 * scale).round() as usize).clamp(1, h);
        }
        let across = Taps::new(image.width, w);
        let down = Taps::new(image.height, h);
        let (left, top) = ((self.width - w) / 2, (self.height - h) / 2);
        let mut bytes = vec![self.background; 3 * self.width * self.height];
        let mut narrow = vec![0f32; w * image.height];
        for c in 0..3 {
            let plane =
                &image.bytes[c * image.width * image.height..][..image.width * image.height];
            for (row, out) in plane
                .chunks_exact(image.width)
                .zip(narrow.chunks_exact_mut(w))
            {
                across.apply(|i| f32::from(row[i]), out);
            }
            let mut column = vec![0f32; h];
            for x in 0..w {
                down.apply(|i| narrow[i * w + x], &mut column);
                for (y, v) in column.iter().enumerate() {
                    bytes[(c * self.height + top + y) * self.width + left + x] = (v + 0.5) as u8;
                }
            }
        }
        let fitted = Image {
            width: self.width,
            height: self.height,
            bytes,
        };
        if self.invert {
            fitted.inverted()
        } else {
            fitted
        }
    }
}

/// The weights of a triangle filter along one axis.
struct Taps {
    /// For each output pixel: the first input pixel and the weights from there on.
    taps: Vec<(usize, Vec<f32>)>,
}

impl Taps {
    fn new(from: usize, to: usize) -> Self {
        let ratio = from as f32 / to as f32;
        let reach = ratio.max(1.0);
        let taps = (0..to)
            .map(|o| {
                let centre = (o as f32 + 0.5) * ratio - 0.5;
                let first = (centre - reach).ceil().max(0.0) as usize;
                let last = ((centre + reach).floor() as usize).min(from - 1);
                let mut weights: Vec<f32> = (first..=last)
                    .map(|i| (1.0 - (i as f32 - centre).abs() / reach).max(0.0))
                    .collect();
                let sum: f32 = weights.iter().sum();
                weights.iter_mut().for_each(|w| *w /= sum);
                (first, weights)
            })
            .collect();
        Self { taps }
    }

    fn apply(&self, input: impl Fn(usize) -> f32, out: &mut [f32]) {
        for (value, (first, weights)) in out.iter_mut().zip(&self.taps) {
            *value = weights
                .iter()
                .enumerate()
                .map(|(k, w)| w * input(first + k))
                .sum();
        }
    }
}

/// Returns the mean grey level, in \[0, 1\], of each cell of an s×s raster over a planar image of
/// any size ≥ 1: the input of a prompt generator's statistics. A pixel that a cell border cuts
/// counts by area. Grey is the plain mean of the three channels.
#[must_use]
pub fn grey_raster(planar: &[u8], width: usize, height: usize, size: usize) -> Vec<f32> {
    let across = area_weights(width, size);
    let down = area_weights(height, size);
    let pixels = width * height;
    let mut out = vec![0f32; size * size];
    let mut row_cells = vec![0f32; size];
    for (v, (first_row, row_weights)) in down.iter().enumerate() {
        for (dy, wy) in row_weights.iter().enumerate() {
            let y = first_row + dy;
            for (u, (first, weights)) in across.iter().enumerate() {
                let mut sum = 0f32;
                for (dx, wx) in weights.iter().enumerate() {
                    let i = y * width + first + dx;
                    let grey = u32::from(planar[i])
                        + u32::from(planar[pixels + i])
                        + u32::from(planar[2 * pixels + i]);
                    sum += wx * grey as f32;
                }
                row_cells[u] = sum;
            }
            for (u, cell) in row_cells.iter().enumerate() {
                out[v * size + u] += wy * cell;
            }
        }
    }
    out.iter_mut().for_each(|v| *v *= 1.0 / 765.0);
    out
}

fn area_weights(from: usize, to: usize) -> Vec<(usize, Vec<f32>)> {
    (0..to)
        .map(|o| {
            let (start, end) = (o * from, (o + 1) * from);
            let (first, last) = (start / to, end.div_ceil(to).min(from));
            let weights = (first..last)
                .map(|i| {
                    let covered = end.min((i + 1) * to) - start.max(i * to);
                    covered as f32 / from as f32
                })
                .collect();
            (first, weights)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_sizes_are_refused() {
        assert_eq!(Image::new(0, 3, vec![]), Err(ImageError::Empty));
        assert!(matches!(
            Image::new(2, 2, vec![0; 11]),
            Err(ImageError::Length {
                expected: 12,
                got: 11,
                ..
            })
        ));
        assert!(matches!(
            Image::new(usize::MAX, 2, vec![]),
            Err(ImageError::TooLarge { .. })
        ));
    }

    #[test]
    fn planes_and_pixels() {
        let image = Image::from_rgb(2, 1, &[1, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(image.bytes(), [1, 4, 2, 5, 3, 6]);
        assert_eq!(image.to_rgba(), [1, 2, 3, 255, 4, 5, 6, 255]);
        let over = Image::from_rgba(1, 1, &[200, 100, 0, 0], 77).unwrap();
        assert_eq!(over.bytes(), [77, 77, 77]);
    }

    #[test]
    fn fitting_keeps_even_areas_even_and_centres() {
        let fit = Fit {
            width: 32,
            height: 32,
            inner_width: 24,
            inner_height: 24,
            background: 9,
            invert: false,
            keep_aspect: true,
        };
        let fitted = fit.apply(&Image::from_grey(8, 4, &[200; 32]).unwrap());
        let at = |x: usize, y: usize| fitted.bytes()[y * 32 + x];
        assert_eq!(
            (at(4, 16), at(27, 16), at(3, 16), at(28, 16)),
            (200, 200, 9, 9)
        );
        assert_eq!(
            (at(16, 10), at(16, 9), at(16, 21), at(16, 22)),
            (200, 9, 200, 9)
        );
        let negative = Fit {
            invert: true,
            ..fit
        }
        .apply(&Image::from_grey(1, 1, &[255]).unwrap());
        assert_eq!(negative.bytes()[16 * 32 + 16], 0);
        assert_eq!(negative.bytes()[0], 246);
    }

    #[test]
    fn shrinking_averages() {
        let checks: Vec<u8> = (0..64 * 64)
            .map(|i| if (i + i / 64) % 2 == 0 { 0 } else { 200 })
            .collect();
        let fit = Fit {
            width: 8,
            height: 8,
            inner_width: 8,
            inner_height: 8,
            background: 0,
            invert: false,
            keep_aspect: false,
        };
        let fitted = fit.apply(&Image::from_grey(64, 64, &checks).unwrap());
        assert!(
            fitted.bytes().iter().all(|&v| (95..=105).contains(&v)),
            "{:?}",
            &fitted.bytes()[..8]
        );
    }

    #[test]
    fn raster_of_any_size_is_a_mean() {
        let image = Image::from_grey(5, 7, &[51; 35]).unwrap();
        for cell in grey_raster(image.bytes(), 5, 7, 4) {
            assert!((cell - 0.2).abs() < 1e-5);
        }
        let ramp = Image::from_grey(4, 1, &[0, 50, 100, 150]).unwrap();
        let cells = grey_raster(ramp.bytes(), 4, 1, 2);
        assert!((cells[0] - 25.0 / 255.0).abs() < 1e-6 && (cells[1] - 125.0 / 255.0).abs() < 1e-6);
    }
}
