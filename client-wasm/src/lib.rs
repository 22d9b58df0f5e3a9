//! The data owner's client in the browser.
//!
//! | where | what |
//! |---|---|
//! | [`gpu`] | the fused optimiser step as one WebGPU kernel |
//! | [`renderer`] | CPU or GPU, whichever is right and faster |
//! | [`vectors`] | the test vectors, natively and inside wasm |
//! | `web` | everything that needs JavaScript: requests, timers, the training loop, the exported [`web::Session`] |
//!
//! What the client *decides* is not here but in [`federation::round::client`]: this crate carries
//! it out. Natively only the parts without JavaScript are compiled, for tests and benchmarks.

pub mod gpu;
pub mod renderer;
pub mod vectors;
#[cfg(target_family = "wasm")]
pub mod web;
