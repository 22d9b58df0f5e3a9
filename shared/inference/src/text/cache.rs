//! A cache of the embeddings of texts.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use sha2::{Digest, Sha256};

use super::TextStats;

/// A text's SHA-256: memory is bounded however long texts are, and no text is kept in it.
pub(crate) type Key = [u8; 32];

/// An embedding of length 1.
pub(crate) type Embedding = Arc<[f32]>;

/// Keeps the most recently used embeddings, and counts.
pub(crate) struct Cache {
    known: Option<Mutex<LruCache<Key, Embedding>>>,
    encodes: AtomicU64,
    hits: AtomicU64,
}

/// Key of a text, after the soft prompt with this digest if there is one.
pub(crate) fn key(text: &str, soft: Option<&Key>) -> Key {
    let mut hash = Sha256::new();
    if let Some(digest) = soft {
        // No text begins with this byte.
        hash.update([0xFF]);
        hash.update(digest);
    }
    hash.update(text.as_bytes());
    hash.finalize().into()
}

impl Cache {
    /// Makes a cache of at most `capacity` embeddings.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            known: NonZeroUsize::new(capacity).map(|size| Mutex::new(LruCache::new(size))),
            encodes: AtomicU64::new(0),
            hits: AtomicU64::new(0),
        }
    }

    /// Looks up each of `keys`.
    pub(crate) fn get(&self, keys: &[Key]) -> Vec<Option<Embedding>> {
        let Some(known) = &self.known else {
            return vec![None; keys.len()];
        };
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let found: Vec<_> = keys.iter().map(|key| known.get(key).cloned()).collect();
        let hits = found.iter().flatten().count();
        self.hits.fetch_add(hits as u64, Ordering::Relaxed);
        found
    }

    /// Remembers new embeddings.
    pub(crate) fn put<'a>(&self, new: impl ExactSizeIterator<Item = (Key, &'a Embedding)>) {
        self.encodes.fetch_add(new.len() as u64, Ordering::Relaxed);
        if let Some(known) = &self.known {
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, embedding) in new {
                known.put(key, Arc::clone(embedding));
            }
        }
    }

    pub(crate) fn stats(&self) -> TextStats {
        TextStats {
            encodes: self.encodes.load(Ordering::Relaxed),
            cache_hits: self.hits.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_stays() {
        let cache = Cache::new(2);
        let embedding: Embedding = vec![1.0].into();
        let keys = ["a", "b", "c"].map(|text| key(text, None));
        cache.put(keys[..2].iter().map(|&key| (key, &embedding)));
        assert!(cache.get(&keys[..1])[0].is_some());
        cache.put(keys[2..].iter().map(|&key| (key, &embedding)));
        let known: Vec<bool> = cache.get(&keys).iter().map(Option::is_some).collect();
        assert_eq!(known, [true, false, true]);
        let stats = TextStats {
            encodes: 3,
            cache_hits: 3,
        };
        assert_eq!(cache.stats(), stats);
    }

    #[test]
    fn none_at_all_is_possible() {
        let cache = Cache::new(0);
        let embedding: Embedding = vec![1.0].into();
        cache.put([(key("a", None), &embedding)].into_iter());
        assert_eq!(cache.get(&[key("a", None)]), [None]);
        assert_eq!(cache.stats().encodes, 1);
    }
}
