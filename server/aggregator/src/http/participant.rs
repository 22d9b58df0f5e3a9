//! The participants' routes: join, look, enrol, deliver, stay, leave.

use super::{auth, body, identity, limit};
use crate::app::App;
use crate::failure::Failure;
use crate::secret::Secret;
use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use federation::engine::{Join, require_plain};
use federation::round::messages::{Enrolment, JoinRequest, Joined, Update};
use federation::round::phase::RoundKind;
use federation::round::refusal::Refusal;
use serde::Deserialize;
use std::time::Duration;

/// Time after which a long poll ends in any case, because proxies cut silent connections.
const LONGEST_WAIT: Duration = Duration::from_secs(25);

pub(super) async fn join(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    let address = limit::sender(&request);
    app.limits.join(address)?;
    let federation = app.federation(&id).await?;
    let join: JoinRequest = body::json(&app, &request, payload, body::JSON_LIMIT).await?;
    let identity =
        identity::proven(&join, &id).map_err(|refusal| app.limits.failed(address, refusal))?;
    let (invite, token) = (Secret::new(join.invite), Secret::random()?);
    let wish = Join {
        invite: &invite.hash(),
        identity: identity.as_deref(),
        token_hash: &token.hash(),
        most: app.config.max_participants,
    };
    let joined = app
        .aggregator
        .join(&federation, wish, app.clock.now_ms())
        .await;
    let number = joined.map_err(|failure| match failure {
        Failure::Refused(Refusal::BadInvite) => app.limits.failed(address, failure),
        other => other,
    })?;
    Ok(HttpResponse::Created().json(Joined {
        participant: number,
        token: token.reveal().to_owned(),
        task: federation.task.source().clone(),
        task_hash: federation.task_hash.clone(),
    }))
}

#[derive(Deserialize)]
pub(super) struct Wait {
    after: Option<u64>,
    wait_ms: Option<u64>,
}

pub(super) async fn round(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
    wait: Query<Wait>,
) -> Result<HttpResponse, Failure> {
    let (federation, speaker) = auth::participant(&app, &request, &id).await?;
    let look = || {
        let (number, now) = (Some(speaker.number), app.clock.now_ms());
        app.aggregator.view(&federation, number, now)
    };
    let mut view = look().await?;
    let Some(after) = wait.after else {
        return Ok(HttpResponse::Ok().json(view));
    };
    // A participant who waited longer than its lease would count as gone while it waits.
    let lease = Duration::from_millis(federation.task.federation.policy.lease_ms);
    let patience = Duration::from_millis(wait.wait_ms.unwrap_or(20_000))
        .min(LONGEST_WAIT)
        .min(lease / 3);
    let deadline = tokio::time::Instant::now() + patience;
    let mut versions = app.news.subscribe(&id, view.version);
    let mut stopping = app.stopping.clone();
    while view.version <= after {
        // No database connection is held here, however many clients wait.
        let woken = tokio::select! {
            changed = versions.changed() => changed.is_ok(),
            _ = stopping.wait_for(|stop| *stop) => false,
            () = tokio::time::sleep_until(deadline) => false,
        };
        view = look().await?;
        if !woken {
            break;
        }
    }
    Ok(HttpResponse::Ok().json(view))
}

pub(super) async fn enrol(
    app: Data<App>,
    request: HttpRequest,
    path: Path<(String, u32)>,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    let (id, number) = path.into_inner();
    let (federation, speaker) = auth::participant(&app, &request, &id).await?;
    let enrolment: Enrolment = body::json(&app, &request, payload, body::JSON_LIMIT).await?;
    let now = app.clock.now_ms();
    let view = app
        .aggregator
        .enrol(&federation, &speaker, number, &enrolment, now)
        .await?;
    Ok(HttpResponse::Ok().json(view))
}

pub(super) async fn update(
    app: Data<App>,
    request: HttpRequest,
    path: Path<(String, u32)>,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    let (id, number) = path.into_inner();
    let (federation, speaker) = auth::participant(&app, &request, &id).await?;
    require_plain(&federation.task)?;
    let lengths = [RoundKind::Training, RoundKind::Counting].map(|k| federation.task.length_of(k));
    let limit = update_limit(lengths[0].max(lengths[1]), app.config.max_body);
    let (update, bytes): (Update, _) = body::wire(&app, &request, payload, limit).await?;
    if update.round != number {
        return Err(Failure::RefusedBecause(
            Refusal::WrongRound,
            format!(
                "the address says round {number}, the update {}",
                update.round
            ),
        ));
    }
    let (bytes, now) = (bytes.len() as u64, app.clock.now_ms());
    let view = app
        .aggregator
        .deliver(&federation, &speaker, &update, bytes, now)
        .await?;
    Ok(HttpResponse::Ok().json(view))
}

/// Maximum size in bytes of an update's body: four bytes for each number, some for the rest, and as
/// much again, so that an update of a wrong length is refused as `malformed`, unless it is far too
/// long (`too_large`).
fn update_limit(length: usize, most: usize) -> usize {
    (1024 + 8 * length).min(most)
}

pub(super) async fn heartbeat(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    auth::participant(&app, &request, &id).await?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn leave(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let (federation, speaker) = auth::participant(&app, &request, &id).await?;
    let now = app.clock.now_ms();
    app.aggregator.leave(&federation, &speaker, now).await?;
    Ok(HttpResponse::NoContent().finish())
}
