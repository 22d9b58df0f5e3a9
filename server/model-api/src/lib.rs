//! The model provider's server: any image classifier in ONNX, over HTTP in the
//! [Open Inference Protocol](https://github.com/kserve/open-inference-protocol) version 2.
//!
//! It sees the (prompted) images of whoever calls it, and nothing else of a federation. [`run`] is the
//! server; [`Classifier`] is the model alone, for callers in the same process.

mod args;
mod batcher;
mod body;
mod classifier;
mod config;
mod error;
mod metrics;
mod protocol;
mod routes;
mod server;

pub use args::{ConfigFaults, ModelApiArgs};
pub use classifier::{Classifier, ClassifierOptions, LoadError, PixelRange, Pixels, RunError};
pub use config::{ModelApiConfig, PRINTED_DIGITS, PRINTED_DIGITS_LABELS};
pub use server::{ServeError, run};
