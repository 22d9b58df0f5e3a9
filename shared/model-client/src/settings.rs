//! The settings of a task file for calls to its model: `[model.calls]`, `[model.price]`, and how
//! images are sent.

use serde::{Deserialize, Serialize};

use ground::fault::Reader;

/// How an image is sent, beyond the type and layout of its tensor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[serde(deny_unknown_fields, default)]
pub struct Sent {
    /// Whether as numbers or as a file, and which kind of file.
    pub encoding: Encoding,
    /// Quality of a JPEG file, from 1 to 100.
    pub quality: u8,
    /// Whether one channel, the luma, is sent instead of three.
    pub grey: bool,
    /// Whether the tensor has the two dimensions `[batch, channels · height · width]` instead of
    /// four, as models of tabular data take it.
    pub flat: bool,
    /// Whether there is no batch dimension, and one image in each request.
    pub unbatched: bool,
    /// Whether numbers are sent as JSON, for servers without the protocol's binary extension.
    pub json: bool,
}

impl Sent {
    /// Reads `encoding`, `quality`, `colour`, `flat`, `unbatched` and `json` of `[model.input]`.
    /// `of_protocol` means that the dialect sends tensors.
    pub fn read(r: &mut Reader<'_>, of_protocol: bool) -> Self {
        if !of_protocol {
            return Self {
                encoding: Encoding::FILES[r.choice("encoding", &Encoding::NAMES, Some("png"))],
                quality: r.whole("quality", 1..=100, Some(90)) as u8,
                ..Self::default()
            };
        }
        r.choice("encoding", &["tensor"], Some("tensor"));
        Self {
            grey: r.choice("colour", &["rgb", "grey"], Some("rgb")) == 1,
            flat: r.flag("flat", false),
            unbatched: r.flag("unbatched", false),
            json: r.flag("json", false),
            ..Self::default()
        }
    }

    /// Number of channels of the tensor: 1 or 3.
    #[must_use]
    pub fn channels(&self) -> usize {
        if self.grey { 1 } else { 3 }
    }
}

/// The encoding of an image in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Numbers, in the Open Inference Protocol only.
    #[default]
    Tensor,
    /// A PNG file, lossless.
    Png,
    /// A JPEG file, lossy: the model sees other pixels than the prompt generator made.
    Jpeg,
    /// A WebP file, lossless.
    Webp,
}

impl Encoding {
    /// Names of the file encodings in a task file, in the order of [`Encoding::FILES`].
    pub const NAMES: [&'static str; 3] = ["png", "jpeg", "webp"];
    /// The encodings that are files.
    pub const FILES: [Self; 3] = [Self::Png, Self::Jpeg, Self::Webp];

    /// The media type of a file, such as `image/png`.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Tensor => "application/octet-stream",
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
        }
    }
}

/// The table `[model.calls]`: limits within which the pace is learnt from the server's answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[serde(deny_unknown_fields, default)]
pub struct Calls {
    /// Maximum number of requests under way at the same time.
    pub concurrency: u32,
    /// Maximum number of inputs in one request; 0 leaves it to the server's description.
    pub batch: u32,
    /// Maximum number of requests per second; 0 for no limit.
    pub per_second: f32,
    /// Milliseconds after which a request is given up.
    pub time_out_ms: u32,
    /// Number of answers that are cached for inputs that come again; 0 for none.
    pub cache: u32,
}

/// Default number of requests under way: an HTTP/2 server usually allows 100 streams.
const CONCURRENCY: u32 = 64;

impl Default for Calls {
    fn default() -> Self {
        Self {
            concurrency: CONCURRENCY,
            batch: 0,
            per_second: 0.0,
            time_out_ms: 30_000,
            cache: 0,
        }
    }
}

impl Calls {
    /// Reads `[model.calls]`; `cache` is the default number of cached answers.
    pub fn read(r: &mut Reader<'_>, cache: u64) -> Self {
        let per_second = r.number("per_second", 0.0..=1e5, Some(0.0));
        if per_second > 0.0 && per_second < 0.001 {
            r.fault("per_second", "must be 0, for no limit, or at least 0.001");
        }
        Self {
            concurrency: r.whole("concurrency", 1..=1024, Some(CONCURRENCY.into())) as u32,
            batch: r.whole("batch", 0..=4096, Some(0)) as u32,
            per_second,
            time_out_ms: r.whole("time_out_ms", 100..=600_000, Some(30_000)) as u32,
            cache: r.whole("cache", 0..=1_000_000, Some(cache)) as u32,
        }
    }
}

/// The table `[model.price]`: what calls cost the owner of the API key, and the maximum cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Currency as people write it, such as `USD`.
    pub currency: String,
    /// Price of one request.
    pub per_call: f64,
    /// Price of one input.
    pub per_query: f64,
    /// Price of a million tokens sent, as the API counts them.
    pub per_million_input_tokens: f64,
    /// Price of a million tokens answered.
    pub per_million_output_tokens: f64,
    /// Maximum amount that one participant spends; 0 for no limit.
    pub budget: f64,
}

impl Price {
    /// Reads `[model.price]`.
    pub fn read(r: &mut Reader<'_>) -> Self {
        let currency = r.text("currency", Some("USD"));
        if currency.is_empty() || currency.chars().count() > 8 {
            r.fault("currency", "must be 1 to 8 characters, such as USD");
        }
        let mut amount = |key| r.exact_number(key, 0.0..=1e9, Some(0.0));
        Self {
            per_call: amount("per_call"),
            per_query: amount("per_query"),
            per_million_input_tokens: amount("per_million_input_tokens"),
            per_million_output_tokens: amount("per_million_output_tokens"),
            budget: amount("budget"),
            currency,
        }
    }
}
