//! What `/metrics` shows. The recorder belongs to one server, so that several servers in one process
//! do not mix their numbers.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Label, counter, gauge, histogram, with_local_recorder};
use metrics::{describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusRecorder};

const REQUESTS: &str = "model_api_requests_total";
const REJECTED: &str = "model_api_rejected_total";
const IMAGES_DONE: &str = "model_api_images_total";
const RUNS: &str = "model_api_runs_total";
const ABANDONED: &str = "model_api_abandoned_total";
const QUEUE: &str = "model_api_queue_images";
const BATCH: &str = "model_api_batch_images";
const REQUEST_SECONDS: &str = "model_api_request_seconds";
const RUN_SECONDS: &str = "model_api_run_seconds";

/// Bounds of the buckets, in seconds.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Bounds of the buckets, in images.
const IMAGES: [f64; 11] = [
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0,
];

pub(crate) struct Metrics {
    recorder: PrometheusRecorder,
    images: Counter,
    runs: Counter,
    abandoned: Counter,
    queue: Gauge,
    batch: Histogram,
    request_seconds: Histogram,
    run_seconds: Histogram,
}

impl Metrics {
    pub(crate) fn new() -> Result<Self, BuildError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets(&SECONDS)?
            .set_buckets_for_metric(Matcher::Full(BATCH.to_owned()), &IMAGES)?
            .build_recorder();
        with_local_recorder(&recorder, || {
            describe_counter!(REQUESTS, "Inference requests answered, by HTTP status");
            describe_counter!(REJECTED, "Inference requests refused, by reason");
            describe_counter!(IMAGES_DONE, "Images that the model has answered");
            describe_counter!(RUNS, "Runs of the model");
            describe_counter!(ABANDONED, "Requests whose client left the queue");
            describe_gauge!(QUEUE, "Images that wait for a run");
            describe_histogram!(BATCH, "Images in a run");
            describe_histogram!(
                REQUEST_SECONDS,
                "Seconds from the request's head to its answer"
            );
            describe_histogram!(RUN_SECONDS, "Seconds that a run takes");
        });
        let with = |name| with_local_recorder(&recorder, || counter!(name));
        let (images, runs, abandoned) = (with(IMAGES_DONE), with(RUNS), with(ABANDONED));
        let queue = with_local_recorder(&recorder, || gauge!(QUEUE));
        let with = |name| with_local_recorder(&recorder, || histogram!(name));
        let (batch, request_seconds, run_seconds) =
            (with(BATCH), with(REQUEST_SECONDS), with(RUN_SECONDS));
        Ok(Self {
            recorder,
            images,
            runs,
            abandoned,
            queue,
            batch,
            request_seconds,
            run_seconds,
        })
    }

    /// An inference request was answered.
    pub(crate) fn answered(&self, status: u16, took: Duration) {
        let labels = vec![Label::new("status", status.to_string())];
        with_local_recorder(&self.recorder, || counter!(REQUESTS, labels)).increment(1);
        self.request_seconds.record(took);
    }

    /// An inference request was refused.
    pub(crate) fn rejected(&self, reason: &'static str) {
        with_local_recorder(&self.recorder, || counter!(REJECTED, "reason" => reason)).increment(1);
    }

    /// Clients of `requests` queued requests have gone.
    pub(crate) fn abandoned(&self, requests: usize) {
        self.abandoned.increment(requests as u64);
    }

    /// That many images wait now.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn queued(&self, images: usize) {
        self.queue.set(images as f64);
    }

    /// The model ran once.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn ran(&self, images: usize, took: Duration) {
        self.runs.increment(1);
        self.images.increment(images as u64);
        self.batch.record(images as f64);
        self.run_seconds.record(took);
    }

    /// In Prometheus's text format.
    pub(crate) fn render(&self) -> String {
        self.recorder.handle().render()
    }

    /// Moves recorded samples into their histograms; without it they pile up until the next
    /// [`render`](Self::render).
    pub(crate) fn upkeep(&self) {
        self.recorder.handle().run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_servers_do_not_share_numbers() {
        let (one, other) = (Metrics::new().unwrap(), Metrics::new().unwrap());
        one.ran(3, Duration::from_millis(2));
        one.answered(200, Duration::from_millis(3));
        other.rejected("full");
        assert!(
            one.render().contains("model_api_images_total 3"),
            "{}",
            one.render()
        );
        assert!(
            one.render()
                .contains("model_api_requests_total{status=\"200\"} 1")
        );
        assert!(
            one.render()
                .contains("model_api_batch_images_bucket{le=\"4\"} 1")
        );
        assert!(!one.render().contains("reason=\"full\""));
        assert!(
            other
                .render()
                .contains("model_api_rejected_total{reason=\"full\"} 1")
        );
        assert!(!other.render().contains("model_api_images_total 3"));
    }
}
