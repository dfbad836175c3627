//! Streams of a consumer: what an acceptance gives up, and going on behind it.

use serde_json::json;
use tokio_postgres::Client;

use super::Arguments;
use crate::cli::console::Console;
use crate::cli::{Exit, Stop};
use crate::postgres::desk::{Desk, Order, Stopped};

/// Kinds that stop streams of a consumer; all others are told, and it goes on by itself.
const STOPS: [&str; 2] = ["offsets_lost", "topic_recreated"];

/// Whether a name that the configuration does not know, or knows twice, means a consumer: one that is stopped, or that there
/// is while there is no relay.
pub(super) async fn meant(desk: &Desk, client: &Client, (name, kind): (&str, &str)) -> Result<bool, Stop> {
    if !desk.has_consumer(client, name).await? {
        return Ok(false);
    }
    let stopped = desk.stopped(client, (name, kind)).await?;
    Ok(!stopped.is_empty() || !desk.has_relay(client, name).await?)
}

pub(super) async fn accept(
    arguments: Arguments,
    (desk, client): (&Desk, &mut Client),
    console: &mut Console,
) -> Result<Exit, Stop> {
    let Arguments {
        name,
        kind,
        yes,
        reason,
    } = arguments;
    let stopped = desk.stopped(client, (&name, &kind)).await?;
    if stopped.is_empty() {
        return Err(Stop::failure(nothing(&name, &kind)));
    }
    if !console.json() {
        for stream in &stopped {
            console.note(&given_up(stream, &kind))?;
        }
    }
    if !yes {
        console.agreed("", &format!("go on with {name}?"))?;
    }
    let order = Order { actor: None, reason };
    desk.accept_streams(client, (&name, &kind, &stopped), &order).await?;
    if console.json() {
        let streams = stopped.iter().map(|stream| {
            json!({
                "topic": stream.topic, "partition": stream.partition, "from": stream.from, "to": stream.go_on,
                "given_up": stream.lost(),
            })
        });
        let streams: Vec<_> = streams.collect();
        console.document(&json!({ "accepted": kind, "consumer": name, "streams": streams }))?;
    } else {
        let places: Vec<String> = stopped
            .iter()
            .map(|stream| format!("{} at {}", stream.name(), stream.go_on))
            .collect();
        let places = places.join(", ");
        console.line(&format!(
            "accepted {kind} of {name}: it goes on with {places}, by itself or with its next start"
        ))?;
    }
    Ok(Exit::Ok)
}

fn nothing(name: &str, kind: &str) -> String {
    if STOPS.contains(&kind) {
        format!(
            "no stream of {name} stands still because of {kind}: see `twinbox status`, or the column stopped_kind of consumer_position"
        )
    } else {
        format!("{kind} does not stop a consumer: it is told, and {name} goes on by itself. There is nothing to accept")
    }
}

/// One sentence on what the acceptance of one stream means.
fn given_up(stream: &Stopped, kind: &str) -> String {
    let (name, from, to) = (stream.name(), stream.from, stream.go_on);
    let what = match (kind, stream.lost()) {
        ("topic_recreated", _) => {
            format!(
                "what the old topic had from offset {from} on is given up; the new one is read from its start, {to}"
            )
        }
        (_, 0) => format!("goes back from {from} to {to}, where its log ends: what was above is given up"),
        (_, lost) => format!(
            "the offsets {from} to {} are given up, {lost} messages at most; it goes on at {to}",
            to - 1
        ),
    };
    let letters = match stream.letters {
        0 => String::new(),
        1 => "; 1 open letter stays".to_owned(),
        letters => format!("; {letters} open letters stay"),
    };
    format!("{name}: {what}{letters}")
}
