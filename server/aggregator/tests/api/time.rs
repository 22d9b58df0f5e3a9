//! Deadlines, leases, jumps of the clock, restarts, and several servers over one database.

use crate::support::*;
use aggregator::TestClock;
use federation::round::messages::Standing;
use federation::round::phase::{AbortReason, Phase};
use std::sync::Arc;
use std::time::Instant;

const START: u64 = 1_700_000_000_000;

async fn at_rest() -> (Home, Arc<TestClock>, Server) {
    let home = Home::new();
    let clock = Arc::new(TestClock::at(START));
    let server = Server::start(home.config(), clock.clone()).await;
    (home, clock, server)
}

#[tokio::test]
async fn phases_end_when_their_time_is_up() {
    let (_home, clock, server) = at_rest().await;
    let limits = (2, 9, 1_000, 10_000);
    let invite = server.api.create(task_with(9, 600, limits, limits)).await;
    let [ann, bob, eve] = &server.api.members(&invite, 3).await[..] else {
        panic!()
    };
    // One is too few, in the end.
    let view = ann.enrol().await;
    assert_eq!(view.deadline_ms, Some(10_000));
    clock.advance(10_000);
    let view = ann.until(|v| v.round == 1).await;
    assert_eq!((view.step, view.deadline_ms), (0, None));
    // Two are enough, after the least time.
    ann.enrol().await;
    bob.enrol().await;
    clock.advance(1_000);
    let view = eve.until(|v| v.phase == Phase::Upload).await;
    assert_eq!((view.cohort, view.standing), (2, Standing::Idle));
    ann.deliver(1.0, 1).await;
    clock.advance(10_000);
    let view = ann.until(|v| v.round == 2).await;
    assert_eq!(view.step, 0);
    expect(
        bob.send(&update(&ann.view().await, 1.0, 1)).await,
        409,
        "too_early",
    )
    .await;
    let reasons: Vec<_> = server
        .api
        .detail(&invite.federation)
        .await
        .rounds
        .iter()
        .map(|r| r.reason.unwrap())
        .collect();
    assert_eq!(
        reasons,
        [AbortReason::TooFewEnrolled, AbortReason::TooFewUpdates]
    );
    server.stop().await;
}

#[tokio::test]
async fn who_is_not_heard_of_is_taken_for_gone_until_heard_of_again() {
    let (_home, clock, server) = at_rest().await;
    let limits = (2, 3, 600_000, 600_000);
    let invite = server.api.create(task_with(9, 10, limits, limits)).await;
    let [ann, bob, eve] = &server.api.members(&invite, 3).await[..] else {
        panic!()
    };
    for member in [ann, bob, eve] {
        member.enrol().await;
    }
    ann.deliver(1.0, 1).await;
    clock.advance(9_000);
    // Two participants renew their leases in time.
    for member in [ann, bob] {
        let beat = member
            .request(reqwest::Method::POST, "heartbeat")
            .send()
            .await
            .unwrap();
        assert_eq!(beat.status(), 204);
    }
    clock.advance(2_000);
    let view = bob.view().await;
    assert_eq!(view.live, 2);
    // The third is no longer waited for.
    assert_eq!(bob.deliver(1.0, 1).await.cohort % 3, 0);
    let view = ann.until(|v| v.step == 1).await;
    assert_eq!(view.round, 1);
    // The participant is back.
    assert_eq!(eve.view().await.live, 3);
    assert_eq!(eve.enrol().await.standing, Standing::Enrolled);
    server.stop().await;
}

#[tokio::test]
async fn a_member_of_the_cohort_who_was_not_heard_of_is_told_that_they_were_dropped() {
    let (_home, clock, server) = at_rest().await;
    let limits = (2, 3, 600_000, 600_000);
    let invite = server.api.create(task_with(9, 10, limits, limits)).await;
    let [ann, bob, eve] = &server.api.members(&invite, 3).await[..] else {
        panic!()
    };
    for member in [ann, bob, eve] {
        member.enrol().await;
    }
    ann.deliver(1.0, 1).await;
    clock.advance(9_000);
    ann.view().await;
    let before = bob.view().await;
    clock.advance(2_000);
    ann.until(|v| v.version > before.version).await;
    let view = eve.view().await;
    assert_eq!((view.round, view.standing), (0, Standing::Dropped));
    expect(eve.send(&update(&view, 1.0, 1)).await, 409, "not_in_cohort").await;
    server.stop().await;
}

