//! The module's interface to JavaScript.

use bytes::Bytes;
use inference::InProcess;
use inference::on_device::Fetched;
use inference::prompt_embeds;
use inference::protocol::HEADER_LENGTH;
use model_client::prompt_embeds::{Embedder as _, PromptEmbeds};
use serde::Deserialize;
use wasm_bindgen::prelude::*;

/// Maximum number of inputs in one request: few, so that several Workers have something to do, and
/// each answer comes soon.
const MAX_BATCH: usize = 16;

#[wasm_bindgen]
extern "C" {
    /// Fires the Worker's `error` event. Node has no such function, hence `catch`.
    #[wasm_bindgen(catch, js_name = reportError)]
    fn report_error(error: &js_sys::Error) -> Result<(), JsValue>;
}

/// Reports a panic's message to the page, which would otherwise see only "unreachable". The panic
/// ends the instance.
#[wasm_bindgen(start)]
fn start() {
    std::panic::set_hook(Box::new(|info| {
        // A failure to report a failure cannot be handled.
        let _ = report_error(&js_sys::Error::new(&info.to_string()));
    }));
}

/// The files of a model, as they are collected.
#[wasm_bindgen]
pub struct Files(Fetched);

/// A loaded model.
#[wasm_bindgen]
pub struct Model(InProcess);

/// The answer to a request, as a server would give it.
#[wasm_bindgen]
pub struct Answer {
    status: u16,
    /// Headers as name, value, name, value.
    headers: Vec<String>,
    body: Vec<u8>,
}

#[wasm_bindgen]
impl Files {
    /// Starts without files. `model` is the JSON of `model_client::on_device::OnDevice`, which the
    /// client derived from the task.
    #[wasm_bindgen(constructor)]
    pub fn new(model: &str) -> Result<Files, JsError> {
        Ok(Self(Fetched::new(serde_json::from_str(model)?)))
    }

    /// Checks the hash of the model's file number `at` and takes the bytes. Throws an `Error` whose
    /// `name` is the code.
    pub fn add(&mut self, at: usize, bytes: Vec<u8>) -> Result<(), js_sys::Error> {
        self.0
            .add(at, bytes)
            .map_err(|error| thrown(error.code(), &error))
    }

    /// Loads the model and tries it once.
    pub fn load(self) -> Result<Model, js_sys::Error> {
        // This is already a Worker, and has no threads of its own.
        self.0
            .load(1, MAX_BATCH)
            .map(Model)
            .map_err(|error| thrown(error.code(), &error))
    }
}

#[wasm_bindgen]
impl Model {
    /// Answers a request to `path` (`/v2/models/NAME…`), with the value of its
    /// `Inference-Header-Content-Length`, if any.
    pub fn answer(&self, path: &str, header_length: Option<String>, body: Vec<u8>) -> Answer {
        let body = Bytes::from(body);
        let answer = self.0.answer(path, header_length.as_deref(), &body);
        let headers = answer.headers.into_iter();
        Answer {
            status: answer.status,
            headers: headers.flat_map(|(name, value)| [name, value]).collect(),
            body: answer.body,
        }
    }

    /// Name of the only request header that has a meaning.
    #[wasm_bindgen(js_name = headerLength)]
    pub fn header_length() -> String {
        HEADER_LENGTH.to_owned()
    }
}

#[wasm_bindgen]
impl Answer {
    /// HTTP status.
    #[wasm_bindgen(getter)]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Headers as name, value, name, value.
    #[wasm_bindgen(getter)]
    pub fn headers(&self) -> Vec<String> {
        self.headers.clone()
    }

    /// The body, moved out: a second call returns an empty one.
    #[wasm_bindgen(js_name = takeBody)]
    pub fn take_body(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.body)
    }
}

/// A tokenizer and a table of embeddings, as they are collected for [`Embeddings`].
#[wasm_bindgen]
pub struct EmbeddingFiles(prompt_embeds::Fetched);

/// Turns texts into embeddings, for a model behind an API that takes prompts as embeddings.
#[wasm_bindgen]
pub struct Embeddings(prompt_embeds::Embeddings);

/// What the task needs, as the client derived it.
#[derive(Deserialize)]
struct Wanted {
    wanted: PromptEmbeds,
    hidden: usize,
}

#[wasm_bindgen]
impl EmbeddingFiles {
    /// Starts without files. `model` is the JSON of `EmbeddingsModel` in
    /// `web/src/device/protocol.ts`.
    #[wasm_bindgen(constructor)]
    pub fn new(model: &str) -> Result<EmbeddingFiles, JsError> {
        let Wanted { wanted, hidden } = serde_json::from_str(model)?;
        Ok(Self(prompt_embeds::Fetched::new(wanted, hidden)))
    }

    /// Checks the hash of file number `at` and takes the bytes. Throws an `Error` whose `name` is
    /// the code.
    pub fn add(&mut self, at: usize, bytes: Vec<u8>) -> Result<(), js_sys::Error> {
        self.0
            .add(at, bytes)
            .map_err(|error| thrown(error.code(), &error))
    }

    /// Reads the tokenizer and the table.
    pub fn load(self) -> Result<Embeddings, js_sys::Error> {
        self.0
            .load()
            .map(Embeddings)
            .map_err(|error| thrown(error.code(), &error))
    }
}

#[wasm_bindgen]
impl Embeddings {
    /// Embeds a text with a soft prompt, as `model_client::prompt_embeds::Embedder` describes.
    pub fn embed(&self, text: &str, soft: &[f32]) -> Result<Vec<u8>, js_sys::Error> {
        self.0
            .embed(text, soft)
            .map_err(|why| js_sys::Error::new(&why))
    }
}

/// Makes an `Error` whose `name` is the code.
fn thrown(code: &str, error: &dyn std::error::Error) -> js_sys::Error {
    let thrown = js_sys::Error::new(&error.to_string());
    thrown.set_name(code);
    thrown
}
