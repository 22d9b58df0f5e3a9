//! Checks who sends a request.

use super::limit;
use crate::app::App;
use crate::failure::Failure;
use crate::secret::Secret;
use actix_web::HttpRequest;
use actix_web::http::header;
use federation::engine::{Federation, Speaker};
use federation::round::refusal::Refusal;
use std::sync::Arc;

/// The bearer token of a request, if it has one.
fn bearer(request: &HttpRequest) -> Option<Secret> {
    let value = request
        .headers()
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| Secret::new(token.trim()))
}

/// Lets only the organiser pass. After too many failures an address must wait first, because people
/// may have chosen this token themselves.
pub(super) fn organiser(app: &App, request: &HttpRequest) -> Result<(), Failure> {
    let address = limit::sender(request);
    app.limits.not_barred(address)?;
    let refusal = || {
        Failure::RefusedBecause(
            Refusal::Unauthorized,
            "this needs the organiser's token".to_owned(),
        )
    };
    match bearer(request) {
        Some(token) if token.matches(&app.config.admin_token) => Ok(()),
        Some(_) => Err(app.limits.failed(address, refusal())),
        None => Err(refusal()),
    }
}

/// The federation with this id, or the error that there is none.
pub(super) async fn federation(app: &App, id: &str) -> Result<Arc<Federation>, Failure> {
    app.federation(id).await
}

/// Lets only a participant of this federation pass, and renews the participant's lease where that
/// is worth a write.
pub(super) async fn participant(
    app: &App,
    request: &HttpRequest,
    id: &str,
) -> Result<(Arc<Federation>, Speaker), Failure> {
    let federation = app.federation(id).await?;
    let token = bearer(request).ok_or(Refusal::Unauthorized)?;
    let recognised = app.aggregator.recognise(&federation, &token.hash()).await;
    let speaker = recognised.map_err(|failure| match failure {
        // A wrong token is counted but does not bar the right ones: nobody guesses 32 random bytes,
        // and a whole house may share one address.
        Failure::Refused(_) => app.limits.failed(limit::sender(request), failure),
        other => other,
    })?;
    app.limits.participant(id, speaker.number)?;
    let now = app.clock.now_ms();
    app.aggregator.renew(&federation, &speaker, now).await?;
    Ok((federation, speaker))
}
