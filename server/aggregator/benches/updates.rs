//! Durable updates per second, and memory against the number of participants. Prints one line of JSON:
//! `updates_per_second_576`, `updates_per_second_9920`, `rss_kib_by_participants`.
//!
//! The server runs as a process of its own with a database file in the system's temporary folder (TMPDIR), so
//! the figures are those of that disk: every update is on it before it is answered. Clients are as many as
//! [`CLIENTS`], over loopback. Bounded in count and in time.

use federation::round::messages::{
    Enrolment, Invite, JoinRequest, Joined, Metrics, RoundView, Update,
};
use ground::wire;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

type Error = Box<dyn std::error::Error + Send + Sync>;

const ADMIN: &str = "the-benchmarks-token";
/// Requests under way at once.
const CLIENTS: usize = 16;
/// Updates in a measurement.
const UPDATES: usize = 2_000;
/// A measurement ends after this time, with what it has.
const LONGEST: Duration = Duration::from_secs(20);
/// Participants at which the memory is read.
const PARTICIPANTS: [usize; 4] = [0, 100, 1_000, 5_000];

struct Server {
    child: Child,
    url: String,
    client: reqwest::Client,
    _home: tempfile::TempDir,
}

impl Server {
    fn start() -> Result<Self, Error> {
        let home = tempfile::tempdir()?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_aggregator-only"))
            .args(["--listen", "127.0.0.1:0", "--database"])
            .arg(home.path().join("bench.sqlite"))
            .env("FED_BBPT_ADMIN_TOKEN", ADMIN)
            .env("RUST_LOG", "error")
            // What is measured is the server, not its patience with one address.
            .env("FED_BBPT_ADDRESS_REQUESTS_PER_SECOND", "0")
            .env("FED_BBPT_PARTICIPANT_REQUESTS_PER_SECOND", "0")
            .env("FED_BBPT_JOINS_PER_MINUTE", "0")
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no output")?;
        let mut url = None;
        for line in BufReader::new(stdout).lines() {
            if let Some(found) = line?.strip_prefix("aggregator at ") {
                url = Some(found.to_owned());
                break;
            }
        }
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self {
            child,
            url: url.ok_or("the server did not start")?,
            client,
            _home: home,
        })
    }

    fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.post(format!("{}{path}", self.url))
    }

    async fn create(
        &self,
        height: usize,
        width: usize,
        generator: &Value,
        cohort: usize,
    ) -> Result<Invite, Error> {
        let limits = json!({ "count_min": cohort, "count_max": cohort, "time_min_ms": 600_000, "time_max_ms": 600_000 });
        let task = json!({
            "name": "Benchmark",
            "model": {
                "url": "http://127.0.0.1:1",
                "name": "m",
                "input": { "height": height, "width": width },
                "output": { "classes": 2 },
            },
            "data": { "labels": ["a", "b"] },
            "generator": generator,
            "federation": { "secure_sum": false, "lease_seconds": 3600, "open": limits, "upload": limits },
        });
        let create = self
            .post("/v1/federations")
            .bearer_auth(ADMIN)
            .json(&json!({ "task": task }));
        let response = create.send().await?;
        if response.status() != 201 {
            return Err(response.text().await?.into());
        }
        Ok(response.json().await?)
    }

    async fn join(&self, invite: &Invite) -> Result<Joined, Error> {
        let path = format!("/v1/federations/{}/participants", invite.federation);
        let body = JoinRequest {
            invite: invite.invite.clone(),
            ..JoinRequest::default()
        };
        Ok(self
            .post(&path)
            .json(&body)
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?)
    }

    /// Resident memory in KiB.
    fn rss_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `work` for 0..count with [`CLIENTS`] at once; stops early after [`LONGEST`]. Gives how many were done
/// and how long it took.
async fn all<F>(
    count: usize,
    work: impl Fn(usize) -> F + Send + Sync + 'static,
) -> Result<(usize, Duration), Error>
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let (work, next, begun) = (
        Arc::new(work),
        Arc::new(AtomicUsize::new(0)),
        Instant::now(),
    );
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (work, next) = (Arc::clone(&work), Arc::clone(&next));
            tokio::spawn(async move {
                let mut done = 0;
                while begun.elapsed() < LONGEST {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    work(number).await?;
                    done += 1;
                }
                Ok::<usize, Error>(done)
            })
        })
        .collect();
    let mut done = 0;
    for client in clients {
        done += client.await??;
    }
    Ok((done, begun.elapsed()))
}

