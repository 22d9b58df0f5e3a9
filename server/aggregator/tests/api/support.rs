//! A server on a free port, and clients that speak to it as browsers do: by the client that participants and organisers
//! have, and request by request where a test is about requests that this client never sends, or about what HTTP says.

use aggregator::{AggregatorConfig, Clock, Listeners, Quotas, RealClock, RunError, Secret, run};
use federation::round::client::{Action, Event};
use federation::round::messages::{
    CreateFederation, Enrolment, FederationDetail, FederationSummary, Invite, InviteSummary,
    JoinRequest, Joined, Metrics, Problem, RoundView, Update, join_statement,
};
use ground::wire;
use model_client::transport::{Answer, Call, NoAnswer, Transport};
use participant::api::ApiError;
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, Response};
use secure_sum::identity::Identity;
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once, OnceLock};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub const ADMIN: &str = "the-organisers-token";
/// Parameters of the smallest task's generator.
pub const DIM: usize = 576;
/// Maximum time for anything in these tests, unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A folder for the database, and perhaps a page.
pub struct Home(TempDir);

impl Home {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn database(&self) -> PathBuf {
        self.0.path().join("test.sqlite")
    }

    pub fn config(&self) -> AggregatorConfig {
        AggregatorConfig {
            poll: Duration::from_millis(20),
            // Machines that only send requests are faster than any participant; `limits` sets its
            // own quotas.
            quotas: Quotas::UNLIMITED,
            ..AggregatorConfig::new(self.database(), Secret::new(ADMIN))
        }
    }
}

/// A running aggregator.
pub struct Server {
    pub api: Api,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<Result<(), RunError>>,
}

impl Server {
    pub async fn start(config: AggregatorConfig, clock: Arc<dyn Clock>) -> Self {
        let (listener, address) = free_port();
        let api = Api::new(format!("http://{address}"));
        Self::over(listener.into(), config, clock, api).await
    }

    /// A server over these listeners; `api` speaks to the first.
    pub async fn over(
        listeners: Listeners,
        config: AggregatorConfig,
        clock: Arc<dyn Clock>,
        api: Api,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(run(listeners, config, clock, async {
            let _ = stopped.await;
        }));
        api.wait_until_healthy().await;
        Self {
            api,
            stop: Some(stop),
            ended,
        }
    }

    /// A server with a new home and the real clock.
    pub async fn fresh() -> (Home, Self) {
        let home = Home::new();
        let server = Self::start(home.config(), Arc::new(RealClock)).await;
        (home, server)
    }

    /// Ends the server in order.
    pub async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        tokio::time::timeout(PATIENCE, self.ended)
            .await
            .expect("the server hangs")
            .unwrap()
            .unwrap();
    }
}

/// A listener and its address.
pub fn free_port() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// The way to the server.
pub struct Wire(Client);

impl Transport for Wire {
    async fn send(&self, call: Call<'_>) -> Result<Answer, NoAnswer> {
        let lost = |error: reqwest::Error| NoAnswer::Unreachable {
            cause: error.to_string(),
        };
        let mut request = self.0.request(call.method.parse().unwrap(), call.url());
        for (name, value) in &call.headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = call.body {
            request = request.body(body.to_vec());
        }
        let response = request.send().await.map_err(lost)?;
        Ok(Answer {
            status: response.status().as_u16(),
            headers: Vec::new(),
            body: response.bytes().await.map_err(lost)?.to_vec(),
        })
    }

    fn now_ms(&self) -> f64 {
        static BEGUN: OnceLock<Instant> = OnceLock::new();
        BEGUN.get_or_init(Instant::now).elapsed().as_secs_f64() * 1e3
    }

    async fn sleep(&self, ms: f64) {
        tokio::time::sleep(Duration::from_secs_f64(ms / 1e3)).await;
    }

    fn uniform(&self) -> f32 {
        0.5
    }
}

#[derive(Clone)]
pub struct Api {
    pub url: String,
    http: Client,
}

