//! The routes. [`ENDPOINTS`] is their only list: routes are registered from it and the OpenAPI
//! document is written from it, so both have the same.

mod auth;
mod body;
mod encoding;
mod events;
mod folder;
mod head;
mod identity;
mod limit;
mod models;
mod openapi;
mod organiser;
mod pages;
mod participant;
mod public;
mod record;
mod sums;
mod telemetry;

pub(crate) use folder::Folder;

use crate::app::App;
use crate::failure::Failure;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::{Route, guard, web};
use federation::round::messages::{
    CreateFederation, CreateInvite, Enrolment, FederationDetail, FederationSummary, Invite,
    InviteSummary, JoinRequest, Joined, Progress, RoundView,
};
use federation::round::refusal::Refusal;
use openapi::{Shape, bytes, of, sum_input, sum_message, update};
use public::Health;

/// Who may call an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Anybody,
    Organiser,
    Participant,
}

/// The part of the service that a listener offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Everything: for the only listener, or for the organiser's.
    Whole,
    /// What participants and visitors need, and nothing of the organiser's.
    Public,
}

/// One endpoint: a path and a method.
pub(crate) struct Endpoint {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) caller: Caller,
    pub(crate) summary: &'static str,
    /// Query parameters: name and meaning.
    pub(crate) query: &'static [(&'static str, &'static str)],
    /// Content type and schema of the body, if it takes one.
    pub(crate) request: Option<(&'static str, Shape)>,
    /// Status, content type and schema of the answer; 204 has no content.
    pub(crate) response: (u16, &'static str, Shape),
    /// Makes a new route to the handler.
    route: fn() -> Route,
}

impl Endpoint {
    /// Whether a side offers this endpoint. If the organiser has an own listener, counters are
    /// offered only there.
    fn is_on(&self, side: Side) -> bool {
        side == Side::Whole || !(self.caller == Caller::Organiser || self.path == METRICS)
    }
}

const METRICS: &str = "/metrics";
const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";
const NOTHING: (u16, &str, Shape) = (204, "", of::<()>);

/// The methods of a route that only reads.
const READING: &str = "GET, HEAD";

/// A route that only reads. HEAD is answered like GET, without the body (see [`head`]).
fn reading() -> Route {
    Route::new().guard(guard::Any(guard::Get()).or(guard::Head()))
}

macro_rules! method {
    (get) => {
        reading()
    };
    ($method:ident) => {
        web::$method()
    };
}

macro_rules! endpoint {
    ($method:ident $path:literal $caller:ident $handler:path, $summary:literal, query: $query:expr, request: $request:expr, response: $response:expr) => {
        Endpoint {
            method: stringify!($method),
            path: $path,
            caller: Caller::$caller,
            summary: $summary,
            query: &$query,
            request: $request,
            response: $response,
            route: || method!($method).to($handler),
        }
    };
}

/// The endpoints of the API. The pages are separate, in `pages`.
pub(crate) const ENDPOINTS: &[Endpoint] = &[
    endpoint!(get "/v1/health" Anybody public::health, "Is the aggregator up, and can its database be written? 503 if not.",
        query: [], request: None, response: (200, JSON, of::<Health>)),
    endpoint!(get "/healthz" Anybody public::health, "The same, where machines look for it.",
        query: [], request: None, response: (200, JSON, of::<Health>)),
    endpoint!(get "/v1/openapi.json" Anybody public::openapi, "This document.",
        query: [], request: None, response: (200, JSON, of::<serde_json::Value>)),
    endpoint!(get "/metrics" Anybody public::metrics, "Counters in Prometheus' text form.",
        query: [], request: None, response: (200, "text/plain", of::<String>)),
    endpoint!(get "/v1/federations" Anybody public::list, "All federations, newest first (at most 1,000).",
        query: [], request: None, response: (200, JSON, of::<Vec<FederationSummary>>)),
    endpoint!(post "/v1/federations" Organiser organiser::create,
        "Creates a federation from a task, as TOML or as JSON. All faults of the task are told at once.",
        query: [], request: Some((JSON, of::<CreateFederation>)), response: (201, JSON, of::<Invite>)),
    endpoint!(get "/v1/federations/{federation}" Anybody public::detail,
        "The task, the last 2,000 finished rounds, and the current round as an outsider sees it.",
        query: [], request: None, response: (200, JSON, of::<FederationDetail>)),
    endpoint!(get "/v1/federations/{federation}/theta" Anybody public::theta,
        "The current θ as little-endian f32. ETag is its hash, X-Theta-Step the number of updates.",
        query: [("hash", "Refuse with wrong_theta unless the current θ has this hash.")],
        request: None, response: (200, BYTES, bytes)),
    endpoint!(get "/v1/federations/{federation}/record" Anybody record::record,
        "The record, from which every θ follows: one line of JSON for the beginning and one for every round that \
        ended. Without `from` all of it for download, with it as many lines as make about 1 MiB, but at least one.",
        query: [("from", "The number of the first line, counted from 0.")],
        request: None, response: (200, "text/plain", of::<String>)),
    endpoint!(get "/v1/federations/{federation}/generator" Anybody public::generator,
        "The prompt generator for download: θ as safetensors with its task and generator as metadata.",
        query: [], request: None, response: (200, BYTES, bytes)),
    endpoint!(get "/v1/federations/{federation}/events" Anybody events::events,
        "Server-sent events named progress, one with every change that the reader is fast enough for.",
        query: [], request: None, response: (200, "text/event-stream", of::<Progress>)),
    endpoint!(post "/v1/federations/{federation}/invites" Organiser organiser::invite,
        "Makes an invite, optionally with an expiry or a maximum number of participants. Its secret is shown only here.",
        query: [], request: Some((JSON, of::<CreateInvite>)), response: (201, JSON, of::<Invite>)),
    endpoint!(get "/v1/federations/{federation}/invites" Organiser organiser::invites,
        "All invites without their secrets, newest first.",
        query: [], request: None, response: (200, JSON, of::<Vec<InviteSummary>>)),
    endpoint!(delete "/v1/federations/{federation}/invites/{invite}" Organiser organiser::revoke,
        "Revokes an invite: nobody can join with it from now on. Participants who joined with it stay.",
        query: [], request: None, response: (200, JSON, of::<InviteSummary>)),
    endpoint!(post "/v1/federations/{federation}/close" Organiser organiser::close,
        "Ends a federation for good; its current round is aborted.",
        query: [], request: None, response: (200, JSON, of::<FederationSummary>)),
    endpoint!(get "/v1/admin/check" Organiser organiser::check, "Is this the organiser's token?",
        query: [], request: None, response: NOTHING),
    endpoint!(post "/v1/federations/{federation}/participants" Anybody participant::join,
        "Joins with an invite. The token in the answer is shown only here. An identity that joins again gets its \
        number back and a fresh token; the old one is void then.",
        query: [], request: Some((JSON, of::<JoinRequest>)), response: (201, JSON, of::<Joined>)),
    endpoint!(get "/v1/federations/{federation}/round" Participant participant::round,
        "What this participant needs to know next. With `after`, waits for a change.",
        query: [("after", "The version seen last: answers as soon as it is higher."),
            ("wait_ms", "How long to wait for that, at most 25,000 and a third of the lease.")],
        request: None, response: (200, JSON, of::<RoundView>)),
    endpoint!(post "/v1/federations/{federation}/rounds/{round}/enrol" Participant participant::enrol,
        "Says that an update for this round is ready.",
        query: [], request: Some((JSON, of::<Enrolment>)), response: (200, JSON, of::<RoundView>)),
    endpoint!(post "/v1/federations/{federation}/rounds/{round}/update" Participant participant::update,
        "Delivers the update. It is stored durably before the answer, and never counted twice.",
        query: [], request: Some((ground::wire::CONTENT_TYPE, update)), response: (200, JSON, of::<RoundView>)),
    endpoint!(get "/v1/federations/{federation}/rounds/{round}/sum" Participant sums::input,
        "What a member of the cohort needs for its next message of a secure sum.",
        query: [("phase", "For which: `shares` (the roster), `masked` (the shares that were dealt to this participant) \
        `confirm` (the survivors) or `unmask` (their confirmations).")],
        request: None, response: (200, ground::wire::CONTENT_TYPE, sum_input)),
    endpoint!(post "/v1/federations/{federation}/rounds/{round}/sum" Participant sums::send,
        "A message of a secure sum: round keys, shares, the masked update, or what takes the masks off. It is stored \
        durably before the answer, and never counted twice.",
        query: [], request: Some((ground::wire::CONTENT_TYPE, sum_message)), response: (200, JSON, of::<RoundView>)),
    endpoint!(post "/v1/federations/{federation}/heartbeat" Participant participant::heartbeat,
        "Says that this participant is still there.",
        query: [], request: None, response: NOTHING),
    endpoint!(delete "/v1/federations/{federation}/participants/me" Participant participant::leave,
        "Leaves for good; the token is void from then on.",
        query: [], request: None, response: NOTHING),
];

/// The whole service, made anew for each worker thread.
pub(crate) fn service(
    app: web::Data<App>,
    side: Side,
) -> actix_web::App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    actix_web::App::new()
        .app_data(app)
        .app_data(side)
        .app_data(
            web::PathConfig::default()
                .error_handler(|_, _| Failure::from(Refusal::NotFound).into()),
        )
        .app_data(
            web::QueryConfig::default()
                .error_handler(|e, _| Failure::BadRequest(format!("the query: {e}")).into()),
        )
        // The last one is the outermost.
        .wrap(actix_web::middleware::from_fn(listener::in_pieces))
        .wrap(actix_web::middleware::from_fn(body::without))
        .wrap(actix_web::middleware::from_fn(head::without_body))
        .wrap(actix_web::middleware::from_fn(limit::requests))
        .wrap(actix_web::middleware::from_fn(telemetry::observe))
        .wrap(tracing_actix_web::TracingLogger::<telemetry::Spans>::new())
        .configure(|service| routes(service, ENDPOINTS, side))
        .configure(models::routes)
        .configure(|service| pages::routes(service, side))
        .default_service(web::to(unknown))
}

