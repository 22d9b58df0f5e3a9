//! What every other crate of Fed-BBPT stands on: random numbers, encodings, hashes, images, and
//! settings read with all of their faults at once. See the crate's README.

pub mod fault;
pub mod form;
pub mod hash;
pub mod hex;
pub mod image;
pub mod order;
pub mod packed;
pub mod registry;
pub mod rng;
pub mod settings;
pub mod text;
pub mod wire;
