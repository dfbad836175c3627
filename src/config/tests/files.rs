//! Files that are no configuration at all: broken, hostile, or something else.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

#[test]
fn a_broken_file_is_told_with_its_line() {
    let problem = World::new("relays:\n  orders:\n    to: [a\nadmin: x\n").problem();
    assert!(
        problem.starts_with("(file) | twinbox.yaml:4:") && problem.contains("is no valid YAML here"),
        "{problem}"
    );
    let problem = World::new("a: 1\n---\nb: 2\n").problem();
    assert!(problem.contains("holds a second document"), "{problem}");
    let problem = World::new("- a\n- b\n").problem();
    assert_eq!(
        problem,
        "(file) | twinbox.yaml:1:1 | holds no keys; write `key: value` lines"
    );
    let problem = World::new("admin: { token: !vault secret/x }\n").problem();
    assert!(problem.contains("twinbox.yaml:1:"), "{problem}");
    let problem = World::new("admin: *nowhere\n").problem();
    assert!(problem.contains("names an anchor that does not exist"), "{problem}");
}

#[test]
fn every_broken_file_is_told() {
    let world = World::new("a: [\n")
        .file("b.yaml", "{")
        .file("c.yaml", "\n\nx: \"\u{1F600}\n");
    assert_eq!(world.problems().len(), 3, "{:#?}", world.problems());
}

#[test]
fn a_key_written_twice_is_told_with_both_places() {
    let world = World::new(&format!("{SMALL}    lease: 1s\n    lease: 2\n    lsae: 3s\n"));
    let problems = world.problems();
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(
        problems[0].starts_with("relays.orders.lease | twinbox.yaml:5:5 | is written twice, first at "),
        "{problems:#?}"
    );
    assert!(problems[0].ends_with("twinbox.yaml:4:5; remove one"), "{problems:#?}");
}

#[test]
fn anchors_and_merge_keys_work_as_in_yaml() {
    let world = World::new(
        "relays:\n  orders: &base\n    to: { kafka: { brokers: [a] } }\n    lease: 5s\n  billing:\n    <<: *base\n    lease: 7s\n",
    );
    let root = world.root();
    assert_eq!(root.relays["billing"].lease.to_string(), "7s");
    assert_eq!(root.relays["orders"].lease.to_string(), "5s");
    assert_eq!(root.relays["billing"].to, root.relays["orders"].to);
}

#[test]
fn a_bomb_of_anchors_is_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        writeln!(bomb, "a{level}: &a{level} [{}]", vec![below; 9].join(", ")).unwrap();
    }
    let problem = World::new(&bomb).problem();
    assert!(problem.contains("is too deep or expands too far"), "{problem}");
    // Wide instead of deep: only the count of what aliases expand to tells.
    let wide = format!(
        "a: &a [{}]\nb: [{}]\n",
        vec!["x"; 200].join(", "),
        vec!["*a"; 60].join(", ")
    );
    assert!(World::new(&wide).problem().contains("is too deep or expands too far"));
    let deep = format!("admin: {}{}", "[".repeat(5000), "]".repeat(5000));
    assert!(World::new(&deep).problem().starts_with("(file) | twinbox.yaml:1:"));
}

#[test]
fn a_file_has_a_largest_size() {
    let comment = format!("#{}\n", "x".repeat(1023)).repeat(1000);
    assert!(World::new(&format!("{comment}{SMALL}")).load().is_ok());
    let problem = World::new(&comment.repeat(2)).problem();
    assert_eq!(
        problem,
        "(file) | twinbox.yaml:1:1 | is larger than 1 MiB: is it the right file?"
    );
}

#[test]
fn a_file_is_text() {
    let world = World::new("").file("latin.yaml", b"admin:\n  # caf\xe9\n");
    assert_eq!(
        world.problem(),
        "(file) | latin.yaml:2:1 | is not UTF-8 here; save it as UTF-8"
    );
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let mut world = World::new(SMALL);
    world.files.push(world.dir.path().join("gone.yaml"));
    assert_eq!(
        world.problem(),
        "(file) | gone.yaml:1:1 | cannot be read: entity not found"
    );
    world.files = vec![world.dir.path().to_owned()];
    assert!(world.problem().contains("cannot be read: is a directory"));
}

#[test]
fn an_empty_file_is_an_empty_configuration() {
    for empty in ["", "\n", "# nothing\n", "---\n", "{}\n"] {
        assert!(World::new(empty).root().relays.is_empty(), "{empty:?}");
    }
}

#[test]
fn texts_stay_texts() {
    let world = World::new(&format!("{SMALL}    source: no\ndatabase: {{ schema: 0755 }}\n"));
    let root = world.root();
    assert_eq!(root.relays["orders"].source.as_deref(), Some("no"));
    assert_eq!(root.database.schema, "0755");
}

proptest! {
    #[test]
    fn no_file_panics(text in "(relays|admin|to|orders|kafka|lease|null|\\{|\\}|\\[|\\]|:|,|-|&a|\\*a|<<|\"|'|\\$\\{X\\}|~|1e999|\n| |  ){0,40}") {
        let world = World::new(&text);
        let _ = world.load();
        let _ = crate::config::show(&world.files, &world.environment(), (&[], true));
    }

    #[test]
    fn no_variable_panics(name in "TWINBOX__(RELAYS|TO|KAFKA|X|0|_|__|ADMIN|TOKEN){0,5}", value in "\\PC{0,8}") {
        let _ = World::new(SMALL).env(&name, &value).load();
        let _ = World::new(SMALL).flag(&name.replace("__", ".").to_lowercase(), &value).load();
    }
}
