//! An image classifier in ONNX, run by `rten` in this process.

mod clip;
mod error;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use model_client::{Layout, Scores};
use rten::{Dimension, Model, NodeId, RunOptions, ThreadPool, ValueType};
use rten_tensor::{AsView as _, Layout as _};
use rten_tensor::{Tensor, TensorView};

use crate::onnx_file;
use clip::ZeroShot;

pub use clip::ClipOptions;
pub use error::{LoadError, RunError};
pub use model_client::PixelRange;

/// How to use an ONNX file as a classifier of RGB images.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassifierOptions {
    /// Order of the dimensions of the model's input.
    pub layout: Layout,
    /// The range of values that the model's input takes for pixels.
    pub range: PixelRange,
    /// Name of the output that holds the scores; the first output if `None`.
    pub output: Option<String>,
    /// Names of the classes in order; may be empty.
    pub labels: Vec<String>,
    /// Height and width in pixels, needed if the model leaves them open.
    pub size: Option<(usize, usize)>,
    /// Number of threads that one run uses together, at least 1. Runs from several threads share
    /// them.
    pub threads: usize,
}

impl Default for ClassifierOptions {
    fn default() -> Self {
        Self {
            layout: Layout::Nchw,
            range: PixelRange::UNIT,
            output: None,
            labels: Vec::new(),
            size: None,
            threads: 1,
        }
    }
}

/// Pixels of whole images, in the [layout](ClassifierOptions::layout) of the model.
#[derive(Clone, Copy, Debug)]
pub enum Pixels<'a> {
    /// Bytes: 0 is black, 255 is white.
    Bytes(&'a [u8]),
    /// Floats: 0 is black, 1 is white.
    Floats(&'a [f32]),
}

impl Pixels<'_> {
    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(values) => values.len(),
            Self::Floats(values) => values.len(),
        }
    }

    /// Returns whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A loaded model that takes images and answers scores. `Send + Sync`; the same images in the same
/// batch give the same scores.
pub struct Classifier {
    model: Model,
    pool: Arc<ThreadPool>,
    input: NodeId,
    output: NodeId,
    input_name: String,
    output_name: String,
    height: usize,
    width: usize,
    classes: usize,
    /// The batch size that the file fixes, as exporters do by default.
    exact_batch: Option<usize>,
    labels: Vec<String>,
    layout: Layout,
    /// `tables[channel][byte]`: the model's input value for a byte.
    tables: [[f32; 256]; 3],
    range: PixelRange,
    /// Turns embeddings into scores, if the model answers embeddings.
    head: Option<ZeroShot>,
}

impl Classifier {
    /// Loads an ONNX file and tries it on one black image, so that anything that does not fit is
    /// found here and not by the first request.
    ///
    /// # Errors
    /// [`LoadError`], which says what does not fit and what to do about it.
    pub fn load(onnx: Vec<u8>, options: &ClassifierOptions) -> Result<Self, LoadError> {
        Self::build(onnx_file::load_bytes(onnx)?, options, None)
    }

