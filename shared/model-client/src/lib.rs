//! The client of model APIs. A dialect, one file for each, builds the bytes of a request and reads
//! the bytes of an answer; the [`caller::Caller`] decides what is sent, when, and how often; a
//! [`transport::Transport`] sends it.

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

/// The `[model]` section of a task file: how the model takes its inputs, and what it answers.
#[derive(Clone, Debug, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// Name of the protocol in a registry of dialects ([`dialects::registry`]).
    pub dialect: String,
    /// Address of the model API, for example `http://127.0.0.1:8701`; it may have a path prefix.
    pub url: String,
    /// The model's name at that API.
    pub name: String,
    /// What the model takes.
    pub input: InputSpec,
    /// What the model answers.
    pub output: OutputSpec,
    /// The model's version in the Open Inference Protocol; if empty, the server chooses.
    #[serde(default)]
    pub version: String,
    /// The limits within which it is called.
    #[serde(default)]
    pub calls: Calls,
    /// What calls cost, if the task file states a price.
    #[serde(default)]
    pub price: Option<Price>,
    /// The dialect with its own settings.
    #[serde(skip)]
    pub own: Own,
}

/// The image tensor: a batch of RGB images. In a task of texts only its name has a meaning, and its
/// size is 0×0 ([`tuning::wording::Tensors`]).
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
    /// Height of an image in pixels.
    pub height: usize,
    /// Width of an image in pixels.
    pub width: usize,
    /// Value of black (byte 0); FP32 only.
    #[serde(default)]
    pub low: f32,
    /// Value of white (byte 255); FP32 only.
    #[serde(default = "one")]
    pub high: f32,
    /// Further settings of how an image is sent.
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
    /// What the numbers mean: logits or probabilities.
    pub kind: OutputKind,
    /// Number of classes: scores for each input.
    pub classes: usize,
    /// Names of the classes of images, for APIs that are asked about words.
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
    /// The protocol's name of the type.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Uint8 => "UINT8",
            Self::Fp32 => "FP32",
        }
    }

    /// Number of bytes of one element.
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
    /// The layout's name in task files and on the command line.
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
    /// Path to append to [`ModelSpec::url`] (which has no slash at its end); starts with `/`.
    pub path: String,
    /// Names and values of the headers. The caller adds the API key, which only it knows.
    pub headers: Vec<(String, String)>,
    /// The body; empty for GET.
    pub body: Vec<u8>,
}

/// The HTTP methods that dialects need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The method GET.
    Get,
    /// The method POST.
    Post,
}

impl Method {
    /// The method's name in HTTP.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// An HTTP answer from the model API.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// HTTP status.
    pub status: u16,
    /// Names of the headers in lower case, and their values.
    pub headers: &'a [(String, String)],
    /// The whole body.
    pub body: &'a [u8],
}

impl<'a> Response<'a> {
    /// The value of the first header with that name, which must be in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.trim())
    }
}

/// What a model API says about a model that agrees with the task file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
pub struct Description {
    /// Maximum number of inputs in one request, if the server states it.
    pub max_batch: Option<usize>,
    /// Names of the classes in order; empty if the server does not state them.
    pub labels: Vec<String>,
    /// The runtime of the model in the server's words (`onnxruntime_onnx`, `onnx_rten`, …), or
    /// empty.
    pub platform: String,
}

/// Number of tokens that an API counted for one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens that were sent.
    pub input_tokens: u64,
    /// Tokens that were answered.
    pub output_tokens: u64,
}

/// A protocol, configured for one model: the part that is the same for images and texts.
pub trait Protocol: Send + Sync {
    /// The request for the model's description.
    fn describe_request(&self) -> Request;

    /// Reads the answer to [`describe_request`](Self::describe_request) and compares it with the
    /// task file.
    ///
    /// # Errors
    /// [`ModelApiError::Disagrees`] with every disagreement, or the error that the answer states.
    fn check_description(&self, response: &Response<'_>) -> Result<Description, ModelApiError>;

    /// The request for the maximum number of inputs in a request, which the description may leave
    /// open; `None` if no server of this protocol states it elsewhere. A caller that gets no answer
    /// does without.
    fn limit_request(&self) -> Option<Request> {
        None
    }

    /// Reads the answer to [`limit_request`](Self::limit_request); `None` from a server that has no
    /// such route.
    fn limit(&self, response: &Response<'_>) -> Option<usize> {
        let _ = response;
        None
    }

    /// Reads the answer to a question about `count` inputs: scores `[count, classes]`. Any bytes
    /// give scores or an error.
    ///
    /// # Errors
    /// The error that the answer states, or what is wrong with the answer.
    fn parse(&self, response: &Response<'_>, count: usize) -> Result<Scores, ModelApiError>;

    /// The number of tokens that an answer says it cost; `None` if it does not say.
    fn usage(&self, response: &Response<'_>) -> Option<Usage> {
        let _ = response;
        None
    }
}

/// A protocol for models of images.
pub trait Dialect: Protocol {
    /// The request for the scores of `count` images: `count × 3 × height × width` bytes, planar
    /// RGB.
    ///
    /// # Errors
    /// [`ModelApiError::WrongPixels`] if `images` has another length or `count` is 0.
    fn infer_request(&self, images: &[u8], count: usize) -> Result<Request, ModelApiError>;
}

/// A protocol for models of texts, which score the task's label words for each text.
pub trait TextDialect: Protocol {
    /// The request for the scores of the task's label words for each text.
    ///
    /// # Errors
    /// [`ModelApiError::NoEmbeddings`] if embeddings are to be sent and cannot be made.
    fn infer_request(&self, queries: &TextQueries) -> Result<Request, ModelApiError>;

    /// Two requests about the same harmless text, first as words and then as embeddings, to try a
    /// model whose prompts are sent as embeddings. `None` if the task sends none.
    ///
    /// # Errors
    /// Those of [`infer_request`](Self::infer_request).
    fn trial(&self) -> Result<Option<[Request; 2]>, ModelApiError> {
        Ok(None)
    }

    /// Reads the answer to a request of [`trial`](Self::trial). `words` is what was answered to the
    /// first, once it is known.
    ///
    /// # Errors
    /// The error that the answer states; [`ModelApiError::NoPromptEmbeds`] if the model takes no
    /// embeddings; [`ModelApiError::OtherEmbeddings`] if it answers differently to them than to the
    /// words.
    fn read_trial(
        &self,
        response: &Response<'_>,
        words: Option<&prompt_embeds::Tried>,
    ) -> Result<prompt_embeds::Tried, ModelApiError> {
        let _ = (response, words);
        Ok(prompt_embeds::Tried::default())
    }
}

/// Makes the embeddings of a model whose prompts are sent as embeddings; [`text_dialect`] takes it.
pub type SharedEmbedder = std::sync::Arc<dyn prompt_embeds::Embedder>;

/// The dialect that `spec` names, for questions about the texts of `text`. `embedder` makes
/// embeddings of texts, for tasks whose prompts are sent as embeddings ([`prompt_embeds`]).
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

/// The dialect that `spec` names, for questions about images.
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

/// Maximum side of an image in pixels; a larger one is a mistake and would only exhaust memory.
const MAX_SIDE: usize = 4096;
/// Maximum number of classes; ImageNet-21k has 21,841.
const MAX_CLASSES: usize = 1 << 20;

/// All faults of `spec`; empty if it can be used.
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

/// The faults of `spec` that do not depend on the kind of inputs.
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

/// Percent-encodes a segment of an address's path: everything but RFC 3986's unreserved characters.
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
