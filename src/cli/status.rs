//! `twinbox status`: how a running process is.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use reqwest::{Method, StatusCode};

use super::console::Console;
use super::root::Stage;
use super::{Exit, Stop, port};
use crate::app::status::{ConsumerEntry, Document, LanesEntry, RelayEntry};

/// Between two looks of `--watch` without a time.
const LOOK_DEFAULT: &str = "1s";
/// A process has better things to do than to answer us.
const LOOK_MIN: Duration = Duration::from_millis(100);
/// Goes home and clears what is below.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Which process.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The process's admin port
    #[arg(long, default_value = port::URL_DEFAULT)]
    pub url: String,
    /// Look again and again, this often [default: 1s]; ends with Ctrl-C
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = LOOK_DEFAULT, value_parser = humantime::parse_duration)]
    pub watch: Option<Duration>,
}

/// Asks and shows.
///
/// # Errors
/// When nobody answers, or somebody else.
pub async fn run(arguments: Arguments, stage: &mut Stage) -> Result<Exit, Stop> {
    let Arguments { url, watch } = arguments;
    let Some(every) = watch else {
        let document = ask(&url).await?;
        return show(stage, &document);
    };
    loop {
        let seen = ask(&url).await;
        if stage.console.terminal && !stage.console.json() {
            stage.console.out.write_all(CLEAR.as_bytes())?;
        }
        // Somebody who watches wants to see it come back, too.
        match seen {
            Ok(document) => drop(show(stage, &document)?),
            Err(stop) => stage.console.note(&stop.sentence)?,
        }
        stage.console.out.flush()?;
        tokio::time::sleep(every.max(LOOK_MIN)).await;
    }
}

async fn ask(url: &str) -> Result<Document, Stop> {
    let reply = port::ask((url, "/status"), Method::GET, Default::default()).await?;
    match serde_json::from_str(&reply.body) {
        Ok(document) if reply.status == StatusCode::OK => Ok(document),
        _ => Err(reply.refusal(url)),
    }
}

fn show(stage: &mut Stage, document: &Document) -> Result<Exit, Stop> {
    if stage.console.json() {
        stage.console.document(document)?;
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
    let rows: Vec<Vec<String>> = document
        .consumers
        .iter()
        .map(|(name, one)| consumer_row(name, one))
        .collect();
    if !rows.is_empty() {
        console.line("")?;
        console.table(
            &[
                "consumer",
                "state",
                "lag",
                "oldest",
                "in flight",
                "lanes",
                "letters",
                "processed",
                "deduplicated",
                "breaker",
            ],
            &rows,
        )?;
    }
    errors(console, document)?;
    Ok(Exit::Ok)
}

/// What fails at the moment, and what may be lost.
fn errors(console: &mut Console, document: &Document) -> Result<(), Stop> {
    let relays = document
        .relays
        .iter()
        .map(|(name, relay)| (name.clone(), &relay.last_error));
    let consumers = document.consumers.iter().flat_map(|(name, consumer)| {
        let streams = consumer.streams.iter();
        let streams = streams.map(move |(stream, told)| (format!("{name}, {stream}"), &told.stopped));
        std::iter::once((name.clone(), &consumer.last_error)).chain(streams)
    });
    for (name, error) in relays.chain(consumers) {
        if let Some(error) = error {
            console.line("")?;
            console.line(&format!("{name}: {} ({}, {})", error.message, error.kind, error.at))?;
        }
    }
    for loss in &document.loss_suspected {
        console.line("")?;
        console.line(&format!(
            "{}: loss suspected ({}): from {} to {}, noticed {}",
            loss.owner(),
            loss.kind,
            loss.from,
            loss.to,
            loss.at
        ))?;
    }
    Ok(())
}

fn row(name: &str, relay: &RelayEntry) -> Vec<String> {
    vec![
        name.to_owned(),
        relay.state.clone(),
        known(relay.backlog.map(|rows| rows.to_string())),
        known(relay.oldest_age_seconds.map(|age| format!("{age:.1} s"))),
        relay.in_flight.to_string(),
        lanes(relay.lanes),
        letters(&relay.letters),
        relay.published.to_string(),
    ]
}

fn consumer_row(name: &str, consumer: &ConsumerEntry) -> Vec<String> {
    vec![
        name.to_owned(),
        consumer.state.clone(),
        known(consumer.lag.map(|messages| messages.to_string())),
        known(consumer.lag_seconds.map(|age| format!("{age:.1} s"))),
        consumer.in_flight.to_string(),
        lanes(consumer.lanes),
        letters(&consumer.letters),
        consumer.processed.to_string(),
        consumer.deduplicated.to_string(),
        consumer.breaker.clone(),
    ]
}

fn known(value: Option<String>) -> String {
    value.unwrap_or_else(|| "?".to_owned())
}

fn lanes(lanes: LanesEntry) -> String {
    let counts = [
        (lanes.flowing, "flowing"),
        (lanes.resting, "resting"),
        (lanes.parked, "parked"),
    ];
    let lanes = counts.iter().filter(|(count, _)| *count > 0);
    or_dash(
        &lanes
            .map(|(count, state)| format!("{count} {state}"))
            .collect::<Vec<_>>(),
    )
}

fn letters(letters: &BTreeMap<String, u64>) -> String {
    let letters = letters.iter().filter(|(_, count)| **count > 0);
    or_dash(
        &letters
            .map(|(state, count)| format!("{count} {state}"))
            .collect::<Vec<_>>(),
    )
}

fn or_dash(parts: &[String]) -> String {
    if parts.is_empty() {
        "-".to_owned()
    } else {
        parts.join(", ")
    }
}
