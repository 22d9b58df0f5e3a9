//! An operator's work, over a real port: several models, reloading them, keys.

// The helpers of tests, unlike the tests, do not count as test code by themselves.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)] // each user needs a part of it
mod support;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Value, json};
use support::{Answer, Running};

use model_api::ModelApiArgs;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: ModelApiArgs,
}

/// A folder with a file of models and one of keys.
struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// `models.toml` with these entries.
    fn models(&self, entries: &[String]) -> String {
        self.write("models.toml", entries.concat())
    }

    /// Writes `keys.toml` with these keys and settings.
    fn keys(&self, keys: &[(&str, &str)]) -> String {
        let mut text = String::new();
        for (key, more) in keys {
            let hex = ground::hash::sha256_hex(key.as_bytes());
            write!(
                text,
                "[[key]]\nname = \"of-{key}\"\nsha256 = \"{hex}\"\n{more}\n"
            )
            .unwrap();
        }
        self.write("keys.toml", text)
    }

    /// The signal reaches every server of the process, so only the one test that sends it listens
    /// to it.
    fn start(&self, flags: &[&str], hear_hangups: bool) -> Running {
        let flags = std::iter::once("model-api").chain(flags.iter().copied());
        let mut config = Command::parse_from(flags).args.into_config().unwrap();
        assert!(config.reload_on_hangup);
        config.reload_on_hangup = hear_hangups;
        Running::start(move |listener, stop| {
            model_api::run(listener, config, async {
                let _ = stop.await;
            })
        })
    }
}

fn package(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    path.display().to_string()
}

fn folder(name: &str) -> String {
    format!(
        "[[model]]\nname = \"{name}\"\nmodel_dir = \"{}\"\n",
        package(&format!("tests/text/{name}"))
    )
}

fn file(name: &str, path: &str, more: &str) -> String {
    format!("[[model]]\nname = \"{name}\"\nmodel = \"{path}\"\n{more}\n")
}

fn states(server: &Running) -> Vec<(String, String)> {
    let index = server.post("/v2/repository/index", &ADMIN, b"{}").json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let entries = index.as_array().unwrap().iter();
    entries
        .map(|entry| (text(&entry["name"]), text(&entry["state"])))
        .collect()
}

const ADMIN: [(&str, &str); 1] = [("authorization", "Bearer root")];
const ROOT: (&str, &str) = ("root", "admin = true");

fn admin(server: &Running, action: &str) -> Answer {
    server.post(&format!("/v2/repository/models/{action}"), &ADMIN, b"{}")
}

fn classes(server: &Running, name: &str) -> Value {
    let path = format!("/v2/models/{name}");
    let answer = server.client().call("GET", &path, &ADMIN, b"");
    answer.json()["outputs"][0]["shape"][1].clone()
}

#[test]
fn models_stand_side_by_side_and_are_loaded_and_unloaded() {
    let desk = Desk::new();
    let digits = std::fs::read(package("models/printed-digits/printed-digits.onnx")).unwrap();
    let model = desk.write("model.onnx", &digits);
    let models = desk.models(&[
        folder("masked"),
        folder("encoder"),
        file("digits", &model, ""),
    ]);
    let keys = desk.keys(&[ROOT, ("other", "")]);
    let server = desk.start(&["--config", &models, "--keys", &keys], false);
    let ready = |name: &str| (name.to_owned(), "READY".to_owned());
    assert_eq!(states(&server), ["masked", "encoder", "digits"].map(ready));
    assert_eq!(classes(&server, "digits"), json!(10));

    // Only an administrator changes anything.
    let other = [("authorization", "Bearer other")];
    let answer = server.post("/v2/repository/models/digits/unload", &other, b"");
    assert_eq!(answer.status, 403);
    assert_eq!(admin(&server, "nobody/load").status, 404);
    assert_eq!(admin(&server, "nobody/unload").status, 404);

    assert_eq!(admin(&server, "digits/unload").status, 200);
    let gone = server
        .client()
        .call("GET", "/v2/models/digits", &ADMIN, b"");
    assert_eq!(gone.status, 404);
    assert!(!gone.error().contains("digits"), "{}", gone.error());
    assert_eq!(states(&server)[2].1, "UNAVAILABLE");
    let only = server.post("/v2/repository/index", &ADMIN, b"{\"ready\": true}");
    assert_eq!(only.json().as_array().unwrap().len(), 2);
    assert_eq!(admin(&server, "digits/load").status, 200);
    assert_eq!(states(&server)[2].1, "READY");

    // A broken file leaves the old model where it is, and says so.
    std::fs::write(&model, "broken").unwrap();
    let broken = admin(&server, "digits/load");
    assert_eq!(broken.status, 400);
    assert!(
        broken.error().contains("no ONNX model"),
        "{}",
        broken.error()
    );
    assert_eq!(states(&server)[2].1, "READY");
    assert_eq!(classes(&server, "digits"), json!(10));
    let index = server.post("/v2/repository/index", &ADMIN, b"").json();
    let reason = index[2]["reason"].as_str().unwrap();
    assert!(reason.contains("no ONNX model"), "{reason}");

    // Another file and other settings take its place.
    std::fs::copy(package("tests/models/nhwc.onnx"), &model).unwrap();
    desk.models(&[
        folder("encoder"),
        file("digits", &model, "layout = \"nhwc\""),
    ]);
    let loaded = admin(&server, "digits/load");
    let said = String::from_utf8_lossy(&loaded.body).into_owned();
    assert_eq!(loaded.status, 200, "{said}");
    assert_eq!(classes(&server, "digits"), json!(3));
    let index = server.post("/v2/repository/index", &ADMIN, b"").json();
    assert_eq!(index[2]["reason"], "");
}

