//! Files below variables below flags; what merges and what replaces; texts that become types.

use super::*;
use crate::broker::kafka::config::KafkaConfig;
use crate::setting::Secret;

fn kafka(world: &World) -> KafkaConfig {
    world.root().relays["orders"].to.settings().read().unwrap()
}

#[test]
fn a_variable_beats_a_file_and_a_flag_beats_both() {
    let small = || World::new(&format!("{SMALL}    limits: {{ batch: 1, in_flight: 500 }}\n"));
    let variable = "TWINBOX__RELAYS__ORDERS__LIMITS__BATCH";
    let batch = |world: World| world.root().relays["orders"].limits.batch;
    assert_eq!(batch(small()), 1);
    assert_eq!(batch(small().env(variable, "2")), 2);
    assert_eq!(
        batch(small().env(variable, "2").flag("relays.orders.limits.batch", "3")),
        3
    );
    assert_eq!(small().env(variable, "2").root().relays["orders"].limits.in_flight, 500);
}

#[test]
fn a_later_file_wins_and_the_rest_stays() {
    let world = World::new(SMALL).file(
        "more.yaml",
        "relays: { orders: { lease: 20s }, other: { to: { memory: {} } } }\n",
    );
    let root = world.root();
    assert_eq!(root.relays["orders"].lease.to_string(), "20s");
    assert_eq!(root.relays["orders"].to.backend().config.name, "kafka");
    assert_eq!(root.relays["other"].to.backend().config.name, "memory");
    assert!(world.load().unwrap().origin.ends_with("more.yaml"));
}

#[test]
fn the_problem_is_told_at_the_layer_that_wrote_it() {
    let world = World::new(&format!("{SMALL}    lease: 5s\n")).env("TWINBOX__RELAYS__ORDERS__LEASE", "10");
    assert_eq!(
        world.problem(),
        "relays.orders.lease | TWINBOX__RELAYS__ORDERS__LEASE | \"10\" has no unit; write 10s"
    );
    let world = World::new(SMALL).env("TWINBOX__RELAYS__ORDERS__LIMITS__BATCH_SIZE", "5");
    assert_eq!(
        world.problem(),
        "relays.orders.limits.batch_size | TWINBOX__RELAYS__ORDERS__LIMITS__BATCH_SIZE | unknown key; did you mean `batch`?"
    );
    let world = World::new(SMALL).flag("relays.orders.limits.batch", "x");
    assert!(
        world
            .problem()
            .starts_with("relays.orders.limits.batch | --set relays.orders.limits.batch | is a text")
    );
}

#[test]
fn a_variable_becomes_what_is_wanted_and_no_more() {
    let world = World::new(SMALL)
        .env("TWINBOX__RELAYS__ORDERS__TO__KAFKA__BROKERS", "a:9092, b:9092")
        .env("TWINBOX__RELAYS__ORDERS__SOURCE", "12345")
        .env("TWINBOX__RELAYS__ORDERS__REQUIRE", "order,no_loss")
        .env("TWINBOX__DATABASE__POOL", "16")
        .env("TWINBOX__DATABASE__SCHEMA", "true");
    assert_eq!(kafka(&world).brokers, ["a:9092", "b:9092"]);
    let root = world.root();
    assert_eq!(root.relays["orders"].source.as_deref(), Some("12345"));
    assert_eq!(root.relays["orders"].require.len(), 2);
    assert_eq!((root.database.pool, root.database.schema.as_str()), (16, "true"));
}

#[test]
fn a_wrong_item_of_a_list_in_a_variable_names_the_variable() {
    let world = World::new(SMALL).env("TWINBOX__RELAYS__ORDERS__REQUIRE", "order,speed");
    assert!(
        world
            .problem()
            .starts_with("relays.orders.require.1 | TWINBOX__RELAYS__ORDERS__REQUIRE | \"speed\"")
    );
}

#[test]
fn the_index_form_of_a_list_says_how_to_write_it() {
    let world = World::new(SMALL).env("TWINBOX__RELAYS__ORDERS__TO__KAFKA__BROKERS__0", "a:9092");
    assert_eq!(
        world.problem(),
        "relays.orders.to.kafka.brokers | TWINBOX__RELAYS__ORDERS__TO__KAFKA__BROKERS__0 | is a list; write \
         TWINBOX__RELAYS__ORDERS__TO__KAFKA__BROKERS=first,second"
    );
}

#[test]
fn keys_that_no_variable_can_spell_are_set_in_files() {
    let world = World::new(SMALL).env("TWINBOX__RELAYS__ORDERS__TO__KAFKA__OPTIONS__LINGER_MS", "5");
    assert!(world.problem().contains("can be set in a file only"));
}

