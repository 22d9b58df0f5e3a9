//! The bodies of the Open Inference Protocol, version 2, with the binary tensor data extension:
//! bytes in, checked inputs out; scores in, bytes out. No IO.
//!
//! * <https://github.com/kserve/open-inference-protocol>
//! *
//!   <https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md>

mod answer;
mod image;
mod soft;
#[cfg(test)]
mod tests;
mod text;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::RequestError;

pub use answer::{AnswerHead, answer};
pub use image::{ModelInfo, parse as parse_images};
pub use text::{LOGITS, MAX_LABELS, MAX_TEXT_BYTES, TextInfo, parse as parse_texts};

/// Name of the header with the number of bytes of a body that are JSON; the rest are raw tensors.
pub const HEADER_LENGTH: &str = "inference-header-content-length";

/// The only version of a model.
pub const VERSION: &str = "1";

/// A request whose inputs hold data of the type `D`.
#[derive(Deserialize)]
struct RawRequest<D> {
    id: Option<String>,
    inputs: Vec<RawInput<D>>,
    outputs: Option<Vec<RawOutput>>,
    parameters: Option<RawParameters>,
}

#[derive(Deserialize)]
struct RawInput<D> {
    name: String,
    shape: Vec<u64>,
    datatype: String,
    parameters: Option<RawParameters>,
    data: Option<D>,
}

impl<D> RawInput<D> {
    fn binary_size(&self) -> Option<u64> {
        self.parameters
            .as_ref()
            .and_then(|parameters| parameters.binary_data_size)
    }
}

#[derive(Deserialize)]
struct RawOutput {
    name: String,
    parameters: Option<RawParameters>,
}

/// The parameters that have a meaning here; all others are allowed and ignored.
#[derive(Default, Deserialize)]
struct RawParameters {
    binary_data_size: Option<u64>,
    binary_data: Option<bool>,
    binary_data_output: Option<bool>,
    classification: Option<Value>,
}

/// Splits a body into its JSON and the bytes after it. `header_length` is the value of
/// [`HEADER_LENGTH`], if there is one.
fn open<D: DeserializeOwned>(
    body: &Bytes,
    header_length: Option<&str>,
) -> Result<(RawRequest<D>, Bytes), RequestError> {
    let json_length = match header_length {
        None => body.len(),
        Some(text) => text
            .trim()
            .parse()
            .ok()
            .filter(|&length| length <= body.len())
            .ok_or_else(|| {
                bad(format!(
                    "Inference-Header-Content-Length is `{text}`, but must be a number up to the \
                     body's {} bytes",
                    body.len()
                ))
            })?,
    };
    let raw = serde_json::from_slice(&body[..json_length]).map_err(|error| {
        bad(format!(
            "the request's JSON is not an inference request: {error}"
        ))
    })?;
    Ok((raw, body.slice(json_length..)))
}

/// Returns whether the scores are requested as bytes; refuses outputs that do not exist.
fn binary_output(
    wanted: &str,
    outputs: Option<&[RawOutput]>,
    parameters: Option<&RawParameters>,
) -> Result<bool, RequestError> {
    let mut binary = parameters
        .and_then(|all| all.binary_data_output)
        .unwrap_or(false);
    for output in outputs.unwrap_or_default() {
        if output.name != wanted {
            return Err(bad(format!(
                "the model has no output `{}`; its output is `{wanted}`",
                output.name
            )));
        }
        if let Some(parameters) = &output.parameters {
            if parameters.classification.is_some() {
                return Err(bad(
                    "the classification extension is not supported; ask for the scores and sort them"
                        .into(),
                ));
            }
            binary = parameters.binary_data.unwrap_or(binary);
        }
    }
    Ok(binary)
}

fn bad(text: String) -> RequestError {
    RequestError(text)
}
