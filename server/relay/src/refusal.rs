//! What the relay itself says when it does not pass an answer on.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde_json::json;
use std::time::Duration;

/// Why a request is not passed on, or its answer not passed back. The texts reach the log and,
/// where it may read them, the page; none repeats what was in the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The header `Host` is missing, occurs twice, or names another machine.
    #[error("this machine was called by a name that is not its own")]
    Host,
    /// The path is not one that can be passed on.
    #[error("{0}")]
    Target(&'static str),
    /// The token is missing or wrong.
    #[error(
        "there is no such address; enter the whole address that the relay printed when it started (each start has a new one)"
    )]
    Token,
    /// There is no `Origin`: the client is no page, or a page of the relay's own origin.
    #[error("only a page may ask: the request has no Origin header")]
    NoOrigin,
    /// The page is not the one for which the relay runs.
    #[error(
        "the relay serves another page; start it again for this one, with --allow-origin and the page's origin"
    )]
    OtherOrigin,
    /// The method is neither GET nor POST.
    #[error("only GET and POST are passed on")]
    Method,
    /// A header may not occur, or not in this form.
    #[error("the header {0} cannot be passed on")]
    Header(&'static str),
    /// The request's body is too large.
    #[error(
        "the request's body is larger than {0} bytes; send smaller batches, or start the relay with a larger --max-body"
    )]
    TooLarge(u64),
    /// The request's body stopped coming.
    #[error("the request's body did not come within {0:?}")]
    Slow(Duration),
    /// The request's body broke off.
    #[error("the request's body broke off")]
    Broken,
    /// There is no connection to the upstream, or it broke.
    #[error("the upstream does not answer: {0}")]
    Unreachable(String),
    /// The upstream did not answer in time.
    #[error(
        "the upstream did not answer within {0:?}; start the relay with a larger --timeout if that is normal"
    )]
    Late(Duration),
    /// The upstream redirects (3xx), which is not followed.
    #[error(
        "the upstream sends to another address ({0}), which the relay does not follow; if it is right, start the relay with it as --upstream"
    )]
    Redirected(String),
    /// The answer's body is too large.
    #[error(
        "the upstream's answer is larger than {0} bytes; start the relay with a larger --max-body if that is right"
    )]
    AnswerTooLarge(u64),
    /// The answer has an encoding that was not asked for, in which the key could not be hidden.
    #[error("the upstream's answer is compressed, though that was not asked for")]
    Compressed,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::Target(_) | Self::Header(_) | Self::Broken => StatusCode::BAD_REQUEST,
            Self::Token => StatusCode::NOT_FOUND,
            Self::NoOrigin | Self::OtherOrigin => StatusCode::FORBIDDEN,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Unreachable(_)
            | Self::Redirected(_)
            | Self::AnswerTooLarge(_)
            | Self::Compressed => StatusCode::BAD_GATEWAY,
            Self::Late(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The response without a body and without CORS headers.
    pub fn response(&self) -> HttpResponseBuilder {
        HttpResponse::build(self.status())
    }

    /// The response's body, in the form of the protocols' own errors.
    pub fn body(&self) -> serde_json::Value {
        json!({ "error": format!("relay: {self}") })
    }
}
