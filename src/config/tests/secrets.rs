//! A canary in every secret, and nobody may sing.

use std::fmt::Write as _;

use super::*;

const CANARY: &str = "canary-7f3a";

/// Every secret there is, as a literal.
fn whole() -> World {
    World::new(&format!(
        "database: {{ url: \"postgres://u:{CANARY}@h/d\" }}\nadmin: {{ token: {CANARY} }}\nrelays:\n  orders:\n    \
         database: {{ url: \"postgres://u:{CANARY}@h/d\" }}\n    to:\n      kafka:\n        brokers: [a]\n        sasl: {{ \
         mechanism: PLAIN, username: {CANARY}, password: {CANARY} }}\nconsumers:\n  billing:\n    database: {{ url: \
         \"postgres://u:{CANARY}@h/d\" }}\n    handler: {{ sql: {{ function: a.f }} }}\n    from:\n      kafka:\n        \
         brokers: [a]\n        topics: [b]\n        sasl: {{ mechanism: PLAIN, username: {CANARY}, password: {CANARY} }}\n"
    ))
}

#[test]
fn every_secret_of_the_schema_is_in_this_test() {
    let text = crate::config::schema().to_string();
    let secrets = text.matches("twinbox-secret").count();
    assert_eq!(secrets, 8, "a new secret: plant its canary above");
    assert_eq!(whole().show().matches("***").count(), secrets);
}

#[test]
fn neither_show_nor_debug_prints_a_secret() {
    let world = whole().env("TWINBOX__UNRELATED", "x");
    assert!(world.load().is_err());
    let world = whole();
    let shown = format!("{}{:?}{:#?}", world.show(), world.load().unwrap(), world.environment());
    assert!(!shown.contains(CANARY), "{shown}");
}

#[test]
fn no_problem_prints_a_secret() {
    let mut shown = String::new();
    for yaml in [
        format!("database: {{ url: {CANARY} }}\n"),
        format!("database: {{ url: [{CANARY}] }}\n"),
        format!("database: {{ url: {{ env: {{ x: {CANARY} }} }} }}\n"),
        format!("database: {{ url: \"{CANARY}\\n{CANARY}\" }}\n"),
        format!("database: {{ url: \"${{{CANARY}}}\" }}\n"),
        format!("admin:\n  token: {CANARY}\n bad: [\n"),
        format!("admin:\n  token: \"{CANARY}\n"),
        format!("admin:\n  token: !x {CANARY}\n"),
        format!("admin:\n  token:{CANARY}\n"),
        format!("admin: {{ token: {CANARY}, token: {CANARY} }}\n"),
        format!("relays: {{ a: {{ to: {{ kafka: {{ brokers: [b], sasl: {{ password: [{CANARY}] }} }} }} }} }}\n"),
        format!(
            "relays: {{ a: {{ to: {{ kafka: {{ brokers: [b], options: {{ ssl.key.password: {CANARY} }} }} }} }} }}\n"
        ),
    ] {
        let problems = World::new(&yaml).load().map(|_| yaml).unwrap_err();
        write!(shown, "{problems}{problems:?}").unwrap();
    }
    let flag = World::new(SMALL).flag("admin.token", CANARY).load().unwrap_err();
    write!(shown, "{flag}{flag:?}").unwrap();
    assert!(!shown.contains(CANARY), "{shown}");
}

#[test]
fn a_flag_is_no_place_for_a_secret_but_may_name_one() {
    let world = World::new(SMALL).flag("admin.token", CANARY);
    assert_eq!(
        world.problem(),
        "admin.token | --set admin.token | is a secret, and flags are seen by everybody; write --set admin.token.env=NAME or \
         --set admin.token.file=PATH"
            .replace("or --set ", "or ")
    );
    World::new(SMALL).flag("admin.token.env", "DATABASE_URL").root();
}

#[test]
fn a_missing_file_of_a_secret_is_told_at_its_line() {
    let world = World::new(&format!("{SMALL}admin: {{ token: {{ file: /nowhere/token }} }}\n"));
    assert_eq!(
        world.problem(),
        "admin.token | twinbox.yaml:4:10 | cannot read /nowhere/token: entity not found"
    );
}

#[test]
fn secrets_of_variables_are_hidden_too() {
    let world = World::new(SMALL).env("TWINBOX__ADMIN__TOKEN", CANARY);
    let shown = format!("{}{:?}", world.show(), world.load().unwrap());
    assert!(!shown.contains(CANARY), "{shown}");
    assert!(shown.contains("# TWINBOX__ADMIN__TOKEN"), "{shown}");
    assert!(
        World::new(SMALL)
            .env("TWINBOX__ADMIN__TOKEN", "")
            .problem()
            .ends_with("is empty; remove it or write a value")
    );
}
