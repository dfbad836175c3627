//! Each mistake has its own sentence, and all of them are told at once, with their places.

use super::*;

/// A relay with this line in it.
fn relay(line: &str) -> World {
    World::new(&format!("{SMALL}    {line}\n"))
}

#[test]
fn five_mistakes_are_five_lines_with_their_numbers() {
    let world = World::new(
        "relays:\n  orders:\n    to: { kafka: { brokers: [], options: { acks: 1 } } }\n    limits:\n      batch_size: 500\n    \
         lease: 10\nadmin:\n  token: { env: NOPE }\n",
    );
    assert_eq!(
        world.problems(),
        [
            "relays.orders.to.kafka.brokers | twinbox.yaml:3:29 | is empty; write at least one",
            "relays.orders.to.kafka.options.acks | twinbox.yaml:3:50 | would break the promise of order: twinbox publishes \
             idempotently with acks=all; remove it",
            "relays.orders.limits.batch_size | twinbox.yaml:5:7 | unknown key; did you mean `batch`?",
            "relays.orders.lease | twinbox.yaml:6:12 | \"10\" has no unit; write 10s",
            "admin.token | twinbox.yaml:8:3 | the environment variable NOPE is not set; set it, or name another",
        ]
    );
    let problems = world.load().unwrap_err();
    assert_eq!(problems.headline(), "5 problems in the configuration");
    assert_eq!(problems.to_string().lines().count(), 5);
    assert_eq!(Problems::EXIT_CODE, 3);
}

#[test]
fn each_kind_of_value_says_what_to_write() {
    for (line, expected) in [
        (
            "limits: { batch: many }",
            "relays.orders.limits.batch | twinbox.yaml:4:22 | is a text; write a whole number, 1 to 100000",
        ),
        (
            "limits: { batch: 0 }",
            "relays.orders.limits.batch | twinbox.yaml:4:22 | is 0; write 1 to 100000",
        ),
        (
            "limits: { batch: 1.5 }",
            "relays.orders.limits.batch | twinbox.yaml:4:22 | is a number; write a whole number, 1 to 100000",
        ),
        (
            "limits: { bytes: 8M }",
            "relays.orders.limits.bytes | twinbox.yaml:4:22 | \"8M\" does not end in B; write 8MiB (1024s) or 8MB (1000s)",
        ),
        (
            "limits: { bytes: 8 }",
            "relays.orders.limits.bytes | twinbox.yaml:4:22 | \"8\" has no unit; write 8MiB, or 8B for bytes",
        ),
        (
            "limits: [1]",
            "relays.orders.limits | twinbox.yaml:4:13 | is a list; write a section with batch, bytes, in_flight",
        ),
        (
            "retry: { first: soon }",
            "relays.orders.retry.first | twinbox.yaml:4:21 | \"soon\" is no duration; write whole numbers with a unit: 250ms, 10s, 5m, 24h, 7d",
        ),
    ] {
        assert_eq!(relay(line).problem(), expected, "{line}");
    }
}

