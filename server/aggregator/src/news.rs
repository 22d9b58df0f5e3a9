//! Wakes long polls and event streams that wait for a change. It is only a hint: the truth is the
//! version in the database, which [`watch`] reads again and again, so that what another process
//! wrote is seen as well.

use crate::store::Db;
use federation::engine::store::{EVERY, Federations as _, Store as _};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// The federations' versions for which something in this process waits.
#[derive(Default)]
pub(crate) struct News {
    versions: Mutex<HashMap<String, watch::Sender<u64>>>,
}

impl News {
    /// Follows the changes of a federation from `version` on.
    pub(crate) fn subscribe(&self, federation: &str, version: u64) -> watch::Receiver<u64> {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = versions
            .entry(federation.to_owned())
            .or_insert_with(|| watch::Sender::new(version));
        sender.send_if_modified(|known| raise(known, version));
        sender.subscribe()
    }

    /// Announces that the federation has reached this version.
    pub(crate) fn publish(&self, federation: &str, version: u64) {
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = versions.get(federation) {
            sender.send_if_modified(|known| raise(known, version));
        }
    }

    /// Forgets versions for which nothing waits; returns whether any are left.
    fn sweep(&self) -> bool {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.retain(|_, sender| sender.receiver_count() > 0);
        !versions.is_empty()
    }
}

fn raise(known: &mut u64, version: u64) -> bool {
    let higher = version > *known;
    *known = version.max(*known);
    higher
}

/// Reads the versions every `period` while something waits for them. Never returns.
pub(crate) async fn watch(news: &News, store: &Db, period: Duration) {
    loop {
        tokio::time::sleep(period).await;
        if !news.sweep() {
            continue;
        }
        match store.read(EVERY, async |tx| tx.versions().await).await {
            Ok(versions) => versions
                .iter()
                .for_each(|(id, version)| news.publish(id, *version)),
            Err(failure) => tracing::warn!(%failure, "versions could not be read"),
        }
    }
}
