//! Image sets whose labels and parts stand in lists beside the pictures: CoOp's `split_zhou_*.json`, FGVC Aircraft's
//! `images_variant_*.txt`, CLEVR's scenes.
//!
//! A path in a list is only looked up among the files that were found below the chosen folder, so
//! no list can name a file outside it.

mod aircraft;
mod clevr;
mod coop;

use super::split::{Split, chosen, no_split};
use super::{LoadError, Source, bytes_of};
use owner_data::labels::Labels;
use owner_data::{DataError, MAX_FILES};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// Why a list of pictures and labels cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListFault {
    /// The file is not the JSON that was expected.
    #[error("is not the JSON that was expected: {0}")]
    Json(String),
    /// The file is not UTF-8 text.
    #[error("is not UTF-8")]
    NotUtf8,
    /// A line lacks a label or a picture.
    #[error("line {0} does not hold a picture's name, a space, and a label")]
    Line(usize),
    /// A path leads out of the folder, or is no path.
    #[error("names {0:?}, which is no path below the folder")]
    Outside(String),
    /// Numbers and names of classes contradict each other.
    #[error("gives class {number} two names, or the name {name:?} two numbers")]
    Classes {
        /// The number of the class.
        number: u32,
        /// One of its names.
        name: String,
    },
    /// An example has no class name.
    #[error("holds an example without a class name")]
    NoName,
    /// The list is empty.
    #[error("holds no example")]
    Empty,
    /// The list's pictures are not in the folder.
    #[error("names {count} pictures, and none of them is in the folder; the first is {first:?}")]
    NoPictures {
        /// Number of pictures that the list names.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// The folder holds another list as well.
    #[error("stands beside another list, {0:?}: leave only one of them in the folder")]
    Several(String),
}

/// One labelled picture of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// The picture's path below the pictures' folder.
    path: String,
    /// The name of its class.
    class: String,
    /// The number of its class, if the list numbers classes.
    number: Option<u32>,
}

/// A list, or all lists of one data set.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct List {
    /// The (first) file of the list.
    file: String,
    /// The items of each part of the data set.
    parts: BTreeMap<Split, Vec<Item>>,
    /// Folders in which the pictures' paths may start.
    roots: Vec<String>,
}

/// Finds the list beside the pictures; `None` if there is none.
pub(super) fn find(sources: &HashMap<String, Source>) -> Result<Option<List>, LoadError> {
    let mut names: Vec<&str> = sources.keys().map(String::as_str).collect();
    names.sort_unstable();
    for (files, read) in [
        (coop::files(&names), coop::read as Reader),
        (aircraft::files(&names), aircraft::read),
        (clevr::files(&names), clevr::read),
    ] {
        let Some((_, first)) = files.first().cloned() else {
            continue;
        };
        let mut list = List {
            parts: BTreeMap::new(),
            roots: coop::roots(&names),
            file: first,
        };
        for (split, file) in files {
            let bytes = bytes_of(sources, &file, false)?;
            read(&mut list, split, &file, &bytes).map_err(|cause| fault(&file, cause))?;
        }
        list.check()?;
        return Ok(Some(list));
    }
    Ok(None)
}

/// Those of the files that hold one part each.
fn of_splits(
    names: &[&str],
    split_of: impl Fn(&str) -> Option<Split>,
) -> Vec<(Option<Split>, String)> {
    names
        .iter()
        .filter_map(|name| Some((Some(split_of(name)?), (*name).to_owned())))
        .collect()
}

/// Adds the examples of a file to a list. The part is the one that the file's name says, if any.
type Reader = fn(&mut List, Option<Split>, &str, &[u8]) -> Result<(), ListFault>;

fn fault(file: &str, cause: ListFault) -> LoadError {
    LoadError::List {
        file: file.to_owned(),
        cause,
    }
}

/// Whether a path leads below a folder: it is relative, and its components are plain names.
fn is_below(path: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    !path.contains(['\\', '\0', ':']) && path.split('/').all(plain)
}

impl List {
    fn add(&mut self, split: Split, item: Item) -> Result<(), ListFault> {
        if !is_below(&item.path) {
            return Err(ListFault::Outside(item.path.chars().take(80).collect()));
        }
        if item.class.trim().is_empty() {
            return Err(ListFault::NoName);
        }
        self.parts.entry(split).or_default().push(item);
        Ok(())
    }

