//! `on-device`: the model's files are fetched once and run where the data are, by the crate
//! `inference`; in the browser this is a WebAssembly module of its own. The model is addressed like
//! a server of the Open Inference Protocol, so requests and answers are not written twice, but
//! nothing is sent.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Entry, Help, open_inference};
use crate::files::{ModelFile, NO_HASH, hash, is_hash, is_path};
use crate::{Layout, ModelSpec, PixelRange};
use ground::fault::Reader;
use ground::form::{FormField, FormKind};

/// The dialect as the registry lists it.
pub(super) const ENTRY: Entry = Entry {
    help: Help {
        spoken_by: "no API: an open model that runs in the data owners’ browsers",
        fields: &[FormField {
            help: "No other file is run. To compute it: sha256sum model.onnx",
            wide: true,
            images_only: true,
            ..FormField::new(
                "model.on_device.sha256",
                "SHA-256 of its file",
                FormKind::Text,
                "",
            )
        }],
        ..open_inference::HELP
    }
    .for_pages(),
    runs_here: true,
    ..open_inference::ENTRY
};

/// The files that a text model needs besides its network.
const NEEDED: [&str; 2] = ["config.json", "tokenizer.json"];
const NETWORKS: [&str; 2] = ["model.onnx", "onnx/model.onnx"];

/// The checked table `[model.on_device]`: which files to fetch and how to use them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OnDevice {
    /// The model's name in requests.
    pub name: String,
    /// The files, the network first.
    pub files: Vec<ModelFile>,
    /// What the model takes as its input.
    pub takes: Takes,
}

/// How the network is used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Takes {
    /// As a classifier of images.
    Images {
        /// Order of the dimensions of the network's input.
        layout: Layout,
        /// Number of pixels in a column, used if the file leaves it open.
        height: usize,
        /// Number of pixels in a row, used if the file leaves it open.
        width: usize,
        /// The numbers for black and white: a [`PixelRange`], as the task file writes it.
        range: String,
        /// The network's output that holds the scores.
        output: String,
    },
    /// As a text model.
    Texts {
        /// The network's output that is read; `None` chooses one that fits.
        output: Option<String>,
        /// Maximum number of tokens of a text; `None` takes the number in the model's files.
        max_tokens: Option<usize>,
        /// Divisor of the cosines of a sentence encoder.
        temperature: f32,
    },
}

impl OnDevice {
    /// Reads `[model.on_device]` of a task whose `[model]` is `spec`; `None` with another dialect.
    pub fn read(r: &mut Reader<'_>, spec: &ModelSpec, of_texts: bool) -> Option<Self> {
        if !spec.own.runs_here() {
            return None;
        }
        let name = &spec.name;
        if !is_path(name) || name.contains('/') || !(of_texts || name.ends_with(".onnx")) {
            let what = if of_texts {
                "a folder of letters, digits, or - _ . below model.url"
            } else {
                "a file of letters, digits, or - _ . below model.url that ends with .onnx"
            };
            r.fault("name", format!("must be {what}"));
        }
        Some(r.table("on_device", |r| Self {
            name: name.clone(),
            files: if of_texts {
                files(r, name)
            } else {
                vec![ModelFile {
                    path: name.clone(),
                    address: name.clone(),
                    sha256: hash(r, "sha256"),
                }]
            },
            takes: if of_texts { texts(r) } else { images(r, spec) },
        }))
    }
}

fn images(r: &mut Reader<'_>, spec: &ModelSpec) -> Takes {
    let range = r.text("range", Some("0:1"));
    if let Err(message) = range.parse::<PixelRange>() {
        r.fault("range", message);
    }
    Takes::Images {
        layout: spec.input.layout,
        height: spec.input.height,
        width: spec.input.width,
        range,
        output: spec.output.name.clone(),
    }
}

fn texts(r: &mut Reader<'_>) -> Takes {
    let has_tokens = r.has("max_tokens");
    Takes::Texts {
        output: r.has("output").then(|| r.text("output", None)),
        max_tokens: has_tokens.then(|| r.whole("max_tokens", 8..=1 << 20, None) as usize),
        temperature: r.number("temperature", 1e-6..=1e6, Some(0.05)),
    }
}

/// Reads `[model.on_device.files]`, which maps paths to hashes. The network comes first.
fn files(r: &mut Reader<'_>, folder: &str) -> Vec<ModelFile> {
    let mut found = Vec::new();
    match r.raw("files") {
        Some(Value::Object(table)) => {
            for (path, sha256) in table {
                let sha256 = sha256.as_str().unwrap_or_default();
                if !is_path(path) {
                    let message =
                        "must be a path of letters, digits, or - _ . and / in the model's folder";
                    r.fault(&format!("files.{path}"), message);
                }
                if !is_hash(sha256) {
                    r.fault(&format!("files.{path}"), NO_HASH);
                }
                found.push(ModelFile {
                    path: path.clone(),
                    address: format!("{folder}/{path}"),
                    sha256: sha256.to_owned(),
                });
            }
        }
        _ => {
            let message = "must be a table of the model's files and their SHA-256, such as \"config.json\" = \"…\"";
            r.fault("files", message);
            return found;
        }
    }
    for name in NEEDED {
        if !found.iter().any(|file| file.path == name) {
            r.fault("files", format!("must hold {name}"));
        }
    }
    let is_network = |file: &ModelFile| NETWORKS.contains(&&*file.path);
    match found.iter().position(is_network) {
        Some(at) => found.swap(0, at),
        None => r.fault("files", format!("must hold {}", NETWORKS.join(" or "))),
    }
    found
}
