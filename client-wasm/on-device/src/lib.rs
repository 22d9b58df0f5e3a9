//! A model API inside a Worker (`web/src/worker/device/`): the same code that answers behind `fed-bbpt model-api`,
//! without a server. Everything here needs JavaScript.

#[cfg(target_family = "wasm")]
mod web;
