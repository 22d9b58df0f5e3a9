//! Participants who are recognised by their key.

use crate::support::*;
use aggregator::{AggregatorConfig, RealClock, TestClock};
use federation::round::messages::{JoinRequest, Standing};
use serde_json::json;
use std::sync::Arc;

#[tokio::test]
async fn who_comes_again_is_the_same_participant_with_a_fresh_token() {
    let (_home, server) = Server::fresh().await;
    let api = &server.api;
    let id = api.create(task(1, 2)).await.federation;
    let one = api.invite(&id, json!({ "uses": 1 })).await;
    let ann = api.join_as(1, &one).await;
    ann.enrol().await;
    let again = api.join_as(1, &one).await;
    assert_eq!(again.number, ann.number);
    assert_ne!(again.token, ann.token);
    let old = ann
        .request(reqwest::Method::GET, "round")
        .send()
        .await
        .unwrap();
    expect(old, 401, "unauthorized").await;
    // The new token continues what the old one began.
    let view = again.view().await;
    assert_eq!((view.standing, view.live), (Standing::Enrolled, 1));
    assert_eq!(api.detail(&id).await.summary.participants, 1);
    let listed = api.invites(&id).await;
    let line = listed.iter().find(|i| i.id == one.id).unwrap();
    assert_eq!((line.used, line.uses), (1, Some(1)));
    // The invite belongs to them alone now.
    expect(
        api.try_join_as(2, &id, &one.invite).await,
        403,
        "invite_used_up",
    )
    .await;
    expect(api.try_join(&id, &one.invite).await, 403, "invite_used_up").await;
    server.stop().await;
}

#[tokio::test]
async fn an_identity_is_one_participant_whatever_invite_it_brings() {
    let home = Home::new();
    let clock = Arc::new(TestClock::at(1_000_000));
    let config = AggregatorConfig {
        max_participants: 2,
        ..home.config()
    };
    let server = Server::start(config, clock.clone()).await;
    let api = &server.api;
    let first = api.create(task(1, 1)).await;
    let id = &first.federation;
    let short = api.invite(id, json!({ "expires_in_seconds": 10 })).await;
    let other = api
        .invite(id, json!({ "uses": 5, "expires_in_seconds": 10 }))
        .await;
    let ann = api.join_as(1, &short).await;
    let bob = api.join_as(2, &first).await;
    assert_eq!((ann.number, bob.number), (0, 1));
    // Another valid invite: the same number, and no use is counted. It does not matter that the
    // federation is full.
    assert_eq!(api.join_as(1, &other).await.number, 0);
    let used = |list: &[federation::round::messages::InviteSummary], id: &str| {
        list.iter().find(|i| i.id == id).unwrap().used
    };
    let list = api.invites(id).await;
    assert_eq!((used(&list, &short.id), used(&list, &other.id)), (1, 0));
    expect(api.try_join_as(3, id, &first.invite).await, 403, "full").await;
    // Their own invite takes them back after its end; another that has ended does not.
    clock.advance(10_000);
    assert_eq!(api.join_as(1, &short).await.number, 0);
    expect(
        api.try_join_as(1, id, &other.invite).await,
        403,
        "invite_expired",
    )
    .await;
    expect(
        api.try_join_as(2, id, &short.invite).await,
        403,
        "invite_expired",
    )
    .await;
    // A revoked invite lets nobody return.
    api.revoke(id, &short.id).await;
    expect(
        api.try_join_as(1, id, &short.invite).await,
        403,
        "invite_revoked",
    )
    .await;
    assert_eq!(api.join_as(1, &first).await.number, 0);
    assert_eq!(api.detail(id).await.summary.participants, 2);
    server.stop().await;
}

#[tokio::test]
async fn who_left_may_come_back_as_the_same() {
    let (_home, server) = Server::fresh().await;
    let api = &server.api;
    let invite = api.create(task(2, 1)).await;
    let ann = api.join_as(1, &invite).await;
    let left = ann
        .request(reqwest::Method::DELETE, "participants/me")
        .send();
    assert_eq!(left.await.unwrap().status(), 204);
    assert_eq!(api.detail(&invite.federation).await.summary.live, 0);
    let back = api.join_as(1, &invite).await;
    assert_eq!(back.number, ann.number);
    back.enrol().await;
    assert_eq!(back.deliver(1.0, 1).await.step, 1);
    server.stop().await;
}

#[tokio::test]
async fn an_identity_without_its_proof_is_refused_and_nobody_is_counted() {
    let (_home, server) = Server::fresh().await;
    let api = &server.api;
    let invite = api.create(task(1, 1)).await;
    let (id, elsewhere) = (&invite.federation, api.create(task(1, 1)).await);
    let good = join_as(1, id, &invite.invite);
    let other = join_as(2, id, &invite.invite);
    let bad = [
        JoinRequest {
            proof: String::new(),
            ..good.clone()
        },
        JoinRequest {
            identity: String::new(),
            ..good.clone()
        },
        JoinRequest {
            proof: other.proof.clone(),
            ..good.clone()
        },
        JoinRequest {
            identity: good.identity[1..].to_owned(),
            ..good.clone()
        },
        JoinRequest {
            identity: format!("{}zz", &good.identity[2..]),
            ..good.clone()
        },
        JoinRequest {
            proof: join_as(1, &elsewhere.federation, &invite.invite).proof,
            ..good.clone()
        },
        JoinRequest {
            proof: join_as(1, id, &elsewhere.invite).proof,
            ..good.clone()
        },
        JoinRequest {
            identity: "00".repeat(32),
            ..good.clone()
        },
    ];
    for request in bad {
        let response = api
            .post(&format!("/v1/federations/{id}/participants"))
            .json(&request)
            .send()
            .await
            .unwrap();
        expect(response, 403, "bad_identity").await;
    }
    assert_eq!(api.detail(id).await.summary.participants, 0);
    // Proof of an identity does not make an invite.
    expect(api.try_join_as(1, id, "nonsense").await, 403, "bad_invite").await;
    expect(
        api.try_join_as(1, id, &elsewhere.invite).await,
        403,
        "bad_invite",
    )
    .await;
    // Capital letters do not make another participant of the same key.
    let capitals = JoinRequest {
        identity: good.identity.to_ascii_uppercase(),
        ..good
    };
    let path = format!("/v1/federations/{id}/participants");
    assert_eq!(api.join_as(1, &invite).await.number, 0);
    let again = api.post(&path).json(&capitals).send().await.unwrap();
    let again: federation::round::messages::Joined = again.json().await.unwrap();
    assert_eq!(again.participant, 0);
    server.stop().await;
}

#[tokio::test]
async fn identities_of_two_federations_have_nothing_to_do_with_each_other() {
    let home = Home::new();
    let server = Server::start(home.config(), Arc::new(RealClock)).await;
    let api = &server.api;
    let (one, two) = (api.create(task(1, 1)).await, api.create(task(1, 1)).await);
    api.join(&two).await;
    assert_eq!(api.join_as(1, &one).await.number, 0);
    assert_eq!(api.join_as(1, &two).await.number, 1);
    assert_eq!(api.join_as(1, &one).await.number, 0);
    server.stop().await;
}

#[tokio::test]
async fn those_without_an_identity_are_newcomers_every_time() {
    let (_home, server) = Server::fresh().await;
    let invite = server.api.create(task(1, 1)).await;
    let members = server.api.members(&invite, 3).await;
    let numbers: Vec<_> = members.iter().map(|m| m.number).collect();
    assert_eq!(numbers, [0, 1, 2]);
    server.stop().await;
}
