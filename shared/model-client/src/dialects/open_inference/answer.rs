//! Reads the scores from an inference answer.

use serde_json::Value;

use super::{HEADER_LENGTH, ModelApiError, Response, Scores};
use crate::{OutputKind, OutputSpec, TensorData, status};
use ground::text::Short;

struct Answer {
    outputs: Option<Vec<Tensor>>,
    failed: bool,
}

struct Tensor {
    name: String,
    datatype: String,
    shape: Vec<u64>,
    binary_size: Option<u64>,
    data: Option<TensorData>,
}

impl Answer {
    /// Reads the fields of an answer. The error names what does not follow the protocol.
    fn read(answer: &Value) -> Result<Self, &'static str> {
        if !answer.is_object() {
            return Err("it is not a JSON object");
        }
        let outputs = match &answer["outputs"] {
            Value::Null => None,
            Value::Array(outputs) => {
                Some(outputs.iter().map(Tensor::read).collect::<Result<_, _>>()?)
            }
            _ => return Err("`outputs` is not a list"),
        };
        Ok(Self {
            outputs,
            failed: !answer["error"].is_null(),
        })
    }
}

impl Tensor {
    fn read(tensor: &Value) -> Result<Self, &'static str> {
        let text = |key: &str| tensor[key].as_str().map(str::to_owned);
        let shape = tensor["shape"].as_array();
        let shape = shape.and_then(|shape| shape.iter().map(Value::as_u64).collect());
        let size = &tensor["parameters"]["binary_data_size"];
        let binary_size = size.as_u64();
        if binary_size.is_none() && !size.is_null() {
            return Err("`binary_data_size` is not a whole number");
        }
        let data = match &tensor["data"] {
            Value::Null => None,
            data => Some(TensorData::from_value(data).ok_or("`data` is not a list of numbers")?),
        };
        Ok(Self {
            name: text("name").ok_or("a tensor has no name")?,
            datatype: text("datatype").ok_or("a tensor has no datatype")?,
            shape: shape.ok_or("a tensor has no shape")?,
            binary_size,
            data,
        })
    }
}

/// Slack for probabilities, whose sums and roundings differ between runtimes.
const PROBABILITY_SLACK: f32 = 1e-3;

/// The scores of `count` images from a 2xx answer. `unbatched` means that the answer is about one
/// image and may lack the batch dimension.
pub(super) fn read(
    spec: &OutputSpec,
    response: &Response<'_>,
    count: usize,
    unbatched: bool,
) -> Result<Scores, ModelApiError> {
    let (answer, binary) = split(response)?;
    let Some(outputs) = answer.outputs else {
        let detail = status::detail(response.body);
        return Err(if answer.failed {
            ModelApiError::BadRequest { detail }
        } else {
            ModelApiError::NotThisProtocol {
                detail: "its JSON has no `outputs`".into(),
            }
        });
    };
    let announced = outputs.iter().try_fold(0_u64, |sum, tensor| {
        sum.checked_add(tensor.binary_size.unwrap_or(0))
    });
    if announced != Some(binary.len() as u64) {
        return Err(malformed(format!(
            "{} bytes of tensors follow the JSON, which announces {}",
            binary.len(),
            announced.map_or("too many".into(), |sum| sum.to_string()),
        )));
    }

    let mut at = 0_usize;
    for tensor in &outputs {
        // Lossless: the sum of all sizes is the length of a slice.
        let size = usize::try_from(tensor.binary_size.unwrap_or(0)).unwrap_or(usize::MAX);
        let raw = binary.get(at..at.saturating_add(size)).unwrap_or_default();
        if tensor.name == spec.name {
            let values = match (tensor.binary_size, &tensor.data) {
                (Some(_), None) => binary_values(tensor, raw)?,
                (None, Some(data)) => json_values(tensor, data)?,
                _ => {
                    return Err(malformed(
                        "a tensor needs either `data` or binary data".into(),
                    ));
                }
            };
            check_shape(spec, tensor, count, values.len(), unbatched)?;
            return check_kind(spec, Scores::new(spec.classes, values)?);
        }
        at = at.saturating_add(size);
    }
    let names: Vec<_> = outputs
        .iter()
        .map(|tensor| format!("`{}`", tensor.name))
        .collect();
    Err(ModelApiError::Disagrees {
        faults: vec![format!(
            "the task asks for the output `{}`, the model answers {}",
            spec.name,
            if names.is_empty() {
                "nothing".to_owned()
            } else {
                names.join(", ")
            },
        )],
    })
}

