//! The bodies of Hugging Face's requests.

use serde::{Deserialize, Deserializer};

use super::bad;
use crate::error::ApiError;

/// The body of a request for any task. Parameters that have no meaning here are ignored, as this
/// API generally does.
#[derive(Default, Deserialize)]
pub(super) struct Request {
    pub inputs: Inputs,
    #[serde(default, deserialize_with = "or_default")]
    pub parameters: Parameters,
    // Feature extraction has its parameters at the root.
    normalize: Option<bool>,
    truncate: Option<bool>,
    truncation_direction: Option<String>,
    prompt_name: Option<String>,
    dimensions: Option<usize>,
    encoding_format: Option<String>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "`inputs` must be a text, a list of texts, or {\"source_sentence\": …, \"sentences\": […]}; images are texts in base64"
)]
pub(super) enum Inputs {
    Lone(String),
    Many(Vec<String>),
    Similar {
        source_sentence: String,
        sentences: Vec<String>,
    },
}

#[derive(Default, Deserialize)]
pub(super) struct Parameters {
    pub candidate_labels: Option<Labels>,
    pub hypothesis_template: Option<String>,
    pub multi_label: Option<bool>,
    pub targets: Option<Labels>,
    pub top_k: Option<usize>,
    pub function_to_apply: Option<String>,
}

/// Accepts null, which some clients send for what they leave out.
fn or_default<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Parameters, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Labels as a list, or as one text with commas, which older clients send.
#[derive(Deserialize)]
#[serde(untagged, expecting = "labels and targets must be a list of texts")]
pub(super) enum Labels {
    Text(String),
    List(Vec<String>),
}

impl Labels {
    /// The targets. A single text is one target, with its commas and spaces.
    pub(super) fn targets(&self) -> &[String] {
        match self {
            Self::List(list) => list,
            Self::Text(text) => std::slice::from_ref(text),
        }
    }

    pub(super) fn list(&self) -> Vec<String> {
        match self {
            Self::List(list) => list.clone(),
            Self::Text(text) => text
                .split(',')
                .map(|label| label.trim().to_owned())
                .collect(),
        }
    }
}

impl Request {
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        serde_json::from_slice(body).map_err(|error| {
            bad(format!(
                "the body is neither an image (PNG, JPEG, WebP) nor a request in JSON: {error}"
            ))
        })
    }

    /// Whether the request has parameters that only the fill-mask task has.
    pub(super) fn is_about_tokens(&self) -> bool {
        self.parameters.targets.is_some()
    }

    /// Checks the parameters of feature extraction, for embeddings of this width.
    pub(super) fn check_features(&self, width: usize) -> Result<(), ApiError> {
        if self.normalize == Some(false) {
            return Err(bad(
                "embeddings are always of length 1; leave `normalize` away",
            ));
        }
        if self.truncate == Some(false) {
            return Err(bad(
                "texts that are too long are always cut; leave `truncate` away",
            ));
        }
        if self
            .truncation_direction
            .as_deref()
            .is_some_and(|side| !side.eq_ignore_ascii_case("right"))
        {
            return Err(bad(
                "texts are cut at their right end; leave `truncation_direction` away",
            ));
        }
        if self.prompt_name.is_some() {
            return Err(bad(
                "there are no prompts of a name; put the prompt before the text",
            ));
        }
        if self
            .dimensions
            .is_some_and(|dimensions| dimensions != width)
        {
            return Err(bad(format!(
                "embeddings have {width} dimensions, and cannot be cut"
            )));
        }
        if self
            .encoding_format
            .as_deref()
            .is_some_and(|format| format != "float")
        {
            return Err(bad(
                "embeddings are answered as numbers; leave `encoding_format` away",
            ));
        }
        Ok(())
    }
}

impl Default for Inputs {
    /// The parameters of a body that is just an image.
    fn default() -> Self {
        Self::Lone(String::new())
    }
}

impl Inputs {
    /// Whether the input is a single text or image and not a list.
    pub(super) fn is_lone(&self) -> bool {
        matches!(self, Self::Lone(_))
    }

    /// The texts, one to `most` of them, each of at most `bytes` bytes.
    pub(super) fn list(
        &self,
        name: &str,
        most: usize,
        bytes: usize,
    ) -> Result<&[String], ApiError> {
        let list = match self {
            Self::Lone(text) => std::slice::from_ref(text),
            Self::Many(list) => list,
            Self::Similar { .. } => {
                return Err(bad(format!(
                    "{name} compares sentences, which is for sentence-similarity"
                )));
            }
        };
        check(name, list, most, bytes)?;
        Ok(list)
    }
}

/// Refuses an empty list, too many texts, and texts that are too long.
pub(super) fn check(
    name: &str,
    list: &[String],
    most: usize,
    bytes: usize,
) -> Result<(), ApiError> {
    if !(1..=most).contains(&list.len()) {
        return Err(bad(format!(
            "{} elements of {name} came; send from 1 to {most} in one request",
            list.len()
        )));
    }
    match list.iter().position(|text| text.len() > bytes) {
        None => Ok(()),
        Some(at) => Err(bad(format!(
            "element {at} of {name} has {} bytes, but at most {bytes} are taken",
            list[at].len()
        ))),
    }
}
