//! Requests to an image classifier: one input, `UINT8` or `FP32`.

use bytes::Bytes;
use model_client::{Layout, TensorData};
use serde_json::{Value, json};

use super::{VERSION, bad};
use crate::Classifier;
use crate::Images;
use crate::RequestError;

type RawInput = super::RawInput<TensorData>;

/// What a client must know about the model, and what its requests are checked against.
#[derive(Clone, Debug)]
pub struct ModelInfo {
    /// Name of the model.
    pub name: String,
    /// `classifier` or `clip`.
    pub kind: &'static str,
    /// Name of the input.
    pub input: String,
    /// Name of the output.
    pub output: String,
    /// Order of the input's dimensions.
    pub layout: Layout,
    /// Shape of one image in `layout`.
    pub image: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Names of the classes in order; may be empty.
    pub labels: Vec<String>,
    /// Template into which labels are put; only for pairs like CLIP.
    pub template: Option<String>,
    /// Maximum number of images in one request.
    pub max_batch: usize,
}

impl ModelInfo {
    /// Describes `classifier` under `name`.
    pub fn new(name: String, max_batch: usize, classifier: &Classifier) -> Self {
        let [_, image @ ..] = classifier.input_shape(1);
        Self {
            name,
            kind: classifier.kind(),
            input: classifier.input_name().to_owned(),
            output: classifier.output_name().to_owned(),
            layout: classifier.layout(),
            image,
            classes: classifier.classes(),
            labels: classifier.labels().to_vec(),
            template: classifier.template().map(str::to_owned),
            max_batch,
        }
    }

    /// Number of values in one image.
    pub fn image_len(&self) -> usize {
        self.image.iter().product()
    }

    /// The answer to `GET /v2/models/NAME`. `parameters` holds what the protocol has no field for:
    /// that both datatypes are taken, what black and white are in FP32, the labels.
    pub fn metadata(&self) -> Value {
        let [a, b, c] = self.image;
        json!({
            "name": self.name,
            "versions": [VERSION],
            "platform": "onnx_rten",
            "inputs": [{
                "name": self.input,
                "datatype": "UINT8",
                "shape": [json!(-1), json!(a), json!(b), json!(c)],
                "parameters": {
                    "datatypes": ["UINT8", "FP32"],
                    "layout": self.layout.name(),
                    "low": 0.0,
                    "high": 1.0,
                },
            }],
            "outputs": [{
                "name": self.output,
                "datatype": "FP32",
                "shape": [json!(-1), json!(self.classes)],
            }],
            "parameters": {
                "kind": self.kind,
                "max_batch": self.max_batch,
                "max_batch_size": self.max_batch,
                "labels": self.labels,
            },
        })
    }
}

/// An inference request that fits the model.
#[derive(Debug)]
pub struct InferRequest {
    pub id: Option<String>,
    pub images: Images,
    pub count: usize,
    /// Whether the scores are sent as bytes after the JSON.
    pub binary_output: bool,
}

/// Reads an inference request. `header_length` is the value of
/// [`HEADER_LENGTH`](super::HEADER_LENGTH), if there is one.
pub fn parse(
    model: &ModelInfo,
    body: &Bytes,
    header_length: Option<&str>,
) -> Result<InferRequest, RequestError> {
    let (raw, binary) = super::open::<TensorData>(body, header_length)?;
    let [input] = <[RawInput; 1]>::try_from(raw.inputs).map_err(|inputs| {
        bad(format!(
            "{} inputs came, but the model takes one, `{}`",
            inputs.len(),
            model.input
        ))
    })?;
    let binary_output = super::binary_output(
        &model.output,
        raw.outputs.as_deref(),
        raw.parameters.as_ref(),
    )?;
    let count = check_shape(model, &input)?;
    let images = read_images(&input, count * model.image_len(), binary)?;
    Ok(InferRequest {
        id: raw.id,
        images,
        count,
        binary_output,
    })
}

