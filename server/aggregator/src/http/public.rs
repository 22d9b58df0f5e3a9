//! The routes that anyone may read.

use super::{encoding, openapi};
use crate::app::App;
use crate::failure::Failure;
use crate::health;
use actix_web::http::header;
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse, Responder};
use federation::engine::store::{EVERY, Federations as _, Rounds as _};
use federation::round::messages::FederationDetail;
use federation::round::refusal::Refusal;
use federation::rules::choice::choose;
use safetensors::tensor::{Dtype, TensorView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Maximum number of finished rounds in a federation's details.
const SHOWN_ROUNDS: u32 = 2_000;

/// The answer of a server that is up.
#[derive(Serialize, JsonSchema)]
pub(super) struct Health {
    /// Always `ok`.
    status: &'static str,
    /// The program's version.
    version: &'static str,
}

pub(super) async fn health(app: Data<App>) -> Result<HttpResponse, Failure> {
    if !health::is_well(&app).await {
        return Err(Failure::Unwritable);
    }
    Ok(HttpResponse::Ok().json(Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
    }))
}

pub(super) async fn openapi() -> impl Responder {
    HttpResponse::Ok().json(openapi::document(super::ENDPOINTS))
}

pub(super) async fn metrics(app: Data<App>) -> Result<HttpResponse, Failure> {
    let now = app.clock.now_ms();
    app.metrics.live.reset();
    for summary in app.read(EVERY, async |tx| tx.summaries(now).await).await? {
        app.metrics
            .live
            .with_label_values(&[&summary.id])
            .set(i64::from(summary.live));
    }
    let text = app
        .metrics
        .render()
        .map_err(|e| Failure::Internal(e.to_string()))?;
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(text))
}

pub(super) async fn list(app: Data<App>) -> Result<HttpResponse, Failure> {
    let now = app.clock.now_ms();
    let summaries = app.read(EVERY, async |tx| tx.summaries(now).await).await?;
    Ok(HttpResponse::Ok().json(summaries))
}

pub(super) async fn detail(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let federation = app.federation(&id).await?;
    let now = app.clock.now_ms();
    // All three from one state of the database.
    let (rounds, summary, at) = app
        .read(&id, async |tx| {
            let rounds = tx.records(SHOWN_ROUNDS).await?;
            let summary = tx.summary(now).await?;
            Ok((rounds, summary, tx.current(None, now).await?))
        })
        .await?;
    let detail = FederationDetail {
        summary,
        task: federation.task.source().clone(),
        choice: choose(rounds.iter().map(|round| (round.step, &round.metrics))),
        rounds,
        current: at.view(&federation.task, now),
    };
    let body = serde_json::to_vec(&detail).map_err(|e| Failure::Internal(e.to_string()))?;
    encoding::answer(&request, "application/json", body)
}

#[derive(Deserialize)]
pub(super) struct Expected {
    hash: Option<String>,
}

pub(super) async fn theta(
    app: Data<App>,
    id: Path<String>,
    expected: Query<Expected>,
) -> Result<HttpResponse, Failure> {
    let theta = app.read(&id, async |tx| tx.theta().await).await?;
    if expected
        .hash
        .as_ref()
        .is_some_and(|hash| *hash != theta.hash)
    {
        return Err(Refusal::WrongTheta.into());
    }
    Ok(HttpResponse::Ok()
        .content_type("application/octet-stream")
        .insert_header((header::ETAG, format!("\"{}\"", theta.hash)))
        .insert_header(("X-Theta-Step", theta.step))
        .body(theta.bytes))
}

pub(super) async fn generator(app: Data<App>, id: Path<String>) -> Result<HttpResponse, Failure> {
    let federation = app.federation(&id).await?;
    let theta = app.read(&id, async |tx| tx.theta().await).await?;
    let internal = |e: safetensors::SafeTensorError| Failure::Internal(e.to_string());
    let tensor =
        TensorView::new(Dtype::F32, vec![federation.dim], &theta.bytes).map_err(internal)?;
    let spec = federation.task.source().get("generator").cloned();
    let metadata = HashMap::from([
        ("task_hash".to_owned(), theta.task_hash),
        ("task_name".to_owned(), federation.task.name.clone()),
        ("theta_hash".to_owned(), theta.hash),
        ("step".to_owned(), theta.step.to_string()),
        (
            "generator".to_owned(),
            spec.unwrap_or_else(|| serde_json::json!({})).to_string(),
        ),
    ]);
    let file = safetensors::serialize([("theta", tensor)], Some(metadata)).map_err(internal)?;
    let name = format!(
        "attachment; filename=\"generator-{}-step-{}.safetensors\"",
        federation.id, theta.step
    );
    Ok(HttpResponse::Ok()
        .content_type("application/octet-stream")
        .insert_header((header::CONTENT_DISPOSITION, name))
        .body(file))
}
