//! The routes of the Open Inference Protocol, and what all routes share.

mod access;
mod huggingface;
mod openai;
mod repository;

use std::sync::{Arc, RwLock};
use std::time::Instant;

use actix_cors::Cors;
use actix_web::http::header::{self, ContentType};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::body;
use crate::endpoint::{Endpoint, Reply};
use crate::error::{ApiError, Dialect};
use crate::keys::{Caller, Keys};
use crate::metrics::Metrics;
use crate::picture::Decoder;
use crate::protocol::{self, AnswerHead, HEADER_LENGTH, VERSION};
use crate::registry::Registry;

pub(crate) use access::access;

/// The state that all routes share.
pub(crate) struct Serving {
    pub registry: Arc<Registry>,
    pub metrics: Metrics,
    /// The API keys; `None` if anyone may call.
    pub keys: Option<RwLock<Arc<Keys>>>,
    pub max_body: usize,
    /// Limits how many requests that may hold images are read at a time, because a decoded image is
    /// large.
    pub reading: Arc<Semaphore>,
    /// Decodes the pictures of all requests.
    pub decoder: Arc<Decoder>,
}

/// Number of scores above which an answer is written on a thread of the blocking pool.
const MANY_SCORES: usize = 16 << 10;

impl Serving {
    /// Runs `accept` on a thread of its own as soon as one of those that are let in at a time has
    /// ended: ended, not been given up, for a thread that nobody waits for works all the same.
    async fn read<T: Send + 'static>(
        &self,
        accept: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let reading = Arc::clone(&self.reading);
        let permit = reading.acquire_owned().await.map_err(|_| ApiError::Lost)?;
        let accept = move || {
            let _permit = permit;
            accept()
        };
        body::parsed(true, accept).await
    }

    /// Reads a request with `accept`, waits for its scores, and makes an answer of them with
    /// `form`.
    async fn converse<P: Send + 'static>(
        &self,
        accept: impl FnOnce() -> Result<(P, Reply), ApiError> + Send + 'static,
        form: impl FnOnce(P, &[f32]) -> Value + Send + 'static,
    ) -> Result<HttpResponse, ApiError> {
        // Images are decoded and texts split into tokens.
        let (pending, reply) = self.read(accept).await?;
        let scores = reply.scores().await?;
        let many = scores.len() > MANY_SCORES;
        let answer = body::parsed(many, move || Ok(form(pending, &scores))).await?;
        Ok(HttpResponse::Ok().json(answer))
    }
}

/// Registers every route.
pub(crate) fn register(app: &mut web::ServiceConfig) {
    app.service(resource("/v2").route(web::get().to(server_metadata)))
        .service(resource(LIVE).route(web::get().to(health)))
        .service(resource(READY).route(web::get().to(health)))
        .service(resource("/metrics").route(web::get().to(metrics)));
    for prefix in [
        "/v2/models/{model}",
        "/v2/models/{model}/versions/{version}",
    ] {
        app.service(resource(prefix).route(web::get().to(model_metadata)))
            .service(resource(&format!("{prefix}/ready")).route(web::get().to(model_ready)))
            .service(resource(&format!("{prefix}/infer")).route(web::post().to(infer)));
    }
    repository::register(app);
    huggingface::register(app);
    openai::register(app);
    app.default_service(web::to(unknown));
}

const LIVE: &str = "/v2/health/live";
const READY: &str = "/v2/health/ready";

/// A path that refuses all methods that are not registered for it.
fn resource(path: &str) -> actix_web::Resource {
    web::resource(path.to_owned()).default_service(web::to(method))
}

/// The origins whose pages may call. The header that divides JSON from bytes must be exposed and
/// allowed, or browsers hide it and refuse to send it.
pub(crate) fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "POST"])
        .allowed_headers([
            header::ACCEPT,
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::HeaderName::from_static(HEADER_LENGTH),
        ])
        .expose_headers([
            header::RETRY_AFTER,
            header::HeaderName::from_static(HEADER_LENGTH),
        ])
        .allow_private_network_access()
        .max_age(3600);
    if origins.iter().any(|origin| origin == "*") {
        return cors.allow_any_origin().send_wildcard();
    }
    origins
        .iter()
        .fold(cors, |cors, origin| cors.allowed_origin(origin))
}

async fn unknown(request: HttpRequest) -> HttpResponse {
    ApiError::UnknownRoute.response(Dialect::of(request.path()))
}

