//! Errors in the form of each protocol: a fitting status, and a body in the form of the route's
//! API.

use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use inference::RequestError;
use listener::body::BodyError;
use serde_json::json;
use thiserror::Error;

use crate::RunError;

/// Why a request is not answered with scores.
#[derive(Debug, Error)]
pub(crate) enum ApiError {
    #[error("{0}")]
    BadRequest(String),
    #[error("unknown model or version; this server has {}, version 1", names(.known))]
    UnknownModel { known: Vec<String> },
    #[error("no such route; see GET /v2, GET /v1/models, POST /models/NAME, and docs/model-api.md")]
    UnknownRoute,
    #[error(
        "an API key is needed, and this is none of this server's: send `Authorization: Bearer KEY`"
    )]
    Key,
    #[error(
        "models are loaded and unloaded by keys with `admin = true` in the server's --keys file, or by SIGHUP"
    )]
    NotAdmin,
    #[error("too many {what} for this key; try again in {} s", seconds(*.wait))]
    TooFast { what: &'static str, wait: Duration },
    #[error("this key's {quota} queries of today are used up; try again in {} s", seconds(*.wait))]
    UsedUp { quota: u64, wait: Duration },
    #[error("the model `{name}` was not loaded, and what was served before still is: {cause}")]
    NotLoaded { name: String, cause: String },
    #[error("{0} is not allowed here")]
    Method(String),
    #[error("{}", BodyError::TooSlow)]
    TooSlow,
    #[error(
        "the body is larger than {limit} bytes; send fewer images in one request, or raise the server's --max-body"
    )]
    TooLarge { limit: usize },
    #[error(
        "{queries} queries in one request are more than this key's {most} a minute; send fewer"
    )]
    TooMany { queries: usize, most: u32 },
    #[error("Content-Encoding `{0}` is not supported; send the body as it is")]
    Encoding(String),
    #[error("the queue is full; try again in {RETRY_AFTER_SECONDS} s")]
    Full,
    #[error("the server is stopping; try again in {RETRY_AFTER_SECONDS} s")]
    Stopping,
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("the request was lost inside the server")]
    Lost,
}

impl From<RequestError> for ApiError {
    fn from(RequestError(text): RequestError) -> Self {
        Self::BadRequest(text)
    }
}

/// The queue holds at most a few seconds' work, so the shortest wait that the header can express is
/// enough.
pub(crate) const RETRY_AFTER_SECONDS: u32 = 1;

impl ApiError {
    /// The reason, for the metric of refusals; `None` for failures of the server itself.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        match self {
            Self::BadRequest(_) => Some("bad_request"),
            Self::UnknownModel { .. } => Some("unknown_model"),
            Self::UnknownRoute | Self::Method(_) => Some("unknown_route"),
            Self::TooSlow => Some("too_slow"),
            Self::TooLarge { .. } | Self::TooMany { .. } => Some("too_large"),
            Self::Encoding(_) => Some("encoding"),
            Self::Full => Some("queue_full"),
            Self::Stopping => Some("stopping"),
            Self::Key | Self::NotAdmin => Some("key"),
            Self::TooFast { .. } => Some("rate"),
            Self::UsedUp { .. } => Some("quota"),
            Self::NotLoaded { .. } => Some("not_loaded"),
            Self::Run(_) | Self::Lost => None,
        }
    }
}

/// The API whose form an error has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The Open Inference Protocol's `{"error": "…"}`, which Hugging Face uses too.
    OpenInference,
    /// OpenAI's `{"error": {"message": …, "type": …, "param": …, "code": …}}`.
    OpenAi,
}

impl Dialect {
    /// The dialect of the route at `path`.
    pub(crate) fn of(path: &str) -> Self {
        let rest = path.strip_prefix("/models/");
        let openai = path.starts_with("/v1/") || rest.is_some_and(|rest| rest.contains("/v1/"));
        if openai {
            Self::OpenAi
        } else {
            Self::OpenInference
        }
    }
}

impl ApiError {
    /// Makes the answer in the form of `dialect`.
    pub(crate) fn response(&self, dialect: Dialect) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        match self {
            Self::Full | Self::Stopping => {
                response.insert_header((header::RETRY_AFTER, RETRY_AFTER_SECONDS));
            }
            Self::TooFast { wait, .. } | Self::UsedUp { wait, .. } => {
                response.insert_header((header::RETRY_AFTER, seconds(*wait)));
            }
            Self::Key => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
            }
            _ => {}
        }
        let text = self.to_string();
        response.json(match dialect {
            Dialect::OpenInference => json!({ "error": text }),
            Dialect::OpenAi => json!({ "error": {
                "message": text,
                "type": self.openai_type(),
                "param": null,
                "code": self.openai_code(),
            } }),
        })
    }

    fn openai_type(&self) -> &'static str {
        match self {
            Self::UsedUp { .. } => "insufficient_quota",
            Self::TooFast { .. } => "requests",
            Self::Full | Self::Stopping | Self::Run(_) | Self::Lost => "server_error",
            _ => "invalid_request_error",
        }
    }

    fn openai_code(&self) -> Option<&'static str> {
        match self {
            Self::Key => Some("invalid_api_key"),
            Self::UsedUp { .. } => Some("insufficient_quota"),
            Self::TooFast { .. } => Some("rate_limit_exceeded"),
            Self::UnknownModel { .. } => Some("model_not_found"),
            Self::UnknownRoute => Some("unknown_url"),
            _ => None,
        }
    }
}

/// The number of whole seconds, at least one, after which the wait is over.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0 || wait.is_zero())
}

fn names(known: &[String]) -> String {
    if known.is_empty() {
        return "no model at the moment".into();
    }
    let quoted: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) | Self::NotLoaded { .. } => StatusCode::BAD_REQUEST,
            Self::Key => StatusCode::UNAUTHORIZED,
            Self::NotAdmin => StatusCode::FORBIDDEN,
            Self::TooFast { .. } | Self::UsedUp { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::UnknownModel { .. } | Self::UnknownRoute => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge { .. } | Self::TooMany { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Encoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Full | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::Run(_) | Self::Lost => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        self.response(Dialect::OpenInference)
    }
}
