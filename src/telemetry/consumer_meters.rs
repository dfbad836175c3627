//! What a consumer counts and times: the same promises as [`Meters`](super::Meters).

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

use super::meters::SECONDS;
use super::names::{self, Metric};

/// The instruments of one consumer.
#[derive(Debug, Clone)]
pub struct ConsumerMeters {
    own: [KeyValue; 2],
    process: Histogram<f64>,
    consumed: Counter<u64>,
    deduplicated: Counter<u64>,
    failures: Counter<u64>,
}

// === impl ConsumerMeters ===

impl ConsumerMeters {
    /// The instruments of the consumer of that name, which reads from a broker of that system.
    #[must_use]
    pub fn new(meter: &Meter, consumer: &str, system: &str) -> Self {
        let count = |name: &'static str| meter.u64_counter(name).with_description(Metric::help(name)).build();
        let process = meter.f64_histogram(names::PROCESS_DURATION);
        let process = process.with_description(Metric::help(names::PROCESS_DURATION));
        Self {
            own: [
                KeyValue::new(names::CONSUMER, consumer.to_owned()),
                KeyValue::new(names::MESSAGING_SYSTEM, system.to_owned()),
            ],
            process: process.with_unit("s").with_boundaries(SECONDS.to_vec()).build(),
            consumed: count(names::CONSUMED_MESSAGES),
            deduplicated: count(names::DEDUPLICATED),
            failures: count(names::PROCESS_FAILURES),
        }
    }

    /// A batch of one topic came back from the handler: so many are done now, so many were before.
    pub fn processed(&self, topic: &str, (done, duplicates): (u64, u64), took: Duration) {
        let labels = self.labels(topic);
        self.process.record(took.as_secs_f64(), &labels);
        if done > 0 {
            self.consumed.add(done, &labels);
        }
        if duplicates > 0 {
            self.deduplicated.add(duplicates, &labels);
        }
    }

    /// Messages of one topic failed, for one reason.
    pub fn failed(&self, topic: &str, error_type: &str, messages: u64) {
        let [consumer, system, topic] = self.labels(topic);
        let error = KeyValue::new(names::ERROR_TYPE, error_type.to_owned());
        self.failures.add(messages, &[consumer, system, topic, error]);
    }

    fn labels(&self, topic: &str) -> [KeyValue; 3] {
        let [consumer, system] = self.own.clone();
        [consumer, system, KeyValue::new(names::DESTINATION, topic.to_owned())]
    }
}
