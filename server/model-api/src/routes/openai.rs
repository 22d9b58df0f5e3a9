//! OpenAI's routes, under `/v1`; those for one model also under `/models/NAME/v1`, where Hugging
//! Face's client looks for them.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::{Serving, answered, caller, find, resource};
use crate::body;
use crate::endpoint::{Endpoint, Reply};
use crate::error::{ApiError, Dialect};
use crate::keys::Caller;
use crate::openai::{self, Form};

pub(super) fn register(app: &mut web::ServiceConfig) {
    app.service(resource("/v1/models").route(web::get().to(models)))
        .service(resource("/v1/models/{model}").route(web::get().to(model)));
    for prefix in ["/v1", "/models/{model}/v1"] {
        app.service(resource(&format!("{prefix}/chat/completions")).route(web::post().to(chat)))
            .service(resource(&format!("{prefix}/completions")).route(web::post().to(complete)))
            .service(resource(&format!("{prefix}/embeddings")).route(web::post().to(embed)));
    }
}

async fn models(serving: web::Data<Serving>) -> HttpResponse {
    let created = openai::now();
    let all = serving.registry.all();
    let data: Vec<Value> = all
        .iter()
        .map(|endpoint| openai::entry(endpoint, created))
        .collect();
    HttpResponse::Ok().json(json!({ "object": "list", "data": data }))
}

async fn model(request: HttpRequest, serving: web::Data<Serving>) -> HttpResponse {
    match find(&request, &serving) {
        Ok(endpoint) => HttpResponse::Ok().json(openai::entry(&endpoint, openai::now())),
        Err(error) => error.response(Dialect::OpenAi),
    }
}

/// A function that reads a body and queues its request.
type Accept = fn(&Endpoint, &Caller, &[u8]) -> Result<(Form, Reply), ApiError>;

async fn chat(
    request: HttpRequest,
    payload: web::Payload,
    serving: web::Data<Serving>,
) -> HttpResponse {
    let answer = ask(&request, payload, &serving, openai::chat);
    answered(&request, &serving, answer).await
}

async fn complete(
    request: HttpRequest,
    payload: web::Payload,
    serving: web::Data<Serving>,
) -> HttpResponse {
    let answer = ask(&request, payload, &serving, openai::complete);
    answered(&request, &serving, answer).await
}

async fn embed(
    request: HttpRequest,
    payload: web::Payload,
    serving: web::Data<Serving>,
) -> HttpResponse {
    let answer = ask(&request, payload, &serving, openai::embed);
    answered(&request, &serving, answer).await
}

async fn ask(
    request: &HttpRequest,
    payload: web::Payload,
    serving: &Serving,
    accept: Accept,
) -> Result<HttpResponse, ApiError> {
    let body = body::read(request, payload, serving.max_body).await?;
    let caller = caller(request);
    caller.may_ask()?;
    let model = if request.match_info().get("model").is_some() {
        // The body's name of the model does not matter here: clients put anything there.
        find(request, serving)?
    } else {
        let model = serving.registry.get(&openai::model(&body)?)?;
        caller.asks(model.name());
        model
    };
    let asked = Arc::clone(&model);
    serving
        .converse(
            move || accept(&asked, &caller, &body),
            move |form, scores| form.answer(&model, scores),
        )
        .await
}
