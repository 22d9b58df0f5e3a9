//! What every visitor loads: [`client_wasm::web`], natively empty.
//!
//! A library of its own, because cargo optimises a library and what it stands on together only if
//! no other crate can link it, and the client's examples and tests link `client-wasm`. Optimised
//! apart from each other, the crates would be a twentieth longer.

#[cfg(target_family = "wasm")]
pub use client_wasm::web;
