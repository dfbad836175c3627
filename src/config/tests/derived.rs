//! What is derived from the structs: schema, explain, template, show. Docs and defaults are written once.

use serde_json::Value;

use super::*;
use crate::config::schema::{self as tree, at, fill};
use crate::config::{RelayConfig, Root, consumer_template, explain, relay_template, schema};

fn path(dotted: &str) -> Vec<String> {
    dotted.split('.').map(str::to_owned).collect()
}

/// Every leaf and section below `schema`, with its path.
fn all(schema: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    for key in tree::keys(schema) {
        let below = tree::step(schema, key).unwrap();
        let path = format!("{path}.{key}");
        found.push((path.clone(), below.clone()));
        all(below, &path, found);
    }
    if let Some(named) = schema.get("additionalProperties").filter(|named| named.is_object()) {
        all(named, &format!("{path}.x"), found);
    }
}

fn everything() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    all(schema(), "", &mut found);
    found
}

#[test]
fn the_schema_is_a_schema_of_its_draft() {
    assert_eq!(schema()["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(jsonschema::meta::is_valid(schema()));
    let text = schema().to_string();
    for useless in ["anyOf", "oneOf\"", "$ref", "\"null\""] {
        assert!(!text.contains(useless), "{useless} hides what is inside it");
    }
}

#[test]
fn every_key_has_a_doc_and_an_explanation() {
    let everything = everything();
    assert!(everything.len() > 60, "{}", everything.len());
    for (path, schema) in everything {
        assert!(
            schema["description"].as_str().is_some_and(|doc| doc.len() > 10),
            "{path} has no doc"
        );
        let page = explain(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(page.contains("\n  type      "), "{page}");
    }
}

#[test]
fn every_default_of_the_schema_is_the_default_of_the_struct() {
    let bare: Value = serde_json::json!({ "relays": { "orders": { "to": { "kafka": { "brokers": ["k:1"] } } } } });
    let mut filled = bare.clone();
    fill(&mut filled, schema());
    assert_ne!(bare, filled);
    let read = |value: Value| serde_json::from_value::<Root>(value).unwrap();
    let (bare, filled) = (read(bare), read(filled));
    let of = |root: &Root| root.relays["orders"].clone();
    // The brokers' own defaults are compared as they read them.
    let kafka = |relay: &RelayConfig| {
        relay
            .to
            .settings()
            .read::<crate::broker::kafka::config::KafkaConfig>()
            .unwrap()
    };
    assert_eq!(kafka(&of(&bare)), kafka(&of(&filled)));
    let without_broker = |root: Root, to: &RelayConfig| {
        let relays = root
            .relays
            .into_iter()
            .map(|(name, relay)| {
                (
                    name,
                    RelayConfig {
                        to: to.to.clone(),
                        ..relay
                    },
                )
            })
            .collect();
        Root { relays, ..root }
    };
    let to = of(&bare);
    assert_eq!(without_broker(bare, &to), without_broker(filled, &to));
}

#[test]
fn the_defaults_are_those_that_are_promised() {
    for (key, default) in [
        ("database.schema", "twinbox"),
        ("database.pool", "8"),
        ("database.url", "{ env: DATABASE_URL }"),
        ("relays.x.from.cursor.table", "<database.schema>.outbox"),
        ("relays.x.from.cursor.start", "earliest"),
        ("relays.x.from.cursor.wake", "auto"),
        ("relays.x.source", "/twinbox/<relay>"),
        ("relays.x.envelope", "cloudevents"),
        ("relays.x.limits.batch", "1000"),
        ("relays.x.limits.in_flight", "10000"),
        ("relays.x.limits.bytes", "32MiB"),
        ("relays.x.lease", "10s"),
        ("relays.x.retry.first", "200ms"),
        ("relays.x.retry.max", "1m"),
        ("relays.x.retry.attempts", "12"),
        ("relays.x.on_reject", "park"),
        ("relays.x.dead_letter.topic", "{topic}.dlq"),
        ("relays.x.dead_letter.key", "<route.key>"),
        ("relays.x.route.key", "{aggregateid}"),
        ("relays.x.retention", "24h"),
        ("relays.x.require", "[]"),
        ("consumers.x.from.kafka.group", "<consumer>"),
        ("consumers.x.from.kafka.start", "earliest"),
        ("consumers.x.handler.sql.batch", "500"),
        ("consumers.x.handler.http.concurrency", "64"),
        ("consumers.x.handler.http.timeout", "30s"),
        ("consumers.x.handler.http.dedupe", "claim"),
        ("consumers.x.handler.http.batch", "1"),
        ("consumers.x.limits.in_flight", "4000"),
        ("consumers.x.limits.bytes", "32MiB"),
        ("consumers.x.retry.first", "500ms"),
        ("consumers.x.retry.max", "10m"),
        ("consumers.x.retry.attempts", "12"),
        ("consumers.x.on_reject", "park"),
        ("consumers.x.dead_letter.topic", "{topic}.dlq"),
        ("consumers.x.dead_letter.key", "{aggregateid}"),
        ("consumers.x.envelope", "auto"),
        ("consumers.x.dedupe.by", "id"),
        ("consumers.x.dedupe.scope", "consumer"),
        ("consumers.x.dedupe.retention", "7d"),
        ("consumers.x.require", "[]"),
        ("admin.listen", "\"127.0.0.1:9640\""),
        ("admin.readiness", "started"),
        ("drain.deadline", "25s"),
        ("telemetry.log.level", "info"),
        ("telemetry.log.format", "auto"),
    ] {
        let schema = at(&path(key)).unwrap_or_else(|| panic!("{key}"));
        assert_eq!(
            crate::config::explain::default(schema).as_deref(),
            Some(default),
            "{key}"
        );
    }
}

#[test]
fn explain_finds_short_and_starred_paths_and_suggests() {
    let page = explain("limits.batch").unwrap();
    let both = explain("limits.bytes").unwrap();
    assert!(both.contains("relays.<name>.limits.bytes") && both.contains("consumers.<name>.limits.bytes"));
    assert_eq!(explain("consumers.*.dedupe.by").unwrap(), explain("dedupe.by").unwrap());
    assert_eq!(page, explain("relays.*.limits.batch").unwrap());
    let expected = "relays.<name>.limits.batch\n  Rows fetched by one query.\n\n  type      whole number, 1 to 100000\n  \
                    default   1000\n  variable  TWINBOX__RELAYS__<NAME>__LIMITS__BATCH\n";
    assert_eq!(page, expected);
    assert!(
        explain("relays.orders.lease")
            .unwrap()
            .contains("TWINBOX__RELAYS__ORDERS__LEASE")
    );
    assert!(explain("to.kafka.options").unwrap().contains("in a file only"));
    assert!(explain("").unwrap().contains("telemetry"));
    assert!(explain("relays").unwrap().contains("<name>"));
    assert!(
        explain("limits.bach")
            .unwrap_err()
            .ends_with("did you mean `relays.<name>.limits.batch`?")
    );
    assert!(
        explain("databse.url")
            .unwrap_err()
            .ends_with("did you mean `database`?")
    );
}

#[test]
fn the_template_holds_and_so_does_every_key_it_comments_out() {
    let template = relay_template();
    let root = World::new(&template).root();
    assert_eq!(root.relays["orders"].limits.batch, 1000);
    let uncommented: Vec<String> = template.lines().map(uncomment).collect();
    let world = World::new(&uncommented.join("\n"));
    // Examples without a value (passwords, certificates, names) are the only complaints left.
    for problem in world.problems() {
        assert!(
            problem.contains("is empty") || problem.contains("cannot read"),
            "{problem}"
        );
    }
    assert!(world.problems().iter().all(|problem| !problem.contains("unknown key")));
    assert_eq!(template.matches("#batch:").count(), 1);
    assert!(!template.contains("consumers"));
    assert!(template.starts_with("# yaml-language-server: $schema=./twinbox.schema.json\n"));
}

#[test]
fn the_template_of_a_consumer_holds_too() {
    let template = consumer_template();
    let root = World::new(&template).root();
    assert_eq!(root.consumers["billing"].handler.as_str(), "http");
    let uncommented: Vec<String> = template.lines().map(uncomment).collect();
    for problem in World::new(&uncommented.join("\n")).problems() {
        assert!(
            problem.contains("is empty") || problem.contains("cannot read"),
            "{problem}"
        );
    }
    assert!(!template.contains("relays"));
}

fn uncomment(line: &str) -> String {
    let text = line.trim_start();
    match text.strip_prefix('#').filter(|key| !key.starts_with(' ')) {
        Some(key) => format!("{}{key}", " ".repeat(line.len() - text.len())),
        None => line.to_owned(),
    }
}

#[test]
fn show_says_what_holds_and_where_it_comes_from() {
    let world = World::new(SMALL)
        .env("TWINBOX__RELAYS__ORDERS__LIMITS__BATCH", "7")
        .flag("relays.orders.lease", "20s");
    let page = world.show();
    let line = |key: &str| {
        page.lines()
            .find(|line| line.trim_start().starts_with(key))
            .unwrap()
            .to_owned()
    };
    assert!(
        line("batch:").ends_with("batch: 7                         # TWINBOX__RELAYS__ORDERS__LIMITS__BATCH"),
        "{page}"
    );
    assert!(
        line("brokers:").contains("[\"kafka:9092\"]") && line("brokers:").ends_with("twinbox.yaml:3:29"),
        "{page}"
    );
    assert!(line("lease:").ends_with("# --set relays.orders.lease"), "{page}");
    assert!(
        line("in_flight:").ends_with("in_flight: 10000                 # default"),
        "{page}"
    );
    assert!(line("source:").contains("/twinbox/orders"), "{page}");
    assert!(line("table:").contains("twinbox.outbox"), "{page}");
    // What is shown can be loaded, and means the same.
    let again = World::new(&page).root();
    assert_eq!(again.relays["orders"].limits, world.root().relays["orders"].limits);
}

#[test]
fn show_follows_the_envelope_for_the_topic() {
    let page = World::new(SMALL).flag("relays.orders.envelope", "debezium").show();
    assert!(page.contains("topic: \"outbox.event.{aggregatetype}\""), "{page}");
}

#[test]
fn the_example_of_the_design_is_a_configuration() {
    let world = World::new(
        "database: { url: { env: DATABASE_URL } }\nrelays:\n  orders:\n    to: { kafka: { brokers: [\"kafka:9092\"] } }\n    \
         route: { topic: \"{aggregatetype}.events\" }\n",
    );
    let loaded = world.load().unwrap();
    assert!(loaded.origin.ends_with("twinbox.yaml"), "{}", loaded.origin);
    let relay = &loaded.root.relays["orders"];
    assert_eq!(relay.source_or_default("orders"), "/twinbox/orders");
    assert_eq!(relay.table(&loaded.root.database), "twinbox.outbox");
    assert_eq!(relay.to.backend().config.name, "kafka");
    assert!(relay.route().is_ok() && relay.dead_letter_route().is_ok());
}
