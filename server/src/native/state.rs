//! The file in which `fed-bbpt join` keeps a participant's state between runs.

use super::lock::Lock;
use federation::agreement::Agreement;
use federation::round::client::Client;
use federation::round::workbench::{Input, Labelled};
use ground::hash::sha256_hex;
use model_client::tally::Tally;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The content of the file.
#[derive(Clone, Serialize, Deserialize)]
pub struct Saved {
    /// The aggregator's origin.
    pub aggregator: String,
    /// The federation's id.
    pub federation: String,
    /// The participant's token; empty if it left before it could begin, and joins anew.
    pub token: String,
    /// The public key with which the participant joined, in hexadecimal; empty in a file from
    /// before there were keys.
    #[serde(default)]
    pub identity: String,
    /// The task as JSON.
    pub task: serde_json::Value,
    /// The calls to the model so far.
    #[serde(default)]
    pub tally: Tally,
    /// Number of the participant's examples: another data set needs a new start.
    pub examples: usize,
    /// The [`data_hash`] of the examples; empty in a file from before there were hashes.
    #[serde(default)]
    pub data: String,
    /// What the participant agreed to; `None` in a file from before it was noted.
    #[serde(default)]
    pub agreed: Option<Agreement>,
    /// The participant's machine.
    pub client: Client,
    /// Whether another version of this program wrote the machine, which then begins anew.
    #[serde(skip)]
    pub is_outdated: bool,
}

/// Why the state cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file cannot be read or written.
    #[error("cannot use the state file {path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        cause: std::io::Error,
    },
    /// Another process uses the file.
    #[error(
        "{path} is in use by another `fed-bbpt join`: one state is one participant; give this one its own with --state, or wait until the other has ended"
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The state belongs to other data.
    #[error(
        "{path} was written with other data (then {then} examples, now {now}): one state is one participant with their data; give the same data, or another --state to join afresh"
    )]
    OtherData {
        /// The file.
        path: PathBuf,
        /// Number of examples with which it was written.
        then: usize,
        /// Number of examples now.
        now: usize,
    },
    /// The file is no state of this program.
    #[error(
        "{path} is not a state file of this program ({cause}); choose another with --state, or delete it to start afresh"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The reason.
        cause: serde_json::Error,
    },
}

impl Saved {
    /// Reads the file; `None` if there is none. If another version of this program wrote it, the
    /// machine begins anew: the membership, the data and what was paid stay, and what was sent
    /// stands in the federation's record.
    ///
    /// # Errors
    /// The file cannot be read, or is no state at all.
    pub fn read(path: &Path) -> Result<Option<Self>, StateError> {
        match std::fs::read(path) {
            Ok(bytes) => {
                let read = serde_json::from_slice(&bytes);
                read.or_else(|cause| Self::outdated(&bytes).ok_or(cause))
                    .map(Some)
                    .map_err(|cause| StateError::Malformed {
                        path: path.to_owned(),
                        cause,
                    })
            }
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(StateError::Io {
                path: path.to_owned(),
                cause,
            }),
        }
    }

    /// The state of another version, with a new machine.
    fn outdated(bytes: &[u8]) -> Option<Self> {
        let mut state: serde_json::Value = serde_json::from_slice(bytes).ok()?;
        let number = state["client"]["participant"].as_u64()?;
        let client = Client::new(number.try_into().ok()?);
        state["client"] = serde_json::to_value(client).ok()?;
        let saved: Self = serde_json::from_value(state).ok()?;
        Some(Self {
            is_outdated: true,
            ..saved
        })
    }

    /// Binds the state to these examples, or checks that it is bound to them. `path` is where the
    /// state is kept, for the error.
    ///
    /// # Errors
    /// [`StateError::OtherData`] if it is bound to others.
    pub fn bind(&mut self, examples: &[Labelled], path: &Path) -> Result<(), StateError> {
        let data = data_hash(examples);
        let same = self.examples == examples.len() && (self.data.is_empty() || self.data == data);
        if self.examples != 0 && !same {
            return Err(StateError::OtherData {
                path: path.to_owned(),
                then: self.examples,
                now: examples.len(),
            });
        }
        (self.examples, self.data) = (examples.len(), data);
        Ok(())
    }

    /// Replaces the file in one step, readable by its owner only, so that a crash leaves the old
    /// state or the new one.
    pub fn write(&self, path: &Path) -> Result<(), StateError> {
        let io = |cause| StateError::Io {
            path: path.to_owned(),
            cause,
        };
        let bytes = serde_json::to_vec(self).map_err(|cause| StateError::Malformed {
            path: path.to_owned(),
            cause,
        })?;
        let beside = path.with_extension("tmp");
        write_private(&beside, &bytes).map_err(io)?;
        std::fs::rename(&beside, path).map_err(io)
    }
}

