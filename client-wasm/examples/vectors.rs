//! The test vectors inside wasm: `web/wasm-test/`, which `cargo xtask test` builds and
//! `web/src/worker/vectors.wasm.test.ts` loads. Natively empty.
#![cfg(target_family = "wasm")]

use wasm_bindgen::prelude::*;

/// Checks a file of `shared/vectors`, named without `.json`; returns the number of its cases.
#[wasm_bindgen(js_name = selfTest)]
pub fn self_test(name: &str, text: &str) -> Result<usize, String> {
    client_wasm::vectors::check(name, text)
}
