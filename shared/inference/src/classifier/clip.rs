//! A pair of an image and a text encoder (CLIP, SigLIP's predecessors) as a classifier without
//! training: an image's scores are its cosines with the labels put into a template.
//!
//! Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021.

use std::path::Path;

use model_client::Layout;
use serde_json::Value;

use super::{Classifier, ClassifierOptions, PixelRange};
use crate::text::{
    Cache, Embedding, Folder, Network, Row, TextLoadError, Words, cache_key, check_labels, dot,
    embedding, normalise, prompts,
};
use crate::{LoadError, RunError};

/// How to use a folder as a zero-shot classifier of images.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipOptions {
    /// The labels, at least two.
    pub labels: Vec<String>,
    /// Template into which labels are put, at `{}`.
    pub template: String,
    /// Divisor of the cosines.
    pub temperature: f32,
    /// Maximum number of tokens of a prompt; if `None`, the smallest limit that the folder's files
    /// state.
    pub max_tokens: Option<usize>,
    /// Height and width in pixels, if neither the image encoder nor `preprocessor_config.json`
    /// says.
    pub size: Option<(usize, usize)>,
    /// Number of threads that one run uses together, at least 1.
    pub threads: usize,
}

impl Default for ClipOptions {
    fn default() -> Self {
        Self {
            labels: Vec::new(),
            template: "a photo of a {}.".into(),
            // The exported files do not hold `logit_scale`; in CLIP's training it ended at its
            // upper bound of 100.
            temperature: 0.01,
            max_tokens: None,
            size: None,
            threads: 1,
        }
    }
}

/// Number of prompts whose embeddings are kept for requests that bring their own labels.
const KNOWN_PROMPTS: usize = 4096;

/// The embedded labels, and the text encoder for others.
pub(super) struct ZeroShot {
    /// Embeddings of length 1, one for each label.
    prompts: Vec<Embedding>,
    /// Number of values in an embedding.
    width: usize,
    temperature: f32,
    template: String,
    words: Words,
    network: Network,
    known: Cache,
}

impl ZeroShot {
    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn template(&self) -> &str {
        &self.template
    }

    pub(super) fn classes(&self) -> usize {
        self.prompts.len()
    }

    /// Scores images by their row-major embeddings, against the labels or, if there are any,
    /// `prompts`.
    pub(super) fn scores(
        &self,
        embeddings: &[f32],
        prompts: Option<&[String]>,
    ) -> Result<Vec<f32>, RunError> {
        let others = prompts.map(|prompts| self.embed(prompts)).transpose()?;
        let prompts = others.as_deref().unwrap_or(&self.prompts);
        let mut scores = Vec::with_capacity(embeddings.len() / self.width * prompts.len());
        for image in embeddings.chunks_exact(self.width) {
            let mut image = image.to_vec();
            normalise(&mut image)?;
            let cosines = prompts.iter().map(|prompt| dot(&image, prompt));
            scores.extend(cosines.map(|cosine| cosine / self.temperature));
        }
        Ok(scores)
    }

    /// Embeds prompts as vectors of length 1, with a cache.
    fn embed(&self, prompts: &[String]) -> Result<Vec<Embedding>, RunError> {
        let keys: Vec<_> = prompts.iter().map(|text| cache_key(text, None)).collect();
        let mut found = self.known.get(&keys);
        let missing: Vec<usize> = (0..keys.len()).filter(|&at| found[at].is_none()).collect();
        let tokens: Vec<Vec<i32>> = missing
            .iter()
            .map(|&at| self.words.tokens(&prompts[at]).map(|tokens| tokens.ids))
            .collect::<Result<_, _>>()
            .map_err(RunError::Model)?;
        let rows: Vec<Row<'_>> = tokens.iter().map(|ids| Row::from(ids.as_slice())).collect();
        let new = self.network.run_all(&rows, self.width, |view, row, _| {
            let mut embedding = row_of(view, row)?;
            normalise(&mut embedding)?;
            Ok(Embedding::from(embedding))
        })?;
        self.known.put(missing.iter().map(|&at| keys[at]).zip(&new));
        for (&at, new) in missing.iter().zip(new) {
            found[at] = Some(new);
        }
        // Each was known or has just been encoded, so nothing is lost here.
        Ok(found.into_iter().flatten().collect())
    }
}

