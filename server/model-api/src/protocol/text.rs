//! Requests to a text model: `text`, `labels` and for sentence encoders `template`, all `BYTES`.

use std::collections::HashSet;
use std::fmt;

use actix_web::web::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::{Value, json};

use super::{VERSION, bad};
use crate::error::ApiError;
use crate::{TextKind, TextModel, TextQuery};

const TEXT: &str = "text";
const LABELS: &str = "labels";
const TEMPLATE: &str = "template";
/// The one output.
pub(crate) const LOGITS: &str = "logits";

/// Most bytes in one text. Far more than any model reads, and little enough to tokenize.
const MAX_TEXT_BYTES: usize = 64 << 10;
/// Most labels.
const MAX_LABELS: usize = 1024;
/// Most prompts: different templates times labels. Each is as much work as a text.
const MAX_PROMPTS: usize = 4096;

/// What a client must know about the model.
#[derive(Clone, Debug)]
pub(crate) struct TextInfo {
    pub name: String,
    pub kind: TextKind,
    pub max_tokens: usize,
    pub mask_token: Option<String>,
    pub max_batch: usize,
}

impl TextInfo {
    pub(crate) fn new(name: String, max_batch: usize, model: &TextModel) -> Self {
        Self {
            name,
            kind: model.kind(),
            max_tokens: model.max_tokens(),
            mask_token: model.mask_token().map(str::to_owned),
            max_batch,
        }
    }

    /// The answer to `GET /v2/models/NAME`. `parameters` say what the protocol has no field for.
    pub(crate) fn metadata(&self) -> Value {
        let input = |name: &str, optional: bool| {
            json!({
                "name": name,
                "datatype": "BYTES",
                "shape": [-1],
                "parameters": { "optional": optional },
            })
        };
        let mut inputs = vec![input(TEXT, false), input(LABELS, false)];
        let mut parameters = json!({
            "kind": self.kind.name(),
            "max_tokens": self.max_tokens,
            "max_batch": self.max_batch,
            "max_batch_size": self.max_batch,
            "max_labels": MAX_LABELS,
            "max_text_bytes": MAX_TEXT_BYTES,
        });
        match self.kind {
            TextKind::SentenceEncoder => {
                inputs.push(input(TEMPLATE, true));
                parameters["max_prompts"] = json!(MAX_PROMPTS);
            }
            TextKind::MaskedLm => {
                parameters["mask_token"] = json!(self.mask_token);
                // A word of several tokens is refused rather than scored by a part of it.
                parameters["label_words"] = json!("single-token");
            }
        }
        json!({
            "name": self.name,
            "versions": [VERSION],
            "platform": "onnx_rten",
            "inputs": inputs,
            "outputs": [{ "name": LOGITS, "datatype": "FP32", "shape": [-1, -1] }],
            "parameters": parameters,
        })
    }
}

/// An inference request of the right form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TextRequest {
    pub id: Option<String>,
    pub texts: Vec<String>,
    pub labels: Vec<String>,
    /// One for each text, or one for all.
    pub templates: Vec<String>,
    /// Whether the scores are sent as bytes behind the JSON.
    pub binary_output: bool,
}

impl TextRequest {
    /// The texts with their templates.
    pub(crate) fn queries(&self) -> Vec<TextQuery<'_>> {
        let templates = self.templates.iter().cycle();
        let pairs = self.texts.iter().zip(templates);
        pairs
            .map(|(text, template)| TextQuery { text, template })
            .collect()
    }
}

/// Reads an inference request. `header_length` is the value of [`HEADER_LENGTH`](super::HEADER_LENGTH),
/// if it came.
pub(crate) fn parse(
    model: &TextInfo,
    body: &Bytes,
    header_length: Option<&str>,
) -> Result<TextRequest, ApiError> {
    let (raw, mut binary) = super::open::<TextData>(body, header_length)?;
    let binary_output =
        super::binary_output(LOGITS, raw.outputs.as_deref(), raw.parameters.as_ref())?;
    let (mut texts, mut labels, mut templates) = (None, None, None);
    for input in raw.inputs {
        let encoder = model.kind == TextKind::SentenceEncoder;
        let (place, most) = match input.name.as_str() {
            TEXT => (&mut texts, model.max_batch),
            LABELS => (&mut labels, MAX_LABELS),
            TEMPLATE if encoder => (&mut templates, model.max_batch),
            TEMPLATE => {
                return Err(bad(format!(
                    "`{TEMPLATE}` is for sentence encoders; this model scores label words at the mask \
                     of each text: write the prompt into `{TEXT}`"
                )));
            }
            other => {
                return Err(bad(format!(
                    "the model has no input `{other}`; its inputs are `{TEXT}`, `{LABELS}`{}",
                    if encoder { " and `template`" } else { "" }
                )));
            }
        };
        if place.is_some() {
            return Err(bad(format!("the input `{}` came twice", input.name)));
        }
        *place = Some(strings(input, most, &mut binary)?);
    }
    if !binary.is_empty() {
        return Err(bad(format!(
            "{} bytes follow the last input; binary_data_size of the inputs must add up to all bytes \
             behind the JSON",
            binary.len()
        )));
    }
    let needed = |name: &str| bad(format!("the input `{name}` is missing"));
    let texts = texts.ok_or_else(|| needed(TEXT))?;
    let labels = labels.ok_or_else(|| needed(LABELS))?;
    let templates = templates.unwrap_or_else(|| vec![TextQuery::LABEL_ALONE.to_owned()]);
    if templates.len() != 1 && templates.len() != texts.len() {
        return Err(bad(format!(
            "`{TEMPLATE}` has {} elements, but must have one for all texts or one for each of the {}",
            templates.len(),
            texts.len()
        )));
    }
    let different = templates.iter().collect::<HashSet<_>>().len();
    if different * labels.len() > MAX_PROMPTS {
        return Err(bad(format!(
            "{different} different templates for {} labels are too many for one request; send at \
             most {MAX_PROMPTS} prompts",
            labels.len()
        )));
    }
    Ok(TextRequest {
        id: raw.id,
        texts,
        labels,
        templates,
        binary_output,
    })
}

