//! The checked configuration of a server.

use std::borrow::Cow;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::args::ModelArgs;
use crate::faults::ConfigFaults;
use crate::{ClassifierOptions, ClipOptions, TextOptions};

/// The default model, which reads printed digits and has never seen handwriting, as an ONNX file.
/// It takes `image` (FP32, `[batch, 3, 32, 32]`, 0 to 1) and answers `logits` (`[batch, 10]`).
pub const PRINTED_DIGITS: &[u8] = include_bytes!("../models/printed-digits/printed-digits.onnx");

/// The labels of [`PRINTED_DIGITS`], one a line.
pub const PRINTED_DIGITS_LABELS: &str = include_str!("../models/printed-digits/labels.txt");

/// The kind of a model, and its files.
#[derive(Clone, Debug, PartialEq)]
pub enum Served {
    /// An image classifier in one file.
    Classifier {
        /// The ONNX file's bytes.
        onnx: Cow<'static, [u8]>,
        /// How to use the file.
        options: ClassifierOptions,
    },
    /// A sentence encoder or a masked language model.
    Text {
        /// Folder with `config.json`, `tokenizer.json` and `model.onnx`.
        dir: PathBuf,
        /// How to use the folder.
        options: TextOptions,
        /// Labels by which texts are classified if a request brings none; empty if they are not
        /// classified.
        labels: Vec<String>,
        /// For a sentence encoder, the template into which these labels are put, at `{}`. For a
        /// masked language model, the template into which a text is put, with the mask. `None` uses
        /// labels and texts as they are.
        template: Option<String>,
    },
    /// A pair of an image and a text encoder, as a classifier of images.
    Clip {
        /// Folder with the files that [`Classifier::load_clip`](crate::Classifier::load_clip)
        /// needs.
        dir: PathBuf,
        /// How to use the folder.
        options: ClipOptions,
    },
}

impl Served {
    /// Serves [`PRINTED_DIGITS`].
    #[must_use]
    pub fn printed_digits(threads: usize) -> Self {
        Self::Classifier {
            onnx: Cow::Borrowed(PRINTED_DIGITS),
            options: ClassifierOptions {
                labels: lines(PRINTED_DIGITS_LABELS),
                threads,
                ..ClassifierOptions::default()
            },
        }
    }
}

/// One model and its limits. The default is [`PRINTED_DIGITS`].
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The model's name in the protocol.
    pub name: String,
    /// The model's kind and files.
    pub served: Served,
    /// Maximum number of parallel runs.
    pub threads: usize,
    /// Maximum number of images or texts in one run of the model.
    pub max_batch: usize,
    /// Maximum number of images in one request, which may take several runs. The texts of a request
    /// must fit into one run.
    pub max_request: usize,
    /// Maximum number of images or texts that wait; beyond it requests are refused with 503. It is
    /// at least the size of one request. The default depends on memory: 4096 texts; 16,384 images,
    /// or as many as fit into 1 GiB.
    pub max_queue: Option<usize>,
    /// How long the first waiting request waits for others that could share its run.
    pub max_delay: Duration,
}

/// Default number of texts that may wait.
pub(crate) const QUEUE: usize = 4096;
/// Default number of images that may wait, if they fit into [`QUEUE_BYTES`].
pub(crate) const IMAGE_QUEUE: usize = 16_384;
/// Maximum memory of the default queue of images; see [`IMAGE_QUEUE`].
pub(crate) const QUEUE_BYTES: usize = 1 << 30;

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            name: "printed-digits".into(),
            served: Served::printed_digits(cores()),
            threads: cores(),
            max_batch: 256,
            max_request: 2048,
            max_queue: None,
            max_delay: Duration::from_millis(1),
        }
    }
}

/// Where models are described, so that their description can be read again.
#[derive(Clone, Debug)]
pub enum ModelSource {
    /// One model, described by flags.
    Flags(Box<ModelArgs>),
    /// Several models, described in a TOML file.
    File(PathBuf),
}

impl ModelSource {
    /// Reads the current descriptions of the models.
    ///
    /// # Errors
    /// All faults at once.
    pub fn read(&self) -> Result<Vec<ModelConfig>, ConfigFaults> {
        match self {
            Self::Flags(args) => args.read().map(|model| vec![model]),
            Self::File(path) => crate::args::read_file(path),
        }
    }
}

/// The configuration of a server: what to serve, to whom, and within which limits. The default
/// serves [`PRINTED_DIGITS`], and no web page may call it.
#[derive(Clone, Debug)]
pub struct ModelApiConfig {
    /// Address at which the caller should bind the listener for [`run`](crate::run).
    pub listen: SocketAddr,
    /// The models; each has its own name.
    pub models: Vec<ModelConfig>,
    /// Where the models are described, so that they can be reloaded. With `None`, `models` never
    /// change.
    pub source: Option<ModelSource>,
    /// The file of API keys; without it anyone may call.
    pub keys: Option<PathBuf>,
    /// Origins (`https://host`, without a path) whose pages may call; `*` allows all. Callers other
    /// than browsers are not restricted by this.
    pub allow_origins: Vec<String>,
    /// Maximum number of bytes in a request's body.
    pub max_body: usize,
    /// Maximum number of pixels of all pictures in one request together, as their headers say,
    /// before any is decoded.
    pub max_pixels: u64,
    /// Whether SIGHUP makes this server read models and keys again. The signal is sent to the whole
    /// process.
    pub reload_on_hangup: bool,
}

impl Default for ModelApiConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8701)),
            models: vec![ModelConfig::default()],
            source: None,
            keys: None,
            allow_origins: Vec::new(),
            max_body: 32 << 20,
            max_pixels: crate::picture::REQUEST_PIXELS,
            reload_on_hangup: false,
        }
    }
}

/// The lines of a labels file, without blank lines at the end.
pub(crate) fn lines(text: &str) -> Vec<String> {
    text.trim_end()
        .lines()
        .map(|line| line.trim().to_owned())
        .collect()
}

/// Number of processor cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}
