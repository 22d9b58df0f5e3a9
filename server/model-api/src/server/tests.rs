//! Tests that depend on timing, over a real port and with a model that waits for permission.

use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::batcher::Limits;
use crate::batcher::tests::{Gate, gated, info};
use crate::endpoint::Service;
use crate::protocol::ModelInfo;

#[allow(dead_code)] // each user needs a part of it
#[path = "../../tests/support/mod.rs"]
mod support;

use support::Running;

/// Starts a server of one model called `gated`.
fn start() -> (Running, Gate) {
    let (running, [gate]) = start_all(["gated"]);
    (running, gate)
}

/// Starts a server of several gated models, each with one thread, at most two images in a run, and
/// three in a request and in the queue.
fn start_all<const N: usize>(names: [&'static str; N]) -> (Running, [Gate; N]) {
    let (backends, gates): (Vec<_>, Vec<_>) = names.iter().map(|_| gated()).unzip();
    let running = Running::start(move |listener, stop| {
        let metrics = Metrics::new().unwrap();
        let endpoint = |(name, backend): (&str, _)| {
            let info = ModelInfo {
                max_batch: 3,
                ..info(name)
            };
            let limits = Limits {
                max_batch: 2,
                max_queue: 3,
                max_delay: Duration::ZERO,
            };
            let service = Service::Images(info, backend);
            let of_model = metrics.model(name, service.unit());
            service.start(1, limits, of_model).unwrap()
        };
        let backends = backends.into_iter().map(|backend| backend as _);
        let endpoints = names.into_iter().zip(backends).map(endpoint).collect();
        let registry = Registry::started(endpoints, metrics.clone());
        let config = ModelApiConfig::default();
        serve(listener, config, registry, metrics, 1, async {
            let _ = stop.await;
        })
    });
    let Ok(gates) = gates.try_into() else {
        panic!("one gate for each")
    };
    (running, gates)
}

fn body(firsts: &[u8]) -> Vec<u8> {
    let data: Vec<u8> = firsts.iter().flat_map(|&first| [first, 0]).collect();
    let input = json!({ "name": "image", "datatype": "UINT8", "shape": [firsts.len(), 2, 1, 1], "data": data });
    json!({ "inputs": [input] }).to_string().into_bytes()
}

const INFER: &str = "/v2/models/gated/infer";

/// Waits until a metric has a value. Outside the server there is no event to wait for, so it asks
/// again and again.
fn wait_for(running: &Running, metric: &str, value: f64) {
    let end = Instant::now() + Duration::from_secs(30);
    while (running.metric(metric) - value).abs() > 0.1 {
        assert!(Instant::now() < end, "{metric} never became {value}");
        std::thread::yield_now();
    }
}

const QUEUE: &str = "model_api_queue_images{model=\"gated\"}";

#[test]
fn a_full_queue_says_when_to_come_again() {
    let (running, gate) = start();
    let mut first = running.client();
    first.send("POST", INFER, &[], &body(&[1]));
    assert_eq!(gate.started.recv().unwrap(), 1);
    let (mut second, mut third) = (running.client(), running.client());
    second.send("POST", INFER, &[], &body(&[2, 3]));
    wait_for(&running, QUEUE, 2.0);
    third.send("POST", INFER, &[], &body(&[4]));
    wait_for(&running, QUEUE, 3.0);

    let refused = running.post(INFER, &[], &body(&[5]));
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(refused.error().contains("full"), "{}", refused.error());
    assert!(
        (running.metric("model_api_rejected_total{model=\"gated\",reason=\"queue_full\"}") - 1.0)
            .abs()
            < 0.1
    );

    for _ in 0..3 {
        gate.permit.send(()).unwrap();
    }
    for (client, data) in [
        (&mut first, json!([1.0])),
        (&mut second, json!([2.0, 3.0])),
        (&mut third, json!([4.0])),
    ] {
        let answer = client.receive();
        assert_eq!(
            (answer.status, &answer.json()["outputs"][0]["data"]),
            (200, &data)
        );
    }
}

#[test]
fn one_models_full_queue_is_nobody_elses() {
    let (running, [busy, idle]) = start_all(["busy", "idle"]);
    let mut clients: Vec<_> = (0..3).map(|_| running.client()).collect();
    let infer = |name: &str| format!("/v2/models/{name}/infer");
    clients[0].send("POST", &infer("busy"), &[], &body(&[1]));
    assert_eq!(busy.started.recv().unwrap(), 1);
    clients[1].send("POST", &infer("busy"), &[], &body(&[2, 2]));
    clients[2].send("POST", &infer("busy"), &[], &body(&[3]));
    wait_for(&running, "model_api_queue_images{model=\"busy\"}", 3.0);
    assert_eq!(running.post(&infer("busy"), &[], &body(&[4])).status, 503);
    idle.permit.send(()).unwrap();
    let answer = running.post(&infer("idle"), &[], &body(&[5]));
    assert_eq!(answer.json()["outputs"][0]["data"], json!([5.0]));
    for _ in 0..3 {
        busy.permit.send(()).unwrap();
    }
    assert!(
        clients
            .iter_mut()
            .all(|client| client.receive().status == 200)
    );
}

#[test]
fn who_goes_away_is_not_run() {
    let (running, gate) = start();
    let mut first = running.client();
    first.send("POST", INFER, &[], &body(&[1]));
    assert_eq!(gate.started.recv().unwrap(), 1);
    let mut leaver = running.client();
    leaver.send("POST", INFER, &[], &body(&[2, 2]));
    wait_for(&running, QUEUE, 2.0);
    leaver.leave();
    wait_for(&running, "model_api_abandoned_total{model=\"gated\"}", 1.0);
    wait_for(&running, QUEUE, 0.0);
    let mut late = running.client();
    late.send("POST", INFER, &[], &body(&[3]));
    gate.permit.send(()).unwrap();
    gate.permit.send(()).unwrap();
    assert_eq!(first.receive().status, 200);
    assert_eq!(
        gate.started.recv().unwrap(),
        1,
        "the two who left are not run"
    );
    assert_eq!(late.receive().json()["outputs"][0]["data"], json!([3.0]));
}

#[test]
fn a_request_larger_than_a_run_takes_several_and_is_taken_whole_or_not_at_all() {
    let (running, gate) = start();
    let mut client = running.client();
    client.send("POST", INFER, &[], &body(&[5, 6, 7]));
    assert_eq!(gate.started.recv().unwrap(), 2);
    // One request waits; of these three images, two would find room.
    let refused = running.post(INFER, &[], &body(&[1, 2, 3]));
    assert_eq!(refused.status, 503);
    gate.permit.send(()).unwrap();
    assert_eq!(gate.started.recv().unwrap(), 1, "nothing of the refused");
    gate.permit.send(()).unwrap();
    let data = &client.receive().json()["outputs"][0]["data"];
    assert_eq!(*data, json!([5.0, 6.0, 7.0]));
    // A part that fails makes the whole request fail.
    client.send("POST", INFER, &[], &body(&[1, 2, 13]));
    for _ in 0..2 {
        gate.started.recv().unwrap();
        gate.permit.send(()).unwrap();
    }
    assert_eq!(client.receive().status, 500);
}

#[test]
fn a_failing_model_is_an_error_of_the_server() {
    let (running, gate) = start();
    gate.permit.send(()).unwrap();
    let failed = running.post(INFER, &[], &body(&[13]));
    assert_eq!(failed.status, 500);
    assert!(
        failed.error().contains("the model failed"),
        "{}",
        failed.error()
    );
}

#[test]
fn stopping_finishes_what_runs() {
    let (running, gate) = start();
    let mut client = running.client();
    client.send("POST", INFER, &[], &body(&[7]));
    assert_eq!(gate.started.recv().unwrap(), 1);
    let stopping = std::thread::spawn(move || drop(running));
    gate.permit.send(()).unwrap();
    assert_eq!(client.receive().json()["outputs"][0]["data"], json!([7.0]));
    stopping.join().unwrap();
}

/// The command line runs it as one of several tasks.
#[test]
fn the_server_can_be_moved_to_another_thread() {
    fn movable<T: Send>(_: T) {}
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    movable(run(
        listener,
        ModelApiConfig::default(),
        std::future::ready(()),
    ));
}
