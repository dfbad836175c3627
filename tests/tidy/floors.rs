//! The floors of the house: a module imports only from floors below it, and the pure middle stays pure.
//!
//! Promises: a path that starts at `crate` or climbs by `super` is resolved before it is judged, so no spelling gets around
//! the table. Tests inside `src/` are held to it too: what needs a higher floor is an integration test.

use crate::Problem;
use crate::items::{self, Path};
use crate::scan::Source;

/// A module, and what it may import beside itself. `config` has more to say, in [`allows`].
const FLOORS: &[(&str, &str)] = &[
    ("message", ""),
    ("setting", "message"),
    ("delivery", "message"),
    ("contract", "message delivery"),
    ("telemetry", "message contract"),
    ("flow", BELOW_FLOW),
    ("relay", BELOW_ENGINE),
    ("consumer", BELOW_ENGINE),
    ("operate", BELOW_ENGINE),
    ("postgres", BELOW_FOUR),
    ("broker", BELOW_FOUR),
    ("handler", BELOW_FOUR),
    ("config", "message setting delivery contract telemetry"),
    ("app", BELOW_SEVEN),
    ("cli", BELOW_SEVEN),
    ("main", BELOW_SEVEN),
    // Crash points stand beside the floors: any shell may have one.
    ("fault", ""),
];
/// `point` is the macro of `fault`.
const BELOW_FLOW: &str = "message setting delivery contract telemetry fault point";
const BELOW_ENGINE: &str = "message setting delivery contract telemetry flow fault point";
const BELOW_FOUR: &str = "message setting delivery contract telemetry fault point";
const BELOW_SEVEN: &str = "message setting delivery contract telemetry flow fault point relay consumer operate postgres broker handler config app";

/// Floors 0 and 1, and an engine but its shells.
const PURE: &[&str] = &[
    "src/message/",
    "src/delivery/",
    "src/flow/",
    "src/relay/",
    "src/consumer/",
];
/// The files of an engine that wait, read the clock and spawn. A new one is a decision: it is named here.
const SHELLS: &[&str] = &[
    "src/flow/clock.rs",
    "src/relay/run.rs",
    "src/relay/lead.rs",
    "src/relay/lookout.rs",
    "src/relay/tell.rs",
    "src/relay/upkeep.rs",
    "src/relay/keeper.rs",
    "src/relay/reader.rs",
    "src/consumer/run.rs",
    "src/consumer/beside.rs",
    "src/consumer/calls.rs",
    "src/consumer/stream.rs",
    "src/consumer/term.rs",
    "src/consumer/tell.rs",
    "src/consumer/dead.rs",
    "src/consumer/budget.rs",
    "src/consumer/two_phase.rs",
    "src/consumer/two_phase/grouped.rs",
];
/// I/O, clocks, runtimes and formats: first words of paths.
const IMPURE: &[&str] = &[
    "tokio",
    "serde",
    "serde_json",
    "tracing",
    "rdkafka",
    "tokio_postgres",
    "futures_util",
];
const IMPURE_STD: &[&str] = &["fs", "net", "env", "thread", "process", "io"];
/// Where no vendor has a name.
const NEUTRAL: &[&str] = &[
    "src/message/",
    "src/delivery/",
    "src/contract/",
    "src/flow/",
    "src/relay/",
    "src/consumer/",
    "src/operate/",
];
/// What all brokers have in common: the table's types, the envelope, what a dead letter says.
const SHARED: &[&str] = &["context", "envelope", "rejection"];
const VENDORS: &[&str] = &["kafka", "rabbit", "sqs"];

pub(crate) fn imports(source: &Source) -> Vec<Problem> {
    let Some(file) = module_of(&source.path) else {
        return Vec::new();
    };
    let Some(owner) = file.first() else { return Vec::new() };
    let Some((_, below)) = FLOORS.iter().find(|(name, _)| name == owner) else {
        return vec![Problem::new(
            source,
            1,
            &format!("`{owner}` has no floor: give it one in tests/tidy/floors.rs"),
        )];
    };
    let mut found = Vec::new();
    for path in items::paths(source) {
        let Some(target) = resolve(&file, &path) else { continue };
        if !allows(&file, below, &target) {
            let shown = target.iter().take(2).cloned().collect::<Vec<_>>().join("::");
            let may = if below.is_empty() {
                "nothing of the crate"
            } else {
                below
            };
            let sentence = format!(
                "`{owner}` imports `crate::{shown}`; its floor may import {may}: move the type down, or pass it in"
            );
            found.push(Problem::new(source, path.line, &sentence));
        }
    }
    found
}

