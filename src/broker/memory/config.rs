//! The memory broker's section of the configuration: it has nothing to set.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::setting::{BackendConfig, ConsumeConfig, RouteField};

/// A broker inside this process. What it holds is gone when the process ends: for tests and first steps only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MemoryConfig {}

/// What is consumed from a broker inside this process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MemorySourceConfig {
    /// The topics.
    pub topics: Vec<String>,
}

/// The memory broker as the configuration knows it.
pub const CONFIG: BackendConfig = BackendConfig {
    name: "memory",
    schema: |generator| generator.subschema_for::<MemoryConfig>(),
    route: &[RouteField {
        name: "topic",
        doc: "Where the message goes.",
        default: "{aggregatetype}.events",
        default_debezium: Some("outbox.event.{aggregatetype}"),
        default_dead_letter: "{topic}.dlq",
    }],
    check: |_, _| {},
    // Nothing leaves the process.
    encrypted: |_| true,
    consume: Some(ConsumeConfig {
        schema: |generator| generator.subschema_for::<MemorySourceConfig>(),
        check: |_, _| {},
        own: &["topics"],
        group: |_, _| None,
    }),
};
