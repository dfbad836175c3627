//! `twinbox version`.

use serde_json::json;

use super::root::Stage;
use super::{Exit, Stop};

/// Says which build this is.
///
/// # Errors
/// When it cannot be written.
pub fn run(stage: &mut Stage) -> Result<Exit, Stop> {
    let version = env!("CARGO_PKG_VERSION");
    let brokers: Vec<&str> = crate::broker::CONFIGS.iter().map(|backend| backend.name).collect();
    if stage.console.json() {
        let document = json!({ "version": version, "brokers": brokers });
        stage.console.document(&document)?;
    } else {
        let line = format!("twinbox {version} ({})", brokers.join(", "));
        stage.console.line(&line)?;
    }
    Ok(Exit::Ok)
}
