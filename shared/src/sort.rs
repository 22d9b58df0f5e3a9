//! One sorting routine for everything that is sorted rarely. The standard library's are copied, with all of
//! their cases, for each type that is sorted: kilobytes of the browser's module each.

use std::cmp::Ordering;

/// Sorts in place. Not stable; equal items change places. O(n log n) always (heap sort, J. W. J. Williams,
/// Communications of the ACM 7, 1964).
pub fn sort_by<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    // The loops see only places: they are compiled once.
    struct Slice<'a, T, F>(&'a mut [T], F);
    impl<T, F: Fn(&T, &T) -> Ordering> Places for Slice<'_, T, F> {
        fn less(&self, a: usize, b: usize) -> bool {
            (self.1)(&self.0[a], &self.0[b]).is_lt()
        }
        fn swap(&mut self, a: usize, b: usize) {
            self.0.swap(a, b);
        }
    }
    let count = items.len();
    heap_sort(count, &mut Slice(items, compare));
}

/// Sorts in place by the items' own order; see [`sort_by`].
pub fn sort<T: Ord>(items: &mut [T]) {
    sort_by(items, T::cmp);
}

trait Places {
    fn less(&self, a: usize, b: usize) -> bool;
    fn swap(&mut self, a: usize, b: usize);
}

fn heap_sort(count: usize, places: &mut dyn Places) {
    for start in (0..count / 2).rev() {
        sift_down(start, count, places);
    }
    for end in (1..count).rev() {
        places.swap(0, end);
        sift_down(0, end, places);
    }
}

fn sift_down(mut at: usize, end: usize, places: &mut dyn Places) {
    loop {
        let mut child = 2 * at + 1;
        if child >= end {
            return;
        }
        if child + 1 < end && places.less(child, child + 1) {
            child += 1;
        }
        if !places.less(at, child) {
            return;
        }
        places.swap(at, child);
        at = child;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sorts_as_the_standard_library_does(mut items in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut expected = items.clone();
            expected.sort_unstable();
            super::sort(&mut items);
            prop_assert_eq!(&items, &expected);
            expected.reverse();
            super::sort_by(&mut items, |a, b| b.cmp(a));
            prop_assert_eq!(items, expected);
        }
    }
}
