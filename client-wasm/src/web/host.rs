//! What the Worker does for us: it owns the message port and the storage.

use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// Implemented in `web/src/worker/host.ts`.
    pub type Host;

    /// A message to the page: JSON, in which `{"$bytes": i}` stands for the i-th buffer.
    #[wasm_bindgen(method)]
    pub fn post(this: &Host, json: &str, buffers: Vec<js_sys::Uint8ClampedArray>);

    /// Keeps bytes under a key of this federation, replacing what was there.
    #[wasm_bindgen(method, catch)]
    pub async fn save(
        this: &Host,
        key: &str,
        bytes: js_sys::Uint8Array,
    ) -> Result<JsValue, JsValue>;

    /// Forgets all that was saved of this federation.
    #[wasm_bindgen(method, catch)]
    pub async fn forget(this: &Host) -> Result<JsValue, JsValue>;
}
