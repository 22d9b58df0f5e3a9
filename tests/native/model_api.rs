//! `fed-bbpt model-api` as a process: a model of the hub by name, its log, SIGHUP, and its end.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tests::http;
use tests::process::{Process, run};

/// The small sentence encoder of the model API's own tests.
fn encoder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/model-api/tests/text/encoder")
}

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A hub with one model, `tiny/encoder`, for clients with the token `hub-token`. It answers what
/// its clients ask for: the list of files, and ranges of files with the headers that name commit
/// and contents.
struct FakeHub {
    url: String,
    downloads: Arc<AtomicUsize>,
}

impl FakeHub {
    fn start() -> Self {
        let downloads = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&downloads);
        let url = http::listen(move |stream| Self::serve(stream, &counter));
        Self { url, downloads }
    }

    fn serve(mut stream: TcpStream, downloads: &AtomicUsize) -> std::io::Result<()> {
        let asked = http::read(&stream)?;
        let path = asked.head.split(' ').nth(1).unwrap_or_default();
        let mut answer =
            |status: u16, more: &str, body: &[u8]| http::write(&mut stream, status, more, body);
        let token = "authorization: bearer hub-token".to_owned();
        if !asked.headers.contains(&token) {
            return answer(401, "", b"");
        }
        if path == "/api/models/tiny/encoder/revision/main" {
            let names = [
                "README.md",
                "config.json",
                "tokenizer.json",
                "1_Pooling/config.json",
                "onnx/model.onnx",
            ];
            let siblings: Vec<Value> = names.map(|name| json!({ "rfilename": name })).to_vec();
            let info = json!({ "sha": COMMIT, "siblings": siblings }).to_string();
            return answer(200, "content-type: application/json\r\n", info.as_bytes());
        }
        let file = path.strip_prefix(&format!("/tiny/encoder/resolve/{COMMIT}/"));
        let Some(bytes) = file.and_then(|file| std::fs::read(encoder().join(file)).ok()) else {
            return answer(404, "", b"");
        };
        let range = asked
            .headers
            .iter()
            .find_map(|line| line.strip_prefix("range: bytes="));
        let (first, last) = range.and_then(|range| range.split_once('-')).unwrap();
        let first: usize = first.parse().unwrap();
        let last = last.parse().unwrap_or(bytes.len() - 1).min(bytes.len() - 1);
        if last > 0 {
            downloads.fetch_add(1, Ordering::Relaxed);
        }
        let all = bytes.len();
        let more = format!(
            "etag: \"of-{}\"\r\nx-repo-commit: {COMMIT}\r\ncontent-range: bytes {first}-{last}/{all}\r\n",
            path.replace('/', "-")
        );
        answer(206, &more, &bytes[first..=last])
    }
}

fn address(process: &mut Process) -> String {
    process.line("the model API's address", |line| {
        let (_, rest) = line.split_once(" at http://")?;
        Some(rest.to_owned())
    })
}

/// One request on a connection of its own: status and body.
fn ask(address: &str, head: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(stream, "{head} HTTP/1.1\r\nhost: test\r\nconnection: close\r\nauthorization: Bearer client-key\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
    let answer = std::io::read_to_string(stream).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

#[test]
fn a_model_of_the_hub_is_fetched_by_name_and_found_again_without_a_network() {
    let hub = FakeHub::start();
    let home = tempfile::tempdir().unwrap();
    let cache = home.path().join("cache").display().to_string();
    let flags = [
        "model-api",
        "--listen",
        "127.0.0.1:0",
        "--hub",
        "tiny/encoder",
        "--cache-folder",
        &cache,
    ];
    let serve = |endpoint: &str, token: &str| {
        Process::start_with(&flags, &[("HF_ENDPOINT", endpoint), ("HF_TOKEN", token)])
    };
    // Wrong flags are code 2: nothing was started.
    let (code, said) = serve(&hub.url, "wrong").end();
    assert_eq!(code, Some(2), "{said:?}");
    let said = said.join("\n");
    assert!(
        said.contains("--hub: `tiny/encoder`") && said.contains("HF_TOKEN"),
        "{said}"
    );
    assert!(!said.contains("wrong"), "{said}");

    let embed = |address: &str| {
        let (status, body) = ask(
            address,
            "POST /models/encoder",
            r#"{"inputs": "a great film"}"#,
        );
        assert_eq!(status, 200, "{body}");
        body
    };
    let mut process = serve(&hub.url, "hub-token");
    let fetched = embed(&address(&mut process));
    drop(process);
    assert_eq!(hub.downloads.load(Ordering::Relaxed), 4);
    let mut process = serve(&hub.url, "hub-token");
    assert_eq!(embed(&address(&mut process)), fetched);
    drop(process);
    assert_eq!(
        hub.downloads.load(Ordering::Relaxed),
        4,
        "nothing was fetched twice"
    );

    // Nothing listens on port 9.
    let mut process = serve("http://127.0.0.1:9", "");
    assert_eq!(embed(&address(&mut process)), fetched);
    // Its log comes in order, so the warning has been said by then.
    process.line("the request", |line| {
        line.contains("/models/{model}").then_some(())
    });
    let warned = |line: &String| line.contains("the copy in the cache is used");
    assert!(process.said.iter().any(warned), "{:#?}", process.said);
}

#[test]
fn a_missing_model_of_the_hub_is_told_with_all_other_faults() {
    let home = tempfile::tempdir().unwrap();
    let cache = home.path().display().to_string();
    let flags = [
        "model-api",
        "--hub",
        "../a",
        "--cache-folder",
        &cache,
        "--max-body",
        "1",
    ];
    run(&flags).expect(2, &["`../a` is no name", "--max-body"]);
    run(&["model-api", "--revision", "x"]).expect(2, &["--revision is of a model of the hub"]);
    run(&["model-api", "--hub", "a/b", "--model", "x"]).expect(2, &["--hub says where"]);
}

#[cfg(unix)]
#[test]
fn the_log_has_one_line_for_a_request_and_no_secrets_and_the_end_is_orderly() {
    let home = tempfile::tempdir().unwrap();
    let keys = home.path().join("keys.toml");
    // printf %s client-key | sha256sum
    let digest = "8eb943e7040b69a94bf39562088223755bff4c2e7c5fc257f1e08f870fe01d35";
    std::fs::write(
        &keys,
        format!("[[key]]\nname = \"clinic\"\nsha256 = \"{digest}\"\n"),
    )
    .unwrap();
    let keys = keys.display().to_string();
    let mut process = Process::start(&["model-api", "--listen", "127.0.0.1:0", "--keys", &keys]);
    let address = address(&mut process);
    let body = r#"{"inputs": "c2VjcmV0LWlucHV0"}"#;
    assert_eq!(
        ask(&address, "POST /models/printed-digits?secret-query", body).0,
        400
    );
    assert_eq!(ask(&address, "POST /secret-path", body).0, 404);
    let line = process.line("the request", |line| {
        line.contains("/models/{model}").then(|| line.to_owned())
    });
    for part in ["POST", "printed-digits", "400", "clinic"] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    process.line("the other request", |line| {
        line.contains("404").then_some(())
    });
    process.signal("-HUP");
    process.line("the reload", |line| {
        line.contains("read again").then_some(())
    });
    process.signal("-TERM");
    let (code, said) = process.end();
    assert_eq!(code, Some(0), "{said:?}");
    let said = said.join("\n");
    for secret in [
        "client-key",
        "c2VjcmV0",
        "secret-path",
        "secret-query",
        digest,
    ] {
        assert!(!said.contains(secret), "{secret} is in\n{said}");
    }
}
