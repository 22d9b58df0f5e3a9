//! The bodies of OpenAI's requests.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{MAX_LABELS, MAX_TEXT_BYTES, bad};
use crate::error::ApiError;

/// Maximum number of alternatives, as in OpenAI's chat.
const MOST_TOP: usize = 20;

/// The settings that chat and plain completions share. Those that have no meaning for a single
/// token (`temperature`, `max_tokens`, `stop`, …) are ignored: the answer is always the likeliest
/// token.
#[derive(Deserialize)]
pub(super) struct Options {
    stream: Option<bool>,
    n: Option<usize>,
    echo: Option<bool>,
    /// vLLM's choice: the answer is one of these.
    structured_outputs: Option<Structured>,
    /// The former name in vLLM of the same choice.
    guided_choice: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Structured {
    choice: Option<Vec<String>>,
}

impl Options {
    /// Refuses settings that are not supported.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        if self.stream == Some(true) {
            return Err(bad(
                "an answer of one token is not streamed; leave `stream` away",
            ));
        }
        if self.n.is_some_and(|n| n != 1) {
            return Err(bad("there is one likeliest answer; leave `n` away"));
        }
        if self.echo == Some(true) {
            return Err(bad("the prompt is not given back; leave `echo` away"));
        }
        Ok(())
    }

    /// The labels in the request, if there are any.
    pub(super) fn choices(&self) -> Result<Option<Vec<String>>, ApiError> {
        let structured = self.structured_outputs.as_ref();
        let choices = structured
            .and_then(|structured| structured.choice.as_ref())
            .or(self.guided_choice.as_ref());
        match choices {
            None => Ok(None),
            Some(choices) if (2..=MAX_LABELS).contains(&choices.len()) => Ok(Some(choices.clone())),
            Some(choices) => Err(bad(format!(
                "{} choices came; send from 2 to {MAX_LABELS}",
                choices.len()
            ))),
        }
    }
}

/// The body of `POST /v1/chat/completions`.
#[derive(Deserialize)]
pub(super) struct Chat {
    pub messages: Vec<Message>,
    logprobs: Option<bool>,
    top_logprobs: Option<usize>,
    #[serde(flatten)]
    pub options: Options,
}

impl Chat {
    /// Number of alternatives; `None` without log-probabilities.
    pub(super) fn top(&self) -> Result<Option<usize>, ApiError> {
        match (self.logprobs, self.top_logprobs) {
            (Some(true), top) => check_top("top_logprobs", top.unwrap_or(0)).map(Some),
            (_, Some(_)) => Err(bad("top_logprobs needs logprobs: true")),
            (_, None) => Ok(None),
        }
    }
}

/// The body of `POST /v1/completions`.
#[derive(Deserialize)]
pub(super) struct Completion {
    pub prompt: Texts,
    logprobs: Option<usize>,
    #[serde(flatten)]
    pub options: Options,
}

impl Completion {
    /// Number of alternatives; `None` without log-probabilities.
    pub(super) fn top(&self) -> Result<Option<usize>, ApiError> {
        let top = self.logprobs.map(|top| check_top("logprobs", top));
        top.transpose()
    }
}

fn check_top(name: &str, top: usize) -> Result<usize, ApiError> {
    if top <= MOST_TOP {
        Ok(top)
    } else {
        Err(bad(format!(
            "{name} is {top}, but must be at most {MOST_TOP}"
        )))
    }
}

/// The body of `POST /v1/embeddings`.
#[derive(Deserialize)]
pub(super) struct Embedding {
    pub input: Texts,
    encoding_format: Option<String>,
    pub dimensions: Option<usize>,
}

impl Embedding {
    /// Whether the numbers are sent as bytes, which OpenAI's own client requests.
    pub(super) fn is_base64(&self) -> Result<bool, ApiError> {
        match self.encoding_format.as_deref() {
            None | Some("float") => Ok(false),
            Some("base64") => Ok(true),
            Some(other) => Err(bad(format!(
                "encoding_format is `{other}`, but must be float or base64"
            ))),
        }
    }
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "prompts and inputs must be a text or a list of texts; lists of tokens are not taken"
)]
pub(super) enum Texts {
    Text(String),
    List(Vec<String>),
}

impl Texts {
    /// The texts, one to `most` of them.
    pub(super) fn list(&self, most: usize) -> Result<&[String], ApiError> {
        let list = match self {
            Self::Text(text) => std::slice::from_ref(text),
            Self::List(list) => list,
        };
        if !(1..=most).contains(&list.len()) {
            return Err(bad(format!(
                "{} texts came; send from 1 to {most} in one request",
                list.len()
            )));
        }
        match list.iter().position(|text| text.len() > MAX_TEXT_BYTES) {
            None => Ok(list),
            Some(at) => Err(bad(format!(
                "text {at} has {} bytes, but at most {MAX_TEXT_BYTES} are taken",
                list[at].len()
            ))),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Message {
    content: Option<Content>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a message's content must be a text or a list of parts of the types text and image_url"
)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part {
    Text { text: String },
    ImageUrl { image_url: ImageUrl },
}

#[derive(Deserialize)]
struct ImageUrl {
    url: String,
}

impl Message {
    pub(super) fn texts(&self) -> Vec<&str> {
        match &self.content {
            None => Vec::new(),
            Some(Content::Text(text)) => vec![text],
            Some(Content::Parts(parts)) => parts
                .iter()
                .filter_map(|part| match part {
                    Part::Text { text } => Some(text.as_str()),
                    Part::ImageUrl { .. } => None,
                })
                .collect(),
        }
    }

    pub(super) fn images(&self) -> Vec<&str> {
        match &self.content {
            Some(Content::Parts(parts)) => parts
                .iter()
                .filter_map(|part| match part {
                    Part::ImageUrl { image_url } => Some(image_url.url.as_str()),
                    Part::Text { .. } => None,
                })
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// Reads the name of the model in a body.
pub(crate) fn model(body: &[u8]) -> Result<String, ApiError> {
    #[derive(Deserialize)]
    struct Named {
        model: String,
    }
    parse::<Named>(body).map(|named| named.model)
}

pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        bad(format!(
            "the request's JSON is not as it should be: {error}"
        ))
    })
}
