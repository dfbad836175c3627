//! From our settings to librdkafka's: what we prefer, what the user says, what we insist on, in this order.
//!
//! Promises: what order and durability rest on is set last, so nothing overrides it; secrets are looked up here, at each
//! connect, and stand in no error.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use super::config::KafkaConfig;
use crate::broker::OpenContext;
use crate::delivery::{Failure, FailureKind};
use crate::setting::Secret;

/// librdkafka's bound for `message.max.bytes`. The topic's own limit decides, and it is compared *after* compression;
/// a lower client limit would refuse a compressible message that the broker takes.
const MESSAGE_BYTES_MAX: u32 = 1_000_000_000;

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
    // The client's lines go to our log at trace and debug; which of them is decided there.
    client.set_log_level(RDKafkaLogLevel::Info);
    prefer(&mut client, context);
    for (option, value) in &config.options {
        client.set(option.trim(), value.0.as_str());
    }
    client.set("bootstrap.servers", config.brokers.join(","));
    client.set("allow.auto.create.topics", "false");
    secure(&mut client, config, context)?;
    Ok(client)
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

fn prefer(client: &mut ClientConfig, context: &OpenContext) {
    client
        .set("client.id", format!("twinbox-{}", context.name))
        .set("linger.ms", "1")
        .set("batch.num.messages", "10000")
        .set("socket.keepalive.enable", "true")
        // Added partitions and recreated topics are seen within half a minute.
        .set("topic.metadata.refresh.interval.ms", "30000")
        // A broker that comes back is found within seconds, not after the usual ten.
        .set("reconnect.backoff.max.ms", "2000");
}

fn secure(client: &mut ClientConfig, config: &KafkaConfig, context: &OpenContext) -> Result<(), Failure> {
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
            .set("sasl.username", resolve(&sasl.username, context)?)
            .set("sasl.password", resolve(&sasl.password, context)?);
    }
    Ok(())
}

/// Name and password, to see whether they have changed.
pub(super) fn login(client: &ClientConfig) -> [Option<&str>; 2] {
    ["sasl.username", "sasl.password"].map(|property| client.get(property))
}

fn resolve(secret: &Secret, context: &OpenContext) -> Result<String, Failure> {
    let text = secret.resolve(&*context.environment).map_err(|error| {
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
    use crate::broker::{Envelope, STALL_DEFAULT};
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
