//! Everything that a server needs to know, already checked.

use std::borrow::Cow;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::{ClassifierOptions, ClipOptions, TextOptions};

/// The model that is served if no other is given: reads printed digits, has never seen handwriting.
/// ONNX; takes `image` (FP32, `[batch, 3, 32, 32]`, 0 to 1), answers `logits` (`[batch, 10]`).
pub const PRINTED_DIGITS: &[u8] = include_bytes!("../models/printed-digits/printed-digits.onnx");

/// The labels of [`PRINTED_DIGITS`], one a line.
pub const PRINTED_DIGITS_LABELS: &str = include_str!("../models/printed-digits/labels.txt");

/// A model in a folder.
#[derive(Clone, Debug, PartialEq)]
pub enum Served {
    /// A sentence encoder or a masked language model.
    Text {
        /// Where `config.json`, `tokenizer.json` and `model.onnx` stand.
        dir: PathBuf,
        /// How to use them.
        options: TextOptions,
    },
    /// A pair of an image and a text encoder, as a classifier of images.
    Clip {
        /// Where the files stand that [`Classifier::load_clip`](crate::Classifier::load_clip) needs.
        dir: PathBuf,
        /// How to use them.
        options: ClipOptions,
    },
}

/// What to serve, to whom, and within which limits. The default serves [`PRINTED_DIGITS`] to no page.
#[derive(Clone, Debug)]
pub struct ModelApiConfig {
    /// Where the caller should bind the listener that [`run`](crate::run) is given.
    pub listen: SocketAddr,
    /// The model's name in the protocol.
    pub name: String,
    /// The ONNX file's bytes.
    pub model: Cow<'static, [u8]>,
    /// How to use them. `threads` here is how many threads run the model in total.
    pub classifier: ClassifierOptions,
    /// A model in a folder, served instead of `model`.
    pub folder: Option<Served>,
    /// Origins (`https://host`, without a path) whose pages may call; `*` allows all. Callers that
    /// are no browsers are not restricted by this.
    pub allow_origins: Vec<String>,
    /// Most images or texts in one request, and in one run of the model.
    pub max_batch: usize,
    /// Most images or texts that wait; beyond them requests are refused with 503. At least `max_batch`.
    pub max_queue: usize,
    /// How long the first waiting request waits for others to share its run.
    pub max_delay: Duration,
    /// Most bytes in a request's body.
    pub max_body: usize,
}

impl Default for ModelApiConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8701)),
            name: "printed-digits".into(),
            model: Cow::Borrowed(PRINTED_DIGITS),
            classifier: ClassifierOptions {
                labels: lines(PRINTED_DIGITS_LABELS),
                threads: cores(),
                ..ClassifierOptions::default()
            },
            folder: None,
            allow_origins: Vec::new(),
            max_batch: 256,
            max_queue: 4096,
            max_delay: Duration::from_millis(1),
            max_body: 32 << 20,
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
