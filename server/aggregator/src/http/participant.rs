//! What participants say: join, look, enrol, deliver, stay, leave.

use super::{auth, body, identity, limit};
use crate::app::App;
use crate::engine::{self, Body, Effects, Known, Message};
use crate::failure::Failure;
use crate::secret::Secret;
use crate::store::rounds::Place;
use crate::store::{federations, invites, participants, rounds};
use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use federation::round::draw::is_drawn;
use federation::round::messages::{Enrolment, JoinRequest, Joined, RoundView, Standing, Update};
use federation::round::phase::{Phase, RoundKind};
use federation::round::refusal::Refusal;
use federation::round::server::Event;
use ground::wire;
use serde::Deserialize;
use std::time::Duration;

/// A long poll ends after this time in any case: proxies cut silent connections.
const LONGEST_WAIT: Duration = Duration::from_secs(25);

pub(super) async fn join(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    let address = limit::sender(&request);
    app.limits.join(address)?;
    let known = auth::federation(&app, &id).await?;
    let join: JoinRequest = body::json(&app, &request, payload, body::JSON_LIMIT).await?;
    let identity =
        identity::proven(&join, &id).map_err(|refusal| app.limits.failed(address, refusal))?;
    if identity.is_none() && known.task.federation.policy.secure.is_some() {
        return Err(Failure::RefusedBecause(
            Refusal::BadIdentity,
            "updates are summed under masks here: join with an identity and its proof".to_owned(),
        ));
    }
    let invite = Secret::new(join.invite).hash();
    let token = Secret::random()?;
    let now = app.clock.now_ms();
    let lease_until = now + known.task.federation.policy.lease_ms;
    let number = app
        .store
        .run_tx("join", async |tx| {
            let found = invites::by_hash(tx, &id, &invite)
                .await?
                .ok_or(Refusal::BadInvite)?;
            let head = federations::head(&mut **tx, &id).await?;
            engine::require_running(head.status)?;
            let known = match &identity {
                Some(identity) => participants::by_identity(tx, &id, identity).await?,
                None => None,
            };
            match &known {
                Some(member) if member.invite == invite => found.readmit()?,
                _ => found.admit(now)?,
            }
            if let Some(member) = known {
                // Whoever holds the key is the participant; a token that was lost or taken is worth nothing now.
                participants::readmit(tx, &id, member.number, &token.hash(), lease_until).await?;
                federations::bump(tx, &id).await?;
                return Ok(member.number);
            }
            if head.participants >= app.config.max_participants {
                return Err(Refusal::Full.into());
            }
            let number = head.participants;
            let new = participants::New {
                federation: &id,
                number,
                token_hash: &token.hash(),
                identity: identity.as_deref(),
                invite: &invite,
                now,
                lease_until,
            };
            participants::insert(tx, &new).await?;
            invites::count_use(tx, &invite).await?;
            federations::bump(tx, &id).await?;
            Ok(number)
        })
        .await
        .map_err(|failure| match failure {
            Failure::Refused(Refusal::BadInvite) => app.limits.failed(address, failure),
            other => other,
        })?;
    app.after(
        &id,
        &Effects {
            changed: true,
            ..Effects::default()
        },
    )
    .await;
    Ok(HttpResponse::Created().json(Joined {
        participant: number,
        token: token.reveal().to_owned(),
        task: known.task.source().clone(),
        task_hash: known.task_hash.clone(),
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
    let (known, speaker) = auth::participant(&app, &request, &id).await?;
    let mut view = view(&app, &known, speaker.number).await?;
    let Some(after) = wait.after else {
        return Ok(HttpResponse::Ok().json(view));
    };
    // Who waits longer than their lease would be taken for gone while they wait.
    let lease = Duration::from_millis(known.task.federation.policy.lease_ms);
    let patience = Duration::from_millis(wait.wait_ms.unwrap_or(20_000))
        .min(LONGEST_WAIT)
        .min(lease / 3);
    let deadline = tokio::time::Instant::now() + patience;
    let mut versions = app.hub.subscribe(&id, view.version);
    let mut stopping = app.stopping.clone();
    while view.version <= after {
        // No connection is held here, however many wait.
        let woken = tokio::select! {
            changed = versions.changed() => changed.is_ok(),
            _ = stopping.wait_for(|stop| *stop) => false,
            () = tokio::time::sleep_until(deadline) => false,
        };
        view = self::view(&app, &known, speaker.number).await?;
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
    let (known, speaker) = auth::participant(&app, &request, &id).await?;
    let enrolment: Enrolment = body::json(&app, &request, payload, body::JSON_LIMIT).await?;
    let now = app.clock.now_ms();
    let effects = app
        .store
        .run_tx("enrol", async |tx| {
            let head = federations::head(&mut **tx, &id).await?;
            engine::require_running(head.status)?;
            auth::present(tx, &request, &id).await?;
            let round = rounds::load(&mut **tx, &id).await?;
            if round.number != number {
                return Err(Refusal::WrongRound.into());
            }
            if enrolment.theta != head.theta_hash {
                return Err(Refusal::WrongTheta.into());
            }
            let standing = rounds::place(&mut **tx, &id, number, speaker.number)
                .await?
                .standing();
            let live = participants::live(&mut **tx, &id, now).await?;
            let mut effects = Effects::default();
            let draw = (round.registered, round.attempt);
            let task = &known.task;
            let policy = task.policy_of(head.kind(task));
            let event = if enrolment.waits {
                Event::Wait { live }
            } else if is_drawn(&policy, task.seed, head.step, draw, speaker.number) {
                Event::Enrol { standing, live }
            } else {
                return Err(Refusal::NotDrawn.into());
            };
            let message = Message {
                speaker: Some(speaker.number),
                body: None,
            };
            engine::apply(tx, &known, now, event, message, &mut effects).await?;
            Ok(effects)
        })
        .await?;
    app.after(&id, &effects).await;
    Ok(HttpResponse::Ok().json(view(&app, &known, speaker.number).await?))
}

pub(super) async fn update(
    app: Data<App>,
    request: HttpRequest,
    path: Path<(String, u32)>,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    let (id, number) = path.into_inner();
    let (known, speaker) = auth::participant(&app, &request, &id).await?;
    body::require_type(&request, &[wire::CONTENT_TYPE, "application/octet-stream"])?;
    let lengths = [RoundKind::Training, RoundKind::Counting].map(|k| known.task.length_of(k));
    let limit = update_limit(lengths[0].max(lengths[1]), app.config.max_body);
    let body = body::read(&app, &request, payload, limit).await?;
    if known.task.contribution().is_some() {
        return Err(Failure::RefusedBecause(
            Refusal::Malformed,
            "this federation's updates are summed under masks; send them to …/sum".to_owned(),
        ));
    }
    let update: Update = wire::decode(&body)
        .map_err(|e| Failure::RefusedBecause(Refusal::Malformed, e.to_string()))?;
    if update.round != number {
        return Err(Failure::RefusedBecause(
            Refusal::WrongRound,
            format!(
                "the address says round {number}, the update {}",
                update.round
            ),
        ));
    }
    let now = app.clock.now_ms();
    let effects = app
        .store
        .run_tx("update", async |tx| {
            let place = rounds::place(&mut **tx, &id, number, speaker.number).await?;
            let delivered = place == Place::Known(Standing::Delivered);
            let head = federations::head(&mut **tx, &id).await?;
            let round = rounds::load(&mut **tx, &id).await?;
            // It may come again long after its round, or even its federation, has ended.
            if delivered && round.number != number {
                return Err(Refusal::Duplicate.into());
            }
            engine::require_running(head.status)
                .map_err(|over| if delivered { Refusal::Duplicate } else { over })?;
            auth::present(tx, &request, &id).await?;
            if round.number != number {
                return Err(Refusal::WrongRound.into());
            }
            update.validate(known.task.length_of(head.kind(&known.task)))?;
            if update.theta != head.theta_hash {
                return Err(Refusal::WrongTheta.into());
            }
            let mut effects = Effects::default();
            let event = Event::Deliver {
                standing: place.standing(),
                phase: Phase::Upload,
            };
            let message = Message {
                speaker: Some(speaker.number),
                body: Some(Body::Update(&update, body.len())),
            };
            engine::apply(tx, &known, now, event, message, &mut effects).await?;
            Ok(effects)
        })
        .await?;
    app.after(&id, &effects).await;
    Ok(HttpResponse::Ok().json(view(&app, &known, speaker.number).await?))
}

/// Four bytes for each number and some for the rest; as much again, so that an update of the wrong length
/// is told so (`malformed`) unless it is far too long (`too_large`).
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
    let (known, speaker) = auth::participant(&app, &request, &id).await?;
    let now = app.clock.now_ms();
    let effects = app
        .store
        .run_tx("leave", async |tx| {
            let mut effects = Effects::default();
            engine::leave(tx, &known, speaker.number, now, &mut effects).await?;
            Ok(effects)
        })
        .await?;
    app.after(&id, &effects).await;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn view(app: &App, known: &Known, participant: u32) -> Result<RoundView, Failure> {
    let policy = &known.task.federation.policy;
    rounds::view(
        &app.store.readers,
        &known.id,
        Some(participant),
        policy,
        app.clock.now_ms(),
    )
    .await
}
