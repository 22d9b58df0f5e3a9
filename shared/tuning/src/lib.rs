//! The mathematics of the method: how a prompt's parameters θ change an input (`generator`), how
//! losses alone move θ (`optimizer`), and how the model's answers become losses (`objective`). No
//! IO, no clock, no threads, no globals.

pub mod candidate;
pub mod generator;
pub mod objective;
pub mod optimizer;
pub mod query;
pub mod wording;

#[cfg(test)]
mod tests;
