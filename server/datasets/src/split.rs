//! The parts of a data set: what its folders and files call training, validation and test data.

use super::LoadError;
use super::Source;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// A part into which a data set's authors divided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Split {
    /// The training part.
    Train,
    /// The validation part, for choosing settings; called `dev` in some sets.
    Val,
    /// The training and the validation part together.
    Trainval,
    /// The test part.
    Test,
}

impl std::fmt::Display for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Trainval => "trainval",
            Self::Test => "test",
        })
    }
}

/// The part that a word names, in lower case.
fn named(word: &str) -> Option<Split> {
    match word {
        "train" | "training" => Some(Split::Train),
        "val" | "valid" | "validation" | "dev" => Some(Split::Val),
        "trainval" => Some(Split::Trainval),
        // MNIST's test images are "t10k".
        "test" | "testing" | "t10k" => Some(Split::Test),
        _ => None,
    }
}

/// The part to which a file belongs, by the uppermost folder with the name of a part, or, unless it
/// is a picture, by a word in its own name (`train.csv`, `TREC.test.all`,
/// `t10k-images-idx3-ubyte.gz`). `None` if neither names one.
pub fn of(name: &str) -> Option<Split> {
    let name = name.to_ascii_lowercase();
    let (folders, file) = name.rsplit_once('/').unwrap_or(("", &name));
    let by_folder = folders.split('/').find_map(named);
    by_folder.or_else(|| {
        let of_file = || file.split(['.', '-', '_']).find_map(named);
        if is_picture(file) { None } else { of_file() }
    })
}

/// Whether a name has a picture's extension.
pub fn is_picture(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    matches!(
        ending,
        "png" | "jpg" | "jpeg" | "jfif" | "webp" | "gif" | "bmp"
    )
}

/// The parts among `there` that `wanted` means; several for [`Split::Trainval`]. A set without a
/// test part is measured with its validation part, because the test parts of CLEVR and GLUE are not
/// public.
pub fn chosen(wanted: Split, there: &BTreeSet<Split>) -> Vec<Split> {
    let all: &[&[Split]] = match wanted {
        Split::Train => &[&[Split::Train]],
        Split::Val => &[&[Split::Val]],
        Split::Trainval => &[
            &[Split::Trainval],
            &[Split::Train, Split::Val],
            &[Split::Train],
        ],
        Split::Test => &[&[Split::Test], &[Split::Val]],
    };
    let found = all
        .iter()
        .find(|parts| parts.iter().all(|p| there.contains(p)));
    found.map_or(Vec::new(), |parts| parts.to_vec())
}

/// Keeps the files of one part only.
pub(super) fn keep(
    sources: &mut HashMap<String, Source>,
    wanted: Split,
    path: &Path,
) -> Result<(), LoadError> {
    let there: BTreeSet<Split> = sources.keys().filter_map(|name| of(name)).collect();
    let parts = chosen(wanted, &there);
    if parts.is_empty() {
        return Err(no_split(path, wanted, &there));
    }
    sources.retain(|name, _| of(name).is_some_and(|split| parts.contains(&split)));
    Ok(())
}

/// The error for a part that does not exist.
pub(super) fn no_split(path: &Path, wanted: Split, there: &BTreeSet<Split>) -> LoadError {
    let names: Vec<String> = there.iter().map(ToString::to_string).collect();
    LoadError::NoSplit {
        path: path.to_owned(),
        wanted,
        there: if names.is_empty() {
            "no part at all".to_owned()
        } else {
            names.join(", ")
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_parts() {
        for (name, split) in [
            ("train/cat/1.png", Some(Split::Train)),
            ("images/TEST/train/1.JPEG", Some(Split::Test)),
            ("cat/train_1.png", None),
            ("dev_matched.tsv", Some(Split::Val)),
            ("TREC.train.all", Some(Split::Train)),
            ("stsa.binary.dev", Some(Split::Val)),
            ("t10k-images-idx3-ubyte.gz", Some(Split::Test)),
            ("MRPC__16-13__test.tsv", Some(Split::Test)),
            ("latest.csv", None),
            ("", None),
        ] {
            assert_eq!(of(name), split, "{name}");
        }
    }

    #[test]
    fn a_missing_test_part_is_the_validation_part() {
        let there = BTreeSet::from([Split::Train, Split::Val]);
        assert_eq!(chosen(Split::Test, &there), [Split::Val]);
        assert_eq!(chosen(Split::Trainval, &there), [Split::Train, Split::Val]);
        assert!(chosen(Split::Val, &BTreeSet::from([Split::Test])).is_empty());
    }
}
