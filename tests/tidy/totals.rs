//! The gate itself: `deploy/dev/totals` reads what cargo said, and its last line is what continuous integration believes.
//!
//! Promises: a run that is not wholly right never ends in `0 failed`.

use std::process::Command;

const RULES: &str = "     Running unittests src/lib.rs (target/debug/deps/twinbox-0)\n\
    test delivery::lane::tests::a ... ok\ntest delivery::lane::tests::b ... ok\n\
    test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
const LIVE: &str = "     Running tests/it/main.rs (target/debug/deps/it-0)\n\
    test backends::kafka::a ... ok\ntest scenarios::b ... ok\n\
    test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
const LAYERS: [&str; 3] = ["rules", "backends", "scenarios"];

/// The exit code and the last line for a log and cargo's own exit code.
fn totals(log: &str, status: &str) -> std::io::Result<(Option<i32>, String)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("log");
    std::fs::write(&path, log)?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/dev/totals");
    let output = Command::new(script).arg(&path).arg(status).args(LAYERS).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((output.status.code(), text.lines().last().unwrap_or_default().to_owned()))
}

#[test]
fn a_clean_run_is_green() {
    assert_eq!(
        totals(&format!("{RULES}{LIVE}"), "0").expect("the script runs"),
        (Some(0), "4 passed, 0 failed".to_owned())
    );
}

#[test]
fn skipped_tests_are_told() {
    let log = LIVE.replace(
        "scenarios::b ... ok",
        "scenarios::b ... ok\ntest scenarios::c ... ignored",
    );
    let log = log.replace("0 ignored", "1 ignored");
    assert_eq!(
        totals(&format!("{RULES}{log}"), "0").expect("the script runs"),
        (Some(0), "4 passed, 0 failed, 1 skipped".to_owned())
    );
}

#[test]
fn nothing_wrong_ends_in_no_failures() {
    let failed = LIVE
        .replace("b ... ok", "b ... FAILED")
        .replace("ok. 2 passed; 0 failed", "FAILED. 1 passed; 1 failed");
    let torn = failed.replace(
        "test scenarios::b ... FAILED",
        "test scenarios::b ... a child wroteFAILED",
    );
    let died = LIVE
        .lines()
        .filter(|line| !line.starts_with("test result"))
        .collect::<Vec<_>>()
        .join("\n");
    let vanished = LIVE.replace("scenarios::b", "backends::b");
    let unchecked = format!("{LIVE}not right: clippy\n");
    let runs = [
        ("a failed test", format!("{RULES}{failed}"), "101", "3 passed, 1 failed"),
        (
            "a failed test in a torn line",
            format!("{RULES}{LIVE}{torn}"),
            "101",
            "5 passed, 1 failed",
        ),
        (
            "a test program that died",
            format!("{RULES}{died}"),
            "101",
            "4 passed, 1 failed",
        ),
        (
            "a layer that vanished",
            format!("{RULES}{vanished}"),
            "0",
            "4 passed, 1 failed",
        ),
        (
            "cargo not content",
            format!("{RULES}{LIVE}"),
            "101",
            "4 passed, 1 failed",
        ),
        (
            "a failure of the caller",
            format!("{RULES}{unchecked}"),
            "0",
            "4 passed, 1 failed",
        ),
        ("no test at all", String::new(), "0", "0 passed, 4 failed"),
        (
            "a build that failed",
            "error: could not compile `twinbox`\n".to_owned(),
            "101",
            "0 passed, 4 failed",
        ),
    ];
    for (what, log, status, last) in runs {
        assert_eq!(
            totals(&log, status).expect("the script runs"),
            (Some(1), last.to_owned()),
            "{what}"
        );
    }
}
