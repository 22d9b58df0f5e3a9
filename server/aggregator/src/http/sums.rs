//! What the members of a cohort say in a secure sum, and what they are told.

use super::participant::view;
use super::{auth, body};
use crate::app::App;
use crate::engine::{self, Body, Effects, Message, sums};
use crate::failure::Failure;
use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use federation::round::messages::SumMessage;
use federation::round::phase::Phase;
use federation::round::refusal::Refusal;
use federation::round::server::Event;
use ground::wire;
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Asked {
    phase: Phase,
}

pub(super) async fn input(
    app: Data<App>,
    request: HttpRequest,
    path: Path<(String, u32)>,
    asked: Query<Asked>,
) -> Result<HttpResponse, Failure> {
    let (id, number) = path.into_inner();
    let (known, speaker) = auth::participant(&app, &request, &id).await?;
    sums::require_secure(&known.task)?;
    if !matches!(asked.phase, Phase::Shares | Phase::Masked | Phase::Unmask) {
        return Err(Failure::BadRequest(
            "phase must be shares, masked or unmask".to_owned(),
        ));
    }
    // One snapshot: the round may move on meanwhile.
    let mut snapshot = app.store.readers.begin().await?;
    let body = sums::input(&mut snapshot, &known, number, speaker.number, asked.phase).await?;
    snapshot.commit().await?;
    Ok(HttpResponse::Ok()
        .content_type(wire::CONTENT_TYPE)
        .body(body))
}

pub(super) async fn send(
    app: Data<App>,
    request: HttpRequest,
    path: Path<(String, u32)>,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    let (id, number) = path.into_inner();
    let (known, speaker) = auth::participant(&app, &request, &id).await?;
    let limit = sums::largest_message(&known.task).unwrap_or(body::JSON_LIMIT);
    let body = body::read(&app, &request, payload, limit.min(app.config.max_body)).await?;
    sums::require_secure(&known.task)?;
    body::require_type(&request, &[wire::CONTENT_TYPE, "application/octet-stream"])?;
    let message: SumMessage = wire::decode(&body)
        .map_err(|e| Failure::RefusedBecause(Refusal::Malformed, e.to_string()))?;
    let (from, now) = (speaker.number, app.clock.now_ms());

    // Judged before the one connection that writes is taken: signatures cost time.
    let mut snapshot = app.store.readers.begin().await?;
    let bench = sums::admit(&mut snapshot, &known, number, from, &message, now).await?;
    snapshot.commit().await?;
    bench.judge(&known, from, &message)?;

    let effects = app
        .store
        .run_tx("sum", async |tx| {
            auth::present(tx, &request, &id).await?;
            let now_bench = sums::admit(&mut *tx, &known, number, from, &message, now).await?;
            if now_bench != bench {
                now_bench.judge(&known, from, &message)?;
            }
            let mut effects = Effects::default();
            let event = Event::Deliver {
                standing: now_bench.standing,
                phase: message.phase(),
            };
            let message = Message {
                speaker: Some(from),
                body: Some(Body::Sum(&message, &body)),
            };
            engine::apply(tx, &known, now, event, message, &mut effects).await?;
            Ok(effects)
        })
        .await?;
    app.after(&id, &effects).await;
    Ok(HttpResponse::Ok().json(view(&app, &known, from).await?))
}
