//! An owner's data from disk: a folder of images by class, a zip, CSV or IDX files, plain or
//! gzipped; or texts.
//!
//! What each file is, `owner_data` decides, exactly as in the browser; this crate only reads bytes
//! and decodes pictures. Public image sets with lists of their own ([`listed`]), and sets cut into
//! parts ([`split`]), are known here alone.

mod listed;
pub mod mnist;
pub mod split;
pub mod texts;

use federation::round::workbench::Labelled;
use federation::task::{Inputs, Task};
use flate2::read::GzDecoder;
use ground::image::{Fit, Image};
pub use listed::ListFault;
use owner_data::csv;
use owner_data::files::{
    FileKind, LabelTable, PlannedKind, check_kind, find_label_table, kind_of, plan,
};
use owner_data::idx;
use owner_data::labels::Labels;
use owner_data::partition::split_holdout;
use owner_data::{DataError, Example, check_size};
use split::Split;
use std::collections::{BTreeSet, HashMap};
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

/// Splits examples into those to train on and those held out, as the task says.
#[must_use]
pub fn hold_out(
    task: &Task,
    participant: u32,
    examples: Vec<Labelled>,
) -> (Vec<Labelled>, Vec<Labelled>) {
    let labels: Vec<usize> = examples.iter().map(|e| e.label).collect();
    let part = f64::from(task.holdout);
    let (_, held) = split_holdout(&labels, part, task.seed ^ u64::from(participant));
    let (mut training, mut holdout) = (Vec::new(), Vec::new());
    for (i, example) in examples.into_iter().enumerate() {
        let side = if held.binary_search(&i).is_ok() {
            &mut holdout
        } else {
            &mut training
        };
        side.push(example);
    }
    (training, holdout)
}

/// Maximum unpacked size of a file, in bytes.
const MAX_UNPACKED: u64 = 1 << 30;

/// Why data could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file or folder cannot be read.
    #[error("cannot read {path}: {cause}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        cause: std::io::Error,
    },
    /// The content is not what the task needs.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A zip file cannot be opened.
    #[error("{path} is not a zip that can be opened: {cause}")]
    Zip {
        /// The zip file.
        path: PathBuf,
        /// The reason.
        cause: zip::result::ZipError,
    },
    /// A file unpacks to more than 1 GiB.
    #[error("{path} unpacks to more than 1 GiB; split it")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A list of pictures and labels cannot be used.
    #[error("{file} {cause}")]
    List {
        /// The list's file.
        file: String,
        /// The reason.
        cause: ListFault,
    },
    /// The data set has no such part.
    #[error("{path} has no part {wanted}; there is {there}")]
    NoSplit {
        /// The data set's folder.
        path: PathBuf,
        /// The part that was asked for.
        wanted: Split,
        /// The parts that exist.
        there: String,
    },
    /// IDX files that hold something other than MNIST's digits.
    #[error("{file} does not hold digits from 0 to 9 of 28×28 pixels, as MNIST's files do")]
    NoDigits {
        /// The file.
        file: String,
    },
    /// SVHN in its original form, which is not supported.
    #[error(
        "{file} is a MATLAB file, which is not read here: write its pictures into folders train/0, …, train/9, test/0, … (docs/recipes.md has a script)"
    )]
    Matlab {
        /// The file.
        file: String,
    },
}

/// Loaded examples, and what the owner should know about them.
pub struct Loaded {
    /// The examples in the form that the model takes, in the order of the files.
    pub examples: Vec<Labelled>,
    /// Files that were left out, and warnings.
    pub notes: Vec<String>,
}

/// Loads everything below `path` for `task`.
///
/// # Errors
/// [`LoadError`].
pub fn load(path: &Path, task: &Task) -> Result<Loaded, LoadError> {
    load_split(path, task, None)
}

/// Loads one part of the data below `path`, or all of them if `wanted` is `None`.
///
/// # Errors
/// [`LoadError`].
pub fn load_split(path: &Path, task: &Task, wanted: Option<Split>) -> Result<Loaded, LoadError> {
    let fit = match &task.inputs {
        Inputs::Texts(text) => return texts::load(path, task, text, wanted),
        Inputs::Images(fit) => fit,
    };
    let mut notes = Vec::new();
    let examples = read_all(path, &task.labels, fit, wanted, &mut notes)?;
    let resolved = Labels::new(&task.labels).resolve(examples.iter().map(|e| &*e.label))?;
    notes.extend(resolved.warning.map(|w| w.to_string()));
    let examples = examples
        .into_iter()
        .zip(resolved.classes)
        .map(|(e, label)| Labelled::image(e.bytes, label))
        .collect();
    Ok(Loaded { examples, notes })
}

