//! Keeps what a visitor downloads small. A browser test (tests/browser/size.spec.ts) keeps the
//! pages to their budget.

use anyhow::{Result, bail};
use xtask::wasm;

/// Maximum size of the client's module in brotli, in bytes.
const CLIENT: u64 = 450_000;
/// Maximum size in brotli, in bytes, of the module that is loaded in addition if a federation's
/// model runs on the device: it has all of ONNX's operators and Hugging Face's tokenizers.
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
