//! A consumer: from which broker, to which handler, under which rules.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::broker::FromConfig;
use super::relay::{OnReject, Require};
use super::route::{self, RouteConfig};
use crate::contract::Start;
use crate::delivery::guarantee::{self, ConsumerFacts, EffectBy, Guarantee};
use crate::delivery::{Route, TemplateError};
use crate::handler::config::{Dedupe, HttpConfig};
use crate::postgres::config::DatabaseConfig;
use crate::setting::{Duration, Format, Size, one_of};

/// Eight batches: enough for a busy handler while a page is on its way.
const IN_FLIGHT_DEFAULT: u32 = 4_000;
/// Half of the resident set that a consumer aims at.
const BYTES_DEFAULT: Size = Size::from_mib(32);
/// A deploy's restart of the application is over after a few of these.
const FIRST_DEFAULT: Duration = Duration::from_millis(500);
/// Long enough that a broken dependency is not hammered, short enough that nobody waits an hour after the repair.
const MAX_DEFAULT: Duration = Duration::from_secs(600);
/// With the default rests about an hour of failures that speak of the message.
const ATTEMPTS_DEFAULT: u32 = 12;
/// A weekend and both Fridays: what Kafka keeps by default is remembered for as long.
const RETENTION_DEFAULT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Beyond 500 a transaction's own cost is gone from the bill, and a bisection only takes longer.
const SQL_BATCH_DEFAULT: u32 = 500;

/// One consumer.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsumerConfig {
    /// Its own database, with all of its settings: nothing is taken from the common `database`. Inbox, letters and position
    /// are there, and the function of `handler.sql`.
    #[serde(default)]
    pub database: Option<DatabaseConfig>,
    /// The broker, exactly one.
    #[schemars(extend("x-hint" = "write from: { kafka: { brokers: [\"host:9092\"], topics: [order.events] } }"))]
    pub from: FromConfig,
    /// Who does the work, exactly one of these.
    #[schemars(extend(
        "x-hint" = "write handler: { sql: { function: billing.on_event } } or handler: { http: { url: \"http://127.0.0.1:8080/events\" } }"
    ))]
    pub handler: HandlerConfig,
    /// What one consumer may hold at a time.
    #[serde(default)]
    pub limits: ConsumerLimits,
    /// How long a failed key rests.
    #[serde(default)]
    pub retry: ConsumerRetry,
    /// What becomes of a message that the handler rejects, or that failed `retry.attempts` times.
    #[serde(default)]
    pub on_reject: OnReject,
    /// Where rejected messages go under `on_reject: dead_letter`, at the same broker: `{topic}` is where they were read.
    #[serde(default)]
    #[schemars(schema_with = "route::consumer_dead_letter_schema")]
    pub dead_letter: RouteConfig,
    /// How a message is read.
    #[serde(default)]
    pub envelope: ReadEnvelope,
    /// How a message is recognised that was done before.
    #[serde(default)]
    pub dedupe: DedupeConfig,
    /// What must hold: the consumer refuses to start when it does not.
    #[serde(default)]
    pub require: Vec<Require>,
}

/// Who does the work, exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandlerConfig {
    /// A function in the database.
    Sql(SqlConfig),
    /// An application, by POST.
    Http(HttpConfig),
}

/// A function of the consumer's database, called in the transaction that remembers the message: its effect happens once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlConfig {
    /// The function, `schema.function`. Its parameters are matched by name, any of `id uuid`, `key text`, `type text`,
    /// `payload` (bytea, jsonb, json or text), `headers jsonb`, `occurred_at timestamptz`, `attempt int`, `source text`,
    /// `position text`, in any order; it returns void. SQLSTATE `TB001` rejects the message, `TB002` asks for a retry.
    #[schemars(length(min = 1), extend("x-hint" = "write function: billing.on_event"))]
    pub function: String,
    /// Messages of one transaction. One that fails is found by bisection, and the others are done.
    #[serde(default = "sql_batch_default")]
    #[schemars(range(min = 1, max = 500))]
    pub batch: u32,
}

/// What one consumer may hold at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConsumerLimits {
    /// Messages read and not settled yet, over all partitions. Also bounds what is called again after a crash.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub in_flight: u32,
    /// Their bytes, with overhead: the larger part of the consumer's memory. At least 1MiB.
    pub bytes: Size,
}

/// How long a failed key rests: exponentially longer, with full jitter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConsumerRetry {
    /// The upper bound of the first rest.
    pub first: Duration,
    /// The upper bound of any rest. At most 15m.
    pub max: Duration,
    /// Failures that speak of the message itself, after which `on_reject` decides. Outages of the application do not count.
    #[schemars(range(min = 1, max = 1_000))]
    pub attempts: u32,
}

/// How a message is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadEnvelope {
    /// The first that fits: `CloudEvents`, Debezium's outbox router, else the message as it is.
    #[default]
    Auto,
    /// CloudEvents 1.0, binary or structured.
    Cloudevents,
    /// What Debezium's outbox event router writes.
    Debezium,
    /// Key, value and headers as they are. Without an id of its own a message is known by topic, partition and offset.
    Raw,
}

/// How a message is recognised that was done before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DedupeConfig {
    /// What it is recognised by: `id`, the event's; `header:NAME` or `payload:/json/pointer`, a business key. A message that
    /// lacks the business key is recognised by its id, and counted.
    #[schemars(schema_with = "by_schema")]
    pub by: By,
    /// Whether equal ids of two topics are the same message.
    pub scope: Scope,
    /// How long it is remembered. Longer than the broker may deliver anything again (`twinbox doctor` compares), or an effect
    /// may happen twice.
    pub retention: Duration,
}

