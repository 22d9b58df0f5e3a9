//! What the client and the aggregator of Fed-BBPT must agree on. No IO, no clock, no threads, no globals:
//! the same code, and the same test vectors, run natively and in wasm.
//!
//! Where to look: how an input is changed, [`generator`]; how θ is found without gradients, [`optimizer`]
//! (SPSA-GC is `optimizer/spsa_gc.rs`); what is minimised, [`objective`]; how updates become a new θ,
//! [`federation`]; who says what to whom and when, [`round`]; how sums hide their terms, [`secure_sum`]; what a
//! federation is, [`task`]; how a model API is spoken to, [`model_api`], and called well, [`calls`].

pub mod calls;
pub mod data;
pub mod fault;
pub mod federation;
pub mod generator;
pub mod image;
pub mod model_api;
pub mod objective;
pub mod optimizer;
pub mod privacy;
pub mod rng;
pub mod round;
pub mod secure_sum;
pub mod task;
pub mod text;
pub mod transcript;
