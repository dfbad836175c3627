//! `twinbox status`: how a running process is.

use clap::Args;
use reqwest::{Method, StatusCode};

use super::root::Stage;
use super::{Exit, Stop, port};
use crate::app::status::{Document, RelayEntry};

/// Which process.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The process's admin port
    #[arg(long, default_value = port::URL_DEFAULT)]
    pub url: String,
}

/// Asks and shows.
///
/// # Errors
/// When nobody answers, or somebody else.
pub async fn run(arguments: Arguments, stage: &mut Stage) -> Result<Exit, Stop> {
    let url = arguments.url.as_str();
    let reply = port::ask((url, "/status"), Method::GET, Default::default()).await?;
    if reply.status != StatusCode::OK {
        return Err(reply.refusal(url));
    }
    let Ok(document) = serde_json::from_str::<Document>(&reply.body) else {
        return Err(reply.refusal(url));
    };
    if stage.console.json() {
        stage.console.document(&document)?;
        return Ok(Exit::Ok);
    }
    let console = &mut stage.console;
    console.line(&document.verdict)?;
    let rows: Vec<Vec<String>> = document.relays.iter().map(|(name, relay)| row(name, relay)).collect();
    if !rows.is_empty() {
        console.line("")?;
        console.table(
            &[
                "relay",
                "state",
                "backlog",
                "oldest",
                "in flight",
                "lanes",
                "letters",
                "published",
            ],
            &rows,
        )?;
    }
    for (name, relay) in &document.relays {
        if let Some(error) = &relay.last_error {
            console.line("")?;
            console.line(&format!("{name}: {} ({}, {})", error.message, error.kind, error.at))?;
        }
    }
    for loss in &document.loss_suspected {
        console.line("")?;
        console.line(&format!(
            "{}: loss suspected ({}): from {} to {}, noticed {}",
            loss.relay, loss.kind, loss.from, loss.to, loss.at
        ))?;
    }
    Ok(Exit::Ok)
}

fn row(name: &str, relay: &RelayEntry) -> Vec<String> {
    let known = |value: Option<String>| value.unwrap_or_else(|| "?".to_owned());
    let lanes = relay.lanes;
    let counts = [
        (lanes.flowing, "flowing"),
        (lanes.resting, "resting"),
        (lanes.parked, "parked"),
    ];
    let lanes = counts.iter().filter(|(count, _)| *count > 0);
    let lanes: Vec<String> = lanes.map(|(count, state)| format!("{count} {state}")).collect();
    let letters = relay.letters.iter().filter(|(_, count)| **count > 0);
    let letters: Vec<String> = letters.map(|(state, count)| format!("{count} {state}")).collect();
    let or_dash = |parts: Vec<String>| {
        if parts.is_empty() {
            "-".to_owned()
        } else {
            parts.join(", ")
        }
    };
    vec![
        name.to_owned(),
        relay.state.clone(),
        known(relay.backlog.map(|rows| rows.to_string())),
        known(relay.oldest_age_seconds.map(|age| format!("{age:.1} s"))),
        relay.in_flight.to_string(),
        or_dash(lanes),
        or_dash(letters),
        relay.published.to_string(),
    ]
}
