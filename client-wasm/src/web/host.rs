//! What the Worker does for the module: it owns the message port and the storage.

use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// The Worker's side, implemented in `web/src/worker/host.ts`.
    pub type Host;

    /// Posts a message to the page: JSON, in which `{"$bytes": i}` stands for buffer number i.
    #[wasm_bindgen(method)]
    pub fn post(this: &Host, json: &str, buffers: Vec<js_sys::Uint8ClampedArray>);

    /// Stores bytes under a key of this federation, replacing what was there.
    #[wasm_bindgen(method, catch)]
    pub async fn save(
        this: &Host,
        key: &str,
        bytes: js_sys::Uint8Array,
    ) -> Result<JsValue, JsValue>;

    /// Deletes everything that was stored for this federation.
    #[wasm_bindgen(method, catch)]
    pub async fn forget(this: &Host) -> Result<JsValue, JsValue>;
}
