//! `twinbox explain`: what holds for the configuration at hand, and what happens on which failure.
//!
//! Promises: nothing is asked of a server; what it says is computed by the same functions that decide.

use serde_json::{Value, json};

use super::root::Stage;
use super::{Exit, Stop, relay};
use crate::app::assemble::Configured;
use crate::app::consuming::Consuming;
use crate::config::{By, ConsumerConfig, ReadEnvelope, Scope};
use crate::delivery::guarantee::Guarantee;
use crate::delivery::{FailureKind, verdict};

/// A relay or consumer, and what holds for it.
struct Explained<'a> {
    name: &'a str,
    /// `to kafka`, or `from kafka to sql`.
    way: String,
    broker: &'static str,
    handler: Option<&'static str>,
    holds: [Guarantee; 4],
    /// What else there is to know.
    notes: Vec<String>,
}

/// Explains every relay and consumer of the configuration.
///
/// # Errors
/// When the configuration cannot be used.
pub fn run(stage: &mut Stage) -> Result<Exit, Stop> {
    let root = stage.load()?.root;
    let chosen = relay::all(&root, &[])?;
    let relays = chosen.relays.iter().map(|(name, relay)| {
        let configured = Configured {
            name,
            root: &root,
            relay,
            environment: &stage.env,
        };
        let broker = relay.to.backend().config.name;
        Explained {
            name,
            way: format!("to {broker}"),
            broker,
            handler: None,
            holds: configured.guarantees(),
            notes: Vec::new(),
        }
    });
    let relays: Vec<Explained<'_>> = relays.collect();
    let consumers = chosen.consumers.iter().map(|(name, consumer)| {
        let consuming = Consuming {
            name,
            root: &root,
            consumer,
            environment: &stage.env,
        };
        let (broker, handler) = (consumer.from.backend().config.name, consumer.handler.as_str());
        Explained {
            name,
            way: format!("from {broker} to {handler}"),
            broker,
            handler: Some(handler),
            holds: consuming.guarantees(),
            notes: notes(consumer),
        }
    });
    let consumers: Vec<Explained<'_>> = consumers.collect();
    if stage.console.json() {
        let documents = |all: &[Explained<'_>]| all.iter().map(document).collect::<Vec<Value>>();
        let (relays, consumers) = (documents(&relays), documents(&consumers));
        let document = json!({ "relays": relays, "consumers": consumers, "failures": failures() });
        stage.console.document(&document)?;
        return Ok(Exit::Ok);
    }
    for one in relays.iter().chain(&consumers) {
        stage.console.line(&format!("{}, {}", one.name, one.way))?;
        let rows: Vec<Vec<String>> = one.holds.iter().map(row).collect();
        stage.console.table(&["promise", "holds", "because"], &rows)?;
        for note in &one.notes {
            stage.console.line(note)?;
        }
        stage.console.line("")?;
    }
    let rows: Vec<Vec<String>> = FailureKind::ALL
        .iter()
        .map(|kind| vec![kind.as_str().to_owned(), verdict::sentence(*kind).to_owned()])
        .collect();
    stage.console.table(&["failure", "then"], &rows)?;
    Ok(Exit::Ok)
}

/// How a consumer's messages are read and recognised.
fn notes(consumer: &ConsumerConfig) -> Vec<String> {
    let read = match consumer.envelope {
        ReadEnvelope::Auto => {
            "read as CloudEvents, else as Debezium's outbox router writes it, else as it is; a message that names no id is \
             known by topic, partition and offset"
        }
        ReadEnvelope::Cloudevents => "read as CloudEvents; anything else is malformed, and treated as rejected",
        ReadEnvelope::Debezium => {
            "read as Debezium's outbox router writes it; anything else is malformed, and treated as rejected"
        }
        ReadEnvelope::Raw => "read as it is: a message is known by topic, partition and offset",
    };
    let within = match consumer.dedupe.scope {
        Scope::Consumer => "over all its topics",
        Scope::Topic => "for each topic by itself",
    };
    let known = match &consumer.dedupe.by {
        By::Id => "recognised by the event's id".to_owned(),
        by => format!("recognised by {by}, and by the event's id where that is missing"),
    };
    let retention = consumer.dedupe.retention;
    vec![read.to_owned(), format!("{known}, {within}, for {retention}")]
}

fn row(guarantee: &Guarantee) -> Vec<String> {
    let holds = if guarantee.holds { "yes" } else { "no" };
    vec![
        guarantee.level.as_str().to_owned(),
        holds.to_owned(),
        guarantee.reason.clone(),
    ]
}

fn document(one: &Explained<'_>) -> Value {
    let promises = one.holds.iter().map(|guarantee| {
        json!({ "promise": guarantee.level.as_str(), "holds": guarantee.holds, "because": guarantee.reason })
    });
    let promises = promises.collect::<Vec<Value>>();
    match one.handler {
        None => json!({ "name": one.name, "to": one.broker, "promises": promises }),
        Some(handler) => json!({
            "name": one.name, "from": one.broker, "handler": handler, "promises": promises, "notes": one.notes,
        }),
    }
}

fn failures() -> Vec<Value> {
    FailureKind::ALL
        .iter()
        .map(|kind| json!({ "failure": kind.as_str(), "then": verdict::sentence(*kind) }))
        .collect()
}