/// The classes of an image set, in order: as its list numbers them, or the folders of its pictures.
///
/// # Errors
/// [`LoadError`].
pub fn classes(path: &Path) -> Result<Vec<String>, LoadError> {
    let sources = sources_of(path)?;
    if let Some(list) = listed::find(&sources)? {
        return Ok(list.classes());
    }
    let folders: BTreeSet<(Option<u64>, &str)> = sources
        .keys()
        .filter(|name| split::is_picture(name) && !name.split('/').any(|p| p.starts_with('.')))
        .filter_map(|name| name.rsplit('/').nth(1))
        .map(|folder| (folder.parse().ok(), folder))
        .collect();
    if folders.is_empty() {
        let file = path.display().to_string();
        return Err(DataError::Empty { file }.into());
    }
    Ok(folders
        .into_iter()
        .map(|(_, name)| name.to_owned())
        .collect())
}

/// A picture in the size that the model takes. Ten thousand photographs in their own size would not
/// fit into memory.
struct Fitted {
    bytes: Vec<u8>,
    label: String,
}

fn fitted(example: &Example, fit: &Fit) -> Fitted {
    Fitted {
        bytes: fit.apply(&example.image).bytes().to_vec(),
        label: example.label.clone(),
    }
}

/// Where a file's bytes come from.
enum Source {
    Disk(PathBuf),
    Memory(Vec<u8>),
}

/// The sources below `path` by their names: the files of a folder or a zip, or the file itself.
fn sources_of(path: &Path) -> Result<HashMap<String, Source>, LoadError> {
    let mut sources: HashMap<String, Source> = HashMap::new();
    if path.is_dir() {
        walk(path, path, &mut sources)?;
    } else {
        let bytes = read(path)?;
        if kind_of(&bytes) == FileKind::Zip {
            unzip(path, bytes, &mut sources)?;
        } else {
            let name = path
                .file_name()
                .map_or_else(|| "data".to_owned(), |n| n.to_string_lossy().into_owned());
            sources.insert(name, Source::Disk(path.to_owned()));
        }
    }
    Ok(sources)
}

fn read_all(
    path: &Path,
    known: &[String],
    fit: &Fit,
    wanted: Option<Split>,
    notes: &mut Vec<String>,
) -> Result<Vec<Fitted>, LoadError> {
    let mut sources = sources_of(path)?;
    let mut examples = Vec::new();
    if let Some(list) = listed::find(&sources)? {
        for (name, label) in list.pictures(wanted, known, &sources, path, notes)? {
            match picture(&sources, &name, false, fit, &label)? {
                Ok(example) => examples.push(example),
                Err(error) => notes.push(error),
            }
        }
        return some(examples, path);
    }
    if let Some(file) = sources.keys().find(|name| name.ends_with("_32x32.mat"))
        && !sources.keys().any(|name| split::is_picture(name))
    {
        let file = file.clone();
        return Err(LoadError::Matlab { file });
    }
    if let Some(wanted) = wanted {
        split::keep(&mut sources, wanted, path)?;
    }
    let mut paths: Vec<&str> = sources.keys().map(String::as_str).collect();
    paths.sort_unstable();
    let table = match find_label_table(&paths) {
        Some(name) => Some(LabelTable::parse(name, &bytes_of(&sources, name, false)?)?),
        None => None,
    };
    let plan = plan(&paths, known, table.as_ref())?;
    notes.extend(plan.warnings.iter().map(ToString::to_string));
    for file in &plan.files {
        let name = file.path.as_str();
        match &file.kind {
            PlannedKind::Image(label) => match picture(&sources, name, file.gzip, fit, label)? {
                Ok(example) => examples.push(example),
                // One bad picture among many is left out and reported; it does not spoil the rest.
                Err(error) => notes.push(error),
            },
            PlannedKind::Csv => {
                let options = csv::Options {
                    known: known.to_vec(),
                    ..csv::Options::default()
                };
                let bytes = bytes_of(&sources, name, file.gzip)?;
                let read = csv::read(name, &bytes, &options)?;
                examples.extend(read.iter().map(|example| fitted(example, fit)));
            }
            PlannedKind::IdxImages(partner) => {
                let gzip = partner.to_ascii_lowercase().ends_with(".gz");
                let (images, labels) = (
                    bytes_of(&sources, name, file.gzip)?,
                    bytes_of(&sources, partner, gzip)?,
                );
                for example in idx::Pair::new(name, &images, partner, &labels)?.iter() {
                    examples.push(fitted(&example?, fit));
                }
            }
            PlannedKind::IdxLabels(_) | PlannedKind::LabelTable => {}
            PlannedKind::Skip(reason) => notes.push(format!("{name} was left out: {reason}")),
        }
    }
    some(examples, path)
}

