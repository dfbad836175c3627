//! Kafka's section of the configuration, and the librdkafka options that we refuse.
//!
//! Promises: an option that would break a promise of DESIGN §1 is refused by name, with the promise it would break; an
//! option that one of our own keys sets is refused with that key; so what we rely on cannot be switched off by accident.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::setting::{BackendConfig, Complaints, RouteField, Scalar, Secret, Settings, TlsConfig};

mod consume;

pub use consume::{KafkaConsumeConfig, StartConfig};

/// A Kafka cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaConfig {
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
    /// Any other librdkafka property, passed on as it is. Those that would break a promise are refused.
    #[serde(default)]
    #[schemars(extend("x-file-only" = true))]
    pub options: BTreeMap<String, Scalar>,
}

/// SASL login.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaslConfig {
    /// How the password is proved.
    pub mechanism: SaslMechanism,
    /// Who we are.
    pub username: Secret,
    /// The password; a file is read again at each connect.
    pub password: Secret,
}

/// The mechanisms built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SaslMechanism {
    /// The password itself is sent: only over TLS.
    #[serde(rename = "PLAIN")]
    Plain,
    /// Challenge and response with SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// Challenge and response with SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

/// Kafka as the configuration knows it.
pub const CONFIG: BackendConfig = BackendConfig {
    name: "kafka",
    schema: |generator| generator.subschema_for::<KafkaConfig>(),
    route: &[RouteField {
        name: "topic",
        doc: "The topic. It must exist: topics are never created by accident.",
        default: "{aggregatetype}.events",
        default_debezium: Some("outbox.event.{aggregatetype}"),
        default_dead_letter: "{topic}.dlq",
    }],
    check,
    encrypted,
    consume: Some(consume::CONFIG),
};

// === impl SaslMechanism ===

