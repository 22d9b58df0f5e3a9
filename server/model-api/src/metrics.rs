//! What `/metrics` shows. The recorder belongs to one server, so that several servers in one process
//! do not mix their numbers.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Label, counter, gauge, histogram, with_local_recorder};
use metrics::{describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusRecorder};

use crate::TextStats;

const REQUESTS: &str = "model_api_requests_total";
const REJECTED: &str = "model_api_rejected_total";
const RUNS: &str = "model_api_runs_total";
const ABANDONED: &str = "model_api_abandoned_total";
const ENCODES: &str = "model_api_encodes_total";
const CACHE_HITS: &str = "model_api_cache_hits_total";
const REQUEST_SECONDS: &str = "model_api_request_seconds";
const RUN_SECONDS: &str = "model_api_run_seconds";

/// Bounds of the buckets, in seconds.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Bounds of the buckets, in images or texts.
const ITEMS: [f64; 11] = [
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0,
];

/// What a model takes; part of some metrics' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Images,
    Texts,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Texts => "texts",
        }
    }
}

pub(crate) struct Metrics {
    recorder: PrometheusRecorder,
    items: Counter,
    encodes: Counter,
    cache_hits: Counter,
    runs: Counter,
    abandoned: Counter,
    queue: Gauge,
    batch: Histogram,
    request_seconds: Histogram,
    run_seconds: Histogram,
}

impl Metrics {
    pub(crate) fn new(unit: Unit) -> Result<Self, BuildError> {
        let what = unit.name();
        let done = format!("model_api_{what}_total");
        let waiting = format!("model_api_queue_{what}");
        let in_run = format!("model_api_batch_{what}");
        let recorder = PrometheusBuilder::new()
            .set_buckets(&SECONDS)?
            .set_buckets_for_metric(Matcher::Full(in_run.clone()), &ITEMS)?
            .build_recorder();
        with_local_recorder(&recorder, || {
            describe_counter!(REQUESTS, "Inference requests answered, by HTTP status");
            describe_counter!(REJECTED, "Inference requests refused, by reason");
            describe_counter!(done.clone(), format!("{what} that the model has answered"));
            if unit == Unit::Texts {
                describe_counter!(ENCODES, "Texts that went through the network");
                describe_counter!(CACHE_HITS, "Texts whose embeddings were known");
            }
            describe_counter!(RUNS, "Runs of the model");
            describe_counter!(ABANDONED, "Requests whose client left the queue");
            describe_gauge!(waiting.clone(), format!("{what} that wait for a run"));
            describe_histogram!(in_run.clone(), format!("{what} in a run"));
            describe_histogram!(
                REQUEST_SECONDS,
                "Seconds from the request's head to its answer"
            );
            describe_histogram!(RUN_SECONDS, "Seconds that a run takes");
        });
        let with = |name: &str| with_local_recorder(&recorder, || counter!(name.to_owned()));
        let (items, runs, abandoned) = (with(&done), with(RUNS), with(ABANDONED));
        let (encodes, cache_hits) = match unit {
            Unit::Texts => (with(ENCODES), with(CACHE_HITS)),
            Unit::Images => (Counter::noop(), Counter::noop()),
        };
        let queue = with_local_recorder(&recorder, || gauge!(waiting));
        let with = |name: &str| with_local_recorder(&recorder, || histogram!(name.to_owned()));
        let (batch, request_seconds, run_seconds) =
            (with(&in_run), with(REQUEST_SECONDS), with(RUN_SECONDS));
        Ok(Self {
            recorder,
            items,
            encodes,
            cache_hits,
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

    /// That many items wait now.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn queued(&self, items: usize) {
        self.queue.set(items as f64);
    }

    /// The model ran once.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn ran(&self, items: usize, took: Duration) {
        self.runs.increment(1);
        self.items.increment(items as u64);
        self.batch.record(items as f64);
        self.run_seconds.record(took);
    }

    /// What a text model has done so far.
    pub(crate) fn encoded(&self, stats: TextStats) {
        self.encodes.absolute(stats.encodes);
        self.cache_hits.absolute(stats.cache_hits);
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
        let (one, other) = (
            Metrics::new(Unit::Images).unwrap(),
            Metrics::new(Unit::Texts).unwrap(),
        );
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

    #[test]
    fn texts_have_their_own_names() {
        let metrics = Metrics::new(Unit::Texts).unwrap();
        metrics.ran(3, Duration::from_millis(2));
        metrics.encoded(TextStats {
            encodes: 5,
            cache_hits: 7,
        });
        let text = metrics.render();
        for line in [
            "model_api_texts_total 3",
            "model_api_batch_texts_bucket{le=\"4\"} 1",
            "model_api_encodes_total 5",
            "model_api_cache_hits_total 7",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
