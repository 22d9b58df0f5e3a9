//! Requests to a model that runs in this browser, like [`super::http`] for a model at an address.
//!
//! The Worker sets the device before it checks the model; from then on nothing is sent over the
//! network.

use std::cell::RefCell;
use std::future::Future;

use model_client::transport::{Answer, Call, NoAnswer};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::http::broken;

#[wasm_bindgen]
extern "C" {
    /// A model's pool of Workers, implemented in `web/src/device/pool.ts`.
    pub type Device;

    #[wasm_bindgen(method)]
    fn ask(
        this: &Device,
        url: &str,
        header_length: Option<String>,
        body: js_sys::Uint8Array,
        cancelled: &web_sys::AbortSignal,
    ) -> js_sys::Promise;

    /// The answer of the pool.
    type Found;
    #[wasm_bindgen(method, getter, structural)]
    fn status(this: &Found) -> u16;
    #[wasm_bindgen(method, getter, structural)]
    fn headers(this: &Found) -> Vec<String>;
    #[wasm_bindgen(method, getter, structural)]
    fn body(this: &Found) -> js_sys::Uint8Array;
}

thread_local! {
    /// One Worker has one federation, and so one model.
    static DEVICE: RefCell<Option<Device>> = const { RefCell::new(None) };
}

/// The only header that has a meaning for the model.
const HEADER_LENGTH: &str = "inference-header-content-length";

/// Directs all requests from now on to a model on this device.
#[wasm_bindgen(js_name = useDevice)]
pub fn use_device(device: Device) {
    DEVICE.set(Some(device));
}

/// Whether the model runs on this device.
pub fn is_used() -> bool {
    DEVICE.with_borrow(Option::is_some)
}

struct Cancel(Option<web_sys::AbortController>);

impl Drop for Cancel {
    fn drop(&mut self) {
        if let Some(controller) = &self.0 {
            controller.abort();
        }
    }
}

/// Sends a request at once, before the future is polled. There is no time limit: what is computed
/// here ends, however slow the device is. Dropping the future withdraws what has not begun.
pub fn send(call: &Call<'_>) -> impl Future<Output = Result<Answer, NoAnswer>> + use<> {
    let cancel = Cancel(web_sys::AbortController::new().ok());
    let length = call.headers.iter().find(|(name, _)| *name == HEADER_LENGTH);
    let answer = cancel.0.as_ref().and_then(|controller| {
        DEVICE.with_borrow(|device| {
            Some(device.as_ref()?.ask(
                &call.url(),
                length.map(|(_, value)| (*value).to_owned()),
                js_sys::Uint8Array::from(call.body.unwrap_or_default()),
                &controller.signal(),
            ))
        })
    });
    async move {
        let _cancel = cancel;
        let answer = JsFuture::from(answer.ok_or_else(broken)?);
        // The pool turns everything into an answer.
        let found: Found = answer.await.map_err(|_| broken())?.unchecked_into();
        let headers = found.headers();
        let (pairs, _) = headers.as_chunks();
        let pairs = pairs.iter().cloned().map(|[name, value]| (name, value));
        Ok(Answer {
            status: found.status(),
            headers: pairs.collect(),
            body: found.body().to_vec(),
        })
    }
}
