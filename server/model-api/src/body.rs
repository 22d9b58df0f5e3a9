//! Reads a request's body within limits of size and time.

use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{Bytes, Payload};
use actix_web::{HttpRequest, dev, web};
use futures::StreamExt;
use listener::body::{self, BodyError};

use crate::error::ApiError;

/// Maximum time for a body that is thrown away.
const DISCARD_TIME: Duration = Duration::from_secs(10);

/// Reads the whole body, at most `limit` bytes.
///
/// A body that is too large is still received (and thrown away) up to eight times the limit:
/// closing the connection at once makes most clients report a broken connection instead of the
/// answer.
pub(crate) async fn read(
    request: &HttpRequest,
    payload: Payload,
    limit: usize,
) -> Result<Bytes, ApiError> {
    if let Some(encoding) = request.headers().get(header::CONTENT_ENCODING)
        && encoding != "identity"
    {
        let encoding = String::from_utf8_lossy(encoding.as_bytes()).into_owned();
        return Err(ApiError::Encoding(encoding));
    }
    let announced: Option<usize> = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    let read = body::read(payload, announced, limit, limit.saturating_mul(7)).await;
    read.map_err(|error| match error {
        BodyError::TooLarge => ApiError::TooLarge { limit },
        BodyError::TooSlow => ApiError::TooSlow,
        BodyError::Broken(why) => ApiError::BadRequest(format!("the body is broken: {why}")),
    })
}

/// Receives the rest of a body that is not needed, within limits of size and time, so that the
/// answer is not lost in a broken connection.
pub(crate) async fn discard(mut payload: dev::Payload, limit: usize) {
    let reading = async {
        let mut received = 0_usize;
        while let Some(Ok(chunk)) = payload.next().await {
            received = received.saturating_add(chunk.len());
            if received > limit {
                break;
            }
        }
    };
    // A slower client gets no more time, because it has no key or there is no room for it.
    let _ = tokio::time::timeout(DISCARD_TIME, reading).await;
}

/// Runs `parse`, on another thread if it is slow enough to hold up other connections.
pub(crate) async fn parsed<T: Send + 'static>(
    slow: bool,
    parse: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    if !slow {
        return parse();
    }
    web::block(parse).await.map_err(|_| ApiError::Lost)?
}
