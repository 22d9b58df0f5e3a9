//! The native client: the same state machine as the browser's, over HTTP.

pub mod aggregator;
mod ahead;
mod body;
pub mod caller;
pub mod driver;
mod embeddings;
mod files;
pub mod identity;
mod on_device;
pub mod purse;
pub mod state;
