//! What calling the model has cost one participant, and whether there is money for more.

use crate::caller::{CallError, locked};
use crate::tally::Tally;
use crate::{Price, Usage};
use event_listener::Event;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One participant's money for one model API.
#[derive(Debug, Default)]
pub struct Purse {
    /// None where calls cost nothing.
    price: Option<Price>,
    tally: Mutex<Tally>,
    /// Questions that are being paid for.
    under_way: AtomicUsize,
    /// Raised when one of them has ended, one way or the other.
    ended: Event,
}

impl Purse {
    /// With all of the price's budget in it.
    pub fn new(price: Option<Price>) -> Self {
        Self {
            price,
            ..Self::default()
        }
    }

    /// What was called so far.
    pub fn tally(&self) -> Tally {
        *locked(&self.tally)
    }

    /// Goes on counting from there.
    pub fn resume(&self, tally: Tally) {
        *locked(&self.tally) = tally;
    }

    /// What that cost, in the price's currency; nothing without a price.
    pub fn cost(&self) -> Option<f64> {
        Some(self.tally().cost(self.price.as_ref()?))
    }

    /// One more answered request.
    pub fn add(&self, queries: usize, usage: Option<Usage>) {
        locked(&self.tally).add(queries, usage);
    }

    /// That nothing more is asked; nothing without a price.
    pub fn spent(&self) -> Option<CallError> {
        let price = self.price.as_ref()?;
        Some(CallError::Budget {
            spent: self.tally().cost(price),
            budget: price.budget,
            currency: price.currency.clone(),
        })
    }

    /// Waits until it is certain whether there is money for a request of `queries` inputs, and holds it back as long as
    /// what this gives lives; requests hold `largest` inputs at most. What others under way will have cost is only
    /// known once they have ended.
    ///
    /// # Errors
    /// [`CallError::Budget`].
    pub async fn pay(&self, queries: usize, largest: usize) -> Result<Paying<'_>, CallError> {
        loop {
            // Before looking: what ends in between is not missed.
            let ended = self.ended.listen();
            {
                let tally = locked(&self.tally);
                let under_way = self.under_way.load(Ordering::Relaxed);
                // Who only wants to know what the model is pays nothing.
                let price = self.price.as_ref().filter(|_| queries > 0);
                if price.is_none_or(|price| tally.covers(price, queries, under_way, largest)) {
                    // Still under the lock: two that look at once see each other.
                    self.under_way.fetch_add(1, Ordering::Relaxed);
                    return Ok(Paying(self));
                }
                if under_way == 0 {
                    drop(tally);
                    if let Some(spent) = self.spent() {
                        return Err(spent);
                    }
                }
            }
            ended.await;
        }
    }
}

/// A question that is being paid for.
#[derive(Debug)]
pub struct Paying<'a>(&'a Purse);

impl Drop for Paying<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
        self.0.ended.notify(usize::MAX);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic: that is how it fails.
mod tests {
    use super::*;
    use futures::FutureExt as _;

    /// What is there without waiting.
    fn now<T>(future: impl Future<Output = T>) -> T {
        future.now_or_never().unwrap()
    }

    fn tokens(budget: f64) -> Purse {
        Purse::new(Some(Price {
            currency: "EUR".to_owned(),
            per_call: 0.0,
            per_query: 0.0,
            per_million_input_tokens: 1.0,
            per_million_output_tokens: 0.0,
            budget,
        }))
    }

    fn million() -> Option<Usage> {
        Some(Usage {
            input_tokens: 1_000_000,
            output_tokens: 0,
        })
    }

    #[test]
    fn the_first_answer_is_awaited_for_it_says_what_one_costs() {
        let purse = tokens(3.0);
        let first = now(purse.pay(1, 1)).unwrap();
        let mut second = Box::pin(purse.pay(1, 1));
        assert!((&mut second).now_or_never().is_none());
        purse.add(1, million());
        drop(first);
        // Two more, and no third.
        let second = now(second).unwrap();
        let third = now(purse.pay(1, 1)).unwrap();
        let mut fourth = Box::pin(purse.pay(1, 1));
        assert!((&mut fourth).now_or_never().is_none());
        purse.add(1, million());
        drop(second);
        assert!((&mut fourth).now_or_never().is_none());
        // That one got no answer: its money is there again.
        drop(third);
        let fourth = now(fourth).unwrap();
        purse.add(1, million());
        drop(fourth);
        let error = now(purse.pay(1, 1)).unwrap_err();
        assert!(matches!(error, CallError::Budget { spent, .. } if spent == 3.0));
        // What costs nothing is always paid for.
        now(purse.pay(0, 1)).unwrap();
        assert_eq!(purse.cost(), Some(3.0));
    }

    #[test]
    fn without_a_price_everything_is_paid_for() {
        let purse = Purse::default();
        let all: Vec<_> = (0..9).map(|_| now(purse.pay(5, 5))).collect();
        assert!(all.iter().all(Result::is_ok));
        assert!(purse.cost().is_none() && purse.spent().is_none());
    }
}
