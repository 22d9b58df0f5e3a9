//! The relay's server: takes requests, asks the upstream, and passes the answers back.

use super::account::Account;
use super::bodies::{self, Limits};
use super::guard::{Guard, Origin};
use super::headers;
use super::refusal::Refusal;
use super::target::Target;
use super::upstream::Upstream;
use crate::cause_of;
use actix_web::body::{BodyStream, SizedStream};
use actix_web::http::{Method, StatusCode, header as web_header};
use actix_web::{App, HttpRequest, HttpResponse, web};
use aggregator::Secret;
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderName, HeaderValue, LOCATION};
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

/// Maximum time to connect to the upstream.
const CONNECT: Duration = Duration::from_secs(10);
/// How long requests in flight may take after the signal to stop, in seconds.
const SHUTDOWN_SECONDS: u64 = 10;
/// Maximum number of connections. One page does not open more.
const CONNECTIONS: usize = 256;
/// Threads. The work is the waiting.
const THREADS: usize = 2;

/// Why the relay cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The operating system gives no randomness for the token.
    #[error("the operating system gives no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
    /// The HTTP client cannot be set up.
    #[error("cannot set up HTTP: {}", cause_of(.0))]
    Http(reqwest::Error),
    /// The listener cannot be used.
    #[error("the relay cannot run: {0}")]
    Io(#[from] std::io::Error),
}

/// The settings of a relay.
pub struct Settings {
    /// The server to which requests go.
    pub upstream: Upstream,
    /// The key and the header that carries it; `None` for an upstream without keys.
    pub key: Option<(Secret, (HeaderName, HeaderValue))>,
    /// The page that may ask; `None` for the first page that knows the token.
    pub page: Option<Origin>,
    /// Maximum number of bytes of a body, in each direction.
    pub max_body: u64,
    /// Maximum time to wait for the beginning of an answer and for each further piece.
    pub patience: Duration,
}

/// A relay at an address, ready to serve.
pub struct Relay {
    guard: Guard,
    settings: Settings,
    http: reqwest::Client,
    address: SocketAddr,
}

impl Relay {
    /// Makes a relay with a new token.
    ///
    /// # Errors
    /// There is no randomness, or no HTTP client.
    pub fn new(mut settings: Settings, address: SocketAddr) -> Result<Self, RelayError> {
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            // A redirect could hand the key to another host.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("fed-bbpt-relay/", env!("CARGO_PKG_VERSION")));
        if settings.upstream.is_plain() {
            http = http.no_proxy();
        }
        Ok(Self {
            guard: Guard::new(Secret::random()?, address, settings.page.take()),
            http: http.build().map_err(RelayError::Http)?,
            settings,
            address,
        })
    }

    /// The relay's address for the page, the only place in which the token appears.
    pub fn url(&self) -> String {
        format!("http://{}/{}", self.address, self.guard.token().reveal())
    }

    fn key(&self) -> &str {
        (self.settings.key.as_ref()).map_or("", |(key, _)| key.reveal())
    }

    fn limits(&self) -> Limits {
        Limits {
            bytes: self.settings.max_body,
            patience: self.settings.patience,
        }
    }

    async fn answer(
        &self,
        request: &HttpRequest,
        payload: web::Payload,
        account: &Arc<Account>,
    ) -> Result<HttpResponse, Refusal> {
        let unbound = self.guard.page().is_none();
        let target = self.guard.admit(request)?;
        if unbound && let Some(page) = self.guard.page() {
            tracing::info!(
                page = page.as_str(),
                "the relay serves this page from now on"
            );
        }
        let method = match *request.method() {
            Method::GET => reqwest::Method::GET,
            Method::POST => reqwest::Method::POST,
            Method::OPTIONS if headers::is_preflight(request.headers()) => {
                return Ok(headers::preflight(request.headers(), self.guard.page()));
            }
            _ => return Err(Refusal::Method),
        };
        let response = self.ask(method, target, request, payload, account).await?;
        self.pass_back(response, account)
    }

    /// Sends the request on and returns the head of the answer.
    async fn ask(
        &self,
        method: reqwest::Method,
        target: Target<'_>,
        request: &HttpRequest,
        payload: web::Payload,
        account: &Account,
    ) -> Result<reqwest::Response, Refusal> {
        let url = self.settings.upstream.at(&target);
        let url = url.ok_or(Refusal::Target("the path leads elsewhere"))?;
        let mut passed = headers::of_request(request.headers())?;
        let length = length(request)?;
        if length.is_some_and(|length| length > self.settings.max_body) {
            return Err(Refusal::TooLarge(self.settings.max_body));
        }
        let chunked = request
            .headers()
            .contains_key(web_header::TRANSFER_ENCODING);
        if chunked && length.is_some() {
            return Err(Refusal::Header("transfer-encoding"));
        }
        let has_body = chunked || length.is_some_and(|length| length > 0);
        if has_body && method != reqwest::Method::POST {
            return Err(Refusal::Header("content-length"));
        }
        if let Some(length) = length.filter(|_| has_body) {
            passed.insert(CONTENT_LENGTH, length.into());
        }
        // Added last, so that nothing the page sends can replace it.
        if let Some((_, (name, value))) = &self.settings.key {
            passed.insert(name, value.clone());
        }
        let upstream = self.http.request(method, url).headers(passed);
        let patience = self.settings.patience;
        if !has_body {
            return in_time(patience, upstream.send()).await;
        }
        let (intake, body) = bodies::passage();
        let mut sent = std::pin::pin!(upstream.body(body).send());
        let filled = intake.fill(payload, self.limits(), account);
        tokio::select! {
            // An early answer (401, 413) is the answer; the rest of the request need not be sent.
            answer = &mut sent => answer.map_err(unreachable),
            filled = filled => {
                filled?;
                in_time(patience, sent).await
            }
        }
    }

