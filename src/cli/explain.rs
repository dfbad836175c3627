//! `twinbox explain`: what holds for the configuration at hand.

use serde_json::json;

use super::root::Stage;
use super::{Exit, Stop};
use crate::delivery::{FailureKind, verdict};

/// Says what happens on which failure.
///
/// # Errors
/// When the configuration cannot be used.
pub fn run(stage: &mut Stage) -> Result<Exit, Stop> {
    let root = stage.load()?.root;
    let names: Vec<&String> = root.relays.keys().collect();
    if stage.console.json() {
        let table: Vec<_> = FailureKind::ALL
            .iter()
            .map(|kind| json!({ "failure": kind.as_str(), "then": verdict::sentence(*kind) }))
            .collect();
        stage.console.document(&json!({ "relays": names, "failures": table }))?;
    } else {
        let rows: Vec<Vec<String>> = FailureKind::ALL
            .iter()
            .map(|kind| vec![kind.as_str().to_owned(), verdict::sentence(*kind).to_owned()])
            .collect();
        stage.console.table(&["failure", "then"], &rows)?;
    }
    Ok(Exit::Ok)
}
