//! Consumers: what holds by default, each mistake with its own sentence, what a stronger layer replaces.

use super::*;
use crate::broker::kafka::config::KafkaConsumeConfig;
use crate::config::{By, HandlerConfig, OnReject, ReadEnvelope, Scope};
use crate::contract::Start;

const FROM: &str = "from: { kafka: { brokers: [\"kafka:9092\"], topics: [order.events] } }";
const SQL: &str = "handler: { sql: { function: billing.on_event } }";

/// A consumer with these lines beside its broker; they begin at line 4.
fn consumer(lines: &[&str]) -> World {
    World::new(&format!(
        "consumers:\n  billing:\n    {FROM}\n    {}\n",
        lines.join("\n    ")
    ))
}

/// A whole one with a line of its own, at line 5.
fn with(line: &str) -> World {
    consumer(&[SQL, line])
}

fn kafka(world: &World) -> KafkaConsumeConfig {
    world.root().consumers["billing"].from.settings().read().unwrap()
}

#[test]
fn the_example_of_the_design_is_a_configuration_with_its_defaults() {
    let world = consumer(&["handler: { http: { url: \"http://127.0.0.1:8080/events\" } }"]);
    let root = world.root();
    let billing = &root.consumers["billing"];
    assert_eq!(
        (billing.limits.in_flight, billing.limits.bytes.to_string()),
        (4000, "32MiB".into())
    );
    let retry = &billing.retry;
    assert_eq!(
        (retry.first.to_string(), retry.max.to_string(), retry.attempts),
        ("500ms".into(), "10m".into(), 12)
    );
    assert_eq!(billing.on_reject, OnReject::Park);
    assert_eq!(billing.envelope, ReadEnvelope::Auto);
    assert_eq!((&billing.dedupe.by, billing.dedupe.scope), (&By::Id, Scope::Consumer));
    assert_eq!(billing.dedupe.retention.to_string(), "7d");
    assert_eq!(billing.group("billing").as_deref(), Some("billing"));
    let HandlerConfig::Http(http) = &billing.handler else {
        panic!("an application");
    };
    assert_eq!((http.concurrency, http.batch), (64, 1));
    assert_eq!(kafka(&world).start.0, Start::Earliest);
    let HandlerConfig::Sql(sql) = with("require: []").root().consumers["billing"].handler.clone() else {
        panic!("a function");
    };
    assert_eq!((sql.function.as_str(), sql.batch), ("billing.on_event", 500));
}

#[test]
fn each_mistake_says_what_to_write() {
    for (line, expected) in [
        (
            "limit: {}",
            "limit | twinbox.yaml:5:5 | unknown key; did you mean `limits`?",
        ),
        (
            "limits: { bites: 1 }",
            "limits.bites | twinbox.yaml:5:15 | unknown key; did you mean `bytes`?",
        ),
        (
            "limits: { bytes: 1KiB }",
            "limits.bytes | twinbox.yaml:5:22 | is 1KiB; write at least 1MiB",
        ),
        (
            "limits: { in_flight: 100 }",
            "handler.sql.batch | twinbox.yaml:4:16 | is 500, more than limits.in_flight = 100; a batch must fit",
        ),
        (
            "retry: { max: 1h }",
            "retry.max | twinbox.yaml:5:19 | is 1h; write more than 0s, at most 15m",
        ),
        (
            "retry: { first: 11m }",
            "retry.first | twinbox.yaml:5:21 | is 11m; write more than 0s, at most retry.max = 10m",
        ),
        (
            "on_reject: drop",
            "on_reject | twinbox.yaml:5:16 | \"drop\" is not known; write park | dead_letter | halt",
        ),
        (
            "dead_letter: { topic: \"{nope}\" }",
            "dead_letter.topic | twinbox.yaml:5:27 | unknown placeholder {nope}; write one of {aggregatetype} {aggregateid} {type} {id} {header:NAME}",
        ),
        (
            "envelope: avro",
            "envelope | twinbox.yaml:5:15 | \"avro\" is not known; write auto | cloudevents | debezium | raw",
        ),
        (
            "dedupe: { by: email }",
            "dedupe.by | twinbox.yaml:5:19 | \"email\" is not known; write id, header:NAME or payload:/json/pointer",
        ),
        (
            "dedupe: { by: \"payload:order.id\" }",
            "dedupe.by | twinbox.yaml:5:19 | \"payload:order.id\" has no JSON pointer (RFC 6901: each part begins with /); write payload:/order/id",
        ),
        (
            "dedupe: { retention: 1m }",
            "dedupe.retention | twinbox.yaml:5:26 | is 1m; write at least 1h, and more than the broker keeps",
        ),
        (
            "dedupe: { retention: 2h }",
            "dedupe.retention | twinbox.yaml:5:26 | is 2h, no longer than one message may be retried (retry.max = 10m x retry.attempts = 12): what was done would be forgotten and done again; write more",
        ),
        (
            "require: [tls]",
            "require.0 | twinbox.yaml:5:15 | tls does not hold: the broker's connection is plaintext; add `tls: {}` to it",
        ),
    ] {
        assert_eq!(with(line).problem(), format!("consumers.billing.{expected}"), "{line}");
    }
}