#[cfg(unix)]
#[test]
fn a_hangup_reads_models_and_keys_again() {
    let desk = Desk::new();
    let digits = std::fs::read(package("models/printed-digits/printed-digits.onnx")).unwrap();
    let model = desk.write("model.onnx", &digits);
    let models = desk.models(&[folder("encoder"), file("digits", &model, "")]);
    let keys = desk.keys(&[ROOT]);
    let server = desk.start(&["--config", &models, "--keys", &keys], true);
    let encodes = "model_api_encodes_total{model=\"encoder\"}";
    let metric = |name: &str| {
        let text = server.client().call("GET", "/metrics", &ADMIN, b"").body;
        let text = String::from_utf8(text).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0.0, |value| value.trim().parse::<f64>().unwrap())
    };
    let embed = || {
        let body = json!({ "inputs": ["a great film", "money"] }).to_string();
        let answer = server.post("/models/encoder", &ADMIN, body.as_bytes());
        assert_eq!(answer.status, 200);
    };
    embed();
    assert!((metric(encodes) - 2.0).abs() < 0.1);

    let hang_up = || {
        let pid = std::process::id().to_string();
        let done = std::process::Command::new("kill")
            .args(["-HUP", &pid])
            .status();
        assert!(done.unwrap().success());
    };
    // There is no event to wait for outside the server, so it is asked again and again.
    let wait_for = |what: &str, done: &dyn Fn() -> bool| {
        let end = Instant::now() + Duration::from_secs(30);
        while !done() {
            assert!(Instant::now() < end, "{what} never happened");
            std::thread::yield_now();
        }
    };
    // Another model and key; a broken one; an unchanged one.
    std::fs::write(&model, "broken").unwrap();
    desk.models(&[
        folder("encoder"),
        folder("masked"),
        file("digits", &model, ""),
    ]);
    desk.keys(&[ROOT, ("new", "")]);
    hang_up();
    wait_for("the new model", &|| states(&server).len() == 3);
    let new = [("authorization", "Bearer new")];
    assert_eq!(
        server.client().call("GET", "/v1/models", &new, b"").status,
        200
    );
    assert_eq!(
        classes(&server, "digits"),
        json!(10),
        "the old one is still served"
    );
    // What did not change was not loaded again: its cache still has the texts.
    embed();
    assert!((metric(encodes) - 2.0).abs() < 0.1);

    // Changed settings load it again; its counters continue where they were.
    let encoder = folder("encoder") + "temperature = 0.1\n";
    desk.models(&[encoder, file("digits", &model, "")]);
    hang_up();
    wait_for("the masked model's end", &|| states(&server).len() == 2);
    embed();
    assert!((metric(encodes) - 4.0).abs() < 0.1);

    // Faults in the files change nothing.
    desk.write("models.toml", "[[model]]\nmax_batch = 0\n");
    desk.write("keys.toml", "[[key]]\nname = \"x\"\n");
    hang_up();
    desk.models(&[folder("encoder")]);
    // The last signal is handled after the faulty ones, or in their place: either way the served
    // models stayed.
    hang_up();
    wait_for("the end of digits", &|| states(&server).len() == 1);
    embed();
}

