//! The first thing that happens to a request: is it one too many?

use crate::app::App;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse, web};
use listener::Address;

/// Never limited: whoever watches over the server must not be told that it is busy.
const HEALTH: [&str; 2] = ["/healthz", "/v1/health"];
/// Written by reverse proxies.
const FORWARDED: &str = "x-forwarded-for";

/// Finds out whose address it is and takes one out of its bucket.
pub(super) async fn requests<B: MessageBody>(
    app: web::Data<App>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let peer = request.peer_addr().map(|peer| peer.ip());
    let forwarded: Vec<&str> = request
        .headers()
        .get_all(FORWARDED)
        // A header that is no text breaks the chain like one that is no address.
        .map(|value| value.to_str().unwrap_or("?"))
        .collect();
    let address = app.config.proxies.sender(peer, forwarded.into_iter());
    request.extensions_mut().insert(address);
    // A browser asks OPTIONS on its own account; it is answered from no table.
    let exempt = request.method() == Method::OPTIONS || HEALTH.contains(&request.path());
    if !exempt && let Err(failure) = app.limits.request(address) {
        let response = request.into_response(HttpResponse::from_error(failure));
        return Ok(response.map_into_right_body());
    }
    Ok(next.call(request).await?.map_into_left_body())
}

/// The address that [`requests`] found.
pub(super) fn sender(request: &HttpRequest) -> Address {
    let found = request.extensions().get::<Address>().copied();
    found.unwrap_or(Address::OTHERS)
}
