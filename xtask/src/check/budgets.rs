//! What a visitor downloads stays small. A browser test (tests/browser/size.spec.ts) holds the pages to their budget.

use anyhow::{Result, bail};
use xtask::wasm;

/// Bytes of the client's module in brotli.
const CLIENT: u64 = 450_000;
/// The same of the module that is loaded besides where a federation's model runs on the device: all of ONNX's
/// operators, and the tokenizers of Hugging Face.
const ON_DEVICE: u64 = 1_250_000;

/// Compares the built modules with their budgets.
pub fn check() -> Result<()> {
    let sizes = wasm::sizes()?;
    let mut over = Vec::new();
    for (what, is, allowed) in [
        ("the client's module", sizes.client, CLIENT),
        (
            "the module of models on the device",
            sizes.on_device,
            ON_DEVICE,
        ),
    ] {
        println!("  {what}: {is} bytes in brotli of {allowed}");
        if is > allowed {
            over.push(format!(
                "{what} is {is} bytes in brotli, {} over its budget of {allowed}",
                is - allowed
            ));
        }
    }
    if !over.is_empty() {
        bail!("{}", over.join("; "));
    }
    Ok(())
}
