//! Rate limits, which apply before anything else happens to a request.

use crate::app::App;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse, web};
use listener::Address;

/// Paths that are never limited, so that a monitor is not told that the server is busy.
const HEALTH: [&str; 2] = ["/healthz", "/v1/health"];
/// Header that reverse proxies write.
const FORWARDED: &str = "x-forwarded-for";

/// Finds the sender's address and takes a token out of its bucket.
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
    // Browsers send OPTIONS on their own account, and its answer needs no database.
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
