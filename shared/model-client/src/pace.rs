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
mod tests;
