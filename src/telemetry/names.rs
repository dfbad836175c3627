//! Names of metrics, attributes and log events, in one place.
//!
//! Promises: a metric that exists is named here, and one that is named here exists. The names follow the messaging
//! conventions of OpenTelemetry v1.44 (still in development there) and, where those have nothing, are our own under
//! `twinbox.`. Never a unit or `total` in a name: the Prometheus exporter adds both.

/// The schema that the `messaging.*` names are taken from.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";
/// The instrumentation scope of everything recorded here.
pub const SCOPE: &str = "twinbox";

// === messaging conventions ===

/// How long a batch's hand-over to the broker took, until its last receipt. Seconds.
pub const OPERATION_DURATION: &str = "messaging.client.operation.duration";
/// Messages that the broker has taken, by destination.
pub const SENT_MESSAGES: &str = "messaging.client.sent.messages";

/// Messages whose effect is durable.
pub const CONSUMED_MESSAGES: &str = "messaging.client.consumed.messages";
/// How long a batch took in the handler, its transaction included. Seconds.
pub const PROCESS_DURATION: &str = "messaging.process.duration";

// === ours: engines ===

/// From the commit of the row to the broker's receipt. Seconds.
pub const DELIVERY_LATENCY: &str = "twinbox.relay.delivery.latency";
/// Reading one window from the outbox. Seconds.
pub const FETCH_DURATION: &str = "twinbox.relay.fetch.duration";
/// Messages handed to the broker, repetitions included.
pub const PUBLISH_ATTEMPTS: &str = "twinbox.relay.publish.attempts";
/// Messages that the broker refused, by `error.type`.
pub const PUBLISH_FAILURES: &str = "twinbox.relay.publish.failures";
/// Headers of rows that gave way to a header of ours with that name.
pub const HEADER_CONFLICTS: &str = "twinbox.relay.header.conflicts";
/// Steps of retention and partition upkeep that failed or were held up, by `error.type`.
pub const UPKEEP_FAILURES: &str = "twinbox.relay.upkeep.failures";

/// Messages that failed in the handler, by `error.type`.
pub const PROCESS_FAILURES: &str = "twinbox.consumer.process.failures";
/// Messages that were done before, and not called for again.
pub const DEDUPLICATED: &str = "twinbox.consumer.deduplicated";

// === ours: read from the status ===

/// Rows waiting in the outbox.
pub const BACKLOG: &str = "twinbox.relay.backlog";
/// Age of the oldest waiting row: *the* service-level signal. Seconds.
pub const OLDEST_AGE: &str = "twinbox.relay.oldest.age";
/// Messages on their way to the broker.
pub const IN_FLIGHT: &str = "twinbox.relay.in_flight";
/// Lanes by state: flowing, resting, parked.
pub const LANES: &str = "twinbox.relay.lanes";
/// 1 on the process that holds the lease of the relay, else 0.
pub const LEADER: &str = "twinbox.relay.leader";
/// Letters by state: parked, queued, deferred, scheduled, dead.
pub const LETTERS: &str = "twinbox.letters";
/// One-hot: which state a component is in.
pub const HEALTH: &str = "twinbox.health";
/// Always 1, with the version as a label.
pub const BUILD_INFO: &str = "twinbox.build.info";
/// Losses suspected since the process started; anything above 0 pages.
pub const LOSS_SUSPECTED: &str = "twinbox.relay.loss.suspected";

/// Messages behind the newest, by partition.
pub const CONSUMER_LAG: &str = "twinbox.consumer.lag";
/// For how long the oldest message that is not settled has been at the broker. Seconds.
pub const CONSUMER_LAG_AGE: &str = "twinbox.consumer.lag.age";
/// Messages read from the broker and not settled.
pub const CONSUMER_IN_FLIGHT: &str = "twinbox.consumer.in_flight";
/// 1 while the application takes nothing, else 0.
pub const CONSUMER_PAUSED: &str = "twinbox.consumer.paused";
/// Lanes of a consumer by state: flowing, resting, parked.
pub const CONSUMER_LANES: &str = "twinbox.consumer.lanes";
/// Losses suspected since the process started; anything above 0 pages.
pub const CONSUMER_LOSS_SUSPECTED: &str = "twinbox.consumer.loss.suspected";
/// How much longer messages are remembered than the oldest unsettled one has waited. Seconds.
pub const DEDUPE_MARGIN: &str = "twinbox.dedupe.margin";

/// What is known of a metric besides its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// The OpenTelemetry name.
    pub name: &'static str,
    /// What kind of instrument.
    pub kind: Kind,
    /// UCUM unit; empty = a count.
    pub unit: &'static str,
    /// What it tells, for people.
    pub help: &'static str,
}

/// Kinds of instruments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Grows.
    Counter,
    /// Is what it is now.
    Gauge,
    /// Has a distribution.
    Histogram,
}

