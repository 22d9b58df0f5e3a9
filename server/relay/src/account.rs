//! What one request amounts to: the only thing about it that is logged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Counts the bytes of a request and its answer while they flow, and writes one line when both are
/// over, however they end.
pub struct Account {
    begun: Instant,
    method: &'static str,
    status: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Account {
    /// Starts the account of a request that has just arrived.
    pub fn open(method: &'static str) -> Self {
        Self {
            begun: Instant::now(),
            method,
            status: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        }
    }

    /// Notes the status of the answer.
    pub fn answered(&self, status: u16) {
        self.status.store(status.into(), Ordering::Relaxed);
    }

    /// Counts bytes of the request's body; returns their total so far.
    pub fn sent(&self, bytes: usize) -> u64 {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64
    }

    /// Counts bytes of the answer's body; returns their total so far.
    pub fn received(&self, bytes: usize) -> u64 {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        tracing::info!(
            method = self.method,
            // 0 means that the client went away before there was an answer.
            status = self.status.load(Ordering::Relaxed),
            sent = self.sent.load(Ordering::Relaxed),
            received = self.received.load(Ordering::Relaxed),
            ms = self.begun.elapsed().as_millis() as u64,
            "relayed"
        );
    }
}