/// One round of [`UPDATES`] participants, all of whom deliver: how many updates are taken in a second.
async fn updates_per_second(height: usize, width: usize, generator: Value) -> Result<f64, Error> {
    let server = Arc::new(Server::start()?);
    let mut size = UPDATES;
    // First a few, to find out how many fit the time: joining and enrolling are writes too.
    let probe = server.create(height, width, &generator, UPDATES).await?;
    let (probed, took) = {
        let (server, probe) = (Arc::clone(&server), probe.clone());
        all(100, move |_| {
            let (server, probe) = (Arc::clone(&server), probe.clone());
            async move { server.join(&probe).await.map(|_| ()) }
        })
        .await?
    };
    let rate = probed as f64 / took.as_secs_f64();
    size = size
        .min(((LONGEST.as_secs_f64() / 2.0) * rate) as usize)
        .max(CLIENTS);

    let invite = server.create(height, width, &generator, size).await?;
    let tokens = Arc::new(std::sync::Mutex::new(vec![String::new(); size]));
    let (joining, sink, at) = (Arc::clone(&server), Arc::clone(&tokens), invite.clone());
    all(size, move |number| {
        let (server, sink, invite) = (Arc::clone(&joining), Arc::clone(&sink), at.clone());
        async move {
            let joined = server.join(&invite).await?;
            if let Ok(mut tokens) = sink.lock() {
                tokens[number] = joined.token;
            }
            Ok(())
        }
    })
    .await?;
    let tokens = tokens.lock().map(|t| t.clone()).unwrap_or_default();
    let tokens = Arc::new(tokens);
    let path = format!("{}/v1/federations/{}", server.url, invite.federation);
    let view: RoundView = server
        .client
        .get(format!("{path}/round"))
        .bearer_auth(&tokens[0])
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?;
    let dim = server
        .client
        .get(&path)
        .send()
        .await?
        .json::<Value>()
        .await?["summary"]["dim"]
        .as_u64()
        .ok_or("no dim")? as usize;
    let post = |rest: &'static str, kind: &'static str, body: Vec<u8>| {
        let (server, tokens, path) = (Arc::clone(&server), Arc::clone(&tokens), path.clone());
        move |number: usize| {
            let request = server
                .client
                .post(format!("{path}/{rest}"))
                .bearer_auth(&tokens[number])
                .header("content-type", kind)
                .body(body.clone());
            async move {
                request.send().await?.error_for_status()?;
                Ok(())
            }
        }
    };
    let enrolment = serde_json::to_vec(&Enrolment {
        theta: view.theta.clone(),
        waits: false,
    })?;
    all(size, post("rounds/0/enrol", "application/json", enrolment)).await?;
    let update = wire::encode(&Update {
        round: 0,
        theta: view.theta,
        examples: 10,
        delta: vec![0.125; dim],
        metrics: Metrics::default(),
    });
    // The last one would sum the round; what is measured is taking updates.
    let (done, took) = all(
        size - 1,
        post("rounds/0/update", wire::CONTENT_TYPE, update),
    )
    .await?;
    Ok(done as f64 / took.as_secs_f64())
}

async fn memory() -> Result<BTreeMap<usize, u64>, Error> {
    let server = Arc::new(Server::start()?);
    let invite = server.create(32, 32, &json!({}), 1).await?;
    let (mut joined, mut memory) = (0, BTreeMap::new());
    for goal in PARTICIPANTS {
        let (joining, invite) = (Arc::clone(&server), invite.clone());
        let (done, _) = all(goal - joined, move |_| {
            let (server, invite) = (Arc::clone(&joining), invite.clone());
            async move { server.join(&invite).await.map(|_| ()) }
        })
        .await?;
        joined += done;
        if let Some(kib) = server.rss_kib() {
            memory.insert(joined, kib);
        }
        if joined < goal {
            break;
        }
    }
    Ok(memory)
}

fn main() -> Result<(), Error> {
    // `cargo test --benches` must not spend a minute here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| "a TLS provider is installed already")?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(async {
            // 576 parameters are the default generator's.
            let small = updates_per_second(32, 32, json!({})).await?;
            // 9,920 are the coordinator's. What counts here is the number only, and a frame of one pixel on an image of
            // 4 × 827 comes nearest from above: 3·(4·827 − 1) = 9,921.
            let large = updates_per_second(4, 827, json!({ "kind": "frame", "inner": 1 })).await?;
            let line = json!({
                "updates_per_second_576": small.round(),
                "updates_per_second_9920": large.round(),
                "rss_kib_by_participants": memory().await?,
            });
            println!("{line}");
            Ok(())
        })
}