/// Every metric there is: `/metrics`, its documentation and its test are read from here.
pub const ALL: [Metric; 28] = [
    gauge(
        OLDEST_AGE,
        "s",
        "age of the oldest row that waits: the service-level signal",
    ),
    gauge(BACKLOG, "", "rows that wait in the outbox"),
    gauge(LEADER, "", "1 on the process that holds the relay's lease, else 0"),
    gauge(HEALTH, "", "1 for the state that a component is in, 0 for the others"),
    gauge(LANES, "", "lanes by state: flowing, resting, parked"),
    gauge(
        LETTERS,
        "",
        "letters by state: parked, queued, deferred, scheduled, dead",
    ),
    gauge(
        LOSS_SUSPECTED,
        "",
        "losses suspected since the process started; page on anything above 0",
    ),
    gauge(IN_FLIGHT, "", "messages read and not settled"),
    counter(SENT_MESSAGES, "messages that the broker has taken"),
    counter(PUBLISH_ATTEMPTS, "messages handed to the broker, repetitions included"),
    counter(PUBLISH_FAILURES, "messages that the broker refused, by error"),
    counter(
        HEADER_CONFLICTS,
        "headers of rows that gave way to a header of ours with that name",
    ),
    counter(
        UPKEEP_FAILURES,
        "steps of retention that failed or were held up by a lock, by SQLSTATE",
    ),
    histogram(
        DELIVERY_LATENCY,
        "from the insertion of the row to the broker's receipt",
    ),
    histogram(
        OPERATION_DURATION,
        "from handing messages to the broker to their receipt",
    ),
    histogram(FETCH_DURATION, "reading one window from the outbox"),
    gauge(
        CONSUMER_LAG_AGE,
        "s",
        "for how long the oldest message that is not settled has been at the broker: a consumer's service-level signal",
    ),
    gauge(CONSUMER_LAG, "", "messages behind the newest, by partition"),
    gauge(CONSUMER_IN_FLIGHT, "", "messages read from the broker and not settled"),
    gauge(CONSUMER_PAUSED, "", "1 while the application takes nothing, else 0"),
    gauge(
        CONSUMER_LANES,
        "",
        "lanes of a consumer by state: flowing, resting, parked",
    ),
    gauge(
        CONSUMER_LOSS_SUSPECTED,
        "",
        "losses that a consumer suspects since the process started; page on anything above 0",
    ),
    gauge(
        DEDUPE_MARGIN,
        "s",
        "how much longer messages are remembered than the oldest unsettled one has waited; below 0 an effect may happen twice",
    ),
    counter(CONSUMED_MESSAGES, "messages whose effect is durable"),
    counter(DEDUPLICATED, "messages that were done before, and not called for again"),
    counter(PROCESS_FAILURES, "messages that failed in the handler, by error"),
    histogram(PROCESS_DURATION, "a batch in the handler, its transaction included"),
    gauge(BUILD_INFO, "", "always 1; the version is a label"),
];

const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Metric {
    let kind = Kind::Gauge;
    Metric { name, kind, unit, help }
}

const fn counter(name: &'static str, help: &'static str) -> Metric {
    let (kind, unit) = (Kind::Counter, "");
    Metric { name, kind, unit, help }
}

const fn histogram(name: &'static str, help: &'static str) -> Metric {
    let (kind, unit) = (Kind::Histogram, "s");
    Metric { name, kind, unit, help }
}

// === impl Metric ===

impl Metric {
    /// What is known of the metric of that name.
    #[must_use]
    pub(crate) fn help(name: &str) -> &'static str {
        ALL.iter()
            .find(|metric| metric.name == name)
            .map_or("", |metric| metric.help)
    }

    /// The name in `/metrics`.
    #[must_use]
    pub fn prometheus(&self) -> String {
        let mut name = self.name.replace('.', "_");
        if self.unit == "s" {
            name.push_str("_seconds");
        }
        if self.kind == Kind::Counter {
            name.push_str("_total");
        }
        name
    }
}

/// The page about metrics.
#[must_use]
pub fn reference() -> String {
    let mut page = "<!-- Generated from src/telemetry/names.rs by `make generate`. -->\n# Metrics\n\n\
        In `/metrics` under the name on the left; by OTLP, when its standard variables are set, under the one on the \
        right. Labels name the relay or consumer, the destination, a state or an error, never a key or an id. What nobody knows has \
        no sample.\n\n| `/metrics` | kind | tells | OTLP |\n|---|---|---|---|\n"
        .to_owned();
    for metric in ALL {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let (prometheus, name, help) = (metric.prometheus(), metric.name, metric.help);
        page.push_str(&format!("| `{prometheus}` | {kind} | {help} | `{name}` |\n"));
    }
    page
}

// === attributes ===

/// The relay's name.
pub const RELAY: &str = "relay";
/// The consumer's name.
pub const CONSUMER: &str = "consumer";
/// The partition of a topic.
pub const PARTITION: &str = "messaging.destination.partition.id";
/// State of a lane, a letter or a component.
pub const STATE: &str = "state";
/// A component of `twinbox.health`.
pub const COMPONENT: &str = "component";
/// The state of a component of `twinbox.health`.
pub const STATUS: &str = "status";
/// The binary's version.
pub const VERSION: &str = "version";
/// `kafka`, `rabbitmq`, `aws_sqs`, `memory`.
pub const MESSAGING_SYSTEM: &str = "messaging.system";
/// The messaging system that a window is read from.
pub const OUTBOX: &str = "twinbox_outbox";
/// The topic, exchange and routing key, or queue.
pub const DESTINATION: &str = "messaging.destination.name";
/// `fetch` (a window of the outbox), `send`, `receive`, `process`, `settle`.
pub const OPERATION_NAME: &str = "messaging.operation.name";
/// The kind of operation in the conventions' words.
pub const OPERATION_TYPE: &str = "messaging.operation.type";
/// The group whose members share a topic's messages.
pub const CONSUMER_GROUP: &str = "messaging.consumer.group.name";
/// The event's id: on spans alone.
pub const MESSAGE_ID: &str = "messaging.message.id";
/// How many messages a batch had.
pub const BATCH_COUNT: &str = "messaging.batch.message_count";
/// What failed: the vendor's name for it.
pub const ERROR_TYPE: &str = "error.type";
