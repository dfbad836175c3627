//! From our settings to librdkafka's: what we prefer, what the user says, what we insist on, in this order.
//!
//! Promises: what order and durability rest on is set last, so nothing overrides it; secrets are looked up here, at each
//! connect, and stand in no error.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use super::config::{KafkaConfig, KafkaConsumeConfig};
use crate::broker::{Environment, OpenContext, SubscribeContext};
use crate::delivery::{Failure, FailureKind};
use crate::setting::Secret;

/// librdkafka's bound for `message.max.bytes`. The topic's own limit decides, and it is compared *after* compression;
/// a lower client limit would refuse a compressible message that the broker takes.
const MESSAGE_BYTES_MAX: u32 = 1_000_000_000;

/// What one answer to a fetch brings of one partition, at most, unless its first batch is larger.
const FETCH_BYTES: u32 = 1 << 20;
/// Each partition may hold this share of `limits.bytes` before the engine asks for it.
const QUEUED_SHARE: usize = 16;
/// librdkafka's default.
const POLL_INTERVAL_DEFAULT_MS: u64 = 300_000;

/// What differs between the lines of one publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tuning {
    /// No batch may be larger: the broker checks batches, so the smallest topic limit bounds them all.
    pub(super) batch_bytes: u64,
    /// One message per batch: a refusal then speaks of exactly one message.
    pub(super) alone: bool,
}

/// All properties of a client.
///
/// # Errors
/// A secret that cannot be had now.
pub(super) fn client(config: &KafkaConfig, context: &OpenContext) -> Result<ClientConfig, Failure> {
    let mut client = ClientConfig::new();
    prefer(&mut client, &context.name);
    client.set("linger.ms", "1").set("batch.num.messages", "10000");
    insist(&mut client, config, &context.environment)?;
    Ok(client)
}

/// All properties of a member of a consumer group.
///
/// # Errors
/// A secret that cannot be had now.
pub(super) fn member(config: &KafkaConsumeConfig, context: &SubscribeContext) -> Result<ClientConfig, Failure> {
    let mut client = ClientConfig::new();
    prefer(&mut client, &context.name);
    client
        .set("check.crcs", "true")
        // Of each partition; what the engine holds has a bound of its own.
        .set(
            "queued.min.messages",
            (context.in_flight / 4).clamp(100, 1000).to_string(),
        )
        .set(
            "queued.max.messages.kbytes",
            (context.bytes / 1024 / QUEUED_SHARE).clamp(256, 8192).to_string(),
        )
        // With small queues the default adds stalls of a second.
        .set("fetch.queue.backoff.ms", "50")
        .set("fetch.message.max.bytes", FETCH_BYTES.to_string())
        .set("fetch.max.bytes", (FETCH_BYTES * 16).to_string());
    insist(&mut client, &config.cluster(), &context.environment)?;
    let group = if config.group.is_empty() {
        &context.name
    } else {
        &config.group
    };
    client
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "false")
        // A position that is not there is told, never reset.
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed");
    // Under KIP-848 the broker assigns, and librdkafka refuses a strategy.
    if client.get("group.protocol") != Some("consumer") {
        client.set("partition.assignment.strategy", "cooperative-sticky");
    }
    Ok(client)
}

/// All properties of a client that only asks, and joins nothing.
///
/// # Errors
/// A secret that cannot be had now.
pub(super) fn reader(config: &KafkaConsumeConfig, context: &SubscribeContext) -> Result<ClientConfig, Failure> {
    let mut client = ClientConfig::new();
    prefer(&mut client, &context.name);
    insist(&mut client, &config.cluster(), &context.environment)?;
    Ok(client)
}

/// How long a member may go without polling before the group takes its partitions.
pub(super) fn poll_interval(client: &ClientConfig) -> Duration {
    let asked = client.get("max.poll.interval.ms").and_then(|value| value.parse().ok());
    Duration::from_millis(asked.unwrap_or(POLL_INTERVAL_DEFAULT_MS))
}