async fn method(request: HttpRequest) -> HttpResponse {
    ApiError::Method(request.method().to_string()).response(Dialect::of(request.path()))
}

async fn server_metadata() -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "name": "fed-bbpt model-api",
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": ["binary_tensor_data", "model_repository"],
    }))
}

/// Models are loaded and tried before the server listens, so "live", "ready" and "model ready" are
/// the same.
async fn health() -> HttpResponse {
    HttpResponse::Ok().finish()
}

async fn metrics(serving: web::Data<Serving>) -> Result<HttpResponse, actix_web::Error> {
    serving.registry.count();
    let text = serving
        .metrics
        .render()
        .map_err(actix_web::error::ErrorInternalServerError)?;
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(text))
}

async fn model_ready(
    request: HttpRequest,
    serving: web::Data<Serving>,
) -> Result<HttpResponse, ApiError> {
    find(&request, &serving)?;
    Ok(HttpResponse::Ok().finish())
}

async fn model_metadata(
    request: HttpRequest,
    serving: web::Data<Serving>,
) -> Result<HttpResponse, ApiError> {
    let model = find(&request, &serving)?;
    Ok(HttpResponse::Ok().json(model.metadata()))
}

/// Finds the model that the path names; a version in the path must be right too.
fn find(request: &HttpRequest, serving: &Serving) -> Result<Arc<Endpoint>, ApiError> {
    let path = request.match_info();
    let version = path.get("version").is_none_or(|version| version == VERSION);
    // No model has an empty name.
    let name = path.get("model").filter(|_| version).unwrap_or_default();
    let model = serving.registry.get(name)?;
    caller(request).asks(model.name());
    Ok(model)
}

/// The caller of this request.
fn caller(request: &HttpRequest) -> Arc<Caller> {
    let known = request.extensions().get::<Arc<Caller>>().map(Arc::clone);
    known.unwrap_or_default()
}

async fn infer(
    request: HttpRequest,
    payload: web::Payload,
    serving: web::Data<Serving>,
) -> HttpResponse {
    answered(&request, &serving, try_infer(&request, payload, &serving)).await
}

/// Writes the answer to an inference request, and counts it.
async fn answered(
    request: &HttpRequest,
    serving: &Serving,
    answer: impl Future<Output = Result<HttpResponse, ApiError>>,
) -> HttpResponse {
    let started = Instant::now();
    let caller = caller(request);
    // If the client goes away, this function ends here.
    let waits = caller.waits();
    let answer = answer.await;
    drop(waits);
    let response = match answer {
        Ok(response) => response,
        Err(error) => {
            if let Some(reason) = error.reason() {
                serving.metrics.rejected(caller.model(), reason);
                tracing::debug!(%error, reason, "refused");
            } else {
                tracing::error!(%error, "failed");
            }
            error.response(Dialect::of(request.path()))
        }
    };
    serving.metrics.answered(
        caller.model(),
        response.status().as_u16(),
        started.elapsed(),
    );
    response
}

async fn try_infer(
    request: &HttpRequest,
    payload: web::Payload,
    serving: &Serving,
) -> Result<HttpResponse, ApiError> {
    let body = body::read(request, payload, serving.max_body).await?;
    // Checked after the body: an early answer is lost with the connection while the body is still
    // coming.
    let model = find(request, serving)?;
    let caller = caller(request);
    caller.may_ask()?;
    let header_length = request
        .headers()
        .get(HEADER_LENGTH)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let json_bytes = match &header_length {
        Some(length) => length.parse().unwrap_or(body.len()),
        None => body.len(),
    };
    let slow = model.is_slow(json_bytes);
    let accept = {
        let model = Arc::clone(&model);
        move || model.accept(&caller, &body, header_length.as_deref())
    };
    let waiting = if slow {
        serving.read(accept).await?
    } else {
        accept()?
    };
    let scores = waiting.answer.scores().await?;

    let head = AnswerHead {
        model: model.name(),
        output: model.output(),
        classes: waiting.classes,
        id: waiting.id.as_deref(),
    };
    let (body, header_length) = protocol::answer(head, &scores, waiting.binary_output);
    let mut response = HttpResponse::Ok();
    match header_length {
        Some(length) => response
            .content_type(ContentType::octet_stream())
            .insert_header((HEADER_LENGTH, length.to_string())),
        None => response.content_type(ContentType::json()),
    };
    Ok(response.body(body))
}
