//! The way to a server, which a platform provides: HTTP requests, a clock, and random numbers for
//! back-off.

use crate::Response;
use std::future::Future;

/// An HTTP request to any server.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// The method: `GET`, `POST` or `DELETE`.
    pub method: &'static str,
    /// Origin and path prefix of the server, without a slash at the end.
    pub base: &'a str,
    /// Path that is appended to the base; starts with a slash.
    pub path: &'a str,
    /// Names and values of the headers.
    pub headers: Vec<(&'a str, &'a str)>,
    /// The body; `None` for GET and DELETE.
    pub body: Option<&'a [u8]>,
    /// Milliseconds after which the request is given up.
    pub limit_ms: f64,
}

impl Call<'_> {
    /// The whole address, base and path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{}", self.base, self.path)
    }
}

/// An HTTP answer, whatever its status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Names of the headers in lower case, and their values. A browser shows only those that the
    /// server exposes to other origins.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The answer as dialects read it.
    #[must_use]
    pub fn response(&self) -> Response<'_> {
        Response {
            status: self.status,
            headers: &self.headers,
            body: &self.body,
        }
    }
}

/// Why a request got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Nothing came within the limit.
    #[error("it does not answer within {seconds} seconds")]
    TimedOut {
        /// The limit in seconds.
        seconds: u32,
    },
    /// There is no connection. A browser says no more than that; perhaps the server does not allow
    /// the page to ask (CORS).
    #[error("{cause}")]
    Unreachable {
        /// The cause, in words.
        cause: String,
    },
    /// The connection broke while the answer came.
    #[error("{cause}")]
    Broken {
        /// The cause, in words.
        cause: String,
    },
    /// The answer is larger than the client accepts.
    #[error("its answer is larger than the {} MiB that are taken", most >> 20)]
    TooLarge {
        /// The limit, in bytes.
        most: usize,
    },
    /// Nothing was sent, and asking again would not help, because a local model cannot be loaded.
    #[error("{why}")]
    Never {
        /// The reason, in words, and what to do.
        why: String,
    },
}

/// The way to a server. Dropping an unfinished [`send`](Self::send) cancels the request.
pub trait Transport {
    /// Sends a request, as soon as the future is first polled.
    ///
    /// # Errors
    /// [`NoAnswer`]. Any HTTP status is an answer.
    fn send(&self, call: Call<'_>) -> impl Future<Output = Result<Answer, NoAnswer>>;

    /// The time in milliseconds, of a clock that does not run backwards.
    fn now_ms(&self) -> f64;

    /// Resolves after `ms` milliseconds.
    fn sleep(&self, ms: f64) -> impl Future<Output = ()>;

    /// A random number from 0 (included) to 1 (excluded), so that many clients do not return at
    /// once.
    fn uniform(&self) -> f32;

    /// Whether the model runs on this device, so that nothing is sent.
    fn is_here(&self) -> bool {
        false
    }

    /// Loads what the dialect needs before it can make a request, such as a table of embeddings.
    ///
    /// # Errors
    /// [`NoAnswer::Never`] if it cannot be loaded.
    fn ready(&self) -> impl Future<Output = Result<(), NoAnswer>> {
        async { Ok(()) }
    }
}
