use std::sync::mpsc;

use model_client::Layout;

use super::*;
use crate::metrics::{Metrics, Unit};
use crate::protocol::ModelInfo;

/// A backend that answers each image with its first value; each run reports its size and waits for
/// permission.
pub(crate) struct Gated {
    permits: Mutex<mpsc::Receiver<()>>,
    started: mpsc::Sender<usize>,
}

/// The test's end of a [`Gated`] backend.
pub(crate) struct Gate {
    pub permit: mpsc::Sender<()>,
    pub started: mpsc::Receiver<usize>,
}

/// Values in an image of a gated backend.
const IMAGE: usize = 2;

pub(crate) fn gated() -> (Arc<Gated>, Gate) {
    let (permit, permits) = mpsc::channel();
    let (started, runs) = mpsc::channel();
    (
        Arc::new(Gated {
            permits: Mutex::new(permits),
            started,
        }),
        Gate {
            permit,
            started: runs,
        },
    )
}

/// The description of a gated backend's model, under a name.
pub(crate) fn info(name: &str) -> ModelInfo {
    ModelInfo {
        name: name.into(),
        kind: "classifier",
        input: "image".into(),
        output: "first".into(),
        layout: Layout::Nchw,
        image: [IMAGE, 1, 1],
        classes: 1,
        labels: vec![],
        template: None,
        max_batch: 2,
    }
}

impl Backend<ImageWork> for Gated {
    fn run(&self, parts: &[&ImageWork]) -> Result<Vec<Vec<f32>>, RunError> {
        let mut scores = Vec::new();
        for part in parts {
            let Images::Bytes(bytes) = &part.images else {
                panic!("bytes only")
            };
            let firsts = bytes.chunks(IMAGE).map(|image| f32::from(image[0]));
            scores.push(firsts.collect());
        }
        let values: Vec<f32> = scores.concat();
        // These fail only if the test has ended early.
        let _ = self.started.send(values.len());
        let _ = self.permits.lock().unwrap().recv();
        if values.contains(&13.0) {
            return Err(RunError::Model("13".into()));
        }
        assert!(!values.contains(&66.0), "told to panic");
        Ok(scores)
    }
}

fn start(
    backend: &Arc<Gated>,
    max_batch: usize,
    max_queue: usize,
) -> (Batcher<ImageWork>, Metrics) {
    let metrics = Metrics::new().unwrap();
    let limits = Limits {
        max_batch,
        max_queue,
        max_delay: Duration::ZERO,
    };
    let backend: Arc<dyn Backend<ImageWork>> = Arc::<Gated>::clone(backend);
    (
        Batcher::start(backend, 1, limits, metrics.model("gated", Unit::Images)).unwrap(),
        metrics,
    )
}

fn images(firsts: &[u8]) -> ImageWork {
    let bytes = firsts.iter().flat_map(|&first| [first, 0]);
    Images::Bytes(bytes.collect::<Vec<_>>().into()).into()
}

fn submit(batcher: &Batcher<ImageWork>, firsts: &[u8]) -> oneshot::Receiver<Answer> {
    let parts = vec![(images(firsts), firsts.len())];
    batcher.submit(parts).unwrap().remove(0)
}

#[test]
fn what_waits_is_merged_up_to_the_limit_and_each_gets_its_own() {
    let (backend, gate) = gated();
    let (batcher, metrics) = start(&backend, 4, 100);
    let first = submit(&batcher, &[1]);
    assert_eq!(gate.started.recv().unwrap(), 1);
    // These wait while the first one runs.
    let (second, third, fourth) = (
        submit(&batcher, &[2, 3]),
        submit(&batcher, &[4]),
        submit(&batcher, &[5, 6]),
    );
    for _ in 0..3 {
        gate.permit.send(()).unwrap();
    }
    assert_eq!(first.blocking_recv().unwrap(), Ok(vec![1.0]));
    assert_eq!(
        gate.started.recv().unwrap(),
        3,
        "2 + 1 images; 2 more would be over the limit"
    );
    assert_eq!(gate.started.recv().unwrap(), 2);
    assert_eq!(second.blocking_recv().unwrap(), Ok(vec![2.0, 3.0]));
    assert_eq!(third.blocking_recv().unwrap(), Ok(vec![4.0]));
    assert_eq!(fourth.blocking_recv().unwrap(), Ok(vec![5.0, 6.0]));
    batcher.stop();
    let text = metrics.render().unwrap();
    assert!(
        text.contains("model_api_images_total{model=\"gated\"} 6"),
        "{text}"
    );
    assert!(
        text.contains("model_api_runs_total{model=\"gated\"} 3"),
        "{text}"
    );
    assert!(
        text.contains("model_api_queue_images{model=\"gated\"} 0"),
        "{text}"
    );
}

