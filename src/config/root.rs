//! The whole configuration, and the sections that belong to the process.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::consumer::ConsumerConfig;
use super::relay::RelayConfig;
use crate::postgres::config::DatabaseConfig;
use crate::setting::{Duration, Format, Secret};

/// Loopback: nobody else sees it until somebody decides so.
const LISTEN_DEFAULT: &str = "127.0.0.1:9640";
/// Kubernetes kills after 30 s by default: five of them stay for the telemetry and the exit.
const DEADLINE_DEFAULT: Duration = Duration::from_secs(25);

/// The names of relays and consumers: what a Kubernetes label, a variable and a table can all hold.
pub(super) const NAME_PATTERN: &str = "^(?!.*__)[a-z][a-z0-9_]{0,39}$";

/// twinbox's configuration.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Root {
    /// The version of this file's format, for migrations to come. Only 1 exists.
    #[schemars(range(min = 1, max = 1))]
    pub version: Option<u32>,
    /// The database that holds the outbox or the inbox. A relay or consumer may name its own.
    pub database: DatabaseConfig,
    /// The relays by name. The name is the identity of the relay's cursor and never changes meaning.
    #[schemars(schema_with = "relays")]
    pub relays: BTreeMap<String, RelayConfig>,
    /// The consumers by name. The name is the identity of what a consumer remembers and never changes meaning.
    #[schemars(schema_with = "consumers")]
    pub consumers: BTreeMap<String, ConsumerConfig>,
    /// The HTTP port for probes, metrics and operators.
    pub admin: AdminConfig,
    /// How a process ends.
    pub drain: DrainConfig,
    /// What it says.
    pub telemetry: TelemetryConfig,
}

/// The admin port.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// Address and port; port 0 takes a free one and prints it.
    #[schemars(schema_with = "listen")]
    pub listen: SocketAddr,
    /// What writing requests must carry (`Authorization: Bearer`). Without it they are refused, but a drain from loopback.
    pub token: Option<Secret>,
    /// What makes `/readyz` answer 200.
    pub readiness: Readiness,
}

/// When a process counts as ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// After start-up, for good: an outage never takes a sidecar's application out of its Service.
    #[default]
    Started,
    /// Only while database and broker answer: for Deployments of their own.
    Strict,
}

/// Draining on SIGTERM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DrainConfig {
    /// How long a drain may take before the process ends anyway, with a warning; nothing is lost either way. Keep it
    /// below the pod's grace period.
    pub deadline: Duration,
}

/// Telemetry. OTLP is configured by its own standard variables, `OTEL_*`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// The log, on stderr.
    pub log: LogConfig,
}

/// The log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// The least important line that is written.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
}

/// Importance of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Somebody must act.
    Error,
    /// Odd, nothing lost.
    Warn,
    /// A state changed.
    #[default]
    Info,
    /// Single messages.
    Debug,
    /// Everything.
    Trace,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

// === impl Root ===

impl Root {
    /// The database of one of the relays: its own, or that of all.
    #[must_use]
    pub fn database_of<'a>(&'a self, relay: &'a RelayConfig) -> &'a DatabaseConfig {
        relay.database.as_ref().unwrap_or(&self.database)
    }

    /// The database of one of the consumers: its own, or that of all.
    #[must_use]
    pub fn inbox_of<'a>(&'a self, consumer: &'a ConsumerConfig) -> &'a DatabaseConfig {
        consumer.database.as_ref().unwrap_or(&self.database)
    }
}

// === impl LogLevel ===

impl LogLevel {
    /// The name that log filters know.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9640)),
            token: None,
            readiness: Readiness::default(),
        }
    }
}

impl Default for DrainConfig {
    fn default() -> Self {
        Self {
            deadline: DEADLINE_DEFAULT,
        }
    }
}

/// The format of `admin.listen`.
pub(super) const LISTEN: Format = Format {
    name: "twinbox-listen",
    pattern: None,
    check: |text| match text.parse::<SocketAddr>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "\"{text}\" is no address with a port; write {LISTEN_DEFAULT}, or 0.0.0.0:9640 for all"
        )),
    },
};

fn listen(_: &mut SchemaGenerator) -> Schema {
    let mut schema = LISTEN.schema();
    schema.insert("default".to_owned(), LISTEN_DEFAULT.into());
    schema
}

fn relays(generator: &mut SchemaGenerator) -> Schema {
    by_name::<RelayConfig>(generator)
}

fn consumers(generator: &mut SchemaGenerator) -> Schema {
    by_name::<ConsumerConfig>(generator)
}

fn by_name<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "propertyNames": { "pattern": NAME_PATTERN },
        "additionalProperties": generator.subschema_for::<T>(),
    })
}
