//! The model provider's server: image classifiers and text models in ONNX, over HTTP in the [Open
//! Inference Protocol](https://github.com/kserve/open-inference-protocol) version 2, and in the
//! forms of Hugging Face's Inference API and of OpenAI's.
//!
//! It sees the (prompted) inputs of its callers and nothing else of a federation. [`run`] is the
//! server; [`Classifier`] and [`TextModel`] are the models alone, for callers in the same process
//! (from the crate `inference`, which browsers use too).

mod args;
mod batcher;
mod body;
mod config;
mod endpoint;
mod error;
mod faults;
mod hub;
mod huggingface;
mod keys;
mod load;
mod metrics;
mod openai;
mod picture;
mod probability;
mod registry;
mod routes;
mod server;

use inference::{protocol, text};

pub use args::{LayoutArg, ModelApiArgs, ModelArgs};
pub use config::{
    ModelApiConfig, ModelConfig, ModelSource, PRINTED_DIGITS, PRINTED_DIGITS_LABELS, Served,
};
pub use faults::ConfigFaults;
pub use inference::{
    Classifier, ClassifierOptions, ClipOptions, LoadError, PixelRange, Pixels, QueryError,
    RunError, SoftLimits, TextError, TextKind, TextLoadError, TextModel, TextOptions, TextQuery,
    TextStats,
};
pub use load::ModelError;
pub use registry::ModelFaults;
pub use server::{ServeError, run};
