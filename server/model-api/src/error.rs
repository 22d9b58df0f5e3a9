//! Errors as the protocol wants them: a fitting status and `{"error": "…"}`.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use inference::RequestError;
use serde_json::json;
use thiserror::Error;

use crate::RunError;

/// A request that is not answered with scores.
#[derive(Debug, Error)]
pub(crate) enum ApiError {
    #[error("{0}")]
    BadRequest(String),
    #[error("unknown model or version; this server has `{name}`, version 1")]
    UnknownModel { name: String },
    #[error("no such route; see GET /v2 and the Open Inference Protocol, version 2")]
    UnknownRoute,
    #[error("{0} is not allowed here")]
    Method(String),
    #[error("the body did not arrive within {0} seconds")]
    TooSlow(u64),
    #[error(
        "the body is larger than {limit} bytes; send fewer images in one request, or raise the server's --max-body"
    )]
    TooLarge { limit: usize },
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

/// The queue holds a few seconds' work at most, so the shortest wait that the header can say is enough.
pub(crate) const RETRY_AFTER_SECONDS: u32 = 1;

impl ApiError {
    /// For the metric of refusals; `None` for failures of the server itself.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        match self {
            Self::BadRequest(_) => Some("bad_request"),
            Self::UnknownModel { .. } => Some("unknown_model"),
            Self::UnknownRoute | Self::Method(_) => Some("unknown_route"),
            Self::TooSlow(_) => Some("too_slow"),
            Self::TooLarge { .. } => Some("too_large"),
            Self::Encoding(_) => Some("encoding"),
            Self::Full => Some("queue_full"),
            Self::Stopping => Some("stopping"),
            Self::Run(_) | Self::Lost => None,
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::UnknownModel { .. } | Self::UnknownRoute => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Encoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Full | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::Run(_) | Self::Lost => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if matches!(self, Self::Full | Self::Stopping) {
            response.insert_header((header::RETRY_AFTER, RETRY_AFTER_SECONDS));
        }
        response.json(json!({ "error": self.to_string() }))
    }
}