/// Splits a body into its JSON and the bytes behind it.
fn split<'a>(response: &Response<'a>) -> Result<(Answer, &'a [u8]), ModelApiError> {
    let body = response.body;
    if status::is_html(body) {
        return Err(ModelApiError::NotThisProtocol {
            detail: status::detail(body),
        });
    }
    match response.header(HEADER_LENGTH) {
        Some(length) => {
            let length: usize = length
                .parse()
                .map_err(|_| malformed("Inference-Header-Content-Length is no number".into()))?;
            let (json, binary) = body.split_at_checked(length).ok_or_else(|| {
                malformed(format!(
                    "Inference-Header-Content-Length is {length}, but only {} bytes came",
                    body.len()
                ))
            })?;
            Ok((parse(json)?.0, binary))
        }
        // A browser hides the header unless the server exposes it to other origins. The end of the
        // JSON object can be found without it, so the answer can still be read.
        None => {
            let (answer, end) = parse(body)?;
            let rest = &body[end..];
            let rest = if rest.trim_ascii().is_empty() {
                &[]
            } else {
                rest
            };
            Ok((answer, rest))
        }
    }
}

/// Parses the JSON object at the start of `bytes`; also returns where it ends.
fn parse(bytes: &[u8]) -> Result<(Answer, usize), ModelApiError> {
    fn first(bytes: &[u8]) -> Result<(Value, usize), String> {
        let mut stream = serde_json::Deserializer::from_slice(bytes).into_iter();
        match stream.next() {
            Some(Ok(answer)) => Ok((answer, stream.byte_offset())),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("it is empty".into()),
        }
    }
    let other = |why: &str| ModelApiError::NotThisProtocol {
        detail: format!("its answer is not an inference answer ({why})"),
    };
    let read = first(bytes).or_else(|error| {
        let clean = nulls_for_words(bytes).ok_or(error.clone())?;
        let (answer, end) = first(&clean.bytes).map_err(|_| error)?;
        Ok((answer, clean.original(end)))
    });
    let (answer, end) = read.map_err(|error: String| match bytes.trim_ascii_start().first() {
        // Other JSON, and anything that does not even begin as an object, is not damage but another
        // protocol.
        Some(byte) if *byte != b'{' => other(&error),
        _ => malformed(format!("its JSON cannot be read ({error})")),
    })?;
    Ok((Answer::read(&answer).map_err(other)?, end))
}

/// Bytes in which some words were replaced, with what it takes to find the original places.
struct Cleaned {
    bytes: Vec<u8>,
    /// For each replaced word, where it ended originally and where it ends now.
    ends: Vec<(usize, usize)>,
}

impl Cleaned {
    /// The original place of the byte that is now at `at`.
    fn original(&self, at: usize) -> usize {
        match self.ends.iter().rev().find(|(_, now)| *now <= at) {
            Some((before, now)) => before + (at - now),
            None => at,
        }
    }
}

/// Replaces the words `NaN` and `Infinity`, which servers in Python write although they are not
/// JSON, by `null`, so that the answer can be read and the place can be named. `None` if there are
/// none.
fn nulls_for_words(bytes: &[u8]) -> Option<Cleaned> {
    const WORDS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
    let mut clean = Vec::with_capacity(bytes.len());
    let (mut in_string, mut ends, mut at) = (false, Vec::new(), 0);
    while at < bytes.len() {
        let word = WORDS
            .iter()
            .find(|word| !in_string && bytes[at..].starts_with(word));
        if let Some(word) = word {
            clean.extend_from_slice(b"null");
            at += word.len();
            ends.push((at, clean.len()));
            continue;
        }
        clean.push(bytes[at]);
        match bytes[at] {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                at += 1;
                clean.extend(bytes.get(at));
            }
            _ => {}
        }
        at += 1;
    }
    (!ends.is_empty()).then_some(Cleaned { bytes: clean, ends })
}

