//! `sizes`: what a visitor downloads, in bytes on the wire.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Figure, Inputs, browser};
use xtask::wasm;
use xtask::workspace::tests;

pub const FIGURE: Figure = Figure {
    name: "sizes",
    summary: "bytes of the WebAssembly modules in brotli and of the heaviest first page load on the wire, time to the first query",
    run,
};

fn run(inputs: &Inputs) -> Result<Value> {
    let loaded = browser::measure("sizes", inputs)?;
    let sizes = wasm::sizes()?;
    Ok(json!({
        "wasm_brotli_bytes": sizes.client,
        "wasm_on_device_brotli_bytes": sizes.on_device,
        "page_wire_bytes": loaded["page_wire_bytes"],
        "ms_to_first_query": ms_to_first_query(),
    }))
}

/// Milliseconds from opening the invite link to the first query, with the clicks between, as the
/// last browser test measured on this machine; `None` before one has run.
fn ms_to_first_query() -> Option<u64> {
    let list = std::fs::read_dir(tests().join("test-results")).ok()?;
    let newest = list
        .filter_map(|entry| Some(entry.ok()?.path().join("times.json")))
        .filter_map(|file| Some((file.metadata().ok()?.modified().ok()?, file)))
        .max()?;
    let times: Value = serde_json::from_slice(&std::fs::read(newest.1).ok()?).ok()?;
    times["load_to_first_query_ms"].as_u64()
}
