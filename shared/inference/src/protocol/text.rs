//! Requests to a text model: `text`, `labels` and for sentence encoders `template`, all `BYTES`;
//! with soft prompts also `prompt_embeddings` (FP32), and `text_prompt` and `template_prompt`
//! (INT32), which assign them.

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::{Value, json};

use super::soft::SoftInputs;
use super::{VERSION, bad};
use crate::RequestError;
use crate::{SoftLimits, TextKind, TextModel, TextQuery};

const TEXT: &str = "text";
const LABELS: &str = "labels";
const TEMPLATE: &str = "template";
pub(super) const EMBEDDINGS: &str = "prompt_embeddings";
pub(super) const TEXT_PROMPT: &str = "text_prompt";
pub(super) const TEMPLATE_PROMPT: &str = "template_prompt";
/// Name of the only output.
pub const LOGITS: &str = "logits";

/// Maximum number of bytes in one text. Far more than any model reads, and little enough to
/// tokenize.
pub const MAX_TEXT_BYTES: usize = 64 << 10;
/// Maximum number of labels.
pub const MAX_LABELS: usize = 1024;
/// Maximum number of prompts: different templates times labels. Each is as much work as a text.
const MAX_PROMPTS: usize = 4096;

/// What a client must know about the model.
#[derive(Clone, Debug)]
pub struct TextInfo {
    /// Name of the model.
    pub name: String,
    /// Kind of the model.
    pub kind: TextKind,
    /// Maximum number of tokens of a text, special tokens included.
    pub max_tokens: usize,
    /// The mask token; `None` for a sentence encoder.
    pub mask_token: Option<String>,
    /// Maximum number of texts in one request.
    pub max_batch: usize,
    /// What soft prompts must look like; `None` if the model takes none.
    pub soft: Option<SoftLimits>,
}

impl TextInfo {
    /// Describes `model` under `name`.
    pub fn new(name: String, max_batch: usize, model: &TextModel) -> Self {
        Self {
            name,
            kind: model.kind(),
            max_tokens: model.max_tokens(),
            mask_token: model.mask_token().map(str::to_owned),
            max_batch,
            soft: model.soft_prompts(),
        }
    }

    /// The answer to `GET /v2/models/NAME`. `parameters` holds what the protocol has no field for.
    pub fn metadata(&self) -> Value {
        let any = |name: &str, datatype: &str, shape: &[i64], optional: bool| {
            json!({
                "name": name,
                "datatype": datatype,
                "shape": shape,
                "parameters": { "optional": optional },
            })
        };
        let input = |name: &str, optional: bool| any(name, "BYTES", &[-1], optional);
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
                // A word of several tokens is refused rather than scored by one of them.
                parameters["label_words"] = json!("single-token");
            }
        }
        if let Some(soft) = self.soft {
            let hidden = i64::try_from(soft.hidden).unwrap_or(-1);
            inputs.push(any(EMBEDDINGS, "FP32", &[-1, -1, hidden], true));
            inputs.push(any(TEXT_PROMPT, "INT32", &[-1], true));
            if self.kind == TextKind::SentenceEncoder {
                inputs.push(any(TEMPLATE_PROMPT, "INT32", &[-1], true));
            }
            parameters["soft_prompts"] = json!({
                "hidden": soft.hidden,
                "max_tokens": soft.max_tokens,
                "embedding_mean": soft.mean,
                "embedding_deviation": soft.deviation,
            });
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
#[derive(Debug, PartialEq)]
pub struct TextRequest {
    pub id: Option<String>,
    pub texts: Vec<String>,
    pub labels: Vec<String>,
    /// Templates: one for each text, or one for all.
    pub templates: Vec<String>,
    /// Soft prompts, [prompts, tokens, hidden]; may be empty.
    pub embeddings: Vec<f32>,
    /// Number of values in one soft prompt.
    pub prompt_length: usize,
    /// Index of the soft prompt before each text, or one entry for all texts.
    pub text_prompts: Vec<Option<usize>>,
    /// Index of the soft prompt before each template, or one entry for all.
    pub template_prompts: Vec<Option<usize>>,
    /// Whether the scores are sent as bytes after the JSON.
    pub binary_output: bool,
}

impl TextRequest {
    /// The texts with their templates and soft prompts.
    pub fn queries(&self) -> Vec<TextQuery<'_>> {
        let soft = |prompt: &Option<usize>| -> &[f32] {
            let range = prompt.map(|prompt| prompt * self.prompt_length);
            let range = range.map(|begin| begin..begin + self.prompt_length);
            range
                .and_then(|range| self.embeddings.get(range))
                .unwrap_or_default()
        };
        let templates = self.templates.iter().cycle();
        let softs = self.text_prompts.iter().cycle();
        let softs = softs.zip(self.template_prompts.iter().cycle());
        let each = self.texts.iter().zip(templates).zip(softs);
        each.map(|((text, template), (before, before_template))| TextQuery {
            text,
            template,
            soft_text: soft(before),
            soft_template: soft(before_template),
        })
        .collect()
    }
}