#[tokio::test]
async fn an_enrolled_participant_who_vanishes_is_withdrawn() {
    let (_home, clock, server) = at_rest().await;
    let limits = (2, 3, 600_000, 600_000);
    let invite = server.api.create(task_with(9, 10, limits, limits)).await;
    let [ann, bob] = &server.api.members(&invite, 2).await[..] else {
        panic!()
    };
    server.api.join(&invite).await;
    ann.enrol().await;
    clock.advance(10_000);
    let view = bob.until(|v| v.enrolled == 0).await;
    assert_eq!((view.round, view.deadline_ms), (0, None));
    assert_eq!(ann.view().await.standing, Standing::Idle);
    server.stop().await;
}

#[tokio::test]
async fn a_clock_that_jumps_back_does_not_stretch_a_round() {
    let (_home, clock, server) = at_rest().await;
    let limits = (2, 9, 1_000, 10_000);
    let invite = server.api.create(task_with(9, 600, limits, limits)).await;
    let [ann, _bob] = &server.api.members(&invite, 2).await[..] else {
        panic!()
    };
    ann.enrol().await;
    clock.set(START - 3_600_000);
    ann.until(|v| v.deadline_ms == Some(10_000)).await;
    clock.advance(10_000);
    assert_eq!(ann.until(|v| v.round == 1).await.step, 0);
    server.stop().await;
}

#[tokio::test]
async fn time_without_a_server_does_not_count() {
    let (home, clock, server) = at_rest().await;
    let limits = (2, 2, 1_000, 10_000);
    let invite = server.api.create(task_with(9, 10, limits, limits)).await;
    let [ann, bob] = &server.api.members(&invite, 2).await[..] else {
        panic!()
    };
    ann.enrol().await;
    bob.enrol().await;
    ann.deliver(1.0, 1).await;
    server.stop().await;
    clock.advance(3_600_000);
    let server = Server::start(home.config(), clock.clone()).await;
    let mut bob = bob.clone();
    bob.api = server.api.clone();
    let view = bob.view().await;
    assert_eq!(
        (view.phase, view.delivered, view.live),
        (Phase::Upload, 1, 2)
    );
    assert_eq!(bob.deliver(2.0, 1).await.step, 1);
    server.stop().await;
}

#[tokio::test]
async fn two_servers_drive_one_round() {
    let home = Home::new();
    let clock = Arc::new(TestClock::at(START));
    let one = Server::start(home.config(), clock.clone()).await;
    let two = Server::start(home.config(), clock.clone()).await;
    let limits = (2, 20, 1_000, 10_000);
    let invite = one.api.create(task_with(2, 600, limits, limits)).await;
    let mut members = one.api.members(&invite, 10).await;
    for member in members.iter_mut().skip(5) {
        member.api = two.api.clone();
    }
    let before = one.api.theta(&invite.federation).await;
    // All requests at once, over both servers. A change through one server is seen by a client that
    // waits at the other.
    let version = members[9].view().await.version;
    let waiting = members[9].clone();
    let waiting = tokio::spawn(async move { waiting.wait(version, 25_000).await });
    let enrolments = members[..5].iter().map(|m| m.enrol());
    futures::future::join_all(enrolments).await;
    assert!(waiting.await.unwrap().version > version);
    futures::future::join_all(members[5..].iter().map(|m| m.enrol())).await;
    let view = members[0].until(|v| v.phase == Phase::Upload).await;
    assert_eq!(view.cohort, 10);
    // Each delivers to both at the same time: one of the two is a duplicate.
    let deliveries = members.iter().map(|member| {
        let (one, two) = (&one.api, &two.api);
        let view = &view;
        async move {
            let at = |api: &Api| Member {
                api: api.clone(),
                ..member.clone()
            };
            let body = update(view, member.number as f32, 1);
            let (here, there) = (at(one), at(two));
            let (a, b) = tokio::join!(here.send(&body), there.send(&body));
            let mut statuses = [a.status().as_u16(), b.status().as_u16()];
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 409]);
        }
    });
    futures::future::join_all(deliveries).await;
    let after = two.api.theta(&invite.federation).await;
    let expected: Vec<f32> = before.iter().map(|t| t + 4.5).collect();
    assert_eq!(after, expected);
    // Either process may hold the timers, so either may be stopped.
    one.stop().await;
    members[5].enrol().await;
    let begun = Instant::now();
    clock.advance(10_000);
    let view = members[6].until(|v| v.round == 2).await;
    assert_eq!(view.step, 1);
    assert!(begun.elapsed() < PATIENCE);
    two.stop().await;
}
