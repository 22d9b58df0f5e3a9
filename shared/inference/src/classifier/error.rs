//! Why a model cannot be used, and what to do about it.

use model_client::{Layout, ModelApiError};
use rten::LoadErrorKind;
use thiserror::Error;

/// Why an ONNX file cannot be used as an image classifier as requested.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The bytes are not an ONNX model.
    #[error(
        "this is no ONNX model ({0}); export one, for example with torch.onnx.export, and check it with onnx.checker"
    )]
    NotOnnx(String),
    /// The weights are in a second file.
    #[error(
        "the model keeps its weights in a second file ({0}); save it as one file, for example with onnx.save(model, path, save_as_external_data=False)"
    )]
    ExternalData(String),
    /// An operator is not supported, or is used in a way that is not.
    #[error(
        "the model uses an operator that cannot be run ({0}); export it with another opset (13 to 17 work best) or simplify it with onnxsim"
    )]
    Operator(String),
    /// Any other complaint of the loader.
    #[error("the model cannot be loaded ({0}); check it with onnx.checker")]
    Graph(String),
    /// The model does not have exactly one input.
    #[error("the model has {} inputs ({}), but an image classifier has one; export the part that takes an image", .0.len(), .0.join(", "))]
    Inputs(Vec<String>),
    /// The input does not take floats.
    #[error(
        "the model's input `{name}` is {dtype}, but must be of 32-bit floats; export it before quantising its input"
    )]
    InputType {
        /// The input's name.
        name: String,
        /// Its type.
        dtype: String,
    },
    /// The input is not a batch of images.
    #[error(
        "the model's input `{name}` has the shape {shape}, but a batch of images has rank 4; this is no image classifier, or its export lost the shape"
    )]
    InputRank {
        /// The input's name.
        name: String,
        /// Its shape.
        shape: String,
    },
    /// The input does not have three channels where the layout puts them.
    #[error("the model's input {shape} has {channels} channels if read as {layout}, but RGB has 3; try --layout {other}, or export a model for colour images", layout = .layout.name(), other = other(*.layout))]
    Channels {
        /// The input's shape.
        shape: String,
        /// The requested layout.
        layout: Layout,
        /// The number of channels under that layout.
        channels: usize,
    },
    /// The model leaves the image size open, and none was given.
    #[error(
        "the model's input {shape} leaves the image size open; say it with --size HEIGHTxWIDTH, for example --size 224x224"
    )]
    OpenSize {
        /// The input's shape.
        shape: String,
    },
    /// The model has another image size than the one given.
    #[error("the model's input {shape} has another image size than --size says; leave --size away")]
    Size {
        /// The input's shape.
        shape: String,
    },
    /// The model does not have the requested output.
    #[error("the model has no output {wanted}; it has {}: choose one with --tensor", .outputs.join(", "))]
    Output {
        /// The requested output.
        wanted: String,
        /// The model's outputs.
        outputs: Vec<String>,
    },
    /// The output does not hold scores.
    #[error("the model's output `{name}` has the shape {shape:?} for one image, but scores have [1, classes]; its outputs are {}: choose one with --tensor", .outputs.join(", "))]
    OutputShape {
        /// The output's name.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// All outputs.
        outputs: Vec<String>,
    },
    /// The numbers of labels and of classes differ.
    #[error(
        "there are {labels} labels, but the model has {classes} classes; give one label a line, in the order of the classes"
    )]
    Labels {
        /// Number of labels.
        labels: usize,
        /// Number of classes.
        classes: usize,
    },
    /// The image and the text encoder do not belong together.
    #[error(
        "the image encoder answers {image} values and the text encoder {text}; take both from the same model, with their projections"
    )]
    Widths {
        /// Number of values in an image's embedding.
        image: usize,
        /// Number of values in a text's embedding.
        text: usize,
    },
    /// The first run failed.
    #[error(
        "the model does not run on a black image: {0}; check --layout and --size, and the model with onnxruntime"
    )]
    Trial(#[source] RunError),
}

impl LoadError {
    pub(crate) fn from_rten(error: &rten::LoadError) -> Self {
        let text = error.to_string();
        match error.kind() {
            LoadErrorKind::ParseError
            | LoadErrorKind::UnknownFileType
            | LoadErrorKind::FormatNotEnabled => Self::NotOnnx(text),
            LoadErrorKind::ExternalDataError => Self::ExternalData(text),
            LoadErrorKind::OperatorInvalid => Self::Operator(text),
            _ => Self::Graph(text),
        }
    }
}

fn other(layout: Layout) -> &'static str {
    match layout {
        Layout::Nchw => Layout::Nhwc.name(),
        Layout::Nhwc => Layout::Nchw.name(),
    }
}

/// Why a loaded model could not answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunError {
    /// The values are not a whole number of images, or there are none.
    #[error("{got} values are not one or more images of {image_len} values")]
    Length {
        /// Values received.
        got: usize,
        /// Values in one image.
        image_len: usize,
    },
    /// The runtime failed.
    #[error("the model failed: {0}")]
    Model(String),
    /// The output does not hold floats.
    #[error("the model's output `{0}` is not of 32-bit floats; choose another with --tensor")]
    NotFloat(String),
    /// The model answered NaN or infinity.
    #[error("the model answered NaN or infinity; check --range")]
    NotFinite,
}

impl From<ModelApiError> for RunError {
    fn from(error: ModelApiError) -> Self {
        match error {
            ModelApiError::NotFinite { .. } => Self::NotFinite,
            other => Self::Model(other.to_string()),
        }
    }
}
