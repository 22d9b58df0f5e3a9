//! The inputs of soft prompts: the prompts of a request, and which of them precedes which text and
//! template.

use bytes::Bytes;

use super::text::{
    Content, EMBEDDINGS, TEMPLATE_PROMPT, TEXT_PROMPT, TextData, TextRequest, content, twice,
};
use super::{RawInput, bad};
use crate::RequestError;
use crate::SoftLimits;

/// The inputs read so far.
#[derive(Default)]
pub(super) struct SoftInputs {
    /// Shape and values: [prompts, tokens, hidden] or [tokens, hidden].
    embeddings: Option<(Vec<u64>, Vec<f32>)>,
    texts: Option<Vec<i64>>,
    templates: Option<Vec<i64>>,
}

impl SoftInputs {
    /// Reads one of the three inputs, with at most `most` prompts or indices.
    pub(super) fn take(
        &mut self,
        input: RawInput<TextData>,
        most: usize,
        binary: &mut Bytes,
    ) -> Result<(), RequestError> {
        let name = input.name.as_str();
        let place = match name {
            EMBEDDINGS => {
                if self.embeddings.is_some() {
                    return Err(twice(name));
                }
                let numbers = numbers(&input, "FP32", binary, f32::from_le_bytes, |n| n as f32)?;
                if let [prompts, _, _] = *input.shape
                    && usize::try_from(prompts).map_or(true, |prompts| prompts > most)
                {
                    return Err(bad(format!(
                        "{prompts} soft prompts are too many for one request; send at most {most}"
                    )));
                }
                self.embeddings = Some((input.shape, numbers));
                return Ok(());
            }
            TEXT_PROMPT => &mut self.texts,
            _ => &mut self.templates,
        };
        if place.is_some() {
            return Err(twice(name));
        }
        if !matches!(*input.shape, [_] | [_, 1]) {
            return Err(bad(format!(
                "the shape of `{name}` is {:?}, but must be [count] or [count, 1]",
                input.shape
            )));
        }
        let whole = |bytes| i64::from(i32::from_le_bytes(bytes));
        // A number that is not whole is not an index, either.
        let rounded = |n: f64| if n.fract() == 0.0 { n as i64 } else { i64::MAX };
        *place = Some(numbers(&input, "INT32", binary, whole, rounded)?);
        Ok(())
    }

    /// Checks the prompts against the texts, and puts them into the request.
    pub(super) fn put(
        self,
        request: &mut TextRequest,
        limits: SoftLimits,
    ) -> Result<(), RequestError> {
        let Some((shape, embeddings)) = self.embeddings else {
            return match self.texts.or(self.templates) {
                None => Ok(()),
                Some(_) => Err(bad(format!(
                    "`{TEXT_PROMPT}` and `{TEMPLATE_PROMPT}` say whose `{EMBEDDINGS}` are, which is missing"
                ))),
            };
        };
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let (prompts, tokens, hidden) = match *shape {
            [prompts, tokens, hidden] => (size(prompts), size(tokens), size(hidden)),
            [tokens, hidden] => (1, size(tokens), size(hidden)),
            _ => (0, 0, 0),
        };
        if prompts == 0 || !(1..=limits.max_tokens).contains(&tokens) || hidden != limits.hidden {
            return Err(bad(format!(
                "the shape of `{EMBEDDINGS}` is {shape:?}, but must be [prompts, tokens, {hidden}] or [tokens, {hidden}] \
                 with 1 to {most} tokens",
                hidden = limits.hidden,
                most = limits.max_tokens,
            )));
        }
        if !embeddings.iter().all(|value| value.is_finite()) {
            return Err(bad(format!(
                "`{EMBEDDINGS}` holds a number that is not finite"
            )));
        }
        let default = (self.texts.is_none() && self.templates.is_none()).then(|| vec![0]);
        if default.is_some() && prompts > 1 {
            return Err(bad(format!(
                "there are {prompts} soft prompts; say with `{TEXT_PROMPT}` or `{TEMPLATE_PROMPT}` which of them stands \
                 before each text or template, −1 for none"
            )));
        }
        let texts = request.texts.len();
        let checked = |name: &str, indices: Option<Vec<i64>>| {
            let indices = indices.unwrap_or_else(|| vec![-1]);
            if indices.len() != 1 && indices.len() != texts {
                return Err(bad(format!(
                    "`{name}` has {} elements, but must have one for all texts or one for each of the {texts}",
                    indices.len()
                )));
            }
            let index = |at: &i64| match *at {
                -1 => Ok(None),
                at => match usize::try_from(at) {
                    Ok(at) if at < prompts => Ok(Some(at)),
                    _ => Err(bad(format!(
                        "`{name}` names the soft prompt {at}, but there are {prompts}, counted from 0; −1 is none"
                    ))),
                },
            };
            indices.iter().map(index).collect::<Result<Vec<_>, _>>()
        };
        request.text_prompts = checked(TEXT_PROMPT, self.texts.or(default))?;
        request.template_prompts = checked(TEMPLATE_PROMPT, self.templates)?;
        request.prompt_length = tokens * hidden;
        request.embeddings = embeddings;
        Ok(())
    }
}

/// Reads the numbers of an input of four-byte elements.
fn numbers<T: Copy>(
    input: &RawInput<TextData>,
    datatype: &str,
    binary: &mut Bytes,
    of_bytes: impl Fn([u8; 4]) -> T,
    of_json: impl Fn(f64) -> T,
) -> Result<Vec<T>, RequestError> {
    let name = &input.name;
    if input.datatype != datatype {
        return Err(bad(format!(
            "`{name}` is {}, but must be {datatype}",
            input.datatype
        )));
    }
    let found: Vec<T> = match content(input, binary)? {
        Content::Json(TextData::Numbers(numbers)) => numbers.iter().map(|n| of_json(*n)).collect(),
        Content::Json(TextData::Texts(_)) => {
            return Err(bad(format!("`{name}` must hold numbers")));
        }
        Content::Binary(bytes) => {
            let (elements, rest) = bytes.as_chunks::<4>();
            if !rest.is_empty() {
                return Err(bad(format!(
                    "binary_data_size of `{name}` is {}, which is no multiple of 4",
                    bytes.len()
                )));
            }
            elements.iter().map(|bytes| of_bytes(*bytes)).collect()
        }
    };
    let count = input
        .shape
        .iter()
        .try_fold(1_u64, |product, n| product.checked_mul(*n));
    if count != Some(found.len() as u64) {
        return Err(bad(format!(
            "`{name}` has {} elements, but its shape says {:?}",
            found.len(),
            input.shape
        )));
    }
    Ok(found)
}
