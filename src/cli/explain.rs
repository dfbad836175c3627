//! `twinbox explain`: what holds for the configuration at hand, and what happens on which failure.
//!
//! Promises: nothing is asked of a server; what it says is computed by the same functions that decide.

use serde_json::{Value, json};

use super::root::Stage;
use super::{Exit, Stop, relay};
use crate::app::assemble::Configured;
use crate::config::RelayConfig;
use crate::delivery::guarantee::Guarantee;
use crate::delivery::{FailureKind, verdict};

/// Explains every relay of the configuration.
///
/// # Errors
/// When the configuration cannot be used.
pub fn run(stage: &mut Stage) -> Result<Exit, Stop> {
    let root = stage.load()?.root;
    let mut relays = Vec::new();
    for (name, relay) in relay::chosen(&root, &[])? {
        let configured = Configured {
            name,
            root: &root,
            relay,
            environment: &stage.env,
        };
        relays.push((name, relay, configured.guarantees()));
    }
    if stage.console.json() {
        let relays = relays.iter().map(|(name, relay, holds)| document(name, relay, holds));
        let document = json!({ "relays": relays.collect::<Vec<Value>>(), "failures": failures() });
        stage.console.document(&document)?;
        return Ok(Exit::Ok);
    }
    for (name, relay, holds) in &relays {
        let to = relay.to.backend().config.name;
        stage.console.line(&format!("{name}, to {to}"))?;
        let rows: Vec<Vec<String>> = holds.iter().map(row).collect();
        stage.console.table(&["promise", "holds", "because"], &rows)?;
        stage.console.line("")?;
    }
    let rows: Vec<Vec<String>> = FailureKind::ALL
        .iter()
        .map(|kind| vec![kind.as_str().to_owned(), verdict::sentence(*kind).to_owned()])
        .collect();
    stage.console.table(&["failure", "then"], &rows)?;
    Ok(Exit::Ok)
}

fn row(guarantee: &Guarantee) -> Vec<String> {
    let holds = if guarantee.holds { "yes" } else { "no" };
    vec![
        guarantee.level.as_str().to_owned(),
        holds.to_owned(),
        guarantee.reason.clone(),
    ]
}

fn document(name: &str, relay: &RelayConfig, holds: &[Guarantee]) -> Value {
    let promises = holds.iter().map(|guarantee| {
        json!({ "promise": guarantee.level.as_str(), "holds": guarantee.holds, "because": guarantee.reason })
    });
    json!({ "name": name, "to": relay.to.backend().config.name, "promises": promises.collect::<Vec<Value>>() })
}

fn failures() -> Vec<Value> {
    FailureKind::ALL
        .iter()
        .map(|kind| json!({ "failure": kind.as_str(), "then": verdict::sentence(*kind) }))
        .collect()
}
