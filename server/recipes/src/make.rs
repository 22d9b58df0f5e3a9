//! Synthetic sets made from MNIST: Biased-MNIST and Loc-MNIST, as class folders of PNG files.
//!
//! All random choices come from Philox, so the same files, seed and share give the same folders on
//! every machine.

mod biased;
mod located;

use super::Recipe;
use datasets::LoadError;
use datasets::mnist::{Digit, Parts, digits};
use datasets::split::Split;
use ground::rng::{Stream, derive_key};
use image::DynamicImage;
use std::path::{Path, PathBuf};

/// Why a synthetic set could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// The set is not one of those that are made.
    #[error("{0} is not made here; biased_mnist, loc_mnist_1_1 and loc_mnist_1_4 are")]
    NotMade(String),
    /// The digits cannot be read.
    #[error(transparent)]
    Digits(#[from] LoadError),
    /// The folder is not empty, and two sets would be mixed.
    #[error("{0} is not empty: choose a new folder")]
    NotEmpty(PathBuf),
    /// A file cannot be written.
    #[error("cannot write {path}: {cause}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        cause: String,
    },
}

/// Which set to make, and where.
pub struct Make<'a> {
    /// The recipe of Biased-MNIST or Loc-MNIST.
    pub recipe: &'a Recipe,
    /// The new folder to write into.
    pub into: &'a Path,
    /// The folder with MNIST's IDX files.
    pub from: &'a Path,
    /// For Biased-MNIST: the share ρ of each class whose pictures have the class's own colour, in
    /// the training and in the test part.
    pub rho: [f64; 2],
    /// Seed of all random choices.
    pub seed: u64,
}

/// How the digits of a part become pictures.
#[derive(Clone, Copy)]
enum Kind {
    Biased,
    /// Loc-MNIST: the factor by which the digit in the middle is enlarged.
    Located(u32),
}

/// Makes the folders `train` and `test` and returns the number of pictures in each.
///
/// If MNIST's training files are missing, its test images are dealt out to both parts in turn.
///
/// # Errors
/// [`MakeError`].
pub fn make(what: &Make<'_>) -> Result<[usize; 2], MakeError> {
    let kind = match what.recipe.name.as_str() {
        "biased_mnist" => Kind::Biased,
        "loc_mnist_1_1" => Kind::Located(1),
        "loc_mnist_1_4" => Kind::Located(4),
        other => return Err(MakeError::NotMade(other.to_owned())),
    };
    let parts = parts_of(digits(what.from)?);
    let full = |entries: std::fs::ReadDir| entries.take(1).count() > 0;
    if what.into.exists() && std::fs::read_dir(what.into).is_ok_and(full) {
        return Err(MakeError::NotEmpty(what.into.to_owned()));
    }
    let mut counts = [0; 2];
    for (i, (name, digits)) in ["train", "test"].into_iter().zip(&parts).enumerate() {
        let folder = what.into.join(name);
        for label in 0..10 {
            let folder = folder.join(label.to_string());
            std::fs::create_dir_all(&folder).map_err(|e| fault(&folder, e))?;
        }
        let key = derive_key(&[
            what.seed as u32,
            (what.seed >> 32) as u32,
            // A purpose of its own: no other stream has these words.
            u32::from_le_bytes(*b"make"),
            i as u32,
        ]);
        let mut stream = Stream::with_key(key);
        let mut number = 0;
        let mut write = |label: u8, picture: DynamicImage| {
            number += 1;
            let path = folder.join(format!("{label}/{number:05}.png"));
            picture.save(&path).map_err(|e| fault(&path, e))
        };
        match kind {
            Kind::Biased => {
                let labels: Vec<u8> = digits.iter().map(|d| d.label).collect();
                let colours = biased::colours(&labels, what.rho[i], &mut stream);
                for (digit, colour) in digits.iter().zip(colours) {
                    write(digit.label, biased::paint(digit, colour).into())?;
                }
            }
            Kind::Located(size) => {
                let middle = located::Middle::new(digits);
                for digit in digits {
                    let picture = located::compose(digit, &middle, size, &mut stream);
                    write(digit.label, picture.into())?;
                }
            }
        }
        counts[i] = number;
    }
    Ok(counts)
}

fn fault(path: &Path, cause: impl std::fmt::Display) -> MakeError {
    MakeError::Write {
        path: path.to_owned(),
        cause: cause.to_string(),
    }
}

fn parts_of(files: Parts) -> [Vec<Digit>; 2] {
    let mut parts = [Vec::new(), Vec::new()];
    for (split, digits) in files {
        parts[usize::from(split == Some(Split::Test))].extend(digits);
    }
    if parts.iter().any(Vec::is_empty) {
        let all = parts.concat();
        let every_other = |from| all.iter().skip(from).step_by(2).cloned().collect();
        parts = [every_other(0), every_other(1)];
    }
    parts
}

#[cfg(test)]
mod tests;
