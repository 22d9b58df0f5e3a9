//! The flags that describe one model; in a file of several models, the settings of each model.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use ground::settings;
use model_client::Layout;
use serde::{Deserialize, Serialize};

use crate::config::{cores, lines};
use crate::faults::ConfigFaults;
use crate::hub::Hub;
use crate::{ClassifierOptions, ModelConfig, PixelRange, Served, TextKind};

/// The description of one model, by flags or by a table in a file.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelArgs {
    /// Image classifier in ONNX, in one file
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,

    /// Folder of a model in the layout of the Hugging Face hub: a sentence encoder or masked
    /// language model (config.json, tokenizer.json, model.onnx or onnx/model.onnx), or a pair like
    /// CLIP (vision_model.onnx, text_model.onnx, preprocessor_config.json), which takes images
    #[arg(long, value_name = "FOLDER", alias = "model-dir")]
    #[serde(alias = "model_dir")]
    pub model_folder: Option<PathBuf>,

    /// Name of a model on the Hugging Face hub, such as Xenova/all-MiniLM-L6-v2: its files are
    /// downloaded into --cache-folder and used as with --model-folder. HF_TOKEN and HF_ENDPOINT in the
    /// environment are respected
    #[arg(long, value_name = "NAME")]
    pub hub: Option<String>,

    /// Branch, tag or commit of --hub [default: main]
    #[arg(long)]
    pub revision: Option<String>,

    /// Folder for the files of --hub, which are used again without a network [default:
    /// $HF_HOME/hub, or ~/.cache/huggingface/hub]
    #[arg(long, value_name = "FOLDER", alias = "cache-dir")]
    #[serde(alias = "cache_dir")]
    pub cache_folder: Option<PathBuf>,

    /// Kind of the text model [default: inferred from its files]
    #[arg(long, value_enum)]
    pub kind: Option<KindArg>,

    /// Maximum tokens of a text [default: the limit in the model's files]
    #[arg(long, value_name = "TOKENS")]
    pub max_tokens: Option<usize>,

    /// Divisor of the cosines [default: 0.05; for pairs like CLIP 0.01]
    #[arg(long)]
    pub temperature: Option<f32>,

    /// Embeddings that a sentence encoder keeps [default: 16384]
    #[arg(long, value_name = "EMBEDDINGS")]
    pub cache: Option<usize>,

    /// Template into which labels are put, at `{}` [default: a photo of a {}. for pairs like CLIP,
    /// {} for sentence encoders]. For masked language models: the template into which a text is
    /// put, with the mask, before --labels are tried there
    #[arg(long)]
    pub template: Option<String>,

    /// File with the names of the classes, one a line, in order. For text models: the labels of
    /// their text-classification, which is not offered otherwise
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,

    /// The model's name in the protocol [default: the file's or folder's name]
    #[arg(long)]
    pub name: Option<String>,

    /// Order of the dimensions of the model's input, and of the images sent [default: nchw]
    #[arg(long, value_enum)]
    pub layout: Option<LayoutArg>,

    /// Input values of black and white: 0:1, -1:1, 0:255, any LOW:HIGH, or imagenet [default: 0:1]
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    pub range: Option<String>,

    /// The model's output that holds the scores [default: its first]
    #[arg(long, alias = "output")]
    #[serde(alias = "output")]
    pub tensor: Option<String>,

    /// Height and width of an image, if the model leaves them open
    #[arg(long, value_name = "HEIGHTxWIDTH")]
    pub size: Option<String>,

    /// Maximum images or texts in one run of the model; also maximum texts in one request [default:
    /// 256]
    #[arg(long, value_name = "COUNT")]
    pub max_batch: Option<usize>,

    /// Maximum images in one request; more than a run takes are split into several runs [default:
    /// 2048]
    #[arg(long, value_name = "COUNT")]
    pub max_request: Option<usize>,

    /// Maximum images or texts that wait; beyond that, requests get 503 and Retry-After [default:
    /// 4096 texts; 16384 images, or as many as fit into 1 GiB]
    #[arg(long, value_name = "COUNT")]
    pub max_queue: Option<usize>,

    /// How long a request waits for others to share its run, in microseconds [default: 1000]
    #[arg(long, value_name = "MICROSECONDS")]
    pub max_delay_us: Option<u64>,

    /// Threads that run the model [default: number of processor cores]
    #[arg(long)]
    pub threads: Option<usize>,
}