    fn items(&self) -> impl Iterator<Item = &Item> {
        self.parts.values().flatten()
    }

    fn check(&self) -> Result<(), LoadError> {
        if self.items().next().is_none() {
            return Err(fault(&self.file, ListFault::Empty));
        }
        let (mut names, mut numbers) = (BTreeMap::new(), BTreeMap::new());
        for item in self.items() {
            let Some(number) = item.number else { continue };
            let name = item.class.as_str();
            if *names.entry(number).or_insert(name) != name
                || *numbers.entry(name).or_insert(number) != number
            {
                let name = name.to_owned();
                return Err(fault(&self.file, ListFault::Classes { number, name }));
            }
        }
        Ok(())
    }

    /// The names of the classes, in the order of their numbers; without numbers, in numerical or
    /// alphabetical order.
    pub(super) fn classes(&self) -> Vec<String> {
        let all: BTreeSet<(Option<u32>, Option<u64>, &str)> = self
            .items()
            .map(|item| (item.number, item.class.parse().ok(), item.class.as_str()))
            .collect();
        all.into_iter()
            .map(|(_, _, name)| name.to_owned())
            .collect()
    }

    /// The folder of the pictures: the one in which most pictures of the first part are found.
    fn root(&self, sources: &HashMap<String, Source>) -> Result<&str, LoadError> {
        let found = |root: &&String| {
            self.items()
                .take(1000)
                .filter(|item| sources.contains_key(&format!("{root}{}", item.path)))
                .count()
        };
        // Ties go to the first.
        let best = self.roots.iter().rev().max_by_key(found);
        best.filter(|root| found(root) > 0)
            .map(String::as_str)
            .ok_or_else(|| {
                let count = self.items().count();
                let first = self.items().next().map_or("", |item| &item.path).to_owned();
                fault(&self.file, ListFault::NoPictures { count, first })
            })
    }

    /// The names of the pictures to open, with their labels in a task with the labels `known`. A
    /// task whose labels are numbers gets the classes' numbers.
    pub(super) fn pictures(
        &self,
        wanted: Option<Split>,
        known: &[String],
        sources: &HashMap<String, Source>,
        path: &Path,
        notes: &mut Vec<String>,
    ) -> Result<Vec<(String, String)>, LoadError> {
        let there: BTreeSet<Split> = self.parts.keys().copied().collect();
        let parts = match wanted {
            Some(wanted) => chosen(wanted, &there),
            // A part that is the union of two others is not counted twice.
            None => there
                .iter()
                .copied()
                .filter(|s| *s != Split::Trainval || !there.contains(&Split::Train))
                .collect(),
        };
        if let (Some(wanted), true) = (wanted, parts.is_empty()) {
            return Err(no_split(path, wanted, &there));
        }
        if wanted == Some(Split::Test) && parts == [Split::Val] {
            notes.push(format!(
                "{}: without a test part, the validation part is it",
                self.file
            ));
        }
        let root = self.root(sources)?;
        let labels = Labels::new(known);
        let (mut pictures, mut missing) = (Vec::new(), Vec::new());
        for item in parts.iter().filter_map(|p| self.parts.get(p)).flatten() {
            let name = format!("{root}{}", item.path);
            if !sources.contains_key(&name) {
                missing.push(name);
                continue;
            }
            let number = item.number.map(|n| n.to_string());
            let by_number =
                number.filter(|n| labels.find(&item.class).is_none() && labels.find(n).is_some());
            pictures.push((name, by_number.unwrap_or_else(|| item.class.clone())));
        }
        if let Some(first) = missing.first() {
            notes.push(format!(
                "{}: {} of its pictures are not there, the first is {first}",
                self.file,
                missing.len()
            ));
        }
        let count = pictures.len();
        if count > MAX_FILES {
            notes.push(DataError::TooManyFiles { count }.to_string());
            // Takes an example whenever i·share/count passes a whole number, which makes an even
            // sample.
            let mut i = 0u64;
            pictures.retain(|_| {
                let before = i * MAX_FILES as u64 / count as u64;
                i += 1;
                i * MAX_FILES as u64 / count as u64 > before
            });
        }
        Ok(pictures)
    }
}

#[cfg(test)]
mod tests;
