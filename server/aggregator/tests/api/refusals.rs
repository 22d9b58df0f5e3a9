//! The limits and refusals of every route.

use crate::support::*;
use aggregator::RealClock;
use federation::round::messages::{Metrics, Update};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;

#[tokio::test]
async fn updates_that_are_not_taken() {
    let (_home, server) = Server::fresh().await;
    let limits = (1, 2, 600_000, 600_000);
    let invite = server
        .api
        .create(task_with(9, 600, limits, (2, 2, 600_000, 600_000)))
        .await;
    let [ann, bob, eve] = &server.api.members(&invite, 3).await[..] else {
        panic!()
    };
    let view = ann.view().await;
    expect(ann.send(&update(&view, 1.0, 1)).await, 409, "too_early").await;
    ann.enrol().await;
    expect(ann.try_enrol(0, &view.theta).await, 409, "duplicate").await;
    expect(bob.try_enrol(1, &view.theta).await, 409, "wrong_round").await;
    expect(bob.try_enrol(0, &"0".repeat(64)).await, 409, "wrong_theta").await;
    bob.enrol().await;
    expect(eve.try_enrol(0, &view.theta).await, 409, "too_late").await;

    let good = update(&view, 1.0, 1);
    let entry = |value: f32| {
        let mut bad = good.clone();
        bad.delta[DIM - 1] = value;
        bad
    };
    let with = |change: &dyn Fn(&mut Update)| {
        let mut bad = good.clone();
        change(&mut bad);
        bad
    };
    let cases = [
        (entry(f32::NAN), 422, "not_finite"),
        (entry(f32::INFINITY), 422, "not_finite"),
        (entry(f32::NEG_INFINITY), 422, "not_finite"),
        (entry(2e6), 422, "out_of_range"),
        (with(&|u| u.examples = 0), 422, "out_of_range"),
        (with(&|u| u.examples = u32::MAX), 422, "out_of_range"),
        (
            with(&|u| {
                u.metrics = Metrics {
                    correct: 5,
                    ..u.metrics
                }
            }),
            422,
            "out_of_range",
        ),
        (
            with(&|u| {
                u.metrics = Metrics {
                    loss: f64::NAN,
                    ..u.metrics
                }
            }),
            422,
            "out_of_range",
        ),
        (with(&|u| u.delta.truncate(DIM - 1)), 422, "malformed"),
        (with(&|u| u.delta.push(0.0)), 422, "malformed"),
        (with(&|u| u.delta.clear()), 422, "malformed"),
        (with(&|u| u.delta.resize(40 * DIM, 0.0)), 413, "too_large"),
        (with(&|u| u.theta = "0".repeat(64)), 409, "wrong_theta"),
        (with(&|u| u.round = 1), 409, "wrong_round"),
    ];
    for (bad, status, code) in &cases {
        expect(ann.send(bad).await, *status, code).await;
    }
    let bytes = ground::wire::encode(&good);
    let mut longer = bytes.clone();
    longer.push(0);
    for body in [
        vec![],
        vec![9, 9],
        bytes[..bytes.len() - 1].to_vec(),
        longer,
    ] {
        expect(ann.send_bytes(0, body).await, 422, "malformed").await;
    }
    expect(ann.send_bytes(1, bytes.clone()).await, 409, "wrong_round").await;
    let wrong_type = ann
        .request(Method::POST, "rounds/0/update")
        .json(&json!({}))
        .send()
        .await
        .unwrap();
    expect(wrong_type, 415, "bad_request").await;
    expect(eve.send(&good).await, 409, "not_in_cohort").await;
    let mut foreign = ann.clone();
    foreign.token = "0".repeat(64);
    expect(foreign.send(&good).await, 401, "unauthorized").await;

    // None of these requests changed anything.
    let view = ann.view().await;
    assert_eq!((view.delivered, view.round), (0, 0));
    assert_eq!(ann.send(&good).await.status(), 200);
    expect(ann.send(&good).await, 409, "duplicate").await;
    assert_eq!(ann.view().await.delivered, 1);
    assert_eq!(bob.send(&good).await.status(), 200);
    // From a round that is over: again a duplicate, and from somebody who was not in it, a foreign round.
    expect(ann.send(&good).await, 409, "duplicate").await;
    expect(eve.send(&good).await, 409, "wrong_round").await;
    assert_eq!(ann.view().await.step, 1);

    let metrics = server.api.metrics().await;
    assert!(
        metrics.contains("aggregator_refusals_total{code=\"not_finite\"} 3"),
        "{metrics}"
    );
    server.stop().await;
}

