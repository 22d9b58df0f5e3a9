//! The metrics at `/metrics`. Each server has its own registry, because two may run in one process.

use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use std::time::Duration;

/// All metrics of one server.
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    transactions: HistogramVec,
    retries: IntCounterVec,
    rounds: IntCounterVec,
    phases: HistogramVec,
    messages: IntCounterVec,
    refusals: IntCounterVec,
    /// Set from the database when `/metrics` is read.
    pub(crate) live: IntGaugeVec,
    /// Number of updates stored.
    pub(crate) updates: IntCounter,
    /// Number of bytes of bodies read.
    pub(crate) bytes_in: IntCounter,
}

impl Metrics {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let made = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let counter = |name: &str, help: &str| {
            let made = IntCounter::new(name, help)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let requests = counters(
            "aggregator_requests_total",
            "Requests answered.",
            &["route", "status"],
        )?;
        let retries = counters(
            "aggregator_transaction_retries_total",
            "Transactions tried again.",
            &["name"],
        )?;
        let rounds = counters(
            "aggregator_rounds_total",
            "Rounds that ended, well or why not.",
            &["outcome"],
        )?;
        let messages = counters(
            "aggregator_sum_messages_total",
            "Messages of secure sums accepted.",
            &["phase"],
        )?;
        let refusals = counters("aggregator_refusals_total", "Requests refused.", &["code"])?;
        let updates = counter(
            "aggregator_updates_total",
            "Updates accepted, masked ones too.",
        )?;
        let bytes_in = counter(
            "aggregator_received_bytes_total",
            "Bytes of request bodies read.",
        )?;
        let buckets = vec![
            0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0,
        ];
        let transactions = HistogramVec::new(
            HistogramOpts::new(
                "aggregator_transaction_seconds",
                "Duration of transactions.",
            )
            .buckets(buckets),
            &["name", "outcome"],
        )?;
        registry.register(Box::new(transactions.clone()))?;
        let phases = HistogramVec::new(
            HistogramOpts::new(
                "aggregator_phase_seconds",
                "Duration of a round's phases, from the start of their clocks.",
            )
            .buckets(vec![
                0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0,
            ]),
            &["phase"],
        )?;
        registry.register(Box::new(phases.clone()))?;
        let live = IntGaugeVec::new(
            Opts::new(
                "aggregator_live_participants",
                "Participants heard of lately.",
            ),
            &["federation"],
        )?;
        registry.register(Box::new(live.clone()))?;
        Ok(Self {
            registry,
            requests,
            transactions,
            retries,
            rounds,
            phases,
            messages,
            refusals,
            live,
            updates,
            bytes_in,
        })
    }

    pub(crate) fn request(&self, route: &str, status: u16) {
        self.requests
            .with_label_values(&[route, &status.to_string()])
            .inc();
    }

    pub(crate) fn transaction(&self, name: &str, outcome: &str, took: Duration) {
        self.transactions
            .with_label_values(&[name, outcome])
            .observe(took.as_secs_f64());
    }

    pub(crate) fn retry(&self, name: &str) {
        self.retries.with_label_values(&[name]).inc();
    }

    pub(crate) fn round(&self, outcome: &str) {
        self.rounds.with_label_values(&[outcome]).inc();
    }

    pub(crate) fn phase(&self, name: &str, took: Duration) {
        self.phases
            .with_label_values(&[name])
            .observe(took.as_secs_f64());
    }

    pub(crate) fn message(&self, phase: &str) {
        self.messages.with_label_values(&[phase]).inc();
    }

    pub(crate) fn refusal(&self, code: &str) {
        self.refusals.with_label_values(&[code]).inc();
    }

    /// Writes the metrics in Prometheus's text format.
    pub(crate) fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}