/// Takes the state file at `path`, whether it exists yet or not, for this process alone.
///
/// A file beside it is locked, because the state file itself is replaced with every step.
///
/// # Errors
/// [`StateError::InUse`] if another process has it.
pub fn lock(path: &Path) -> Result<Lock, StateError> {
    let io = |cause| StateError::Io {
        path: path.to_owned(),
        cause,
    };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let file = File::create(beside).map_err(io)?;
    Lock::take(file)
        .map_err(io)?
        .ok_or_else(|| StateError::InUse {
            path: path.to_owned(),
        })
}

/// SHA-256 of a participant's examples: their inputs and labels, in order.
fn data_hash(examples: &[Labelled]) -> String {
    let one = |example: &Labelled| {
        let label = example.label as u64;
        let (first, second) = match &example.input {
            Input::Image(bytes) => (&bytes[..], &[][..]),
            Input::Text(text) => (text.first.as_bytes(), text.second.as_bytes()),
        };
        let parts = [
            &label.to_le_bytes(),
            &(first.len() as u64).to_le_bytes(),
            first,
            second,
        ];
        sha256_hex(&parts.concat())
    };
    sha256_hex(examples.iter().map(one).collect::<String>().as_bytes())
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    // The mode is for a new file; one that was left behind may have another.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic: that is how it fails.
mod tests {
    use super::*;

    fn saved(examples: usize, data: &str) -> Saved {
        Saved {
            aggregator: String::new(),
            federation: String::new(),
            token: String::new(),
            identity: String::new(),
            task: serde_json::Value::Null,
            tally: Tally::default(),
            examples,
            data: data.to_owned(),
            agreed: None,
            client: Client::new(0),
            is_outdated: false,
        }
    }

    fn images(bytes: &[u8]) -> Vec<Labelled> {
        let image = |byte: &u8| Labelled::image(vec![*byte; 3], 0);
        bytes.iter().map(image).collect()
    }

    #[test]
    fn a_state_is_bound_to_its_data() {
        let (path, mine) = (Path::new("p.json"), images(&[1, 2, 3]));
        let mut state = saved(0, "");
        state.bind(&mine, path).unwrap();
        state.bind(&mine, path).unwrap();
        let mut relabelled = mine.clone();
        relabelled[1].label = 1;
        for other in [images(&[1, 2]), images(&[1, 3, 2]), relabelled] {
            let error = state.bind(&other, path).unwrap_err();
            assert!(matches!(error, StateError::OtherData { .. }), "{error}");
        }
        // A file from before there were hashes states only their number.
        saved(3, "").bind(&mine, path).unwrap();
        assert!(saved(2, "").bind(&mine, path).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_a_state() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state.json");
        for left in ["state.json", "state.tmp"] {
            let left = home.path().join(left);
            std::fs::write(&left, "").unwrap();
            std::fs::set_permissions(&left, std::fs::Permissions::from_mode(0o644)).unwrap();
        }
        saved(1, "").write(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_state_of_another_version_begins_anew_as_the_same_participant() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state.json");
        assert!(Saved::read(&path).unwrap().is_none());
        let mut state = saved(3, "abc");
        (state.token, state.identity) = ("token".to_owned(), "key".to_owned());
        state.client = Client::new(7);
        state.write(&path).unwrap();
        let read = Saved::read(&path).unwrap().unwrap();
        assert!(!read.is_outdated);
        assert_eq!(read.client, state.client);

        // As it was before an update told whether it was sent.
        let mut old = serde_json::to_value(&state).unwrap();
        old["client"]["work"] = serde_json::json!({
            "hash": "00", "step": 1, "kind": "training", "theta": [0.5], "measured": null,
            "delta": [0.25], "offered": true,
        });
        std::fs::write(&path, old.to_string()).unwrap();
        let read = Saved::read(&path).unwrap().unwrap();
        assert!(read.is_outdated);
        assert_eq!(read.client, Client::new(7));
        assert_eq!(
            (&read.token[..], &read.identity[..], read.examples),
            ("token", "key", 3)
        );
        // Once written again, it is of this version.
        read.write(&path).unwrap();
        assert!(!Saved::read(&path).unwrap().unwrap().is_outdated);

        old["client"].as_object_mut().unwrap().remove("participant");
        for text in ["", "{}", "[]", "\0", &old.to_string()] {
            std::fs::write(&path, text).unwrap();
            let error = Saved::read(&path).map(|_| ()).unwrap_err();
            assert!(matches!(error, StateError::Malformed { .. }), "{error}");
        }
    }

    #[test]
    fn one_process_at_a_time_has_a_state_file() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state.json");
        let held = lock(&path).unwrap();
        assert!(matches!(lock(&path), Err(StateError::InUse { .. })));
        lock(&home.path().join("other.json")).unwrap();
        // Writing replaces the file, and does not release the lock.
        saved(1, "").write(&path).unwrap();
        assert!(lock(&path).is_err());
        drop(held);
        lock(&path).unwrap();
    }
}