    /// Makes the classifier of a loaded model; `head`, if given, turns its answers into scores.
    fn build(
        model: Model,
        options: &ClassifierOptions,
        head: Option<ZeroShot>,
    ) -> Result<Self, LoadError> {
        let pool = Arc::new(ThreadPool::with_num_threads(options.threads.max(1)));

        let input = find_input(&model)?;
        let shape = image_shape(&model, input, options)?;
        let output = find_output(&model, options.output.as_deref())?;
        let mut classifier = Self {
            input_name: name(&model, input),
            output_name: name(&model, output),
            model,
            pool,
            input,
            output,
            height: shape.height,
            width: shape.width,
            classes: 0,
            exact_batch: shape.batch,
            labels: options.labels.clone(),
            layout: options.layout,
            tables: options.range.tables(),
            range: options.range,
            head,
        };
        let black = vec![0.0; shape.batch.unwrap_or(1) * classifier.image_len()];
        let (shape, _) = classifier.run_once(black).map_err(LoadError::Trial)?;
        classifier.classes = match *shape {
            [batch, classes, ref rest @ ..]
                if batch == classifier.exact_batch.unwrap_or(1)
                    && classes > 0
                    && rest.iter().all(|&one| one == 1) =>
            {
                match &classifier.head {
                    None => classes,
                    Some(head) if head.width() == classes => head.classes(),
                    Some(head) => {
                        return Err(LoadError::Widths {
                            image: classes,
                            text: head.width(),
                        });
                    }
                }
            }
            _ => {
                return Err(LoadError::OutputShape {
                    name: classifier.output_name,
                    shape,
                    outputs: outputs(&classifier.model),
                });
            }
        };
        if !options.labels.is_empty() && options.labels.len() != classifier.classes {
            return Err(LoadError::Labels {
                labels: options.labels.len(),
                classes: classifier.classes,
            });
        }
        Ok(classifier)
    }

    /// Name of the model's input.
    #[must_use]
    pub fn input_name(&self) -> &str {
        &self.input_name
    }

    /// Name of the output that holds the scores.
    #[must_use]
    pub fn output_name(&self) -> &str {
        &self.output_name
    }

    /// Height of an image in pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width of an image in pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Values in one image: `3 × height × width`.
    #[must_use]
    pub fn image_len(&self) -> usize {
        3 * self.height * self.width
    }

