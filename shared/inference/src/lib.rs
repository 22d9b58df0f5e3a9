//! Models in ONNX that answer in this process, and the Open Inference Protocol's bodies: bytes of a
//! request in, bytes of an answer out. No sockets and no threads of its own, so that it runs in a
//! browser too.
//!
//! [`Classifier`] and [`TextModel`] are the models, [`protocol`] reads requests and writes answers,
//! and [`InProcess`] is both together: a model API without HTTP. [`prompt_embeds`] is the part of a
//! language model that soft prompts for a server need.

mod classifier;
mod fetched;
mod images;
mod in_process;
pub mod on_device;
mod onnx_file;
mod parallel;
pub mod prompt_embeds;
pub mod protocol;
pub mod safetensors_header;
pub mod text;
mod torch_save;

use thiserror::Error;

pub use classifier::{
    Classifier, ClassifierOptions, ClipOptions, LoadError, PixelRange, Pixels, RunError,
};
pub use fetched::FileError;
pub use images::Images;
pub use in_process::{Answer, InProcess};
pub use text::{
    QueryError, SoftLimits, TextError, TextKind, TextLoadError, TextModel, TextOptions, TextQuery,
    TextStats,
};

/// A request that does not fit the model or the protocol: what is wrong, and what to do.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct RequestError(pub String);