/// `--kind`: what a text model does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KindArg {
    /// answers a text's embedding
    SentenceEncoder,
    /// answers which tokens fit at a text's mask
    MaskedLm,
}

impl From<KindArg> for TextKind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::SentenceEncoder => Self::SentenceEncoder,
            KindArg::MaskedLm => Self::MaskedLm,
        }
    }
}

/// `--layout`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayoutArg {
    /// batch, channel, row, column
    Nchw,
    /// batch, row, column, channel
    Nhwc,
}

/// Maximum time for which a request may wait for others.
const MAX_DELAY: Duration = Duration::from_secs(1);
/// Maximum number of images in one run; more only cost memory.
const MAX_BATCH: usize = 65_536;
/// Maximum number of threads; more are a mistake.
const MAX_THREADS: usize = 1024;

impl ModelArgs {
    /// Checks the settings and reads the files.
    ///
    /// # Errors
    /// All faults at once.
    pub(crate) fn read(&self) -> Result<ModelConfig, ConfigFaults> {
        let mut faults = Vec::new();
        if let Some(args) = self.fetched(&mut faults) {
            return args.read();
        }
        let default = ModelConfig::default();
        let max_batch = self.max_batch.unwrap_or(default.max_batch);
        let max_request = match self.max_request {
            Some(stated) => stated,
            // The default does not exceed the number of items that may wait.
            None => default
                .max_request
                .min(self.max_queue.unwrap_or(usize::MAX))
                .max(max_batch),
        };
        let mut limit = |flag: &str, value: usize, low: usize, high: usize| {
            if !(low..=high).contains(&value) {
                faults.push(format!(
                    "{flag} is {value}, but must be from {low} to {high}"
                ));
            }
        };
        limit("--max-batch", max_batch, 1, MAX_BATCH);
        limit("--max-request", max_request, 1, MAX_BATCH);
        if let Some(stated) = self.max_queue {
            limit("--max-queue", stated, max_request, usize::MAX);
        }
        limit("--threads", self.threads.unwrap_or(1), 1, MAX_THREADS);
        let max_delay = self
            .max_delay_us
            .map_or(default.max_delay, Duration::from_micros);
        if max_delay > MAX_DELAY {
            faults.push(format!(
                "--max-delay-us is {}, but must be at most {}",
                max_delay.as_micros(),
                MAX_DELAY.as_micros()
            ));
        }
        let name = self.name(&mut faults);
        let threads = self.threads.unwrap_or_else(cores);
        let folder = self.folder(threads, &mut faults);
        let served = folder.unwrap_or_else(|| self.file(threads, &mut faults));
        if !faults.is_empty() {
            return Err(ConfigFaults { faults });
        }
        Ok(ModelConfig {
            name,
            served,
            threads,
            max_batch,
            max_request,
            max_queue: self.max_queue,
            max_delay,
        })
    }

    /// With `--hub`, the same settings for the folder into which the files are downloaded; a fault
    /// if they cannot be had.
    fn fetched(&self, faults: &mut Vec<String>) -> Option<Self> {
        let companions = [
            ("--revision", self.revision.is_some()),
            ("--cache-folder", self.cache_folder.is_some()),
        ];
        let Some(name) = &self.hub else {
            for (flag, _) in companions.into_iter().filter(|(_, given)| *given) {
                faults.push(format!(
                    "{flag} is of a model of the hub: give it with --hub NAME"
                ));
            }
            return None;
        };
        if self.model.is_some() || self.model_folder.is_some() {
            faults.push(
                "--hub says where the model is: leave --model and --model-folder away".into(),
            );
            return None;
        }
        let hub = Hub::from_env(self.cache_folder.clone());
        match hub.fetch(name, self.revision.as_deref()) {
            Ok(dir) => Some(Self {
                // The folder's own name is its commit, so the model is named after the hub's name.
                name: self.name.clone().or_else(|| {
                    let last = name.rsplit('/').next();
                    last.map(str::to_owned)
                }),
                model_folder: Some(dir),
                hub: None,
                revision: None,
                cache_folder: None,
                ..self.clone()
            }),
            Err(fault) => {
                faults.push(format!("--hub: {fault}"));
                None
            }
        }
    }