#[test]
fn a_consumer_needs_one_broker_and_one_handler() {
    let of = |yaml: &str| World::new(&format!("consumers: {{ billing: {{ {yaml} }} }}\n")).problem();
    assert_eq!(
        of(SQL),
        "consumers.billing.from | twinbox.yaml:1:14 | is missing; write from: { kafka: { brokers: [\"host:9092\"], topics: [order.events] } }"
    );
    assert!(of(FROM).contains("billing.handler | twinbox.yaml:1:14 | is missing; write handler: { sql: "));
    assert!(
        of(&format!("{SQL}, from: {{ kafka: {{ brokers: [a] }} }}"))
            .ends_with("topics | twinbox.yaml:1:83 | is missing; write topics: [order.events]")
    );
    assert!(
        of(&format!("{SQL}, from: {{ kafka: {{ brokers: [a], topics: [] }} }}"))
            .ends_with("is empty; write at least one")
    );
    for (handler, sentence) in [
        (
            "forward: {}",
            "handler.forward | twinbox.yaml:4:16 | forwarding to another broker is not supported by this version; write sql or http",
        ),
        ("{}", "handler | twinbox.yaml:4:5 | is empty; write one of http, sql"),
        (
            "sql: { function: a.f }, http: { url: \"http://a/\" }",
            "handler | twinbox.yaml:4:5 | names http and sql; write exactly one",
        ),
        (
            "sql: {}",
            "handler.sql.function | twinbox.yaml:4:16 | is missing; write function: billing.on_event",
        ),
        (
            "sql: { function: \"a.g1\", batch: 0 }",
            "handler.sql.batch | twinbox.yaml:4:48 | is 0; write 1 to 500",
        ),
        (
            "sql: { function: a.b.c }",
            "handler.sql.function | twinbox.yaml:4:33 | \"a.b.c\" is no function; write schema.function, without parentheses",
        ),
        (
            "sql: { function: \"a.f(uuid)\" }",
            "handler.sql.function | twinbox.yaml:4:33 | \"a.f(uuid)\" is no function; write schema.function, without parentheses",
        ),
        (
            "http: { url: \"ftp://a\" }",
            "handler.http.url | twinbox.yaml:4:29 | is neither http nor https; write one like http://127.0.0.1:8080/events",
        ),
        (
            "http: { url: \"http://a/\", dedup: verify }",
            "handler.http.dedup | twinbox.yaml:4:42 | unknown key; did you mean `dedupe`?",
        ),
    ] {
        let handler = if handler == "{}" {
            "handler: {}".to_owned()
        } else {
            format!("handler: {{ {handler} }}")
        };
        assert_eq!(
            consumer(&[&handler]).problem(),
            format!("consumers.billing.{sentence}"),
            "{handler}"
        );
    }
}

#[test]
fn what_a_consumer_reads_is_checked_as_what_a_relay_writes() {
    let of = |more: &str| {
        let yaml = format!("from: {{ kafka: {{ brokers: [a], topics: [b], {more} }} }}, {SQL}");
        World::new(&format!("consumers: {{ billing: {{ {yaml} }} }}\n")).problem()
    };
    let path = "consumers.billing.from.kafka";
    assert!(of("options: { enable.auto.commit: true }").starts_with(&format!("{path}.options.enable.auto.commit | ")));
    assert!(of("options: { auto.offset.reset: latest }").contains("must be told"));
    assert!(of("options: { group.id: x }").ends_with("is set by `group`; write it there"));
    assert!(
        of("start: yesterday").ends_with("is no start; write earliest, latest, or a time such as 2026-11-23T10:00:00Z")
    );
    assert!(of("gruop: x").ends_with("unknown key; did you mean `group`?"));
    let pattern = World::new(&format!(
        "consumers: {{ billing: {{ from: {{ kafka: {{ brokers: [a], topics: [\"^orders\"] }} }}, {SQL} }} }}\n"
    ));
    assert!(
        pattern
            .problem()
            .contains("topics.0 | twinbox.yaml:1:65 | is a pattern; name each topic"),
        "{}",
        pattern.problem()
    );
    let early = World::new(&format!(
        "consumers: {{ billing: {{ from: {{ kafka: {{ brokers: [a], topics: [b], start: \"2026-03-01T00:00:00Z\" }} }}, {SQL} }} }}\n"
    ));
    assert_eq!(kafka(&early).start.to_string(), "2026-03-01T00:00:00Z");
}

