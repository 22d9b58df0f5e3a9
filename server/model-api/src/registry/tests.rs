use super::*;
use crate::batcher::Limits;
use crate::batcher::tests::{gated, info};
use crate::batcher::{ImageWork, Images};
use crate::endpoint::{Endpoint, Service};
use crate::keys::Caller;
use std::time::Duration;

/// A request to the old model is answered by it, although another has taken its place meanwhile.
#[tokio::test]
async fn requests_in_flight_end_on_the_old_model() {
    let (backend, gate) = gated();
    let info = info("printed-digits");
    let metrics = Metrics::new().unwrap();
    let limits = Limits {
        max_batch: 2,
        max_queue: 4,
        max_delay: Duration::ZERO,
    };
    let service = Service::Images(info, backend);
    let of_model = metrics.model("printed-digits", service.unit());
    let endpoint = service.start(1, limits, of_model).unwrap();
    let source = Source::Given(vec![ModelConfig::default()]);
    let slots = vec![Slot::new(endpoint, [0; 32])];
    let registry = Arc::new(Registry::of(source, metrics, slots));

    let old = registry.get("printed-digits").unwrap();
    let submit = |first: u8| {
        let Endpoint::Images(images) = &*old else {
            panic!("no images")
        };
        let work = ImageWork::from(Images::Bytes(vec![first, 0].into()));
        let caller = Caller::default();
        images.score(caller.charge(1).unwrap(), work, 1).unwrap()
    };
    let running = submit(1);
    gate.started.recv().unwrap();
    let waiting = submit(2);
    registry.load_one("printed-digits").await.unwrap();
    let new = registry.get("printed-digits").unwrap();
    assert_eq!(new.metadata()["outputs"][0]["shape"][1], 10);
    // A request that found the old model before may still ask it.
    let late = submit(3);
    let weak = Arc::downgrade(&old);
    for _ in 0..3 {
        // The worker may take several requests in one run, and is then gone before it needs all
        // permits.
        let _ = gate.permit.send(());
    }
    for (reply, score) in [(running, 1.0), (waiting, 2.0), (late, 3.0)] {
        assert_eq!(reply.scores().await.ok(), Some(vec![score]));
    }
    drop(old);
    assert!(weak.upgrade().is_none(), "nobody keeps the old one");
    // The old model's threads end by themselves, and with them the sender of runs.
    while gate.started.recv().is_ok() {}
}
