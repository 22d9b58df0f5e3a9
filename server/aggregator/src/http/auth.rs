//! Who is asking.

use super::limit;
use crate::app::App;
use crate::engine::Known;
use crate::failure::Failure;
use crate::secret::Secret;
use crate::store::Tx;
use crate::store::participants::{self, Speaker};
use actix_web::HttpRequest;
use actix_web::http::header;
use federation::round::refusal::Refusal;
use std::sync::Arc;

/// The bearer token, if one was sent.
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

/// Only the organiser passes. Whoever has failed too often from this address waits first: this token may be one
/// that somebody made up.
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

/// The federation, or that there is none.
pub(super) async fn federation(app: &App, id: &str) -> Result<Arc<Known>, Failure> {
    Ok(app.known(id).await?.ok_or(Refusal::NotFound)?)
}

/// Only a participant of this federation passes; their lease is renewed where it is worth a write.
pub(super) async fn participant(
    app: &App,
    request: &HttpRequest,
    id: &str,
) -> Result<(Arc<Known>, Speaker), Failure> {
    let known = federation(app, id).await?;
    let token = bearer(request).ok_or(Refusal::Unauthorized)?;
    // A wrong one is counted, but does not bar the right ones: nobody guesses 32 random bytes, and a whole house
    // may be behind one address.
    let speaker = participants::by_token(&app.store.readers, id, &token.hash())
        .await?
        .ok_or_else(|| {
            app.limits
                .failed(limit::sender(request), Refusal::Unauthorized.into())
        })?;
    app.limits.participant(id, speaker.number)?;
    let now = app.clock.now_ms();
    let lease_ms = known.task.federation.policy.lease_ms;
    if speaker.lease_until < now + lease_ms - lease_ms / 4 {
        app.store
            .run_tx("renew", async |tx| {
                participants::renew(tx, id, speaker.number, now + lease_ms).await
            })
            .await?;
    }
    Ok((known, speaker))
}

/// The same within a transaction: whoever left since the token was looked at must not be counted.
pub(super) async fn present(tx: &mut Tx, request: &HttpRequest, id: &str) -> Result<(), Failure> {
    let token = bearer(request).ok_or(Refusal::Unauthorized)?;
    participants::by_token(&mut **tx, id, &token.hash())
        .await?
        .ok_or(Refusal::Unauthorized)?;
    Ok(())
}
