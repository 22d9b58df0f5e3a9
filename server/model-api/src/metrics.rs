//! The content of `/metrics`. The recorder belongs to one server, so that several servers in one
//! process do not mix their numbers; metrics of a model have its name as the label `model`.

use std::sync::Arc;
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
const MODEL: &str = "model";

/// Bounds of the buckets, in seconds.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Bounds of the buckets, in images or texts.
const ITEMS: [f64; 11] = [
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0,
];

/// What a model takes; part of the names of some metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Images,
    Texts,
}

impl Unit {
    const ALL: [Self; 2] = [Self::Images, Self::Texts];

    fn name(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Texts => "texts",
        }
    }

    fn done(self) -> String {
        format!("model_api_{}_total", self.name())
    }

    fn waiting(self) -> String {
        format!("model_api_queue_{}", self.name())
    }

    fn in_run(self) -> String {
        format!("model_api_batch_{}", self.name())
    }
}

/// All metrics of one server.
#[derive(Clone)]
pub(crate) struct Metrics {
    recorder: Arc<PrometheusRecorder>,
}

/// The metrics of one model.
pub(crate) struct ModelMetrics {
    items: Counter,
    encodes: Counter,
    cache_hits: Counter,
    runs: Counter,
    abandoned: Counter,
    queue: Gauge,
    batch: Histogram,
    run_seconds: Histogram,
}

impl Metrics {
    pub(crate) fn new() -> Result<Self, BuildError> {
        let mut builder = PrometheusBuilder::new().set_buckets(&SECONDS)?;
        for unit in Unit::ALL {
            builder = builder.set_buckets_for_metric(Matcher::Full(unit.in_run()), &ITEMS)?;
        }
        let recorder = builder.build_recorder();
        with_local_recorder(&recorder, || {
            describe_counter!(REQUESTS, "Inference requests answered, by HTTP status");
            describe_counter!(REJECTED, "Inference requests refused, by reason");
            for unit in Unit::ALL {
                let what = unit.name();
                describe_counter!(unit.done(), format!("{what} that the model has answered"));
                describe_gauge!(unit.waiting(), format!("{what} that wait for a run"));
                describe_histogram!(unit.in_run(), format!("{what} in a run"));
            }
            describe_counter!(ENCODES, "Texts that went through the network");
            describe_counter!(CACHE_HITS, "Texts whose embeddings were known");
            describe_counter!(RUNS, "Runs of the model");
            describe_counter!(ABANDONED, "Requests whose client left the queue");
            describe_histogram!(
                REQUEST_SECONDS,
                "Seconds from the request's head to its answer"
            );
            describe_histogram!(RUN_SECONDS, "Seconds that a run takes");
        });
        Ok(Self {
            recorder: Arc::new(recorder),
        })
    }

    /// The metrics of the model `name`. After a reload of the model they continue.
    pub(crate) fn model(&self, name: &str, unit: Unit) -> Arc<ModelMetrics> {
        let labels = || vec![Label::new(MODEL, name.to_owned())];
        with_local_recorder(&*self.recorder, || {
            let (encodes, cache_hits) = match unit {
                Unit::Texts => (counter!(ENCODES, labels()), counter!(CACHE_HITS, labels())),
                Unit::Images => (Counter::noop(), Counter::noop()),
            };
            Arc::new(ModelMetrics {
                items: counter!(unit.done(), labels()),
                encodes,
                cache_hits,
                runs: counter!(RUNS, labels()),
                abandoned: counter!(ABANDONED, labels()),
                queue: gauge!(unit.waiting(), labels()),
                batch: histogram!(unit.in_run(), labels()),
                run_seconds: histogram!(RUN_SECONDS, labels()),
            })
        })
    }

    /// Counts an answered inference request. `model` is empty if the request named none that
    /// exists.
    pub(crate) fn answered(&self, model: &str, status: u16, took: Duration) {
        let model = Label::new(MODEL, model.to_owned());
        let labels = vec![model.clone(), Label::new("status", status.to_string())];
        with_local_recorder(&*self.recorder, || {
            counter!(REQUESTS, labels).increment(1);
            histogram!(REQUEST_SECONDS, vec![model]).record(took);
        });
    }

    /// Counts a refused inference request. `model` as in [`answered`](Self::answered).
    pub(crate) fn rejected(&self, model: &str, reason: &'static str) {
        let labels = vec![
            Label::new(MODEL, model.to_owned()),
            Label::new("reason", reason),
        ];
        with_local_recorder(&*self.recorder, || counter!(REJECTED, labels)).increment(1);
    }

    /// Renders the metrics in Prometheus's text format.
    pub(crate) fn render(&self) -> String {
        self.recorder.handle().render()
    }

    /// Moves recorded samples into their histograms; without it they pile up until the next
    /// [`render`](Self::render).
    pub(crate) fn upkeep(&self) {
        self.recorder.handle().run_upkeep();
    }
}

impl ModelMetrics {
    /// Counts `parts` in the queue whose clients have gone.
    pub(crate) fn abandoned(&self, parts: usize) {
        self.abandoned.increment(parts as u64);
    }

    /// Sets the number of items that wait now.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn queued(&self, items: usize) {
        self.queue.set(items as f64);
    }

    /// Records one run of the model.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn ran(&self, items: usize, took: Duration) {
        self.runs.increment(1);
        self.items.increment(items as u64);
        self.batch.record(items as f64);
        self.run_seconds.record(took);
    }

    /// Records a text model's counters.
    pub(crate) fn encoded(&self, stats: TextStats) {
        self.encodes.absolute(stats.encodes);
        self.cache_hits.absolute(stats.cache_hits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_servers_nor_models_share_numbers() {
        let (one, other) = (Metrics::new().unwrap(), Metrics::new().unwrap());
        let (first, second) = (one.model("a", Unit::Images), one.model("b", Unit::Images));
        first.ran(3, Duration::from_millis(2));
        second.ran(5, Duration::from_millis(2));
        // As after a reload.
        one.model("a", Unit::Images)
            .ran(1, Duration::from_millis(2));
        one.answered("a", 200, Duration::from_millis(3));
        other.rejected("", "full");
        let text = one.render();
        for line in [
            "model_api_images_total{model=\"a\"} 4",
            "model_api_images_total{model=\"b\"} 5",
            "model_api_requests_total{model=\"a\",status=\"200\"} 1",
            "model_api_request_seconds_count{model=\"a\"} 1",
            "model_api_batch_images_bucket{model=\"a\",le=\"4\"} 2",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("reason=\"full\""));
        let text = other.render();
        assert!(text.contains("model_api_rejected_total{model=\"\",reason=\"full\"} 1"));
        assert!(!text.contains("model_api_images_total{"));
    }

    #[test]
    fn texts_have_their_own_names() {
        let all = Metrics::new().unwrap();
        let metrics = all.model("a", Unit::Texts);
        metrics.ran(3, Duration::from_millis(2));
        metrics.encoded(TextStats {
            encodes: 5,
            cache_hits: 7,
        });
        let text = all.render();
        for line in [
            "model_api_texts_total{model=\"a\"} 3",
            "model_api_batch_texts_bucket{model=\"a\",le=\"4\"} 1",
            "model_api_encodes_total{model=\"a\"} 5",
            "model_api_cache_hits_total{model=\"a\"} 7",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
