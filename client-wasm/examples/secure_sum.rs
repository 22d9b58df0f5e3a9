//! One participant's work in a secure sum inside wasm: `web/wasm-bench/`, which
//! `cargo xtask figures secure-sum-cost` builds and `client-wasm/benches/secure_sum.mjs` times.
//! Natively empty.
#![cfg(target_family = "wasm")]

#[path = "../../shared/federation/benches/cohort/mod.rs"]
mod cohort;

use wasm_bindgen::prelude::*;

/// A cohort of n members who have dealt their shares, with the messages for participant 1.
#[wasm_bindgen]
pub struct Cohort {
    cohort: cohort::Cohort,
    inbox: secure_sum::messages::Inbox,
}

#[wasm_bindgen]
impl Cohort {
    /// Makes the cohort, which is not measured.
    #[wasm_bindgen(constructor)]
    pub fn new(n: u32) -> Self {
        let cohort = cohort::Cohort::new(n);
        let inbox = cohort.inbox(1);
        Self { cohort, inbox }
    }

    /// Does everything that participant 1 does, with a vector of `d` entries; returns the number of
    /// its messages.
    #[wasm_bindgen(js_name = takePart)]
    pub fn take_part(&self, d: u32) -> usize {
        let vector = cohort::vector(d as usize);
        self.cohort.take_part(&self.inbox, vector).len()
    }
}
