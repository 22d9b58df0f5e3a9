//! What one request came to: the only thing that is logged of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Counts while bodies flow; writes one line when all is over, however it ends.
pub struct Account {
    begun: Instant,
    method: &'static str,
    status: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Account {
    /// Of a request that just came.
    pub fn open(method: &'static str) -> Self {
        Self {
            begun: Instant::now(),
            method,
            status: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        }
    }

    /// What was answered.
    pub fn answered(&self, status: u16) {
        self.status.store(status.into(), Ordering::Relaxed);
    }

    /// Bytes of the request's body; gives all of them so far.
    pub fn sent(&self, bytes: usize) -> u64 {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64
    }

    /// Bytes of the answer's body; gives all of them so far.
    pub fn received(&self, bytes: usize) -> u64 {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        tracing::info!(
            method = self.method,
            // 0: whoever asked went away before there was an answer.
            status = self.status.load(Ordering::Relaxed),
            sent = self.sent.load(Ordering::Relaxed),
            received = self.received.load(Ordering::Relaxed),
            ms = self.begun.elapsed().as_millis() as u64,
            "relayed"
        );
    }
}
