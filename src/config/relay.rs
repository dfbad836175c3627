//! A relay: from which table, to which broker, under which rules.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::broker::ToConfig;
use super::retention::Retention;
use super::route::{self, RouteConfig};
use crate::delivery::guarantee::{self, Facts, Guarantee, Level};
use crate::delivery::{Route, TemplateError};
use crate::postgres::config::DatabaseConfig;
use crate::setting::{Duration, Size, one_of};

/// Rows fetched at once: 1,000 keep a round trip below a tenth of the work it brings.
const BATCH_DEFAULT: u32 = 1_000;
/// Ten batches: enough to keep a broker 10 ms away busy.
const IN_FLIGHT_DEFAULT: u32 = 10_000;
/// Half of the resident set that a relay aims at.
const BYTES_DEFAULT: Size = Size::from_mib(32);
/// A frozen holder is replaced after this long; three renewals fit in.
const LEASE_DEFAULT: Duration = Duration::from_secs(10);
/// A hiccup of a broker is over by then.
const FIRST_DEFAULT: Duration = Duration::from_millis(200);
/// From here on a lane is stored as a letter while others flow.
const MAX_DEFAULT: Duration = Duration::from_secs(60);
/// With the default rests about ten minutes of failures that speak of the message.
const ATTEMPTS_DEFAULT: u32 = 12;

/// One relay.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RelayConfig {
    /// Its own database, with all of its settings: nothing is taken from the common `database`.
    #[serde(default)]
    pub database: Option<DatabaseConfig>,
    /// How rows are found.
    #[serde(default)]
    pub from: SourceConfig,
    /// What a receiver reads as the event's origin (`ce_source`).
    #[serde(default)]
    #[schemars(length(min = 1), extend("x-default" = "/twinbox/<relay>"))]
    pub source: Option<String>,
    /// The broker, exactly one.
    #[schemars(extend("x-hint" = "write to: { kafka: { brokers: [\"host:9092\"] } }"))]
    pub to: ToConfig,
    /// Where each message goes: templates of `{aggregatetype} {aggregateid} {type} {id} {header:NAME}`.
    #[serde(default)]
    #[schemars(schema_with = "route::route_schema")]
    pub route: RouteConfig,
    /// How a row becomes a message.
    #[serde(default)]
    pub envelope: Envelope,
    /// What one relay may hold at a time.
    #[serde(default)]
    pub limits: Limits,
    /// How long the lease of a relay lasts that does not renew it; a standby waits that long for a frozen holder.
    #[serde(default = "lease_default")]
    pub lease: Duration,
    /// How long a failed key rests.
    #[serde(default)]
    pub retry: RetryConfig,
    /// What becomes of a message that the broker rejects, or that failed `retry.attempts` times.
    #[serde(default)]
    pub on_reject: OnReject,
    /// Where rejected messages go under `on_reject: dead_letter`: as `route`, with `{topic}` for where it should have gone.
    #[serde(default)]
    #[schemars(schema_with = "route::dead_letter_schema")]
    pub dead_letter: RouteConfig,
    /// How long published rows stay, for replays: a duration, `keep` (for ever), or `partitions` and a duration (`24h` when
    /// none is written), for an outbox that `twinbox migrate --partitions` made: then no row is deleted, whole partitions
    /// are dropped. The longest of the relays that share a table wins.
    #[serde(default)]
    pub retention: Retention,
    /// What must hold: the relay refuses to start when it does not.
    #[serde(default)]
    pub require: Vec<Require>,
}

/// Where rows come from, exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceConfig {
    /// Queries on the table itself.
    Cursor(CursorConfig),
}

/// The snapshot cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CursorConfig {
    /// The outbox table, `schema.table` or `table`.
    #[schemars(length(min = 1), extend("x-default" = "<database.schema>.outbox"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Where a relay begins that has no cursor yet.
    pub start: Start,
    /// How it learns of new rows.
    pub wake: Wake,
}

/// Where a new relay begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// With the oldest row.
    #[default]
    Earliest,
    /// With rows that commit from now on.
    Latest,
}

/// How a relay learns of new rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Wake {
    /// By notification where the trigger is installed, else by polling.
    #[default]
    Auto,
    /// By polling only, for connections through a pooler.
    Poll,
}

/// How a row becomes a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Envelope {
    /// CloudEvents 1.0, binary mode: attributes as headers, the payload as it is.
    #[default]
    Cloudevents,
    /// What Debezium's outbox event router writes, byte for byte.
    Debezium,
    /// The payload and the row's own headers, nothing else.
    Raw,
}