impl Api {
    pub fn new(url: String) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            rustls::crypto::ring::default_provider()
                .install_default()
                .unwrap();
        });
        let http = Self::http().build().unwrap();
        Self { url, http }
    }

    /// A client that trusts only this authority.
    pub fn with_authority(url: String, pem: &str) -> Self {
        let plain = Self::new(url);
        let authority = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
        let http = Self::http().tls_certs_only([authority]).build().unwrap();
        Self { http, ..plain }
    }

    fn http() -> ClientBuilder {
        Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
    }

    pub async fn wait_until_healthy(&self) {
        let begun = Instant::now();
        // The listener exists before the server: the first request waits in its queue.
        while self.get("/v1/health").send().await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "the server does not come up");
            tokio::task::yield_now().await;
        }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    /// The client that participants and organisers have, with this token.
    pub fn client(&self, token: Option<&str>) -> participant::api::Api<Wire> {
        let wire = Wire(self.http.clone());
        participant::api::Api::new(&self.url, token.map(str::to_owned), wire)
    }

    fn organiser(&self) -> participant::api::Api<Wire> {
        self.client(Some(ADMIN))
    }

    pub async fn create(&self, task: Value) -> Invite {
        let body = CreateFederation {
            task_toml: None,
            task: Some(task),
        };
        self.organiser().create(&body).await.unwrap()
    }

    pub async fn detail(&self, id: &str) -> FederationDetail {
        self.client(None).detail(id).await.unwrap()
    }

    pub async fn participants(&self, id: &str) -> u32 {
        self.detail(id).await.summary.participants
    }

    pub async fn theta(&self, id: &str) -> Vec<f32> {
        let response = self
            .get(&format!("/v1/federations/{id}/theta"))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        let etag = response.headers()["etag"]
            .to_str()
            .unwrap()
            .trim_matches('"')
            .to_owned();
        let bytes = response.bytes().await.unwrap();
        assert_eq!(ground::hash::sha256_hex(&bytes), etag);
        ground::hash::theta_from_bytes(&bytes, DIM).unwrap()
    }

    pub async fn close(&self, id: &str) -> FederationSummary {
        self.organiser().close(id).await.unwrap()
    }

    fn member(&self, invite: &Invite, joined: Joined) -> Member {
        Member {
            api: self.clone(),
            federation: invite.federation.clone(),
            number: joined.participant,
            token: joined.token,
        }
    }

    /// Without an identity, as no client of ours does.
    pub async fn join(&self, invite: &Invite) -> Member {
        let response = self.try_join(&invite.federation, &invite.invite).await;
        assert_eq!(response.status(), 201);
        self.member(invite, response.json().await.unwrap())
    }

    pub async fn try_join(&self, federation: &str, invite: &str) -> Response {
        let path = format!("/v1/federations/{federation}/participants");
        self.post(&path)
            .json(&JoinRequest {
                invite: invite.to_owned(),
                ..JoinRequest::default()
            })
            .send()
            .await
            .unwrap()
    }

    /// Joins with the identity of this seed.
    pub async fn try_join_as(&self, seed: u8, federation: &str, invite: &str) -> Response {
        self.post(&format!("/v1/federations/{federation}/participants"))
            .json(&join_as(seed, federation, invite))
            .send()
            .await
            .unwrap()
    }

    pub async fn join_as(&self, seed: u8, invite: &Invite) -> Member {
        let identity = Identity::from_seed([seed; 32]);
        let client = self.client(None);
        let joined = client.join(&invite.federation, &invite.invite, &identity);
        self.member(invite, joined.await.unwrap())
    }

    /// Makes another invite.
    pub async fn try_invite(&self, federation: &str, wish: Value) -> Response {
        self.post(&format!("/v1/federations/{federation}/invites"))
            .bearer_auth(ADMIN)
            .json(&wish)
            .send()
            .await
            .unwrap()
    }

    pub async fn invite(&self, federation: &str, wish: Value) -> Invite {
        let wish = serde_json::from_value(wish).unwrap();
        self.organiser().invite(federation, &wish).await.unwrap()
    }

    pub async fn invites(&self, federation: &str) -> Vec<InviteSummary> {
        self.organiser().invites(federation).await.unwrap()
    }

    pub async fn revoke(&self, federation: &str, id: &str) -> Response {
        let path = format!("/v1/federations/{federation}/invites/{id}");
        let request = self.request(Method::DELETE, &path).bearer_auth(ADMIN);
        request.send().await.unwrap()
    }

    pub async fn members(&self, invite: &Invite, count: usize) -> Vec<Member> {
        let mut members = Vec::new();
        for _ in 0..count {
            members.push(self.join(invite).await);
        }
        members
    }

    pub async fn metrics(&self) -> String {
        self.get("/metrics")
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    }
}

