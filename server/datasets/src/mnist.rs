//! Handwritten digits in IDX files, to make other sets of.

use super::split::{self, Split};
use super::{LoadError, bytes_of, sources_of};
use owner_data::DataError;
use owner_data::files::{PlannedKind, plan};
use owner_data::idx;
use std::path::Path;

/// Side of a digit in pixels.
pub const SIDE: usize = 28;

/// One digit, light on dark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digit {
    /// 0 to 9.
    pub label: u8,
    /// Rows of grey levels.
    pub pixels: Vec<u8>,
}

/// Digits, and which part of MNIST they are.
pub type Parts = Vec<(Option<Split>, Vec<Digit>)>;

/// The digits below `path`, and which part of MNIST each pair of files is.
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
                // The first of three planes; they are all the same.
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
