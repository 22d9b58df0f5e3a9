//! Reads the bodies of requests, always within limits.

use super::Side;
use crate::app::App;
use crate::failure::Failure;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse};
use federation::round::refusal::Refusal;
use futures::Stream;
use ground::wire;
use listener::body::{self, BodyError};
use serde::de::DeserializeOwned;

/// Maximum size of a JSON body, in bytes.
pub(super) const JSON_LIMIT: usize = 64 << 10;
/// Maximum size in bytes of a new federation's body, which may contain a basis.
pub(super) const TASK_LIMIT: usize = 1 << 20;
/// So much of a body that is too large is still read (and thrown away): whoever sends without looking sees
/// the answer instead of a broken connection.
const DRAIN: usize = 1 << 20;

/// Reads a message in the binary encoding, of at most `limit` bytes; returns it with its body.
pub(super) async fn wire<T: DeserializeOwned>(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    limit: usize,
) -> Result<(T, Bytes), Failure> {
    let body = read(app, request, payload, limit).await?;
    require_type(request, &[wire::CONTENT_TYPE, "application/octet-stream"])?;
    let message = wire::decode(&body)
        .map_err(|e| Failure::RefusedBecause(Refusal::Malformed, e.to_string()))?;
    Ok((message, body))
}

/// Reads the whole body, at most `limit` bytes.
pub(super) async fn read(
    app: &App,
    request: &HttpRequest,
    payload: impl Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    limit: usize,
) -> Result<Bytes, Failure> {
    let too_large = || {
        Failure::RefusedBecause(
            Refusal::TooLarge,
            format!("this route takes at most {limit} bytes"),
        )
    };
    let declared = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit.saturating_add(DRAIN)) {
        return Err(too_large());
    }
    let body = body::read(payload, declared, limit, DRAIN).await;
    let body = body.map_err(|error| match error {
        BodyError::TooLarge => too_large(),
        other => Failure::BadRequest(other.to_string()),
    })?;
    app.metrics.bytes_in.inc_by(body.len() as u64);
    Ok(body)
}

/// Handles routes that take no body, pages and unknown addresses included: a body is thrown away,
/// or refused if it is too large. Otherwise the server would have to read it, however long, before
/// the next request on the same connection.
pub(super) async fn without<B: MessageBody>(
    app: Data<App>,
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let pattern = request.match_pattern().unwrap_or_default();
    let side = request.app_data().copied().unwrap_or(Side::Public);
    let takes_one = super::ENDPOINTS.iter().any(|e| {
        e.request.is_some()
            && e.is_on(side)
            && e.path == pattern
            && e.method.eq_ignore_ascii_case(request.method().as_str())
    });
    if !takes_one {
        let payload = request.take_payload();
        if !matches!(payload, actix_web::dev::Payload::None)
            && let Err(failure) = read(&app, request.request(), payload, JSON_LIMIT).await
        {
            let response = request.into_response(HttpResponse::from_error(failure));
            return Ok(response.map_into_right_body());
        }
    }
    Ok(next.call(request).await?.map_into_left_body())
}

/// Reads a JSON body.
pub(super) async fn json<T: DeserializeOwned>(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    limit: usize,
) -> Result<T, Failure> {
    require_type(request, &["application/json"])?;
    let body = read(app, request, payload, limit).await?;
    parse(&body)
}

/// Reads a JSON body, or returns its type's default if there is none.
pub(super) async fn optional_json<T: DeserializeOwned + Default>(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
) -> Result<T, Failure> {
    let body = read(app, request, payload, JSON_LIMIT).await?;
    if body.is_empty() {
        return Ok(T::default());
    }
    require_type(request, &["application/json"])?;
    parse(&body)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body)
        .map_err(|e| Failure::BadRequest(format!("the body is not what this route takes: {e}")))
}

/// Requires one of these content types (parameters such as a charset are ignored).
fn require_type(request: &HttpRequest, allowed: &[&str]) -> Result<(), Failure> {
    let given = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok());
    let essence = given.and_then(|v| v.split(';').next()).unwrap_or("").trim();
    if allowed.iter().any(|a| a.eq_ignore_ascii_case(essence)) {
        return Ok(());
    }
    Err(Failure::MediaType(format!(
        "send Content-Type: {} ({})",
        allowed.join(" or "),
        if essence.is_empty() {
            "none was sent".to_owned()
        } else {
            format!("{essence} was sent")
        }
    )))
}
