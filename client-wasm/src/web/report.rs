//! Messages to the page (`protocol.ts`), and errors in words.

use ground::image::rgba_of;
use serde::Serialize;
use serde_json::{Value, json};

use super::host::Host;

/// The part of the page to which an error belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// Opening the federation.
    Open,
    /// The model API.
    Model,
    /// The owner's data.
    Data,
    /// The training.
    Training,
    /// The browser's storage.
    Storage,
}

/// An error as the page shows it: what happened, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// A stable code for programs.
    pub code: String,
    /// What happened, in one line.
    pub title: String,
    /// What to do.
    pub detail: String,
    /// The part of the page that shows it.
    #[serde(rename = "where")]
    pub area: Area,
}

impl Trouble {
    /// Makes an error.
    pub fn new(
        area: Area,
        code: impl Into<String>,
        title: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            code: code.into(),
            title: title.into(),
            detail: detail.into(),
            area,
        }
    }
}

/// Bytes for the page, mostly pixels: a message refers to each buffer by its place here.
#[derive(Default)]
pub struct Buffers(Vec<js_sys::Uint8ClampedArray>);

impl Buffers {
    /// Adds planar RGB bytes as RGBA; returns the JSON that stands for them in the message.
    pub fn add(&mut self, planar: &[u8]) -> Value {
        self.add_bytes(&rgba_of(planar))
    }

    /// Adds bytes as they are; returns the JSON that stands for them in the message.
    pub fn add_bytes(&mut self, bytes: &[u8]) -> Value {
        self.0.push(js_sys::Uint8ClampedArray::from(bytes));
        json!({ "$bytes": self.0.len() - 1 })
    }
}

/// Posts a message without buffers.
pub fn post(host: &Host, message: &Value) {
    host.post(&message.to_string(), Vec::new());
}

/// Posts a message with buffers.
pub fn post_with(host: &Host, message: &Value, buffers: Buffers) {
    host.post(&message.to_string(), buffers.0);
}

/// Posts an error.
pub fn trouble(host: &Host, trouble: &Trouble) {
    post(host, &json!({ "type": "trouble", "trouble": trouble }));
}
