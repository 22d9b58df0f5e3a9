//! The driver on a scripted platform with its own clock: what it sends and when, and what it does
//! not send.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

mod world;

use federation::round::client::{Client, StopReason};
use federation::round::draw::is_drawn;
use federation::round::messages::{FederationStatus, Standing};
use model_client::retry;
use participant::Awaited;
use serde_json::json;
use world::{Reply, Sim, run};

/// A participant who was not drawn.
fn not_drawn(sim: &Sim) -> u32 {
    let policy = sim.task.federation.policy;
    let drawn = |number: &u32| is_drawn(&policy, sim.task.seed, 0, (4, 0), *number);
    (0..4)
        .find(|number| !drawn(number))
        .expect("one of four is not drawn")
}

#[test]
fn who_was_not_drawn_says_so_once_and_waits_quietly() {
    let sim = Sim::new(json!({ "active": 1, "local_steps": 1 }));
    sim.client(Client::new(not_drawn(&sim)));
    let mut view = sim.view();
    view.registered = 4;
    sim.world.borrow_mut().aggregator = Box::new(move |world, call| match &call.path[..] {
        path if path.ends_with("/enrol") => {
            let body: serde_json::Value = serde_json::from_slice(&call.body).unwrap();
            if body["waits"] == json!(true) {
                world.log("waits");
                Reply::json(200, &view)
            } else {
                world.log("refused");
                Reply::json(
                    409,
                    &json!({ "type": "about:blank", "status": 409, "code": "not_drawn", "title": "No" }),
                )
            }
        }
        path if path.contains("/round") => {
            world.log("look");
            let mut view = view.clone();
            if world.now_ms >= 3_600_000.0 {
                view.status = FederationStatus::Closed;
                view.version += 1;
            }
            let held = if path.contains("wait_ms") {
                20_000.0
            } else {
                5.0
            };
            Reply::json(200, &view).after(held)
        }
        path if path.contains("/record") => Reply::bytes(200, Vec::new()),
        other => panic!("{other}"),
    });
    assert_eq!(run(&sim).unwrap(), StopReason::Closed);
    let count = |what: &str| sim.world.borrow().logged(what);
    assert_eq!(
        (count("waits"), count("refused"), count("model")),
        (1, 0, 0)
    );
    // For an hour: one look in 20 seconds, and those at the beginning.
    assert!(count("look") <= 3_600 / 20 + 5, "{}", count("look"));
}

#[test]
fn an_evaluation_is_broken_off_when_the_round_has_moved_on() {
    let sim = Sim::new(json!({ "local_steps": 1 }));
    sim.client(Client::new(0));
    let open = sim.view();
    sim.world.borrow_mut().aggregator = Box::new(move |world, call| {
        if call.path.contains("/record") {
            return Reply::bytes(200, Vec::new()).after(2_000.0);
        }
        assert!(call.path.contains("/round"), "{}", call.path);
        let mut view = open.clone();
        // While the model is asked, another participant's update moves θ, and then the federation
        // is closed.
        if world.now_ms >= 20_000.0 {
            (view.version, view.theta, view.lines) = (2, "0".repeat(64), 1);
        }
        if world.now_ms >= 35_000.0 {
            (view.version, view.status) = (3, FederationStatus::Closed);
        }
        Reply::json(200, &view).after(5.0)
    });
    sim.world.borrow_mut().model_ms = 10_000.0;
    assert_eq!(run(&sim).unwrap(), StopReason::Closed);
    let world = sim.world.borrow();
    // One at a time, 10 seconds each: three or four were sent before the look after 30 seconds, and
    // none after it. The whole evaluation would have been more.
    let asked = world.times("model");
    assert!(sim.first_evaluation() > 4, "{}", sim.first_evaluation());
    assert!((2..=4).contains(&asked.len()), "{asked:?}");
    assert!(asked.iter().all(|at| *at < 33_000.0), "{asked:?}");
    // What was answered was paid for, and what was given up was not counted.
    let tally = sim.platform().tally();
    assert!(
        tally.calls < asked.len() as u64 + 1 && tally.calls >= 2,
        "{tally:?}"
    );
}