    /// The names of the flags that were given.
    pub(super) fn given(&self) -> Vec<String> {
        match settings::given(self) {
            Ok(given) => given
                .keys()
                .map(|key| format!("--{}", key.replace('_', "-")))
                .collect(),
            Err(_) => vec!["a path that is not Unicode".to_owned()],
        }
    }

    /// The same settings with relative paths taken from the folder `base`.
    pub(super) fn below(mut self, base: &Path) -> Self {
        let paths = [
            &mut self.model,
            &mut self.model_folder,
            &mut self.cache_folder,
            &mut self.labels,
        ];
        for path in paths.into_iter().flatten() {
            *path = base.join(&path);
        }
        self
    }

    /// The model's name: the given one, else the file's or folder's, else the embedded model's.
    fn name(&self, faults: &mut Vec<String>) -> String {
        let folder = self.model_folder.as_deref().and_then(Path::file_name);
        let stem = self.model.as_deref().and_then(Path::file_stem);
        let name = match (&self.name, folder.or(stem)) {
            (Some(name), _) => name.clone(),
            (None, Some(stem)) => stem.to_string_lossy().into_owned(),
            (None, None) => ModelConfig::default().name,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        // The name is a segment of the path; `.` and `..` would be steps.
        if name.is_empty() || !name.chars().all(plain) || name.chars().all(|c| c == '.') {
            faults.push(format!(
                "--name is `{name}`, but must be of letters, digits, `-`, `.` and `_`"
            ));
        }
        name
    }

    /// The image classifier in one file, or the embedded one.
    fn file(&self, threads: usize, faults: &mut Vec<String>) -> Served {
        let Some(path) = &self.model else {
            let useless = [
                ("--labels", self.labels.is_some()),
                ("--layout", self.layout.is_some()),
                ("--range", self.range.is_some()),
                ("--tensor", self.tensor.is_some()),
                ("--size", self.size.is_some()),
            ];
            for (flag, _) in useless.into_iter().filter(|(_, given)| *given) {
                faults.push(format!(
                    "{flag} describes a model: give it with --model FILE"
                ));
            }
            return Served::printed_digits(threads);
        };
        let model = read("--model", path, faults, |path| std::fs::read(path)).unwrap_or_default();
        let labels = self.label_names(faults).unwrap_or_default();
        let range = self.range.as_deref().unwrap_or("0:1").parse::<PixelRange>();
        let range = range.unwrap_or_else(|fault| {
            faults.push(format!("--range: {fault}"));
            PixelRange::UNIT
        });
        let size = self.image_size(faults);
        let options = ClassifierOptions {
            layout: match self.layout {
                Some(LayoutArg::Nhwc) => Layout::Nhwc,
                Some(LayoutArg::Nchw) | None => Layout::Nchw,
            },
            range,
            output: self.tensor.clone(),
            labels,
            size,
            threads,
        };
        Served::Classifier {
            onnx: Cow::Owned(model),
            options,
        }
    }

    /// Reads the lines of `--labels`.
    pub(super) fn label_names(&self, faults: &mut Vec<String>) -> Option<Vec<String>> {
        let path = self.labels.as_ref()?;
        let labels = read("--labels", path, faults, |path| {
            std::fs::read_to_string(path)
        })?;
        if labels.trim().is_empty() {
            faults.push(format!("--labels: {} is empty", path.display()));
        }
        Some(lines(&labels))
    }

    /// Reads `--size`.
    pub(super) fn image_size(&self, faults: &mut Vec<String>) -> Option<(usize, usize)> {
        let text = self.size.as_deref()?;
        let size = parse_size(text);
        if size.is_none() {
            faults.push(format!("--size is `{text}`, but must be like 224x224"));
        }
        size
    }
}

fn read<T>(
    flag: &str,
    path: &Path,
    faults: &mut Vec<String>,
    read: impl FnOnce(&Path) -> std::io::Result<T>,
) -> Option<T> {
    read(path)
        .map_err(|error| {
            faults.push(format!(
                "{flag}: {} cannot be read: {error}",
                path.display()
            ));
        })
        .ok()
}

/// Parses `HEIGHTxWIDTH`.
fn parse_size(text: &str) -> Option<(usize, usize)> {
    let side = |text: &str| text.parse().ok().filter(|side| (1..=4096).contains(side));
    let (height, width) = text.split_once('x')?;
    Some((side(height)?, side(width)?))
}
