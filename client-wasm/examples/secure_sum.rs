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
    answers: cohort::Answers,
    entries: usize,
}

#[wasm_bindgen]
impl Cohort {
    /// Makes the cohort, whose vectors have `d` entries; that is not measured.
    #[wasm_bindgen(constructor)]
    pub fn new(n: u32, d: u32) -> Self {
        let (cohort, entries) = (cohort::Cohort::new(n), d as usize);
        let (inbox, answers) = (cohort.inbox(1), cohort.answers(entries));
        Self {
            cohort,
            inbox,
            answers,
            entries,
        }
    }

    /// Does everything that participant 1 does; returns the number of its messages.
    #[wasm_bindgen(js_name = takePart)]
    pub fn take_part(&self) -> usize {
        let vector = cohort::vector(self.entries);
        let messages = self.cohort.take_part(&self.inbox, vector, &self.answers);
        messages.len()
    }
}
