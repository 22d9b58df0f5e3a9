//! Recognises a file by its first bytes.

use super::super::DataError;
use super::PlannedKind;

/// What the first bytes of a file look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// PNG picture.
    Png,
    /// JPEG picture.
    Jpeg,
    /// WebP picture.
    WebP,
    /// GIF picture.
    Gif,
    /// Windows bitmap.
    Bmp,
    /// TIFF picture.
    Tiff,
    /// HEIC or AVIF picture.
    Heif,
    /// Zip archive, which office documents and NumPy's npz also are.
    Zip,
    /// Gzipped file.
    Gzip,
    /// IDX file, as MNIST has.
    Idx,
    /// PDF document.
    Pdf,
    /// NumPy array.
    Npy,
    /// Web page.
    Html,
    /// Text in UTF-16.
    Utf16,
    /// Other text, such as CSV.
    Text,
    /// An empty file.
    Empty,
    /// None of these.
    Unknown,
}

impl std::fmt::Display for FileKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Png => "a PNG picture",
            Self::Jpeg => "a JPEG picture",
            Self::WebP => "a WebP picture",
            Self::Gif => "a GIF picture",
            Self::Bmp => "a BMP picture",
            Self::Tiff => "a TIFF picture",
            Self::Heif => "a HEIC or AVIF picture",
            Self::Zip => "a zip archive (or a spreadsheet)",
            Self::Gzip => "a gzipped file",
            Self::Idx => "an IDX file",
            Self::Pdf => "a PDF document",
            Self::Npy => "a NumPy array",
            Self::Html => "a web page",
            Self::Utf16 => "text in UTF-16",
            Self::Text => "plain text",
            Self::Empty => "an empty file",
            Self::Unknown => "binary data of an unknown kind",
        })
    }
}

/// Recognises a file's kind by its first bytes (512 are enough).
#[must_use]
pub fn kind_of(bytes: &[u8]) -> FileKind {
    let head = &bytes[..bytes.len().min(512)];
    match head {
        [] => FileKind::Empty,
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => FileKind::Png,
        [0xff, 0xd8, 0xff, ..] => FileKind::Jpeg,
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => FileKind::WebP,
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => FileKind::Gif,
        // Size of the second header of a BMP: 12, 40, 52, 56, 64, 108 or 124, never above 255.
        [
            b'B',
            b'M',
            _,
            _,
            _,
            _,
            0,
            0,
            0,
            0,
            _,
            _,
            _,
            _,
            12..=124,
            0,
            0,
            0,
            ..,
        ] => FileKind::Bmp,
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => FileKind::Tiff,
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => FileKind::Heif,
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => FileKind::Zip,
        [0x1f, 0x8b, ..] => FileKind::Gzip,
        [0, 0, 8 | 9 | 0x0b..=0x0e, 1..=8, ..] => FileKind::Idx,
        [b'%', b'P', b'D', b'F', b'-', ..] => FileKind::Pdf,
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => FileKind::Npy,
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => FileKind::Utf16,
        _ if head.iter().any(|&b| b < 9 || (14..27).contains(&b)) => FileKind::Unknown,
        _ if is_html(head) => FileKind::Html,
        _ => FileKind::Text,
    }
}

fn is_html(head: &[u8]) -> bool {
    let start = head
        .strip_prefix(b"\xEF\xBB\xBF")
        .unwrap_or(head)
        .trim_ascii_start();
    let begins = |tag: &[u8]| {
        start
            .get(..tag.len())
            .is_some_and(|s| s.eq_ignore_ascii_case(tag))
    };
    begins(b"<!doctype html") || begins(b"<html") || begins(b"<head") || begins(b"<!--")
}

/// Compares the first bytes of a planned file (after unpacking gzip) with what its name promised.
///
/// A picture under the name of another kind of picture passes, because decoders go by the content.
///
/// # Errors
/// [`DataError::WrongKind`], saying what the content looks like.
pub fn check_kind(file: &str, planned: &PlannedKind, bytes: &[u8]) -> Result<(), DataError> {
    use FileKind::{Bmp, Gif, Idx, Jpeg, Png, Text, WebP};
    let found = kind_of(bytes);
    let (right, expected) = match planned {
        PlannedKind::Image(_) => (
            matches!(found, Png | Jpeg | WebP | Gif | Bmp),
            "a picture (PNG, JPEG, WebP, GIF or BMP)",
        ),
        PlannedKind::Csv | PlannedKind::LabelTable => (found == Text, "CSV text"),
        PlannedKind::IdxImages(_) | PlannedKind::IdxLabels(_) => (found == Idx, "an IDX file"),
        PlannedKind::Skip(_) => return Ok(()),
    };
    if right {
        return Ok(());
    }
    let hint = match found {
        FileKind::Html => ", or download this one again: a web page came instead of the file",
        FileKind::Tiff | FileKind::Heif => ", or save this one as PNG or JPEG",
        FileKind::Gzip => ", or unpack this one first",
        FileKind::Utf16 => ", or save this one as \"CSV UTF-8\"",
        _ => "",
    };
    Err(DataError::WrongKind {
        file: file.to_owned(),
        found,
        expected,
        hint,
    })
}
