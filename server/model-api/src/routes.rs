//! The protocol's routes.

use std::sync::Arc;
use std::time::Instant;

use actix_cors::Cors;
use actix_web::http::header::{self, ContentType};
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use serde_json::json;

use crate::body;
use crate::endpoint::Endpoint;
use crate::error::ApiError;
use crate::metrics::Metrics;
use crate::protocol::{self, AnswerHead, HEADER_LENGTH, VERSION};

/// What the routes share.
pub(crate) struct Serving {
    pub model: Arc<dyn Endpoint>,
    pub metrics: Arc<Metrics>,
    pub max_body: usize,
}

/// Registers every route.
pub(crate) fn register(app: &mut web::ServiceConfig) {
    let get = |path: &str| web::resource(path.to_owned()).default_service(web::to(method));
    app.service(get("/v2").route(web::get().to(server_metadata)))
        .service(get("/v2/health/live").route(web::get().to(health)))
        .service(get("/v2/health/ready").route(web::get().to(health)))
        .service(get("/metrics").route(web::get().to(metrics)));
    for prefix in [
        "/v2/models/{model}",
        "/v2/models/{model}/versions/{version}",
    ] {
        app.service(get(prefix).route(web::get().to(model_metadata)))
            .service(get(&format!("{prefix}/ready")).route(web::get().to(model_ready)))
            .service(get(&format!("{prefix}/infer")).route(web::post().to(infer)));
    }
    app.default_service(web::to(unknown));
}

/// Pages of which origins may call. Browsers hide the header that splits JSON from bytes unless it
/// is exposed, and refuse to send it unless it is allowed.
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

async fn unknown() -> HttpResponse {
    ApiError::UnknownRoute.error_response()
}

async fn method(request: HttpRequest) -> HttpResponse {
    ApiError::Method(request.method().to_string()).error_response()
}

async fn server_metadata() -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "name": "fed-bbpt model-api",
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": ["binary_tensor_data"],
    }))
}

/// The model is loaded and tried before the server listens, so live, ready and model ready are one.
async fn health() -> HttpResponse {
    HttpResponse::Ok().finish()
}

async fn metrics(serving: web::Data<Serving>) -> HttpResponse {
    serving.model.sweep();
    if let Some(stats) = serving.model.stats() {
        serving.metrics.encoded(stats);
    }
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(serving.metrics.render())
}

async fn model_ready(
    request: HttpRequest,
    serving: web::Data<Serving>,
) -> Result<HttpResponse, ApiError> {
    check_model(&request, &*serving.model)?;
    Ok(HttpResponse::Ok().finish())
}

async fn model_metadata(
    request: HttpRequest,
    serving: web::Data<Serving>,
) -> Result<HttpResponse, ApiError> {
    check_model(&request, &*serving.model)?;
    Ok(HttpResponse::Ok().json(serving.model.metadata()))
}

/// The path must name the model, and its version if it names one.
fn check_model(request: &HttpRequest, model: &dyn Endpoint) -> Result<(), ApiError> {
    let path = request.match_info();
    let known = path.get("model") == Some(model.name())
        && path.get("version").is_none_or(|version| version == VERSION);
    if known {
        Ok(())
    } else {
        Err(ApiError::UnknownModel {
            name: model.name().to_owned(),
        })
    }
}

async fn infer(
    request: HttpRequest,
    payload: web::Payload,
    serving: web::Data<Serving>,
) -> HttpResponse {
    let started = Instant::now();
    let response = match try_infer(&request, payload, &serving).await {
        Ok(response) => response,
        Err(error) => {
            if let Some(reason) = error.reason() {
                serving.metrics.rejected(reason);
                tracing::debug!(%error, reason, "refused");
            } else {
                tracing::error!(%error, "failed");
            }
            error.error_response()
        }
    };
    serving
        .metrics
        .answered(response.status().as_u16(), started.elapsed());
    response
}

async fn try_infer(
    request: &HttpRequest,
    payload: web::Payload,
    serving: &web::Data<Serving>,
) -> Result<HttpResponse, ApiError> {
    let body = body::read(request, payload, serving.max_body).await?;
    // After the body: an early answer to a body still on its way gets lost with the connection.
    check_model(request, &*serving.model)?;
    let header_length = request
        .headers()
        .get(HEADER_LENGTH)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let json_bytes = match &header_length {
        Some(length) => length.parse().unwrap_or(body.len()),
        None => body.len(),
    };
    let model = Arc::clone(&serving.model);
    let slow = model.is_slow(json_bytes);
    let accept = move || model.accept(&body, header_length.as_deref());
    let waiting = body::parsed(slow, accept).await?;
    let scores = waiting.answer.await.map_err(|_| ApiError::Lost)??;

    let head = AnswerHead {
        model: serving.model.name(),
        output: serving.model.output(),
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