/// The strings of one input, taken from its JSON or from the front of `binary`.
fn strings(
    input: super::RawInput<TextData>,
    most: usize,
    binary: &mut Bytes,
) -> Result<Vec<String>, ApiError> {
    let name = &input.name;
    if input.datatype != "BYTES" {
        return Err(bad(format!(
            "`{name}` is {}, but must be BYTES",
            input.datatype
        )));
    }
    let ([count] | [count, 1]) = *input.shape else {
        return Err(bad(format!(
            "the shape of `{name}` is {:?}, but must be [count] or [count, 1]",
            input.shape
        )));
    };
    let count = match usize::try_from(count) {
        Ok(0) => return Err(bad(format!("`{name}` is empty; send at least one"))),
        Ok(count) if count <= most => count,
        _ => {
            return Err(bad(format!(
                "{count} elements of `{name}` are too many for one request; send at most {most}"
            )));
        }
    };
    let found = match (input.binary_size(), input.data) {
        (Some(_), Some(_)) | (None, None) => {
            return Err(bad(format!(
                "`{name}` needs either `data` or `binary_data_size`"
            )));
        }
        (None, Some(data)) => data.0,
        (Some(size), None) => {
            let size = usize::try_from(size)
                .ok()
                .filter(|&size| size <= binary.len());
            let size = size.ok_or_else(|| {
                bad(format!(
                    "binary_data_size of `{name}` is more than the {} bytes that are left; a binary \
                     body needs the header Inference-Header-Content-Length with the length of its JSON",
                    binary.len()
                ))
            })?;
            elements(name, &binary.split_to(size), count)?
        }
    };
    if found.len() != count {
        return Err(bad(format!(
            "`{name}` has {} elements, but its shape says {count}",
            found.len()
        )));
    }
    match found.iter().position(|text| text.len() > MAX_TEXT_BYTES) {
        None => Ok(found),
        Some(at) => Err(bad(format!(
            "element {at} of `{name}` has {} bytes, but at most {MAX_TEXT_BYTES} are taken; cut it, the \
             model reads only its beginning anyway",
            found[at].len()
        ))),
    }
}

/// Each element is its length in 4 bytes, the lowest first, and that many bytes of UTF-8.
fn elements(name: &str, mut bytes: &[u8], count: usize) -> Result<Vec<String>, ApiError> {
    let mut found = Vec::with_capacity(count);
    while !bytes.is_empty() && found.len() <= count {
        let at = found.len();
        let short = || {
            bad(format!(
                "element {at} of `{name}` is cut off; each is its length in 4 bytes, the lowest first, \
                 and its bytes"
            ))
        };
        let (length, rest) = bytes.split_first_chunk().ok_or_else(short)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| short())?;
        let (text, rest) = rest.split_at_checked(length).ok_or_else(short)?;
        let text = std::str::from_utf8(text)
            .map_err(|_| bad(format!("element {at} of `{name}` is not UTF-8")))?;
        found.push(text.to_owned());
        bytes = rest;
    }
    Ok(found)
}

/// The strings of a JSON tensor, flat or nested like its shape.
#[derive(Debug)]
struct TextData(Vec<String>);

impl<'de> Deserialize<'de> for TextData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;

        impl<'de> Visitor<'de> for Texts {
            type Value = TextData;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("strings, or lists of strings")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<TextData, E> {
                Ok(TextData(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<TextData, A::Error> {
                let mut all = Vec::new();
                while let Some(TextData(mut texts)) = seq.next_element()? {
                    all.append(&mut texts);
                }
                Ok(TextData(all))
            }
        }

        // Depth is bounded by the JSON parser.
        deserializer.deserialize_any(Texts)
    }
}
