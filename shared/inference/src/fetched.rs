//! Checks that a fetched file is the one that the task names.

use ground::hash::sha256_hex;
use model_client::ModelFile;
use thiserror::Error;

/// Why a fetched file cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FileError {
    /// A file is missing.
    #[error("{0} is missing; fetch it again")]
    Missing(String),
    /// The file differs from the one that the organiser chose.
    #[error(
        "{path} is another file than the task names: its SHA-256 is {got}, not {wanted}. The organiser must publish the \
         file that the task was written for, or a task with the new file's sha256"
    )]
    Hash {
        /// The file.
        path: String,
        /// SHA-256 of the fetched file.
        got: String,
        /// SHA-256 in the task.
        wanted: String,
    },
}

impl FileError {
    /// A code for programs: `model_missing` or `model_hash`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "model_missing",
            Self::Hash { .. } => "model_hash",
        }
    }
}

/// Compares the SHA-256 of `bytes` with the task's.
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
