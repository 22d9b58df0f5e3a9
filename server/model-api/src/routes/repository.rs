//! The model repository extension: lists, loads and unloads models.
//!
//! <https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_repository.md>

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::{Serving, caller, resource};
use crate::body;
use crate::error::ApiError;

pub(super) fn register(app: &mut web::ServiceConfig) {
    let index = resource("/v2/repository/index")
        .route(web::get().to(index))
        .route(web::post().to(index));
    app.service(index)
        .service(resource("/v2/repository/models/{model}/load").route(web::post().to(load)))
        .service(resource("/v2/repository/models/{model}/unload").route(web::post().to(unload)));
}

/// Maximum number of bytes of a body; these bodies are a few words.
const MAX_BODY: usize = 4096;

#[derive(Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    ready: bool,
}

async fn index(
    request: HttpRequest,
    payload: web::Payload,
    serving: web::Data<Serving>,
) -> Result<HttpResponse, ApiError> {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let wanted = if body.is_empty() {
        Wanted::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| {
            ApiError::BadRequest(format!(
                "the body must be {{\"ready\": true | false}}: {error}"
            ))
        })?
    };
    Ok(HttpResponse::Ok().json(serving.registry.index(wanted.ready)))
}

async fn load(
    request: HttpRequest,
    payload: web::Payload,
    serving: web::Data<Serving>,
) -> Result<HttpResponse, ApiError> {
    let name = admin(&request, payload).await?;
    serving
        .registry
        .load_one(&name)
        .await
        .inspect_err(|error| {
            tracing::error!(%error, "not loaded");
        })?;
    Ok(HttpResponse::Ok().finish())
}

async fn unload(
    request: HttpRequest,
    payload: web::Payload,
    serving: web::Data<Serving>,
) -> Result<HttpResponse, ApiError> {
    let name = admin(&request, payload).await?;
    serving.registry.unload(&name).await?;
    Ok(HttpResponse::Ok().finish())
}

/// The name of the model, if the caller may change what is served. The rest of the body has no
/// meaning here.
async fn admin(request: &HttpRequest, payload: web::Payload) -> Result<String, ApiError> {
    body::read(request, payload, MAX_BODY).await?;
    if !caller(request).is_admin() {
        return Err(ApiError::NotAdmin);
    }
    let name = request.match_info().get("model").unwrap_or_default();
    caller(request).asks(name);
    Ok(name.to_owned())
}
