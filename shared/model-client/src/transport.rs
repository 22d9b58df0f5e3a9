//! The way to a server, as a platform provides it: HTTP requests, a clock, and numbers by chance for back-off.

use crate::Response;
use std::future::Future;

/// An HTTP request.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// `GET`, `POST` or `DELETE`.
    pub method: &'static str,
    /// Origin and path prefix of the server, without a slash at the end.
    pub base: &'a str,
    /// What is appended to it; starts with a slash.
    pub path: &'a str,
    /// Names and values.
    pub headers: Vec<(&'a str, &'a str)>,
    /// The body; nothing for GET and DELETE.
    pub body: Option<&'a [u8]>,
    /// Milliseconds after which the request is given up.
    pub limit_ms: f64,
}

impl Call<'_> {
    /// The whole address.
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
    /// Lower-case names, and values. A browser shows only those that the server exposes to other origins.
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

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Nothing came within the limit.
    #[error("it does not answer within {seconds} seconds")]
    TimedOut {
        /// The limit.
        seconds: u32,
    },
    /// No connection. A browser says no more than that; the cause may also be that the server does not allow the page
    /// to ask (CORS).
    #[error("{cause}")]
    Unreachable {
        /// Why, in words.
        cause: String,
    },
    /// The connection broke while the answer came.
    #[error("{cause}")]
    Broken {
        /// Why, in words.
        cause: String,
    },
    /// The answer is larger than is taken.
    #[error("its answer is larger than the {} MiB that are taken", most >> 20)]
    TooLarge {
        /// The limit, in bytes.
        most: usize,
    },
    /// Nothing was asked, and asking again would not help: a model that is to run here cannot be loaded.
    #[error("{why}")]
    Never {
        /// Why, in words, and what to do.
        why: String,
    },
}

/// The way to a server. Dropping an unfinished [`send`](Self::send) gives the request up.
pub trait Transport {
    /// Sends a request. It leaves when the future is polled first.
    ///
    /// # Errors
    /// [`NoAnswer`]; an HTTP status is an answer, whatever it is.
    fn send(&self, call: Call<'_>) -> impl Future<Output = Result<Answer, NoAnswer>>;

    /// Milliseconds of a clock that does not run backwards.
    fn now_ms(&self) -> f64;

    /// Resolves after `ms` milliseconds.
    fn sleep(&self, ms: f64) -> impl Future<Output = ()>;

    /// A number from 0 (included) to 1 (excluded), by chance: many clients must not come back at once.
    fn uniform(&self) -> f32;

    /// Whether what is asked runs on this device, so that nothing is sent.
    fn is_here(&self) -> bool {
        false
    }

    /// Loads what the dialect needs before it can make a request, such as a table of embeddings.
    ///
    /// # Errors
    /// [`NoAnswer::Never`] where it cannot be had.
    fn ready(&self) -> impl Future<Output = Result<(), NoAnswer>> {
        async { Ok(()) }
    }
}
