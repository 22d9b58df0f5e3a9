//! All errors of a request, and the problem documents for them.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use federation::engine::CommandError;
use federation::round::messages::Problem;
use federation::round::refusal::Refusal;
use ground::fault::{Fault, Faults};
use std::time::Duration;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The protocol refuses the request.
    #[error("{0}")]
    Refused(Refusal),
    /// The protocol refuses the request, with an explanation.
    #[error("{0}: {1}")]
    RefusedBecause(Refusal, String),
    /// There are too many requests; the next may come after this time.
    #[error("{}", Refusal::RateLimited)]
    TooMany(Duration),
    /// The task file has faults.
    #[error("the task file has mistakes:\n{0}")]
    BadTask(Faults),
    /// The request does not make sense; the text says what would.
    #[error("{0}")]
    BadRequest(String),
    /// The body has another content type than this route takes.
    #[error("{0}")]
    MediaType(String),
    /// The answer exists in no encoding that the request accepts.
    #[error("{0}")]
    NotAcceptable(String),
    /// The route exists, but not with this method.
    #[error("{0}")]
    Method(String),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The disk refuses writes, or the database takes none for another reason.
    #[error("the database takes no writes")]
    Unwritable,
    /// Something that cannot be, such as a stored row that does not parse.
    #[error("internal error: {0}")]
    Internal(String),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Refused(refusal) => Self::Refused(refusal),
            CommandError::RefusedBecause(refusal, why) => Self::RefusedBecause(refusal, why),
            broken @ CommandError::Broken(_) => Self::Internal(broken.to_string()),
        }
    }
}

/// The error as callers see it who know nothing of HTTP.
impl From<Failure> for CommandError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => Self::Refused(refusal),
            Failure::RefusedBecause(refusal, why) => Self::RefusedBecause(refusal, why),
            other => Self::Broken(other.to_string()),
        }
    }
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self::BadTask(faults)
    }
}

impl From<getrandom::Error> for Failure {
    fn from(error: getrandom::Error) -> Self {
        Self::Internal(format!("the operating system gave no randomness: {error}"))
    }
}

impl Failure {
    /// The problem document for this error.
    pub(crate) fn problem(&self) -> Problem {
        let status = self.status_code().as_u16();
        let make = |code: &str, title: &str, detail: Option<String>, faults: Vec<Fault>| Problem {
            kind: "about:blank".to_owned(),
            status,
            code: code.to_owned(),
            title: title.to_owned(),
            detail,
            faults,
        };
        match self {
            Self::Refused(refusal) => make(&refusal.code(), &refusal.to_string(), None, Vec::new()),
            Self::RefusedBecause(refusal, detail) => make(
                &refusal.code(),
                &refusal.to_string(),
                Some(detail.clone()),
                Vec::new(),
            ),
            Self::TooMany(wait) => make(
                &Refusal::RateLimited.code(),
                &Refusal::RateLimited.to_string(),
                Some(format!("the next one is welcome in {} s", seconds(*wait))),
                Vec::new(),
            ),
            Self::BadTask(Faults(faults)) => make(
                "bad_task",
                "the task file has mistakes",
                Some(format!("{} to correct", faults.len())),
                faults.clone(),
            ),
            Self::BadRequest(detail) => make(
                "bad_request",
                "the request does not make sense",
                Some(detail.clone()),
                Vec::new(),
            ),
            Self::MediaType(detail) => make(
                "bad_request",
                "this route takes another content type",
                Some(detail.clone()),
                Vec::new(),
            ),
            Self::NotAcceptable(detail) => make(
                "bad_request",
                "there is no such encoding of this file",
                Some(detail.clone()),
                Vec::new(),
            ),
            Self::Method(detail) => make(
                "bad_request",
                "this address takes other methods",
                Some(detail.clone()),
                Vec::new(),
            ),
            Self::Unwritable => make("unwritable", &self.to_string(), None, Vec::new()),
            // What exactly failed is for the log, not for strangers.
            Self::Database(_) | Self::Internal(_) => make(
                "internal",
                "the aggregator failed; nothing was changed, try again",
                None,
                Vec::new(),
            ),
        }
    }

    /// Whether the transaction may succeed if it is tried again.
    pub(crate) fn is_busy(&self) -> bool {
        // SQLite's busy and locked; the standard's serialisation failure and deadlock.
        matches!(self.primary_code(), Some(5 | 6)) || self.has_code(&["40001", "40P01"])
    }

    /// Did the disk refuse to take what was written?
    pub(crate) fn is_unwritable(&self) -> bool {
        // SQLite's read-only, failed input or output, damaged, full, and cannot be opened; the standard's disk full and
        // read-only transaction.
        matches!(self.primary_code(), Some(8 | 10 | 11 | 13 | 14))
            || self.has_code(&["53100", "25006"])
    }

    /// SQLite's primary result code, which stands in the low byte of the code that the database gives.
    fn primary_code(&self) -> Option<u32> {
        let Self::Database(sqlx::Error::Database(error)) = self else {
            return None;
        };
        let code: u32 = error.code()?.parse().ok()?;
        (code < 10_000).then_some(code & 0xff)
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error))
            if error.code().is_some_and(|code| codes.contains(&&*code)))
    }

    /// The code in the counter of refusals.
    pub(crate) fn code(&self) -> String {
        self.problem().code
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Refused(refusal) | Self::RefusedBecause(refusal, _) => {
                StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST)
            }
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::BadTask(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unwritable | Self::Database(sqlx::Error::PoolTimedOut) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Database(_) | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        if matches!(self, Self::Database(_) | Self::Internal(_)) {
            tracing::error!(error = %self, "request failed");
        }
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((header::CONTENT_TYPE, "application/problem+json"));
        let retry_after = match self {
            Self::TooMany(wait) => Some(seconds(*wait)),
            Self::Refused(Refusal::RateLimited) => Some(1),
            _ if self.status_code() == StatusCode::SERVICE_UNAVAILABLE => Some(1),
            _ => None,
        };
        if let Some(seconds) = retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if self.status_code() == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        response.body(serde_json::to_vec(&self.problem()).unwrap_or_default())
    }
}

/// Whole seconds for `Retry-After`, rounded up so that a client that waits for them is not refused
/// again.
fn seconds(wait: Duration) -> u64 {
    wait.as_millis()
        .div_ceil(1_000)
        .try_into()
        .unwrap_or(u64::MAX)
        .max(1)
}