#[test]
fn no_request_is_lost_while_a_model_is_loaded_again() {
    let desk = Desk::new();
    let keys = desk.keys(&[ROOT]);
    let server = desk.start(&["--keys", &keys], false);
    let done = AtomicBool::new(false);
    let statuses = std::thread::scope(|scope| {
        let ask = || {
            let mut client = server.client();
            let mut statuses = Vec::new();
            while !done.load(Ordering::Relaxed) {
                statuses.push(client.call("POST", INFER, &ADMIN, &image()).status);
            }
            statuses
        };
        let clients: Vec<_> = (0..3).map(|_| scope.spawn(ask)).collect();
        for _ in 0..10 {
            assert_eq!(admin(&server, "printed-digits/load").status, 200);
        }
        done.store(true, Ordering::Relaxed);
        let statuses = clients.into_iter().map(|client| client.join().unwrap());
        statuses.collect::<Vec<_>>().concat()
    });
    assert!(
        !statuses.is_empty() && statuses.iter().all(|&status| status == 200),
        "{statuses:?}"
    );
}

const INFER: &str = "/v2/models/printed-digits/infer";

fn image() -> Vec<u8> {
    let input = json!({ "name": "image", "datatype": "UINT8", "shape": [2, 3, 32, 32],
        "data": vec![0; 2 * 3 * 32 * 32] });
    json!({ "inputs": [input] }).to_string().into_bytes()
}

#[test]
fn keys_are_needed_and_have_limits() {
    let desk = Desk::new();
    let keys = desk.keys(&[
        ("slow", "requests_per_minute = 2"),
        ("small", "queries_per_day = 3"),
        ("paced", "queries_per_minute = 3"),
        ("free", ""),
    ]);
    let server = desk.start(
        &["--keys", &keys, "--allow-origin", "https://a.example"],
        false,
    );
    let bearer = |key: &str| format!("Bearer {key}");
    let call = |key: &str, path: &str, body: &[u8]| {
        let header = bearer(key);
        server.post(path, &[("authorization", &header)], body)
    };
    // A monitor needs no key.
    assert_eq!(server.get("/v2/health/ready").status, 200);
    for path in ["/metrics", "/v2", "/v2/models/printed-digits", "/nothing"] {
        let answer = server.get(path);
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    // A large body is received first, so that the answer is not lost, and a page can read it.
    let large = vec![b' '; 4 << 20];
    let headers = [
        ("origin", "https://a.example"),
        ("authorization", "Bearer wrong"),
    ];
    let answer = server.post(INFER, &headers, &large);
    assert_eq!(answer.status, 401);
    assert!(
        answer.error().contains("Authorization"),
        "{}",
        answer.error()
    );
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://a.example")
    );
    let answer = call("wrong", "/v1/chat/completions", b"{}");
    assert_eq!(answer.json()["error"]["code"], "invalid_api_key");

    assert_eq!(call("free", INFER, &image()).status, 200);
    for status in [200, 200, 429] {
        assert_eq!(call("slow", INFER, &image()).status, status);
    }
    let refused = call("slow", "/v1/embeddings", b"{}");
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["error"]["code"], "rate_limit_exceeded");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");

    // Two images a request: the second is over three.
    assert_eq!(call("small", INFER, &image()).status, 200);
    let refused = call("small", INFER, &image());
    assert_eq!(refused.status, 429);
    assert!(
        refused.error().contains("3 queries of today"),
        "{}",
        refused.error()
    );
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=86_400).contains(&wait), "{wait}");
    // A request that is refused for another reason costs nothing.
    assert_eq!(call("paced", INFER, b"{}").status, 400);
    assert_eq!(call("paced", INFER, &image()).status, 200);
    let refused = call("paced", INFER, &image());
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (429, Some("20"))
    );
    let free = bearer("free");
    let metrics = server
        .client()
        .call("GET", "/metrics", &[("authorization", &free)], b"");
    let metrics = String::from_utf8(metrics.body).unwrap();
    for line in [
        "model_api_rejected_total{model=\"\",reason=\"rate\"} 2",
        "model_api_rejected_total{model=\"printed-digits\",reason=\"quota\"} 1",
        "model_api_rejected_total{model=\"\",reason=\"key\"} 6",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}