impl SaslMechanism {
    /// librdkafka's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// How a refused option is recognised.
enum Refuse {
    Name(&'static str),
    Prefix(&'static str),
    Suffix(&'static str),
    /// A number above this.
    Above(&'static str, u64),
}

const IDEMPOTENT: &str = "would break the promise of order: twinbox publishes idempotently with acks=all; remove it";
const NO_TIMEOUT: &str =
    "would break the promise of no loss and order: a message given up in the middle leaves a gap; remove it";
const IN_FLIGHT: &str = "would break the promise of order: at most 5 requests may be in flight; remove it";
const PARTITION: &str = "would break the promise of order: twinbox chooses the partition of a key; remove it";
const AUTO_CREATE: &str = "would send to topics that nobody made: an unknown topic must be told; remove it";
const SETTLE: &str = "would break the promise of no early settle: twinbox stores offsets after the effect; remove it";
const RESET: &str = "would skip messages silently: a lost offset must be told; remove it";
const TRANSACTION: &str = "is not used: twinbox does without Kafka transactions; remove it";
const GAPLESS: &str = "would break the promise of order: later messages would overtake a failed one; remove it";
const BROKERS: &str = "is set by `brokers`; write it there";
const TLS: &str = "is set by `tls`; write `tls: { ca, certificate, key }`";
const PROTOCOL: &str = "follows from `tls` and `sasl`; write those";
const SASL: &str = "is set by `sasl`; write `sasl: { mechanism, username, password }`";
const IN_THE_OPEN: &str = "may be a secret, and options are shown in the open; use `tls` and `sasl`";

/// Every refused option. The first line that fits speaks.
const REFUSED: &[(Refuse, &str)] = &[
    (Refuse::Name("acks"), IDEMPOTENT),
    (Refuse::Name("request.required.acks"), IDEMPOTENT),
    (Refuse::Name("enable.idempotence"), IDEMPOTENT),
    (Refuse::Name("message.timeout.ms"), NO_TIMEOUT),
    (Refuse::Name("delivery.timeout.ms"), NO_TIMEOUT),
    (Refuse::Name("retries"), NO_TIMEOUT),
    (Refuse::Name("message.send.max.retries"), NO_TIMEOUT),
    (Refuse::Above("max.in.flight", 5), IN_FLIGHT),
    (Refuse::Above("max.in.flight.requests.per.connection", 5), IN_FLIGHT),
    (Refuse::Name("partitioner"), PARTITION),
    (Refuse::Name("allow.auto.create.topics"), AUTO_CREATE),
    (Refuse::Name("enable.auto.commit"), SETTLE),
    (Refuse::Name("enable.auto.offset.store"), SETTLE),
    (Refuse::Name("auto.offset.reset"), RESET),
    (Refuse::Name("transactional.id"), TRANSACTION),
    (Refuse::Name("enable.gapless.guarantee"), GAPLESS),
    (Refuse::Name("bootstrap.servers"), BROKERS),
    (Refuse::Name("metadata.broker.list"), BROKERS),
    (Refuse::Name("security.protocol"), PROTOCOL),
    (Refuse::Name("ssl.ca.location"), TLS),
    (Refuse::Name("ssl.certificate.location"), TLS),
    (Refuse::Name("ssl.key.location"), TLS),
    (Refuse::Name("sasl.mechanism"), SASL),
    (Refuse::Name("sasl.mechanisms"), SASL),
    (Refuse::Name("sasl.username"), SASL),
    (Refuse::Name("sasl.password"), SASL),
    (
        Refuse::Prefix("sasl.oauthbearer."),
        "belongs to a mechanism that is not built in; use `sasl` with PLAIN or SCRAM",
    ),
    (
        Refuse::Prefix("sasl.kerberos."),
        "belongs to a mechanism that is not built in; use `sasl` with PLAIN or SCRAM",
    ),
    (Refuse::Suffix(".password"), IN_THE_OPEN),
    (Refuse::Suffix(".secret"), IN_THE_OPEN),
    (Refuse::Suffix(".pem"), IN_THE_OPEN),
];

// === impl Refuse ===

impl Refuse {
    fn fits(&self, option: &str, value: &Value) -> bool {
        match self {
            Self::Name(name) => option == *name,
            Self::Prefix(prefix) => option.starts_with(prefix),
            Self::Suffix(suffix) => option.ends_with(suffix),
            Self::Above(name, most) => option == *name && number(value).is_none_or(|number| number > *most),
        }
    }
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn encrypted(settings: &Settings) -> bool {
    settings.get("tls").is_some_and(Value::is_object)
}

/// Looks at raw settings, so that it can speak beside other mistakes.
fn check(settings: &Settings, complaints: &mut Complaints) {
    check_with(settings, &[], complaints);
}

/// The same, with options that only one side refuses.
fn check_with(settings: &Settings, more: &[(Refuse, &str)], complaints: &mut Complaints) {
    for (index, broker) in list(settings.get("brokers")).enumerate() {
        if broker.contains("://") {
            complaints.add(&["brokers", &index.to_string()], "is a URL; write host:port");
        }
    }
    for (option, value) in settings.get("options").and_then(Value::as_object).into_iter().flatten() {
        let name = option.trim().to_ascii_lowercase();
        if let Some((_, why)) = REFUSED.iter().chain(more).find(|(refuse, _)| refuse.fits(&name, value)) {
            complaints.add(&["options", option], *why);
        }
    }
    if let Some(tls) = settings
        .get("tls")
        .and_then(|tls| Settings::new(tls.clone()).read::<TlsConfig>().ok())
    {
        complaints.within("tls", |complaints| tls.check(complaints));
    }
    without_openssl(settings, complaints);
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &str> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// librdkafka needs OpenSSL for TLS and SCRAM: better told here than by a failing client.
fn without_openssl(settings: &Settings, complaints: &mut Complaints) {
    const NEEDS: &str = "needs a build with the feature `kafka-tls`; this one has none";
    if cfg!(feature = "kafka-tls") {
        return;
    }
    if settings.get("tls").is_some() {
        complaints.add(&["tls"], NEEDS);
    }
    let mechanism = settings
        .get("sasl")
        .and_then(|sasl| sasl.get("mechanism"))
        .and_then(Value::as_str);
    if mechanism.is_some_and(|mechanism| mechanism.starts_with("SCRAM")) {
        complaints.add(&["sasl", "mechanism"], NEEDS);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn complaints(settings: Value) -> Vec<(String, String)> {
        let mut complaints = Complaints::default();
        check(&Settings::new(settings), &mut complaints);
        complaints
            .into_vec()
            .into_iter()
            .map(|c| (c.path.join("."), c.sentence))
            .collect()
    }

    #[test]
    fn the_whole_section_reads() {
        let settings = Settings::new(json!({
            "brokers": ["a:9092"],
            "tls": {},
            "sasl": { "mechanism": "SCRAM-SHA-512", "username": "u", "password": { "env": "P" } },
            "options": { "linger.ms": 5, "client.id": "x", "socket.keepalive.enable": true },
        }));
        let config: KafkaConfig = settings.read().unwrap();
        assert_eq!(config.tls, Some(TlsConfig::default()));
        assert_eq!(config.options["linger.ms"], Scalar("5".into()));
        assert_eq!(config.sasl.unwrap().mechanism.as_str(), "SCRAM-SHA-512");
        assert!((CONFIG.encrypted)(&settings));
        assert!(!(CONFIG.encrypted)(&Settings::new(json!({ "brokers": ["a"] }))));
    }

    #[test]
    fn options_that_break_a_promise_are_refused_by_name() {
        for option in [
            "acks",
            "ACKS",
            "request.required.acks",
            "enable.idempotence",
            "message.timeout.ms",
            "delivery.timeout.ms",
            "retries",
            "partitioner",
            "allow.auto.create.topics",
            "enable.auto.commit",
            "enable.auto.offset.store",
            "auto.offset.reset",
            "transactional.id",
            "enable.gapless.guarantee",
            "bootstrap.servers",
            "metadata.broker.list",
            "security.protocol",
            "ssl.ca.location",
            "sasl.password",
            "ssl.key.password",
        ] {
            let found = complaints(json!({ "brokers": ["a"], "options": { option: "1" } }));
            assert_eq!(found.len(), 1, "{option}: {found:?}");
            assert_eq!(found[0].0, format!("options.{option}"));
        }
        assert!(
            complaints(json!({ "options": { "acks": "1" } }))[0]
                .1
                .contains("promise of order")
        );
    }

    #[test]
    fn five_in_flight_are_allowed_and_six_are_not() {
        for option in ["max.in.flight", "max.in.flight.requests.per.connection"] {
            assert!(complaints(json!({ "options": { option: 5 } })).is_empty());
            assert!(complaints(json!({ "options": { option: "5" } })).is_empty());
            assert_eq!(complaints(json!({ "options": { option: 6 } })).len(), 1);
            assert_eq!(complaints(json!({ "options": { option: "many" } })).len(), 1);
        }
    }

    #[test]
    fn harmless_options_pass() {
        let options = json!({ "linger.ms": 5, "compression.codec": "lz4", "ssl.cipher.suites": "x", "debug": "msg" });
        assert_eq!(complaints(json!({ "options": options })), []);
    }

    #[test]
    fn a_url_is_no_broker_and_half_a_certificate_is_none() {
        let found = complaints(json!({ "brokers": ["a:1", "kafka://b"], "tls": { "certificate": "c.pem" } }));
        assert_eq!(found[0], ("brokers.1".into(), "is a URL; write host:port".into()));
        assert_eq!(found[1].0, "tls.key");
    }
}
