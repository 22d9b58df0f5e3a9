//! API keys, each with its own rate and quota.
//!
//! The file holds only the SHA-256 of each key. Only this process knows today's usage: it is kept
//! when the file is read again, and forgotten when the process ends.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use ground::fault::{Fault, Reader};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::ApiError;
use crate::faults::{ConfigFaults, tables, toml_file};
use crate::picture::Decoder;

type Limiter<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// One entry of the file of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeySpec {
    pub name: String,
    /// SHA-256 of the key.
    pub sha256: [u8; 32],
    pub requests_per_minute: Option<NonZeroU32>,
    pub queries_per_minute: Option<NonZeroU32>,
    /// Maximum number of queries from midnight to midnight, UTC.
    pub queries_per_day: Option<u64>,
    /// Whether the key may load and unload models.
    pub admin: bool,
}

/// A key and what it has used.
pub(crate) struct Key<C: Clock = DefaultClock> {
    pub spec: KeySpec,
    requests: Option<Limiter<C>>,
    queries: Option<Limiter<C>>,
    used: Mutex<Used>,
    clock: C,
}

/// The number of queries used on one day.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    /// Days since 1970, UTC.
    day: u64,
    queries: u64,
}

/// All keys, by their SHA-256.
#[derive(Default)]
pub(crate) struct Keys {
    known: HashMap<[u8; 32], Arc<Key>>,
}

impl Keys {
    /// Makes the keys of a file. A key that is the same as in `before` keeps its usage.
    pub(crate) fn new(specs: Vec<KeySpec>, before: &Self) -> Self {
        let keep = |spec: KeySpec| {
            let known = before.known.get(&spec.sha256);
            let key = match known.filter(|known| known.spec == spec) {
                Some(known) => Arc::clone(known),
                None => {
                    let key = Key::new(spec, DefaultClock::default());
                    if let Some(known) = known {
                        *key.lock() = *known.lock();
                    }
                    Arc::new(key)
                }
            };
            (key.spec.sha256, key)
        };
        Self {
            known: specs.into_iter().map(keep).collect(),
        }
    }

    /// Finds the key of an `Authorization` header. It compares digests, whose bytes nobody can
    /// choose one by one.
    pub(crate) fn find(&self, authorization: Option<&[u8]>) -> Option<Arc<Key>> {
        let value = authorization?;
        let (scheme, key) = value.split_at_checked(7)?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return None;
        }
        let digest: [u8; 32] = Sha256::digest(key.trim_ascii()).into();
        self.known.get(&digest).map(Arc::clone)
    }
}

