//! An owner's texts from disk: one file, a folder of files, or a zip, plain or gzipped.
//! `owner_data::texts` decides what a file holds.

use super::split::{self, Split};
use super::{LoadError, Loaded, Source, bytes_of, sources_of};
use federation::round::workbench::{Input, Labelled};
use federation::task::Task;
use owner_data::DataError;
use owner_data::texts;
use owner_data::texts::TextExample;
use std::collections::HashMap;
use std::path::Path;
use tuning::wording::TextTask;

/// Loads the texts of `path`, or of one part of it, for a task of texts.
///
/// # Errors
/// [`LoadError`].
pub fn load(
    path: &Path,
    task: &Task,
    text: &TextTask,
    wanted: Option<Split>,
) -> Result<Loaded, LoadError> {
    let mut notes = Vec::new();
    let mut examples = read_split(path, &task.labels, wanted, &mut notes)?;
    let left_out = texts::leave_out_disputed(&mut examples, &task.labels);
    if left_out > 0 {
        notes.push(format!(
            "{left_out} texts with the label \"-\" were left out"
        ));
    }
    let resolved = texts::resolve(&examples, &task.labels, &text.words)?;
    notes.extend(resolved.warning.map(|w| w.to_string()));
    let examples = examples
        .into_iter()
        .zip(resolved.classes)
        .map(|(e, label)| Labelled {
            input: Input::Text(e.text),
            label,
        })
        .collect();
    Ok(Loaded { examples, notes })
}

/// Reads all examples below `path`. `known` are the task's labels; it may be empty, for texts
/// without labels.
///
/// # Errors
/// [`LoadError`].
pub fn read(
    path: &Path,
    known: &[String],
    notes: &mut Vec<String>,
) -> Result<Vec<TextExample>, LoadError> {
    read_split(path, known, None, notes)
}

fn read_split(
    path: &Path,
    known: &[String],
    wanted: Option<Split>,
    notes: &mut Vec<String>,
) -> Result<Vec<TextExample>, LoadError> {
    let mut sources = sources_of(path)?;
    if let Some(wanted) = wanted {
        split::keep(&mut sources, wanted, path)?;
    }
    let mut names: Vec<&str> = sources.keys().map(String::as_str).collect();
    names.sort_unstable();
    let mut examples = Vec::new();
    for (name, taken) in names.iter().zip(texts::taken(&names)) {
        if !taken {
            notes.push(format!("{name} was left out: it is no table of texts"));
            continue;
        }
        examples.extend(texts::read(name, &content(&sources, name)?, known)?);
    }
    if examples.is_empty() {
        let file = path.display().to_string();
        return Err(DataError::Empty { file }.into());
    }
    Ok(examples)
}

fn content(sources: &HashMap<String, Source>, name: &str) -> Result<Vec<u8>, LoadError> {
    bytes_of(sources, name, name.to_ascii_lowercase().ends_with(".gz"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic: that is how it fails.
mod tests {
    use super::*;
    use serde_json::json;
    use std::io::Write as _;

    fn task() -> Task {
        Task::from_value(json!({
            "name": "Topics",
            "model": { "url": "http://127.0.0.1:8701", "name": "encoder", "input": { "kind": "text" } },
            "data": { "labels": ["1", "2"] },
            "text": { "template": "About {}.", "words": ["World", "Sports"] },
            "generator": { "candidates": ["", "x"] },
        }))
        .unwrap()
    }

    fn load_all(path: &Path) -> Result<Loaded, LoadError> {
        let task = task();
        super::load(path, &task, task.inputs.texts().unwrap(), None)
    }

    #[test]
    fn a_file_a_folder_and_a_packed_file_are_the_same() {
        let home = tempfile::tempdir().unwrap();
        let table = "2,The race,is on\n1,Fears for,a pension\n";
        let (plain, packed) = (home.path().join("a.csv"), home.path().join("p/b.csv.gz"));
        std::fs::write(&plain, table).unwrap();
        std::fs::create_dir(home.path().join("p")).unwrap();
        let file = std::fs::File::create(&packed).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        gzip.write_all(table.as_bytes()).unwrap();
        gzip.finish().unwrap();
        let one = load_all(&plain).unwrap().examples;
        assert_eq!(one.iter().map(|e| e.label).collect::<Vec<_>>(), [1, 0]);
        assert_eq!(load_all(&packed).unwrap().examples, one);
        std::fs::write(home.path().join("licence.md"), "words").unwrap();
        std::fs::write(home.path().join("classes.txt"), "World\nSports\n").unwrap();
        let folder = load_all(home.path()).unwrap();
        assert_eq!((folder.examples.len(), folder.notes.len()), (4, 2));
        std::fs::remove_file(&plain).unwrap();
        std::fs::remove_file(&packed).unwrap();
        std::fs::write(home.path().join("classes.txt"), "1 a text\n2 another\n").unwrap();
        assert_eq!(load_all(home.path()).unwrap().examples.len(), 2);
    }

    #[test]
    fn labels_may_be_written_out() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("a.csv");
        std::fs::write(&file, "text,label\na b,sports\nc d,World\n").unwrap();
        let labels: Vec<_> = load_all(&file)
            .unwrap()
            .examples
            .iter()
            .map(|e| e.label)
            .collect();
        assert_eq!(labels, [1, 0]);
        std::fs::write(&file, "text,label\na b,sports\nc d,money\n").unwrap();
        let fault = load_all(&file).err().unwrap();
        assert!(
            matches!(fault, LoadError::Data(DataError::UnknownLabels { .. })),
            "{fault}"
        );
        std::fs::write(&file, "text,label\na b,1\n").unwrap();
        assert_eq!(load_all(&file).unwrap().notes.len(), 1);
    }
}
