//! The model provider's server: image classifiers and text models in ONNX, over HTTP in the
//! [Open Inference Protocol](https://github.com/kserve/open-inference-protocol) version 2.
//!
//! It sees the (prompted) inputs of whoever calls it, and nothing else of a federation. [`run`] is the
//! server; [`Classifier`] and [`TextModel`] are the models alone, for callers in the same process (`inference`, which
//! browsers have too).

mod args;
mod batcher;
mod body;
mod config;
mod endpoint;
mod error;
mod metrics;
mod routes;
mod server;

use inference::{protocol, text};

pub use args::{ConfigFaults, ModelApiArgs};
pub use config::{ModelApiConfig, PRINTED_DIGITS, PRINTED_DIGITS_LABELS, Served};
pub use inference::{
    Classifier, ClassifierOptions, ClipOptions, LoadError, PixelRange, Pixels, QueryError,
    RunError, SoftLimits, TextError, TextKind, TextLoadError, TextModel, TextOptions, TextQuery,
    TextStats,
};
pub use server::{ServeError, run};
