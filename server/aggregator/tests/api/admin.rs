//! The organiser's own listener.

use crate::support::*;
use aggregator::{AggregatorConfig, Listeners, RealClock};
use reqwest::Method;
use serde_json::json;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

#[tokio::test]
async fn the_organisers_part_is_there_and_nowhere_else() {
    let home = Home::new();
    let web = home.path().join("web");
    std::fs::create_dir_all(&web).unwrap();
    for name in ["index.html", "join.html", "organiser.html"] {
        std::fs::write(web.join(name), name).unwrap();
    }
    let config = AggregatorConfig {
        web: Some(web),
        ..home.config()
    };
    let ((public, address), (admin, admin_address)) = (free_port(), free_port());
    let listeners = Listeners {
        public,
        admin: Some(admin),
    };
    let outside = Api::new(format!("http://{address}"));
    let server = Server::over(listeners, config, Arc::new(RealClock), outside).await;
    let outside = &server.api;
    let inside = Api::new(format!("http://{admin_address}"));

    let invite = inside.create(task(1, 1)).await;
    let id = &invite.federation;
    let member = outside.join(&invite).await;
    let apart = ["/metrics", "/organiser"];
    let mut organisers = 0;
    for route in inside.documented().await {
        let response = route.request(&member).body("").send().await.unwrap();
        if route.caller == "organiser" || apart.contains(&&route.path[..]) {
            organisers += 1;
            let what = format!("{} {}", route.method, route.path);
            assert_eq!(response.status(), 404, "{what}");
            expect(response, 404, "not_found").await;
        } else if route.caller.is_empty() {
            assert_ne!(response.status(), 404, "{}", route.path);
        }
        if route.path.ends_with("/me") {
            break;
        }
    }
    assert!(organisers >= 7, "{organisers}");
    expect(
        outside.get("/organiser").send().await.unwrap(),
        404,
        "not_found",
    )
    .await;
    // What it does not have, it does not offer.
    let put = outside.request(Method::PUT, "/v1/federations");
    assert_eq!(put.send().await.unwrap().headers()["allow"], "GET, HEAD");

    let page = inside.get("/organiser").send().await.unwrap();
    assert_eq!(page.text().await.unwrap(), "organiser.html");
    let more = inside.invite(id, json!({ "uses": 1 })).await;
    outside.join(&more).await;
    assert_eq!(inside.invites(id).await.len(), 2);
    assert!(inside.metrics().await.contains("aggregator_requests_total"));
    assert_eq!(inside.detail(id).await.summary.participants, 2);
    inside.close(id).await;
    expect(
        outside.try_join(id, &invite.invite).await,
        410,
        "federation_closed",
    )
    .await;
    server.stop().await;
    assert!(inside.get("/healthz").send().await.is_err());
}

#[tokio::test]
async fn both_listeners_come_from_the_command_line() {
    let home = Home::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_aggregator-only"))
        .args([
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--database",
        ])
        .arg(home.database())
        .env("FED_BBPT_ADMIN_TOKEN", ADMIN)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut address = |what: &str| {
        let line = lines.next().expect("it says where it listens").unwrap();
        let url = line.strip_prefix(what).unwrap_or_else(|| panic!("{line}"));
        Api::new(url.trim_end_matches("/organiser").to_owned())
    };
    let outside = address("aggregator at ");
    let inside = address("organiser's part at ");
    inside.wait_until_healthy().await;
    let invite = inside.create(task(1, 1)).await;
    outside.join(&invite).await;
    let create = outside.post("/v1/federations").bearer_auth(ADMIN);
    let create = create.json(&json!({ "task": task(1, 1) }));
    expect(create.send().await.unwrap(), 404, "not_found").await;
    child.kill().unwrap();
    child.wait().unwrap();
}
