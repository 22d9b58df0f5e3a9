//! Files that a task names: fetched once, and kept in a folder under their hashes.

use super::body::{self, BodyError};
use super::transport::cause_of;
use ground::hash::sha256_hex;
use model_api::PRINTED_DIGITS;
use model_client::ModelFile;
use std::io::Write as _;
use std::path::PathBuf;
use tempfile::NamedTempFile;

/// No answer, or not the file.
#[derive(Debug, thiserror::Error)]
#[error(
    "{url} cannot be fetched: {cause}; check {settings} of the task, and that the file is there"
)]
pub struct FetchError {
    url: String,
    cause: String,
    settings: &'static str,
}

/// Where they stand, and where they are kept.
pub struct ModelFiles {
    url: String,
    /// Those that say so in the task.
    settings: &'static str,
    folder: Option<PathBuf>,
}

impl ModelFiles {
    /// Below `url`, which `settings` of the task have said.
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

    /// Hands all of `files` to `add`, by their numbers, which checks them: what was kept and is refused is fetched anew.
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
            // Before it is handed over, as large files are not held twice; only what is taken is kept.
            let written = self.write(&bytes);
            add(at, bytes)?;
            self.keep(file, written);
        }
        Ok(())
    }

    /// What needs no network: the embedded model, and what was fetched before.
    fn known(&self, file: &ModelFile) -> Option<Vec<u8>> {
        if file.sha256 == sha256_hex(PRINTED_DIGITS) {
            return Some(PRINTED_DIGITS.to_vec());
        }
        std::fs::read(self.place(file)?).ok()
    }

    fn place(&self, file: &ModelFile) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(&file.sha256))
    }

    /// Not under its name yet: dropped, it is gone again. Nothing without a folder.
    fn write(&self, bytes: &[u8]) -> std::io::Result<Option<NamedTempFile>> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        std::fs::create_dir_all(folder)?;
        let mut half = NamedTempFile::new_in(folder)?;
        half.write_all(bytes)?;
        Ok(Some(half))
    }

    /// What cannot be kept is fetched again next time.
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
        // Without a limit of time: models are large, and connections slow.
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