/// What a message is recognised by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum By {
    /// The event's id.
    #[default]
    Id,
    /// The value of that header.
    Header(String),
    /// The scalar at that JSON pointer of the payload.
    Payload(String),
}

/// Within what an id is unique.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All topics of the consumer.
    #[default]
    Consumer,
    /// One topic.
    Topic,
}

// === impl ConsumerConfig ===

impl ConsumerConfig {
    /// What holds for this consumer with that database, each with its reason. `env` is the environment: the database's URL
    /// may stand there.
    pub fn guarantees(&self, database: &DatabaseConfig, env: &dyn Fn(&str) -> Option<String>) -> [Guarantee; 4] {
        guarantee::consumer(&ConsumerFacts {
            broker: self.from.backend().capabilities,
            passes_rejected: self.on_reject == OnReject::DeadLetter,
            effect: self.handler.effect(),
            retention: self.dedupe.retention.to_string(),
            broker_encrypted: (self.from.consume().encrypted)(self.from.settings()),
            handler_encrypted: self.handler.encrypted(),
            database_encrypted: database.encrypted(env),
        })
    }

    /// The group whose members share its messages; none where the broker has no groups.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<String> {
        (self.from.consume().group)(self.from.settings(), name)
    }

    /// Where it begins without a position of record.
    #[must_use]
    pub fn start(&self) -> Start {
        match self.from.settings().text("start") {
            Some("latest") => Start::Latest,
            // A check has refused any other text.
            Some(text) => text.parse().map_or(Start::Earliest, Start::At),
            None => Start::Earliest,
        }
    }

    /// The route of dead letters for what is read of that topic, with the broker's defaults where nothing is written.
    ///
    /// # Errors
    /// A template that does not parse, which a check would have reported before.
    pub fn dead_letter_route(&self, topic: &str) -> Result<Route, TemplateError> {
        route::consumer_dead_letter(self, topic)
    }
}

// === impl HandlerConfig ===

impl HandlerConfig {
    /// Its name in the configuration.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Sql(_) => "sql",
            Self::Http(_) => "http",
        }
    }

    /// Messages of one call.
    #[must_use]
    pub const fn batch(&self) -> u32 {
        match self {
            Self::Sql(sql) => sql.batch,
            Self::Http(http) => http.batch,
        }
    }

    /// How its effect and the memory of it come together.
    const fn effect(&self) -> EffectBy {
        match self {
            Self::Sql(_) => EffectBy::Transaction,
            Self::Http(http) => match http.dedupe {
                Dedupe::Verify => EffectBy::Verify,
                Dedupe::Claim => EffectBy::Claim,
            },
        }
    }

    fn encrypted(&self) -> bool {
        match self {
            // The database's connection speaks for it.
            Self::Sql(_) => true,
            Self::Http(http) => http.encrypted(),
        }
    }
}

impl JsonSchema for HandlerConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Handler".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        one_of([
            ("sql", generator.subschema_for::<SqlConfig>()),
            ("http", generator.subschema_for::<HttpConfig>()),
        ])
    }
}

// === impl By ===

/// The format of [`By`].
pub(super) const BY: Format = Format {
    name: "twinbox-dedupe-by",
    pattern: Some("^(id|header:.+|payload:/.*)$"),
    check: |text| By::parse(text).map(drop),
};

impl By {
    fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "id" => Ok(Self::Id),
            Some(("header", name)) if is_header(name) => Ok(Self::Header(name.to_owned())),
            Some(("payload", pointer)) if is_pointer(pointer) => Ok(Self::Payload(pointer.to_owned())),
            Some(("header", _)) => Err(format!("\"{text}\" names no header; write header:order-id")),
            Some(("payload", _)) => Err(format!(
                "\"{text}\" has no JSON pointer (RFC 6901: each part begins with /); write payload:/order/id"
            )),
            _ => Err(format!(
                "\"{text}\" is not known; write id, header:NAME or payload:/json/pointer"
            )),
        }
    }
}

fn is_header(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic() && c != ':')
}

/// `~` is only an escape, `~0` or `~1`.
fn is_pointer(text: &str) -> bool {
    text.starts_with('/') && text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']))
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id => f.write_str("id"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Payload(pointer) => write!(f, "payload:{pointer}"),
        }
    }
}

impl Serialize for By {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for By {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

fn by_schema(_: &mut SchemaGenerator) -> Schema {
    BY.schema()
}

impl Default for ConsumerLimits {
    fn default() -> Self {
        Self {
            in_flight: IN_FLIGHT_DEFAULT,
            bytes: BYTES_DEFAULT,
        }
    }
}

impl Default for ConsumerRetry {
    fn default() -> Self {
        Self {
            first: FIRST_DEFAULT,
            max: MAX_DEFAULT,
            attempts: ATTEMPTS_DEFAULT,
        }
    }
}

impl Default for DedupeConfig {
    fn default() -> Self {
        Self {
            by: By::Id,
            scope: Scope::Consumer,
            retention: RETENTION_DEFAULT,
        }
    }
}

const fn sql_batch_default() -> u32 {
    SQL_BATCH_DEFAULT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_is_recognised_by_reads_as_it_is_written() {
        for text in [
            "id",
            "header:order-id",
            "payload:/order/id",
            "payload:/a~1b/~0",
            "payload:/",
        ] {
            assert_eq!(By::parse(text).expect(text).to_string(), text);
        }
        for text in [
            "",
            "ID",
            "header:",
            "header: x",
            "payload:",
            "payload:order",
            "payload:/a~2",
            "body:/x",
        ] {
            assert!(By::parse(text).is_err(), "{text}");
        }
    }
}