/// `src/relay/step.rs` is `relay::step`; `None` outside `src/`.
fn module_of(path: &str) -> Option<Vec<String>> {
    let inner = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let mut parts: Vec<String> = inner.split('/').map(ToOwned::to_owned).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib")) {
        parts.pop();
    }
    Some(parts)
}

/// The path from the root of the crate; `None` for another crate's.
fn resolve(file: &[String], path: &Path) -> Option<Vec<String>> {
    let mut place: Vec<String> = file.iter().chain(&path.inside).cloned().collect();
    let mut rest = path.segments.as_slice();
    match rest.first()?.as_str() {
        "crate" | "twinbox" => place.clear(),
        "self" => {}
        "super" => {
            while rest.first().is_some_and(|segment| segment == "super") {
                place.pop();
                rest = &rest[1..];
            }
            place.extend_from_slice(rest);
            return Some(place);
        }
        _ => return None,
    }
    place.extend_from_slice(&rest[1..]);
    Some(place)
}

fn allows(file: &[String], below: &str, target: &[String]) -> bool {
    let at = |index: usize| target.get(index).map_or("", String::as_str);
    let owner = file[0].as_str();
    match (owner, at(0)) {
        ("main", _) => true,
        // A vendor's folder sees the table's types and itself, never another vendor.
        ("broker", "broker") => file.len() == 1 || !is_vendor(at(1)) || at(1) == file[1],
        // The tables of brokers and their types, and what a vendor says of its configuration.
        ("config", "broker") => (!is_vendor(at(1)) && at(1) != "*") || at(2) == "config",
        ("config", "postgres" | "handler") => at(1) == "config",
        (_, first) => first == owner || below.split_whitespace().any(|module| module == first),
    }
}

/// Every module of `broker` belongs to one vendor, but those that [`SHARED`] names.
fn is_vendor(name: &str) -> bool {
    name.starts_with(char::is_lowercase) && !SHARED.contains(&name)
}

pub(crate) fn purity(source: &Source) -> Vec<Problem> {
    let pure = PURE.iter().any(|place| source.path.starts_with(place));
    if !pure || SHELLS.contains(&source.path.as_str()) {
        return Vec::new();
    }
    let lines = shipped(source);
    let tokens: Vec<_> = source
        .tokens()
        .into_iter()
        .filter(|token| lines[token.line - 1])
        .collect();
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let word = |ahead: usize| tokens.get(at + ahead).map_or("", |token| token.text);
        let first = at == 0 || tokens[at - 1].text != "::";
        let outside = first && IMPURE.contains(&word(0)) && matches!(word(1), "::" | ";");
        let system = first && word(0) == "std" && IMPURE_STD.contains(&word(2));
        let crash = word(0) == "crate" && matches!(word(2), "point" | "fault");
        let clock = matches!(word(0), "Instant" | "SystemTime" | "Timestamp") && word(2) == "now";
        if outside || system || clock || crash {
            let name = if outside {
                word(0).to_owned()
            } else {
                format!("{}::{}", word(0), word(2))
            };
            let sentence = format!(
                "`{name}` in the pure middle: no I/O, clock, runtime or format here; take a value, or emit an effect"
            );
            found.push(Problem::new(source, tokens[at].line, &sentence));
        }
    }
    found
}

/// For each line: does it ship? Tests make moments and may print.
fn shipped(source: &Source) -> Vec<bool> {
    let code: Vec<_> = source.code.lines().map(str::trim).collect();
    let mut lines = vec![!source.path.ends_with("tests.rs"); code.len()];
    let tests = code
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod "));
    if let Some(first) = tests {
        lines[first..].fill(false);
    }
    lines
}

