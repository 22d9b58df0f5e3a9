//! One file for each command (or two that are alike).

pub mod audit;
pub mod candidates;
mod choice;
pub mod demo;
pub mod embeddings;
pub mod export;
pub mod federation;
pub mod join;
mod propose;
pub mod recipes;
pub mod relay;
pub mod serve;
pub mod simulate;

use crate::Failure;
use std::future::Future;
use std::io::Write as _;

/// A line for whoever started us; pipes get it at once.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // A closed pipe is the reader's choice.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Runs a future on a fresh runtime of all cores.
pub fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::runtime::Runtime::new()
        .map_err(Failure::failed)
        .map(|runtime| runtime.block_on(future))
}

/// Ctrl-C, or SIGTERM from a service manager.
pub async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
