//! The memory broker's section of the configuration: it has nothing to set.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::setting::{BackendConfig, ConsumeConfig, RouteField};

/// A broker inside this process. What it holds is gone when the process ends: for tests and first steps only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MemoryConfig {}

/// Topics of the broker inside this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryConsumeConfig {
    /// The cluster: the name of the relay that writes to it. Empty = the consumer's own name.
    #[serde(default)]
    pub cluster: String,
    /// The topics.
    #[schemars(length(min = 1))]
    pub topics: Vec<String>,
    /// Members of one group share the topics. Empty = the consumer's name.
    #[serde(default)]
    pub group: String,
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
        schema: |generator| generator.subschema_for::<MemoryConsumeConfig>(),
        check: |_, _| {},
        encrypted: |_| true,
        own: &["cluster", "topics", "group"],
        group: |settings, name| Some(settings.text("group").unwrap_or(name).to_owned()),
    }),
};