#[test]
fn two_consumers_do_not_share_a_group() {
    let of = |group: &str, other: &str| {
        let from = |group: &str| format!("from: {{ kafka: {{ brokers: [a], topics: [b]{group} }} }}, {SQL}");
        World::new(&format!(
            "consumers:\n  billing: {{ {} }}\n  mail: {{ {} }}\n",
            from(group),
            from(other)
        ))
    };
    assert_eq!(
        of("", ", group: billing").problem(),
        "consumers.mail.from.kafka.group | twinbox.yaml:3:62 | is billing, the group of consumers.billing: members of a group \
         share its messages; write another one"
    );
    assert!(
        of(", group: x", ", group: x")
            .problem()
            .contains("is x, the group of consumers.billing")
    );
    of("", "").root();
}

#[test]
fn what_is_required_must_hold() {
    let http = |dedupe: &str| format!("handler: {{ http: {{ url: \"http://127.0.0.1/\", dedupe: {dedupe} }} }}");
    let once = "require: [effect_once, order, no_loss]";
    consumer(&[SQL, once]).root();
    consumer(&[&http("verify"), once]).root();
    let claim = consumer(&[&http("claim"), once]).problem();
    assert!(
        claim.starts_with("consumers.billing.require.0 | ") && claim.contains("calls again"),
        "{claim}"
    );
    let dead = consumer(&[SQL, once, "on_reject: dead_letter"]).problem();
    assert!(
        dead.starts_with("consumers.billing.require.1 | ") && dead.contains("on_reject: park"),
        "{dead}"
    );
    let memory = World::new(&format!(
        "consumers: {{ billing: {{ from: {{ memory: {{ topics: [a] }} }}, {SQL}, require: [no_loss] }} }}\n"
    ));
    assert!(memory.problem().contains("forgets what was not consumed"));
}

#[test]
fn a_stronger_layer_replaces_the_handler_as_a_whole() {
    let variable = "TWINBOX__CONSUMERS__BILLING__HANDLER__SQL__FUNCTION";
    let world = consumer(&["handler: { http: { url: \"http://a/\", timeout: 1s } }"]).env(variable, "app.f");
    let root = world.root();
    assert_eq!(root.consumers["billing"].handler.as_str(), "sql");
    let world = consumer(&["handler: { sql: { function: app.f, batch: 7 } }"]).env(variable, "app.g");
    assert_eq!(
        world.root().consumers["billing"].handler.batch(),
        7,
        "the same alternative merges"
    );
    let world = with("require: []").env("TWINBOX__CONSUMERS__BILLING__FROM__KAFKA__TOPICS", "a, b");
    assert_eq!(kafka(&world).topics, ["a", "b"]);
    assert_eq!(kafka(&world).brokers, ["kafka:9092"]);
    let world = with("require: []").env("TWINBOX__CONSUMERS__BILLING__DEDUPE__RETENTON", "8d");
    assert_eq!(
        world.problem(),
        "consumers.billing.dedupe.retenton | TWINBOX__CONSUMERS__BILLING__DEDUPE__RETENTON | unknown key; did you mean \
         `retention`?"
    );
}

#[test]
fn all_mistakes_of_all_consumers_are_told_at_once() {
    let world = World::new(
        "relays: { orders: { to: { memory: {} }, lease: 1 } }\nconsumers:\n  billing: { handler: { sql: { function: a.f } }, retry: { max: \
         1h } }\n  Mail: {}\n",
    );
    let problems = world.problems();
    let paths: Vec<&str> = problems.iter().filter_map(|line| line.split(" | ").next()).collect();
    for path in ["relays.orders.lease", "consumers.billing.from", "consumers.Mail"] {
        assert!(paths.contains(&path), "{path}: {problems:#?}");
    }
}

#[test]
fn a_consumer_may_have_a_database_of_its_own() {
    let mut world = with("database: { url: \"postgres://u@h/inbox\" }");
    world.env.clear();
    let root = world.root();
    let url = &root.inbox_of(&root.consumers["billing"]).url;
    assert_eq!(*url, crate::setting::Secret::literal("postgres://u@h/inbox"));
    let mut world = with("require: []");
    world.env.clear();
    assert!(
        world
            .problem()
            .starts_with("database.url | (not set) | the environment variable DATABASE_URL")
    );
}

#[test]
fn show_says_what_follows_from_the_name() {
    let page = with("on_reject: dead_letter").show();
    assert!(page.contains("group: billing"), "{page}");
    assert!(page.contains("topic: \"{topic}.dlq\""), "{page}");
    let again = World::new(&page).root();
    assert_eq!(
        again.consumers["billing"].dedupe,
        with("on_reject: dead_letter").root().consumers["billing"].dedupe
    );
}

#[test]
fn a_dead_letter_knows_its_topic_without_the_partition() {
    let root = with("dead_letter: { headers: { from: \"{topic}\" } }").root();
    let route = root.consumers["billing"].dead_letter_route("order.events").unwrap();
    let constant = route.constant("").map(|destination| destination.to_string());
    assert_eq!(constant.as_deref(), Some("order.events.dlq"));
}
