//! How many requests may be under way at the same time, and how large they are, learnt from the
//! server's answers.
//!
//! Additive increase, multiplicative decrease (D. Chiu, R. Jain: Analysis of the increase and
//! decrease algorithms for congestion avoidance in computer networks, 1989), as TCP has it: the
//! window grows by one a round trip, and doubles in each until the first refusal (slow start, V.
//! Jacobson 1988). It shrinks by twice as much while answers take much longer than the fastest one:
//! then requests only queue somewhere, be it in the browser, which opens six connections to a
//! server (TCP Vegas, L. Brakmo, L. Peterson 1995). A refusal for want of room or a missing answer
//! halves it, once for all requests that were under way together.
//!
//! Requests grow while there is more to ask than a browser's connections carry at once: where an
//! answer is long on its way, only larger requests keep the server busy.

use crate::Calls;

/// Requests under way before anything is known.
const FIRST: f32 = 4.0;
/// An answer that takes so many times as long as the fastest has queued.
const QUEUED: f64 = 2.0;
/// And so many milliseconds more: below, the differences are the clock's.
const SLACK_MS: f64 = 8.0;
/// The fastest answer is forgotten slowly, by this factor with each answer: a server's pace
/// changes.
const FORGET: f64 = 1.001;
/// So many connections to a server browsers open over HTTP/1.1: what is asked in no more of them
/// takes one round trip.
const TOGETHER: usize = 6;
/// Requests whose answers take longer are large enough: the way is little of that.
const LONG_MS: f64 = 1_000.0;
/// Requests that a token bucket lets through at once after a pause.
const BURST: f64 = 4.0;

/// Inputs that one request holds where the model's server does not say less: enough to use a batch well, few enough that
/// several requests are under way while the next one is rendered.
pub const REQUEST_INPUTS: usize = 32;

/// No request's body is made larger (servers limit bodies), unless a single input is.
const MOST_BYTES: usize = 8 << 20;
/// Nor does one hold more inputs, however well the server answers.
const MOST_INPUTS: usize = 2048;

/// Inputs of `bytes` each that a request holds at most where the server states no limit.
#[must_use]
pub fn most_inputs(bytes: usize) -> usize {
    (MOST_BYTES / bytes.max(1)).clamp(1, MOST_INPUTS)
}

/// A request under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// The pace of one participant's calls. Times are milliseconds of any clock that does not run
/// backwards.
#[derive(Clone, Debug)]
pub struct Pace {
    window: f32,
    most: f32,
    starting: bool,
    fastest_ms: f64,
    sent: u64,
    /// A refusal of an older request is one with the last.
    decreased_at: u64,
    not_before: f64,
    /// Requests a millisecond, and how many are saved up, as of when.
    bucket: Option<(f64, f64, f64)>,
    /// Inputs in a request, at most; at first, and ever.
    batch: usize,
    batch_first: usize,
    batch_most: usize,
    /// As the last request was cut, and how many answers of `batch` inputs there were.
    size: usize,
    full: usize,
    /// The largest request that was ever answered.
    proven: usize,
}

impl Pace {
    /// Within the task's limits; requests hold `batch` inputs at first, and never more than
    /// `batch_most`.
    #[must_use]
    pub fn new(calls: &Calls, batch: usize, batch_most: usize) -> Self {
        let most = calls.concurrency.max(1) as f32;
        let stated = |size: usize| match calls.batch {
            0 => size,
            stated => size.min(stated as usize),
        };
        let batch_most = stated(batch_most).max(1);
        let batch = batch.clamp(1, batch_most);
        let per_ms = f64::from(calls.per_second) / 1000.0;
        Self {
            window: FIRST.min(most),
            most,
            starting: true,
            fastest_ms: f64::INFINITY,
            sent: 0,
            decreased_at: 0,
            not_before: 0.0,
            bucket: (per_ms > 0.0).then_some((per_ms, BURST, 0.0)),
            batch,
            batch_first: batch,
            batch_most,
            size: batch,
            full: 0,
            proven: 0,
        }
    }

    /// Requests that may be under way now, at least 1.
    #[must_use]
    pub fn window(&self) -> usize {
        self.window as usize
    }

    /// Inputs that a request may hold now.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Inputs that the next request of an evaluation of `total` should hold: so many that all of
    /// them go out together if they can, but no fewer than at first.
    pub fn cut(&mut self, total: usize) -> usize {
        let more = total > TOGETHER * self.batch;
        if more && self.full >= TOGETHER && self.fastest_ms < LONG_MS {
            self.resize((2 * self.batch).min(self.batch_most));
        }
        let size = self.size_of(total);
        if size != self.size {
            // Requests of another size take another time.
            (self.size, self.fastest_ms) = (size, f64::INFINITY);
        }
        size
    }

    /// The same by what is known now, for requests that are only prepared.
    #[must_use]
    pub fn size_of(&self, total: usize) -> usize {
        let size = total.div_ceil(TOGETHER).max(self.batch_first);
        size.min(self.batch)
    }

