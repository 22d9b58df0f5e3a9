//! `fed-bbpt model-api`: flags, and what they come to.

mod folder;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use shared::model_api::Layout;
use thiserror::Error;
use url::Url;

use crate::config::{cores, lines};
use crate::{ClassifierOptions, ModelApiConfig, PixelRange, TextKind};

/// Serves an image classifier or a text model over the Open Inference Protocol. Without --model and
/// --model-dir, a small network that has only ever seen printed digits.
#[derive(Clone, Debug, Args)]
pub struct ModelApiArgs {
    /// Where to listen, HOST:PORT; port 0 takes any free port
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8701")]
    pub listen: String,

    /// The model: an image classifier in ONNX, in one file
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,

    /// A model in a folder, as the Hugging Face hub has them: a sentence encoder or masked language model
    /// (config.json, tokenizer.json, model.onnx or onnx/model.onnx), or a pair like CLIP
    /// (vision_model.onnx, text_model.onnx, preprocessor_config.json), which takes images
    #[arg(long, value_name = "DIR")]
    pub model_dir: Option<PathBuf>,

    /// What the text model is [default: found out from its files]
    #[arg(long, value_enum)]
    pub kind: Option<TextKind>,

    /// Tokens that are kept of a text [default: what the model's files say]
    #[arg(long, value_name = "TOKENS")]
    pub max_tokens: Option<usize>,

    /// What cosines are divided by [default: 0.05; for pairs like CLIP 0.01]
    #[arg(long)]
    pub temperature: Option<f32>,

    /// Embeddings that a sentence encoder keeps [default: 16384]
    #[arg(long, value_name = "EMBEDDINGS")]
    pub cache: Option<usize>,

    /// For pairs like CLIP: what the labels are put into, at `{}` [default: a photo of a {}.]
    #[arg(long)]
    pub template: Option<String>,

    /// Names of the classes, one a line, in order
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,

    /// The model's name in the protocol [default: the file's or folder's name]
    #[arg(long)]
    pub name: Option<String>,

    /// Order of the dimensions of the model's input, and of the images sent [default: nchw]
    #[arg(long, value_enum)]
    pub layout: Option<LayoutArg>,

    /// What the model wants black and white to be: 0:1, -1:1, 0:255, any LOW:HIGH, or imagenet
    /// [default: 0:1]
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    pub range: Option<String>,

    /// The model's output that holds the scores [default: its first]
    #[arg(long)]
    pub output: Option<String>,

    /// Height and width of an image, if the model leaves them open
    #[arg(long, value_name = "HEIGHTxWIDTH")]
    pub size: Option<String>,

    /// Origin whose pages may call, for example https://example.org; may be given several times; `*`
    /// allows every page
    #[arg(long, value_name = "ORIGIN")]
    pub allow_origin: Vec<String>,

    /// Most images or texts in one request and in one run of the model
    #[arg(long, value_name = "COUNT", default_value_t = 256)]
    pub max_batch: usize,

    /// Most images or texts that wait; beyond them requests get 503 and Retry-After
    #[arg(long, value_name = "COUNT", default_value_t = 4096)]
    pub max_queue: usize,

    /// How long a request waits for others to share its run, in microseconds
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 1000)]
    pub max_delay_us: u64,

    /// Threads that run the model [default: the processor's cores]
    #[arg(long)]
    pub threads: Option<usize>,

    /// Most bytes in a request's body
    #[arg(long, value_name = "BYTES", default_value_t = 32 << 20)]
    pub max_body: usize,
}

/// `--layout`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LayoutArg {
    /// batch, channel, row, column
    Nchw,
    /// batch, row, column, channel
    Nhwc,
}

/// Everything that is wrong with the flags, at least one fault.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{}", .faults.join("\n"))]
pub struct ConfigFaults {
    /// Each with the flag's name and what to do.
    pub faults: Vec<String>,
}

/// Longest time that a request may be made to wait for others.
const MAX_DELAY: Duration = Duration::from_secs(1);
/// More images than this in one run only cost memory.
const MAX_BATCH: usize = 65_536;
/// More threads than this are a mistake.
const MAX_THREADS: usize = 1024;

impl ModelApiArgs {
    /// Checks the flags and reads the files.
    ///
    /// # Errors
    /// All faults at once.
    pub fn into_config(self) -> Result<ModelApiConfig, ConfigFaults> {
        let mut faults = Vec::new();
        let default = ModelApiConfig::default();
        let listen = parse_listen(&self.listen, &mut faults).unwrap_or(default.listen);
        check_origins(&self.allow_origin, &mut faults);
        let mut limit = |flag: &str, value: usize, low: usize, high: usize| {
            if !(low..=high).contains(&value) {
                faults.push(format!(
                    "{flag} is {value}, but must be from {low} to {high}"
                ));
            }
        };
        limit("--max-batch", self.max_batch, 1, MAX_BATCH);
        limit("--max-queue", self.max_queue, self.max_batch, usize::MAX);
        limit("--threads", self.threads.unwrap_or(1), 1, MAX_THREADS);
        limit("--max-body", self.max_body, 1024, 1 << 40);
        let max_delay = Duration::from_micros(self.max_delay_us);
        if max_delay > MAX_DELAY {
            faults.push(format!(
                "--max-delay-us is {}, but must be at most {}",
                self.max_delay_us,
                MAX_DELAY.as_micros()
            ));
        }
        let name = self.name(&mut faults);
        let threads = self.threads.unwrap_or_else(cores);
        let folder = self.folder(threads, &mut faults);
        let (model, mut classifier) = self.model(default, &mut faults);
        classifier.threads = threads;
        if !faults.is_empty() {
            return Err(ConfigFaults { faults });
        }
        Ok(ModelApiConfig {
            listen,
            name,
            model,
            classifier,
            folder,
            allow_origins: self.allow_origin,
            max_batch: self.max_batch,
            max_queue: self.max_queue,
            max_delay,
            max_body: self.max_body,
        })
    }

