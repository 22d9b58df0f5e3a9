//! How the participants' updates become the next θ.

pub mod fedavg;
pub mod server_optimizer;
