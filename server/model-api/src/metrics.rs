//! The metrics at `/metrics`. Each server has its own registry, so that two servers in one process
//! do not mix their numbers. Metrics of one model carry its name as the label `model`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Error, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::TextStats;

const MODEL: &str = "model";

/// Bounds of the histograms' buckets in seconds.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Bounds of the histograms' buckets in images or texts.
const ITEMS: [f64; 11] = [
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0,
];

/// What a model takes, which is part of some metrics' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Images,
    Texts,
}

/// All metrics of one server. Clones share them.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<Families>);

struct Families {
    registry: Registry,
    requests: IntCounterVec,
    rejected: IntCounterVec,
    request_seconds: HistogramVec,
    run_seconds: HistogramVec,
    runs: IntCounterVec,
    abandoned: IntCounterVec,
    encodes: IntCounterVec,
    cache_hits: IntCounterVec,
    images: PerUnit,
    texts: PerUnit,
    /// Held while totals are updated, which reads a counter before it adds to it.
    updating: Mutex<()>,
}

/// Families of metrics whose names say what a model takes.
struct PerUnit {
    done: IntCounterVec,
    waiting: IntGaugeVec,
    in_run: HistogramVec,
}

impl PerUnit {
    fn new(registry: &Registry, what: &str) -> Result<Self, Error> {
        let name = |name: &str| name.replace("{}", what);
        Ok(Self {
            done: counters(
                registry,
                &name("model_api_{}_total"),
                &name("{} that the model has answered"),
                &[MODEL],
            )?,
            waiting: registered(
                registry,
                IntGaugeVec::new(
                    Opts::new(name("model_api_queue_{}"), name("{} that wait for a run")),
                    &[MODEL],
                ),
            )?,
            in_run: histograms(
                registry,
                &name("model_api_batch_{}"),
                &name("{} in a run"),
                &ITEMS,
            )?,
        })
    }
}

/// The metrics of one model.
pub(crate) struct ModelMetrics {
    items: IntCounter,
    runs: IntCounter,
    abandoned: IntCounter,
    queue: IntGauge,
    batch: Histogram,
    run_seconds: Histogram,
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    made: Result<C, Error>,
) -> Result<C, Error> {
    let made = made?;
    registry.register(Box::new(made.clone()))?;
    Ok(made)
}

fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, Error> {
    registered(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

/// Makes histograms by model.
fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    bounds: &[f64],
) -> Result<HistogramVec, Error> {
    let options = HistogramOpts::new(name, help).buckets(bounds.to_vec());
    registered(registry, HistogramVec::new(options, &[MODEL]))
}

impl Metrics {
    pub(crate) fn new() -> Result<Self, Error> {
        let registry = Registry::new();
        let counters =
            |name: &str, help: &str, labels: &[&str]| counters(&registry, name, help, labels);
        let histograms = |name: &str, help: &str| histograms(&registry, name, help, &SECONDS);
        Ok(Self(Arc::new(Families {
            requests: counters(
                "model_api_requests_total",
                "Inference requests answered, by HTTP status",
                &[MODEL, "status"],
            )?,
            rejected: counters(
                "model_api_rejected_total",
                "Inference requests refused, by reason",
                &[MODEL, "reason"],
            )?,
            request_seconds: histograms(
                "model_api_request_seconds",
                "Seconds from the request's head to its answer",
            )?,
            run_seconds: histograms("model_api_run_seconds", "Seconds that a run takes")?,
            runs: counters("model_api_runs_total", "Runs of the model", &[MODEL])?,
            abandoned: counters(
                "model_api_abandoned_total",
                "Requests whose client left the queue",
                &[MODEL],
            )?,
            encodes: counters(
                "model_api_encodes_total",
                "Texts that went through the network",
                &[MODEL],
            )?,
            cache_hits: counters(
                "model_api_cache_hits_total",
                "Texts whose embeddings were known",
                &[MODEL],
            )?,
            images: PerUnit::new(&registry, "images")?,
            texts: PerUnit::new(&registry, "texts")?,
            updating: Mutex::default(),
            registry,
        })))
    }

    /// The metrics of the model `name`. If it was loaded before, they continue where they were.
    pub(crate) fn model(&self, name: &str, unit: Unit) -> Arc<ModelMetrics> {
        let all = &*self.0;
        let of_unit = match unit {
            Unit::Images => &all.images,
            Unit::Texts => {
                // Shown from the start, before any text was read.
                all.encodes.with_label_values(&[name]);
                all.cache_hits.with_label_values(&[name]);
                &all.texts
            }
        };
        Arc::new(ModelMetrics {
            items: of_unit.done.with_label_values(&[name]),
            runs: all.runs.with_label_values(&[name]),
            abandoned: all.abandoned.with_label_values(&[name]),
            queue: of_unit.waiting.with_label_values(&[name]),
            batch: of_unit.in_run.with_label_values(&[name]),
            run_seconds: all.run_seconds.with_label_values(&[name]),
        })
    }

    /// Counts an answered inference request. `model` is empty if the request named none that
    /// exists.
    pub(crate) fn answered(&self, model: &str, status: u16, took: Duration) {
        let all = &*self.0;
        all.requests
            .with_label_values(&[model, &status.to_string()])
            .inc();
        all.request_seconds
            .with_label_values(&[model])
            .observe(took.as_secs_f64());
    }

    /// Counts a refused inference request. `model` is empty if the request named none that exists.
    pub(crate) fn rejected(&self, model: &str, reason: &'static str) {
        self.0.rejected.with_label_values(&[model, reason]).inc();
    }

    /// Updates what the text model `model` has done since the server started. A total below the
    /// last one changes nothing.
    pub(crate) fn encoded(&self, model: &str, stats: TextStats) {
        let all = &*self.0;
        let _alone = all.updating.lock().unwrap_or_else(PoisonError::into_inner);
        for (family, total) in [
            (&all.encodes, stats.encodes),
            (&all.cache_hits, stats.cache_hits),
        ] {
            let counter = family.with_label_values(&[model]);
            counter.inc_by(total.saturating_sub(counter.get()));
        }
    }

    /// Writes all metrics in Prometheus's text format.
    pub(crate) fn render(&self) -> Result<String, Error> {
        TextEncoder::new().encode_to_string(&self.0.registry.gather())
    }
}

impl ModelMetrics {
    /// Counts `parts` queued parts whose clients have gone. A part is a request, or a run's worth
    /// of a large one.
    pub(crate) fn abandoned(&self, parts: usize) {
        self.abandoned.inc_by(parts as u64);
    }

    /// Sets the number of items that wait.
    pub(crate) fn queued(&self, items: usize) {
        self.queue.set(i64::try_from(items).unwrap_or(i64::MAX));
    }

    /// Counts one run of the model.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn ran(&self, items: usize, took: Duration) {
        self.runs.inc();
        self.items.inc_by(items as u64);
        self.batch.observe(items as f64);
        self.run_seconds.observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests;
