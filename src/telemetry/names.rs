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

// === ours: engines ===

/// From the commit of the row to the broker's receipt. Seconds.
pub const DELIVERY_LATENCY: &str = "twinbox.relay.delivery.latency";
/// Reading one window from the outbox. Seconds.
pub const FETCH_DURATION: &str = "twinbox.relay.fetch.duration";
/// Messages handed to the broker, repetitions included.
pub const PUBLISH_ATTEMPTS: &str = "twinbox.relay.publish.attempts";
/// Messages that the broker refused, by `error.type`.
pub const PUBLISH_FAILURES: &str = "twinbox.relay.publish.failures";

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

/// Every metric above, for the documentation and its test.
pub const ALL: [&str; 15] = [
    OPERATION_DURATION,
    SENT_MESSAGES,
    DELIVERY_LATENCY,
    FETCH_DURATION,
    PUBLISH_ATTEMPTS,
    PUBLISH_FAILURES,
    BACKLOG,
    OLDEST_AGE,
    IN_FLIGHT,
    LANES,
    LEADER,
    LETTERS,
    HEALTH,
    BUILD_INFO,
    LOSS_SUSPECTED,
];

// === attributes ===

/// The relay's name.
pub const RELAY: &str = "relay";
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
/// The topic, exchange and routing key, or queue.
pub const DESTINATION: &str = "messaging.destination.name";
/// `send`, `receive`, `process`, `settle`.
pub const OPERATION_NAME: &str = "messaging.operation.name";
/// The kind of operation in the conventions' words.
pub const OPERATION_TYPE: &str = "messaging.operation.type";
/// How many messages a batch had.
pub const BATCH_COUNT: &str = "messaging.batch.message_count";
/// What failed: the vendor's name for it.
pub const ERROR_TYPE: &str = "error.type";
