//! Everything that needs JavaScript. It runs in a module Worker (`web/src/worker/`).
//!
//! | where | what |
//! |---|---|
//! | [`session`] | the exported object: what the Worker's messages turn into |
//! | [`owner`] | what the object holds |
//! | [`platform`] | the browser as a platform of the [`participant`] that all platforms share |
//! | [`troubles`] | what went wrong, as the page says it |
//! | [`transport`] | the way to the aggregator and to the model |
//! | `on_device` | requests to a model that runs in this browser |
//! | `embeddings` | texts as embeddings, for a model that takes prompts as such |
//! | `model_files` | what the Worker has to fetch for those two |
//! | [`http`], [`timer`], [`host`] | `fetch`, `setTimeout`, and what the Worker does for us |
//! | [`examples`], [`loader`], `text_loader`, [`data`], [`notes`] | the owner's data, and what there is to say about them |
//! | [`pictures`], `texts` | before and after, to look at; what only a task of texts has |
//! | `candidates` | words for a prompt, for the organiser |
//! | [`saved`] | what survives a reload |
//! | [`random`] | secrets |
//! | [`report`] | messages to the page, and errors in words |
//! | [`measure`] | a step's time, for tests and benchmarks |

mod candidates;
mod data;
mod embeddings;
mod examples;
mod host;
mod http;
mod loader;
mod measure;
mod model_files;
mod notes;
mod on_device;
mod owner;
mod pictures;
mod platform;
mod random;
mod report;
mod saved;
mod session;
mod text_loader;
mod texts;
mod timer;
mod transport;
mod troubles;

pub use candidates::prompt_candidates;
pub use embeddings::use_embeddings;
pub use loader::Loader;
pub use measure::measure_step;
pub use on_device::use_device;
pub use session::Session;
pub use text_loader::TextLoader;

use wasm_bindgen::prelude::*;

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
