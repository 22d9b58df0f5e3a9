//! Prompts that are sent as embeddings (`model_client::prompt_embeds`). The code that makes
//! embeddings of texts is in the module of models on the device. The Worker loads that as well, and
//! hands it over before it checks the model.

use std::cell::RefCell;
use std::sync::Arc;

use federation::task::Task;
use model_client::SharedEmbedder;
use model_client::prompt_embeds::Embedder;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// The class `Embeddings` of the other module.
    pub type Embeddings;

    #[wasm_bindgen(method, catch)]
    fn embed(this: &Embeddings, text: &str, soft: &[f32]) -> Result<Vec<u8>, JsValue>;
}

thread_local! {
    /// One Worker has one federation, and so one model.
    static LOADED: RefCell<Option<Embeddings>> = const { RefCell::new(None) };
}

/// Enables embeddings of texts from now on.
#[wasm_bindgen(js_name = useEmbeddings)]
pub fn use_embeddings(embeddings: Embeddings) {
    LOADED.set(Some(embeddings));
}

/// The embedder for the dialect of a task whose prompts are sent as embeddings; `None` for others.
pub fn embedder(task: &Task) -> Option<SharedEmbedder> {
    task.prompt_embeds()
        .map(|_| Arc::new(Here) as SharedEmbedder)
}

/// The embedder that this Worker has loaded.
struct Here;

impl Embedder for Here {
    fn embed(&self, text: &str, soft: &[f32]) -> Result<Vec<u8>, String> {
        LOADED.with_borrow(|loaded| {
            let loaded = loaded.as_ref();
            let loaded = loaded.ok_or("the model's table is not loaded yet")?;
            let words = |error: JsValue| match error.dyn_into::<js_sys::Error>() {
                Ok(error) => String::from(error.message()),
                Err(_) => "the other module failed".to_owned(),
            };
            loaded.embed(text, soft).map_err(words)
        })
    }
}
