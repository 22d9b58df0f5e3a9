//! Compares a model's metadata with the task file.

use serde::Deserialize;
use serde_json::Value;

use super::super::{Datatype, Description, InputSpec, Layout, ModelSpec};
use super::{ModelApiError, status};

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    platform: String,
    inputs: Option<Vec<Tensor>>,
    outputs: Option<Vec<Tensor>>,
    #[serde(default)]
    parameters: ModelParameters,
}

/// `fed-bbpt model-api` states these; the protocol leaves `parameters` to the server.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ModelParameters {
    max_batch_size: Value,
    labels: Value,
}

#[derive(Deserialize)]
struct Tensor {
    name: String,
    datatype: String,
    /// Negative for dimensions of any size.
    shape: Vec<i64>,
    #[serde(default)]
    parameters: TensorParameters,
}

/// Likewise an addition of `fed-bbpt model-api`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TensorParameters {
    /// Every type that is taken, not only the preferred one.
    datatypes: Value,
    /// What black and white are for FP32.
    low: Value,
    high: Value,
}

/// Reads a 2xx answer. All disagreements are collected, so that one look at them is enough.
pub(super) fn check(spec: &ModelSpec, body: &[u8]) -> Result<Description, ModelApiError> {
    if status::is_html(body) {
        return Err(ModelApiError::NotThisProtocol {
            detail: status::detail(body),
        });
    }
    let metadata: Metadata =
        serde_json::from_slice(body).map_err(|error| ModelApiError::NotThisProtocol {
            detail: format!("it describes no model ({error})"),
        })?;
    let (Some(inputs), Some(outputs)) = (&metadata.inputs, &metadata.outputs) else {
        let detail = "its description of the model has no `inputs` or no `outputs`".into();
        return Err(ModelApiError::NotThisProtocol { detail });
    };

    let mut faults = Vec::new();
    let mut max_batch = number(&metadata.parameters.max_batch_size).filter(|&limit| limit > 0);
    match inputs.iter().find(|tensor| tensor.name == spec.input.name) {
        None => faults.push(missing("input", &spec.input.name, inputs)),
        Some(tensor) => {
            check_type(&spec.input, tensor, &mut faults);
            check_image_shape(&spec.input, tensor, &mut max_batch, &mut faults);
        }
    }
    for other in inputs
        .iter()
        .filter(|tensor| tensor.name != spec.input.name)
    {
        faults.push(format!(
            "the model also needs an input `{}`, which cannot be given",
            other.name
        ));
    }
    match outputs
        .iter()
        .find(|tensor| tensor.name == spec.output.name)
    {
        None => faults.push(missing("output", &spec.output.name, outputs)),
        Some(tensor) => check_classes(spec.output.classes, tensor, &mut faults),
    }
    let labels = strings(&metadata.parameters.labels);
    if !labels.is_empty() && labels.len() != spec.output.classes {
        faults.push(format!(
            "the task says {} classes, the model names {}",
            spec.output.classes,
            labels.len()
        ));
    }
    if faults.is_empty() {
        Ok(Description {
            max_batch,
            labels,
            platform: metadata.platform,
        })
    } else {
        Err(ModelApiError::Disagrees { faults })
    }
}

fn check_type(spec: &InputSpec, tensor: &Tensor, faults: &mut Vec<String>) {
    let wanted = spec.datatype.name();
    let accepted = strings(&tensor.parameters.datatypes);
    if tensor.datatype != wanted && !accepted.iter().any(|accepted| accepted == wanted) {
        faults.push(format!(
            "the task sends `{}` as {wanted}, the model takes {}",
            tensor.name, tensor.datatype
        ));
    }
    if spec.datatype == Datatype::Fp32 {
        for (field, said, stated) in [
            ("low", spec.low, &tensor.parameters.low),
            ("high", spec.high, &tensor.parameters.high),
        ] {
            if let Some(stated) = stated.as_f64()
                && (stated - f64::from(said)).abs() > 1e-6
            {
                faults.push(format!(
                    "the task says input.{field} = {said}, the model {stated}"
                ));
            }
        }
    }
}

fn check_image_shape(
    spec: &InputSpec,
    tensor: &Tensor,
    max_batch: &mut Option<usize>,
    faults: &mut Vec<String>,
) {
    let image = match spec.layout {
        Layout::Nchw => [3, spec.height, spec.width],
        Layout::Nhwc => [spec.height, spec.width, 3],
    };
    let [batch, rest @ ..] = tensor.shape.as_slice() else {
        faults.push(format!(
            "the input `{}` is a single number, not an image",
            tensor.name
        ));
        return;
    };
    let fits = rest.len() == 3
        && rest
            .iter()
            .zip(image)
            .all(|(&stated, said)| stated < 0 || stated as u64 == said as u64);
    if !fits {
        faults.push(format!(
            "the task sends `{}` as [batch, {}, {}, {}] ({}), the model takes {:?}",
            tensor.name,
            image[0],
            image[1],
            image[2],
            spec.layout.name(),
            tensor.shape,
        ));
        return;
    }
    match usize::try_from(*batch) {
        Ok(1) => *max_batch = Some(1),
        Ok(exact) => faults.push(format!(
            "the model takes only batches of exactly {exact} images; export it with a free batch size"
        )),
        Err(_) => {} // negative: any
    }
}

fn check_classes(classes: usize, tensor: &Tensor, faults: &mut Vec<String>) {
    let fits = match tensor.shape.as_slice() {
        [_, stated, rest @ ..] => {
            (*stated < 0 || *stated as u64 == classes as u64) && rest.iter().all(|&d| d == 1)
        }
        _ => false,
    };
    if !fits {
        faults.push(format!(
            "the task expects [batch, {classes}] from `{}`, the model answers {:?}",
            tensor.name, tensor.shape
        ));
    }
}

fn missing(what: &str, name: &str, tensors: &[Tensor]) -> String {
    let names: Vec<_> = tensors
        .iter()
        .map(|tensor| format!("`{}`", tensor.name))
        .collect();
    let known = if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    };
    format!("the task names the {what} `{name}`, the model has {known}")
}

fn number(value: &Value) -> Option<usize> {
    value
        .as_u64()
        .and_then(|number| usize::try_from(number).ok())
}

/// The strings of a list; empty unless all are strings.
fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let strings: Option<Vec<_>> = items
        .iter()
        .map(|item| item.as_str().map(str::to_owned))
        .collect();
    strings.unwrap_or_default()
}
