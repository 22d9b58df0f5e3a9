//! Counts of calls, their cost, and whether a budget covers more.

use serde::{Deserialize, Serialize};

use crate::{Price, Usage};

/// Counts of the calls so far, by everything that may have a price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Number of requests that were answered.
    pub calls: u64,
    /// Number of inputs in these requests.
    pub queries: u64,
    /// Number of tokens sent, if the API counts them.
    pub input_tokens: u64,
    /// Number of tokens answered, if the API counts them.
    pub output_tokens: u64,
}

impl Tally {
    /// Adds an answered request of `queries` inputs.
    pub fn add(&mut self, queries: usize, usage: Option<Usage>) {
        let usage = usage.unwrap_or_default();
        let more = [1, queries as u64, usage.input_tokens, usage.output_tokens];
        let all = [
            &mut self.calls,
            &mut self.queries,
            &mut self.input_tokens,
            &mut self.output_tokens,
        ];
        all.into_iter()
            .zip(more)
            .for_each(|(sum, more)| *sum = sum.saturating_add(more));
    }

    /// The cost of these calls, in the price's currency.
    #[must_use]
    pub fn cost(&self, price: &Price) -> f64 {
        let of = |count: u64, each: f64| count as f64 * each;
        of(self.calls, price.per_call)
            + of(self.queries, price.per_query)
            + of(self.input_tokens, price.per_million_input_tokens / 1e6)
            + of(self.output_tokens, price.per_million_output_tokens / 1e6)
    }

    /// Whether the budget covers another request of `queries` inputs while `under_way` requests of
    /// `largest` inputs each are under way. Its cost in tokens is estimated from earlier requests;
    /// the very first request is let through, alone.
    #[must_use]
    pub fn covers(&self, price: &Price, queries: usize, under_way: usize, largest: usize) -> bool {
        if price.budget <= 0.0 {
            return true;
        }
        let unknown = price.per_million_input_tokens + price.per_million_output_tokens > 0.0;
        if self.calls == 0 && unknown && under_way > 0 {
            return false;
        }
        let mean = if self.calls == 0 {
            price.per_call
        } else {
            self.cost(price) / self.calls as f64
        };
        let of = |queries: usize| (price.per_call + price.per_query * queries as f64).max(mean);
        let next = of(queries) + of(largest) * under_way as f64;
        self.cost(price) + next <= price.budget * (1.0 + 1e-12)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price() -> Price {
        Price {
            currency: "EUR".to_owned(),
            per_call: 0.01,
            per_query: 0.001,
            per_million_input_tokens: 2.0,
            per_million_output_tokens: 8.0,
            budget: 0.05,
        }
    }

    #[test]
    fn everything_that_is_paid_for_counts() {
        let mut tally = Tally::default();
        tally.add(10, None);
        tally.add(
            5,
            Some(Usage {
                input_tokens: 1_000_000,
                output_tokens: 500_000,
            }),
        );
        assert!((tally.cost(&price()) - (0.02 + 0.015 + 2.0 + 4.0)).abs() < 1e-12);
    }

    #[test]
    fn the_budget_is_never_exceeded_by_what_is_under_way() {
        let (price, mut tally) = (price(), Tally::default());
        let mut sent = 0;
        while tally.covers(&price, 1, 0, 1) {
            tally.add(1, None);
            sent += 1;
        }
        assert_eq!(sent, 4);
        let fresh = Tally::default();
        assert!(fresh.covers(&price, 1, 0, 1) && !fresh.covers(&price, 1, 1, 1));
        let price = Price {
            per_million_input_tokens: 0.0,
            per_million_output_tokens: 0.0,
            ..price
        };
        assert!(fresh.covers(&price, 1, 3, 1));
        assert!(!fresh.covers(&price, 1, 4, 1));
        assert!(fresh.covers(
            &Price {
                budget: 0.0,
                ..price
            },
            1,
            1000,
            1
        ));
    }

    #[test]
    fn tokens_are_foreseen_from_those_before() {
        let price = Price {
            per_call: 0.0,
            per_query: 0.0,
            ..price()
        };
        let mut tally = Tally::default();
        tally.add(
            1,
            Some(Usage {
                input_tokens: 10_000,
                output_tokens: 0,
            }),
        );
        // Each costs 0.02: one more, and a second would make 0.06.
        assert!(tally.covers(&price, 1, 0, 1));
        assert!(!tally.covers(&price, 1, 1, 1));
    }
}
