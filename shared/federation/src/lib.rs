//! One federation: its task, the rules by which θ moves, the public record, and the state machines
//! of a round. No IO, no clock, no threads, no globals.

pub mod agreement;
pub mod catalogue;
pub mod engine;
pub mod record;
pub mod round;
pub mod rules;
pub mod task;
