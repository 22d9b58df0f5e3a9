//! Time: the Worker's clock, sleeping, and a signal that cuts a sleep short.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Poll, Waker};

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

/// Milliseconds since the Worker began.
pub fn now() -> f64 {
    performance_now()
}

struct Timer(JsValue);

impl Drop for Timer {
    fn drop(&mut self) {
        clear_timeout(&self.0);
    }
}

/// Resolves after so many milliseconds. Dropping it takes the timer back.
pub async fn sleep(milliseconds: f64) {
    let mut timer = None;
    let promise = js_sys::Promise::new(&mut |resolve, _| {
        timer = Some(Timer(set_timeout(&resolve, milliseconds)))
    });
    // A promise that a timer resolves cannot fail.
    let _ = JsFuture::from(promise).await;
    drop(timer);
}

/// `work`, unless it takes longer.
pub async fn within<T>(milliseconds: f64, work: impl Future<Output = T>) -> Option<T> {
    first(work, sleep(milliseconds)).await.ok()
}

/// `work`, unless `other` is done before; the loser is dropped, which aborts its requests.
pub async fn first<A, B>(
    work: impl Future<Output = A>,
    other: impl Future<Output = B>,
) -> Result<A, B> {
    match select(pin!(work), pin!(other)).await {
        Either::Left((a, _)) => Ok(a),
        Either::Right((b, _)) => Err(b),
    }
}

/// A back-off of attempt 0, 1, 2, …: doubling, capped, with jitter so that many clients do not come at once.
pub fn back_off(attempt: u32, first_ms: f64, most_ms: f64) -> f64 {
    (first_ms * f64::from(2u32.saturating_pow(attempt.min(16)))).min(most_ms)
        * (0.5 + 0.5 * js_sys::Math::random())
}

/// Something happened: wakes everybody who waits.
#[derive(Default)]
pub struct Signal {
    count: Cell<u64>,
    waiting: RefCell<Vec<Waker>>,
}

impl Signal {
    /// Wakes everybody who waits now.
    pub fn raise(&self) {
        self.count.set(self.count.get() + 1);
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Resolves at the next [`raise`](Self::raise) after this call.
    pub fn wait(&self) -> impl Future<Output = ()> + '_ {
        let before = self.count.get();
        poll_fn(move |context| {
            if self.count.get() != before {
                return Poll::Ready(());
            }
            let mut waiting = self.waiting.borrow_mut();
            // Polled often while something else goes on: one waker for each task is enough.
            if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
    }
}