/// What one relay may hold at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Rows fetched by one query.
    #[schemars(range(min = 1, max = 100_000))]
    pub batch: u32,
    /// Messages fetched and not settled yet. Also bounds the duplicates after a crash. Not below `batch`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub in_flight: u32,
    /// Their bytes, with overhead: the larger part of the relay's memory. At least 1MiB.
    pub bytes: Size,
}

/// How long a failed key rests: exponentially longer, with full jitter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// The upper bound of the first rest.
    pub first: Duration,
    /// The upper bound of any rest. At most 15m.
    pub max: Duration,
    /// Failures that speak of the message itself, after which `on_reject` decides. Outages do not count.
    #[schemars(range(min = 1, max = 1_000))]
    pub attempts: u32,
}

/// What becomes of a rejected message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnReject {
    /// It is stored as a letter and its key waits behind it, in order, until an operator decides.
    #[default]
    Park,
    /// It goes to `dead_letter` and its key goes on.
    DeadLetter,
    /// Everything stops and says what to do.
    Halt,
}

/// What must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Require {
    /// Of a relay: every committed row reaches the broker or is stored as a letter. Of a consumer: an offset moves only past
    /// a durable effect or letter.
    NoLoss,
    /// The events of a key keep their order: the outbox's, or the partition's.
    Order,
    /// Each event's effect happens once: a promise of consumers only.
    EffectOnce,
    /// Every connection is encrypted.
    Tls,
}

// === impl RelayConfig ===

impl RelayConfig {
    /// The event source that receivers see, for the relay of this name.
    #[must_use]
    pub fn source_or_default(&self, name: &str) -> Cow<'_, str> {
        match &self.source {
            Some(source) => source.into(),
            None => format!("/twinbox/{name}").into(),
        }
    }

    /// The outbox table, `schema.table`, in that database.
    #[must_use]
    pub fn table(&self, database: &DatabaseConfig) -> String {
        self.written_table()
            .map_or_else(|| format!("{}.outbox", database.schema), str::to_owned)
    }

    pub(super) fn written_table(&self) -> Option<&str> {
        let SourceConfig::Cursor(cursor) = &self.from;
        cursor.table.as_deref()
    }

    /// What holds for this relay with that database, each with its reason. `env` is the environment: the database's URL
    /// may stand there.
    pub fn guarantees(&self, database: &DatabaseConfig, env: &dyn Fn(&str) -> Option<String>) -> [Guarantee; 4] {
        let backend = self.to.backend();
        guarantee::relay(Facts {
            broker: backend.capabilities,
            passes_rejected: self.on_reject == OnReject::DeadLetter,
            broker_encrypted: (backend.config.encrypted)(self.to.settings()),
            database_encrypted: database.encrypted(env),
        })
    }

    /// The route, with the broker's defaults where nothing is written.
    ///
    /// # Errors
    /// A template that does not parse, which a check would have reported before.
    pub fn route(&self) -> Result<Route, TemplateError> {
        route::resolved(self)
    }

    /// The route of dead letters, with the broker's defaults where nothing is written.
    ///
    /// # Errors
    /// As [`RelayConfig::route`].
    pub fn dead_letter_route(&self) -> Result<Route, TemplateError> {
        route::resolved_dead_letter(self)
    }
}

// === impl Require ===

impl Require {
    /// The promise that is asked for.
    #[must_use]
    pub const fn level(self) -> Level {
        match self {
            Self::NoLoss => Level::NoLoss,
            Self::Order => Level::Order,
            Self::EffectOnce => Level::EffectOnce,
            Self::Tls => Level::Tls,
        }
    }
}

// === impl SourceConfig ===

impl Default for SourceConfig {
    fn default() -> Self {
        Self::Cursor(CursorConfig::default())
    }
}

impl JsonSchema for SourceConfig {
    fn schema_name() -> Cow<'static, str> {
        "Source".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        one_of([("cursor", generator.subschema_for::<CursorConfig>())])
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch: BATCH_DEFAULT,
            in_flight: IN_FLIGHT_DEFAULT,
            bytes: BYTES_DEFAULT,
        }
    }
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            first: FIRST_DEFAULT,
            max: MAX_DEFAULT,
            attempts: ATTEMPTS_DEFAULT,
        }
    }
}

const fn lease_default() -> Duration {
    LEASE_DEFAULT
}
