//! How the participants' updates become the next θ.

pub mod advance;
pub mod choice;
pub mod combine;
pub mod fedavg;
pub mod server_optimizer;
pub mod settings;