    fn pass_back(
        &self,
        upstream: reqwest::Response,
        account: &Arc<Account>,
    ) -> Result<HttpResponse, Refusal> {
        let status = upstream.status();
        if status.is_informational() {
            return Err(Refusal::Informational(status.as_u16()));
        }
        if status.is_redirection() {
            return Err(Refusal::Redirected(elsewhere(&upstream)));
        }
        let encoded = upstream.headers().get(CONTENT_ENCODING);
        if encoded.is_some_and(|encoding| encoding != "identity") {
            return Err(Refusal::Compressed);
        }
        let length = upstream.content_length();
        if length.is_some_and(|length| length > self.settings.max_body) {
            return Err(Refusal::AnswerTooLarge(self.settings.max_body));
        }
        let status = StatusCode::from_u16(status.as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
        let mut response = HttpResponse::build(status);
        headers::of_answer(&mut response, upstream.headers(), self.key());
        headers::open(&mut response, self.guard.page());
        let body = bodies::answer(upstream, self.key(), self.limits(), Arc::clone(account));
        Ok(match length {
            // Stars take as many bytes as what they hide.
            Some(length) => response.body(SizedStream::new(length, body)),
            None => response.body(BodyStream::new(body)),
        })
    }
}

/// Waits for the head of an answer, for as long as the settings allow.
async fn in_time(
    patience: Duration,
    answer: impl Future<Output = Result<reqwest::Response, reqwest::Error>>,
) -> Result<reqwest::Response, Refusal> {
    match tokio::time::timeout(patience, answer).await {
        Err(_) => Err(Refusal::Late(patience)),
        Ok(answer) => answer.map_err(unreachable),
    }
}

/// Keeps only the innermost cause: the whole text would contain the upstream's address.
fn unreachable(error: reqwest::Error) -> Refusal {
    Refusal::Unreachable(cause_of(&error))
}

/// The length that a request states. The server has already checked that it is a number; here it is
/// checked again.
fn length(request: &HttpRequest) -> Result<Option<u64>, Refusal> {
    let mut values = request.headers().get_all(web_header::CONTENT_LENGTH);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let digits = value
        .to_str()
        .ok()
        .filter(|v| v.bytes().all(|b| b.is_ascii_digit()));
    match (digits.and_then(|v| v.parse().ok()), values.next()) {
        (Some(length), None) => Ok(Some(length)),
        _ => Err(Refusal::Header("content-length")),
    }
}

/// Where a redirect leads: the server and the path, no more.
fn elsewhere(upstream: &reqwest::Response) -> String {
    let location = upstream.headers().get(LOCATION);
    let url = location
        .and_then(|value| value.to_str().ok())
        .and_then(|text| upstream.url().join(text).ok());
    match url {
        Some(mut url) => {
            url.set_query(None);
            url.set_fragment(None);
            // Neither fails for an address with a host, and an address without one has no names.
            let _ = (url.set_username(""), url.set_password(None));
            // In percent signs the key would not be found.
            if url.path().contains('%') {
                url.set_path("");
            }
            url.into()
        }
        None => "which it does not say".to_owned(),
    }
}

/// The name of a method, if it is a common one.
fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

async fn handle(
    request: HttpRequest,
    payload: web::Payload,
    relay: web::Data<Relay>,
) -> HttpResponse {
    let account = Arc::new(Account::open(name(request.method())));
    let response = relay
        .answer(&request, payload, &account)
        .await
        .unwrap_or_else(|refusal| {
            tracing::warn!(why = refusal.name(), "refused");
            let mut response = refusal.response();
            headers::open(&mut response, relay.guard.readable(&request));
            response.json(mask_of(&relay, &refusal))
        });
    account.answered(response.status().as_u16());
    response
}

/// The body of a refusal, masked, because an upstream's cause or address may contain the key.
fn mask_of(relay: &Relay, refusal: &Refusal) -> serde_json::Value {
    let mut body = refusal.body();
    let key = relay.key();
    if let Some(text) = body["error"]
        .as_str()
        .filter(|text| !key.is_empty() && text.contains(key))
    {
        body["error"] = text.replace(key, "***").into();
    }
    body
}

/// Serves until `shutdown` is ready; requests in flight are then finished.
///
/// # Errors
/// The listener cannot be used.
pub async fn serve(
    listener: TcpListener,
    relay: Relay,
    shutdown: impl Future<Output = ()>,
) -> Result<(), RelayError> {
    let relay = web::Data::new(relay);
    let settings = listener::Settings {
        workers: THREADS,
        connections: CONNECTIONS,
        // A page that closes its end has gone away: the upstream is not asked for nobody.
        half_closed: false,
        drain_seconds: SHUTDOWN_SECONDS,
        ..listener::Settings::default()
    };
    let server = listener::serve(listener, settings, move || {
        App::new()
            .app_data(relay.clone())
            .default_service(web::to(handle))
    })?;
    let handle = server.handle();
    let mut server = std::pin::pin!(server);
    tokio::select! {
        result = &mut server => result?,
        () = shutdown => {
            let ((), result) = tokio::join!(handle.stop(true), server);
            result?;
        }
    }
    Ok(())
}
