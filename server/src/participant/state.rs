//! What `fed-bbpt join` keeps on disk between runs: who it is and where it was.

use federation::round::client::Client;
use model_client::tally::Tally;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The file's content.
#[derive(Clone, Serialize, Deserialize)]
pub struct Saved {
    /// The aggregator's origin.
    pub aggregator: String,
    /// The federation.
    pub federation: String,
    /// Proves who we are; empty if it left before it could begin, and joins anew.
    pub token: String,
    /// The public key that it joined with, in hexadecimal; empty in a file of before there were any.
    #[serde(default)]
    pub identity: String,
    /// The task as JSON.
    pub task: serde_json::Value,
    /// What calling the model has cost so far.
    #[serde(default)]
    pub tally: Tally,
    /// Its number of examples: another data set needs a fresh start.
    pub examples: usize,
    /// The machine.
    pub client: Client,
}

/// Why the state could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The disk said no.
    #[error("cannot use the state file {path}: {cause}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// Not ours.
    #[error(
        "{path} is not a state file of this program ({cause}); choose another with --state, or delete it to start afresh"
    )]
    Malformed {
        /// Where.
        path: PathBuf,
        /// Why.
        cause: serde_json::Error,
    },
}

impl Saved {
    /// Reads the file; nothing if there is none.
    pub fn read(path: &Path) -> Result<Option<Self>, StateError> {
        match std::fs::read(path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes)
                    .map(Some)
                    .map_err(|cause| StateError::Malformed {
                        path: path.to_owned(),
                        cause,
                    })
            }
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(StateError::Io {
                path: path.to_owned(),
                cause,
            }),
        }
    }

    /// Replaces the file in one step, readable by its owner alone: a crash leaves the old state or the new one.
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

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
