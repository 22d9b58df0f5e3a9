//! What every other crate of Fed-BBPT stands on. No IO, no clock, no threads, no globals.

pub mod fault;
pub mod hash;
pub mod hex;
pub mod image;
pub mod packed;
pub mod registry;
pub mod rng;
pub mod text;
pub mod wire;
