//! `open-inference`: the Open Inference Protocol, version 2, over HTTP, which Triton, KServe,
//! MLServer, OpenVINO Model Server and `fed-bbpt model-api` speak.
//!
//! Requests use the binary tensor data extension: a JSON header, whose length stands in
//! `Inference-Header-Content-Length`, followed by the raw bytes. This takes a third of the size of
//! JSON numbers or less. They ask for binary answers too; answers are read in both forms.
//!
//! * protocol: <https://github.com/kserve/open-inference-protocol>
//! * binary extension:
//!   <https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md>

mod answer;
mod description;
mod forms;
#[cfg(test)]
#[path = "open_inference/tests/servers.rs"]
mod servers;
#[cfg(test)]
mod tests;
mod text;

use text::OpenInferenceText;

use super::{Cure, Entry, Help, Labels, OTHER_MODEL, Sends, UNREACHABLE};
use crate::{
    Datatype, Description, Dialect, InputSpec, Layout, Method, ModelApiError, ModelSpec, Protocol,
    Request, Response, Scores, SharedEmbedder, TextDialect, escape, status,
};

use std::sync::Arc;
use tuning::wording::TextTask;

/// The dialect as the registry lists it.
pub(super) const ENTRY: Entry = Entry {
    help: HELP.for_pages(),
    sends: Sends::Tensors,
    labels: Labels::Sent,
    takes_template: true,
    answers_logarithms: false,
    counts_tokens: false,
    runs_here: false,
    read: |_, _| Arc::new(NoSettings),
};

/// Texts for people about the dialect.
pub(super) const HELP: Help = Help {
    spoken_by: "the Open Inference Protocol: fed-bbpt model-api, Triton, MLServer, OpenVINO",
    listing: "curl {url}/v2/models/{model}",
    fields: &[],
    cures: &[
        Cure {
            codes: UNREACHABLE,
            who: "fed-bbpt model-api",
            what: "Start it with",
            setting: "fed-bbpt model-api --allow-origin {page}",
            port: 8701,
        },
        Cure {
            codes: UNREACHABLE,
            who: "MLServer",
            what: "In its settings.json",
            setting: "\"cors_settings\": { \"allow_origins\": [\"{page}\"], \"allow_methods\": [\"GET\", \"POST\"], \"allow_headers\": [\"content-type\", \"authorization\", \"inference-header-content-length\"] }",
            port: 8080,
        },
        Cure {
            codes: UNREACHABLE,
            who: "OpenVINO Model Server",
            what: "Start it with",
            setting: "--allowed_origins {page} --allowed_headers content-type,authorization,inference-header-content-length",
            port: 0,
        },
        Cure {
            codes: UNREACHABLE,
            who: "Triton",
            what: "It does not let any page in (it refuses the question that browsers ask first) and has no setting to change that. Put a proxy in front of it that answers and adds the headers, or run the relay on this device and use its address as the model’s:",
            setting: "fed-bbpt relay --upstream {url} --no-key --allow-origin {page}",
            port: 8000,
        },
        Cure {
            codes: OTHER_MODEL,
            who: "The organiser",
            what: "If sizes or names differ, set model.input and model.output in the task to what the model’s own description says. Models of tables of numbers need",
            setting: "model.input = { flat = true, colour = \"grey\", datatype = \"FP32\" }",
            port: 0,
        },
        Cure {
            codes: &["model_server_error"],
            who: "MLServer",
            what: "It does not accept binary tensors. In the task, set:",
            setting: "model.input.json = true",
            port: 0,
        },
    ],
};

/// The dialect has no settings of its own: `[model.input]` and `[model.output]` say all it needs.
#[derive(Debug)]
pub(super) struct NoSettings;

impl super::Settings for NoSettings {
    fn images(&self, spec: &ModelSpec) -> Result<Box<dyn Dialect>, ModelApiError> {
        Ok(Box::new(OpenInference::new(spec.clone())))
    }

    fn texts(
        &self,
        spec: &ModelSpec,
        text: &TextTask,
        _: Option<SharedEmbedder>,
    ) -> Result<Box<dyn TextDialect>, ModelApiError> {
        Ok(Box::new(OpenInferenceText::new(spec.clone(), text.clone())))
    }

    fn takes_embeddings(&self) -> bool {
        true
    }
}

/// Lower-case name of the header that says how many bytes of the body are JSON.
const HEADER_LENGTH: &str = "inference-header-content-length";

/// The dialect, configured for one model.
struct OpenInference {
    spec: ModelSpec,
    /// `/v2/models/NAME`, escaped.
    path: String,
}

impl OpenInference {
    /// Makes the dialect. `spec` must be free of faults.
    fn new(spec: ModelSpec) -> Self {
        let path = path_of(&spec);
        Self { spec, path }
    }
}

impl Protocol for OpenInference {
    fn describe_request(&self) -> Request {
        metadata_request(&self.path)
    }

    fn check_description(&self, response: &Response<'_>) -> Result<Description, ModelApiError> {
        check_status(response, &self.spec.name)?;
        description::check(&self.spec, response.body)
    }

    fn limit_request(&self) -> Option<Request> {
        Some(config_request(&self.path))
    }

    fn limit(&self, response: &Response<'_>) -> Option<usize> {
        description::configured(response)
    }

    fn parse(&self, response: &Response<'_>, count: usize) -> Result<Scores, ModelApiError> {
        check_status(response, &self.spec.name)?;
        let unbatched = self.spec.input.sent.unbatched;
        answer::read(&self.spec.output, response, count, unbatched)
    }
}

