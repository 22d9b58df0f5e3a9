//! Compares a model's metadata with the task file.
//!
//! The metadata is parsed by serde_json and then looked up field by field, without derived types: servers write the same
//! field in different forms (KServe's ModelMesh writes numbers as texts), one odd field must not make
//! the others unreadable, and every disagreement is told with the name of its tensor.

use serde_json::Value;

use super::ModelApiError;
use super::Response;
use crate::{Datatype, Description, InputSpec, Layout, ModelSpec, Sent, status};
use ground::text::Short;

pub(super) struct Tensor<'a> {
    pub name: &'a str,
    pub datatype: &'a str,
    /// The dimensions; a negative one may have any size.
    shape: Vec<i64>,
    /// `fed-bbpt model-api` adds these: `datatypes` (all types that are taken, not only the
    /// preferred one), `low` and `high` (the FP32 values of black and white).
    parameters: &'a Value,
}

/// The tensors in the list `key` (`inputs` or `outputs`); `None` if there is no such list.
fn tensors<'a>(metadata: &'a Value, key: &str) -> Result<Option<Vec<Tensor<'a>>>, ModelApiError> {
    let list = &metadata[key];
    if list.is_null() {
        return Ok(None);
    }
    let read = |tensor: &'a Value| {
        // KServe's ModelMesh writes its numbers as strings.
        let side = |side: &Value| side.as_i64().or_else(|| side.as_str()?.parse().ok());
        let shape = tensor["shape"].as_array()?.iter().map(side);
        Some(Tensor {
            name: tensor["name"].as_str()?,
            datatype: tensor["datatype"].as_str()?,
            shape: shape.collect::<Option<_>>()?,
            parameters: &tensor["parameters"],
        })
    };
    match list
        .as_array()
        .and_then(|list| list.iter().map(read).collect())
    {
        Some(tensors) => Ok(Some(tensors)),
        None => Err(no_model(&format!(
            "`{key}` is not a list of tensors with name, datatype and shape"
        ))),
    }
}

fn no_model(why: &str) -> ModelApiError {
    ModelApiError::NotThisProtocol {
        detail: format!("it describes no model ({why})"),
    }
}

/// Parses the JSON of a 2xx answer.
pub(super) fn read(body: &[u8]) -> Result<Value, ModelApiError> {
    if status::is_html(body) {
        return Err(ModelApiError::NotThisProtocol {
            detail: status::detail(body),
        });
    }
    let metadata: Value =
        serde_json::from_slice(body).map_err(|error| no_model(&error.to_string()))?;
    if !metadata.is_object() {
        return Err(no_model("it is not a JSON object"));
    }
    Ok(metadata)
}

/// The model's inputs and outputs.
pub(super) fn both(metadata: &Value) -> Result<(Vec<Tensor<'_>>, Vec<Tensor<'_>>), ModelApiError> {
    match (tensors(metadata, "inputs")?, tensors(metadata, "outputs")?) {
        (Some(inputs), Some(outputs)) => Ok((inputs, outputs)),
        _ => Err(ModelApiError::NotThisProtocol {
            detail: "its description of the model has no `inputs` or no `outputs`".into(),
        }),
    }
}

/// Compares a 2xx answer with the task. All disagreements are collected, so that people can mend
/// them at once.
pub(super) fn check(spec: &ModelSpec, body: &[u8]) -> Result<Description, ModelApiError> {
    let metadata = read(body)?;
    let parameters = &metadata["parameters"];
    let (inputs, outputs) = both(&metadata)?;
    let mut faults = Vec::new();
    let mut max_batch = number(&parameters["max_batch_size"]).filter(|&limit| limit > 0);
    match inputs.iter().find(|tensor| tensor.name == spec.input.name) {
        // MLServer answers this for a model whose settings declare nothing.
        None if inputs.is_empty() => {}
        None => faults.push(missing("input", &spec.input.name, &inputs)),
        Some(tensor) => {
            check_type(&spec.input, tensor, &mut faults);
            check_image_shape(spec, tensor, &mut max_batch, &mut faults);
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
        None if outputs.is_empty() => {}
        None => faults.push(missing("output", &spec.output.name, &outputs)),
        Some(tensor) if spec.input.sent.unbatched => {
            check_only_row(spec.output.classes, tensor, &mut faults);
        }
        Some(tensor) => check_classes(spec.output.classes, tensor, &mut faults),
    }
    let labels = strings(&parameters["labels"]);
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
            platform: metadata["platform"].as_str().unwrap_or_default().to_owned(),
        })
    } else {
        Err(ModelApiError::Disagrees { faults })
    }
}

