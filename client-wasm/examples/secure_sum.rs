//! One participant's work in a secure sum inside wasm: `web/wasm-bench/`, which
//! `cargo xtask figures secure-sum-cost` builds and `client-wasm/benches/secure_sum.mjs` times.
//! Natively empty.
#![cfg(target_family = "wasm")]

#[path = "../../shared/federation/benches/cohort/mod.rs"]
mod cohort;

use wasm_bindgen::prelude::*;

/// A cohort of n whose members have dealt shares, and what participant 1 was sent.
#[wasm_bindgen]
pub struct Cohort {
    cohort: cohort::Cohort,
    inbox: secure_sum::messages::Inbox,
}

#[wasm_bindgen]
impl Cohort {
    /// Makes it; not what is measured.
    #[wasm_bindgen(constructor)]
    pub fn new(n: u32) -> Self {
        let cohort = cohort::Cohort::new(n);
        let inbox = cohort.inbox(1);
        Self { cohort, inbox }
    }

    /// All that participant 1 does, with a vector of `d` entries: the number of its messages.
    #[wasm_bindgen(js_name = takePart)]
    pub fn take_part(&self, d: u32) -> usize {
        let vector = cohort::vector(d as usize);
        self.cohort.take_part(&self.inbox, vector).len()
    }
}
