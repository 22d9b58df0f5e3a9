//! Loads networks from ONNX files, for images and for texts alike.

use std::path::Path;

use rten::{Model, ModelOptions};

use crate::LoadError;

fn model_options() -> ModelOptions {
    let mut options = ModelOptions::with_all_ops();
    // Costs a copy of the weights, and saves repacking them in every run.
    options.prepack_weights(true);
    options
}

/// Loads an ONNX file and the files beside it that hold its weights.
pub(crate) fn load_file(path: &Path) -> Result<Model, LoadError> {
    let model = model_options().load_file(path);
    model.map_err(|error| LoadError::from_rten(&error))
}

/// Loads an ONNX file's bytes.
pub(crate) fn load_bytes(onnx: Vec<u8>) -> Result<Model, LoadError> {
    let model = model_options().load(onnx);
    model.map_err(|error| LoadError::from_rten(&error))
}