fn check_type(spec: &InputSpec, tensor: &Tensor<'_>, faults: &mut Vec<String>) {
    let wanted = spec.datatype.name();
    let accepted = strings(&tensor.parameters["datatypes"]);
    if tensor.datatype != wanted && !accepted.iter().any(|accepted| accepted == wanted) {
        faults.push(format!(
            "the task sends `{}` as {wanted}, the model takes {}",
            tensor.name, tensor.datatype
        ));
    }
    if spec.datatype == Datatype::Fp32 {
        for (field, said, stated) in [
            ("low", spec.low, &tensor.parameters["low"]),
            ("high", spec.high, &tensor.parameters["high"]),
        ] {
            if let Some(stated) = stated.as_f64()
                && (stated - f64::from(said)).abs() > 1e-6
            {
                faults.push(format!(
                    "the task says input.{field} = {}, the model {}",
                    Short(said.into()),
                    Short(stated)
                ));
            }
        }
    }
}

fn check_image_shape(
    model: &ModelSpec,
    tensor: &Tensor<'_>,
    max_batch: &mut Option<usize>,
    faults: &mut Vec<String>,
) {
    let spec = &model.input;
    if spec.sent != Sent::default() {
        // There is no batch dimension, or it is fixed.
        if spec.sent.unbatched || tensor.shape.first() == Some(&1) {
            *max_batch = Some(1);
        }
        return check_form(model, tensor, faults);
    }
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
    let is_image = |sides: &[i64]| {
        sides.len() == 3
            && sides
                .iter()
                .zip(image)
                .all(|(&stated, said)| stated < 0 || stated as u64 == said as u64)
    };
    if !is_image(rest) {
        let advice = if is_image(&tensor.shape) {
            ", without a batch dimension: set input.unbatched = true"
        } else {
            ""
        };
        faults.push(format!(
            "the task sends `{}` as [batch, {}, {}, {}] ({}), the model takes {:?}{advice}",
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

/// Compares the shape with a task that says more about the form of images.
fn check_form(model: &ModelSpec, tensor: &Tensor<'_>, faults: &mut Vec<String>) {
    let shape = super::forms::shape(model, 1).unwrap_or_default();
    let fits = shape.len() == tensor.shape.len()
        && tensor
            .shape
            .iter()
            .zip(&shape)
            .all(|(&stated, said)| stated < 0 || stated as u64 == *said as u64);
    if !fits {
        faults.push(format!(
            "the task sends `{}` as {shape:?}, one image of a batch, the model takes {:?}; see input.colour, input.flat, input.unbatched and input.layout",
            tensor.name, tensor.shape
        ));
    }
}

pub(super) fn check_classes(classes: usize, tensor: &Tensor<'_>, faults: &mut Vec<String>) {
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

/// Checks the output of a model without a batch dimension, whose answer may have one nevertheless:
/// `[classes]`, `[1, classes]` or `[1, classes, 1, 1]`.
fn check_only_row(classes: usize, tensor: &Tensor<'_>, faults: &mut Vec<String>) {
    let mut sides = tensor.shape.iter().filter(|side| **side != 1);
    let fits = match (sides.next(), sides.next()) {
        (None, _) => classes == 1,
        (Some(stated), None) => *stated < 0 || *stated as u64 == classes as u64,
        _ => false,
    };
    if !fits {
        faults.push(format!(
            "the task expects [{classes}] from `{}`, the model answers {:?}",
            tensor.name, tensor.shape
        ));
    }
}

pub(super) fn missing(what: &str, name: &str, tensors: &[Tensor<'_>]) -> String {
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

pub(super) fn number(value: &Value) -> Option<usize> {
    value
        .as_u64()
        .and_then(|number| usize::try_from(number).ok())
}

/// The largest batch in a model's configuration. 0 there means that the server forms no batches
/// itself, and sets no limit on inputs; it gives `None`.
pub(super) fn configured(response: &Response<'_>) -> Option<usize> {
    let good = (200..300).contains(&response.status);
    let config: Value = serde_json::from_slice(response.body)
        .ok()
        .filter(|_| good)?;
    number(&config["max_batch_size"]).filter(|limit| *limit > 0)
}

/// The strings of a list; empty unless all items are strings.
pub(super) fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let strings: Option<Vec<_>> = items
        .iter()
        .map(|item| item.as_str().map(str::to_owned))
        .collect();
    strings.unwrap_or_default()
}