    /// The model's name: as given, else the file's or folder's, else the embedded model's.
    fn name(&self, faults: &mut Vec<String>) -> String {
        let folder = self.model_dir.as_deref().and_then(Path::file_name);
        let stem = self.model.as_deref().and_then(Path::file_stem);
        let name = match (&self.name, folder.or(stem)) {
            (Some(name), _) => name.clone(),
            (None, Some(stem)) => stem.to_string_lossy().into_owned(),
            (None, None) => ModelApiConfig::default().name,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        // The name is a segment of the path; `.` and `..` would be read as steps.
        if name.is_empty() || !name.chars().all(plain) || name.chars().all(|c| c == '.') {
            faults.push(format!(
                "--name is `{name}`, but must be of letters, digits, `-`, `.` and `_`"
            ));
        }
        name
    }

    /// The model's bytes and how to use them.
    fn model(
        &self,
        default: ModelApiConfig,
        faults: &mut Vec<String>,
    ) -> (Cow<'static, [u8]>, ClassifierOptions) {
        let Some(path) = &self.model else {
            if self.model_dir.is_some() {
                return (default.model, default.classifier);
            }
            let useless = [
                ("--labels", self.labels.is_some()),
                ("--layout", self.layout.is_some()),
                ("--range", self.range.is_some()),
                ("--output", self.output.is_some()),
                ("--size", self.size.is_some()),
            ];
            for (flag, _) in useless.into_iter().filter(|(_, given)| *given) {
                faults.push(format!(
                    "{flag} describes a model: give it with --model FILE"
                ));
            }
            return (default.model, default.classifier);
        };
        let model = read("--model", path, faults, |path| std::fs::read(path)).unwrap_or_default();
        let labels = self.labels.as_ref().and_then(|path| {
            let labels = read("--labels", path, faults, |path| {
                std::fs::read_to_string(path)
            })?;
            if labels.trim().is_empty() {
                faults.push(format!("--labels: {} is empty", path.display()));
            }
            Some(lines(&labels))
        });
        let range = self.range.as_deref().unwrap_or("0:1").parse::<PixelRange>();
        let range = range.unwrap_or_else(|fault| {
            faults.push(format!("--range: {fault}"));
            PixelRange::UNIT
        });
        let size = self.size.as_deref().and_then(|text| {
            let size = parse_size(text);
            if size.is_none() {
                faults.push(format!("--size is `{text}`, but must be like 224x224"));
            }
            size
        });
        let options = ClassifierOptions {
            layout: match self.layout {
                Some(LayoutArg::Nhwc) => Layout::Nhwc,
                Some(LayoutArg::Nchw) | None => Layout::Nchw,
            },
            range,
            output: self.output.clone(),
            labels: labels.unwrap_or_default(),
            size,
            threads: 1,
        };
        (Cow::Owned(model), options)
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

/// `localhost` too, though it is no address.
fn parse_listen(text: &str, faults: &mut Vec<String>) -> Option<SocketAddr> {
    let numeric = text
        .strip_prefix("localhost:")
        .map(|port| format!("127.0.0.1:{port}"));
    let address = numeric.as_deref().unwrap_or(text).parse().ok();
    if address.is_none() {
        faults.push(format!(
            "--listen is `{text}`, but must be an address and a port, like 127.0.0.1:8701 or [::1]:8701"
        ));
    }
    address
}

/// `HEIGHTxWIDTH`
fn parse_size(text: &str) -> Option<(usize, usize)> {
    let side = |text: &str| text.parse().ok().filter(|side| (1..=4096).contains(side));
    let (height, width) = text.split_once('x')?;
    Some((side(height)?, side(width)?))
}

/// Browsers send origins in one exact form; any other would never match.
fn check_origins(origins: &[String], faults: &mut Vec<String>) {
    for origin in origins.iter().filter(|origin| *origin != "*") {
        let parsed = Url::parse(origin)
            .ok()
            .filter(|url| ["http", "https"].contains(&url.scheme()));
        match parsed.map(|url| url.origin().ascii_serialization()) {
            Some(exact) if exact == *origin => {}
            Some(exact) => faults.push(format!(
                "--allow-origin is `{origin}`, but browsers send `{exact}`; write it like that"
            )),
            None => faults.push(format!(
                "--allow-origin is `{origin}`, but must be like https://example.org, or * for every page"
            )),
        }
    }
    if origins.len() > 1 && origins.iter().any(|origin| origin == "*") {
        faults.push("--allow-origin * already allows every page: leave the others away".into());
    }
}
