//! Checks every caller first, and writes one log line for each request, without bodies and keys.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, header};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, web};

use super::{LIVE, READY, Serving};
use crate::body;
use crate::error::{ApiError, Dialect};
use crate::keys::Caller;

/// Runs the request if its key is right and within its rate, and logs it.
pub(crate) async fn access(
    serving: web::Data<Serving>,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let (caller, refused) = identify(&serving, &request);
    let caller = Arc::new(caller);
    request.extensions_mut().insert(Arc::clone(&caller));
    let response = match refused {
        None => next.call(request).await?.map_into_boxed_body(),
        Some(error) => {
            if let Some(reason) = error.reason() {
                serving.metrics.rejected("", reason);
            }
            body::discard(request.take_payload(), serving.max_body).await;
            let dialect = Dialect::of(request.path());
            request.into_response(error.response(dialect))
        }
    };
    log(&response, &caller, started);
    Ok(response)
}

/// Identifies the caller; returns why the request is refused, if it is.
fn identify(serving: &Serving, request: &ServiceRequest) -> (Caller, Option<ApiError>) {
    let new = |key| Caller::new(key, Arc::clone(&serving.decoder));
    let Some(keys) = &serving.keys else {
        return (new(None), None);
    };
    let keys = Arc::clone(&keys.read().unwrap_or_else(PoisonError::into_inner));
    let header = request.headers().get(header::AUTHORIZATION);
    match keys.find(header.map(header::HeaderValue::as_bytes)) {
        Some(key) => {
            let refused = key.request().err();
            (new(Some(key)), refused)
        }
        // A monitor of the server has no key, and learns nothing here.
        None if [LIVE, READY].contains(&request.path()) && request.method() == Method::GET => {
            (new(None), None)
        }
        None => (new(None), Some(ApiError::Key)),
    }
}

fn log(response: &ServiceResponse<BoxBody>, caller: &Caller, started: Instant) {
    let request = response.request();
    // The pattern of the route and not the path, which may contain anything.
    let route = request.match_pattern();
    let or_none = |text: &str| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            text.to_owned()
        }
    };
    tracing::info!(
        target: "model_api::access",
        method = %request.method(),
        route = route.as_deref().unwrap_or("-"),
        model = or_none(caller.model()),
        status = response.status().as_u16(),
        // Rounded to a thousandth of a millisecond.
        ms = started.elapsed().as_micros() as f64 / 1000.0,
        queries = caller.queries(),
        key = or_none(caller.name().unwrap_or_default()),
        "request"
    );
}