/// Registers those of `endpoints` that this side offers.
fn routes(service: &mut web::ServiceConfig, endpoints: &'static [Endpoint], side: Side) {
    let mut paths: Vec<&str> = endpoints.iter().map(|e| e.path).collect();
    paths.sort_unstable();
    paths.dedup();
    for path in paths {
        let (here, elsewhere): (Vec<_>, Vec<_>) = endpoints
            .iter()
            .filter(|e| e.path == path)
            .partition(|e| e.is_on(side));
        if here.is_empty() {
            continue;
        }
        let methods: Vec<_> = here
            .iter()
            .map(|e| match e.method {
                "get" => READING.to_owned(),
                method => method.to_ascii_uppercase(),
            })
            .collect();
        let allow = methods.join(", ");
        let wrong = move || std::future::ready(refuse_method(&allow));
        let mut resource = web::resource(path).default_service(web::to(wrong));
        for endpoint in here {
            resource = resource.route((endpoint.route)());
        }
        for endpoint in elsewhere {
            resource = resource.route(match endpoint.method {
                "post" => web::post().to(unknown),
                "delete" => web::delete().to(unknown),
                _ => reading().to(unknown),
            });
        }
        service.service(resource);
    }
}

async fn unknown() -> Result<actix_web::HttpResponse, Failure> {
    Err(Refusal::NotFound.into())
}

