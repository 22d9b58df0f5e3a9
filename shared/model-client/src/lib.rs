//! How a model API is spoken to. Dialects, one file for each, build the bytes of a request and read the bytes of an
//! answer; the [`caller::Caller`] decides what is sent when, and how often; a [`transport::Transport`] sends.

#![warn(missing_docs)]

pub mod address;
pub mod asking;
pub mod cache;
pub mod caller;
pub mod chat;
pub mod dialects;
mod error;
mod files;
pub mod pace;
mod picture;
mod pixel_range;
pub mod prompt_embeds;
pub mod purse;
mod read;
pub mod retry;
mod scores;
mod settings;
mod status;
pub mod tally;
mod tensor_data;
pub mod transport;
mod words;

use serde::{Deserialize, Serialize};

use ground::text::Short;

pub use tuning::query::{OutputKind, SoftQueries, TextQueries};
use tuning::wording::TextTask;

pub use dialects::{Own, on_device};
pub use error::{ModelApiError, Retry};
pub use files::ModelFile;
pub use pixel_range::PixelRange;
pub use read::{name_classes, read_model};
pub use scores::Scores;
pub use settings::{Calls, Encoding, Price, Sent};
pub use tensor_data::TensorData;

/// How the model takes its inputs and what it answers: the `[model]` section of a task file.
#[derive(Clone, Debug, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// The protocol: a name in a registry of dialects ([`dialects::registry`]).
    pub dialect: String,
    /// Where the model API lives, for example `http://127.0.0.1:8701`; a path prefix is allowed.
    pub url: String,
    /// The model's name at that API.
    pub name: String,
    /// What the model takes.
    pub input: InputSpec,
    /// What the model answers.
    pub output: OutputSpec,
    /// The model's version in the Open Inference Protocol; empty leaves it to the server.
    #[serde(default)]
    pub version: String,
    /// Within which limits it is called.
    #[serde(default)]
    pub calls: Calls,
    /// What a call costs.
    #[serde(default)]
    pub price: Option<Price>,
    /// The dialect itself, with what only it is told.
    #[serde(skip)]
    pub own: Own,
}

/// The image tensor: a batch of RGB images. Of a task of texts only its name means anything, and
/// its size is 0×0 ([`tuning::wording::Tensors`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// The tensor's name.
    pub name: String,
    /// The type of its elements.
    pub datatype: Datatype,
    /// The order of its dimensions.
    pub layout: Layout,
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
    /// What black (byte 0) is sent as; FP32 only.
    #[serde(default)]
    pub low: f32,
    /// What white (byte 255) is sent as; FP32 only.
    #[serde(default = "one")]
    pub high: f32,
    /// How an image travels otherwise.
    #[serde(default)]
    pub sent: Sent,
}

fn one() -> f32 {
    1.0
}

/// The score tensor: `[batch, classes]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[serde(deny_unknown_fields)]
pub struct OutputSpec {
    /// The tensor's name.
    pub name: String,
    /// What the numbers mean.
    pub kind: OutputKind,
    /// How many there are for each image.
    pub classes: usize,
    /// What the classes of images are called, for APIs that are asked about words.
    #[serde(default)]
    pub words: Vec<String>,
}

/// Type of the elements of the image tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
pub enum Datatype {
    /// Bytes, 0 to 255.
    #[serde(rename = "UINT8")]
    Uint8,
    /// 32-bit floats from `low` to `high`.
    #[serde(rename = "FP32")]
    Fp32,
}

impl Datatype {
    /// The protocol's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Uint8 => "UINT8",
            Self::Fp32 => "FP32",
        }
    }

    /// Bytes for each element.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::Uint8 => 1,
            Self::Fp32 => 4,
        }
    }
}

/// Order of the dimensions of the image tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// batch, channel, row, column
    Nchw,
    /// batch, row, column, channel
    Nhwc,
}

impl Layout {
    /// The name used in task files and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nchw => "nchw",
            Self::Nhwc => "nhwc",
        }
    }
}

/// An HTTP request to send to the model API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// To be appended to [`ModelSpec::url`] (without its trailing slash); starts with `/`.
    pub path: String,
    /// Names and values. Keys for access are added by the caller, who alone knows them.
    pub headers: Vec<(String, String)>,
    /// The body; empty for GET.
    pub body: Vec<u8>,
}

/// The HTTP methods that dialects need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
}