#[test]
fn a_full_queue_refuses_until_someone_leaves() {
    let (backend, gate) = gated();
    let (batcher, metrics) = start(&backend, 2, 3);
    let running = submit(&batcher, &[1]);
    gate.started.recv().unwrap();
    let (leaver, stayer) = (submit(&batcher, &[2, 2]), submit(&batcher, &[3]));
    assert_eq!(
        batcher.submit(vec![(images(&[4]), 1)]).unwrap_err(),
        Refused::Full
    );
    drop(leaver);
    let late = submit(&batcher, &[4]);
    gate.permit.send(()).unwrap();
    gate.permit.send(()).unwrap();
    assert_eq!(running.blocking_recv().unwrap(), Ok(vec![1.0]));
    assert_eq!(
        gate.started.recv().unwrap(),
        2,
        "the one who left is not run"
    );
    assert_eq!(stayer.blocking_recv().unwrap(), Ok(vec![3.0]));
    assert_eq!(late.blocking_recv().unwrap(), Ok(vec![4.0]));
    batcher.stop();
    assert!(
        metrics
            .render()
            .unwrap()
            .contains("model_api_abandoned_total{model=\"gated\"} 1"),
        "{}",
        metrics.render().unwrap()
    );
}

#[test]
fn one_bad_request_does_not_spoil_the_batch() {
    let (backend, gate) = gated();
    let (batcher, _) = start(&backend, 10, 100);
    let running = submit(&batcher, &[1]);
    gate.started.recv().unwrap();
    let (bad, panics, good) = (
        submit(&batcher, &[13]),
        submit(&batcher, &[66]),
        submit(&batcher, &[7]),
    );
    for _ in 0..5 {
        gate.permit.send(()).unwrap(); // the first run, the merged one, and three single ones
    }
    assert!(running.blocking_recv().unwrap().is_ok());
    assert_eq!(
        bad.blocking_recv().unwrap(),
        Err(RunError::Model("13".into()))
    );
    assert!(
        matches!(panics.blocking_recv().unwrap(), Err(RunError::Model(text)) if text.contains("panicked"))
    );
    assert_eq!(good.blocking_recv().unwrap(), Ok(vec![7.0]));
    batcher.stop();
}

#[test]
fn a_lone_request_waits_for_company_but_not_longer() {
    let (backend, gate) = gated();
    let metrics = Metrics::new().unwrap().model("gated", Unit::Images);
    // Long enough for the test to time out if a full batch waited for it.
    let limits = Limits {
        max_batch: 2,
        max_queue: 9,
        max_delay: Duration::from_secs(3600),
    };
    let batcher = Batcher::start(backend, 2, limits, metrics).unwrap();
    let (one, other) = (submit(&batcher, &[1]), submit(&batcher, &[2]));
    gate.permit.send(()).unwrap();
    assert_eq!(gate.started.recv().unwrap(), 2, "they shared a run");
    assert_eq!(one.blocking_recv().unwrap(), Ok(vec![1.0]));
    assert_eq!(other.blocking_recv().unwrap(), Ok(vec![2.0]));
    let last = submit(&batcher, &[3]);
    gate.permit.send(()).unwrap();
    batcher.stop(); // does not wait for company either
    assert_eq!(last.blocking_recv().unwrap(), Ok(vec![3.0]));
    assert_eq!(
        batcher.submit(vec![(images(&[4]), 1)]).unwrap_err(),
        Refused::Stopping
    );
}
