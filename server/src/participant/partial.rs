//! What was answered of an evaluation before it was broken off: queries cost money, and are not asked again.

use shared::model_api::Scores;
use std::collections::BTreeMap;
use std::ops::Range;

/// The answers so far, by the number of the first input of each request.
#[derive(Debug, Default)]
pub struct Partial(BTreeMap<usize, Scores>);

impl Partial {
    /// Takes the answer to the request that began with input `start`.
    pub fn take(&mut self, start: usize, scores: Scores) {
        self.0.insert(start, scores);
    }

    /// Requests that were answered.
    pub fn requests(&self) -> usize {
        self.0.len()
    }

    /// What is not answered of `count` inputs.
    pub fn missing(&self, count: usize) -> Missing {
        let mut gaps = Vec::new();
        let mut from = 0;
        for (start, scores) in &self.0 {
            gaps.push(from..*start);
            from = start + scores.rows();
        }
        gaps.push(from..count);
        gaps.retain(|gap| !gap.is_empty());
        gaps.reverse();
        Missing(gaps)
    }

    /// The answers in the order of the inputs.
    pub fn in_order(self) -> Vec<Scores> {
        self.0.into_values().collect()
    }
}

/// Inputs that are still to be asked, the next ones last.
#[derive(Debug)]
pub struct Missing(Vec<Range<usize>>);

impl Missing {
    /// The next request, of at most `most` inputs.
    pub fn next(&mut self, most: usize) -> Option<Range<usize>> {
        let gap = self.0.last_mut()?;
        let request = gap.start..gap.end.min(gap.start + most.max(1));
        gap.start = request.end;
        if gap.start == gap.end {
            self.0.pop();
        }
        Some(request)
    }

    /// Nothing is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic: that is how it fails.
mod tests {
    use super::*;

    fn rows(count: usize) -> Scores {
        Scores::new(2, vec![0.0; 2 * count]).unwrap()
    }

    fn asked(partial: &Partial, count: usize, most: usize) -> Vec<Range<usize>> {
        let mut missing = partial.missing(count);
        std::iter::from_fn(|| missing.next(most)).collect()
    }

    #[test]
    fn only_what_was_not_answered_is_asked_and_in_pieces() {
        let mut partial = Partial::default();
        assert_eq!(asked(&partial, 10, 4), [0..4, 4..8, 8..10]);
        partial.take(4, rows(4));
        assert_eq!(asked(&partial, 10, 3), [0..3, 3..4, 8..10]);
        partial.take(0, rows(3));
        partial.take(3, rows(1));
        assert_eq!(asked(&partial, 10, 1), [8..9, 9..10]);
        partial.take(8, rows(2));
        assert!(partial.missing(10).is_empty());
        assert_eq!(partial.requests(), 4);
        let counts: Vec<usize> = partial.in_order().iter().map(Scores::rows).collect();
        assert_eq!(counts, [3, 1, 4, 2]);
    }
}