/// A client's properties as a producer's.
pub(super) fn producer(client: &ClientConfig, context: &OpenContext, tuning: Tuning) -> ClientConfig {
    let mut producer = client.clone();
    let asked = producer.get("batch.size").and_then(|value| value.parse::<u64>().ok());
    producer
        .set(
            "batch.size",
            asked.unwrap_or(u64::MAX).min(tuning.batch_bytes).to_string(),
        )
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("enable.gapless.guarantee", "true")
        .set("message.timeout.ms", "0")
        .set("message.max.bytes", MESSAGE_BYTES_MAX.to_string())
        // Never the bound that is met first: the caller's limits are.
        .set(
            "queue.buffering.max.messages",
            (context.in_flight.saturating_mul(2) + 1000).to_string(),
        )
        .set("queue.buffering.max.kbytes", (context.bytes / 512 + 65_536).to_string());
    if tuning.alone {
        producer.set("batch.num.messages", "1").set("linger.ms", "0");
    }
    producer
}

fn prefer(client: &mut ClientConfig, name: &str) {
    client
        .set("client.id", format!("twinbox-{name}"))
        .set("socket.keepalive.enable", "true")
        // Added partitions and recreated topics are seen within half a minute.
        .set("topic.metadata.refresh.interval.ms", "30000")
        // A broker that comes back is found within seconds, not after the usual ten.
        .set("reconnect.backoff.max.ms", "2000");
}

/// What the user says, and above it what both sides insist on.
fn insist(client: &mut ClientConfig, config: &KafkaConfig, environment: &Environment) -> Result<(), Failure> {
    // The client's lines go to our log at trace and debug; which of them is decided there.
    client.set_log_level(RDKafkaLogLevel::Info);
    for (option, value) in &config.options {
        client.set(option.trim(), value.0.as_str());
    }
    client.set("bootstrap.servers", config.brokers.join(","));
    client.set("allow.auto.create.topics", "false");
    secure(client, config, environment)
}

fn secure(client: &mut ClientConfig, config: &KafkaConfig, environment: &Environment) -> Result<(), Failure> {
    let protocol = match (&config.tls, &config.sasl) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    client.set("security.protocol", protocol);
    if let Some(tls) = &config.tls {
        // `probe` looks where the distributions keep the system's roots.
        let ca = tls.ca.as_ref().map_or("probe".into(), |path| path.to_string_lossy());
        client.set("ssl.ca.location", ca);
        for (property, path) in [
            ("ssl.certificate.location", &tls.certificate),
            ("ssl.key.location", &tls.key),
        ] {
            if let Some(path) = path {
                client.set(property, path.to_string_lossy());
            }
        }
    }
    if let Some(sasl) = &config.sasl {
        client
            .set("sasl.mechanism", sasl.mechanism.as_str())
            .set("sasl.username", resolve(&sasl.username, environment)?)
            .set("sasl.password", resolve(&sasl.password, environment)?);
    }
    Ok(())
}

/// Name and password, to see whether they have changed.
pub(super) fn login(client: &ClientConfig) -> [Option<&str>; 2] {
    ["sasl.username", "sasl.password"].map(|property| client.get(property))
}

