//! Independent jobs on a few threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Runs `job(_, 0)` to `job(_, count - 1)` on at most `threads` threads. Returns their results in
/// order, or the error with the lowest index. The job's first argument is the number of its thread.
pub(crate) fn map<T: Send, E: Send>(
    threads: usize,
    count: usize,
    job: impl Fn(usize, usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    if threads.min(count) <= 1 {
        return (0..count).map(|index| job(0, index)).collect();
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(count));
    let work = &|thread: usize| {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return;
            }
            let result = job(thread, index);
            done.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((index, result));
        }
    };
    std::thread::scope(|scope| {
        // The caller's thread is one of them.
        for thread in 1..threads.min(count) {
            scope.spawn(move || work(thread));
        }
        work(0);
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_the_first_error_counts() {
        for threads in [1, 3, 50] {
            let squares: Result<Vec<usize>, ()> = map(threads, 20, |_, i| Ok(i * i));
            assert_eq!(squares, Ok((0..20).map(|i| i * i).collect()));
            let failed = map(threads, 20, |_, i| if i > 6 { Err(i) } else { Ok(i) });
            assert_eq!(failed, Err(7));
            assert_eq!(map(threads, 0, |_, _| Ok::<_, ()>(0)), Ok(vec![]));
        }
    }
}
