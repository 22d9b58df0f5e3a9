//! Invites that expire, are listed, and are revoked.

use crate::support::*;
use aggregator::TestClock;
use reqwest::Method;
use serde_json::json;
use std::sync::Arc;

#[tokio::test]
async fn an_invite_for_two_takes_two() {
    let (_home, server) = Server::fresh().await;
    let api = &server.api;
    let first = api.create(task(1, 1)).await;
    let id = &first.federation;
    let two = api.invite(id, json!({ "uses": 2 })).await;
    for used in 1..=2 {
        api.join(&two).await;
        let listed = api.invites(id).await;
        let line = listed.iter().find(|i| i.id == two.id).unwrap();
        assert_eq!((line.used, line.uses, line.revoked), (used, Some(2), false));
    }
    expect(api.try_join(id, &two.invite).await, 403, "invite_used_up").await;
    // The refusal counted nobody, and the other invite goes on.
    assert_eq!(api.detail(id).await.summary.participants, 2);
    api.join(&first).await;
    assert_eq!(api.detail(id).await.summary.participants, 3);
    server.stop().await;
}

#[tokio::test]
async fn of_many_who_come_at_once_only_so_many_are_taken() {
    let (_home, server) = Server::fresh().await;
    let api = &server.api;
    let id = api.create(task(1, 1)).await.federation;
    let five = api.invite(&id, json!({ "uses": 5 })).await;
    let attempts: Vec<_> = (0..20)
        .map(|_| {
            let (api, five) = (api.clone(), five.clone());
            tokio::spawn(async move { api.try_join(&five.federation, &five.invite).await.status() })
        })
        .collect();
    let mut statuses = Vec::new();
    for attempt in attempts {
        statuses.push(attempt.await.unwrap().as_u16());
    }
    assert_eq!(statuses.iter().filter(|s| **s == 201).count(), 5);
    assert_eq!(statuses.iter().filter(|s| **s == 403).count(), 15);
    assert_eq!(api.detail(&id).await.summary.participants, 5);
    server.stop().await;
}

#[tokio::test]
async fn an_invite_expires_at_its_time() {
    let home = Home::new();
    let clock = Arc::new(TestClock::at(1_000_000));
    let server = Server::start(home.config(), clock.clone()).await;
    let api = &server.api;
    let id = api.create(task(1, 1)).await.federation;
    let hour = api.invite(&id, json!({ "expires_in_seconds": 3600 })).await;
    let listed = api.invites(&id).await;
    let line = listed.iter().find(|i| i.id == hour.id).unwrap();
    assert_eq!(
        (line.created_at, line.expires_at),
        (1_000_000, Some(4_600_000))
    );
    clock.advance(3_599_999);
    api.join(&hour).await;
    clock.advance(1);
    expect(api.try_join(&id, &hour.invite).await, 403, "invite_expired").await;
    server.stop().await;
}

#[tokio::test]
async fn a_revoked_invite_takes_nobody_and_sends_nobody_away() {
    let (_home, server) = Server::fresh().await;
    let api = &server.api;
    let invite = api.create(task(1, 1)).await;
    let id = &invite.federation;
    let member = api.join(&invite).await;
    let anonymous = api.request(
        Method::DELETE,
        &member.path(&format!("invites/{}", invite.id)),
    );
    expect(anonymous.send().await.unwrap(), 401, "unauthorized").await;
    for _ in 0..2 {
        let line = api.revoke(id, &invite.id).await;
        assert_eq!(line.status(), 200);
        let line: federation::round::messages::InviteSummary = line.json().await.unwrap();
        assert_eq!((line.revoked, line.used), (true, 1));
    }
    expect(
        api.try_join(id, &invite.invite).await,
        403,
        "invite_revoked",
    )
    .await;
    assert_eq!(member.view().await.live, 1);
    // An id is not valid in another federation, and is no secret.
    let other = api.create(task(1, 1)).await;
    for wrong in [&other.id[..], "nothing", &invite.invite[..]] {
        expect(api.revoke(id, wrong).await, 404, "not_found").await;
    }
    api.join(&other).await;
    server.stop().await;
}

#[tokio::test]
async fn a_list_shows_no_secret_and_its_order_is_newest_first() {
    let home = Home::new();
    let clock = Arc::new(TestClock::at(1_000_000));
    let server = Server::start(home.config(), clock.clone()).await;
    let api = &server.api;
    let mut made = vec![api.create(task(1, 1)).await];
    let id = made[0].federation.clone();
    for uses in 1..4 {
        clock.advance(1);
        made.push(api.invite(&id, json!({ "uses": uses })).await);
    }
    let text = api
        .get(&format!("/v1/federations/{id}/invites"))
        .bearer_auth(ADMIN)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    for invite in &made {
        assert!(!text.contains(&invite.invite), "{text}");
        let hash = ground::hash::sha256_hex(invite.invite.as_bytes());
        assert!(!text.contains(&hash), "{text}");
    }
    let listed: Vec<_> = api.invites(&id).await.into_iter().map(|i| i.id).collect();
    let expected: Vec<_> = made.iter().rev().map(|i| i.id.clone()).collect();
    assert_eq!(listed, expected);
    expect(
        api.get("/v1/federations/none/invites")
            .bearer_auth(ADMIN)
            .send()
            .await
            .unwrap(),
        404,
        "not_found",
    )
    .await;
    server.stop().await;
}

#[tokio::test]
async fn wishes_that_make_no_invite() {
    let (_home, server) = Server::fresh().await;
    let api = &server.api;
    let id = api.create(task(1, 1)).await.federation;
    for wish in [
        json!({ "uses": 0 }),
        json!({ "uses": -1 }),
        json!({ "uses": 1.5 }),
        json!({ "uses": 1_000_001 }),
        json!({ "expires_in_seconds": 0 }),
        json!({ "expires_in_seconds": u64::MAX }),
        json!({ "expires_in_seconds": "7d" }),
        json!({ "colour": 1 }),
        json!(3),
    ] {
        let response = api.try_invite(&id, wish.clone()).await;
        assert_eq!(response.status(), 400, "{wish}");
        expect(response, 400, "bad_request").await;
    }
    let text = api
        .post(&format!("/v1/federations/{id}/invites"))
        .bearer_auth(ADMIN)
        .body("{}")
        .send();
    expect(text.await.unwrap(), 415, "bad_request").await;
    assert_eq!(api.invites(&id).await.len(), 1);
    expect(api.try_invite("none", json!({})).await, 404, "not_found").await;
    api.close(&id).await;
    expect(
        api.try_invite(&id, json!({})).await,
        410,
        "federation_closed",
    )
    .await;
    server.stop().await;
}
