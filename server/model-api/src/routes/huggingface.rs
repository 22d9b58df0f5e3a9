//! Hugging Face's routes: `POST /models/NAME` for every task, and the path that names the task.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};

use super::{Serving, answered, caller, find, resource};
use crate::body;
use crate::error::ApiError;
use crate::huggingface::{self, Task};

pub(super) fn register(app: &mut web::ServiceConfig) {
    for path in ["/models/{model}", "/models/{model}/pipeline/{task}"] {
        app.service(resource(path).route(web::post().to(ask)));
    }
}

async fn ask(
    request: HttpRequest,
    payload: web::Payload,
    serving: web::Data<Serving>,
) -> HttpResponse {
    answered(&request, &serving, try_ask(&request, payload, &serving)).await
}

async fn try_ask(
    request: &HttpRequest,
    payload: web::Payload,
    serving: &Serving,
) -> Result<HttpResponse, ApiError> {
    let body = body::read(request, payload, serving.max_body).await?;
    let model = find(request, serving)?;
    let task = match request.match_info().get("task") {
        None => None,
        Some(name) => Some(Task::find(name).ok_or_else(|| {
            ApiError::BadRequest(format!("the task `{name}` is none that this server knows"))
        })?),
    };
    let caller = caller(request);
    caller.may_ask()?;
    let asked = Arc::clone(&model);
    serving
        .converse(
            move || huggingface::accept(&asked, &caller, &body, task),
            move |form, scores| form.answer(&model, scores),
        )
        .await
}
