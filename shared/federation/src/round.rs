//! A round of the federation: its [`messages`], the rules of when phases end ([`policy`]), and the
//! two state machines, [`server`] and [`client`], as pure functions of (state, event, time).

pub mod client;
pub mod contribution;
pub mod draw;
pub mod messages;
pub mod phase;
pub mod policy;
pub mod refusal;
#[cfg(test)]
#[path = "round/tests/rehearsal.rs"]
pub(crate) mod rehearsal;
#[cfg(test)]
#[path = "round/tests/searches.rs"]
mod searches;
pub mod server;
pub mod sums;
pub mod workbench;