impl<C: Clock + Clone> Key<C> {
    fn new(spec: KeySpec, clock: C) -> Self {
        let limiter = |rate: Option<NonZeroU32>| {
            // A minute's worth may come at once.
            rate.map(|rate| RateLimiter::direct_with_clock(Quota::per_minute(rate), clock.clone()))
        };
        Self {
            requests: limiter(spec.requests_per_minute),
            queries: limiter(spec.queries_per_minute),
            used: Mutex::default(),
            spec,
            clock,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request.
    pub(crate) fn request(&self) -> Result<(), ApiError> {
        let Some(limiter) = &self.requests else {
            return Ok(());
        };
        limiter.check().map_err(|refused| ApiError::TooFast {
            what: "requests",
            wait: refused.wait_time_from(self.clock.now()),
        })
    }

    /// Refuses if nothing is left of the quota on the day of `now`, counted from 1970.
    fn may_ask(&self, now: Duration) -> Result<(), ApiError> {
        let used = self.lock();
        let today = used.day == now.as_secs() / DAY.as_secs();
        match self.spec.queries_per_day {
            Some(quota) if today && used.queries >= quota => Err(used_up(quota, now)),
            _ => Ok(()),
        }
    }

    /// Counts `queries` queries at the time `now`, counted from 1970.
    fn query(&self, queries: usize, now: Duration) -> Result<(), ApiError> {
        let count = u64::try_from(queries).unwrap_or(u64::MAX);
        let day = now.as_secs() / DAY.as_secs();
        let mut used = self.lock();
        if used.day != day {
            *used = Used { day, queries: 0 };
        }
        let after = used.queries.saturating_add(count);
        if let Some(quota) = self.spec.queries_per_day
            && after > quota
        {
            return Err(used_up(quota, now));
        }
        if let (Some(limiter), Some(most)) = (&self.queries, self.spec.queries_per_minute) {
            let asked = u32::try_from(queries).ok().and_then(NonZeroU32::new);
            let asked = asked.unwrap_or(NonZeroU32::MIN);
            match limiter.check_n(asked) {
                Ok(Ok(())) => {}
                Ok(Err(refused)) => {
                    return Err(ApiError::TooFast {
                        what: "queries",
                        wait: refused.wait_time_from(self.clock.now()),
                    });
                }
                Err(_) => {
                    return Err(ApiError::TooMany {
                        queries,
                        most: most.into(),
                    });
                }
            }
        }
        used.queries = after;
        Ok(())
    }

    /// Gives back queries of today that were not answered.
    fn give_back(&self, queries: usize) {
        let mut used = self.lock();
        used.queries = used.queries.saturating_sub(queries as u64);
    }
}

fn used_up(quota: u64, now: Duration) -> ApiError {
    let today = Duration::from_secs(now.as_secs() % DAY.as_secs());
    ApiError::UsedUp {
        quota,
        wait: DAY - today,
    }
}

/// What is known about a request while it is answered: its key, its model, and its number of
/// queries.
#[derive(Default)]
pub(crate) struct Caller {
    key: Option<Arc<Key>>,
    /// Whether the client has gone away.
    gone: AtomicBool,
    /// Decodes the request's pictures, within limits that all requests share.
    pub decoder: Arc<Decoder>,
    model: OnceLock<String>,
    queries: AtomicUsize,
}

impl Caller {
    pub(crate) fn new(key: Option<Arc<Key>>, decoder: Arc<Decoder>) -> Self {
        Self {
            key,
            decoder,
            ..Self::default()
        }
    }

    /// The name of the caller's key.
    pub(crate) fn name(&self) -> Option<&str> {
        self.key.as_ref().map(|key| key.spec.name.as_str())
    }

    pub(crate) fn is_admin(&self) -> bool {
        self.key.as_ref().is_some_and(|key| key.spec.admin)
    }

    /// Records that the request is for this model, which exists.
    pub(crate) fn asks(&self, model: &str) {
        // Only the first call has an effect.
        let _ = self.model.set(model.to_owned());
    }

    /// The name of the model; empty if it is not known or does not exist.
    pub(crate) fn model(&self) -> &str {
        self.model.get().map_or("", String::as_str)
    }

    /// Number of queries that were admitted.
    pub(crate) fn queries(&self) -> usize {
        self.queries.load(Ordering::Relaxed)
    }

    /// Refuses if today's quota is used up, before anything of the request is read.
    pub(crate) fn may_ask(&self) -> Result<(), ApiError> {
        self.key.as_ref().map_or(Ok(()), |key| key.may_ask(now()))
    }

    /// Charges `queries` queries, images or texts, before any work is done for them.
    pub(crate) fn charge(&self, queries: usize) -> Result<Charge<'_>, ApiError> {
        if let Some(key) = &self.key {
            key.query(queries, now())?;
        }
        self.queries.fetch_add(queries, Ordering::Relaxed);
        Ok(Charge {
            caller: self,
            queries,
            earned: 0,
        })
    }

    /// Returns whether the client has gone, so that work for it may stop.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// Marks the client as waiting until the returned guard is dropped, and as gone from then on.
    pub(crate) fn waits(self: &Arc<Self>) -> Waits {
        Waits(Arc::clone(self))
    }
}

/// The time since 1970. A clock before 1970 counts from 1970.
fn now() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default()
}