    /// Number of scores for each image.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Kind of the model, as stated in the metadata.
    pub(crate) fn kind(&self) -> &'static str {
        match self.head {
            None => "classifier",
            Some(_) => "clip",
        }
    }

    /// The template into which labels are put, if this is a pair of an image and a text encoder.
    #[must_use]
    pub fn template(&self) -> Option<&str> {
        self.head.as_ref().map(ZeroShot::template)
    }

    /// Names of the classes in order; empty if unknown.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Order of the dimensions of [`Pixels`].
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Shape of a batch of `batch` images.
    #[must_use]
    pub fn input_shape(&self, batch: usize) -> [usize; 4] {
        match self.layout {
            Layout::Nchw => [batch, 3, self.height, self.width],
            Layout::Nhwc => [batch, self.height, self.width, 3],
        }
    }

    /// Scores planar RGB images (`3 × height × width` bytes each), whatever the model's layout.
    ///
    /// # Errors
    /// [`RunError::Length`] unless `images` holds whole images, [`RunError::Model`] if the model
    /// fails, [`RunError::NotFinite`] if it answers NaN or infinity.
    pub fn run(&self, images: &[u8]) -> Result<Scores, RunError> {
        match self.layout {
            Layout::Nchw => self.run_batch(&[Pixels::Bytes(images)]),
            Layout::Nhwc => {
                let plane = self.height * self.width;
                let interleaved: Vec<u8> = images
                    .chunks(3 * plane)
                    .flat_map(|image| {
                        let at = move |i: usize| image.get(i).copied();
                        (0..plane).flat_map(move |i| [at(i), at(plane + i), at(2 * plane + i)])
                    })
                    .flatten() // drops what is missing of the last image; its length is refused
                    .collect();
                self.run_batch(&[Pixels::Bytes(&interleaved)])
            }
        }
    }

    /// Scores the images of several requests in one run; the rows are in the order of the images.
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    pub fn run_batch(&self, parts: &[Pixels<'_>]) -> Result<Scores, RunError> {
        let rows = self.run_rows(parts)?;
        let scores = match &self.head {
            None => rows,
            Some(head) => head.scores(&rows, None)?,
        };
        Ok(Scores::new(self.classes, scores)?)
    }

    /// Scores the images of several requests in one run, and returns each request's scores
    /// separately. A pair of an image and a text encoder scores a request that brings prompts by
    /// these instead of its own labels.
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    pub fn run_parts(
        &self,
        parts: &[(Pixels<'_>, Option<&[String]>)],
    ) -> Result<Vec<Vec<f32>>, RunError> {
        let pixels: Vec<_> = parts.iter().map(|(pixels, _)| *pixels).collect();
        let rows = self.run_rows(&pixels)?;
        let mut rest = rows.as_slice();
        let split = |(pixels, prompts): &(Pixels<'_>, Option<&[String]>)| {
            let images = pixels.len() / self.image_len();
            let (own, others) = rest.split_at(images * self.row_len());
            rest = others;
            let scores = match (&self.head, prompts) {
                (None, None) => own.to_vec(),
                (None, Some(_)) => return Err(RunError::Model("it has no text encoder".into())),
                (Some(head), prompts) => head.scores(own, *prompts)?,
            };
            if scores.iter().all(|score| score.is_finite()) {
                Ok(scores)
            } else {
                Err(RunError::NotFinite)
            }
        };
        parts.iter().map(split).collect()
    }

    /// Number of values that the network answers for one image.
    fn row_len(&self) -> usize {
        self.head.as_ref().map_or(self.classes, ZeroShot::width)
    }

    /// Runs the network and returns a row of [`row_len`](Self::row_len) values for each image.
    fn run_rows(&self, parts: &[Pixels<'_>]) -> Result<Vec<f32>, RunError> {
        let image_len = self.image_len();
        if let Some(wrong) = parts
            .iter()
            .find(|part| part.is_empty() || part.len() % image_len != 0)
        {
            return Err(RunError::Length {
                got: wrong.len(),
                image_len,
            });
        }
        let mut values = Vec::with_capacity(parts.iter().map(Pixels::len).sum());
        for part in parts {
            self.convert(*part, &mut values);
        }
        let rows = values.len() / image_len;
        let mut answers = match self.exact_batch {
            None => self.run_once(values)?.1,
            Some(batch) => {
                let mut answers = Vec::with_capacity(rows * self.row_len());
                for chunk in values.chunks(batch * image_len) {
                    let mut chunk = chunk.to_vec();
                    chunk.resize(batch * image_len, 0.0);
                    answers.extend(self.run_once(chunk)?.1);
                }
                answers
            }
        };
        answers.truncate(rows * self.row_len());
        Ok(answers)
    }

    /// Appends pixels in the form that the model takes.
    fn convert(&self, pixels: Pixels<'_>, to: &mut Vec<f32>) {
        let plane = self.height * self.width;
        let channel = |at: usize| match self.layout {
            Layout::Nchw => at / plane % 3,
            Layout::Nhwc => at % 3,
        };
        match (pixels, self.layout) {
            (Pixels::Bytes(bytes), Layout::Nchw) => {
                for (i, plane) in bytes.chunks_exact(plane).enumerate() {
                    let table = &self.tables[i % 3];
                    to.extend(plane.iter().map(|&byte| table[usize::from(byte)]));
                }
            }
            (Pixels::Bytes(bytes), Layout::Nhwc) => {
                to.extend(
                    bytes
                        .iter()
                        .enumerate()
                        .map(|(at, &byte)| self.tables[at % 3][usize::from(byte)]),
                );
            }
            (Pixels::Floats(floats), _) => {
                let maps = self.range.maps();
                to.extend(
                    floats
                        .iter()
                        .enumerate()
                        .map(|(at, &value)| maps[channel(at)].apply(value)),
                );
            }
        }
    }

    /// Runs the model on one batch in the model's own range; returns the output's shape and values.
    fn run_once(&self, values: Vec<f32>) -> Result<(Vec<usize>, Vec<f32>), RunError> {
        let failed = |error: &dyn std::fmt::Display| RunError::Model(error.to_string());
        let batch = values.len() / self.image_len();
        let shape = self.input_shape(batch);
        let input = Tensor::try_from_data(&shape, values).map_err(|error| failed(&error))?;
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&self.pool)));
        let mut outputs = self
            .model
            .run(
                vec![(self.input, input.into())],
                &[self.output],
                Some(options),
            )
            .map_err(|error| failed(&error))?;
        let output = outputs.pop().ok_or_else(|| failed(&"it gave no output"))?;
        let view: TensorView<'_, f32> = (&output)
            .try_into()
            .map_err(|_| RunError::NotFloat(self.output_name.clone()))?;
        Ok((view.shape().to_vec(), view.to_vec()))
    }
}