impl Method {
    /// As written in HTTP.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// An HTTP answer of the model API.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// HTTP status.
    pub status: u16,
    /// Lower-case names, and values.
    pub headers: &'a [(String, String)],
    /// The whole body.
    pub body: &'a [u8],
}

impl<'a> Response<'a> {
    /// The first header of that (lower-case) name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.trim())
    }
}

/// What a model API says about the model, once it agrees with the task file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
pub struct Description {
    /// The most images that one request may hold, if the server states it.
    pub max_batch: Option<usize>,
    /// Names of the classes in order, if the server states them; otherwise empty.
    pub labels: Vec<String>,
    /// What runs the model, as the server calls it (`onnxruntime_onnx`, `onnx_rten`, …), or empty.
    pub platform: String,
}

/// Tokens that an API counted for one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of what was sent.
    pub input_tokens: u64,
    /// Of what was answered.
    pub output_tokens: u64,
}

/// One protocol, configured for one model: what it has in common whatever the inputs are.
pub trait Protocol: Send + Sync {
    /// Asks for the model's description.
    fn describe_request(&self) -> Request;

    /// Reads the answer to [`describe_request`](Self::describe_request) and compares it with the
    /// task file.
    ///
    /// # Errors
    /// [`ModelApiError::Disagrees`] with every disagreement, or whatever the answer says.
    fn check_description(&self, response: &Response<'_>) -> Result<Description, ModelApiError>;

    /// Asks for the most inputs that a request may hold, which the description may leave open;
    /// nothing where no server of this protocol says it elsewhere. Whoever gets no answer does
    /// without.
    fn limit_request(&self) -> Option<Request> {
        None
    }

    /// Reads the answer to [`limit_request`](Self::limit_request); nothing from a server that has
    /// no such route.
    fn limit(&self, response: &Response<'_>) -> Option<usize> {
        let _ = response;
        None
    }

    /// Reads the answer to a question about `count` inputs: `[count, classes]`.
    /// Total: any bytes give scores or an error.
    ///
    /// # Errors
    /// Whatever the answer says, or what is wrong with it.
    fn parse(&self, response: &Response<'_>, count: usize) -> Result<Scores, ModelApiError>;

    /// What an answer says that it cost.
    fn usage(&self, response: &Response<'_>) -> Option<Usage> {
        let _ = response;
        None
    }
}

/// A protocol that is asked about images.
pub trait Dialect: Protocol {
    /// Asks for the scores of `count` images: `count × 3 × height × width` bytes, planar RGB.
    ///
    /// # Errors
    /// [`ModelApiError::WrongPixels`] if `images` has another length or `count` is 0.
    fn infer_request(&self, images: &[u8], count: usize) -> Result<Request, ModelApiError>;
}

/// A protocol that is asked about texts: the scores of the task's label words for each.
pub trait TextDialect: Protocol {
    /// Asks for the scores of the task's label words for each text.
    ///
    /// # Errors
    /// [`ModelApiError::NoEmbeddings`] where embeddings are to be sent, and cannot be made.
    fn infer_request(&self, queries: &TextQueries) -> Result<Request, ModelApiError>;

    /// Two questions about one harmless text, with which the model is tried where prompts are sent
    /// as embeddings: as words, and as embeddings. Nothing elsewhere.
    ///
    /// # Errors
    /// As of [`infer_request`](Self::infer_request).
    fn trial(&self) -> Result<Option<[Request; 2]>, ModelApiError> {
        Ok(None)
    }

    /// Reads an answer to one of them; `words`: what was answered to the first, once it is known.
    ///
    /// # Errors
    /// Whatever the answer says; [`ModelApiError::NoPromptEmbeds`] and
    /// [`ModelApiError::OtherEmbeddings`] where the model takes no embeddings, or answers otherwise
    /// to them than to the words.
    fn read_trial(
        &self,
        response: &Response<'_>,
        words: Option<&prompt_embeds::Tried>,
    ) -> Result<prompt_embeds::Tried, ModelApiError> {
        let _ = (response, words);
        Ok(prompt_embeds::Tried::default())
    }
}

/// The embeddings of a model whose prompts are sent as such, as [`text_dialect`] takes them.
pub type SharedEmbedder = std::sync::Arc<dyn prompt_embeds::Embedder>;

/// The dialect that `spec` names, ready to be asked about the texts of `text`. `embedder`: what
/// makes embeddings of texts, where prompts are sent as such ([`prompt_embeds`]).
///
/// # Errors
/// [`ModelApiError::InvalidSpec`] with every fault of `spec`.
pub fn text_dialect(
    spec: &ModelSpec,
    text: &TextTask,
    embedder: Option<SharedEmbedder>,
) -> Result<Box<dyn TextDialect>, ModelApiError> {
    let faults = call_faults(spec);
    if !faults.is_empty() {
        return Err(ModelApiError::InvalidSpec { faults });
    }
    spec.own.settings().texts(spec, text, embedder)
}

/// The dialect that `spec` names, ready for use.
///
/// # Errors
/// [`ModelApiError::InvalidSpec`] with every fault of `spec`.
pub fn dialect(spec: &ModelSpec) -> Result<Box<dyn Dialect>, ModelApiError> {
    let faults = spec_faults(spec);
    if !faults.is_empty() {
        return Err(ModelApiError::InvalidSpec { faults });
    }
    spec.own.settings().images(spec)
}

/// Largest side of an image; larger ones are a mistake and would only exhaust memory.
const MAX_SIDE: usize = 4096;
/// Largest number of classes; ImageNet-21k has 21,841.
const MAX_CLASSES: usize = 1 << 20;

/// Everything that is wrong with `spec`; empty if it can be used.
#[must_use]
pub fn spec_faults(spec: &ModelSpec) -> Vec<String> {
    let mut faults = call_faults(spec);
    let mut check = |good: bool, fault: String| {
        if !good {
            faults.push(fault);
        }
    };
    let input = &spec.input;
    for (field, side) in [("height", input.height), ("width", input.width)] {
        check(
            (1..=MAX_SIDE).contains(&side),
            format!("input.{field} is {side}, but must be from 1 to {MAX_SIDE}"),
        );
    }
    check(
        input.low.is_finite() && input.high.is_finite() && input.low != input.high,
        format!(
            "input.low is {} and input.high is {}, but they must be two different finite numbers",
            Short(input.low.into()),
            Short(input.high.into())
        ),
    );
    faults
}

/// What is wrong with `spec` whatever its inputs are.
fn call_faults(spec: &ModelSpec) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |good: bool, fault: String| {
        if !good {
            faults.push(fault);
        }
    };
    let ModelSpec {
        dialect,
        url,
        name,
        input,
        output,
        own,
        ..
    } = spec;
    check(
        *dialect == own.name(),
        format!(
            "dialect is `{dialect}`, but its settings are those of `{}`",
            own.name()
        ),
    );
    check(
        output.words.is_empty() || output.words.len() == output.classes,
        format!(
            "output.words holds {}, but there are {} classes",
            output.words.len(),
            output.classes
        ),
    );
    check(
        ["http://", "https://"].iter().any(|scheme| {
            url.strip_prefix(scheme)
                .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        }),
        format!("url is `{url}`, but must be like http://127.0.0.1:8701 or https://host/path"),
    );
    check(
        !url.contains(['?', '#']) && !url.contains(char::is_whitespace),
        format!("url is `{url}`, but must have no query, fragment or space"),
    );
    check(!name.is_empty(), "name is empty".into());
    check(!input.name.is_empty(), "input.name is empty".into());
    check(!output.name.is_empty(), "output.name is empty".into());
    check(
        (1..=MAX_CLASSES).contains(&output.classes),
        format!(
            "output.classes is {}, but must be from 1 to {MAX_CLASSES}",
            output.classes
        ),
    );
    faults
}

/// Percent-encodes a segment of an address's path: all but RFC 3986's unreserved characters.
pub fn escape(segment: &str) -> String {
    let mut escaped = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_says_all_its_faults_at_once() {
        let spec = ModelSpec {
            dialect: "smoke-signals".into(),
            url: "ftp://x y".into(),
            name: String::new(),
            input: InputSpec {
                name: String::new(),
                datatype: Datatype::Uint8,
                layout: Layout::Nchw,
                height: 0,
                width: 1 << 20,
                low: f32::NAN,
                high: 1.0,
                sent: Sent::default(),
            },
            output: OutputSpec {
                name: String::new(),
                kind: OutputKind::Logits,
                classes: 0,
                words: Vec::new(),
            },
            version: String::new(),
            calls: Calls::default(),
            price: None,
            own: Own::default(),
        };
        let Err(ModelApiError::InvalidSpec { faults }) = dialect(&spec) else {
            panic!("accepted");
        };
        assert_eq!(faults.len(), 10, "{faults:#?}");
    }
}
