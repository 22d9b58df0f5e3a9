//! A relay on the loopback interface, for model APIs that refuse browsers (no CORS).
//!
//! It knows one upstream and one key. A page that was told the relay's address, which holds a secret token, asks it
//! as it would ask the model API; the relay puts the key on, and answers with the CORS headers that the upstream
//! lacks. What it forwards is chosen by name (`headers.rs`), where it forwards to cannot be bent (`target.rs`,
//! `upstream.rs`), who may ask is decided before anything is sent (`guard.rs`), bodies flow through it within limits
//! (`bodies.rs`), and an upstream that repeats the key is silenced (`mask.rs`).
//!
//! It logs counts, sizes, statuses and times; no address, no header, no body.

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

/// The innermost cause: "connection refused" says more than "error sending request".
fn cause_of(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