/// The numbers of a tensor that was sent as bytes, little endian.
fn binary_values(tensor: &Tensor, raw: &[u8]) -> Result<Vec<f32>, ModelApiError> {
    let width = match tensor.datatype.as_str() {
        "FP16" => 2,
        "FP32" => 4,
        "FP64" => 8,
        _ => return Err(wrong_type(tensor)),
    };
    if !raw.len().is_multiple_of(width) {
        return Err(malformed(format!(
            "{} bytes are no whole number of {} values",
            raw.len(),
            tensor.datatype
        )));
    }
    Ok(raw
        .chunks_exact(width)
        .map(|bytes| match *bytes {
            [a, b] => half_to_f32(u16::from_le_bytes([a, b])),
            [a, b, c, d] => f32::from_le_bytes([a, b, c, d]),
            [a, b, c, d, e, f, g, h] => narrow(f64::from_le_bytes([a, b, c, d, e, f, g, h])),
            _ => f32::NAN, // not reached: the width is one of the three
        })
        .collect())
}

/// The numbers of a tensor that was sent as JSON.
fn json_values(tensor: &Tensor, data: &TensorData) -> Result<Vec<f32>, ModelApiError> {
    match tensor.datatype.as_str() {
        "FP16" | "BF16" | "FP32" | "FP64" => {
            Ok(data.0.iter().map(|&value| narrow(value)).collect())
        }
        _ => Err(wrong_type(tensor)),
    }
}

/// Narrows to single precision. A number that is too large becomes infinite and is refused later.
#[allow(clippy::cast_possible_truncation)]
fn narrow(value: f64) -> f32 {
    value as f32
}

/// Widens an IEEE 754 binary16 number.
fn half_to_f32(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f32::from(bits & 0x3ff) / 1024.0;
    sign * match exponent {
        0 => fraction * 2_f32.powi(-14),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction) * 2_f32.powi(exponent - 15),
    }
}

/// Checks that a shape is `[count, classes]`. Further dimensions of 1, as in `[count, classes, 1,
/// 1]`, are allowed.
fn check_shape(
    spec: &OutputSpec,
    tensor: &Tensor,
    count: usize,
    values: usize,
    unbatched: bool,
) -> Result<(), ModelApiError> {
    let expected = [count as u64, spec.classes as u64];
    let fits = tensor
        .shape
        .strip_prefix(&expected[usize::from(unbatched)..])
        .is_some_and(|rest| rest.iter().all(|&d| d == 1));
    if !fits {
        return Err(ModelApiError::WrongShape {
            expected: format!("{expected:?}"),
            got: format!("{:?}", tensor.shape),
        });
    }
    if values != count * spec.classes {
        return Err(malformed(format!(
            "{values} values in a tensor of shape {:?}",
            tensor.shape
        )));
    }
    Ok(())
}

/// Refuses scores that are no probabilities if the task says probabilities: logits would silently
/// give a wrong loss.
fn check_kind(spec: &OutputSpec, scores: Scores) -> Result<Scores, ModelApiError> {
    let range = -PROBABILITY_SLACK..=1.0 + PROBABILITY_SLACK;
    match scores.values().iter().find(|value| !range.contains(*value)) {
        Some(value) if spec.kind == OutputKind::Probabilities => Err(ModelApiError::Disagrees {
            faults: vec![format!(
                "the task says that `{}` holds probabilities, the model answers {}; \
                 say `kind = \"logits\"` if it answers logits",
                spec.name,
                Short((*value).into())
            )],
        }),
        _ => Ok(scores),
    }
}

fn wrong_type(tensor: &Tensor) -> ModelApiError {
    ModelApiError::Disagrees {
        faults: vec![format!(
            "the output `{}` is {}, which holds no scores (FP16, FP32 or FP64)",
            tensor.name, tensor.datatype
        )],
    }
}

fn malformed(detail: String) -> ModelApiError {
    ModelApiError::Malformed { detail }
}
