//! What an engine counts and times.
//!
//! Promises: recording never blocks, allocates per batch and destination (not per message), and costs nothing when
//! nobody reads. Gauges are not here: they are read from the engine's status when somebody asks, so that a value that
//! nobody knows is absent instead of stale.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

use super::names::{self, Metric};

/// From 5 ms to 10 s, the convention's buckets; latencies get more room above, for what waited out an outage.
pub(super) const SECONDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// The same and up to an hour.
const SECONDS_LONG: [f64; 15] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0, 3600.0,
];

/// The instruments of one relay.
#[derive(Debug, Clone)]
pub struct Meters {
    own: [KeyValue; 2],
    operation: Histogram<f64>,
    sent: Counter<u64>,
    latency: Histogram<f64>,
    fetch: Histogram<f64>,
    attempts: Counter<u64>,
    failures: Counter<u64>,
    upkeep: Counter<u64>,
    conflicts: Counter<u64>,
}

// === impl Meters ===

impl Meters {
    /// The instruments of the relay of that name, which writes to a broker of that system.
    #[must_use]
    pub fn new(meter: &Meter, relay: &str, system: &str) -> Self {
        let seconds = |name: &'static str, bounds: &[f64]| {
            let built = meter.f64_histogram(name).with_description(Metric::help(name));
            built.with_unit("s").with_boundaries(bounds.to_vec()).build()
        };
        let count = |name: &'static str| meter.u64_counter(name).with_description(Metric::help(name)).build();
        Self {
            own: [
                KeyValue::new(names::RELAY, relay.to_owned()),
                KeyValue::new(names::MESSAGING_SYSTEM, system.to_owned()),
            ],
            operation: seconds(names::OPERATION_DURATION, &SECONDS),
            sent: count(names::SENT_MESSAGES),
            latency: seconds(names::DELIVERY_LATENCY, &SECONDS_LONG),
            fetch: seconds(names::FETCH_DURATION, &SECONDS),
            attempts: count(names::PUBLISH_ATTEMPTS),
            failures: count(names::PUBLISH_FAILURES),
            upkeep: count(names::UPKEEP_FAILURES),
            conflicts: count(names::HEADER_CONFLICTS),
        }
    }

    /// Instruments that record nowhere, for tests and for programs that embed an engine without telemetry.
    #[must_use]
    pub fn silent() -> Self {
        use opentelemetry::metrics::MeterProvider as _;
        let provider = opentelemetry::metrics::noop::NoopMeterProvider::new();
        Self::new(&provider.meter(names::SCOPE), "", "")
    }

    /// A window was read.
    pub fn fetched(&self, took: Duration) {
        self.fetch.record(took.as_secs_f64(), &self.own[..1]);
    }

    /// Messages for one destination were handed to the broker.
    pub fn attempted(&self, destination: &str, messages: u64) {
        self.attempts.add(messages, &self.labels(destination));
    }

    /// Messages of one destination are durable at the broker, `took` after they were handed over.
    pub fn sent(&self, destination: &str, messages: u64, took: Duration) {
        let labels = self.labels(destination);
        self.sent.add(messages, &labels);
        self.operation.record(took.as_secs_f64(), &labels);
    }

    /// Messages of one destination failed, for one reason.
    pub fn failed(&self, destination: &str, error_type: &str, messages: u64) {
        let [relay, system, destination] = self.labels(destination);
        let labels = [
            relay,
            system,
            destination,
            KeyValue::new(names::ERROR_TYPE, error_type.to_owned()),
        ];
        self.failures.add(messages, &labels);
    }

    /// A step of upkeep did not do all that it should.
    pub fn upkeep_failed(&self, error_type: &str) {
        let [relay, _] = self.own.clone();
        let labels = [relay, KeyValue::new(names::ERROR_TYPE, error_type.to_owned())];
        self.upkeep.add(1, &labels);
    }

    /// Headers of rows gave way to ours.
    pub fn headers_gave_way(&self, headers: u64) {
        if headers > 0 {
            self.conflicts.add(headers, &self.own);
        }
    }

    /// How long ago the rows that are durable now were committed; the only thing recorded per message.
    pub fn delivered(&self, latencies: impl IntoIterator<Item = Duration>) {
        for latency in latencies {
            self.latency.record(latency.as_secs_f64(), &self.own);
        }
    }

    fn labels(&self, destination: &str) -> [KeyValue; 3] {
        let [relay, system] = self.own.clone();
        [relay, system, KeyValue::new(names::DESTINATION, destination.to_owned())]
    }
}