/// Reads an inference request. `header_length` is the value of
/// [`HEADER_LENGTH`](super::HEADER_LENGTH), if there is one.
pub fn parse(
    model: &TextInfo,
    body: &Bytes,
    header_length: Option<&str>,
) -> Result<TextRequest, RequestError> {
    let (raw, mut binary) = super::open::<TextData>(body, header_length)?;
    let binary_output =
        super::binary_output(LOGITS, raw.outputs.as_deref(), raw.parameters.as_ref())?;
    let (mut texts, mut labels, mut templates) = (None, None, None);
    let mut soft = SoftInputs::default();
    for input in raw.inputs {
        let encoder = model.kind == TextKind::SentenceEncoder;
        let place = match input.name.as_str() {
            EMBEDDINGS | TEXT_PROMPT | TEMPLATE_PROMPT if model.soft.is_none() => {
                return Err(bad(format!(
                    "`{}` is for models that take soft prompts, and this one does not; its metadata would say \
                     `soft_prompts`",
                    input.name
                )));
            }
            TEMPLATE | TEMPLATE_PROMPT if !encoder => {
                return Err(bad(format!(
                    "`{}` is for sentence encoders; this model scores label words at the mask \
                     of each text: write the prompt into `{TEXT}`",
                    input.name
                )));
            }
            EMBEDDINGS | TEXT_PROMPT | TEMPLATE_PROMPT => {
                soft.take(input, model.max_batch, &mut binary)?;
                continue;
            }
            TEXT => (&mut texts, model.max_batch),
            LABELS => (&mut labels, MAX_LABELS),
            TEMPLATE => (&mut templates, model.max_batch),
            other => {
                return Err(bad(format!(
                    "the model has no input `{other}`; its inputs are `{TEXT}`, `{LABELS}`{}{}",
                    if encoder { " and `template`" } else { "" },
                    if model.soft.is_some() {
                        ", and for soft prompts those that its metadata name"
                    } else {
                        ""
                    }
                )));
            }
        };
        let (place, most) = place;
        if place.is_some() {
            return Err(twice(&input.name));
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
    let mut request = TextRequest {
        id: raw.id,
        texts,
        labels,
        templates,
        embeddings: Vec::new(),
        prompt_length: 0,
        text_prompts: vec![None],
        template_prompts: vec![None],
        binary_output,
    };
    if let Some(limits) = model.soft {
        soft.put(&mut request, limits)?;
    }
    let mut prompts: Vec<_> = request.queries().iter().map(prompt_of).collect();
    prompts.sort_unstable();
    prompts.dedup();
    if prompts.len() * request.labels.len() > MAX_PROMPTS {
        return Err(bad(format!(
            "{} different templates and soft prompts for {} labels are too many for one request; send at \
             most {MAX_PROMPTS} prompts",
            prompts.len(),
            request.labels.len()
        )));
    }
    Ok(request)
}

/// What distinguishes prompts: the template, and the address of the soft prompt.
fn prompt_of<'a>(query: &TextQuery<'a>) -> (&'a str, usize) {
    let place = query.soft_template.first().map(std::ptr::from_ref);
    (query.template, place.map_or(0, |place| place.addr()))
}

pub(super) fn twice(name: &str) -> RequestError {
    bad(format!("the input `{name}` came twice"))
}

/// Reads the strings of one input, from its JSON or from the front of `binary`.
fn strings(
    input: super::RawInput<TextData>,
    most: usize,
    binary: &mut Bytes,
) -> Result<Vec<String>, RequestError> {
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
    let found = match content(&input, binary)? {
        Content::Json(TextData::Texts(texts)) => texts.clone(),
        Content::Json(TextData::Numbers(_)) => {
            return Err(bad(format!(
                "`{name}` holds numbers, but must hold strings"
            )));
        }
        Content::Binary(bytes) => elements(name, &bytes, count)?,
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

/// Where the elements of an input are.
pub(super) enum Content<'a> {
    Json(&'a TextData),
    Binary(Bytes),
}

/// Returns an input's JSON, or its bytes, taken from the front of `binary`.
pub(super) fn content<'a>(
    input: &'a super::RawInput<TextData>,
    binary: &mut Bytes,
) -> Result<Content<'a>, RequestError> {
    let name = &input.name;
    match (input.binary_size(), &input.data) {
        (Some(_), Some(_)) | (None, None) => Err(bad(format!(
            "`{name}` needs either `data` or `binary_data_size`"
        ))),
        (None, Some(data)) => Ok(Content::Json(data)),
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
            Ok(Content::Binary(binary.split_to(size)))
        }
    }
}

/// Reads elements, each of which is its length in 4 bytes (little-endian) and that many bytes of
/// UTF-8.
fn elements(name: &str, mut bytes: &[u8], count: usize) -> Result<Vec<String>, RequestError> {
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

/// The strings, or the numbers, of a JSON tensor, flat or nested like its shape.
#[derive(Debug)]
pub(super) enum TextData {
    Texts(Vec<String>),
    Numbers(Vec<f64>),
}

impl<'de> Deserialize<'de> for TextData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;

        impl<'de> Visitor<'de> for Elements {
            type Value = TextData;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("strings or numbers, or lists of only one of them")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<TextData, E> {
                Ok(TextData::Texts(vec![text.to_owned()]))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<TextData, E> {
                Ok(TextData::Numbers(vec![number]))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<TextData, E> {
                self.visit_f64(number as f64)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<TextData, E> {
                self.visit_f64(number as f64)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<TextData, A::Error> {
                let (mut texts, mut numbers) = (Vec::new(), Vec::new());
                while let Some(element) = seq.next_element()? {
                    match element {
                        TextData::Texts(mut more) => texts.append(&mut more),
                        TextData::Numbers(mut more) => numbers.append(&mut more),
                    }
                }
                match (texts.is_empty(), numbers.is_empty()) {
                    (_, true) => Ok(TextData::Texts(texts)),
                    (true, false) => Ok(TextData::Numbers(numbers)),
                    (false, false) => Err(A::Error::custom("strings and numbers are mixed")),
                }
            }
        }

        // The JSON parser bounds the depth.
        deserializer.deserialize_any(Elements)
    }
}