/// Answers other methods at addresses that can only be read.
async fn wrong_method() -> actix_web::HttpResponse {
    refuse_method(READING)
}

fn refuse_method(allow: &str) -> actix_web::HttpResponse {
    use actix_web::ResponseError as _;
    let mut response = Failure::Method(format!("use {allow}")).error_response();
    if let Ok(value) = allow.parse() {
        response
            .headers_mut()
            .insert(actix_web::http::header::ALLOW, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::{Method, StatusCode, header};
    use actix_web::test::{TestRequest, call_service, init_service, read_body_json};

    async fn answer() -> web::Json<u32> {
        web::Json(42)
    }

    const MORE: &[Endpoint] = &[
        endpoint!(get "/v1/answer" Anybody answer, "The answer.",
            query: [], request: None, response: (200, JSON, of::<u32>)),
        endpoint!(post "/v1/question" Organiser answer, "Asks anew.",
            query: [], request: None, response: (200, JSON, of::<u32>)),
    ];

    /// Shows what `docs/adding.md` promises: a route is one line, from which everything else
    /// follows.
    #[actix_web::test]
    async fn a_line_makes_a_route() {
        let new = |side| {
            init_service(
                actix_web::App::new().configure(move |service| routes(service, MORE, side)),
            )
        };
        let (whole, public) = (new(Side::Whole).await, new(Side::Public).await);
        let ask = |method, path| TestRequest::default().method(method).uri(path).to_request();
        let response = call_service(&public, ask(Method::GET, "/v1/answer")).await;
        assert_eq!(read_body_json::<u32, _>(response).await, 42);
        let refused = call_service(&whole, ask(Method::DELETE, "/v1/answer")).await;
        assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(refused.headers().get(header::ALLOW).unwrap(), "GET, HEAD");
        let asked = call_service(&whole, ask(Method::POST, "/v1/question")).await;
        assert_eq!(asked.status(), StatusCode::OK);
        // Only the organiser's listener offers what belongs to the organiser.
        let absent = call_service(&public, ask(Method::POST, "/v1/question")).await;
        assert_eq!(absent.status(), StatusCode::NOT_FOUND);
        let document = openapi::document(MORE);
        assert_eq!(
            document["paths"]["/v1/answer"]["get"]["summary"],
            "The answer."
        );
        let security = &document["paths"]["/v1/question"]["post"]["security"];
        assert_eq!(security[0]["organiser"], serde_json::json!([]));
    }
}
