//! Decodes PNG, JPEG or WebP into the pixels that a model takes. A small file may hold many pixels: all
//! headers are read before anything is decoded, what they say is bounded, and decoding ends when
//! nobody waits for it.

use std::borrow::Cow;
use std::io::Cursor;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageDecoder as _, ImageError, ImageReader, Limits, RgbImage};
use model_client::Layout;

use crate::error::ApiError;
use crate::keys::{Caller, Charge};
use crate::protocol::ModelInfo;

/// Default of [`ModelApiConfig::max_pixels`](crate::ModelApiConfig::max_pixels): 2,048 pictures of
/// 256 × 256 pixels.
pub(crate) const REQUEST_PIXELS: u64 = 128 << 20;

/// Maximum side of an image in pixels.
const MAX_SIDE: u32 = 8192;
/// Maximum number of pixels of one picture: 6000 × 4000 and a little more.
const MAX_PIXELS: u64 = 24 << 20;
/// Maximum memory for decoding, in bytes.
const MAX_BYTES: u64 = 128 << 20;
/// Number of pixels from which pictures are decoded one at a time, whatever the number of threads.
const LARGE: u64 = 1 << 20;

/// The limits of decoding that all requests share.
pub(crate) struct Decoder {
    /// Maximum number of pixels in one request.
    max_pixels: u64,
    /// Held while a large picture is decoded, because its pixels take much memory.
    large: Mutex<()>,
}

impl Decoder {
    pub(crate) fn new(max_pixels: u64) -> Self {
        Self {
            max_pixels,
            large: Mutex::default(),
        }
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(REQUEST_PIXELS)
    }
}

/// Pictures as a model takes them, one after the other, and what they were charged.
pub(crate) struct Decoded<'a> {
    pub pixels: Vec<u8>,
    pub charge: Charge<'a>,
}

/// Checks all headers, charges for all pictures, and decodes them one by one as long as somebody
/// waits. Those that were decoded stay charged even if a later one cannot be.
pub(crate) fn decode<'a>(
    caller: &'a Caller,
    info: &ModelInfo,
    files: &[Cow<'_, [u8]>],
) -> Result<Decoded<'a>, ApiError> {
    let decoder = &caller.decoder;
    let mut sizes = Vec::with_capacity(files.len());
    let mut sum = 0_u64;
    for file in files {
        if caller.is_gone() {
            return Err(ApiError::Lost);
        }
        let size = size(file).map_err(|error| unreadable(&error))?;
        if size > MAX_PIXELS {
            return Err(bad(&format!(
                "a picture has {size} pixels, but at most {MAX_PIXELS} are taken: send it smaller"
            )));
        }
        sum = sum.saturating_add(size);
        sizes.push(size);
    }
    if sum > decoder.max_pixels {
        return Err(bad(&format!(
            "the request's pictures have {sum} pixels together, but at most {} are taken: send fewer or smaller ones, \
             or raise the server's --max-pixels",
            decoder.max_pixels
        )));
    }
    let mut charge = caller.charge(files.len())?;
    let mut all = Vec::with_capacity(files.len() * info.image_len());
    for (file, size) in files.iter().zip(sizes) {
        let turn = (size >= LARGE).then(|| decoder.large.lock());
        if caller.is_gone() {
            return Err(ApiError::Lost);
        }
        charge.earn();
        all.extend(pixels(file, info)?);
        drop(turn);
    }
    Ok(Decoded {
        pixels: all,
        charge,
    })
}

/// Reads a picture's number of pixels from its header.
fn size(file: &[u8]) -> image::ImageResult<u64> {
    let (width, height) = reader(file)?.into_dimensions()?;
    Ok(u64::from(width) * u64::from(height))
}

/// Whether these bytes begin like an image of a supported kind.
pub(crate) fn is_image(bytes: &[u8]) -> bool {
    image::guess_format(bytes).is_ok()
}

/// Reads the picture's file from a text: base64, as such or in a data URL.
pub(crate) fn from_text(text: &str) -> Result<Cow<'static, [u8]>, ApiError> {
    let base64 = match text.strip_prefix("data:") {
        None if text.starts_with("http://") || text.starts_with("https://") => {
            return Err(bad(
                "the image is an address, but this server fetches nothing; send its bytes: base64, or a data URL",
            ));
        }
        None => text,
        Some(url) => url
            .split_once(',')
            .filter(|(head, _)| head.ends_with(";base64"))
            .map(|(_, data)| data)
            .ok_or_else(|| bad("the data URL of the image must be like data:image/png;base64,…"))?,
    };
    // Mail programs and shells break lines.
    let base64: Cow<'_, str> = if base64.contains(['\n', '\r']) {
        base64.replace(['\n', '\r'], "").into()
    } else {
        base64.into()
    };
    STANDARD
        .decode(base64.as_bytes())
        .map(Cow::Owned)
        .map_err(|error| bad(&format!("the image is no base64: {error}")))
}

/// Decodes an image into pixels of the model's size and layout. It is turned as its EXIF says;
/// transparent parts show the colours that are stored; grey becomes three equal channels.
///
/// An image of another size is resized. For pairs like CLIP, the largest middle part with the
/// model's proportions is resized by bicubic interpolation, as their preprocessors do; for other
/// models the whole image by bilinear interpolation.
fn pixels(bytes: &[u8], info: &ModelInfo) -> Result<Vec<u8>, ApiError> {
    let (height, width) = match (info.layout, info.image) {
        (Layout::Nchw, [_, height, width]) | (Layout::Nhwc, [height, width, _]) => (height, width),
    };
    let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    let image = upright(bytes)
        .map_err(|error| unreadable(&error))?
        .into_rgb8();
    let image = fit(image, side(width), side(height), info.template.is_some());
    Ok(match info.layout {
        Layout::Nhwc => image.into_raw(),
        Layout::Nchw => {
            let raw = image.as_raw();
            (0..3)
                .flat_map(|channel| raw.iter().skip(channel).step_by(3).copied())
                .collect()
        }
    })
}

fn unreadable(error: &ImageError) -> ApiError {
    bad(&format!(
        "the image cannot be read: {error}; PNG, JPEG and WebP are taken, up to {MAX_SIDE} pixels a side"
    ))
}

fn reader(bytes: &[u8]) -> image::ImageResult<ImageReader<Cursor<&[u8]>>> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    Ok(reader)
}

fn upright(bytes: &[u8]) -> image::ImageResult<DynamicImage> {
    let mut decoder = reader(bytes)?.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(image)
}

fn fit(image: RgbImage, width: u32, height: u32, crop: bool) -> RgbImage {
    if image.dimensions() == (width, height) {
        return image;
    }
    if !crop {
        return imageops::resize(&image, width, height, FilterType::Triangle);
    }
    let (has_width, has_height) = image.dimensions();
    // The largest part with the proportions width : height.
    let part = |has: u32, other: u32, of: u32, to: u32| {
        let fits = u64::from(other) * u64::from(of) / u64::from(to).max(1);
        has.min(u32::try_from(fits).unwrap_or(u32::MAX)).max(1)
    };
    let part_width = part(has_width, has_height, width, height);
    let part_height = part(has_height, has_width, height, width);
    let (left, top) = ((has_width - part_width) / 2, (has_height - part_height) / 2);
    let middle = imageops::crop_imm(&image, left, top, part_width, part_height).to_image();
    imageops::resize(&middle, width, height, FilterType::CatmullRom)
}

fn bad(text: &str) -> ApiError {
    ApiError::BadRequest(text.to_owned())
}

#[cfg(test)]
mod tests;