#[test]
fn each_rule_says_what_to_write() {
    for (line, expected) in [
        (
            "source: 12",
            "relays.orders.source | twinbox.yaml:4:13 | is a number; write it in quotes",
        ),
        (
            "on_reject: dead",
            "relays.orders.on_reject | twinbox.yaml:4:16 | \"dead\" is not known; did you mean dead_letter? (park | dead_letter | halt)",
        ),
        (
            "require: order",
            "relays.orders.require | twinbox.yaml:4:14 | is a text; write a list: [first, second]",
        ),
        (
            "require: [order, speed]",
            "relays.orders.require.1 | twinbox.yaml:4:22 | \"speed\" is not known; write no_loss | order | effect_once | tls",
        ),
        (
            "require: [effect_once]",
            "relays.orders.require.0 | twinbox.yaml:4:15 | effect_once does not hold: a relay delivers at least once: a crash may repeat messages with the same id; only a consumer with an inbox makes the effect happen once",
        ),
        (
            "require: [tls]",
            "relays.orders.require.0 | twinbox.yaml:4:15 | tls does not hold: the broker's connection is plaintext; add `tls: {}` to it",
        ),
        (
            "retention: soon",
            "relays.orders.retention | twinbox.yaml:4:16 | \"soon\" is no duration; write whole numbers with a unit: 250ms, 10s, 5m, 24h, 7d (or keep, or partitions, or partitions 7d)",
        ),
        (
            "route: { topic: \"{aggregate}\" }",
            "relays.orders.route.topic | twinbox.yaml:4:21 | unknown placeholder {aggregate}; write one of {aggregatetype} {aggregateid} {type} {id} {header:NAME}",
        ),
        (
            "route: { topik: x }",
            "relays.orders.route.topik | twinbox.yaml:4:14 | unknown key; did you mean `topic`?",
        ),
        (
            "from: { wal: {} }",
            "relays.orders.from.wal | twinbox.yaml:4:13 | the wal source is not supported by this version; write cursor",
        ),
        (
            "from: { cursor: { table: a.b.c } }",
            "relays.orders.from.cursor.table | twinbox.yaml:4:30 | \"a.b.c\" is no table; write schema.table",
        ),
        (
            "lease: 10ms",
            "relays.orders.lease | twinbox.yaml:4:12 | is 10ms; write 1s to 5m",
        ),
        (
            "retry: { first: 2m }",
            "relays.orders.retry.first | twinbox.yaml:4:21 | is 2m; write more than 0s, at most retry.max = 1m",
        ),
        (
            "retry: { max: 1h }",
            "relays.orders.retry.max | twinbox.yaml:4:19 | is 1h; write more than 0s, at most 15m",
        ),
        (
            "limits: { in_flight: 10 }",
            "relays.orders.limits.batch | twinbox.yaml:4:5 | is 1000, more than limits.in_flight = 10; a fetch must fit",
        ),
        (
            "limits: { bytes: 1KiB }",
            "relays.orders.limits.bytes | twinbox.yaml:4:22 | is 1KiB; write at least 1MiB",
        ),
    ] {
        assert_eq!(relay(line).problem(), expected, "{line}");
    }
}

#[test]
fn what_belongs_to_the_process_says_what_to_write_too() {
    for (line, expected) in [
        (
            "admin: { listen: localhost }",
            "admin.listen | twinbox.yaml:4:18 | \"localhost\" is no address with a port; write 127.0.0.1:9640, or 0.0.0.0:9640 for all",
        ),
        (
            "drain: { deadline: 0s }",
            "drain.deadline | twinbox.yaml:4:20 | is zero: a drain needs time; write 25s",
        ),
        (
            "telemetry: { log: { level: loud } }",
            "telemetry.log.level | twinbox.yaml:4:28 | \"loud\" is not known; write error | warn | info | debug | trace",
        ),
        ("version: 2", "version | twinbox.yaml:4:10 | is 2; write 1"),
        (
            "relay: {}",
            "relay | twinbox.yaml:4:1 | unknown key; did you mean `relays`?",
        ),
        (
            "database: { url: mysql://x }",
            "database.url | twinbox.yaml:4:18 | the database URL cannot be read: it is neither a URL nor a list of key=value; write postgres://user:password@host:5432/database",
        ),
        (
            "database: { tls: { key: /dev/null } }",
            "database.tls.certificate | twinbox.yaml:4:13 | is missing: `key` needs its certificate; write certificate: FILE",
        ),
        (
            "database: { tls: { ca: /nowhere/ca.pem } }",
            "database.tls.ca | twinbox.yaml:4:24 | cannot read /nowhere/ca.pem: entity not found",
        ),
    ] {
        assert_eq!(World::new(&format!("{SMALL}{line}\n")).problem(), expected, "{line}");
    }
}

