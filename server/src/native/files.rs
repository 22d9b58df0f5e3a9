//! Files that a task names: fetched once, and kept in a folder under their hashes.

use super::body::{self, BodyError};
use super::transport::cause_of;
use ground::hash::sha256_hex;
use model_api::PRINTED_DIGITS;
use model_client::ModelFile;
use std::io::Write as _;
use std::path::PathBuf;
use tempfile::NamedTempFile;

/// A file could not be fetched.
#[derive(Debug, thiserror::Error)]
#[error(
    "{url} cannot be fetched: {cause}; check {settings} of the task, and that the file is there"
)]
pub struct FetchError {
    url: String,
    cause: String,
    settings: &'static str,
}

/// The place of a task's files, and the folder in which they are kept.
pub struct ModelFiles {
    url: String,
    /// The settings in the task that name the files.
    settings: &'static str,
    folder: Option<PathBuf>,
}

impl ModelFiles {
    /// Files below `url`, which the task's `settings` name.
    pub fn new(url: String, settings: &'static str) -> Self {
        Self {
            url,
            settings,
            folder: None,
        }
    }

    /// Keeps the files in `folder`.
    pub fn keep_in(&mut self, folder: PathBuf) {
        self.folder = Some(folder);
    }

    /// Passes all of `files`, with their numbers, to `add`, which checks them. A kept file that is
    /// refused is fetched again.
    pub async fn take<E: From<FetchError>>(
        &self,
        files: &[ModelFile],
        mut add: impl FnMut(usize, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        for (at, file) in files.iter().enumerate() {
            let known = self.known(file);
            if known.is_some_and(|known| add(at, known).is_ok()) {
                continue;
            }
            let bytes = self.fetch(file).await?;
            // Written before it is passed on, so that large files are not held twice; only what is
            // accepted is kept.
            let written = self.write(&bytes);
            add(at, bytes)?;
            self.keep(file, written);
        }
        Ok(())
    }

    /// A file that needs no network: the embedded model, or one that was fetched before.
    fn known(&self, file: &ModelFile) -> Option<Vec<u8>> {
        if file.sha256 == sha256_hex(PRINTED_DIGITS) {
            return Some(PRINTED_DIGITS.to_vec());
        }
        std::fs::read(self.place(file)?).ok()
    }

    fn place(&self, file: &ModelFile) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(&file.sha256))
    }

    /// Writes a file that has no name yet, and is deleted when dropped; `None` without a folder.
    fn write(&self, bytes: &[u8]) -> std::io::Result<Option<NamedTempFile>> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        std::fs::create_dir_all(folder)?;
        let mut half = NamedTempFile::new_in(folder)?;
        half.write_all(bytes)?;
        Ok(Some(half))
    }

    /// Gives a written file its name. What cannot be kept is fetched again next time.
    fn keep(&self, file: &ModelFile, written: std::io::Result<Option<NamedTempFile>>) {
        let kept = written.and_then(|half| match (half, self.place(file)) {
            (Some(half), Some(place)) => Ok(half.persist(place).map(drop)?),
            _ => Ok(()),
        });
        if let Err(error) = kept {
            tracing::warn!(%error, folder = ?self.folder, "a model's file cannot be kept, and will be fetched again");
        }
    }

    async fn fetch(&self, file: &ModelFile) -> Result<Vec<u8>, FetchError> {
        let url = format!("{}/{}", self.url, file.address);
        let failed = |cause: String| FetchError {
            url: url.clone(),
            cause,
            settings: self.settings,
        };
        let unreachable = |error: reqwest::Error| failed(cause_of(&error));
        // Without a time limit, because models are large and connections slow.
        let http = reqwest::Client::builder().build().map_err(unreachable)?;
        let response = http.get(&url).send().await.map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(failed(format!("it answers {}", response.status())));
        }
        let bytes = match body::read(response, body::OF_A_FILE).await {
            Ok(bytes) => bytes,
            Err(BodyError::Broken(error)) => return Err(unreachable(error)),
            Err(error @ BodyError::TooLarge { .. }) => return Err(failed(error.to_string())),
        };
        tracing::info!(%url, bytes = bytes.len(), "a model's file was fetched");
        Ok(bytes)
    }
}
