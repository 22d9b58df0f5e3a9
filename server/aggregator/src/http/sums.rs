//! The routes of secure sums: what the members of a cohort send, and what they are told.

use super::{auth, body};
use crate::app::App;
use crate::failure::Failure;
use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use federation::engine::{largest_message, require_secure};
use federation::round::messages::SumMessage;
use federation::round::phase::Phase;
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
    let (federation, speaker) = auth::participant(&app, &request, &id).await?;
    require_secure(&federation.task)?;
    let asks = [Phase::Shares, Phase::Masked, Phase::Confirm, Phase::Unmask];
    if !asks.contains(&asked.phase) {
        return Err(Failure::BadRequest(
            "phase must be shares, masked, confirm or unmask".to_owned(),
        ));
    }
    let now = app.clock.now_ms();
    let body = app
        .aggregator
        .input(&federation, &speaker, number, asked.phase, now)
        .await?;
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
    let (federation, speaker) = auth::participant(&app, &request, &id).await?;
    let limit = largest_message(&federation.task).unwrap_or(body::JSON_LIMIT);
    let limit = limit.min(app.config.max_body);
    let (message, body): (SumMessage, _) = body::wire(&app, &request, payload, limit).await?;
    let now = app.clock.now_ms();
    let view = app
        .aggregator
        .send(&federation, &speaker, number, &message, &body, now)
        .await?;
    Ok(HttpResponse::Ok().json(view))
}
