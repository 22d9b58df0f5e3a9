//! MNIST's handwritten digits in IDX files, from which other sets are made.

use super::split::{self, Split};
use super::{LoadError, bytes_of, sources_of};
use owner_data::DataError;
use owner_data::files::{PlannedKind, plan};
use owner_data::idx;
use std::path::Path;

/// Side of a digit in pixels.
pub const SIDE: usize = 28;

/// A handwritten digit, light on dark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digit {
    /// The digit, from 0 to 9.
    pub label: u8,
    /// Grey levels, row by row: 28·28 bytes.
    pub pixels: Vec<u8>,
}

/// Digits, with the part of MNIST to which they belong.
pub type Parts = Vec<(Option<Split>, Vec<Digit>)>;

/// Reads the digits below `path`, with the part of MNIST that each pair of files is.
///
/// # Errors
/// [`LoadError`], also for IDX files of something else.
pub fn digits(path: &Path) -> Result<Parts, LoadError> {
    let sources = sources_of(path)?;
    let mut names: Vec<&str> = sources.keys().map(String::as_str).collect();
    names.sort_unstable();
    let mut parts = Vec::new();
    for file in plan(&names, &[], None)?.files {
        let PlannedKind::IdxImages(partner) = &file.kind else {
            continue;
        };
        let name = file.path.as_str();
        let packed = partner.to_ascii_lowercase().ends_with(".gz");
        let images = bytes_of(&sources, name, file.gzip)?;
        let labels = bytes_of(&sources, partner, packed)?;
        let pair = idx::Pair::new(name, &images, partner, &labels)?;
        let wrong = || LoadError::NoDigits {
            file: name.to_owned(),
        };
        if pair.size() != (SIDE, SIDE) {
            return Err(wrong());
        }
        let mut digits = Vec::with_capacity(pair.examples());
        for example in pair.iter() {
            let example = example?;
            let label = example.label.parse().ok().filter(|label| *label < 10);
            digits.push(Digit {
                label: label.ok_or_else(wrong)?,
                // The first of three equal planes.
                pixels: example.image.bytes()[..SIDE * SIDE].to_vec(),
            });
        }
        parts.push((split::of(name), digits));
    }
    if parts.is_empty() {
        let file = path.display().to_string();
        return Err(DataError::Empty { file }.into());
    }
    Ok(parts)
}
