//! The tokenizer and the table of input embeddings that a task needs whose soft prompts are sent as
//! whole prompts of embeddings: fetched once and checked.

use super::files::{FetchError, ModelFiles};
use federation::task::Task;
use inference::prompt_embeds::{Embeddings, EmbeddingsError, Fetched};
use model_client::SharedEmbedder;
use model_client::prompt_embeds::{Embedder, PromptEmbeds};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use tokio::sync::OnceCell;

/// Why the embeddings cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// A file cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A file is another one, or cannot be used.
    #[error(transparent)]
    Files(#[from] EmbeddingsError),
    /// Reading the files failed unexpectedly.
    #[error("the model's embeddings could not be read; fetch the files again")]
    Lost,
}

/// Embeddings that are loaded when they are first needed.
pub struct Loading {
    files: ModelFiles,
    wanted: PromptEmbeds,
    hidden: usize,
    begun: OnceCell<()>,
    loaded: Arc<OnceLock<Embeddings>>,
}

impl Loading {
    /// The embeddings for a task; `None` if it sends none.
    pub fn of(task: &Task) -> Option<Self> {
        let wanted = task.prompt_embeds()?.clone();
        Some(Self {
            files: ModelFiles::new(wanted.url.clone(), "[model.openai.prompt_embeds]"),
            wanted,
            hidden: task.hidden(),
            begun: OnceCell::new(),
            loaded: Arc::default(),
        })
    }

    /// Keeps the fetched files in `folder`, under their hashes.
    pub fn keep_in(&mut self, folder: PathBuf) {
        self.files.keep_in(folder);
    }

    /// The embedder of prompts, once [`Loading::ready`] has been awaited.
    pub fn embedder(&self) -> SharedEmbedder {
        Arc::new(Later(Arc::clone(&self.loaded)))
    }

    /// Loads the embeddings, unless that was done.
    pub async fn ready(&self) -> Result<(), TableError> {
        self.begun.get_or_try_init(|| self.load()).await.copied()
    }

    async fn load(&self) -> Result<(), TableError> {
        let mut fetched = Fetched::new(self.wanted.clone(), self.hidden);
        let add = |at, bytes| Ok::<_, TableError>(fetched.add(at, bytes)?);
        self.files.take(&self.wanted.files, add).await?;
        let loaded = tokio::task::spawn_blocking(move || fetched.load());
        let loaded = loaded.await.map_err(|_| TableError::Lost)??;
        // Set only once, because `begun` lets a single caller in.
        let _ = self.loaded.set(loaded);
        Ok(())
    }
}

struct Later(Arc<OnceLock<Embeddings>>);

impl Embedder for Later {
    fn embed(&self, text: &str, soft: &[f32]) -> Result<Vec<u8>, String> {
        match self.0.get() {
            Some(embeddings) => embeddings.embed(text, soft),
            None => Err("the model's table is not loaded yet".to_owned()),
        }
    }
}
