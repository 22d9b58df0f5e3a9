//! Putting things in order by their places, and counting different texts.

use std::cmp::Ordering;

/// The places `0..count` in the order that `compare` gives; equal ones stay in the order of their
/// numbers.
#[must_use]
pub fn sorted(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    places.sort_unstable_by(|a, b| compare(*a, *b).then(a.cmp(b)));
    places
}

/// The number of different texts among `texts`.
#[must_use]
pub fn distinct(texts: &[String]) -> usize {
    let mut sorted: Vec<&str> = texts.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn different_texts_are_counted() {
        let texts = ["b", "a", "b", ""].map(str::to_owned);
        assert_eq!(distinct(&texts), 3);
        assert_eq!(distinct(&[]), 0);
    }

    proptest! {
        #[test]
        fn equals_stay_in_their_order(values in prop::collection::vec(0..5_u8, 0..40)) {
            let mut expected: Vec<usize> = (0..values.len()).collect();
            expected.sort_by_key(|at| values[*at]);
            prop_assert_eq!(sorted(values.len(), &|a, b| values[a].cmp(&values[b])), expected);
        }
    }
}
