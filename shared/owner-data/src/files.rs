//! Sorts out a chosen folder, or the entries of a zip.
//!
//! A plan needs only the names, so ten thousand files are sorted out before one is opened. When a
//! file is opened, [`check_kind`] compares its first bytes with what its name promised.
//!
//! The class of a picture is the name of its folder, or comes from a table `labels.csv` or
//! `labels.tsv` of paths and labels. Of several folders above a picture, the nearest one whose name
//! the federation knows as a label counts.

mod kind;
mod table;

pub use kind::{FileKind, check_kind, kind_of};
pub use table::{LabelTable, find_label_table};

use std::collections::BTreeMap;

use super::labels::Labels;
use super::{DataError, MAX_FILES};

/// What to do with each file of a choice, in the order of their paths.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// At most [`MAX_FILES`] usable files, and the first [`MAX_FILES`] skipped ones.
    pub files: Vec<PlannedFile>,
    /// Number of usable files, including those not in the plan.
    pub usable: usize,
    /// Number of skipped files.
    pub skipped: usize,
    /// What the owner should be told, although the plan can be followed.
    pub warnings: Vec<DataError>,
}

/// One file of a [`Plan`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFile {
    /// The path as it was given.
    pub path: String,
    /// Whether the content is gzipped (`.gz`) and must be unpacked first.
    pub gzip: bool,
    /// What to do with it.
    pub kind: PlannedKind,
}

/// What to do with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlannedKind {
    /// A picture to decode (PNG, JPEG, WebP, GIF, BMP), with its label.
    Image(String),
    /// A table for [`super::csv`].
    Csv,
    /// Images for [`super::idx`]; the value is the path of their labels.
    IdxImages(String),
    /// Labels for [`super::idx`]; the value is the path of their images.
    IdxLabels(String),
    /// The table of labels itself, which has been used already.
    LabelTable,
    /// Skip the file.
    Skip(SkipReason),
}

/// Why a file is skipped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    /// A hidden file, or one that an operating system leaves behind.
    #[error("hidden or made by the operating system")]
    Hidden,
    /// A path that leads out of the chosen folder.
    #[error("its path leads out of the chosen folder")]
    Outside,
    /// A kind of file that has no use here.
    #[error("{0:?} files are not used; pictures as PNG, JPEG, WebP, GIF or BMP, CSV and IDX are")]
    UnknownKind(String),
    /// An archive within the choice.
    #[error("an archive inside the choice: unpack it, or choose it on its own")]
    Archive,
    /// A picture outside any folder.
    #[error(
        "its class is unknown: put it into a folder named after its class, or name it in labels.csv"
    )]
    NoClass,
    /// A picture that the table of labels does not name.
    #[error("the table of labels does not name it")]
    NotInTable,
    /// An IDX file without its partner.
    #[error(
        "its partner is missing: IDX images and labels come in pairs such as train-images-idx3-ubyte and train-labels-idx1-ubyte"
    )]
    NoPartner,
}

/// Sorts out a choice of files.
///
/// `paths` are relative, with `/` or `\`. `known` are the federation's labels (may be empty).
/// `table` is the content of the file that [`find_label_table`] names, if any.
///
/// Above [`MAX_FILES`] usable files the plan takes an even sample of them in the order of their
/// paths, so that each folder keeps its share, and warns.
///
/// # Errors
/// [`DataError::Empty`] if nothing is usable.
pub fn plan(
    paths: &[&str],
    known: &[String],
    table: Option<&LabelTable>,
) -> Result<Plan, DataError> {
    let labels = Labels::new(known);
    let mut sorted: Vec<&str> = paths.to_vec();
    sorted.sort_unstable();
    let partners = idx_partners(&sorted);
    let classify = |path: &str| classify(path, &labels, table, &partners);

    let usable = sorted
        .iter()
        .filter(|path| is_usable(&classify(path).1))
        .count();
    let skipped = sorted.len() - usable;
    let mut warnings = Vec::new();
    if usable > MAX_FILES {
        warnings.push(DataError::TooManyFiles { count: usable });
    }
    if usable == 0 {
        return Err(DataError::Empty {
            file: "the chosen data".to_owned(),
        });
    }
    let share = usable.min(MAX_FILES);
    let (mut seen, mut left_out) = (0u64, 0);
    let mut files = Vec::new();
    for path in sorted {
        let (gzip, kind) = classify(path);
        let keep = match kind {
            // A file is taken whenever seen·share/usable passes a whole number: `share` times in
            // all.
            _ if is_usable(&kind) => {
                let before = seen * share as u64 / usable as u64;
                seen += 1;
                seen * share as u64 / usable as u64 > before
            }
            _ => {
                left_out += 1;
                left_out <= MAX_FILES
            }
        };
        if keep {
            files.push(PlannedFile {
                path: path.to_owned(),
                gzip,
                kind,
            });
        }
    }
    if usable > MAX_FILES {
        drop_halves(&mut files);
    }
    Ok(Plan {
        files,
        usable,
        skipped,
        warnings,
    })
}

/// Drops IDX files whose partner the sample left out: alone they are of no use.
fn drop_halves(files: &mut Vec<PlannedFile>) {
    // Sorted, because the files are in the order of their paths.
    let present: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
    files.retain(|file| match &file.kind {
        PlannedKind::IdxImages(partner) | PlannedKind::IdxLabels(partner) => {
            present.binary_search(partner).is_ok()
        }
        _ => true,
    });
}