/// What the file says about its input.
struct ImageShape {
    batch: Option<usize>,
    height: usize,
    width: usize,
}

fn find_input(model: &Model) -> Result<NodeId, LoadError> {
    match model.input_ids() {
        [one] => Ok(*one),
        ids => Err(LoadError::Inputs(
            ids.iter().map(|&id| name(model, id)).collect(),
        )),
    }
}

fn find_output(model: &Model, wanted: Option<&str>) -> Result<NodeId, LoadError> {
    let found = match wanted {
        None => model.output_ids().first(),
        Some(wanted) => model
            .output_ids()
            .iter()
            .find(|&&id| name(model, id) == wanted),
    };
    found.copied().ok_or_else(|| LoadError::Output {
        wanted: wanted.unwrap_or("(the first)").to_owned(),
        outputs: outputs(model),
    })
}

fn image_shape(
    model: &Model,
    input: NodeId,
    options: &ClassifierOptions,
) -> Result<ImageShape, LoadError> {
    let input_name = name(model, input);
    let info = model.node_info(input);
    if let Some(dtype) = info.as_ref().and_then(rten::NodeInfo::dtype)
        && dtype != ValueType::Tensor(rten::DataType::Float)
    {
        return Err(LoadError::InputType {
            name: input_name,
            dtype: format!("{dtype:?}"),
        });
    }
    let shape = info.and_then(|info| info.shape()).unwrap_or_default();
    let [batch, a, b, c] = shape.as_slice() else {
        return Err(LoadError::InputRank {
            name: input_name,
            shape: show(&shape),
        });
    };
    let (channels, height, width) = match options.layout {
        Layout::Nchw => (a, b, c),
        Layout::Nhwc => (c, a, b),
    };
    if let Dimension::Fixed(channels) = channels
        && *channels != 3
    {
        return Err(LoadError::Channels {
            shape: show(&shape),
            layout: options.layout,
            channels: *channels,
        });
    }
    let side = |stated: &Dimension, given: Option<usize>| match (stated, given) {
        (Dimension::Fixed(stated), None) => Ok(*stated),
        (Dimension::Fixed(stated), Some(given)) if *stated == given => Ok(given),
        (Dimension::Fixed(_), Some(_)) => Err(LoadError::Size {
            shape: show(&shape),
        }),
        (Dimension::Symbolic(_), Some(given)) => Ok(given),
        (Dimension::Symbolic(_), None) => Err(LoadError::OpenSize {
            shape: show(&shape),
        }),
    };
    Ok(ImageShape {
        batch: match batch {
            // Zero stands for "any" in the files of some exporters.
            Dimension::Fixed(0) | Dimension::Symbolic(_) => None,
            Dimension::Fixed(batch) => Some(*batch),
        },
        height: side(height, options.size.map(|(height, _)| height))?,
        width: side(width, options.size.map(|(_, width)| width))?,
    })
}

fn name(model: &Model, id: NodeId) -> String {
    model
        .node_info(id)
        .and_then(|info| info.name().map(str::to_owned))
        .unwrap_or_default()
}

fn outputs(model: &Model) -> Vec<String> {
    model
        .output_ids()
        .iter()
        .map(|&id| name(model, id))
        .collect()
}

fn show(shape: &[Dimension]) -> String {
    let dimensions: Vec<_> = shape
        .iter()
        .map(|dimension| match dimension {
            Dimension::Fixed(size) => size.to_string(),
            Dimension::Symbolic(name) => name.clone(),
        })
        .collect();
    format!("[{}]", dimensions.join(", "))
}
