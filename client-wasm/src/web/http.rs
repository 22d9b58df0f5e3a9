//! `fetch`, with a time limit. Dropping an unfinished request aborts it.

use std::future::Future;

use model_client::transport::{Answer, Call, NoAnswer};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::timer::within;

#[wasm_bindgen]
extern "C" {
    // A Worker, a page and Node have the same function, but web-sys knows it only as a method of
    // each.
    #[wasm_bindgen(js_name = fetch)]
    fn js_fetch(url: &str, init: &web_sys::RequestInit) -> js_sys::Promise;
}

struct Abort(Option<web_sys::AbortController>);

impl Drop for Abort {
    fn drop(&mut self) {
        if let Some(controller) = &self.0 {
            controller.abort();
        }
    }
}

/// Sends the request at once, before the future is polled, so that the caller can go on computing
/// meanwhile.
pub fn send(call: &Call<'_>) -> impl Future<Output = Result<Answer, NoAnswer>> + use<> {
    let abort = Abort(web_sys::AbortController::new().ok());
    let init = web_sys::RequestInit::new();
    init.set_method(call.method);
    init.set_credentials(web_sys::RequestCredentials::Omit);
    if call.body.is_none() {
        // Answers to POST are not kept anyway, and Chromium would send a preflight (CORS) before
        // each request again.
        init.set_cache(web_sys::RequestCache::NoStore);
    }
    // The page's address names the federation, which is no other server's business.
    init.set_referrer_policy(web_sys::ReferrerPolicy::NoReferrer);
    init.set_signal(
        abort
            .0
            .as_ref()
            .map(web_sys::AbortController::signal)
            .as_ref(),
    );
    if let Some(body) = call.body {
        init.set_body(&js_sys::Uint8Array::from(body));
    }
    let headers = js_sys::Object::new();
    for (name, value) in &call.headers {
        // Setting a property of a new object cannot fail.
        let _ = js_sys::Reflect::set(&headers, &(*name).into(), &(*value).into());
    }
    init.set_headers(&headers);
    let response = js_fetch(&call.url(), &init);
    let limit_ms = call.limit_ms;
    async move {
        let mut abort = abort;
        let received = within(limit_ms, receive(response)).await;
        if let Some(Ok(_)) = received {
            abort.0 = None;
        }
        received.unwrap_or(Err(NoAnswer::TimedOut {
            seconds: (limit_ms / 1000.0) as u32,
        }))
    }
}

async fn receive(response: js_sys::Promise) -> Result<Answer, NoAnswer> {
    // The browser gives no reason: the connection was refused, nothing is there, or CORS forbids
    // it.
    let unreachable = |_| NoAnswer::Unreachable {
        cause: "it cannot be reached (no network, or it is not running)".to_owned(),
    };
    let response = JsFuture::from(response).await.map_err(unreachable)?;
    let response: web_sys::Response = response.dyn_into().map_err(|_| broken())?;
    let mut headers = Vec::new();
    for pair in response.headers().entries().into_iter().flatten() {
        let pair: js_sys::Array = pair.unchecked_into();
        headers.extend(pair.get(0).as_string().zip(pair.get(1).as_string()));
    }
    let body = response.array_buffer().map_err(|_| broken())?;
    let body = JsFuture::from(body).await.map_err(|_| broken())?;
    Ok(Answer {
        status: response.status(),
        headers,
        body: js_sys::Uint8Array::new(&body).to_vec(),
    })
}

/// The error for a connection that broke while the answer came.
pub fn broken() -> NoAnswer {
    NoAnswer::Broken {
        cause: "the connection broke while its answer came".to_owned(),
    }
}

/// Whether any server answers at `url`, even one that does not allow this page.
pub async fn is_there(url: &str) -> bool {
    let init = web_sys::RequestInit::new();
    init.set_mode(web_sys::RequestMode::NoCors);
    init.set_credentials(web_sys::RequestCredentials::Omit);
    init.set_cache(web_sys::RequestCache::NoStore);
    let answer = within(5_000.0, JsFuture::from(js_fetch(url, &init))).await;
    matches!(answer, Some(Ok(_)))
}
