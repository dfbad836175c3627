//! Kafka below `from`: what a consumer may set, and the librdkafka options that only consuming refuses.
//!
//! Promises: what the promises rest on (who stores offsets, where reading begins, how partitions change hands) cannot be
//! switched off by accident; every key that both sides have means the same on both.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::{KafkaConfig, Refuse, SaslConfig, check_with, encrypted, list};
use crate::contract::Start;
use crate::setting::{Complaints, ConsumeConfig, START, Scalar, Settings, TlsConfig};

/// Topics of a Kafka cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaConsumeConfig {
    /// Where to ask for the cluster first, as `host:port`. Two or three are enough: the cluster names the others.
    #[schemars(length(min = 1), inner(length(min = 1)), extend("x-hint" = "write brokers: [\"host:9092\"]"))]
    pub brokers: Vec<String>,
    /// Encryption. Without it the connection is plaintext; `tls: {}` is TLS with the system's roots.
    #[serde(default)]
    #[schemars(extend("x-null" = "is empty; write `tls: {}` for TLS with the system's roots, or remove the key for plaintext"))]
    pub tls: Option<TlsConfig>,
    /// Login by name and password. Without `tls` the password travels in the clear.
    #[serde(default)]
    pub sasl: Option<SaslConfig>,
    /// Any other librdkafka property, passed on as it is: `group.protocol: consumer` (KIP-848), `group.instance.id` (static
    /// membership), `client.rack`, `session.timeout.ms`. Those that would break a promise are refused.
    #[serde(default)]
    #[schemars(extend("x-file-only" = true))]
    pub options: BTreeMap<String, Scalar>,
    /// The topics to read, by their names. They must exist: topics are never created by accident.
    #[schemars(length(min = 1), inner(length(min = 1)), extend("x-hint" = "write topics: [order.events]"))]
    pub topics: Vec<String>,
    /// The consumer group: its members share the partitions. Empty = the consumer's name.
    #[serde(default)]
    #[schemars(extend("x-default" = "<consumer>"))]
    pub group: String,
    /// Where a consumer begins that has no position of record yet: `earliest`, `latest`, or a time such as
    /// `2026-11-23T10:00:00Z`. Afterwards it changes nothing: a position that is lost is told, never reset.
    #[serde(default)]
    pub start: StartConfig,
}

/// Where a consumer without a position of record begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StartConfig(pub Start);

/// Kafka below `from`, as the configuration knows it.
pub(super) const CONFIG: ConsumeConfig = ConsumeConfig {
    schema: |generator| generator.subschema_for::<KafkaConsumeConfig>(),
    check,
    encrypted,
    own: &["topics", "group", "start"],
    group: |settings, name| Some(settings.text("group").unwrap_or(name).to_owned()),
};

const GROUP: &str = "is set by `group`; write it there";
const HAND_OVER: &str = "would take every partition away at each change of the group: twinbox hands over only those that \
                         move; remove it";
const COMMITTED: &str = "would deliver what a transaction took back; remove it";
const OWN: &str = "is what twinbox watches its streams by; remove it";

/// What only consuming refuses.
const REFUSED: &[(Refuse, &str)] = &[
    (Refuse::Name("group.id"), GROUP),
    (Refuse::Name("partition.assignment.strategy"), HAND_OVER),
    (Refuse::Name("isolation.level"), COMMITTED),
    (Refuse::Name("enable.partition.eof"), OWN),
    (Refuse::Name("topic.blacklist"), OWN),
];

// === impl KafkaConsumeConfig ===

impl KafkaConsumeConfig {
    /// What it has in common with publishing: how to reach the cluster.
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
    check_with(settings, REFUSED, complaints);
    for (index, topic) in list(settings.get("topics")).enumerate() {
        if topic.starts_with('^') {
            let sentence =
                "is a pattern; name each topic: one that appears by itself would be read without anybody's word";
            complaints.add(&["topics", &index.to_string()], sentence);
        }
    }
}

// === impl StartConfig ===

impl FromStr for StartConfig {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        (START.check)(text)?;
        Ok(Self(match text {
            "earliest" => Start::Earliest,
            "latest" => Start::Latest,
            time => Start::At(time.parse().map_err(|error| format!("{error}"))?),
        }))
    }
}

impl fmt::Display for StartConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Start::Earliest => f.write_str("earliest"),
            Start::Latest => f.write_str("latest"),
            Start::At(time) => time.fmt(f),
        }
    }
}

impl Serialize for StartConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StartConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = StartConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("earliest, latest, or a time")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<StartConfig, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for StartConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Start".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        START.schema()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn complaints(settings: Value) -> Vec<String> {
        let mut complaints = Complaints::default();
        check(&Settings::new(settings), &mut complaints);
        complaints.into_vec().into_iter().map(|c| c.path.join(".")).collect()
    }

    #[test]
    fn the_whole_section_reads() {
        let settings = Settings::new(json!({
            "brokers": ["a:9092"],
            "topics": ["order.events"],
            "group": "billing",
            "start": "2026-11-23T10:00:00Z",
            "options": { "group.protocol": "consumer", "group.instance.id": "pod-0", "client.rack": "a" },
        }));
        let config: KafkaConsumeConfig = settings.read().unwrap();
        assert_eq!(config.start.to_string(), "2026-11-23T10:00:00Z");
        assert_eq!(config.cluster().brokers, ["a:9092"]);
        let short = Settings::new(json!({ "brokers": ["a:9092"], "topics": ["t"] }));
        let short: KafkaConsumeConfig = short.read().unwrap();
        assert_eq!(short.start, StartConfig(Start::Earliest));
        assert_eq!(short.group, "");
    }

    #[test]
    fn what_consuming_rests_on_is_refused_by_name() {
        for option in [
            "group.id",
            "partition.assignment.strategy",
            "isolation.level",
            "enable.partition.eof",
            "auto.offset.reset",
            "enable.auto.commit",
            "enable.auto.offset.store",
            "bootstrap.servers",
        ] {
            let settings = json!({ "brokers": ["a"], "topics": ["t"], "options": { option: "1" } });
            assert_eq!(complaints(settings), [format!("options.{option}")]);
        }
        let free = json!({ "group.protocol": "consumer", "group.instance.id": "pod-0", "max.poll.interval.ms": 6000 });
        assert!(complaints(json!({ "brokers": ["a"], "topics": ["t"], "options": free })).is_empty());
        assert_eq!(complaints(json!({ "topics": ["a", "^b.*"] })), ["topics.1"]);
    }

    #[test]
    fn a_start_says_what_to_write() {
        for text in ["earliest", "latest", "2026-11-23T10:00:00Z"] {
            assert_eq!(text.parse::<StartConfig>().unwrap().to_string(), text);
        }
        let wrong = "yesterday".parse::<StartConfig>().unwrap_err();
        assert!(wrong.contains("write earliest, latest, or a time"), "{wrong}");
    }
}
