//! The Worker's clock, and sleeping.

use std::future::Future;
use std::pin::pin;

use futures::future::{Either, select};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &js_sys::Function, milliseconds: f64) -> JsValue;
    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(timer: &JsValue);
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
}

/// The time in milliseconds since the Worker began.
pub fn now() -> f64 {
    performance_now()
}

struct Timer(JsValue);

impl Drop for Timer {
    fn drop(&mut self) {
        clear_timeout(&self.0);
    }
}

/// Resolves after `milliseconds`. Dropping it cancels the timer.
pub async fn sleep(milliseconds: f64) {
    let mut timer = None;
    let promise = js_sys::Promise::new(&mut |resolve, _| {
        timer = Some(Timer(set_timeout(&resolve, milliseconds)))
    });
    // A promise that a timer resolves cannot fail.
    let _ = JsFuture::from(promise).await;
    drop(timer);
}

/// The result of `work`; `None` if it takes longer than `milliseconds`, and is dropped, which
/// aborts its requests.
pub async fn within<T>(milliseconds: f64, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), pin!(sleep(milliseconds))).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}
