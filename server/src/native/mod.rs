//! The native platform: what `fed-bbpt join` and the demonstration add to the participant that all platforms share.

mod body;
mod embeddings;
mod files;
pub mod identity;
mod lock;
mod on_device;
pub mod platform;
pub mod state;
pub mod transport;
