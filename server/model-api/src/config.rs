//! Everything that a server needs to know, already checked.

use std::borrow::Cow;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::args::ModelArgs;
use crate::faults::ConfigFaults;
use crate::{ClassifierOptions, ClipOptions, TextOptions};

/// The model that is served if no other is given: reads printed digits, has never seen handwriting.
/// ONNX; takes `image` (FP32, `[batch, 3, 32, 32]`, 0 to 1), answers `logits` (`[batch, 10]`).
pub const PRINTED_DIGITS: &[u8] = include_bytes!("../models/printed-digits/printed-digits.onnx");

/// The labels of [`PRINTED_DIGITS`], one a line.
pub const PRINTED_DIGITS_LABELS: &str = include_str!("../models/printed-digits/labels.txt");

/// What kind of model, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Served {
    /// An image classifier in one file.
    Classifier {
        /// The ONNX file's bytes.
        onnx: Cow<'static, [u8]>,
        /// How to use them.
        options: ClassifierOptions,
    },
    /// A sentence encoder or a masked language model.
    Text {
        /// Where `config.json`, `tokenizer.json` and `model.onnx` stand.
        dir: PathBuf,
        /// How to use them.
        options: TextOptions,
        /// What texts are classified by where a request brings no labels; empty if they are not.
        labels: Vec<String>,
        /// For a sentence encoder: what these labels are put into, at `{}`. For a masked language model: what a text
        /// is put into, with the mask. As they are if not given.
        template: Option<String>,
    },
    /// A pair of an image and a text encoder, as a classifier of images.
    Clip {
        /// Where the files stand that [`Classifier::load_clip`](crate::Classifier::load_clip) needs.
        dir: PathBuf,
        /// How to use them.
        options: ClipOptions,
    },
}

impl Served {
    /// [`PRINTED_DIGITS`].
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
    /// The model.
    pub served: Served,
    /// How many runs of it there may be side by side.
    pub threads: usize,
    /// Most images or texts in one run of the model.
    pub max_batch: usize,
    /// Most images in one request, which may take several runs. Texts: as many as a run takes.
    pub max_request: usize,
    /// Most images or texts that wait; beyond them requests are refused with 503. At least a request's; unless stated
    /// what the memory allows: 4096 texts; 16,384 images, or as many as fit into 1 GiB.
    pub max_queue: Option<usize>,
    /// How long the first waiting request waits for others to share its run.
    pub max_delay: Duration,
}

/// Texts that may wait unless stated.
pub(crate) const QUEUE: usize = 4096;
/// Images that may wait unless stated, if so many fit into [`QUEUE_BYTES`] as the model takes them.
pub(crate) const IMAGE_QUEUE: usize = 16_384;
/// See [`IMAGE_QUEUE`].
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

/// Where models are described, so that they can be read again.
#[derive(Clone, Debug)]
pub enum ModelSource {
    /// One model, by flags.
    Flags(Box<ModelArgs>),
    /// Several, in a TOML file.
    File(PathBuf),
}

impl ModelSource {
    /// The models as they are described now.
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

/// What to serve, to whom, and within which limits. The default serves [`PRINTED_DIGITS`] to no page.
#[derive(Clone, Debug)]
pub struct ModelApiConfig {
    /// Where the caller should bind the listener that [`run`](crate::run) is given.
    pub listen: SocketAddr,
    /// The models, each with a name of its own.
    pub models: Vec<ModelConfig>,
    /// Where they are described, to be read again when they are loaded anew; if not given, `models` stay what they are.
    pub source: Option<ModelSource>,
    /// The file of API keys; without it everybody may call.
    pub keys: Option<PathBuf>,
    /// Origins (`https://host`, without a path) whose pages may call; `*` allows all. Callers that
    /// are no browsers are not restricted by this.
    pub allow_origins: Vec<String>,
    /// Most bytes in a request's body.
    pub max_body: usize,
    /// Whether SIGHUP makes this server read models and keys again. It is the whole process's signal.
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
            reload_on_hangup: false,
        }
    }
}

/// The lines of a labels file; blank lines at the end do not count.
pub(crate) fn lines(text: &str) -> Vec<String> {
    text.trim_end()
        .lines()
        .map(|line| line.trim().to_owned())
        .collect()
}

/// Processor cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}