#[tokio::test]
async fn tokens() {
    let (_home, server) = Server::fresh().await;
    let api = &server.api;
    let (one, other) = (api.create(task(1, 1)).await, api.create(task(1, 1)).await);
    let member = api.join(&one).await;
    let stranger = api.join(&other).await;
    let participant = [
        (Method::GET, "round"),
        (Method::POST, "rounds/0/enrol"),
        (Method::POST, "rounds/0/update"),
        (Method::GET, "rounds/0/sum?phase=shares"),
        (Method::POST, "rounds/0/sum"),
        (Method::POST, "heartbeat"),
        (Method::DELETE, "participants/me"),
    ];
    for (method, rest) in participant {
        let path = member.path(rest);
        let request = || api.request(method.clone(), &path);
        expect(request().send().await.unwrap(), 401, "unauthorized").await;
        for token in ["", "nonsense", ADMIN, &stranger.token[..], &one.invite[..]] {
            expect(
                request().bearer_auth(token).send().await.unwrap(),
                401,
                "unauthorized",
            )
            .await;
        }
        let basic = request()
            .basic_auth("a", Some(&member.token))
            .send()
            .await
            .unwrap();
        expect(basic, 401, "unauthorized").await;
    }
    let organiser = [
        (Method::POST, "/v1/federations".to_owned()),
        (Method::POST, member.path("invites")),
        (Method::GET, member.path("invites")),
        (Method::DELETE, member.path(&format!("invites/{}", one.id))),
        (Method::POST, member.path("close")),
        (Method::GET, "/v1/admin/check".to_owned()),
    ];
    for (method, path) in organiser {
        for token in ["", "nonsense", &member.token[..], &ADMIN[1..]] {
            let response = api
                .request(method.clone(), &path)
                .bearer_auth(token)
                .send()
                .await
                .unwrap();
            expect(response, 401, "unauthorized").await;
        }
    }
    let check = api
        .get("/v1/admin/check")
        .bearer_auth(ADMIN)
        .send()
        .await
        .unwrap();
    assert_eq!(check.status(), 204);
    expect(
        api.try_join(&one.federation, "nonsense").await,
        403,
        "bad_invite",
    )
    .await;
    expect(
        api.try_join(&one.federation, &member.token).await,
        403,
        "bad_invite",
    )
    .await;
    server.stop().await;
}

#[tokio::test]
async fn addresses_methods_types_and_json() {
    let (_home, server) = Server::fresh().await;
    let api = &server.api;
    let invite = api.create(task(1, 1)).await;
    let member = api.join(&invite).await;
    let id = &invite.federation;
    for path in [
        "/v1/nothing".to_owned(),
        "/nothing".to_owned(),
        "/v1/federations/none".to_owned(),
        "/v1/federations/none/theta".to_owned(),
        "/v1/federations/none/generator".to_owned(),
        "/v1/federations/none/events".to_owned(),
        "/v1/federations/none/round".to_owned(),
        "/f/none/".to_owned(),
        format!("/f/{id}/"),
        "/organiser".to_owned(),
    ] {
        expect(api.get(&path).send().await.unwrap(), 404, "not_found").await;
    }
    let far = member
        .request(Method::POST, "rounds/99999999999/enrol")
        .send()
        .await
        .unwrap();
    expect(far, 404, "not_found").await;
    for path in [
        "/v1/health",
        "/v1/federations",
        "/metrics",
        &member.path("theta")[..],
        "/",
    ] {
        let response = api.request(Method::PUT, path).send().await.unwrap();
        assert!(response.headers().contains_key("allow"));
        expect(response, 405, "bad_request").await;
    }
    let wrong_hash = api.get(&member.path("theta?hash=00")).send().await.unwrap();
    expect(wrong_hash, 409, "wrong_theta").await;
    let view = member.view().await;
    let right_hash = api
        .get(&member.path(&format!("theta?hash={}", view.theta)))
        .send()
        .await
        .unwrap();
    assert_eq!(right_hash.status(), 200);
    assert_eq!(right_hash.headers()["x-theta-step"], "0");
    let query = member
        .request(Method::GET, "round?after=soon")
        .send()
        .await
        .unwrap();
    expect(query, 400, "bad_request").await;

    let joining = member.path("participants");
    for body in [
        "",
        "{",
        "[]",
        "{\"invite\":3}",
        "{\"invite\":\"x\",\"more\":1}",
        "{\"invite\":\"x\"}x",
    ] {
        let request = api
            .post(&joining)
            .header("content-type", "application/json")
            .body(body);
        expect(request.send().await.unwrap(), 400, "bad_request").await;
    }
    let text = api
        .post(&joining)
        .header("content-type", "text/plain")
        .body("{\"invite\":\"x\"}");
    expect(text.send().await.unwrap(), 415, "bad_request").await;
    expect(
        api.post(&joining).body("{}").send().await.unwrap(),
        415,
        "bad_request",
    )
    .await;
    let charset = api
        .post(&joining)
        .header("content-type", "application/json; charset=utf-8");
    let charset = charset
        .body(json!({ "invite": invite.invite }).to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(charset.status(), 201);
    server.stop().await;
}

#[tokio::test]
async fn every_body_has_a_limit() {
    let (_home, server) = Server::fresh().await;
    let api = &server.api;
    let invite = api.create(task(1, 1)).await;
    let member = api.join(&invite).await;
    let json_limit = 64 << 10;
    let mut cases: Vec<_> = api
        .documented()
        .await
        .iter()
        .map(|route| {
            let (kind, limit) = match (&route.path[..], route.takes_body) {
                ("/v1/federations", true) => ("application/json", 1 << 20),
                (path, true) if path.ends_with("/update") => {
                    (ground::wire::CONTENT_TYPE, 1024 + 8 * DIM)
                }
                _ => ("application/json", json_limit),
            };
            let what = format!("{} {}", route.method, route.path);
            (
                what,
                route.request(&member).header("content-type", kind),
                limit,
            )
        })
        .collect();
    // Also what the document does not have: pages, other methods, other addresses.
    let page = format!("/f/{}/", invite.federation);
    for (method, path) in [
        (Method::GET, "/"),
        (Method::GET, "/organiser"),
        (Method::GET, "/assets/a.js"),
        (Method::GET, &page[..]),
        (Method::PUT, "/v1/federations"),
        (Method::OPTIONS, "/v1/federations"),
        (Method::POST, "/nothing"),
    ] {
        let what = format!("{method} {path}");
        cases.push((what, api.request(method, path), json_limit));
    }
    for (what, request, limit) in cases {
        let send = |body: reqwest::Body| request.try_clone().unwrap().body(body);
        let pieces = futures::stream::iter(
            (0..=limit / 1024).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1024])),
        );
        let one_more = || send(vec![b' '; limit + 1].into());
        for request in [
            one_more(),
            // Without a declared length, in pieces. (The client sends none with GET unless told to.)
            send(reqwest::Body::wrap_stream(pieces)).header("transfer-encoding", "chunked"),
            // The connection is as good as before.
            one_more(),
        ] {
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 413, "{what}");
            expect(response, 413, "too_large").await;
        }
        // Too long for any reader: the connection may close before the answer is seen.
        let endless = send(vec![b' '; limit + (4 << 20)].into());
        if let Ok(response) = endless.send().await {
            assert_eq!(response.status(), 413, "{what}");
        }
    }
    // None of these requests was carried out.
    assert_eq!(member.view().await.live, 1);
    server.stop().await;
}