pub(crate) fn vendors(source: &Source) -> Vec<Problem> {
    if !NEUTRAL.iter().any(|place| source.path.starts_with(place)) {
        return Vec::new();
    }
    let tokens = source.tokens();
    let named = tokens
        .iter()
        .filter(|token| VENDORS.iter().any(|vendor| token.text.to_lowercase().contains(vendor)));
    let sentence = |word: &str| format!("`{word}` above `broker/`: ask for a capability instead of a vendor");
    named
        .map(|token| Problem::new(source, token.line, &sentence(token.text)))
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::scan::Source;

    fn imports(path: &str, text: &str) -> usize {
        super::imports(&Source::new(path, text)).len()
    }

    #[test]
    fn an_import_from_above_or_beside_is_found() {
        let bad = [
            ("src/message/key.rs", "use crate::delivery::Failure;"),
            ("src/delivery/lanes.rs", "use super::super::contract::Source;"),
            (
                "src/delivery/lanes.rs",
                "mod tests { use super::super::super::flow::step; }",
            ),
            ("src/delivery/rest.rs", "use crate::setting::Span;"),
            ("src/contract/mod.rs", "fn f() { crate::telemetry::names::BACKLOG; }"),
            ("src/relay/run.rs", "use crate::{delivery::Lanes, postgres::Cursor};"),
            ("src/relay/run.rs", "use crate::operate::doctor;"),
            ("src/operate/audit.rs", "use crate::broker::memory;"),
            ("src/postgres/mod.rs", "use crate::broker::Backend;"),
            ("src/postgres/mod.rs", "use crate::relay;"),
            ("src/broker/kafka/wire.rs", "use crate::broker::memory::Log;"),
            ("src/broker/kafka/wire.rs", "use super::super::memory;"),
            ("src/broker/mod.rs", "use crate::postgres::Cursor;"),
            ("src/config/load.rs", "use crate::postgres::cursor::Cursor;"),
            ("src/config/load.rs", "use crate::broker::kafka::publisher::Publisher;"),
            ("src/config/load.rs", "use crate::broker::*;"),
            ("src/config/load.rs", "use crate::app::assemble;"),
            ("src/app/assemble.rs", "use crate::cli::relay;"),
            ("src/contract/source.rs", "fn f() { crate::point!(\"here\"); }"),
            ("src/corner/mod.rs", ""),
        ];
        for (path, text) in bad {
            assert_eq!(imports(path, text), 1, "{path}: {text}");
        }
    }

    #[test]
    fn imports_from_below_are_right() {
        let good = [
            (
                "src/message/key.rs",
                "use super::identity; use std::fmt; use bytes::Bytes;",
            ),
            ("src/setting/mod.rs", "use crate::message::Key; use serde::Deserialize;"),
            (
                "src/flow/step.rs",
                "use crate::{message, setting, delivery, contract, telemetry}; use super::state;",
            ),
            (
                "src/flow/step.rs",
                "mod tests { use super::*; use super::super::event::Event; }",
            ),
            (
                "src/broker/mod.rs",
                "pub mod kafka; use self::kafka::BACKEND; use crate::broker::memory;",
            ),
            (
                "src/broker/kafka/wire.rs",
                "use super::config::Kafka; use crate::broker::Backend; use super::super::Backend;",
            ),
            (
                "src/config/load.rs",
                "use crate::broker::{BACKENDS, CONFIGS, kafka::config::Kafka}; use crate::postgres::config::Database;",
            ),
            (
                "src/app/assemble.rs",
                "use crate::relay::run; use crate::broker::kafka; use crate::config;",
            ),
            ("src/main.rs", "use twinbox::cli;"),
            ("src/relay/run.rs", "fn f() { crate::point!(\"here\"); }"),
            ("src/fault.rs", "fn f() { crate::fault::g(); }"),
            ("tests/it/main.rs", "use crate::anything;"),
        ];
        for (path, text) in good {
            assert_eq!(imports(path, text), 0, "{path}: {text}");
        }
    }

    #[test]
    fn the_world_in_the_pure_middle_is_found() {
        let found = |path: &str, text: &str| super::purity(&Source::new(path, text)).len();
        for text in [
            "use tokio::time;",
            "use std::fs;",
            "let now = Instant::now();",
            "use serde;",
            "std::env::var(\"X\")",
            "crate::point!(\"here\");",
        ] {
            assert_eq!(found("src/delivery/lanes.rs", text), 1, "{text}");
            assert_eq!(found("src/flow/step.rs", text), 1, "{text}");
            assert_eq!(found("src/relay/run.rs", text), 0, "{text}");
        }
        assert_eq!(found("src/delivery/lanes.rs", "use std::time::Instant;"), 0);
        assert_eq!(
            found(
                "src/delivery/lanes.rs",
                "#[cfg(test)]\nmod tests { fn f() { Instant::now(); } }"
            ),
            0
        );
    }

    #[test]
    fn a_vendor_above_its_folder_is_found() {
        let found = |path: &str, text: &str| super::vendors(&Source::new(path, text)).len();
        assert_eq!(found("src/flow/step.rs", "if broker.is_kafka() {}"), 1);
        assert_eq!(found("src/contract/publisher.rs", "enum Kind { RabbitMq }"), 1);
        assert_eq!(
            found("src/flow/step.rs", "// Kafka keeps order here.\nlet x = \"kafka\";"),
            0
        );
        assert_eq!(found("src/broker/kafka/mod.rs", "struct KafkaPublisher;"), 0);
    }
}
