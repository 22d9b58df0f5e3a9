//! Public sets of texts as the figures on text use them, in three parts without a text in common:
//! what participants may own, public text for the prompts' words, and the test.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use xtask::run::quietly;
use xtask::workspace::{root, scratch};

/// Label templates that a person would write. The training examples choose which one is taken.
pub const TEMPLATES: [&str; 4] = ["{}", "This is {}.", "This text is about {}.", "It was {}."];

/// One row in this many, of each class of the training file, is public text. TREC's rarest class
/// has 86 rows there, so 64 are left to own.
const PUBLIC_EVERY: usize = 4;

/// Maximum number of words that a prompt may use, besides the empty one.
const CANDIDATES: usize = 100;

/// A public set of texts, with the label first in each row.
pub struct TextSet {
    /// Its name in the JSON, and its folder below `--data`.
    pub name: &'static str,
    pub title: &'static str,
    train: &'static str,
    /// The test file. Without one, every other row of the training file is the test.
    test: Option<&'static str>,
    labels: &'static [&'static str],
    words: &'static [&'static str],
}

pub const SETS: [TextSet; 3] = [
    TextSet {
        name: "ag_news",
        title: "AG News",
        train: "test.csv",
        test: None,
        labels: &["1", "2", "3", "4"],
        words: &["World", "Sports", "Business", "Technology"],
    },
    TextSet {
        name: "trec",
        title: "TREC",
        train: "TREC.train.all",
        test: Some("TREC.test.all"),
        labels: &["0", "1", "2", "3", "4", "5"],
        words: &[
            "description",
            "entity",
            "abbreviation",
            "person",
            "location",
            "number",
        ],
    },
    TextSet {
        name: "sst2",
        title: "SST-2",
        train: "stsa.binary.train",
        test: Some("stsa.binary.test"),
        labels: &["0", "1"],
        words: &["terrible", "great"],
    },
];

/// The files of a set that was divided.
pub struct Prepared {
    pub task: PathBuf,
    pub owned: PathBuf,
    pub test: PathBuf,
}

impl TextSet {
    /// Divides the set below `data` into files and writes its task file, with words of the public
    /// part as candidates. `settings` is the TOML that follows them.
    pub fn prepare(&self, binary: &Path, data: &Path, settings: &str) -> Result<Prepared> {
        let read = |file: &str| {
            let path = data.join(file);
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let folder = scratch()?.join("text").join(self.name);
        std::fs::create_dir_all(&folder)?;
        let ending = if self.train.ends_with(".csv") {
            "csv"
        } else {
            "txt"
        };
        let path = |part: &str| folder.join(format!("{part}.{ending}"));
        let write = |part: &str, rows: &[&[u8]]| -> Result<PathBuf> {
            let path = path(part);
            std::fs::write(&path, [&rows.join(&b'\n')[..], b"\n"].concat())?;
            Ok(path)
        };
        let train = read(self.train)?;
        let mut rows = rows(&train);
        let test = match self.test {
            Some(file) => {
                let test = read(file)?;
                write("test", &self::rows(&test))?
            }
            None => {
                let (even, odd) = alternate(&rows, 2);
                rows = even;
                write("test", &odd)?
            }
        };
        let (mut owned, mut public) = (Vec::new(), Vec::new());
        for label in self.labels {
            let of: Vec<&[u8]> = rows
                .iter()
                .copied()
                .filter(|row| label_of(row) == label.as_bytes())
                .collect();
            let (others, every) = alternate(&of, PUBLIC_EVERY);
            owned.extend(others);
            public.extend(every);
        }
        if owned.len() + public.len() != rows.len() {
            bail!(
                "{}: a row does not begin with one of the labels {:?}",
                self.train,
                self.labels
            );
        }
        let (owned, public) = (write("owned", &owned)?, write("public", &public)?);
        let mut command = Command::new(binary);
        command
            .current_dir(root())
            .args(["candidates", "--data"])
            .arg(&public);
        command.args(["--min-count", "3", "--count", &CANDIDATES.to_string()]);
        let candidates = quietly(&mut command)?;
        let task = folder.join("task.toml");
        std::fs::write(&task, self.task(candidates.trim(), settings))?;
        Ok(Prepared { task, owned, test })
    }

    /// The task file. A JSON list of texts is also a TOML list.
    fn task(&self, candidates: &str, settings: &str) -> String {
        format!(
            "name = {}\n\n[model]\nurl = \"http://127.0.0.1:8701\"\nname = \"minilm\"\ninput = {{ kind = \"text\" }}\n\n\
             [data]\nlabels = {}\n\n[text]\ntemplate = {}\nwords = {}\n\n[generator]\nkind = \"discrete\"\n{candidates}\n\n\
             {settings}\n",
            json!(self.title),
            json!(self.labels),
            json!(TEMPLATES[0]),
            json!(self.words),
        )
    }
}

fn rows(bytes: &[u8]) -> Vec<&[u8]> {
    bytes
        .split(|b| *b == b'\n')
        .filter(|row| !row.trim_ascii().is_empty())
        .collect()
}

/// The text before the first space or comma, without quotation marks.
fn label_of(row: &[u8]) -> &[u8] {
    let end = row
        .iter()
        .position(|b| matches!(b, b' ' | b',' | b'\t'))
        .unwrap_or(row.len());
    let label = &row[..end];
    label
        .strip_prefix(b"\"")
        .and_then(|l| l.strip_suffix(b"\""))
        .unwrap_or(label)
}

/// All rows but every `n`th, and every `n`th.
fn alternate<'a>(rows: &[&'a [u8]], n: usize) -> (Vec<&'a [u8]>, Vec<&'a [u8]>) {
    let numbered = rows.iter().enumerate();
    let (every, others): (Vec<_>, Vec<_>) = numbered.partition(|(i, _)| (i + 1) % n == 0);
    let plain = |rows: Vec<(usize, &&'a [u8])>| rows.into_iter().map(|(_, row)| *row).collect();
    (plain(others), plain(every))
}

/// The numbers that `get` finds in each run of a simulation with several seeds.
pub fn by_seed(report: &Value, get: impl Fn(&Value) -> Result<f64>) -> Result<Vec<f64>> {
    let runs = report["runs"]
        .as_array()
        .context("the report has no runs")?;
    runs.iter().map(get).collect()
}

#[cfg(test)]
mod tests {
    use super::{SETS, alternate, label_of, rows};

    #[test]
    fn labels_stand_first() {
        assert_eq!(label_of(b"\"3\",\"Title\",\"text\""), b"3");
        assert_eq!(label_of(b"1 a stirring , funny"), b"1");
        for set in SETS {
            assert_eq!(set.labels.len(), set.words.len());
        }
    }

    #[test]
    fn no_row_is_in_two_parts() {
        let text = b"a\nb\n\nc\nd\ne\n";
        let (others, every) = alternate(&rows(text), 2);
        assert_eq!(others, [b"a", b"c", b"e"]);
        assert_eq!(every, [b"b", b"d"]);
    }
}
