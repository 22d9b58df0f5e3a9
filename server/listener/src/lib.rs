//! Listens for HTTP as all servers of this workspace do: connections have a share per address, peers that are too slow are cut
//! off, and answers that nobody takes cost little.

mod address;
pub mod body;
mod connection;
mod descriptors;
mod log;
mod pieces;
mod serve;
mod shares;

pub use address::{Address, BadProxy, Proxies};
pub use descriptors::raise as raise_descriptors;
pub use log::filter as log_filter;
pub use pieces::in_pieces;
pub use serve::{Settings, serve};
pub use shares::{Share, Shares};