    /// The server, or what is known of it, allows no more inputs in a request.
    pub fn limit_batch(&mut self, most: usize) {
        self.batch_most = self.batch_most.min(most).max(1);
        self.resize(self.batch.min(self.batch_most));
    }

    /// A request of `inputs` failed: `surely` because it was too large; or else perhaps, if it is
    /// one that has grown and none so large was ever answered. Servers say so in many ways. Whether
    /// smaller ones are to be tried.
    pub fn too_large(&mut self, inputs: usize, surely: bool) -> bool {
        let known = self.proven.max(self.batch_first);
        if inputs < 2 || !(surely || inputs > known) {
            return false;
        }
        self.limit_batch(if surely { inputs / 2 } else { known });
        true
    }

    fn resize(&mut self, batch: usize) {
        if batch != self.batch {
            (self.batch, self.full) = (batch, 0);
        }
    }

    /// Milliseconds until a request may leave; 0: it leaves now, and is counted.
    pub fn take(&mut self, now: f64) -> Result<Ticket, f64> {
        if now < self.not_before {
            return Err(self.not_before - now);
        }
        if let Some((per_ms, saved, at)) = &mut self.bucket {
            *saved = (*saved + (now - *at).max(0.0) * *per_ms).min(BURST);
            *at = now;
            if *saved < 1.0 {
                return Err((1.0 - *saved) / *per_ms);
            }
            *saved -= 1.0;
        }
        self.sent += 1;
        Ok(Ticket(self.sent))
    }

    /// An answer to `inputs` came after `took_ms`, with `under_way` requests (this one included)
    /// before it. Only full requests teach anything: smaller ones are answered sooner.
    pub fn answered(&mut self, took_ms: f64, under_way: usize, inputs: usize) {
        self.proven = self.proven.max(inputs);
        if inputs < self.size {
            return;
        }
        self.full += usize::from(inputs >= self.batch);
        self.fastest_ms = (self.fastest_ms * FORGET).min(took_ms.max(0.0));
        let queued = took_ms > QUEUED * self.fastest_ms + SLACK_MS;
        // Without enough work there is nothing to learn.
        if under_way < self.window() {
            return;
        }
        self.starting &= !queued;
        let step = 1.0 / self.window;
        self.window += match (queued, self.starting) {
            (true, _) => -2.0 * step,
            (false, true) => 1.0,
            (false, false) => step,
        };
        self.window = self.window.min(self.most).max(1.0);
    }

