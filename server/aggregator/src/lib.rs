//! The organiser's server: federations, participants and rounds over HTTP, with all state in one SQL database.
//!
//! Where to look: the routes, `http/mod.rs`; what a command does, [`federation::engine`]; the SQL,
//! `store/`; time, `driver.rs`; how changes reach waiting requests, `news.rs`; settings,
//! [`config`].
//!
//! No state that matters is in memory. Every message is one transaction: load the round, step it,
//! carry out its actions, store it. A killed process loses nothing that was answered with success,
//! and several processes may serve one database.

mod app;
pub mod clock;
pub mod config;
mod driver;
mod failure;
mod health;
mod http;
mod limits;
mod metrics;
mod news;
mod run;
pub mod secret;
mod start;
mod store;
mod tls;
mod upgrade;

pub use clock::{Clock, RealClock, TestClock};
pub use config::{AggregatorConfig, ConfigFaults, Quotas, Resolved, ServeArgs};
pub use failure::Failure;
pub use listener::{Proxies, log_filter};
pub use run::{Listeners, RunError, run};
pub use secret::Secret;
pub use start::{ServeError, interrupted, serve};
pub use store::{Outcome, SqliteStore, SqliteTx, Tried};
pub use tls::{Tls, TlsError};
