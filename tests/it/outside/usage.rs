//! Arguments and exit codes, without servers.

use crate::support::relay::twinbox;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Nobody listens on port 1.
const AWAY: &str = "postgres://nobody:secret-canary@127.0.0.1:1/nothing";

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    command(arguments, environment).output().expect("the binary was built")
}

fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = twinbox(environment);
    // No configuration of the repository's may be met by accident.
    command.args(arguments).current_dir(Path::new("/"));
    command
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it was not killed")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_command_line_that_makes_no_sense_is_2() {
    for arguments in [
        &[][..],
        &["nonsense"],
        &["migrate", "--print", "--check"],
        &["migrate", "--payload", "xml"],
        &["migrate", "--print", "--schema", "pg_mine"],
        &["drain", "--wait", "soon"],
        &["status", "-o", "yaml"],
        &["completions", "cobol"],
        &["version", "--set", "nonsense"],
    ] {
        let seen = run(arguments, &[]);
        assert_eq!(code(&seen), 2, "{arguments:?}: {}", err(&seen));
        assert_eq!(out(&seen), "", "{arguments:?}");
        assert_ne!(err(&seen), "", "{arguments:?}");
    }
}

#[test]
fn help_and_version_are_data() {
    for arguments in [&["--help"][..], &["--version"], &["version"], &["relay", "--help"]] {
        let seen = run(arguments, &[]);
        assert_eq!((code(&seen), err(&seen).as_str()), (0, ""), "{arguments:?}");
        assert_ne!(out(&seen), "", "{arguments:?}");
    }
    let version: serde_json::Value = serde_json::from_str(&out(&run(&["version", "-o", "json"], &[]))).expect("JSON");
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn completions_name_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let script = out(&run(&["completions", shell], &[]));
        assert!(
            script.contains("migrate") && script.contains("doctor"),
            "{shell}: {script}"
        );
    }
}

#[test]
fn a_bad_configuration_is_3_and_told_on_stdout() {
    let seen = run(
        &["relay", "--set", "relays.orders.limits.batch_size=5"],
        &[("DATABASE_URL", AWAY)],
    );
    assert_eq!(code(&seen), 3, "{}", err(&seen));
    assert!(out(&seen).contains("did you mean `batch`?"), "{}", out(&seen));
    assert!(err(&seen).contains("in the configuration"), "{}", err(&seen));

    let none = run(&["relay"], &[("DATABASE_URL", AWAY)]);
    assert_eq!(code(&none), 3);
    assert!(err(&none).contains("has no relay"), "{}", err(&none));

    let unset = run(&["migrate", "--check"], &[]);
    assert_eq!(code(&unset), 3);
    assert!(out(&unset).contains("DATABASE_URL is not set"), "{}", out(&unset));
    let none = run(&["consume"], &[("DATABASE_URL", AWAY)]);
    assert_eq!(code(&none), 3);
    assert!(err(&none).contains("has no consumer"), "{}", err(&none));
    let nothing = run(&["run"], &[("DATABASE_URL", AWAY)]);
    assert_eq!(code(&nothing), 3);
    assert!(err(&nothing).contains("no relay and no consumer"), "{}", err(&nothing));
}

/// A consumer of the broker inside the process.
const BILLING: [&str; 4] = [
    "--set",
    "consumers.billing.from.memory.topics=order.events",
    "--set",
    "consumers.billing.handler.sql.function=billing.on_event",
];

#[test]
fn a_consumer_is_explained_and_its_requirements_are_kept() {
    let env = [("DATABASE_URL", AWAY)];
    let explained = out(&run(&[&["explain", "-o", "json"][..], &BILLING].concat(), &env));
    let explained: serde_json::Value = serde_json::from_str(&explained).expect("JSON");
    let billing = &explained["consumers"][0];
    assert_eq!(
        (&billing["name"], &billing["handler"]),
        (&"billing".into(), &"sql".into())
    );
    let holds: Vec<bool> = billing["promises"]
        .as_array()
        .expect("promises")
        .iter()
        .filter_map(|promise| promise["holds"].as_bool())
        .collect();
    assert_eq!(
        holds[..3],
        [false, true, true],
        "no_loss, order, effect_once: {billing}"
    );
    let table = out(&run(&[&["explain"][..], &BILLING].concat(), &env));
    assert!(table.contains("billing, from memory to sql"), "{table}");
    assert!(table.contains("recognised by the event's id"), "{table}");

    let refused = [&["consume", "--set", "consumers.billing.require=no_loss"][..], &BILLING].concat();
    let refused = run(&refused, &env);
    assert_eq!(code(&refused), 3, "{}", err(&refused));
    assert!(out(&refused).contains("no_loss does not hold"), "{}", out(&refused));
}

#[test]
fn a_name_that_the_configuration_lacks_is_2_and_told() {
    let set = ["--set", "relays.orders.to.memory={}"];
    for verb in ["relay", "doctor"] {
        let seen = run(&[&[verb, "ordres"][..], &set].concat(), &[("DATABASE_URL", AWAY)]);
        assert_eq!(code(&seen), 2, "{verb}: {}{}", out(&seen), err(&seen));
        assert!(err(&seen).contains("it has orders"), "{verb}: {}", err(&seen));
    }
    let seen = run(
        &[&["consume", "orders"][..], &BILLING].concat(),
        &[("DATABASE_URL", AWAY)],
    );
    assert_eq!(code(&seen), 2, "{}{}", out(&seen), err(&seen));
    assert!(err(&seen).contains("it has billing"), "{}", err(&seen));
}

#[test]
fn what_is_away_is_6_and_no_secret_is_told() {
    let set = ["--set", "relays.orders.to.memory={}"];
    for arguments in [
        &["migrate"][..],
        &["migrate", "--check"],
        &["status"],
        &["drain", "--wait=1s"],
        &["status", "--url", "http://127.0.0.1:1"],
    ] {
        let arguments = [arguments, &set].concat();
        // The default port of the admin port may be taken on this machine: then nobody is away there.
        let arguments = if arguments.contains(&"--url") || arguments[0] == "migrate" {
            arguments
        } else {
            [&arguments[..], &["--url", "http://127.0.0.1:1"]].concat()
        };
        let seen = run(&arguments, &[("DATABASE_URL", AWAY)]);
        assert_eq!(code(&seen), 6, "{arguments:?}: {}{}", out(&seen), err(&seen));
        let told = out(&seen) + &err(&seen);
        assert!(!told.contains("canary"), "{arguments:?}: {told}");
    }
    let doctor = run(&[&["doctor", "-v"][..], &set].concat(), &[("DATABASE_URL", AWAY)]);
    assert_eq!(code(&doctor), 4, "{}", out(&doctor));
    assert!(out(&doctor).contains("PG-CONN"), "{}", out(&doctor));
    assert!(!out(&doctor).contains("canary") && !err(&doctor).contains("canary"));
}

#[test]
fn printing_the_tables_needs_no_database() {
    let seen = run(&["migrate", "--print", "--schema", "mine", "--payload", "bytea"], &[]);
    assert_eq!(code(&seen), 0, "{}", err(&seen));
    assert!(out(&seen).contains(r#"create table "mine".outbox"#), "{}", out(&seen));
}

/// `twinbox … | head -1` ends quietly.
#[test]
fn a_closed_pipe_is_no_panic() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut child = command(&["migrate", "--print"], &[])
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    let mut told = String::new();
    let stderr = child.stderr.as_mut().expect("piped");
    stderr.read_to_string(&mut told).expect("text");
    let status = child.wait().expect("a child can be waited for");
    assert_eq!((status.code(), told.as_str()), (Some(0), ""));
}
