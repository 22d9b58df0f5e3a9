//! `dialect = "on-device"`: the model's files are fetched once and run where the data are, by the crate `inference`, in
//! the browser in a WebAssembly module of its own. It is spoken to as to any server of the Open Inference Protocol, so
//! that nothing of requests and answers is written twice; only nothing is sent.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::files::{ModelFile, NO_HASH, hash, is_hash, is_path};
use super::{Layout, ModelSpec, PixelRange};
use crate::fault::Reader;

/// The dialect's name in a task file.
pub const NAME: &str = "on-device";

/// Texts need these, and a network.
const NEEDED: [&str; 2] = ["config.json", "tokenizer.json"];
const NETWORKS: [&str; 2] = ["model.onnx", "onnx/model.onnx"];

/// What to fetch and how to use it: `[model.on_device]`, checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OnDevice {
    /// The model's name in requests.
    pub name: String,
    /// The network first.
    pub files: Vec<ModelFile>,
    /// What the model takes.
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
        /// Pixels in a column, where the file leaves it open.
        height: usize,
        /// Pixels in a row, likewise.
        width: usize,
        /// What black and white become: a [`PixelRange`], as written.
        range: String,
        /// The network's output that holds the scores.
        output: String,
    },
    /// As a text model.
    Texts {
        /// The network's output that is read; the fitting one if not given.
        output: Option<String>,
        /// Tokens that are kept of a text; what the files say if not given.
        max_tokens: Option<usize>,
        /// What cosines are divided by.
        temperature: f32,
    },
}

impl OnDevice {
    /// Reads `[model.on_device]` of a task whose `[model]` is `spec`; nothing in another dialect.
    pub(crate) fn read(r: &mut Reader<'_>, spec: &ModelSpec, of_texts: bool) -> Option<Self> {
        if spec.dialect != NAME {
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

/// `[model.on_device.files]`: path → hash. The network comes first.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Task;
    use serde_json::json;

    fn task(change: impl FnOnce(&mut Value)) -> Result<Task, Vec<String>> {
        let mut source = json!({
            "name": "Digits",
            "model": { "dialect": "on-device", "url": "http://127.0.0.1:8700/models",
                "name": "printed-digits.onnx", "input": { "height": 32, "width": 32 },
                "output": { "classes": 3 }, "on_device": { "sha256": "0".repeat(64) } },
            "data": { "labels": ["a", "b", "c"] },
        });
        change(&mut source);
        Task::from_value(source).map_err(|faults| faults.0.into_iter().map(|f| f.path).collect())
    }

    fn texts(files: Value) -> Result<Task, Vec<String>> {
        task(|source| {
            source["model"] = json!({ "dialect": "on-device", "url": "https://example.org",
                "name": "minilm", "input": { "kind": "text" }, "on_device": { "files": files } });
            source["text"] = json!({ "template": "It is {}." });
            source["generator"] = json!({ "candidates": ["", "news", "all"], "positions": 2 });
        })
    }

    #[test]
    fn one_file_holds_a_classifier() {
        let own = task(|_| {}).unwrap().on_device.unwrap();
        let file = ModelFile {
            path: "printed-digits.onnx".into(),
            address: "printed-digits.onnx".into(),
            sha256: "0".repeat(64),
        };
        assert_eq!(own.files, [file]);
        let Takes::Images { range, output, .. } = &own.takes else {
            panic!("{own:?}")
        };
        assert_eq!((range.as_str(), output.as_str()), ("0:1", "logits"));
        let json = serde_json::to_string(&own).unwrap();
        assert_eq!(serde_json::from_str::<OnDevice>(&json).unwrap(), own);
    }

    #[test]
    fn a_folder_holds_a_text_model_and_its_network_comes_first() {
        let hash = "a".repeat(64);
        let own =
            texts(json!({ "config.json": hash, "onnx/model.onnx": hash, "tokenizer.json": hash }));
        let own = own.unwrap().on_device.unwrap();
        assert_eq!(own.files[0].address, "minilm/onnx/model.onnx");
        assert_eq!(own.files.len(), 3);
    }

    #[test]
    fn every_fault_is_named() {
        let faults = task(|source| {
            source["model"]["name"] = "digits".into();
            source["model"]["on_device"] = json!({ "sha256": "XYZ", "range": "1", "what": 1 });
        });
        let names = ["sha256", "range", "what"].map(|key| format!("model.on_device.{key}"));
        assert_eq!(
            faults.unwrap_err(),
            [&["model.name".to_owned()], &names[..]].concat()
        );
        let missing = task(|source| source["model"]["on_device"] = json!({}));
        assert_eq!(missing.unwrap_err(), ["model.on_device.sha256"]);
        let faults = texts(json!({ "../x": "a".repeat(64), "config.json": "b" })).unwrap_err();
        let paths = ["files.../x", "files.config.json", "files", "files"];
        assert_eq!(faults, paths.map(|path| format!("model.on_device.{path}")));
    }

    #[test]
    fn other_dialects_do_without() {
        let faults = task(|source| source["model"]["dialect"] = "open-inference".into());
        assert_eq!(faults.unwrap_err(), ["model.on_device"]);
    }
}
