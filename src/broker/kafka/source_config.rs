//! Kafka's section of a consumer's configuration: the cluster, as of a relay, and what is read of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::config::{self, KafkaConfig, SaslConfig};
use crate::setting::{Complaints, ConsumeConfig, Scalar, Settings, Start, TlsConfig};

/// What a consumer reads of a Kafka cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaSourceConfig {
    /// Where to ask for the cluster first, as `host:port`. Two or three are enough: the cluster names the others.
    #[schemars(length(min = 1), inner(length(min = 1)), extend("x-hint" = "write brokers: [\"host:9092\"]"))]
    pub brokers: Vec<String>,
    /// The topics to read.
    #[schemars(length(min = 1), inner(length(min = 1)), extend("x-hint" = "write topics: [orders.events]"))]
    pub topics: Vec<String>,
    /// The consumer group: its members share the partitions. Another group is told where to begin by `start`, or by what the
    /// database remembers of this consumer.
    #[serde(default)]
    #[schemars(length(min = 1), extend("x-default" = "<consumer>"))]
    pub group: Option<String>,
    /// Where to begin in a partition of which neither the database nor the group has a position. A position that is lost later is
    /// told and never replaced silently.
    #[serde(default)]
    pub start: Start,
    /// Encryption. Without it the connection is plaintext; `tls: {}` is TLS with the system's roots.
    #[serde(default)]
    #[schemars(extend("x-null" = "is empty; write `tls: {}` for TLS with the system's roots, or remove the key for plaintext"))]
    pub tls: Option<TlsConfig>,
    /// Login by name and password. Without `tls` the password travels in the clear.
    #[serde(default)]
    pub sasl: Option<SaslConfig>,
    /// Any other librdkafka property, passed on as it is: `group.protocol`, `group.instance.id`, `client.rack` … Those that
    /// would break a promise are refused.
    #[serde(default)]
    #[schemars(extend("x-file-only" = true))]
    pub options: BTreeMap<String, Scalar>,
}

/// Kafka as the configuration of consumers knows it.
pub(super) const CONSUME: ConsumeConfig = ConsumeConfig {
    schema: |generator| generator.subschema_for::<KafkaSourceConfig>(),
    check,
    own: &["topics", "group", "start"],
    group: |settings, name| {
        let written = settings.get("group").and_then(Value::as_str);
        Some(written.unwrap_or(name).to_owned())
    },
};

// === impl KafkaSourceConfig ===

impl KafkaSourceConfig {
    /// The cluster, as a publisher of dead letters knows it.
    #[must_use]
    pub fn cluster(&self) -> KafkaConfig {
        KafkaConfig {
            brokers: self.brokers.clone(),
            tls: self.tls.clone(),
            sasl: self.sasl.clone(),
            options: self.options.clone(),
        }
    }
}

fn check(settings: &Settings, complaints: &mut Complaints) {
    config::check(settings, complaints);
    for option in settings.get("options").and_then(Value::as_object).into_iter().flatten() {
        if option.0.trim().eq_ignore_ascii_case("group.id") {
            complaints.add(&["options", option.0], "is set by `group`; write it there");
        }
    }
    let topics = settings.get("topics").and_then(Value::as_array);
    for (index, topic) in topics.into_iter().flatten().filter_map(Value::as_str).enumerate() {
        if topic.starts_with('^') {
            let sentence = "is a pattern; write each topic: one that appears by itself would be consumed without anybody's decision";
            complaints.add(&["topics", &index.to_string()], sentence);
        }
    }
}
