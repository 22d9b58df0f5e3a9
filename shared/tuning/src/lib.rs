//! The method's mathematics: θ ↦ how an input is changed, how θ is moved by losses alone, and what
//! the model's answers are worth. No IO, no clock, no threads, no globals.

#![warn(missing_docs)]

pub mod generator;
pub mod objective;
pub mod optimizer;
pub mod query;
pub mod wording;

#[cfg(test)]
mod export;