impl Dialect for OpenInference {
    fn infer_request(&self, images: &[u8], count: usize) -> Result<Request, ModelApiError> {
        let input = &self.spec.input;
        let per_image = 3 * input.height * input.width;
        if count == 0 || count.checked_mul(per_image) != Some(images.len()) {
            return Err(ModelApiError::WrongPixels {
                count,
                per_image,
                got: images.len(),
            });
        }
        if input.sent != crate::Sent::default() {
            return forms::request(&self.spec, &self.path, images, count);
        }
        let shape = match input.layout {
            Layout::Nchw => [count, 3, input.height, input.width],
            Layout::Nhwc => [count, input.height, input.width, 3],
        };
        let bytes = images.len() * input.datatype.size();
        let quoted = |name: &str| serde_json::Value::from(name).to_string();
        // The key `binary_data` is stated twice: some servers read only the request's parameter,
        // others only the output's.
        let header = format!(
            "{{\"inputs\":[{{\"name\":{},\"shape\":[{},{},{},{}],\"datatype\":\"{}\",\"parameters\":{{\"binary_data_size\":{bytes}}}}}],\
             \"outputs\":[{{\"name\":{},\"parameters\":{{\"binary_data\":true}}}}],\
             \"parameters\":{{\"binary_data_output\":true}}}}",
            quoted(&input.name),
            shape[0],
            shape[1],
            shape[2],
            shape[3],
            input.datatype.name(),
            quoted(&self.spec.output.name),
        );
        let mut body = Vec::with_capacity(header.len() + bytes);
        body.extend_from_slice(header.as_bytes());
        let header_length = body.len();
        encode(input, images, &mut body);
        Ok(infer_request(&self.path, body, header_length))
    }
}

/// Turns a status into its error. For an unknown model servers name the model; for an unknown path
/// Triton, MLServer and KServe say "Not Found" and nothing else.
fn check_status(response: &Response<'_>, model: &str) -> Result<(), ModelApiError> {
    match status::check(response, model) {
        Err(ModelApiError::NotFound { .. }) if status::detail(response.body) == "Not Found" => {
            Err(ModelApiError::NotThisProtocol {
                detail: "it knows no path like /v2/models".to_owned(),
            })
        }
        other => other,
    }
}

/// The model's path, `/v2/models/NAME`, with its version if the task names one.
fn path_of(spec: &ModelSpec) -> String {
    let name = escape(&spec.name);
    if spec.version.is_empty() {
        format!("/v2/models/{name}")
    } else {
        format!("/v2/models/{name}/versions/{}", escape(&spec.version))
    }
}

/// The request for the description of the model at `path`.
fn metadata_request(path: &str) -> Request {
    Request {
        method: Method::Get,
        path: path.to_owned(),
        headers: vec![("accept".into(), "application/json".into())],
        body: Vec::new(),
    }
}

/// The request for the configuration of the model at `path`. Only Triton serves it, and only there
/// is the largest batch stated:
/// <https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_configuration.md>
fn config_request(path: &str) -> Request {
    metadata_request(&format!("{path}/config"))
}

/// The request for answers of the model at `path`. `body` holds a JSON header of `header_length`
/// bytes and then the tensors' bytes.
fn infer_request(path: &str, body: Vec<u8>, header_length: usize) -> Request {
    Request {
        method: Method::Post,
        path: format!("{path}/infer"),
        headers: vec![
            ("content-type".into(), "application/octet-stream".into()),
            (HEADER_LENGTH.into(), header_length.to_string()),
        ],
        body,
    }
}

/// Appends planar RGB bytes in the layout and datatype that the model takes.
fn encode(input: &InputSpec, images: &[u8], body: &mut Vec<u8>) {
    match (input.layout, input.datatype) {
        (Layout::Nchw, Datatype::Uint8) => body.extend_from_slice(images),
        (Layout::Nchw, Datatype::Fp32) => {
            let table = float_table(input);
            body.extend(images.iter().flat_map(|&byte| table[usize::from(byte)]));
        }
        (Layout::Nhwc, Datatype::Uint8) => body.extend(interleaved(input, images)),
        (Layout::Nhwc, Datatype::Fp32) => {
            let table = float_table(input);
            body.extend(interleaved(input, images).flat_map(|byte| table[usize::from(byte)]));
        }
    }
}

/// Appends the bytes of images of one channel in the datatype that the model takes.
fn encode_one_channel(input: &InputSpec, images: &[u8], body: &mut Vec<u8>) {
    match input.datatype {
        Datatype::Uint8 => body.extend_from_slice(images),
        Datatype::Fp32 => {
            let table = float_table(input);
            body.extend(images.iter().flat_map(|&byte| table[usize::from(byte)]));
        }
    }
}

/// The bytes of planar images in the order pixel by pixel, R G B.
fn interleaved<'a>(input: &InputSpec, images: &'a [u8]) -> impl Iterator<Item = u8> + 'a {
    let plane = input.height * input.width;
    images.chunks_exact(3 * plane).flat_map(move |image| {
        (0..plane).flat_map(move |at| [image[at], image[plane + at], image[2 * plane + at]])
    })
}

/// For each byte, the little-endian float that the model takes for it: `low + byte/255 · (high −
/// low)`.
fn float_table(input: &InputSpec) -> [[u8; 4]; 256] {
    std::array::from_fn(|byte| {
        // Lossless: at most 255.
        #[allow(clippy::cast_precision_loss)]
        let unit = byte as f32 / 255.0;
        (input.low + unit * (input.high - input.low)).to_le_bytes()
    })
}
