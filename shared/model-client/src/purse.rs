//! What calls to the model have cost one participant, and whether there is money for more.

use crate::caller::{CallError, locked};
use crate::tally::Tally;
use crate::{Price, Usage};
use event_listener::Event;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One participant's money for one model API.
#[derive(Debug, Default)]
pub struct Purse {
    /// The price of calls; `None` if they cost nothing.
    price: Option<Price>,
    tally: Mutex<Tally>,
    /// Number of questions that are being paid for.
    under_way: AtomicUsize,
    /// Raised whenever a question that is being paid for has ended, with or without an answer.
    ended: Event,
}

impl Purse {
    /// A purse that holds the whole budget of the price.
    pub fn new(price: Option<Price>) -> Self {
        Self {
            price,
            ..Self::default()
        }
    }

    /// The calls so far.
    pub fn tally(&self) -> Tally {
        *locked(&self.tally)
    }

    /// Continues from earlier calls.
    pub fn resume(&self, tally: Tally) {
        *locked(&self.tally) = tally;
    }

    /// The cost of the calls so far, in the price's currency; `None` without a price.
    pub fn cost(&self) -> Option<f64> {
        Some(self.tally().cost(self.price.as_ref()?))
    }

    /// Adds an answered request of `queries` inputs.
    pub fn add(&self, queries: usize, usage: Option<Usage>) {
        locked(&self.tally).add(queries, usage);
    }

    /// The error that says that the money is spent; `None` without a price.
    pub fn spent(&self) -> Option<CallError> {
        let price = self.price.as_ref()?;
        Some(CallError::Budget {
            spent: self.tally().cost(price),
            budget: price.budget,
            currency: price.currency.clone(),
        })
    }

    /// Waits until it is certain whether there is money for a request of `queries` inputs, and
    /// reserves it until the returned value is dropped. No request holds more than `largest`
    /// inputs. The cost of the others under way is only known once they have ended.
    ///
    /// # Errors
    /// [`CallError::Budget`] if there is not enough.
    pub async fn pay(&self, queries: usize, largest: usize) -> Result<Paying<'_>, CallError> {
        loop {
            // Listen before looking, so that nothing that ends in between is missed.
            let ended = self.ended.listen();
            {
                let tally = locked(&self.tally);
                let under_way = self.under_way.load(Ordering::Relaxed);
                // A request for the model's description, without queries, costs nothing.
                let price = self.price.as_ref().filter(|_| queries > 0);
                if price.is_none_or(|price| tally.covers(price, queries, under_way, largest)) {
                    // Still under the lock, so that two that look at once see each other.
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

/// Money reserved for a question; dropping this ends the reservation.
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

    /// The result of a future that is ready without waiting.
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
        // Two more are paid for, a third is not.
        let second = now(second).unwrap();
        let third = now(purse.pay(1, 1)).unwrap();
        let mut fourth = Box::pin(purse.pay(1, 1));
        assert!((&mut fourth).now_or_never().is_none());
        purse.add(1, million());
        drop(second);
        assert!((&mut fourth).now_or_never().is_none());
        // That one got no answer, so its money is there again.
        drop(third);
        let fourth = now(fourth).unwrap();
        purse.add(1, million());
        drop(fourth);
        let error = now(purse.pay(1, 1)).unwrap_err();
        assert!(matches!(error, CallError::Budget { spent, .. } if spent == 3.0));
        // A request that costs nothing is always paid for.
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
