//! Images as files, for APIs that take no tensors.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder};
use image::{ExtendedColorType, ImageEncoder as _};

use super::{Encoding, ModelApiError, ModelSpec, Sent};

/// Encodes the only image of `images` (3·H·W planar RGB bytes) as the kind of file that the task
/// asks for.
///
/// # Errors
/// [`ModelApiError::WrongPixels`] unless it is one image of the task's size.
pub fn only(spec: &ModelSpec, images: &[u8], count: usize) -> Result<Vec<u8>, ModelApiError> {
    let (height, width) = (spec.input.height, spec.input.width);
    let plane = height * width;
    if count != 1 || images.len() != 3 * plane || plane == 0 {
        return Err(ModelApiError::WrongPixels {
            count,
            per_image: 3 * plane,
            got: images.len(),
        });
    }
    let pixels: Vec<u8> = (0..plane)
        .flat_map(|at| [images[at], images[plane + at], images[2 * plane + at]])
        .collect();
    file(&spec.input.sent, &pixels, width, height)
}

/// Encodes pixels (interleaved R G B) as a file.
fn file(sent: &Sent, pixels: &[u8], width: usize, height: usize) -> Result<Vec<u8>, ModelApiError> {
    let mut bytes = Vec::new();
    // Sides have at most a few thousand pixels (`spec_faults`).
    let (w, h, colour) = (width as u32, height as u32, ExtendedColorType::Rgb8);
    let written = match sent.encoding {
        Encoding::Tensor | Encoding::Png => {
            PngEncoder::new(&mut bytes).write_image(pixels, w, h, colour)
        }
        Encoding::Jpeg => JpegEncoder::new_with_quality(&mut bytes, sent.quality)
            .write_image(pixels, w, h, colour),
        Encoding::Webp => WebPEncoder::new_lossless(&mut bytes).write_image(pixels, w, h, colour),
    };
    written.map_err(|error| ModelApiError::InvalidSpec {
        faults: vec![format!("the image cannot be encoded: {error}")],
    })?;
    Ok(bytes)
}

/// Encodes bytes as base64, with padding.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The `data:` URL of an image file.
#[must_use]
pub fn data_url(encoding: Encoding, bytes: &[u8]) -> String {
    let kind = match encoding {
        Encoding::Tensor => Encoding::Png,
        other => other,
    };
    ["data:", kind.media_type(), ";base64,", &base64(bytes)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A smooth image, so that a lossy file of it stays close.
    fn pixels() -> Vec<u8> {
        (0..16 * 12)
            .flat_map(|at| [(at % 12 * 20) as u8, (at / 12 * 15) as u8, 128])
            .collect()
    }

    fn decoded(encoding: Encoding, quality: u8) -> Vec<u8> {
        let sent = Sent {
            encoding,
            quality,
            ..Sent::default()
        };
        let file = file(&sent, &pixels(), 12, 16).unwrap();
        let image = image::load_from_memory(&file).unwrap().to_rgb8();
        assert_eq!(image.dimensions(), (12, 16));
        image.into_raw()
    }

    #[test]
    fn lossless_files_hold_the_very_pixels() {
        assert_eq!(decoded(Encoding::Png, 0), pixels());
        assert_eq!(decoded(Encoding::Webp, 0), pixels());
    }

    #[test]
    fn lossy_files_stay_near_and_nearer_at_higher_quality() {
        let distance = |quality| {
            let off: u32 = decoded(Encoding::Jpeg, quality)
                .iter()
                .zip(pixels())
                .map(|(a, b)| u32::from(a.abs_diff(b)))
                .sum();
            f64::from(off) / pixels().len() as f64
        };
        assert!(distance(95) < distance(30));
        assert!(distance(95) < 3.0);
    }

    #[test]
    fn an_address_names_the_kind() {
        assert_eq!(
            data_url(Encoding::Webp, &[1, 2, 3]),
            "data:image/webp;base64,AQID"
        );
    }
}