fn is_usable(kind: &PlannedKind) -> bool {
    !matches!(kind, PlannedKind::Skip(_) | PlannedKind::LabelTable)
}

fn classify(
    path: &str,
    labels: &Labels,
    table: Option<&LabelTable>,
    partners: &BTreeMap<&str, Half>,
) -> (bool, PlannedKind) {
    use PlannedKind::Skip;
    let parts: Vec<&str> = components(path).collect();
    if path.starts_with(['/', '\\']) || parts.contains(&"..") {
        return (false, Skip(SkipReason::Outside));
    }
    if parts.iter().any(|part| is_hidden(part)) {
        return (false, Skip(SkipReason::Hidden));
    }
    let name = parts
        .last()
        .copied()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let (name, gzip) = match name.strip_suffix(".gz") {
        Some(inner) => (inner, true),
        None => (&name[..], false),
    };
    if let Some(half) = partners.get(path) {
        let kind = match half {
            Half { partner: None, .. } => Skip(SkipReason::NoPartner),
            Half {
                partner: Some(partner),
                images: true,
            } => PlannedKind::IdxImages((*partner).to_owned()),
            Half {
                partner: Some(partner),
                images: false,
            } => PlannedKind::IdxLabels((*partner).to_owned()),
        };
        return (gzip, kind);
    }
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let kind = match extension {
        "png" | "jpg" | "jpeg" | "jfif" | "webp" | "gif" | "bmp" => match table {
            Some(table) => match table.label(path) {
                Some(label) => PlannedKind::Image(label.to_owned()),
                None => Skip(SkipReason::NotInTable),
            },
            None => match class_of(&parts, labels) {
                Some(class) => PlannedKind::Image(class.to_owned()),
                None => Skip(SkipReason::NoClass),
            },
        },
        _ if table.is_some_and(|table| table.path() == path) => PlannedKind::LabelTable,
        // If there is a table of labels, the pictures are the data; otherwise this table is.
        "csv" | "tsv" => PlannedKind::Csv,
        "zip" | "tar" | "tgz" | "7z" | "rar" => Skip(SkipReason::Archive),
        _ => Skip(SkipReason::UnknownKind(super::error::short(extension))),
    };
    (gzip, kind)
}

/// The parts of a path, without `.`.
fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split(['/', '\\'])
        .filter(|part| !part.is_empty() && *part != ".")
}

fn is_hidden(part: &str) -> bool {
    const LITTER: [&str; 6] = [
        "__macosx",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "@eadir",
        "$recycle.bin",
    ];
    (part.starts_with('.') && part != "..")
        || LITTER.iter().any(|name| part.eq_ignore_ascii_case(name))
}

/// The nearest folder whose name is a known label, else the nearest folder.
fn class_of<'a>(parts: &[&'a str], labels: &Labels) -> Option<&'a str> {
    let folders = parts.split_last().map(|(_, folders)| folders)?;
    folders
        .iter()
        .rev()
        .find(|folder| labels.find(folder).is_some())
        .or(folders.last())
        .copied()
}

/// One half of an IDX pair.
struct Half<'a> {
    images: bool,
    partner: Option<&'a str>,
}

/// Pairs IDX files whose names differ only in images/labels and idx3/idx1.
fn idx_partners<'a>(paths: &[&'a str]) -> BTreeMap<&'a str, Half<'a>> {
    // Key of the pair → its images, its labels.
    let mut pairs: BTreeMap<String, [Option<&'a str>; 2]> = BTreeMap::new();
    let mut halves = BTreeMap::new();
    for &path in paths {
        if components(path).any(is_hidden) {
            continue;
        }
        let name = path.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let file = components(name).last().unwrap_or_default();
        let has = |part: &str| file.contains(part);
        let is_idx = ["idx1", "idx3", "idx4"].iter().any(|mark| has(mark))
            || file.ends_with("-ubyte")
            || file.ends_with(".ubyte")
            || file.ends_with(".idx");
        if !is_idx {
            continue;
        }
        let labels = has("label") || (has("idx1") && !has("image"));
        let folder = &name[..name.len() - file.len()];
        let mut key = file.to_owned();
        for mark in ["images", "labels", "image", "label", "idx1", "idx3", "idx4"] {
            while let Some(at) = key.find(mark) {
                key.replace_range(at..at + mark.len(), "*");
            }
        }
        let pair = pairs.entry(format!("{folder}{key}")).or_default();
        let slot = &mut pair[usize::from(labels)];
        // Of two files in one place (packed and unpacked), the first is taken.
        if slot.is_none() {
            *slot = Some(path);
        }
        halves.insert(
            path,
            Half {
                images: !labels,
                partner: None,
            },
        );
    }
    for [images, labels] in pairs.into_values() {
        if let (Some(images), Some(labels)) = (images, labels) {
            halves.insert(
                images,
                Half {
                    images: true,
                    partner: Some(labels),
                },
            );
            halves.insert(
                labels,
                Half {
                    images: false,
                    partner: Some(images),
                },
            );
        }
    }
    halves
}

#[cfg(test)]
mod tests;
