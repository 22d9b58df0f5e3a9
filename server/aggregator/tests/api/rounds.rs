//! Whole rounds; how they and federations end.

use crate::support::*;
use aggregator::RealClock;
use federation::round::messages::{FederationStatus, Standing};
use federation::round::phase::{AbortReason, Phase};
use ground::hash::theta_hash;
use reqwest::Method;
use serde_json::json;
use std::sync::Arc;

#[tokio::test]
async fn three_participants_make_a_round_with_exactly_this_theta() {
    let (_home, server) = Server::fresh().await;
    let api = &server.api;
    let invite = api.create(task(2, 3)).await;
    let members = api.members(&invite, 3).await;
    assert_eq!(
        members.iter().map(|m| m.number).collect::<Vec<_>>(),
        [0, 1, 2]
    );
    let before = api.theta(&invite.federation).await;
    for (enrolled, member) in members.iter().enumerate() {
        let view = member.enrol().await;
        assert_eq!(view.enrolled as usize, enrolled + 1);
    }
    let view = members[0].view().await;
    assert_eq!(
        (view.phase, view.standing, view.cohort),
        (Phase::Upload, Standing::InCohort, 3)
    );
    members[2].deliver(0.5, 1).await;
    let view = members[0].deliver(-1.0, 2).await;
    assert_eq!((view.standing, view.delivered), (Standing::Delivered, 2));
    let view = members[1].deliver(2.0, 5).await;
    assert_eq!((view.step, view.round, view.phase), (1, 1, Phase::Open));
    assert_eq!(
        (view.standing, view.enrolled, view.delivered),
        (Standing::Idle, 0, 0)
    );

    // θ + (2·(−1) + 5·2 + 1·0.5) / 8, summed in the order of participants, in f64.
    let mean = ((-2.0_f64 + 5.0 * 2.0 + 0.5) / 8.0) as f32;
    let expected: Vec<f32> = before.iter().map(|t| t + mean).collect();
    let after = api.theta(&invite.federation).await;
    assert_eq!(after, expected);
    assert_eq!(view.theta, theta_hash(&expected));

    let detail = api.detail(&invite.federation).await;
    let [record] = &detail.rounds[..] else {
        panic!("{:?}", detail.rounds)
    };
    assert_eq!(
        (record.round, record.step, record.phase, record.reason),
        (0, 0, Phase::Done, None)
    );
    assert_eq!((record.cohort, record.delivered), (3, 3));
    assert_eq!(
        (
            record.metrics.correct,
            record.metrics.total,
            record.metrics.queries
        ),
        (9, 12, 30)
    );
    assert_eq!(record.metrics.loss, 1.5);
    assert_eq!(record.theta, view.theta);
    assert!(record.bytes_up > 3 * 4 * DIM as u64);
    assert_eq!(
        (
            detail.summary.step,
            detail.summary.steps,
            detail.summary.dim
        ),
        (1, 2, DIM as u32)
    );
    assert_eq!((detail.summary.participants, detail.summary.live), (3, 3));
    assert_eq!(detail.summary.model_origin, "http://127.0.0.1:8701");

    let metrics = api.metrics().await;
    assert!(metrics.contains("aggregator_updates_total 3"), "{metrics}");
    assert!(
        metrics.contains("aggregator_rounds_total{outcome=\"done\"} 1"),
        "{metrics}"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_federation_finishes_after_its_rounds() {
    let (_home, server) = Server::fresh().await;
    let invite = server.api.create(task(2, 1)).await;
    let member = server.api.join(&invite).await;
    for step in 1..=2 {
        member.enrol().await;
        assert_eq!(member.deliver(0.25, 1).await.step, step);
    }
    let view = member.view().await;
    assert_eq!(
        (view.status, view.phase),
        (FederationStatus::Finished, Phase::Done)
    );
    expect(
        member.try_enrol(view.round, &view.theta).await,
        410,
        "federation_finished",
    )
    .await;
    // The last update again: it was counted, and is not counted twice.
    let mut last = update(&view, 0.25, 1);
    last.round = 1;
    expect(member.send(&last).await, 409, "duplicate").await;
    expect(
        server
            .api
            .try_join(&invite.federation, &invite.invite)
            .await,
        410,
        "federation_finished",
    )
    .await;
    assert_eq!(server.api.detail(&invite.federation).await.summary.step, 2);
    server.stop().await;
}

#[tokio::test]
async fn the_organiser_closes_a_federation() {
    let (_home, server) = Server::fresh().await;
    let api = &server.api;
    let invite = api.create(task(9, 2)).await;
    let members = api.members(&invite, 2).await;
    for member in &members {
        member.enrol().await;
    }
    members[0].deliver(1.0, 1).await;
    let before = api.theta(&invite.federation).await;
    assert_eq!(
        api.close(&invite.federation).await.status,
        FederationStatus::Closed
    );
    let view = members[1].view().await;
    assert_eq!(
        (view.status, view.phase, view.step),
        (FederationStatus::Closed, Phase::Aborted, 0)
    );
    expect(
        members[1].send(&update(&view, 1.0, 1)).await,
        410,
        "federation_closed",
    )
    .await;
    assert_eq!(api.theta(&invite.federation).await, before);
    let record = api.detail(&invite.federation).await.rounds.pop().unwrap();
    assert_eq!(
        (record.reason, record.delivered),
        (Some(AbortReason::Closed), 1)
    );
    let again = api
        .post(&members[0].path("close"))
        .bearer_auth(ADMIN)
        .send()
        .await
        .unwrap();
    expect(again, 410, "federation_closed").await;
    let invites = api
        .post(&members[0].path("invites"))
        .bearer_auth(ADMIN)
        .send()
        .await
        .unwrap();
    expect(invites, 410, "federation_closed").await;
    server.stop().await;
}

#[tokio::test]
async fn who_leaves_is_not_waited_for_and_has_no_token_any_more() {
    let (_home, server) = Server::fresh().await;
    let limits = (2, 3, 600_000, 600_000);
    let invite = server.api.create(task_with(5, 600, limits, limits)).await;
    let members = server.api.members(&invite, 3).await;
    for member in &members {
        member.enrol().await;
    }
    members[0].deliver(1.0, 1).await;
    members[1].deliver(3.0, 1).await;
    let view = members[0].view().await;
    assert_eq!((view.round, view.phase), (0, Phase::Upload));
    let left = members[2]
        .request(Method::DELETE, "participants/me")
        .send()
        .await
        .unwrap();
    assert_eq!(left.status(), 204);
    let view = members[0].view().await;
    assert_eq!((view.round, view.step, view.live), (1, 1, 2));
    expect(
        members[2].try_enrol(1, &view.theta).await,
        401,
        "unauthorized",
    )
    .await;
    assert_eq!(server.api.participants(&invite.federation).await, 3);
    server.stop().await;
}

#[tokio::test]
async fn invites_are_made_again_and_each_belongs_to_its_federation() {
    let (_home, server) = Server::fresh().await;
    let api = &server.api;
    let (first, second) = (api.create(task(1, 1)).await, api.create(task(1, 1)).await);
    let more = api.post(&format!("/v1/federations/{}/invites", first.federation));
    let more: federation::round::messages::Invite = more
        .bearer_auth(ADMIN)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_ne!(more.invite, first.invite);
    api.join(&more).await;
    expect(
        api.try_join(&second.federation, &more.invite).await,
        403,
        "bad_invite",
    )
    .await;
    let listed: Vec<federation::round::messages::FederationSummary> = api
        .get("/v1/federations")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(listed.len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn the_generator_is_a_safetensors_file() {
    let (_home, server) = Server::fresh().await;
    let invite = server.api.create(task(1, 1)).await;
    let path = format!("/v1/federations/{}/generator", invite.federation);
    let response = server.api.get(&path).send().await.unwrap();
    assert!(
        response.headers()["content-disposition"]
            .to_str()
            .unwrap()
            .starts_with("attachment")
    );
    let bytes = response.bytes().await.unwrap();
    let (_, head) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = head.metadata().clone().unwrap();
    assert_eq!(metadata["step"], "0");
    assert_eq!(
        metadata["task_hash"],
        server
            .api
            .detail(&invite.federation)
            .await
            .summary
            .task_hash
    );
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let theta =
        ground::hash::theta_from_bytes(tensors.tensor("theta").unwrap().data(), DIM).unwrap();
    assert_eq!(theta, server.api.theta(&invite.federation).await);
    server.stop().await;
}

#[tokio::test]
async fn a_theta_that_would_not_be_finite_is_not_taken() {
    let home = Home::new();
    let server = Server::start(home.config(), Arc::new(RealClock)).await;
    let mut task = task(3, 1);
    task["federation"]["server"] = json!({ "kind": "momentum", "learning_rate": 100.0 });
    let invite = server.api.create(task).await;
    let before = server.api.theta(&invite.federation).await;
    server.stop().await;
    // Updates within their range cannot do it in a test's time, so a momentum near the edge is put there.
    let url = format!("sqlite://{}", home.database().display());
    let pool = sqlx::sqlite::SqlitePool::connect(&url).await.unwrap();
    sqlx::query("-- test_momentum\nUPDATE model SET moment1 = $1")
        .bind(ground::hash::theta_bytes(&vec![f32::MAX / 2.0; DIM]))
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    let server = Server::start(home.config(), Arc::new(RealClock)).await;
    let member = server.api.join(&invite).await;
    member.enrol().await;
    let view = member.deliver(1.0, 1).await;
    assert_eq!(
        (view.status, view.round, view.step),
        (FederationStatus::Running, 1, 0)
    );
    assert_eq!(server.api.theta(&invite.federation).await, before);
    let record = server
        .api
        .detail(&invite.federation)
        .await
        .rounds
        .pop()
        .unwrap();
    assert_eq!(
        (record.phase, record.reason),
        (Phase::Aborted, Some(AbortReason::Overflow))
    );
    // Still refused as known, although its round was aborted.
    let mut again = update(&view, 1.0, 1);
    again.round = 0;
    expect(member.send(&again).await, 409, "duplicate").await;
    server.stop().await;
}
