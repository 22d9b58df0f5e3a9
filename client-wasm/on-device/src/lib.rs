//! A model API inside a Worker (`web/src/device/`): the same code that answers behind
//! `fed-bbpt model-api`, without a server. And the part of a language model that makes texts into
//! embeddings, for one behind an API. Everything here needs JavaScript.

#[cfg(target_family = "wasm")]
mod web;