/// A guard that lives as long as the client waits for its answer.
pub(crate) struct Waits(Arc<Caller>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::Relaxed);
    }
}

/// Queries that were charged to a key. When a charge is dropped, the queries for which no work was
/// done are given back.
pub(crate) struct Charge<'a> {
    caller: &'a Caller,
    queries: usize,
    earned: usize,
}

impl Charge<'_> {
    /// Records that one more query has cost work, and stays charged even if the request fails.
    pub(crate) fn earn(&mut self) {
        self.earned += 1;
    }

    /// Keeps the whole charge, because the work was queued.
    pub(crate) fn keep(mut self) {
        self.earned = self.queries;
    }

    /// Gives the whole charge back, because the server refused the work for reasons of its own.
    pub(crate) fn give_back(mut self) {
        self.earned = 0;
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        let rest = self.queries - self.earned;
        if let Some(key) = &self.caller.key {
            key.give_back(rest);
        }
        self.caller.queries.fetch_sub(rest, Ordering::Relaxed);
    }
}

/// Reads a file of keys.
///
/// # Errors
/// All faults at once.
pub(crate) fn read(path: &Path) -> Result<Vec<KeySpec>, ConfigFaults> {
    let value = toml_file("--keys", path)?;
    let mut faults = Vec::new();
    let specs = parse(&value, &mut faults);
    if faults.is_empty() {
        return Ok(specs);
    }
    let text = |fault: &Fault| format!("{}: {fault}", path.display());
    Err(ConfigFaults {
        faults: faults.iter().map(text).collect(),
    })
}

fn parse(value: &Value, faults: &mut Vec<Fault>) -> Vec<KeySpec> {
    let mut specs: Vec<KeySpec> = Vec::new();
    for (at, entry) in tables("key", value, faults).iter().enumerate() {
        let mut reader = Reader::new(&format!("key[{at}]"), entry, faults);
        let spec = key(&mut reader);
        if specs.iter().any(|known| known.name == spec.name) {
            reader.fault("name", "is another key's name too");
        }
        if specs.iter().any(|known| known.sha256 == spec.sha256) {
            reader.fault("sha256", "is another key's too");
        }
        reader.finish();
        specs.push(spec);
    }
    specs
}

fn key(reader: &mut Reader<'_>) -> KeySpec {
    let name = reader.text("name", None);
    // The name stands in the log, one line for each request.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._@".contains(c);
    if reader.has("name") && (name.is_empty() || !name.chars().all(plain)) {
        reader.fault("name", "must be of letters, digits, `-`, `.`, `_` and `@`");
    }
    let given = reader.has("sha256");
    let sha256 = digest(&reader.text("sha256", None));
    if given && sha256.is_none() {
        // The value is not shown: it might be the key itself.
        reader.fault(
            "sha256",
            "must be the key's SHA-256, 64 hexadecimal digits: printf %s \"$KEY\" | sha256sum",
        );
    }
    let mut rate = |key: &'static str| {
        let given = reader.has(key);
        let rate = reader.whole(key, 1..=u64::from(u32::MAX), Some(1));
        let rate = u32::try_from(rate).ok().and_then(NonZeroU32::new);
        rate.filter(|_| given)
    };
    let (requests_per_minute, queries_per_minute) =
        (rate("requests_per_minute"), rate("queries_per_minute"));
    let limited = reader.has("queries_per_day");
    let queries_per_day = reader.whole("queries_per_day", 1..=u64::MAX, Some(1));
    KeySpec {
        name,
        sha256: sha256.unwrap_or_default(),
        requests_per_minute,
        queries_per_minute,
        queries_per_day: limited.then_some(queries_per_day),
        admin: reader.flag("admin", false),
    }
}

fn digest(text: &str) -> Option<[u8; 32]> {
    ground::hex::unhex(text)
}

#[cfg(test)]
mod tests;
