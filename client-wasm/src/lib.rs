//! The client of a data owner in the browser.
//!
//! | where | what |
//! |---|---|
//! | [`gpu`] | the fused optimiser step as one WebGPU kernel |
//! | [`renderer`] | CPU or GPU, whichever is correct and faster |
//! | [`vectors`] | the test vectors, natively and inside wasm |
//! | `web` | everything that needs JavaScript: requests, timers, the training loop, the exported [`web::Session`] |
//!
//! The client's *decisions* are not made here but in [`federation::round::client`]; this crate
//! carries them out. Native builds contain only the parts without JavaScript, for tests and
//! benchmarks.

pub mod gpu;
pub mod renderer;
pub mod vectors;
#[cfg(target_family = "wasm")]
pub mod web;
