//! Rate limits, and the address to which a request is attributed.

use crate::support::*;
use aggregator::{AggregatorConfig, Quotas, RealClock};
use reqwest::{Method, RequestBuilder, Response};
use std::sync::Arc;

async fn with(home: &Home, quotas: Quotas, proxies: &str) -> Server {
    let config = AggregatorConfig {
        quotas,
        proxies: proxies.parse().unwrap(),
        ..home.config()
    };
    Server::start(config, Arc::new(RealClock)).await
}

/// Sends the request until it is refused; returns how many were not, and the refusal.
async fn until_limited(request: impl Fn() -> RequestBuilder) -> (u32, Response) {
    for count in 0..1_000 {
        let response = request().send().await.unwrap();
        if response.status() == 429 {
            return (count, response);
        }
    }
    panic!("there is no limit");
}

async fn retry_after(response: Response) -> u64 {
    let seconds = response.headers()["retry-after"].to_str().unwrap();
    let seconds = seconds.parse().unwrap();
    expect(response, 429, "rate_limited").await;
    seconds
}

#[tokio::test]
async fn an_address_has_a_burst_and_a_rate() {
    let home = Home::new();
    let quotas = Quotas {
        address_requests_per_second: 1,
        ..Quotas::UNLIMITED
    };
    let server = with(&home, quotas, "").await;
    let api = &server.api;
    let (count, refusal) = until_limited(|| api.get("/v1/federations")).await;
    // Ten seconds' worth, and what came back meanwhile.
    assert!((10..20).contains(&count), "{count}");
    assert_eq!(retry_after(refusal).await, 1);
    // Monitors, and browsers' own OPTIONS requests, are not told to wait.
    for path in ["/healthz", "/v1/health"] {
        for _ in 0..20 {
            assert_eq!(api.get(path).send().await.unwrap().status(), 200);
        }
    }
    let options = api.request(Method::OPTIONS, "/v1/federations");
    assert_eq!(options.send().await.unwrap().status(), 405);
    // Unknown addresses and pages count like all others.
    let (count, _) = until_limited(|| api.get("/nothing")).await;
    assert!(count < 5, "{count}");
    server.stop().await;
}

#[tokio::test]
async fn participants_behind_one_address_do_not_take_from_each_other() {
    let home = Home::new();
    let quotas = Quotas {
        participant_requests_per_second: 1,
        ..Quotas::UNLIMITED
    };
    let server = with(&home, quotas, "").await;
    let invite = server.api.create(task(1, 1)).await;
    let [ann, bob] = &server.api.members(&invite, 2).await[..] else {
        panic!()
    };
    let (count, refusal) = until_limited(|| ann.request(Method::GET, "round")).await;
    assert!((10..20).contains(&count), "{count}");
    assert_eq!(retry_after(refusal).await, 1);
    bob.view().await;
    server.api.detail(&invite.federation).await;
    let metrics = server.api.metrics().await;
    assert!(
        metrics.contains("aggregator_refusals_total{code=\"rate_limited\"} 1"),
        "{metrics}"
    );
    server.stop().await;
}

#[tokio::test]
async fn joining_has_a_limit_of_its_own() {
    let home = Home::new();
    let quotas = Quotas {
        joins_per_minute: 3,
        ..Quotas::UNLIMITED
    };
    let server = with(&home, quotas, "").await;
    let invite = server.api.create(task(1, 1)).await;
    let members = server.api.members(&invite, 3).await;
    let refusal = server
        .api
        .try_join(&invite.federation, &invite.invite)
        .await;
    let wait = retry_after(refusal).await;
    assert!((15..=20).contains(&wait), "{wait}");
    // Participants who have joined are not affected.
    members[0].enrol().await;
    assert_eq!(server.api.participants(&invite.federation).await, 3);
    server.stop().await;
}

#[tokio::test]
async fn guesses_run_out() {
    let home = Home::new();
    let quotas = Quotas {
        failures_per_minute: 4,
        ..Quotas::UNLIMITED
    };
    let server = with(&home, quotas, "").await;
    let api = &server.api;
    let invite = api.create(task(1, 1)).await;
    let member = api.join(&invite).await;
    let check = |token: &str| api.get("/v1/admin/check").bearer_auth(token).send();
    expect(
        check("guess-number-one").await.unwrap(),
        401,
        "unauthorized",
    )
    .await;
    expect(
        api.try_join(&invite.federation, "guess").await,
        403,
        "bad_invite",
    )
    .await;
    expect(
        api.try_join(&invite.federation, &member.token).await,
        403,
        "bad_invite",
    )
    .await;
    let mut wrong = member.clone();
    wrong.token = "0".repeat(64);
    let ask = || wrong.request(Method::GET, "round").send();
    expect(ask().await.unwrap(), 401, "unauthorized").await;
    // Each of the four kinds took from the same bucket: it is empty.
    for refusal in [
        check("guess-number-two").await.unwrap(),
        ask().await.unwrap(),
        api.try_join(&invite.federation, "guess").await,
        // Even the right one: otherwise guessing would go on at full speed.
        check(ADMIN).await.unwrap(),
    ] {
        let wait = retry_after(refusal).await;
        assert!((1..=15).contains(&wait), "{wait}");
    }
    // Participants behind the same address are not affected.
    member.view().await;
    api.join(&invite).await;
    server.stop().await;
}

#[tokio::test]
async fn a_forwarded_address_counts_only_from_a_trusted_proxy() {
    let quotas = Quotas {
        joins_per_minute: 1,
        ..Quotas::UNLIMITED
    };
    for (proxies, believed) in [("127.0.0.0/8", true), ("10.0.0.0/8", false), ("", false)] {
        let home = Home::new();
        let server = with(&home, quotas, proxies).await;
        let invite = server.api.create(task(1, 1)).await;
        let join = async |forwarded: &str| {
            let path = format!("/v1/federations/{}/participants", invite.federation);
            let request = server.api.post(&path).header("x-forwarded-for", forwarded);
            let body = serde_json::json!({ "invite": invite.invite });
            request.json(&body).send().await.unwrap().status().as_u16()
        };
        assert_eq!(join("203.0.113.1").await, 201);
        let other = if believed { 201 } else { 429 };
        assert_eq!(join("203.0.113.2").await, other, "{proxies}");
        // What the sender wrote before the proxy's entry is ignored.
        assert_eq!(join("198.51.100.9, 203.0.113.1").await, 429, "{proxies}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_behind_one_address_meet_no_limit_by_default() {
    const MEMBERS: usize = 300;
    let (_home, server) = Server::fresh().await;
    let limits = (MEMBERS as u32, MEMBERS as u32, 600_000, 600_000);
    let invite = server.api.create(task_with(1, 600, limits, limits)).await;
    let work: Vec<_> = (0..MEMBERS)
        .map(|_| {
            let (api, invite) = (server.api.clone(), invite.clone());
            tokio::spawn(async move {
                let member = api.join(&invite).await;
                member.enrol().await;
                let view = member.until(|view| view.cohort > 0).await;
                member.send(&update(&view, 1.0, 1)).await.status().as_u16()
            })
        })
        .collect();
    for member in work {
        assert_eq!(member.await.unwrap(), 200);
    }
    assert_eq!(server.api.detail(&invite.federation).await.summary.step, 1);
    let metrics = server.api.metrics().await;
    assert!(!metrics.contains("rate_limited"), "{metrics}");
    server.stop().await;
}