/// Decodes a picture, or says why it is none.
fn picture(
    sources: &HashMap<String, Source>,
    name: &str,
    gzip: bool,
    fit: &Fit,
    label: &str,
) -> Result<Result<Fitted, String>, LoadError> {
    let image = decode(name, &bytes_of(sources, name, gzip)?);
    let label = label.to_owned();
    Ok(image.map(|image| fitted(&Example { image, label }, fit)))
}

fn some(examples: Vec<Fitted>, path: &Path) -> Result<Vec<Fitted>, LoadError> {
    if examples.is_empty() {
        let file = path.display().to_string();
        return Err(DataError::Empty { file }.into());
    }
    Ok(examples)
}

fn walk(
    root: &Path,
    folder: &Path,
    sources: &mut HashMap<String, Source>,
) -> Result<(), LoadError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |cause| LoadError::Io { path, cause }
    };
    for entry in std::fs::read_dir(folder).map_err(io(folder))? {
        let path = entry.map_err(io(folder))?.path();
        if path.is_dir() {
            walk(root, &path, sources)?;
        } else {
            let name = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .to_string_lossy()
                .replace('\\', "/");
            sources.insert(name, Source::Disk(path));
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    std::fs::read(path).map_err(|cause| LoadError::Io {
        path: path.to_owned(),
        cause,
    })
}

fn unzip(
    path: &Path,
    bytes: Vec<u8>,
    sources: &mut HashMap<String, Source>,
) -> Result<(), LoadError> {
    let zip = |cause| LoadError::Zip {
        path: path.to_owned(),
        cause,
    };
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(zip)?;
    let mut left = MAX_UNPACKED;
    for i in 0..archive.len() {
        let entry = archive.by_index(i).map_err(zip)?;
        if entry.is_dir() {
            continue;
        }
        let name = entry.name().map_err(zip)?.into_owned();
        let content = read_limited(entry, left, path)?;
        left -= content.len() as u64;
        sources.insert(name, Source::Memory(content));
    }
    Ok(())
}

fn read_limited(from: impl Read, limit: u64, path: &Path) -> Result<Vec<u8>, LoadError> {
    let mut bytes = Vec::new();
    from.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|cause| LoadError::Io {
            path: path.to_owned(),
            cause,
        })?;
    if bytes.len() as u64 > limit {
        Err(LoadError::TooLarge {
            path: path.to_owned(),
        })
    } else {
        Ok(bytes)
    }
}

fn bytes_of(
    sources: &HashMap<String, Source>,
    name: &str,
    gzip: bool,
) -> Result<Vec<u8>, LoadError> {
    let bytes = match sources.get(name) {
        Some(Source::Disk(path)) => read(path)?,
        Some(Source::Memory(bytes)) => bytes.clone(),
        None => {
            return Err(DataError::Empty {
                file: name.to_owned(),
            }
            .into());
        }
    };
    if gzip {
        read_limited(GzDecoder::new(&bytes[..]), MAX_UNPACKED, Path::new(name))
    } else {
        Ok(bytes)
    }
}

fn decode(name: &str, bytes: &[u8]) -> Result<Image, String> {
    check_kind(name, &PlannedKind::Image(String::new()), bytes).map_err(|e| e.to_string())?;
    let reader = image::ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| format!("{name}: {e}"))?;
    let (width, height) = reader
        .into_dimensions()
        .map_err(|e| format!("{name} is not a picture that can be decoded: {e}"))?;
    check_size(name, width, height).map_err(|e| e.to_string())?;
    let decoded = image::load_from_memory(bytes)
        .map_err(|e| format!("{name} is not a picture that can be decoded: {e}"))?;
    let rgba = decoded.to_rgba8();
    Image::from_rgba(width as usize, height as usize, rgba.as_raw(), 255)
        .map_err(|e| format!("{name}: {e}"))
}
