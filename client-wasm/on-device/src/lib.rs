//! A model API inside a Worker (`web/src/device/`): the code behind `fed-bbpt model-api`, without a
//! server. It also holds the part of a language model that turns texts into embeddings for a model
//! behind an API. Everything here needs JavaScript.

#[cfg(target_family = "wasm")]
mod web;
