//! The organiser's routes: create and close federations; make, list and revoke invites.

use super::{auth, body};
use crate::app::App;
use crate::failure::Failure;
use crate::secret::{Secret, random_hex};
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use federation::engine::store::{Federations as _, Invites as _, NewInvite};
use federation::engine::{Federation, largest_message};
use federation::record::Replay;
use federation::round::messages::{CreateFederation, CreateInvite, Invite};
use federation::task::Task;
use ground::fault::{Fault, Faults};

/// Maximum number of parameters; more would not fit into the largest update.
const MOST_PARAMETERS: usize = 8_000_000;
/// Number of random bytes in a federation's id.
const ID_BYTES: usize = 10;
/// Number of random bytes in an invite's id.
const INVITE_ID_BYTES: usize = 8;
/// Longest life of an invite with an end, in seconds: ten years.
const LONGEST_LIFE_SECONDS: u64 = 10 * 365 * 24 * 3600;
/// Maximum number of uses of an invite that counts them.
const MOST_USES: u32 = 1_000_000;

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
    let source = match (create.task_toml, create.task) {
        (Some(toml), None) => Task::value_of_toml(&toml)?,
        (None, Some(value)) => value,
        _ => {
            return Err(Failure::BadRequest(
                "give either task_toml (the task file's text) or task (the task as JSON)"
                    .to_owned(),
            ));
        }
    };
    let source = Task::private_by_default(Task::tuned_by_default(source));
    let task = Task::from_value(source)?;
    suits(&app, &task)?;
    let (id, secret) = (random_hex(ID_BYTES)?, Secret::random()?);
    let (invite_id, now) = (random_hex(INVITE_ID_BYTES)?, app.clock.now_ms());
    let first = NewInvite {
        id: &invite_id,
        hash: &secret.hash(),
        now,
        expires_at: None,
        uses: None,
    };
    let federation = Federation::new(id, task);
    app.aggregator.create(&federation, &first, now).await?;
    let id = federation.id;
    tracing::info!(federation = id, "created");
    Ok(HttpResponse::Created().json(Invite {
        federation: id,
        id: invite_id,
        invite: secret.reveal().to_owned(),
        public_url: app.config.public_url.clone(),
    }))
}

/// Checks that this aggregator can run a task, which may be right in itself and still not suit it.
fn suits(app: &App, task: &Task) -> Result<(), Faults> {
    let mut faults = Vec::new();
    let mut fault = |path: &str, message: String| {
        faults.push(Fault {
            path: path.to_owned(),
            message,
        });
    };
    if task.dim() > MOST_PARAMETERS {
        fault(
            "generator",
            format!(
                "has {} parameters; at most {MOST_PARAMETERS} can be sent in one update",
                task.dim()
            ),
        );
    }
    if task.federation.secure.is_some_and(|secure| !secure.masks) {
        fault(
            "federation.secure_sum.masks",
            "can be off only in simulations".to_owned(),
        );
    }
    let most = app.config.max_body;
    if largest_message(task).is_some_and(|bytes| bytes > most) {
        fault(
            "federation.secure_sum",
            format!(
                "its largest message does not fit into {most} bytes, the most that is taken here"
            ),
        );
    }
    if Replay::new(task)?.is_spent(task) {
        fault(
            "federation.privacy",
            "even the first round would cost more than epsilon".to_owned(),
        );
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Faults(faults))
    }
}

pub(super) async fn invite(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    auth::organiser(&app, &request)?;
    let wish: CreateInvite = body::optional_json(&app, &request, payload).await?;
    let in_range = |value: u64, most: u64, name: &str| {
        if (1..=most).contains(&value) {
            return Ok(());
        }
        Err(Failure::BadRequest(format!(
            "{name} must be a whole number from 1 to {most}, or left out"
        )))
    };
    if let Some(seconds) = wish.expires_in_seconds {
        in_range(seconds, LONGEST_LIFE_SECONDS, "expires_in_seconds")?;
    }
    if let Some(uses) = wish.uses {
        in_range(u64::from(uses), u64::from(MOST_USES), "uses")?;
    }
    let (secret, invite_id) = (Secret::random()?, random_hex(INVITE_ID_BYTES)?);
    let now = app.clock.now_ms();
    let new = NewInvite {
        id: &invite_id,
        hash: &secret.hash(),
        now,
        // There is no overflow, as the seconds are within ten years.
        expires_at: wish.expires_in_seconds.map(|s| now + 1_000 * s),
        uses: wish.uses,
    };
    app.aggregator.invite(&id, &new).await?;
    Ok(HttpResponse::Created().json(Invite {
        federation: id.into_inner(),
        id: invite_id,
        invite: secret.reveal().to_owned(),
        public_url: app.config.public_url.clone(),
    }))
}

pub(super) async fn invites(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    auth::organiser(&app, &request)?;
    app.federation(&id).await?;
    let invites = app.read(&id, async |tx| tx.invites().await).await?;
    Ok(HttpResponse::Ok().json(invites))
}

pub(super) async fn revoke(
    app: Data<App>,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Failure> {
    auth::organiser(&app, &request)?;
    let (id, invite) = path.into_inner();
    let now = app.clock.now_ms();
    let revoked = app.aggregator.revoke(&id, &invite, now).await?;
    tracing::info!(federation = id, invite, "revoked");
    Ok(HttpResponse::Ok().json(revoked))
}

pub(super) async fn close(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    auth::organiser(&app, &request)?;
    let federation = app.federation(&id).await?;
    let now = app.clock.now_ms();
    app.aggregator.close(&federation, now).await?;
    let summary = app.read(&id, async |tx| tx.summary(now).await).await?;
    Ok(HttpResponse::Ok().json(summary))
}
