//! `twinbox enqueue`: write one outbox row, as a smoke test.

use std::io::Read as _;

use clap::Args;
use serde_json::{Map, Value, json};

use super::root::Stage;
use super::{Exit, Stop, database};
use crate::postgres::desk::{Desk, Enqueue};

/// More than this is no smoke test, and no broker takes it.
const PAYLOAD_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The row.
#[derive(Debug, Args)]
pub struct Arguments {
    /// What kind of thing it is about; usually names the topic
    #[arg(long, value_name = "NAME", default_value = "test")]
    pub aggregatetype: String,
    /// The event's type
    #[arg(long = "type", value_name = "TYPE", default_value = "test.enqueued")]
    pub kind: String,
    /// The ordering key; none = unordered
    #[arg(long)]
    pub key: Option<String>,
    /// The payload: text, @FILE, or @- for standard input; none = null
    #[arg(long, value_name = "TEXT")]
    pub data: Option<String>,
    /// A header of its own, name=value; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = header)]
    pub header: Vec<(String, String)>,
    /// W3C trace context
    #[arg(long)]
    pub traceparent: Option<String>,
    /// Its identity [default: a new one]
    #[arg(long)]
    pub id: Option<uuid::Uuid>,
    /// Into the outbox of this relay, where there are several databases
    #[arg(long, value_name = "NAME")]
    pub relay: Option<String>,
}

/// Writes it and tells its id.
///
/// # Errors
/// When the database is away or refuses.
pub async fn run(arguments: Arguments, stage: &mut Stage) -> Result<Exit, Stop> {
    let root = stage.load()?.root;
    if let Some(name) = arguments.relay.as_ref().filter(|name| !root.relays.contains_key(*name)) {
        return Err(database::unknown("relay", &root.relays, name));
    }
    let database = database::outbox(&root, arguments.relay.as_deref())?;
    let desk = Desk::new(database::schema(database)?);
    let headers: Map<String, Value> = arguments
        .header
        .into_iter()
        .map(|(name, value)| (name, Value::String(value)))
        .collect();
    let event = Enqueue {
        aggregate_type: arguments.aggregatetype,
        key: arguments.key,
        kind: arguments.kind,
        payload: arguments.data.as_deref().map(payload).transpose()?,
        headers: (!headers.is_empty()).then_some(Value::Object(headers)),
        traceparent: arguments.traceparent,
        id: arguments.id,
    };
    let direct = Box::pin(stage.connector(database, "enqueue").direct()).await?;
    let id = desk.enqueue(direct.client(), &event).await?;
    direct.close().await;
    if stage.console.json() {
        stage.console.document(&json!({ "id": id.to_string() }))?;
    } else {
        stage.console.line(&id.to_string())?;
    }
    Ok(Exit::Ok)
}

fn payload(data: &str) -> Result<Vec<u8>, Stop> {
    let Some(file) = data.strip_prefix('@') else {
        return Ok(data.as_bytes().to_vec());
    };
    let mut bytes = Vec::new();
    let read = if file == "-" {
        std::io::stdin().take(PAYLOAD_BYTES_MAX + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(PAYLOAD_BYTES_MAX + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| Stop::usage(format!("--data {data}: {error}")))?;
    if bytes.len() as u64 > PAYLOAD_BYTES_MAX {
        return Err(Stop::usage(format!("--data {data}: is larger than 64 MiB")));
    }
    Ok(bytes)
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}