impl Classifier {
    /// Loads a folder with `config.json`, `tokenizer.json`, `preprocessor_config.json`,
    /// `vision_model.onnx` and `text_model.onnx` (there or in `onnx/`). The labels are embedded
    /// once, here.
    ///
    /// # Errors
    /// [`TextLoadError`], which says what does not fit and what to do about it.
    pub fn load_clip(dir: &Path, options: &ClipOptions) -> Result<Self, TextLoadError> {
        let folder = Folder::open(dir)?;
        let head = embed(&folder, options)?;
        let path = folder.onnx("vision_model")?;
        let failed = |cause: LoadError| TextLoadError::Onnx {
            path: path.clone(),
            cause,
        };
        let model = folder.network(&path)?;
        let known = super::outputs(&model);
        let preprocessor = folder.json("preprocessor_config.json")?;
        let options = ClassifierOptions {
            layout: Layout::Nchw,
            range: range(&preprocessor),
            output: known.into_iter().find(|name| name == "image_embeds"),
            labels: options.labels.clone(),
            size: options.size.or_else(|| size(&preprocessor)),
            threads: options.threads,
        };
        Self::build(model, &options, Some(head)).map_err(failed)
    }
}

fn embed(folder: &Folder, options: &ClipOptions) -> Result<ZeroShot, TextLoadError> {
    if !(options.temperature.is_finite() && options.temperature > 0.0) {
        return Err(TextLoadError::Temperature(options.temperature));
    }
    let labels: Vec<&str> = options.labels.iter().map(String::as_str).collect();
    check_labels(&labels).map_err(TextLoadError::Labels)?;
    let texts = prompts(&options.template, &labels)
        .ok_or_else(|| TextLoadError::Template(options.template.clone()))?;
    let max_tokens = folder.max_tokens(options.max_tokens)?;
    let mut words = Words::load(folder, max_tokens)?;
    let mut network = Network::load(folder, "text_model", options.threads, words.pad())?;
    if let Some(exact) = network.exact_length() {
        words.limit(exact.min(max_tokens));
    }
    let texts: Vec<String> = texts.collect();
    let first = texts.first().map_or("", String::as_str);
    let first = words.tokens(first).map_err(|cause| TextLoadError::File {
        path: folder.path("tokenizer.json"),
        cause,
    })?;
    let first = first.ids.as_slice();
    let failed = |cause| TextLoadError::Trial {
        tokens: first.len(),
        cause,
    };
    let outputs = network.outputs(first).map_err(failed)?;
    let flat: Vec<_> = outputs
        .iter()
        .filter(|output| output.shape.len() == 2)
        .collect();
    let output = embedding(&flat, first.len()).ok_or_else(|| TextLoadError::Output {
        wanted: "text_embeds of the shape [batch, width]".into(),
        outputs: outputs.iter().map(|output| output.name.clone()).collect(),
    })?;
    network.choose(output);
    let width = output.shape.last().copied().unwrap_or(0);
    // One text in a run (the network's default): a label's embedding must not depend on the other
    // labels.
    let mut head = ZeroShot {
        prompts: Vec::new(),
        width,
        temperature: options.temperature,
        template: options.template.clone(),
        words,
        network,
        known: Cache::new(KNOWN_PROMPTS),
    };
    head.prompts = head.embed(&texts).map_err(failed)?;
    Ok(head)
}

fn row_of(view: &rten_tensor::TensorView<'_, f32>, row: usize) -> Result<Vec<f32>, RunError> {
    use rten_tensor::prelude::*;
    match view.shape() {
        [rows, _] if row < *rows => Ok(view.slice((row, ..)).to_vec()),
        shape => Err(RunError::Model(format!(
            "its output has the shape {shape:?}"
        ))),
    }
}

fn range(preprocessor: &Value) -> PixelRange {
    let three = |name: &str| {
        let values = preprocessor[name].as_array()?.iter().map(Value::as_f64);
        let values: Vec<f64> = values.collect::<Option<_>>()?;
        // The files' numbers have only a few digits.
        #[allow(clippy::cast_possible_truncation)]
        <[f64; 3]>::try_from(values)
            .ok()
            .map(|values| values.map(|value| value as f32))
    };
    match (three("image_mean"), three("image_std")) {
        (Some(mean), Some(std))
            if preprocessor["do_normalize"] != false && std.iter().all(|std| *std > 0.0) =>
        {
            PixelRange::Normalised { mean, std }
        }
        _ => PixelRange::UNIT,
    }
}

/// Files state a number, a height and a width, or the shortest edge.
fn size(preprocessor: &Value) -> Option<(usize, usize)> {
    let number = |value: &Value| usize::try_from(value.as_u64()?).ok();
    ["crop_size", "size"].iter().find_map(|name| {
        let size = &preprocessor[*name];
        let square = number(size).or_else(|| number(&size["shortest_edge"]));
        match square {
            Some(side) => Some((side, side)),
            None => Some((number(&size["height"])?, number(&size["width"])?)),
        }
    })
}
