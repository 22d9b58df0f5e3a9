//! What a visitor downloads stays small.

use anyhow::{Result, bail};

use crate::figures::sizes;

/// Bytes of the WebAssembly module, gzipped.
const WASM: u64 = 258_500;
/// The same of the module that is loaded instead where a federation has secure sums, texts, learnt mappings, CMA-ES, a model
/// on the device, or another than the default generator: readers of seven layouts of texts, candidates from public text,
/// soft prompts, and the optimisers that only these federations load are some 80,000 bytes of it, the way to a model on
/// the device 4,000.
const WASM_FULL: u64 = 383_000;
/// The same of the module for federations that call their model otherwise: dialects, encoders of PNG, JPEG and WebP,
/// prices, answers that are kept, and prompts as embeddings (some 5,000 bytes of it).
const WASM_ANY: u64 = 487_000;
/// Of the module that is loaded besides where a federation's model runs on the device: all of ONNX's operators, and the
/// tokenizers of Hugging Face.
const WASM_ON_DEVICE: u64 = 1_450_000;
/// Bytes of everything that the first page load fetches, gzipped.
const PAGE: u64 = 450_000;

/// Compares the built page with the budgets.
pub fn check() -> Result<()> {
    let sizes = sizes::measure()?;
    let mut over = Vec::new();
    for (what, is, allowed) in [
        ("the WebAssembly module", sizes.wasm_gzip_bytes, WASM),
        (
            "the larger WebAssembly module",
            sizes.wasm_full_gzip_bytes,
            WASM_FULL,
        ),
        (
            "the WebAssembly module for any model",
            sizes.wasm_any_gzip_bytes,
            WASM_ANY,
        ),
        (
            "the WebAssembly module of models on the device",
            sizes.wasm_on_device_gzip_bytes,
            WASM_ON_DEVICE,
        ),
        ("the first page load", sizes.page_gzip_bytes, PAGE),
    ] {
        println!("  {what}: {is} bytes gzipped of {allowed}");
        if is > allowed {
            over.push(format!(
                "{what} is {is} bytes gzipped, {} over its budget of {allowed}",
                is - allowed
            ));
        }
    }
    if !over.is_empty() {
        bail!("{}", over.join("; "));
    }
    Ok(())
}