#[tokio::test]
async fn a_task_file_with_every_mistake() {
    let (_home, server) = Server::fresh().await;
    let create = |body: Value| {
        server
            .api
            .post("/v1/federations")
            .bearer_auth(ADMIN)
            .json(&body)
            .send()
    };
    let response =
        create(json!({ "task_toml": "name = \"\"\ncolour = 1\n[model]\nurl = \"ftp://x\"\n" }))
            .await;
    let problem = problem(response.unwrap()).await;
    assert_eq!((problem.status, &problem.code[..]), (422, "bad_task"));
    let paths: Vec<_> = problem.faults.iter().map(|f| f.path.as_str()).collect();
    for expected in ["name", "colour", "model.url", "model.name", "data.labels"] {
        assert!(paths.contains(&expected), "{expected} is not in {paths:?}");
    }
    expect(
        create(json!({ "task_toml": "name = " })).await.unwrap(),
        422,
        "bad_task",
    )
    .await;
    expect(create(json!({ "task": 3 })).await.unwrap(), 422, "bad_task").await;
    expect(create(json!({})).await.unwrap(), 400, "bad_request").await;
    let both = json!({ "task": task(1, 1), "task_toml": "" });
    expect(create(both).await.unwrap(), 400, "bad_request").await;
    let listed: Vec<Value> = server
        .api
        .get("/v1/federations")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert!(listed.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn a_full_federation_takes_nobody() {
    let home = Home::new();
    let config = aggregator::AggregatorConfig {
        max_participants: 1,
        ..home.config()
    };
    let server = Server::start(config, Arc::new(RealClock)).await;
    let invite = server.api.create(task(1, 1)).await;
    server.api.join(&invite).await;
    expect(
        server
            .api
            .try_join(&invite.federation, &invite.invite)
            .await,
        403,
        "full",
    )
    .await;
    server.stop().await;
}

#[tokio::test]
async fn every_route_is_in_the_openapi_document() {
    let (_home, server) = Server::fresh().await;
    let api = &server.api;
    let text = api
        .get("/v1/openapi.json")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let document_json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document_json["paths"].as_object().unwrap().len(), 21);
    // Each documented address exists, answers its methods, and refuses all others: so what is registered is
    // what is documented.
    for (path, item) in document_json["paths"].as_object().unwrap() {
        let path = path
            .replace("{federation}", "none")
            .replace("{round}", "0")
            .replace("{invite}", "none");
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::PATCH,
        ] {
            let documented = item.get(method.as_str().to_ascii_lowercase()).is_some();
            let status = api
                .request(method.clone(), &path)
                .send()
                .await
                .unwrap()
                .status();
            assert_eq!(status == 405, !documented, "{method} {path}: {status}");
        }
    }
    // Every reference has a target.
    let schemas = document_json["components"]["schemas"].as_object().unwrap();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
    server.stop().await;
}