#[test]
fn a_service_named_twinbox_does_not_disturb() {
    World::new(SMALL)
        .env("TWINBOX_PORT", "tcp://10.0.0.1:80")
        .env("TWINBOX_SERVICE_HOST", "10.0.0.1")
        .root();
}

#[test]
fn variables_that_contradict_each_other_are_told() {
    let world = World::new(SMALL)
        .env("TWINBOX__DATABASE__URL", "postgres://a/b")
        .env("TWINBOX__DATABASE__URL__ENV", "X");
    assert!(
        world
            .problem()
            .contains("contradicts database.url, which is set beside it")
    );
}

#[test]
fn another_alternative_of_a_one_of_replaces_the_whole() {
    let world = World::new(SMALL).file("other.yaml", "relays: { orders: { to: { memory: {} } } }\n");
    assert_eq!(world.root().relays["orders"].to.backend().config.name, "memory");
    let world = World::new(&format!("{SMALL}admin: {{ token: {{ env: TOKEN }} }}\n"))
        .env("TWINBOX__ADMIN__TOKEN__FILE", "/etc/hostname");
    assert_eq!(world.root().admin.token, Some(Secret::File("/etc/hostname".into())));
    let world = World::new(&format!("{SMALL}admin: {{ token: {{ env: TOKEN }} }}\n")).env("TWINBOX__ADMIN__TOKEN", "x");
    assert_eq!(world.root().admin.token, Some(Secret::literal("x")));
    let world =
        World::new(&format!("{SMALL}admin: {{ token: literal }}\n")).env("TWINBOX__ADMIN__TOKEN__ENV", "DATABASE_URL");
    assert_eq!(world.root().admin.token, Some(Secret::Env("DATABASE_URL".into())));
}

#[test]
fn the_same_alternative_keeps_its_encryption() {
    let world = World::new("relays: { orders: { to: { kafka: { brokers: [a], tls: {} } } } }\n")
        .env("TWINBOX__RELAYS__ORDERS__TO__KAFKA__BROKERS", "b");
    assert_eq!(kafka(&world).brokers, ["b"]);
    assert!(kafka(&world).tls.is_some());
}

#[test]
fn encryption_can_be_switched_on_by_a_variable_alone() {
    let world = World::new(SMALL).env("TWINBOX__RELAYS__ORDERS__TO__KAFKA__TLS", "{}");
    assert!(kafka(&world).tls.is_some());
}

#[test]
fn a_shorter_list_replaces_a_longer_one() {
    let world = World::new("relays: { orders: { to: { kafka: { brokers: [a, b, c] } } } }\n").file(
        "other.yaml",
        "relays: { orders: { to: { kafka: { brokers: [d] } } } }\n",
    );
    assert_eq!(kafka(&world).brokers, ["d"]);
}

#[test]
fn a_null_unsets() {
    let world =
        World::new(&format!("{SMALL}    lease: 20s\n")).file("other.yaml", "relays: { orders: { lease: null } }\n");
    assert_eq!(
        world.root().relays["orders"].lease,
        crate::setting::Duration::from_secs(10)
    );
    let world = World::new(&format!(
        "{SMALL}admin: {{ token: null }}\ndatabase: {{ tls: {{ ca: null }} }}\n"
    ));
    assert_eq!(world.root().admin.token, None);
}

#[test]
fn without_any_file_the_environment_is_enough() {
    let mut world = World::new("").env("TWINBOX__RELAYS__ORDERS__TO__KAFKA__BROKERS", "a");
    assert_eq!(kafka(&world).brokers, ["a"]);
    assert_eq!(world.load().unwrap().origin, "1 variable");
    world.files.clear();
    let named = world.dir.path().join("named.yaml");
    std::fs::write(&named, "drain: { deadline: 3s }").unwrap();
    let world = world.env("TWINBOX_CONFIG", named.to_str().unwrap());
    assert_eq!(world.root().drain.deadline.to_string(), "3s");
}

#[test]
fn the_common_database_is_not_needed_when_every_relay_has_its_own() {
    let mut world = World::new("relays: { orders: { to: { memory: {} }, database: { url: postgres://u@h/d } } }\n");
    world.env.clear();
    let root = world.root();
    assert_eq!(
        root.database_of(&root.relays["orders"]).url,
        Secret::literal("postgres://u@h/d")
    );
    let mut world = World::new(SMALL);
    world.env.clear();
    assert_eq!(
        world.problem(),
        "database.url | (not set) | the environment variable DATABASE_URL is not set; set it, or write `url: { env: NAME }` \
         or `url: { file: PATH }`, or set TWINBOX__DATABASE__URL"
    );
}
