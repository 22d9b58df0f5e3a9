//! What a data owner brings: labelled pictures, from files or drawn by the built-in generator, or
//! labelled texts.
//!
//! Everything here is pure: bytes in, typed values or a [`DataError`] out. Opening files, unpacking
//! gzip and zip, and decoding pictures (PNG, JPEG, …) is the caller's part, because the browser and
//! the native client do it with different means; both follow the same [`files::plan`].
//!
//! | module | question |
//! |---|---|
//! | [`files`] | what is each of the chosen files, and which class does each picture belong to? |
//! | [`csv`], [`idx`] | pictures stored as numbers |
//! | [`texts`] | labelled texts in all the layouts that public corpora have |
//! | [`candidates`] | which words of a corpus may stand in a prompt? |
//! | [`labels`] | do the owner's labels match the federation's? |
//! | [`handwriting`] | a built-in owner with a handwriting of its own |
//! | [`partition`] | which participant gets which examples (simulations), what is held out for testing |

pub mod candidates;
pub mod csv;
mod error;
pub mod files;
pub mod handwriting;
pub mod idx;
pub mod labels;
pub mod partition;
pub mod texts;

pub use error::DataError;

pub use ground::image::MAX_PIXELS;
use ground::image::{Image, ImageError};

/// One labelled picture as its owner has it: any size, the owner's own label text.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The picture, not yet fitted to the task's size.
    pub image: Image,
    /// The label as it stands in the file (a folder's name, a CSV cell); see [`labels::Labels`].
    pub label: String,
}

/// Maximum number of files in one choice; [`files::plan`] takes an even sample of a larger choice.
pub const MAX_FILES: usize = 10_000;

/// Checks a picture's size, as its header states it, before memory is allocated for decoding it.
///
/// # Errors
/// [`DataError::Image`] without pixels or above [`MAX_PIXELS`].
pub fn check_size(file: &str, width: u32, height: u32) -> Result<(), DataError> {
    let cause = match u64::from(width) * u64::from(height) {
        0 => ImageError::Empty,
        pixels if pixels > MAX_PIXELS as u64 => ImageError::TooLarge {
            width: width as usize,
            height: height as usize,
        },
        _ => return Ok(()),
    };
    Err(DataError::Image {
        file: file.to_owned(),
        cause,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picture_sizes_are_checked_without_overflow() {
        let cause = |width, height| match check_size("a", width, height) {
            Err(DataError::Image { cause, .. }) => Some(cause),
            _ => None,
        };
        assert_eq!(cause(10_000, 5_000), None);
        assert!(matches!(
            cause(10_000, 5_001),
            Some(ImageError::TooLarge { .. })
        ));
        assert!(matches!(
            cause(u32::MAX, u32::MAX),
            Some(ImageError::TooLarge { .. })
        ));
        assert_eq!(cause(0, 2), Some(ImageError::Empty));
    }
}