#[test]
fn who_waits_is_told_for_how_many() {
    let sim = Sim::new(json!({ "local_steps": 1, "open": { "count_min": 3 } }));
    sim.client(Client::new(0));
    let open = sim.view();
    sim.world.borrow_mut().aggregator = Box::new(move |world, call| {
        let mut view = open.clone();
        if call.path.contains("/record") {
            return Reply::bytes(200, Vec::new());
        }
        if call.path.ends_with("/enrol") {
            world.log("enrol");
        }
        if world.logged("enrol") > 0 {
            (view.version, view.standing, view.enrolled) = (2, Standing::Enrolled, 1);
        }
        if call.path.contains("after=2") {
            (view.version, view.enrolled) = (3, 2);
        }
        if call.path.contains("after=3") {
            (view.version, view.status) = (4, FederationStatus::Closed);
        }
        Reply::json(200, &view).after(5.0)
    });
    assert_eq!(run(&sim).unwrap(), StopReason::Closed);
    let awaited = sim.platform().awaited();
    let of_three = |here| Awaited { here, needed: 3 };
    assert_eq!(awaited, [of_three(1), of_three(2)]);
}

#[test]
fn an_aggregator_that_is_away_is_asked_less_and_less_often() {
    let sim = Sim::new(json!({ "local_steps": 1 }));
    sim.client(Client::new(0));
    let view = sim.view();
    sim.world.borrow_mut().aggregator = Box::new(move |world, call| {
        world.log("asked");
        let _ = call;
        let mut view = view.clone();
        view.status = FederationStatus::Closed;
        match world.logged("asked") {
            1..=3 => Reply::nothing(),
            4 => Reply::json(
                429,
                &json!({ "type": "about:blank", "status": 429, "code": "rate_limited", "title": "No" }),
            ),
            5..=9 => Reply::bytes(502, b"<html>".to_vec()),
            _ => Reply::json(200, &view),
        }
    });
    assert_eq!(run(&sim).unwrap(), StopReason::Closed);
    let times = sim.world.borrow().times("asked");
    let pauses: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (tries, pause) in (1..).zip(&pauses) {
        let most = retry::back_off(tries, 1.0);
        assert!((0.5 * most..=most + 1.0).contains(pause), "{pauses:?}");
    }
    assert_eq!(pauses.len(), 9);
}

#[test]
fn a_model_that_has_no_room_is_left_alone_as_long_as_it_says() {
    let sim = Sim::new(json!({ "local_steps": 1 }));
    sim.client(Client::new(0));
    sim.world.borrow_mut().close_at(sim.view(), 3_000_000.0);
    sim.world.borrow_mut().model_failures = vec![
        Reply::bytes(429, Vec::new()).header("retry-after", "2"),
        Reply::nothing(),
        Reply::bytes(500, Vec::new()),
    ];
    assert_eq!(run(&sim).unwrap(), StopReason::Closed);
    let world = sim.world.borrow();
    let asked = world.times("model");
    let pauses: Vec<f64> = asked
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .take(3)
        .collect();
    let range = |ms: f64, tries| {
        ms + 0.5 * retry::back_off(tries, 1.0)..=ms + retry::back_off(tries, 1.0) + 20.0
    };
    assert!(range(2_000.0, 1).contains(&pauses[0]), "{pauses:?}");
    assert!(range(0.0, 2).contains(&pauses[1]), "{pauses:?}");
    assert!(range(0.0, 3).contains(&pauses[2]), "{pauses:?}");
}

#[test]
fn what_was_answered_before_a_failure_is_not_asked_again() {
    let sim = Sim::new(json!({ "local_steps": 1 }));
    sim.client(Client::new(0));
    sim.world.borrow_mut().close_at(sim.view(), 600_000.0);
    // The third question is refused for good; the owner resumes, and then all goes well.
    let good = || None;
    sim.world.borrow_mut().model_script = vec![good(), good(), Some(Reply::bytes(401, Vec::new()))];
    sim.resumes();
    assert_eq!(run(&sim).unwrap(), StopReason::Closed);
    let world = sim.world.borrow();
    assert_eq!(sim.platform().failures(), ["model_unauthorized"]);
    // One more than it takes: the one that was refused.
    let asked = world.bodies.iter().filter(|body| !body.is_empty()).count();
    assert_eq!(asked, sim.first_evaluation() + 1);
    assert_eq!(
        sim.platform().tally().queries,
        sim.first_evaluation() as u64
    );
}
