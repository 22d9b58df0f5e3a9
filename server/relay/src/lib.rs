//! A relay on the loopback interface, for model APIs that refuse browsers (no CORS).
//!
//! It knows one upstream and one key. A page that was given the relay's address, which contains a
//! secret token, asks it as it would ask the model API; the relay adds the key, and answers with
//! the CORS headers that the upstream lacks. What it forwards is chosen by name (`headers.rs`); a
//! request cannot change where it forwards to (`target.rs`, `upstream.rs`); who may ask is decided
//! before anything is sent (`guard.rs`); bodies flow within limits (`bodies.rs`); and if an
//! upstream repeats the key, it is masked (`mask.rs`).
//!
//! It logs counts, sizes, statuses and times, but no address, no header and no body.

mod account;
mod bodies;
mod guard;
mod headers;
pub mod key;
pub mod listen;
mod mask;
mod refusal;
mod serve;
mod target;
pub mod upstream;

pub use guard::Origin;
pub use serve::{Relay, Settings, serve};

/// The innermost cause of a failed request: "connection refused" says more than "error sending request".
#[must_use]
pub fn cause_of(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
