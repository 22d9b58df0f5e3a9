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

    /// Refuses if nothing is left of the quota of the day of `now`, which is since 1970.
    fn may_ask(&self, now: Duration) -> Result<(), ApiError> {
        let used = self.lock();
        let today = used.day == now.as_secs() / DAY.as_secs();
        match self.spec.queries_per_day {
            Some(quota) if today && used.queries >= quota => Err(used_up(quota, now)),
            _ => Ok(()),
        }
    }

    /// Counts `queries` more, at the time `now` since 1970.
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

/// What is known about one request while it is answered: its key, its model, and its number of
/// queries.
#[derive(Default)]
pub(crate) struct Caller {
    key: Option<Arc<Key>>,
    /// Whether nobody waits for the answer any more.
    gone: AtomicBool,
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

    /// Charges `queries`, images or texts, before there is work for them.
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

    /// Says that somebody waits for the answer, until what is returned is dropped.
    pub(crate) fn waits(self: &Arc<Self>) -> Waits {
        Waits(Arc::clone(self))
    }
}

/// The time since 1970; a clock before that counts from there.
fn now() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default()
}

/// A client that waits for its answer.
pub(crate) struct Waits(Arc<Caller>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::Relaxed);
    }
}

/// Queries that were charged. Those for which no work was done are given back when it is dropped.
pub(crate) struct Charge<'a> {
    caller: &'a Caller,
    queries: usize,
    earned: usize,
}

impl Charge<'_> {
    /// One more query has cost work, and stays charged even if the request fails.
    pub(crate) fn earn(&mut self) {
        self.earned += 1;
    }

    /// The work is taken: all of it stays charged.
    pub(crate) fn keep(mut self) {
        self.earned = self.queries;
    }

    /// The work is not taken, for a reason that is not the caller's: all of it is given back.
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
mod tests {
    use governor::clock::FakeRelativeClock;
    use serde_json::json;

    use super::*;

    fn spec() -> KeySpec {
        KeySpec {
            name: "clinic".into(),
            sha256: Sha256::digest(b"secret").into(),
            requests_per_minute: NonZeroU32::new(2),
            queries_per_minute: NonZeroU32::new(10),
            queries_per_day: Some(15),
            admin: false,
        }
    }

    const NOON: Duration = Duration::from_secs(20_000 * 86_400 + 43_200);

    #[test]
    fn pace_and_quota_are_kept_and_say_how_long_to_wait() {
        let clock = FakeRelativeClock::default();
        let key = Key::new(spec(), clock.clone());
        key.request().unwrap();
        key.request().unwrap();
        let Err(ApiError::TooFast { what, wait }) = key.request() else {
            panic!("a third request was let through")
        };
        assert_eq!((what, wait.as_secs()), ("requests", 30));

        key.query(10, NOON).unwrap();
        let refused = key.query(1, NOON).unwrap_err();
        assert!(
            matches!(refused, ApiError::TooFast { what: "queries", wait } if wait.as_secs() == 6)
        );
        assert!(matches!(
            key.query(11, NOON),
            Err(ApiError::UsedUp { quota: 15, wait }) if wait.as_secs() == 43_200
        ));
        clock.advance(Duration::from_secs(60));
        // Refused queries were not counted, so five of today's are left.
        key.query(5, NOON).unwrap();
        assert!(matches!(key.query(1, NOON), Err(ApiError::UsedUp { .. })));
        assert!(matches!(key.may_ask(NOON), Err(ApiError::UsedUp { .. })));
        key.may_ask(NOON + DAY).unwrap();
        key.give_back(1);
        key.may_ask(NOON).unwrap();
        key.query(1, NOON).unwrap();
        clock.advance(Duration::from_secs(60));
        key.query(10, NOON + DAY).unwrap();
        // More than a minute's worth never fits.
        let mut wide = spec();
        wide.queries_per_day = None;
        let key = Key::new(wide, clock);
        assert!(matches!(
            key.query(11, NOON),
            Err(ApiError::TooMany {
                queries: 11,
                most: 10
            })
        ));
    }

    #[test]
    fn what_cost_no_work_is_given_back() {
        let mut wide = spec();
        wide.queries_per_minute = None;
        let key = Arc::new(Key::new(wide, DefaultClock::default()));
        let caller = Caller::new(Some(Arc::clone(&key)), Arc::default());
        let used = || (key.lock().queries, caller.queries());
        drop(caller.charge(10).unwrap());
        assert_eq!(used(), (0, 0));
        let mut broken = caller.charge(10).unwrap();
        broken.earn();
        drop(broken);
        assert_eq!(used(), (1, 1));
        let mut unlucky = caller.charge(10).unwrap();
        unlucky.earn();
        unlucky.give_back();
        assert_eq!(used(), (1, 1));
        caller.charge(14).unwrap().keep();
        assert_eq!(used(), (15, 15));
        assert!(caller.may_ask().is_err() && caller.charge(1).is_err());
    }

    #[test]
    fn keys_are_found_by_their_digest_and_keep_what_they_used() {
        let keys = Keys::new(vec![spec()], &Keys::default());
        assert!(keys.find(Some(b"Bearer secret")).is_some());
        assert!(keys.find(Some(b"bearer secret ")).is_some());
        for wrong in ["Bearer Secret", "Basic secret", "secret", "", "Bearer "] {
            assert!(keys.find(Some(wrong.as_bytes())).is_none(), "{wrong}");
        }
        assert!(keys.find(None).is_none());
        keys.find(Some(b"Bearer secret"))
            .unwrap()
            .query(9, NOON)
            .unwrap();
        let mut changed = spec();
        changed.queries_per_minute = None;
        let again = Keys::new(vec![changed], &keys);
        let key = again.find(Some(b"Bearer secret")).unwrap();
        key.query(6, NOON).unwrap();
        assert!(matches!(key.query(1, NOON), Err(ApiError::UsedUp { .. })));
    }

    #[test]
    fn all_faults_of_a_file_are_named_and_no_key_is_shown() {
        let digest = "00".repeat(32);
        let value = json!({ "key": [
            { "name": "a", "sha256": digest, "queries_per_day": 5, "admin": true },
            { "name": "a", "sha256": "my-secret", "requests_per_minute": 0 },
            { "name": "a b", "sha256": digest, "typo": 1 },
            { },
        ], "other": 1 });
        let mut faults = Vec::new();
        let specs = parse(&value, &mut faults);
        assert!(specs[0].admin && specs[0].queries_per_day == Some(5));
        let all: Vec<String> = faults.iter().map(Fault::to_string).collect();
        let all = all.join("\n");
        for fault in [
            "other: is not",
            "key[1].name",
            "key[1].sha256: must be",
            "key[1].requests_per_minute",
            "key[2].name",
            "key[2].sha256: is another",
            "key[2].typo",
            "key[3].name: is missing",
            "key[3].sha256: is missing",
        ] {
            assert!(all.contains(fault), "{fault} is not in\n{all}");
        }
        assert!(!all.contains("my-secret"), "{all}");
        let mut none = Vec::new();
        assert!(parse(&json!({}), &mut none).is_empty());
        assert!(none[0].to_string().contains("[[key]]"));
    }
}