/// A participant.
#[derive(Clone)]
pub struct Member {
    pub api: Api,
    pub federation: String,
    pub number: u32,
    pub token: String,
}

impl Member {
    pub fn path(&self, rest: &str) -> String {
        format!("/v1/federations/{}/{rest}", self.federation)
    }

    pub fn request(&self, method: Method, rest: &str) -> RequestBuilder {
        self.api
            .request(method, &self.path(rest))
            .bearer_auth(&self.token)
    }

    pub fn client(&self) -> participant::api::Api<Wire> {
        self.api.client(Some(&self.token))
    }

    pub async fn view(&self) -> RoundView {
        let client = self.client();
        client.round(&self.federation, None).await.unwrap()
    }

    /// What the aggregator answers to an action of a participant's machine, as the driver asks it.
    pub async fn ask(&self, action: &Action) -> Result<Event, ApiError> {
        self.client().carry_out(&self.federation, action).await
    }

    async fn taken(&self, action: &Action) -> RoundView {
        match self.ask(action).await {
            Ok(Event::View(view)) => view,
            other => panic!("{other:?}"),
        }
    }

    pub async fn wait(&self, after: u64, ms: u64) -> RoundView {
        let rest = format!("round?after={after}&wait_ms={ms}");
        let response = self.request(Method::GET, &rest).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.json().await.unwrap()
    }

    /// Waits until the view is as wanted.
    pub async fn until(&self, wish: impl Fn(&RoundView) -> bool) -> RoundView {
        let begun = Instant::now();
        let mut view = self.view().await;
        while !wish(&view) {
            assert!(begun.elapsed() < PATIENCE, "still {view:?}");
            view = self.wait(view.version, 1_000).await;
        }
        view
    }

    pub async fn try_enrol(&self, round: u32, theta: &str) -> Response {
        let body = Enrolment {
            theta: theta.to_owned(),
            waits: false,
        };
        self.try_enrolment(round, &body).await
    }

    pub async fn try_enrolment(&self, round: u32, body: &Enrolment) -> Response {
        self.request(Method::POST, &format!("rounds/{round}/enrol"))
            .json(body)
            .send()
            .await
            .unwrap()
    }

    pub async fn enrol(&self) -> RoundView {
        let view = self.view().await;
        let body = Enrolment {
            theta: view.theta,
            waits: false,
        };
        let round = view.round;
        self.taken(&Action::Enrol { round, body }).await
    }

    pub async fn send(&self, update: &Update) -> Response {
        self.send_bytes(update.round, wire::encode(update)).await
    }

    pub async fn send_bytes(&self, round: u32, body: Vec<u8>) -> Response {
        self.request(Method::POST, &format!("rounds/{round}/update"))
            .header("content-type", wire::CONTENT_TYPE)
            .body(body)
            .send()
            .await
            .unwrap()
    }

    pub async fn deliver(&self, value: f32, examples: u32) -> RoundView {
        let update = update(&self.view().await, value, examples);
        self.taken(&Action::Upload(update)).await
    }
}

