//! How many requests may be under way at the same time, and how large they may be, learnt from the
//! server's answers.
//!
//! Additive increase, multiplicative decrease, as in TCP (D. Chiu, R. Jain: Analysis of the
//! increase and decrease algorithms for congestion avoidance in computer networks, 1989): the
//! window grows by one in each round trip, and doubles in each until the first refusal (slow start,
//! V. Jacobson 1988). It shrinks twice as fast while answers take much longer than the fastest one,
//! because requests then only queue somewhere, perhaps in the browser, which opens six connections
//! to a server (TCP Vegas, L. Brakmo, L. Peterson 1995). A refusal for lack of room or a missing
//! answer halves it, once for all requests that were under way together.
//!
//! Requests grow while there is more to ask than a browser's connections carry at once: if an
//! answer takes long on its way, only larger requests keep the server busy.

use crate::Calls;

/// Number of requests under way before anything is known.
const FIRST: f32 = 4.0;
/// Factor of the fastest answer's time beyond which an answer has queued.
const QUEUED: f64 = 2.0;
/// Additional milliseconds beyond which an answer has queued; smaller differences may be the
/// clock's.
const SLACK_MS: f64 = 8.0;
/// Factor by which the fastest time grows with each answer, so that it is slowly forgotten: a
/// server's pace changes.
const FORGET: f64 = 1.001;
/// Number of connections that browsers open to a server over HTTP/1.1. Requests up to this number
/// take one round trip together.
const TOGETHER: usize = 6;
/// Requests whose answers take longer are large enough: the time on the way hardly matters then.
const LONG_MS: f64 = 1_000.0;
/// Number of requests that the token bucket lets through at once after a pause.
const BURST: f64 = 4.0;

/// Number of inputs in a request, unless the model's server says less: enough to use a batch well,
/// and few enough that several requests are under way while the next one is rendered.
pub const REQUEST_INPUTS: usize = 32;

/// Maximum bytes of a request's body, unless a single input is larger: servers limit bodies.
const MOST_BYTES: usize = 8 << 20;
/// Maximum number of inputs in a request, however well the server answers.
const MOST_INPUTS: usize = 2048;

/// Maximum number of inputs, of `bytes` each, in a request if the server states no limit.
#[must_use]
pub fn most_inputs(bytes: usize) -> usize {
    (MOST_BYTES / bytes.max(1)).clamp(1, MOST_INPUTS)
}

/// A request under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// The pace of one participant's calls. Times are in milliseconds, of any clock that does not run
/// backwards.
#[derive(Clone, Debug)]
pub struct Pace {
    window: f32,
    most: f32,
    starting: bool,
    fastest_ms: f64,
    sent: u64,
    /// Requests numbered up to this one were under way at the last decrease; their refusals belong
    /// to it.
    decreased_at: u64,
    not_before: f64,
    /// Requests per millisecond, requests saved up, and the time at which this was computed.
    bucket: Option<(f64, f64, f64)>,
    /// Maximum number of inputs in a request at present.
    batch: usize,
    /// Maximum number of inputs in a request at first.
    batch_first: usize,
    /// Maximum number of inputs that a request may ever have.
    batch_most: usize,
    /// Number of inputs of the request that was cut last.
    size: usize,
    /// Number of answers to requests of `batch` inputs.
    full: usize,
    /// Size of the largest request that was ever answered.
    proven: usize,
}

impl Pace {
    /// A pace within the task's limits. Requests hold `batch` inputs at first, and never more than
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

    /// Number of requests that may be under way now, at least 1.
    #[must_use]
    pub fn window(&self) -> usize {
        self.window as usize
    }

    /// Number of inputs that a request may hold now.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Number of inputs for the next request of an evaluation of `total` inputs: few enough for all
    /// requests to leave together if possible, but no fewer than at first.
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

    /// Number of inputs for a request of an evaluation of `total` inputs that is only being
    /// prepared, by what is known now.
    #[must_use]
    pub fn size_of(&self, total: usize) -> usize {
        let size = total.div_ceil(TOGETHER).max(self.batch_first);
        size.min(self.batch)
    }

    /// Limits requests to `most` inputs, because the server says so or is known to allow no more.
    pub fn limit_batch(&mut self, most: usize) {
        self.batch_most = self.batch_most.min(most).max(1);
        self.resize(self.batch.min(self.batch_most));
    }

    /// Notes that a request of `inputs` inputs failed; returns whether to try smaller ones.
    /// `surely` means that it was too large. Otherwise it may have been, if it has grown and none
    /// of its size was ever answered: servers say so in many ways.
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

    /// Lets a request leave and counts it; or returns the milliseconds until one may leave.
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

    /// Notes that an answer to `inputs` inputs came after `took_ms`, while `under_way` requests
    /// were under way, this one included. Only full requests teach anything, because smaller ones
    /// are answered sooner.
    pub fn answered(&mut self, took_ms: f64, under_way: usize, inputs: usize) {
        self.proven = self.proven.max(inputs);
        if inputs < self.size {
            return;
        }
        self.full += usize::from(inputs >= self.batch);
        self.fastest_ms = (self.fastest_ms * FORGET).min(took_ms.max(0.0));
        let queued = took_ms > QUEUED * self.fastest_ms + SLACK_MS;
        // With too little work under way there is nothing to learn.
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

    /// Notes that the server had no room or gave no answer in time. It may ask for a pause of all
    /// requests.
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
