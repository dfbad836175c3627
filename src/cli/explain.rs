//! `twinbox explain`: what holds for the configuration at hand, and what happens on which failure.
//!
//! Promises: nothing is asked of a server; what it says is computed by the same functions that decide.

use serde_json::{Value, json};

use super::root::Stage;
use super::{Exit, Stop, relay};
use crate::config::{OnReject, RelayConfig, Root};
use crate::delivery::guarantee::{self, Facts, Guarantee};
use crate::delivery::{FailureKind, verdict};

/// Explains every relay of the configuration.
///
/// # Errors
/// When the configuration cannot be used.
pub fn run(stage: &mut Stage) -> Result<Exit, Stop> {
    let root = stage.load()?.root;
    let mut relays = Vec::new();
    for (name, relay) in relay::chosen(&root, &[])? {
        relays.push((name, relay, guarantee::relay(facts(stage, &root, relay))));
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

/// What is known of a relay before it starts.
fn facts(stage: &Stage, root: &Root, relay: &RelayConfig) -> Facts {
    let backend = relay.to.backend();
    Facts {
        broker: backend.capabilities,
        passes_rejected: relay.on_reject == OnReject::DeadLetter,
        broker_encrypted: (backend.config.encrypted)(relay.to.settings()),
        database_encrypted: root.database_of(relay).encrypted(&|name| stage.env.get(name)),
    }
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
