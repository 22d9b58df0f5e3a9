//! Tracks which inputs of an evaluation are asked next and which are answered.
//!
//! A request is cut when it leaves, as large as the pace of calls allows at that moment
//! ([`crate::pace`]). Queries cost money, so answers are kept however the rest is cut after a
//! failure.

use crate::Scores;
use std::ops::Range;

/// The inputs of one evaluation, numbered group by group (one group for each candidate), and within
/// a group example by example.
#[derive(Clone, Debug)]
pub struct Asking {
    /// Each answer at the index of its request's first input.
    answers: Vec<Option<Scores>>,
    /// All inputs before this one have been asked.
    at: usize,
}

impl Asking {
    /// Starts with none of `total` inputs asked.
    #[must_use]
    pub fn new(total: usize) -> Self {
        Self {
            answers: vec![None; total],
            at: 0,
        }
    }

    /// Number of inputs.
    #[must_use]
    pub fn total(&self) -> usize {
        self.answers.len()
    }

    /// Whether any input is left to ask.
    #[must_use]
    pub fn is_more(&self) -> bool {
        self.at < self.total()
    }

    /// Cuts the next request, of at most `most` inputs; `None` if nothing is left to ask.
    pub fn cut(&mut self, most: usize) -> Option<Range<usize>> {
        let start = self.at;
        if !self.is_more() {
            return None;
        }
        let end = self.total().min(start + most.max(1));
        self.at = (start + 1..end)
            .find(|&input| self.answers[input].is_some())
            .unwrap_or(end);
        let request = start..self.at;
        self.skip();
        Some(request)
    }

    /// Records the answer to the request that began with input `first`.
    pub fn answered(&mut self, first: usize, scores: Scores) {
        if let Some(place) = self.answers.get_mut(first) {
            *place = Some(scores);
        }
    }

    /// Makes everything that was asked and not answered due to be asked again.
    pub fn again(&mut self) {
        self.at = 0;
        self.skip();
    }

    /// Moves past the inputs that are already answered.
    fn skip(&mut self) {
        while let Some(Some(scores)) = self.answers.get(self.at) {
            self.at += scores.rows().max(1);
        }
    }

    /// The answers, in the order of the inputs.
    #[must_use]
    pub fn into_answers(self) -> Vec<Scores> {
        self.answers.into_iter().flatten().collect()
    }
}

/// What was prepared for the first requests before they are asked, in the order of the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pieces<T>(pub Vec<(Range<usize>, T)>);

impl<T> Default for Pieces<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Pieces<T> {
    /// Cuts the next request and takes what was prepared for it. The request has the size of the
    /// next piece. If the pace no longer allows that many inputs, or nothing is prepared, `size`
    /// chooses from the number of all inputs, and the remaining pieces are dropped.
    pub fn cut(
        &mut self,
        asking: &mut Asking,
        allowed: usize,
        size: impl FnOnce(usize) -> usize,
    ) -> Option<(Range<usize>, Option<T>)> {
        let most = match self.0.first() {
            Some((piece, _)) if piece.len() <= allowed => piece.len(),
            _ => {
                self.0.clear();
                size(asking.total())
            }
        };
        let request = asking.cut(most)?;
        let prepared = match self.0.first() {
            Some((piece, _)) if *piece == request => Some(self.0.remove(0).1),
            _ => None,
        };
        Some((request, prepared))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic: that is how it fails.
mod tests {
    use super::*;

    /// Answers each input with its number.
    fn answer(asking: &mut Asking, request: Range<usize>) {
        let values = request.clone().map(|input| input as f32).collect();
        asking.answered(request.start, Scores::new(1, values).unwrap());
    }

    #[test]
    fn however_it_is_cut_and_broken_off_all_is_answered_once_and_in_order() {
        for total in [0, 1, 7, 64] {
            for seed in 0..200 {
                let mut stream = ground::rng::Stream::with_key([seed, total]);
                let mut asking = Asking::new(total as usize);
                let (mut under_way, mut times) = (Vec::new(), vec![0; total as usize]);
                loop {
                    let most = stream.below(9) as usize;
                    match asking.cut(most) {
                        Some(request) => under_way.push(request),
                        None if under_way.is_empty() => break,
                        None => {}
                    }
                    match stream.below(8) {
                        // A failure: the requests under way are given up.
                        0 => {
                            under_way.clear();
                            asking.again();
                        }
                        1 => {}
                        _ if under_way.is_empty() => {}
                        _ => {
                            let which = stream.below(under_way.len() as u32) as usize;
                            let request = under_way.swap_remove(which);
                            request.clone().for_each(|input| times[input] += 1);
                            answer(&mut asking, request);
                        }
                    }
                }
                assert!(times.iter().all(|times| *times == 1), "{times:?}");
                let rows: Vec<f32> = asking
                    .into_answers()
                    .iter()
                    .flat_map(|scores| scores.values().to_vec())
                    .collect();
                assert_eq!(rows, (0..total).map(|i| i as f32).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn what_is_prepared_is_asked_in_its_own_sizes_while_they_are_allowed() {
        let mut pieces = Pieces(vec![(0..3, 'a'), (3..6, 'b'), (6..9, 'c')]);
        let mut asking = Asking::new(12);
        assert_eq!(pieces.cut(&mut asking, 3, |_| 9), Some((0..3, Some('a'))));
        // Fewer inputs are allowed by now, so the rest is cut again.
        assert_eq!(
            pieces.cut(&mut asking, 2, |total| total / 6),
            Some((3..5, None))
        );
        assert_eq!(pieces.cut(&mut asking, 9, |_| 9), Some((5..12, None)));
        assert_eq!(pieces.cut(&mut asking, 9, |_| 9), None);
        // A piece that does not begin where the next request begins belongs to another request.
        let mut pieces = Pieces(vec![(0..3, 'a'), (3..6, 'b')]);
        let mut asking = Asking::new(6);
        answer(&mut asking, 0..2);
        asking.again();
        assert_eq!(pieces.cut(&mut asking, 3, |_| 9), Some((2..5, None)));
    }

    #[test]
    fn a_request_is_as_large_as_it_may_be() {
        let mut asking = Asking::new(10);
        assert_eq!(asking.cut(4), Some(0..4));
        assert_eq!(asking.cut(1), Some(4..5));
        answer(&mut asking, 4..5);
        asking.again();
        assert_eq!(asking.cut(100), Some(0..4));
        assert_eq!(asking.cut(100), Some(5..10));
        assert_eq!((asking.cut(1), asking.is_more()), (None, false));
    }
}
