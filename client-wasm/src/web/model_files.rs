//! The files that the Worker must fetch before the model of a task can be asked.

use serde_json::json;
use wasm_bindgen::prelude::*;

use super::session::Session;

#[wasm_bindgen]
impl Session {
    /// The model that must be fetched and run here, as JSON (`web/src/device/protocol.ts`,
    /// `DeviceModel`); `None` if the task's model is behind an API.
    #[wasm_bindgen(js_name = deviceModel)]
    pub fn device_model(&self) -> Option<String> {
        let owner = self.owner();
        let model = owner.task().on_device.as_ref()?;
        Some(json!({ "url": owner.task().model.url, "model": model }).to_string())
    }

    /// The files that must be fetched to make embeddings of texts, as JSON
    /// (`web/src/device/protocol.ts`, `EmbeddingsModel`); `None` if prompts are sent as words.
    #[wasm_bindgen(js_name = embeddingsModel)]
    pub fn embeddings_model(&self) -> Option<String> {
        let owner = self.owner();
        let task = owner.task();
        let wanted = task.prompt_embeds()?;
        Some(json!({ "wanted": wanted, "hidden": task.hidden() }).to_string())
    }
}