/// The request to join with the identity of this seed.
pub fn join_as(seed: u8, federation: &str, invite: &str) -> JoinRequest {
    let identity = Identity::from_seed([seed; 32]);
    JoinRequest {
        invite: invite.to_owned(),
        identity: ground::hex::hex(&identity.public()),
        proof: ground::hex::hex(&identity.sign(&join_statement(federation, invite))),
    }
}

/// An endpoint in the document.
pub struct Documented {
    pub method: Method,
    /// The path, with its parameters in braces.
    pub path: String,
    /// The required caller, `organiser` or `participant`, or nothing.
    pub caller: String,
    pub takes_body: bool,
}

impl Documented {
    /// A request to it in this member's federation, with the token that it requires.
    pub fn request(&self, member: &Member) -> RequestBuilder {
        let path = self
            .path
            .replace("{federation}", &member.federation)
            .replace("{round}", "0")
            .replace("{invite}", "none");
        let request = member.api.request(self.method.clone(), &path);
        match &self.caller[..] {
            "organiser" => request.bearer_auth(ADMIN),
            "participant" => request.bearer_auth(&member.token),
            _ => request,
        }
    }
}

impl Api {
    /// All endpoints in the API's own document.
    pub async fn documented(&self) -> Vec<Documented> {
        let document = self.get("/v1/openapi.json").send().await.unwrap();
        let document: Value = document.json().await.unwrap();
        let mut all = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let scheme = operation["security"][0].as_object();
                all.push(Documented {
                    method: method.to_ascii_uppercase().parse().unwrap(),
                    path: path.clone(),
                    caller: scheme.map_or_else(String::new, |s| s.keys().cloned().collect()),
                    takes_body: operation.get("requestBody").is_some(),
                });
            }
        }
        assert!(all.len() > 20);
        all
    }
}

/// An update whose entries are all `value`.
pub fn update(view: &RoundView, value: f32, examples: u32) -> Update {
    Update {
        round: view.round,
        theta: view.theta.clone(),
        examples,
        delta: vec![value; DIM],
        metrics: Metrics {
            correct: 3,
            total: 4,
            loss: 0.5,
            queries: 10,
            unprompted: Some(2),
        },
    }
}

/// The problem document of a refusal, after checking its form.
pub async fn problem(response: Response) -> Problem {
    let status = response.status().as_u16();
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    let problem: Problem = response.json().await.unwrap();
    assert_eq!(problem.status, status);
    assert!(!problem.title.is_empty());
    problem
}

pub async fn expect(response: Response, status: u16, code: &str) {
    let problem = problem(response).await;
    assert_eq!(
        (problem.status, &problem.code[..]),
        (status, code),
        "{problem:?}"
    );
}

/// The smallest task. `open` and `upload` are (count_min, count_max, time_min_ms, time_max_ms).
pub fn task_with(
    rounds: u32,
    lease_seconds: u32,
    open: (u32, u32, u64, u64),
    upload: (u32, u32, u64, u64),
) -> Value {
    let limits = |(count_min, count_max, time_min_ms, time_max_ms): (u32, u32, u64, u64)| json!({ "count_min": count_min, "count_max": count_max, "time_min_ms": time_min_ms, "time_max_ms": time_max_ms });
    json!({
        "name": "Digits",
        "description": "A test",
        "model": {
            "url": "http://127.0.0.1:8701/models",
            "name": "m",
            "input": { "height": 32, "width": 32 },
            "output": { "classes": 3 },
        },
        "data": { "labels": ["a", "b", "c"] },
        // Players make up mean losses, from which no gradient of single pictures follows.
        "optimizer": { "kind": "zo-adam" },
        "federation": {
            "rounds": rounds,
            "lease_seconds": lease_seconds,
            // Most tests are about something else.
            "secure_sum": false,
            "open": limits(open),
            "upload": limits(upload),
        },
    })
}

/// Rounds of `cohort` participants without time pressure.
pub fn task(rounds: u32, cohort: u32) -> Value {
    let limits = (cohort, cohort, 600_000, 600_000);
    task_with(rounds, 600, limits, limits)
}
