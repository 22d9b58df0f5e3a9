//! Turns the description of a model into a served model: loads it, tries it, and starts its
//! threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::batcher::Limits;
use crate::config::{IMAGE_QUEUE, QUEUE, QUEUE_BYTES};
use crate::endpoint::{Defaults, Endpoint, Service, filled};
use crate::metrics::Metrics;
use crate::protocol::{ModelInfo, TextInfo};
use crate::{
    Classifier, LoadError, ModelConfig, QueryError, Served, TextError, TextKind, TextLoadError,
    TextModel, TextQuery,
};

/// Why a model cannot be served.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The model's file cannot be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The model's folder cannot be used.
    #[error(transparent)]
    LoadText(#[from] TextLoadError),
    /// The labels or the template for classifying texts do not suit the model.
    #[error("texts cannot be classified by these labels and this template: {0}")]
    Labels(#[from] QueryError),
    /// The model fails on a short text.
    #[error("texts cannot be classified: {0}")]
    Trial(#[from] TextError),
    /// The operating system refuses to start a thread.
    #[error("its threads cannot be started: {0}")]
    Threads(#[from] std::io::Error),
    /// Loading the model panicked.
    #[error("loading it failed unexpectedly; check the file with onnx.checker")]
    Panicked,
}

/// Loads and starts a model. Blocks.
pub(crate) fn start(config: ModelConfig, metrics: &Metrics) -> Result<Endpoint, ModelError> {
    let (max_batch, max_delay) = (config.max_batch, config.max_delay);
    let (max_request, max_queue) = (config.max_request, config.max_queue);
    let (name, threads) = (config.name.clone(), config.threads);
    let loading = catch_unwind(AssertUnwindSafe(|| load(config)));
    let service = loading.map_err(|_| ModelError::Panicked)??;
    let metrics = metrics.model(&name, service.unit());
    let (most, default) = match &service {
        Service::Images(info, _) => {
            let bytes = size_of::<f32>() * info.image.iter().product::<usize>();
            (max_request, IMAGE_QUEUE.min(QUEUE_BYTES / bytes.max(1)))
        }
        Service::Texts(..) => (max_batch, QUEUE),
    };
    let limits = Limits {
        max_batch,
        max_queue: max_queue.unwrap_or(default).max(most),
        max_delay,
    };
    Ok(service.start(threads, limits, metrics)?)
}

fn load(config: ModelConfig) -> Result<Service, ModelError> {
    let ModelConfig {
        name,
        served,
        max_batch,
        max_request,
        ..
    } = config;
    match served {
        Served::Classifier { onnx, options } => {
            let classifier = Classifier::load(onnx.into_owned(), &options)?;
            let info = ModelInfo::new(name, max_request, &classifier);
            Ok(Service::Images(info, Arc::new(classifier)))
        }
        Served::Clip { dir, options } => {
            let classifier = Classifier::load_clip(&dir, &options)?;
            let info = ModelInfo::new(name, max_request, &classifier);
            Ok(Service::Images(info, Arc::new(classifier)))
        }
        Served::Text {
            dir,
            options,
            labels,
            template,
        } => {
            let model = TextModel::load(&dir, &options)?;
            let defaults = Defaults { labels, template };
            try_defaults(&model, &defaults)?;
            let info = TextInfo::new(name, max_batch, &model);
            Ok(Service::Texts(info, Arc::new(model), defaults))
        }
    }
}

/// Checks that texts can be classified as described. A masked language model without a template
/// takes texts that have a mask.
fn try_defaults(model: &TextModel, defaults: &Defaults) -> Result<(), ModelError> {
    if defaults.labels.is_empty() {
        return Ok(());
    }
    let template = defaults.template.as_deref();
    let mut text = "a trial".to_owned();
    let mut label_template = TextQuery::LABEL_ALONE;
    match (model.kind(), template, model.mask_token()) {
        (TextKind::SentenceEncoder, template, _) => {
            label_template = template.unwrap_or(label_template);
        }
        (TextKind::MaskedLm, Some(template), _) => {
            if !template.contains("{}") {
                return Err(ModelError::Labels(QueryError::NoPlace {
                    text: 0,
                    template: template.to_owned(),
                }));
            }
            text = filled(template, &[text]).concat();
        }
        (TextKind::MaskedLm, None, mask) => text = mask.unwrap_or_default().to_owned(),
    }
    model.score(&[TextQuery::new(&text, label_template)], &defaults.labels)?;
    Ok(())
}

/// A hash that changes if a model must be loaded again: of its settings, and of a file's bytes or
/// of the names, sizes and times of a folder's files.
pub(crate) fn fingerprint(config: &ModelConfig) -> [u8; 32] {
    let mut hash = Sha256::new();
    let ModelConfig {
        name,
        served,
        threads,
        max_batch,
        max_request,
        max_queue,
        max_delay,
    } = config;
    hash.update(format!(
        "{name:?} {threads} {max_batch} {max_request} {max_queue:?} {max_delay:?} "
    ));
    match served {
        Served::Classifier { onnx, options } => {
            hash.update(format!("{options:?}"));
            hash.update(onnx);
        }
        Served::Text { dir, .. } | Served::Clip { dir, .. } => {
            hash.update(format!("{served:?}"));
            add_folder(&mut hash, dir, FOLDERS);
        }
    }
    hash.finalize().into()
}

/// Depth to which a model's folder is read; deeper files do not matter.
const FOLDERS: usize = 1;

fn add_folder(hash: &mut Sha256, dir: &Path, depth: usize) {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        // Follows links, of which a hub's cache is made.
        let Ok(about) = std::fs::metadata(&path) else {
            continue;
        };
        if about.is_file() {
            let time = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            hash.update(format!("{path:?} {} {time:?}", about.len()));
        } else if depth > 0 {
            add_folder(hash, &path, depth - 1);
        }
    }
}