    /// The server had no room, or gave no answer in time; it may ask for a pause of all.
    pub fn pushed_back(&mut self, ticket: Ticket, now: f64, retry_after_ms: Option<u64>) {
        if let Some(pause) = retry_after_ms {
            self.not_before = self.not_before.max(now + pause as f64);
        }
        self.starting = false;
        if ticket.0 > self.decreased_at {
            self.decreased_at = self.sent;
            self.window = (self.window / 2.0).max(1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(calls: Calls) -> Pace {
        Pace::new(&calls, 32, 256)
    }

    /// A server that takes `room` requests at once, each in `each_ms`, and refuses the others.
    fn against(pace: &mut Pace, room: usize, each_ms: f64, rounds: usize) -> Vec<usize> {
        let mut windows = Vec::new();
        let mut now = 0.0;
        for _ in 0..rounds {
            let under_way = pace.window();
            let tickets: Vec<_> = (0..under_way).filter_map(|_| pace.take(now).ok()).collect();
            now += each_ms;
            for (at, ticket) in tickets.into_iter().enumerate() {
                if at < room {
                    pace.answered(each_ms, under_way, 32);
                } else {
                    pace.pushed_back(ticket, now, None);
                }
            }
            windows.push(pace.window());
        }
        windows
    }

    #[test]
    fn it_finds_the_servers_room_and_stays_around_it() {
        let mut pace = pace(Calls::default());
        let windows = against(&mut pace, 20, 50.0, 200);
        let late = &windows[50..];
        assert!(late.iter().all(|w| (9..=21).contains(w)), "{late:?}");
        let mean = late.iter().sum::<usize>() as f64 / late.len() as f64;
        assert!(mean > 13.0, "{mean}");
    }

    #[test]
    fn one_refused_burst_halves_once() {
        let mut pace = pace(Calls::default());
        against(&mut pace, 100, 50.0, 3);
        let before = pace.window();
        let tickets: Vec<_> = (0..before).map(|_| pace.take(0.0).unwrap()).collect();
        tickets
            .into_iter()
            .for_each(|ticket| pace.pushed_back(ticket, 1.0, None));
        assert_eq!(pace.window(), before / 2);
        let ticket = pace.take(2.0).unwrap();
        pace.pushed_back(ticket, 3.0, None);
        assert_eq!(pace.window(), before / 4);
        (0..20).for_each(|_| {
            let ticket = pace.take(4.0).unwrap();
            pace.pushed_back(ticket, 5.0, None);
        });
        assert_eq!(pace.window(), 1);
    }

    #[test]
    fn answers_that_queue_do_not_widen_the_window() {
        let mut pace = pace(Calls::default());
        // Six connections: the more are asked, the longer each waits.
        for _ in 0..100 {
            let under_way = pace.window();
            for at in 0..under_way {
                pace.answered(20.0 * (1 + at / 6) as f64, under_way, 32);
            }
        }
        assert!((6..=30).contains(&pace.window()), "{}", pace.window());
    }

    #[test]
    fn nothing_is_learnt_without_work() {
        let mut pace = pace(Calls::default());
        (0..100).for_each(|_| pace.answered(10.0, 1, 32));
        // Nor from requests that are smaller than others.
        (0..100).for_each(|_| pace.answered(0.1, 9, 1));
        assert_eq!(pace.window(), 4);
    }

    #[test]
    fn limits_hold() {
        let mut few = pace(Calls {
            concurrency: 3,
            batch: 8,
            ..Calls::default()
        });
        against(&mut few, 100, 10.0, 50);
        assert_eq!((few.window(), few.batch()), (3, 8));
    }

    #[test]
    fn a_rate_is_kept_over_time() {
        let mut pace = pace(Calls {
            per_second: 10.0,
            ..Calls::default()
        });
        let (mut now, mut sent) = (0.0, 0);
        while now < 10_000.0 {
            match pace.take(now) {
                Ok(_) => sent += 1,
                Err(wait) => now += wait.max(1e-6),
            }
        }
        assert!((100..=104).contains(&sent), "{sent}");
    }

    #[test]
    fn a_pause_that_is_asked_for_is_everyones() {
        let mut pace = pace(Calls::default());
        let ticket = pace.take(0.0).unwrap();
        pace.pushed_back(ticket, 100.0, Some(2_000));
        assert_eq!(pace.take(600.0), Err(1_500.0));
        assert!(pace.take(2_100.0).is_ok());
    }

    /// Asks `total` inputs once, six requests at a time, each answered after `way_ms` and a
    /// millisecond for each input.
    fn evaluation(pace: &mut Pace, total: usize, way_ms: f64) -> Vec<usize> {
        let (mut left, mut sizes) = (total, Vec::new());
        while left > 0 {
            let together: Vec<_> = (0..6)
                .map(|_| {
                    let size = pace.cut(total).min(left);
                    left -= size;
                    size
                })
                .filter(|size| *size > 0)
                .collect();
            for size in &together {
                pace.answered(way_ms + *size as f64, together.len(), *size);
            }
            sizes.extend(together);
        }
        sizes
    }

    #[test]
    fn requests_grow_while_there_is_more_than_goes_out_together() {
        let mut pace = pace(Calls::default());
        // Little: two requests.
        assert_eq!(evaluation(&mut pace, 64, 10.0), [32, 32]);
        // Within one large evaluation, up to the limit.
        let sizes = evaluation(&mut pace, 5_000, 10.0);
        assert!(sizes[..sizes.len() - 1].is_sorted(), "{sizes:?}");
        assert_eq!((sizes[0], pace.batch()), (32, 256));
        // As many as go out together, of the same size; and again few for a small one.
        assert_eq!(
            evaluation(&mut pace, 1_024, 10.0),
            [171, 171, 171, 171, 171, 169]
        );
        assert_eq!(evaluation(&mut pace, 64, 10.0), [32, 32]);
    }

    #[test]
    fn a_failure_undoes_what_was_only_tried() {
        let mut pace = pace(Calls::default());
        // Nothing has grown yet: it is not the size, whatever was answered before.
        pace.answered(1.0, 1, 1);
        assert!(!pace.too_large(32, false));
        evaluation(&mut pace, 1_000, 10.0);
        assert!(pace.batch() > 32);
        let most = pace.proven;
        assert!(!pace.too_large(most, false));
        assert!(pace.too_large(most + 1, false));
        assert_eq!(pace.batch(), most);
    }

    #[test]
    fn preparing_changes_nothing() {
        let mut pace = pace(Calls::default());
        evaluation(&mut pace, 5_000, 10.0);
        assert_eq!((pace.cut(1_024), pace.size_of(64)), (171, 32));
        assert_eq!(pace.size, 171);
    }

    #[test]
    fn requests_of_a_slow_model_stay_as_they_are() {
        let mut pace = pace(Calls::default());
        evaluation(&mut pace, 5_000, 2_000.0);
        assert_eq!(pace.batch(), 32);
    }

    #[test]
    fn batches_shrink_when_refused() {
        let mut pace = pace(Calls::default());
        evaluation(&mut pace, 5_000, 10.0);
        // What was too large was a request of 100, not the most that there could have been; of
        // several that were under way together each is told.
        assert_eq!(pace.cut(600), 100);
        assert!(pace.too_large(100, true) && pace.too_large(100, true));
        assert_eq!(pace.batch(), 50);
        evaluation(&mut pace, 5_000, 10.0);
        assert_eq!(pace.batch(), 50);
        while pace.too_large(pace.batch(), true) {}
        assert_eq!(pace.batch(), 1);
        pace.limit_batch(0);
        assert_eq!(pace.batch(), 1);
    }
}
