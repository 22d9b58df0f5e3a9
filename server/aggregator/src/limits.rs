//! Limits on how often anyone may send requests: token buckets ([`governor`]'s GCRA) by address and
//! by participant, and narrower ones for joining and for wrong tokens. They belong to this process
//! and are forgotten when it ends: a limit protects the server from its callers, nothing more.

use crate::config::Quotas;
use crate::failure::Failure;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use listener::Address;
use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Maximum number of buckets of one kind. Newcomers beyond it share one bucket.
const MOST_BUCKETS: usize = 100_000;
/// Number of seconds' worth of a quota per second that may come at once.
const BURST_SECONDS: u32 = 10;
/// Interval at which [`Limits::sweep`] should run.
pub(crate) const SWEEP: Duration = Duration::from_secs(10);

/// A participant's federation and number.
type Participant = (String, u32);

/// All buckets of one server.
pub(crate) struct Limits<C: Clock + Clone = DefaultClock> {
    addresses: Buckets<Address, C>,
    participants: Buckets<Participant, C>,
    joins: Buckets<Address, C>,
    failures: Buckets<Address, C>,
    /// Addresses that have used up their failures, and until when.
    barred: Mutex<HashMap<Address, C::Instant>>,
    clock: C,
}

impl Limits {
    pub(crate) fn new(quotas: Quotas) -> Self {
        Self::with_clock(quotas, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Limits<C> {
    fn with_clock(quotas: Quotas, clock: C) -> Self {
        let per_second = |rate: u32| {
            let burst = NonZeroU32::new(rate.saturating_mul(BURST_SECONDS))?;
            Some(Quota::per_second(NonZeroU32::new(rate)?).allow_burst(burst))
        };
        // A minute's worth may come at once.
        let per_minute = |rate: u32| NonZeroU32::new(rate).map(Quota::per_minute);
        Self {
            addresses: Buckets::new(per_second(quotas.address_requests_per_second), &clock),
            participants: Buckets::new(per_second(quotas.participant_requests_per_second), &clock),
            joins: Buckets::new(per_minute(quotas.joins_per_minute), &clock),
            failures: Buckets::new(per_minute(quotas.failures_per_minute), &clock),
            barred: Mutex::default(),
            clock,
        }
    }

    /// Counts any request of an address.
    pub(crate) fn request(&self, address: Address) -> Result<(), Failure> {
        self.addresses
            .take(address, Address::OTHERS)
            .map_err(Failure::TooMany)
    }

    /// Counts any request of a participant whose token was right.
    pub(crate) fn participant(&self, federation: &str, number: u32) -> Result<(), Failure> {
        let others = (String::new(), 0);
        self.participants
            .take((federation.to_owned(), number), others)
            .map_err(Failure::TooMany)
    }

    /// Counts an attempt to join, successful or not.
    pub(crate) fn join(&self, address: Address) -> Result<(), Failure> {
        self.joins
            .take(address, Address::OTHERS)
            .map_err(Failure::TooMany)
    }

    /// Counts a wrong token, invite or identity. Returns what to answer: `refusal`, or that there
    /// were too many.
    pub(crate) fn failed(&self, address: Address, refusal: Failure) -> Failure {
        let Err(wait) = self.failures.take(address, Address::OTHERS) else {
            return refusal;
        };
        let mut barred = self.barred.lock().unwrap_or_else(PoisonError::into_inner);
        let address = if barred.len() < MOST_BUCKETS {
            address
        } else {
            Address::OTHERS
        };
        barred.insert(address, self.clock.now() + wait.into());
        Failure::TooMany(wait)
    }

    /// Checks that an address may still fail, before a secret that people choose is compared, so
    /// that nobody guesses faster than failures are allowed.
    pub(crate) fn not_barred(&self, address: Address) -> Result<(), Failure> {
        let barred = self.barred.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        match barred.get(&address) {
            Some(until) if *until > now => Err(Failure::TooMany(
                governor::clock::Reference::duration_since(until, now).into(),
            )),
            _ => Ok(()),
        }
    }

    /// Forgets addresses and participants that have been quiet long enough to start afresh.
    pub(crate) fn sweep(&self) {
        self.addresses.sweep();
        self.participants.sweep();
        self.joins.sweep();
        self.failures.sweep();
        let now = self.clock.now();
        let mut barred = self.barred.lock().unwrap_or_else(PoisonError::into_inner);
        barred.retain(|_, until| *until > now);
        barred.shrink_to_fit();
    }
}

/// [`governor`]'s limiter over a locked map.
type Limiter<K, C> = RateLimiter<K, HashMapStateStore<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Buckets of one size, one for each key; unlimited if there is no quota.
struct Buckets<K: Clone + Eq + Hash, C: Clock + Clone> {
    limiter: Option<Limiter<K, C>>,
    clock: C,
}

impl<K: Clone + Eq + Hash, C: Clock + Clone> Buckets<K, C> {
    fn new(quota: Option<Quota>, clock: &C) -> Self {
        Self {
            limiter: quota
                .map(|quota| RateLimiter::new(quota, HashMapStateStore::default(), clock.clone())),
            clock: clock.clone(),
        }
    }

    /// Takes a token out of the bucket of `key`, or returns how long to wait for one.
    fn take(&self, key: K, others: K) -> Result<(), Duration> {
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        let key = if limiter.len() < MOST_BUCKETS {
            key
        } else {
            others
        };
        limiter
            .check_key(&key)
            .map_err(|refused| refused.wait_time_from(self.clock.now()))
    }

    fn sweep(&self) {
        if let Some(limiter) = &self.limiter {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests;