fn resolve(secret: &Secret, environment: &Environment) -> Result<String, Failure> {
    let text = secret.resolve(&**environment).map_err(|error| {
        Failure::new(
            FailureKind::Destination,
            "Secret",
            format!("the login for Kafka cannot be had: {error}"),
        )
    })?;
    Ok(text.expose().to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::broker::{DedupeBy, Envelope, Reads, STALL_DEFAULT};
    use crate::setting::Settings;

    fn context() -> OpenContext {
        OpenContext {
            name: "orders".into(),
            source: "/twinbox/orders".into(),
            envelope: Envelope::CloudEvents,
            in_flight: 10_000,
            bytes: 32 << 20,
            stall: STALL_DEFAULT,
            environment: Arc::new(|name| (name == "PASSWORD").then(|| "secret".to_owned())),
        }
    }

    fn made(settings: Value) -> ClientConfig {
        client(&Settings::new(settings).read().unwrap(), &context()).unwrap()
    }

    #[test]
    fn what_order_rests_on_is_set_last() {
        let options = json!({ "linger.ms": 20, "batch.size": 5_000_000, "acks": "1", "enable.idempotence": "false" });
        let client = made(json!({ "brokers": ["a:1", "b:2"], "options": options }));
        let tuning = Tuning {
            batch_bytes: 1000,
            alone: false,
        };
        let producer = producer(&client, &context(), tuning);
        for (property, value) in [
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("enable.gapless.guarantee", "true"),
            ("message.timeout.ms", "0"),
            ("allow.auto.create.topics", "false"),
            ("batch.size", "1000"),
            ("linger.ms", "20"),
            ("bootstrap.servers", "a:1,b:2"),
            ("client.id", "twinbox-orders"),
            ("security.protocol", "plaintext"),
        ] {
            assert_eq!(producer.get(property), Some(value), "{property}");
        }
        producer.create_native_config().unwrap();
    }

    fn joined(settings: Value) -> ClientConfig {
        let context = SubscribeContext {
            name: "billing".into(),
            reads: Reads::Auto,
            dedupe: DedupeBy::Id,
            per_topic: false,
            in_flight: 4000,
            bytes: 32 << 20,
            drain: Duration::from_secs(25),
            environment: Arc::new(|_| None),
        };
        member(&Settings::new(settings).read().unwrap(), &context).unwrap()
    }

    #[test]
    fn what_consuming_rests_on_is_set_last() {
        let options =
            json!({ "auto.offset.reset": "latest", "enable.auto.commit": "true", "max.poll.interval.ms": 9000 });
        let client = joined(json!({ "brokers": ["a:1"], "topics": ["t"], "options": options }));
        for (property, value) in [
            ("auto.offset.reset", "error"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("isolation.level", "read_committed"),
            ("group.id", "billing"),
            ("partition.assignment.strategy", "cooperative-sticky"),
        ] {
            assert_eq!(client.get(property), Some(value), "{property}");
        }
        assert_eq!(poll_interval(&client), Duration::from_secs(9));
        client.create_native_config().unwrap();
        let newer = json!({ "group.protocol": "consumer", "group.instance.id": "pod-0" });
        let newer = joined(json!({ "brokers": ["a:1"], "topics": ["t"], "group": "g", "options": newer }));
        assert_eq!(newer.get("group.id"), Some("g"));
        assert_eq!(newer.get("partition.assignment.strategy"), None);
        newer.create_native_config().unwrap();
    }

    #[test]
    fn tls_and_sasl_decide_the_protocol() {
        let sasl = json!({ "mechanism": "SCRAM-SHA-512", "username": "u", "password": { "env": "PASSWORD" } });
        let both = made(json!({ "brokers": ["a:1"], "tls": {}, "sasl": sasl }));
        assert_eq!(both.get("security.protocol"), Some("sasl_ssl"));
        assert_eq!(both.get("ssl.ca.location"), Some("probe"));
        assert_eq!(both.get("sasl.password"), Some("secret"));
        assert_eq!(
            made(json!({ "brokers": ["a:1"], "tls": { "ca": "ca.pem" } })).get("ssl.ca.location"),
            Some("ca.pem")
        );
        assert_eq!(
            made(json!({ "brokers": ["a:1"], "sasl": sasl })).get("security.protocol"),
            Some("sasl_plaintext")
        );
    }

    #[test]
    fn a_missing_secret_is_told_by_its_place() {
        let sasl = json!({ "mechanism": "PLAIN", "username": "u", "password": { "env": "NOWHERE" } });
        let config = Settings::new(json!({ "brokers": ["a:1"], "sasl": sasl }))
            .read()
            .unwrap();
        let failure = client(&config, &context()).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Destination);
        assert!(failure.message.contains("NOWHERE"), "{failure}");
    }
}
