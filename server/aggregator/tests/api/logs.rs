//! Secrets stay where they belong, however detailed the log.

use crate::support::*;
use crate::tls::Certificate;
use reqwest::Method;
use serde_json::json;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The aggregator as a process that logs everything it can; killed when dropped.
struct Talkative {
    child: Child,
    url: String,
    log: PathBuf,
}

impl Talkative {
    fn start(home: &Home, flags: &[&str]) -> Self {
        let log = home.path().join("log.txt");
        let mut child = Command::new(env!("CARGO_BIN_EXE_aggregator-only"))
            .args(["--listen", "127.0.0.1:0", "--database"])
            .arg(home.database())
            .args(flags)
            .env("FED_BBPT_ADMIN_TOKEN", ADMIN)
            .env("FED_BBPT_FAILURES_PER_MINUTE", "5")
            .env("RUST_LOG", "trace")
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().expect("it says where it listens").unwrap();
        let url = line.strip_prefix("aggregator at ").unwrap().to_owned();
        Self { child, url, log }
    }
}

impl Drop for Talkative {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn contains(text: &[u8], wanted: &str) -> bool {
    text.windows(wanted.len()).any(|w| w == wanted.as_bytes())
}

/// Does everything that involves secrets, and a few things that fail. Returns the secrets, and
/// hashes that the database must contain.
async fn use_secrets(api: &Api) -> (Vec<String>, Vec<String>) {
    api.wait_until_healthy().await;
    let invite = api.create(task(1, 2)).await;
    let id = &invite.federation;
    let bounded = api
        .invite(id, json!({ "uses": 1, "expires_in_seconds": 60 }))
        .await;
    let ann = api.join(&invite).await;
    let bob = api.join_as(7, &bounded).await;
    let bob_again = api.join_as(7, &bounded).await;
    let proof = join_as(7, id, &bounded.invite).proof;
    ann.enrol().await;
    bob_again.enrol().await;
    ann.deliver(1.0, 1).await;
    // Refused in every way: a void token, a wrong one, a spent invite, a body that is none.
    expect(
        bob.request(Method::GET, "round").send().await.unwrap(),
        401,
        "unauthorized",
    )
    .await;
    let misplaced = api.get("/v1/admin/check").bearer_auth(&ann.token);
    expect(misplaced.send().await.unwrap(), 401, "unauthorized").await;
    expect(
        api.try_join(id, &bounded.invite).await,
        403,
        "invite_used_up",
    )
    .await;
    let path = format!("/v1/federations/{id}/participants");
    let broken = format!("{{\"invite\":\"{}\",\"proof\":\"{proof}\"", invite.invite);
    let broken = api
        .post(&path)
        .header("content-type", "application/json")
        .body(broken);
    expect(broken.send().await.unwrap(), 400, "bad_request").await;
    let unknown = json!({ "invite": invite.invite, &bounded.invite: 1 });
    let unknown = api.post(&path).json(&unknown).send().await.unwrap();
    expect(unknown, 400, "bad_request").await;
    let wrong_kind = json!({ "invite": invite.invite, "proof": [proof] });
    let wrong_kind = api.post(&path).json(&wrong_kind).send().await.unwrap();
    expect(wrong_kind, 400, "bad_request").await;
    let misled = api
        .post("/v1/federations")
        .bearer_auth(&bob_again.token)
        .body(invite.invite.clone());
    expect(misled.send().await.unwrap(), 401, "unauthorized").await;
    api.revoke(id, &bounded.id).await;
    let secrets = vec![
        ADMIN.to_owned(),
        invite.invite,
        bounded.invite,
        ann.token,
        bob.token,
        bob_again.token,
        proof,
    ];
    let kept = [1, 3, 5].map(|i: usize| ground::hash::sha256_hex(secrets[i].as_bytes()));
    (secrets, kept.to_vec())
}

fn check(home: &Home, process: Talkative, secrets: &[String], kept: &[String]) {
    let log = process.log.clone();
    drop(process);
    let log = std::fs::read(log).unwrap();
    // It logged as much as it can, about these requests too.
    for level in ["TRACE", "DEBUG", "INFO"] {
        assert!(contains(&log, level), "nothing was logged at {level}");
    }
    assert!(contains(&log, "/v1/federations/{federation}/participants"));
    let mut stored = std::fs::read(home.database()).unwrap();
    let mut wal = home.database().into_os_string();
    wal.push("-wal");
    stored.extend(std::fs::read(PathBuf::from(wal)).unwrap_or_default());
    for hash in kept {
        assert!(contains(&stored, hash), "the search finds nothing");
    }
    for secret in secrets {
        // As text, and as `{:?}` of bytes would show its beginning.
        let bytes = format!("{:?}", &secret.as_bytes()[..8]);
        let bytes = bytes.trim_matches(['[', ']']);
        for (place, text) in [("log", &log), ("database", &stored)] {
            for form in [&secret[..], bytes] {
                let lines = text.split(|b| *b == b'\n');
                let line = lines.into_iter().find(|line| contains(line, form));
                let line = line.map(String::from_utf8_lossy);
                assert!(line.is_none(), "a secret is in the {place}: {line:?}");
            }
        }
    }
}

#[tokio::test]
async fn no_secret_is_in_the_log_or_the_database() {
    let home = Home::new();
    let process = Talkative::start(&home, &[]);
    let (secrets, kept) = use_secrets(&Api::new(process.url.clone())).await;
    check(&home, process, &secrets, &kept);
}

#[tokio::test]
async fn nor_with_tls() {
    let home = Home::new();
    let certificate = Certificate::new(&home);
    let (chain, key) = (
        certificate.chain.to_str().unwrap(),
        certificate.key.to_str().unwrap(),
    );
    let process = Talkative::start(&home, &["--tls-cert", chain, "--tls-key", key]);
    assert!(process.url.starts_with("https://"));
    let api = Api::with_authority(process.url.clone(), &certificate.pem);
    let (secrets, kept) = use_secrets(&api).await;
    check(&home, process, &secrets, &kept);
    let key = std::fs::read_to_string(&certificate.key).unwrap();
    let line = key.lines().nth(1).unwrap();
    assert!(!contains(
        &std::fs::read(home.path().join("log.txt")).unwrap(),
        line
    ));
}