#[test]
fn a_relay_needs_exactly_one_broker() {
    let to = |to: &str| World::new(&format!("relays: {{ orders: {{ {to} }} }}\n")).problem();
    let hint = "write to: { kafka: { brokers: [\"host:9092\"] } }";
    assert_eq!(
        to(""),
        format!("relays.orders.to | twinbox.yaml:1:11 | is missing; {hint}")
    );
    assert_eq!(
        to("to: { memory: {}, kafka: { brokers: [a] } }"),
        "relays.orders.to | twinbox.yaml:1:21 | names kafka and memory; write exactly one"
    );
    assert_eq!(
        to("to: {}"),
        "relays.orders.to | twinbox.yaml:1:21 | is empty; write one of kafka, memory"
    );
    assert_eq!(
        to("to: { kafka: {} }"),
        "relays.orders.to.kafka.brokers | twinbox.yaml:1:27 | is missing; write brokers: [\"host:9092\"]"
    );
    assert_eq!(
        to("to: { kafak: { brokers: [a] } }"),
        "relays.orders.to.kafak | twinbox.yaml:1:27 | unknown key; did you mean `kafka`?"
    );
    assert!(to("to: { kafka: { brokers: [a], tls: } }").contains("write `tls: {}` for TLS"));
    assert!(
        to("to: { kafka: { brokers: [\"kafka://a\"] } }")
            .ends_with("brokers.0 | twinbox.yaml:1:46 | is a URL; write host:port")
    );
    assert!(
        World::new("relays:\n  orders:\n")
            .problem()
            .starts_with("relays.orders.to | twinbox.yaml:2:3 | is missing")
    );
}

#[test]
fn a_name_is_a_name_everywhere() {
    for name in [
        "Orders",
        "1st",
        "or-ders",
        "a__b",
        "a123456789012345678901234567890123456789x",
        "\"\"",
    ] {
        let world = World::new(&format!("relays: {{ {name}: {{ to: {{ memory: {{}} }} }} }}\n"));
        assert!(
            world.problem().contains("is no name; write a lower-case letter"),
            "{name}"
        );
    }
    World::new("relays: { a_b1: { to: { memory: {} } } }\n").root();
}

#[test]
fn text_is_not_interpolated_and_says_so() {
    assert_eq!(
        World::new(&format!("{SMALL}database: {{ url: \"${{DATABASE_URL}}\" }}\n")).problem(),
        "database.url | twinbox.yaml:4:18 | has ${…}, but text is not interpolated; write { env: NAME }"
    );
    assert_eq!(
        relay("source: \"/x/${REGION}\"").problem(),
        "relays.orders.source | twinbox.yaml:4:13 | has ${…}, but text is not interpolated; write the value, or set \
         TWINBOX__RELAYS__ORDERS__SOURCE"
    );
}

#[test]
fn a_mistake_does_not_hide_those_beside_it() {
    // An unknown key, and in the same section a rule across two fields.
    let problems = relay("limits: { batch: 20, in_flight: 10, bites: 1 }").problems();
    assert_eq!(problems.len(), 2, "{problems:#?}");
    // A relay without a broker, and rules of another one.
    let world = World::new("relays: { a: {}, b: { to: { memory: {} }, lease: 1ms, retry: { first: 1h } } }\n");
    assert_eq!(world.problems().len(), 3, "{:#?}", world.problems());
}

#[test]
fn one_mistake_is_told_once() {
    assert!(
        relay("database: { url: 12345 }")
            .problem()
            .ends_with("is a number; write it in quotes, { env: NAME } or { file: path }")
    );
    assert!(relay("lease: [10s]").problem().ends_with("is a list; write a text"));
}

#[test]
fn what_is_required_must_hold() {
    let of = |yaml: &str| World::new(&format!("relays: {{ orders: {{ {yaml} }} }}\n"));
    let kafka = "to: { kafka: { brokers: [a], tls: {} } }";
    of(&format!("{kafka}, require: [no_loss, order]")).root();
    let url = |query: &str| format!("database: {{ url: \"postgres://u@h/d{query}\" }}");
    of(&format!("{kafka}, {}, require: [tls]", url("?sslmode=verify-full"))).root();
    for (yaml, reason) in [
        (
            format!("{kafka}, {}, require: [tls]", url("")),
            "the database may be reached in plaintext",
        ),
        (
            format!("{kafka}, require: [order], on_reject: dead_letter"),
            "lets a key flow on past a rejected message",
        ),
        (
            "to: { memory: {} }, require: [no_loss]".to_owned(),
            "forgets what it acknowledged",
        ),
    ] {
        let problem = of(&yaml).problem();
        assert!(
            problem.starts_with("relays.orders.require.0 | ") && problem.contains(reason),
            "{problem}"
        );
    }
}
