//! IDX, the format of MNIST: one file of images and one of labels.
//!
//! A file starts with two zero bytes, the element type (only 0x08, unsigned byte, is supported
//! here), the number of dimensions, then each dimension as a big-endian u32, then the elements.
//! Source: "THE IDX FILE FORMAT", LeCun, Cortes and Burges, the MNIST database.

use super::files::{FileKind, kind_of};
use super::{DataError, Example, check_size};
use ground::image::Image;

/// The element type "unsigned byte".
const UNSIGNED_BYTE: u8 = 0x08;

/// An images file and its labels file, checked against each other.
#[derive(Debug)]
pub struct Pair<'a> {
    file: String,
    pixels: &'a [u8],
    labels: &'a [u8],
    width: usize,
    height: usize,
    channels: usize,
}

impl<'a> Pair<'a> {
    /// Checks headers and lengths of both files. The names are those used in errors.
    ///
    /// Images are n×H×W (grey) or n×H×W×3 (RGB), labels are n.
    ///
    /// # Errors
    /// [`DataError`], if a file is not IDX or has another element type or other dimensions, a
    /// length differs from what the header promises, the numbers of images and labels differ or are
    /// zero, or the images have no pixels or too many.
    pub fn new(
        images_file: &str,
        images: &'a [u8],
        labels_file: &str,
        labels: &'a [u8],
    ) -> Result<Self, DataError> {
        let (shape, pixels) = open(images_file, images, "an IDX file of images")?;
        let (label_shape, labels) = open(labels_file, labels, "an IDX file of labels")?;
        let (count, height, width, channels) = match shape[..] {
            [count, height, width] => (count, height, width, 1),
            [count, height, width, 3] => (count, height, width, 3),
            _ => return Err(form(images_file, &shape, "images of n×H×W or n×H×W×3")),
        };
        let [label_count] = label_shape[..] else {
            return Err(form(labels_file, &label_shape, "labels of one dimension"));
        };
        if count != label_count {
            return Err(DataError::PairMismatch {
                images_file: images_file.to_owned(),
                images: count.into(),
                labels_file: labels_file.to_owned(),
                labels: label_count.into(),
            });
        }
        if count == 0 {
            return Err(DataError::Empty {
                file: images_file.to_owned(),
            });
        }
        check_size(images_file, width, height)?;
        Ok(Self {
            file: images_file.to_owned(),
            pixels,
            labels,
            width: width as usize,
            height: height as usize,
            channels,
        })
    }

    /// Number of examples, at least one.
    #[must_use]
    pub fn examples(&self) -> usize {
        self.labels.len()
    }

    /// Width and height of each picture in pixels.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Yields all examples one at a time, with labels as decimal numbers.
    pub fn iter(&self) -> impl Iterator<Item = Result<Example, DataError>> {
        let length = self.width * self.height * self.channels;
        self.pixels
            .chunks_exact(length)
            .zip(self.labels)
            .map(|(pixels, label)| {
                let image = match self.channels {
                    1 => Image::from_grey(self.width, self.height, pixels),
                    _ => Image::from_rgb(self.width, self.height, pixels),
                }
                .map_err(|cause| DataError::Image {
                    file: self.file.clone(),
                    cause,
                })?;
                Ok(Example {
                    image,
                    label: label.to_string(),
                })
            })
    }
}

fn form(file: &str, shape: &[u32], supported: &'static str) -> DataError {
    let sides: Vec<String> = shape.iter().map(u32::to_string).collect();
    DataError::IdxForm {
        file: file.to_owned(),
        found: format!("the dimensions {}", sides.join("×")),
        supported,
    }
}

/// Reads the dimensions (one to four) and elements of an IDX file of bytes.
fn open<'a>(
    file: &str,
    bytes: &'a [u8],
    expected: &'static str,
) -> Result<(Vec<u32>, &'a [u8]), DataError> {
    let truncated = |needed: u64| DataError::Truncated {
        file: file.to_owned(),
        needed,
        got: bytes.len() as u64,
    };
    let [0, 0, element, dimensions, rest @ ..] = bytes else {
        let found = kind_of(bytes);
        let hint = if found == FileKind::Gzip {
            ", or unpack this one first"
        } else {
            ""
        };
        return Err(DataError::WrongKind {
            file: file.to_owned(),
            found,
            expected,
            hint,
        });
    };
    if *element != UNSIGNED_BYTE || !(1..=4).contains(dimensions) {
        return Err(DataError::IdxForm {
            file: file.to_owned(),
            found: format!("element type 0x{element:02x} and {dimensions} dimensions"),
            supported: "unsigned bytes (0x08) in 1 to 4 dimensions",
        });
    }
    let sides = usize::from(*dimensions);
    let header = 4 + 4 * sides as u64;
    let Some((sides, elements)) = rest.split_at_checked(4 * sides) else {
        return Err(truncated(header));
    };
    let shape: Vec<u32> = sides
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&side| u32::from_be_bytes(side))
        .collect();
    // The product of four u32 may exceed a u64; such a file is cut off in any case.
    let length = shape
        .iter()
        .fold(1u64, |product, &side| product.saturating_mul(side.into()));
    let got = elements.len() as u64;
    if got < length {
        return Err(truncated(header.saturating_add(length)));
    }
    if got > length {
        return Err(DataError::TrailingBytes {
            file: file.to_owned(),
            needed: header + length,
            extra: got - length,
        });
    }
    Ok((shape, elements))
}

#[cfg(test)]
mod tests;