/// Returns the number of images, if name and shape fit.
fn check_shape(model: &ModelInfo, input: &RawInput) -> Result<usize, RequestError> {
    if input.name != model.input {
        return Err(bad(format!(
            "the model has no input `{}`; its input is `{}`",
            input.name, model.input
        )));
    }
    let [batch, ref image @ ..] = *input.shape else {
        return Err(wrong_shape(model, &input.shape));
    };
    if !image
        .iter()
        .copied()
        .eq(model.image.iter().map(|&side| side as u64))
    {
        return Err(wrong_shape(model, &input.shape));
    }
    match usize::try_from(batch) {
        Ok(0) => Err(bad("there must be at least one image".into())),
        Ok(batch) if batch <= model.max_batch => Ok(batch),
        _ => Err(bad(format!(
            "{batch} images are too many for one request; send at most {}",
            model.max_batch
        ))),
    }
}

fn wrong_shape(model: &ModelInfo, shape: &[u64]) -> RequestError {
    let [a, b, c] = model.image;
    bad(format!(
        "the shape of `{}` is {shape:?}, but must be [batch, {a}, {b}, {c}] ({})",
        model.input,
        model.layout.name()
    ))
}

/// Reads `len` values from where the request put them.
fn read_images(input: &RawInput, len: usize, binary: Bytes) -> Result<Images, RequestError> {
    let name = &input.name;
    let size = input.binary_size();
    if size.unwrap_or(0) != binary.len() as u64 {
        return Err(bad(format!(
            "{} bytes follow the JSON, but binary_data_size of `{name}` is {}; a binary body needs \
             the header Inference-Header-Content-Length with the length of its JSON",
            binary.len(),
            size.map_or("missing".to_owned(), |size| size.to_string()),
        )));
    }
    let wrong_length = |got: usize, unit: &str| {
        bad(format!(
            "`{name}` has {got} {unit}, but its shape {:?} needs {len} values",
            input.shape
        ))
    };
    match (input.datatype.as_str(), size, &input.data) {
        (_, Some(_), Some(_)) | (_, None, None) => Err(bad(format!(
            "`{name}` needs either `data` or `binary_data_size`"
        ))),
        ("UINT8", Some(_), None) if binary.len() == len => Ok(Images::Bytes(binary)),
        ("UINT8", None, Some(data)) if data.0.len() == len => {
            let bytes: Option<Vec<u8>> = data.0.iter().copied().map(to_byte).collect();
            let bytes = bytes.ok_or_else(|| {
                bad(format!(
                    "`{name}` is UINT8, but its data holds other numbers than 0 to 255"
                ))
            })?;
            Ok(Images::Bytes(bytes.into()))
        }
        ("FP32", Some(_), None) if binary.len() == 4 * len => {
            let floats = binary
                .as_chunks()
                .0
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes));
            check_floats(name, floats.collect())
        }
        ("FP32", None, Some(data)) if data.0.len() == len => {
            // The protocol's FP32; NaN and values out of range are refused next.
            #[allow(clippy::cast_possible_truncation)]
            check_floats(name, data.0.iter().map(|&value| value as f32).collect())
        }
        ("UINT8" | "FP32", Some(_), None) => Err(wrong_length(binary.len(), "bytes")),
        ("UINT8" | "FP32", None, Some(data)) => Err(wrong_length(data.0.len(), "values")),
        (other, ..) => Err(bad(format!(
            "`{name}` is {other}, but must be UINT8 (0 to 255) or FP32 (0 to 1)"
        ))),
    }
}

/// Converts a whole number from 0 to 255.
fn to_byte(value: f64) -> Option<u8> {
    // The comparison checks the cast.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let byte = value as u8;
    (f64::from(byte) == value).then_some(byte)
}

/// Checks that pixels are from 0 to 1, give or take rounding: a client that sends 0 to 255 should
/// get an error, not scores of white images.
fn check_floats(name: &str, floats: Vec<f32>) -> Result<Images, RequestError> {
    match floats
        .iter()
        .position(|value| !(-0.001..=1.001).contains(value))
    {
        None => Ok(Images::Floats(floats)),
        Some(at) => Err(bad(format!(
            "value {at} of `{name}` is {}, but FP32 pixels are from 0 (black) to 1 (white)",
            floats[at]
        ))),
    }
}
