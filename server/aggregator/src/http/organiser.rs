//! What the organiser says: create, invite, close.

use super::{auth, body};
use crate::app::App;
use crate::engine::{self, Effects, Message};
use crate::failure::Failure;
use crate::secret::{Secret, random_hex};
use crate::store::{federations, participants, rounds};
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use shared::fault::{Fault, Faults};
use shared::round::messages::{CreateFederation, Invite};
use shared::round::server::{Event, Round};
use shared::task::{Task, origin_of};

/// More parameters would not fit the largest update.
const MOST_PARAMETERS: usize = 8_000_000;
/// Of a federation's name in addresses, in random bytes.
const ID_BYTES: usize = 10;

pub(super) async fn check(app: Data<App>, request: HttpRequest) -> Result<HttpResponse, Failure> {
    auth::organiser(&app, &request)?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn create(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    auth::organiser(&app, &request)?;
    let create: CreateFederation = body::json(&app, &request, payload, body::TASK_LIMIT).await?;
    let task = match (create.task_toml, create.task) {
        (Some(toml), None) => Task::from_toml(&toml)?,
        (None, Some(value)) => Task::from_value(value)?,
        _ => {
            return Err(Failure::BadRequest(
                "give either task_toml (the task file's text) or task (the task as JSON)"
                    .to_owned(),
            ));
        }
    };
    let generator = task.generator()?;
    if generator.dim() > MOST_PARAMETERS {
        return Err(Failure::BadTask(Faults(vec![Fault {
            path: "generator".to_owned(),
            message: format!(
                "has {} parameters; at most {MOST_PARAMETERS} can be sent in one update",
                generator.dim()
            ),
        }])));
    }
    let (id, invite) = (random_hex(ID_BYTES)?, Secret::random()?);
    let (theta, now) = (generator.initial(), app.clock.now_ms());
    let origin = origin_of(&task.model.url).unwrap_or_default();
    app.store
        .run_tx("create", async |tx| {
            let new = federations::New {
                id: &id,
                task: &task,
                model_origin: &origin,
                theta: &theta,
                now,
            };
            federations::insert(tx, &new).await?;
            rounds::store(tx, &id, &Round::open(0)).await?;
            participants::insert_invite(tx, &id, &invite.hash(), now).await
        })
        .await?;
    tracing::info!(federation = id, "created");
    Ok(HttpResponse::Created().json(Invite {
        federation: id,
        invite: invite.reveal().to_owned(),
    }))
}

pub(super) async fn invite(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    auth::organiser(&app, &request)?;
    body::none(&app, &request, payload).await?;
    let (invite, now) = (Secret::random()?, app.clock.now_ms());
    app.store
        .run_tx("invite", async |tx| {
            engine::require_running(federations::head(&mut **tx, &id).await?.status)?;
            participants::insert_invite(tx, &id, &invite.hash(), now).await
        })
        .await?;
    let invite = Invite {
        federation: id.into_inner(),
        invite: invite.reveal().to_owned(),
    };
    Ok(HttpResponse::Created().json(invite))
}

pub(super) async fn close(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    auth::organiser(&app, &request)?;
    body::none(&app, &request, payload).await?;
    let known = auth::federation(&app, &id).await?;
    let now = app.clock.now_ms();
    let effects = app
        .store
        .run_tx("close", async |tx| {
            engine::require_running(federations::head(&mut **tx, &id).await?.status)?;
            let mut effects = Effects::default();
            engine::apply(
                tx,
                &known,
                now,
                Event::Close,
                Message::default(),
                &mut effects,
            )
            .await?;
            Ok(effects)
        })
        .await?;
    app.after(&id, &effects).await;
    Ok(HttpResponse::Ok().json(federations::summary(&app.store.readers, &id, now).await?))
}
