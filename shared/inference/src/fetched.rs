//! Whether a fetched file is the one that a task names.

use ground::hash::sha256_hex;
use model_client::ModelFile;
use thiserror::Error;

/// It is not, or did not come.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FileError {
    /// A file is missing.
    #[error("{0} is missing; fetch it again")]
    Missing(String),
    /// A file is another one than the organiser chose.
    #[error(
        "{path} is another file than the task names: its SHA-256 is {got}, not {wanted}. The organiser must publish the \
         file that the task was written for, or a task with the new file's sha256"
    )]
    Hash {
        /// The file.
        path: String,
        /// Its hash.
        got: String,
        /// The task's.
        wanted: String,
    },
}

impl FileError {
    /// For programs: `model_missing` or `model_hash`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "model_missing",
            Self::Hash { .. } => "model_hash",
        }
    }
}

/// Compares the hash of `bytes` with the task's.
pub(crate) fn check(file: &ModelFile, bytes: &[u8]) -> Result<(), FileError> {
    let got = sha256_hex(bytes);
    if got == file.sha256 {
        return Ok(());
    }
    Err(FileError::Hash {
        path: file.path.clone(),
        got,
        wanted: file.sha256.clone(),
    })
}
