//! Messages as a broker delivered them, on their way into letters and back.
//!
//! Promises: what comes back is what was stored, to the byte; only the one character that the database's text cannot hold
//! becomes U+FFFD in texts.

use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};
use uuid::Uuid;

use super::failure::plain;
use crate::contract::Identity;
use crate::delivery::{Failure, LaneName};
use crate::message::{Content, ContentType, Headers, Key, Message, Origin, Position};

/// Times that the table can hold as they are, in seconds: from the year 4000 before our era.
const SECONDS_MIN: i64 = -188_000_000_000;

/// Messages to be stored, as the columns of an array parameter.
#[derive(Debug, Default)]
pub(super) struct Received<'a> {
    lanes: Vec<&'a str>,
    places: Vec<String>,
    ids: Vec<Uuid>,
    epochs: Vec<i32>,
    aggregates: Vec<String>,
    kinds: Vec<String>,
    keys: Vec<Option<&'a [u8]>>,
    payloads: Vec<Option<&'a [u8]>>,
    headers: Vec<Value>,
    traceparents: Vec<Option<String>>,
    occurred: Vec<Timestamp>,
    topics: Vec<Option<String>>,
    partitions: Vec<Option<i32>>,
    offsets: Vec<Option<i64>>,
    origins: Vec<Value>,
    attempts: Vec<i32>,
    error_kinds: Vec<Option<&'static str>>,
    error_types: Vec<Option<String>>,
    error_messages: Vec<Option<String>>,
    error_chains: Vec<Option<Value>>,
    fingerprints: Vec<Option<String>>,
}

// === impl Received ===

impl<'a> Received<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// `failed`: attempts and failure of a head.
    pub(super) fn push(&mut self, lane: &'a LaneName, message: &'a Message, failed: Option<(u32, &Failure)>) {
        let Identity { id, replay_epoch } = Identity::of(message);
        let origin = message.origin.as_deref();
        self.lanes.push(lane.as_str());
        self.places.push(message.position.place());
        self.ids.push(id);
        self.epochs.push(replay_epoch);
        self.aggregates.push(plain(&message.aggregate_type));
        self.kinds.push(plain(&message.kind));
        self.keys.push(message.key.as_ref().map(Key::as_bytes));
        self.payloads.push(message.body.as_bytes());
        self.headers.push(object(&message.headers));
        self.traceparents.push(message.traceparent.as_deref().map(plain));
        self.occurred.push(stamp(message.occurred_at));
        self.topics.push(origin.map(|origin| plain(&origin.topic)));
        self.partitions.push(origin.and_then(|origin| origin.partition));
        self.offsets.push(origin.and_then(|origin| origin.offset));
        self.origins.push(beyond(message));
        self.attempts
            .push(failed.map_or(0, |(attempts, _)| attempts.cast_signed()));
        let failure = failed.map(|(_, failure)| failure);
        self.error_kinds.push(failure.map(|failure| failure.kind.as_str()));
        self.error_types.push(failure.map(|failure| plain(&failure.code)));
        self.error_messages.push(failure.map(|failure| plain(&failure.message)));
        let chain = |failure: &Failure| failure.chain.iter().map(|cause| plain(cause)).collect();
        self.error_chains.push(failure.map(chain));
        self.fingerprints
            .push(failure.map(|failure| plain(&failure.fingerprint())));
    }

    /// In the order of `keep.sql`.
    pub(super) fn columns(&self) -> [&(dyn ToSql + Sync); 21] {
        [
            &self.lanes,
            &self.places,
            &self.ids,
            &self.epochs,
            &self.aggregates,
            &self.kinds,
            &self.keys,
            &self.payloads,
            &self.headers,
            &self.traceparents,
            &self.occurred,
            &self.topics,
            &self.partitions,
            &self.offsets,
            &self.origins,
            &self.attempts,
            &self.error_kinds,
            &self.error_types,
            &self.error_messages,
            &self.error_chains,
            &self.fingerprints,
        ]
    }
}

/// Headers as people read them. An object keeps neither order nor two of a name: see [`beyond`].
fn object(headers: &Headers) -> Value {
    let pairs = headers
        .iter()
        .map(|(name, value)| (plain(name), Value::from(plain(value))));
    Value::Object(pairs.collect())
}

/// Everything that has no column.
fn beyond(message: &Message) -> Value {
    let mut more = Map::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            more.insert(name.to_owned(), plain(&value).into());
        }
    };
    put("content_type", Some(content_type(message.content_type).to_owned()));
    let exact = message.occurred_at;
    put("occurred_at", (stamp(exact) != exact).then(|| exact.to_string()));
    if let Some(origin) = message.origin.as_deref() {
        put("id", (origin.identity != message.id).then(|| message.id.to_string()));
        put("source", origin.source.as_deref().map(str::to_owned));
        put("id_text", origin.id_text.as_deref().map(str::to_owned));
        put("sent", origin.sent.map(|sent| sent.to_string()));
        put("stored_at", origin.stored_at.map(|at| at.to_string()));
        put("flaw", origin.flaw.as_deref().map(str::to_owned));
    }
    if message.headers.iter().nth(1).is_some() {
        let pairs = message
            .headers
            .iter()
            .map(|(name, value)| Value::from(vec![plain(name), plain(value)]));
        more.insert("headers".to_owned(), pairs.collect());
    }
    Value::Object(more)
}

/// The message as it was: columns of `open.sql`, into what [`super::letter`] has read.
pub(super) fn restore(row: &Row, content: &mut Content) -> Result<(), Error> {
    let identity = content.id;
    let more: Option<Value> = row.try_get(17)?;
    let text = |name: &str| more.as_ref().and_then(|more| more.get(name)).and_then(Value::as_str);
    content.replay = Some(row.try_get::<_, i32>(13)?.cast_unsigned());
    content.content_type = text("content_type").map_or(ContentType::Binary, content_type_of);
    content.id = text("id").and_then(|id| id.parse().ok()).unwrap_or(identity);
    if let Some(exact) = text("occurred_at").and_then(|at| at.parse().ok()) {
        content.occurred_at = exact;
    }
    if let Some(pairs) = more
        .as_ref()
        .and_then(|more| more.get("headers"))
        .and_then(Value::as_array)
    {
        let own = |pair: &Value, index: usize| pair.get(index).and_then(Value::as_str).unwrap_or_default().into();
        content.headers = pairs.iter().map(|pair| (own(pair, 0), own(pair, 1))).collect();
    }
    let topic: Option<&str> = row.try_get(14)?;
    content.origin = match topic {
        None => None,
        Some(topic) => Some(Box::new(Origin {
            topic: topic.into(),
            partition: row.try_get(15)?,
            offset: row.try_get(16)?,
            source: text("source").map(Into::into),
            id_text: text("id_text").map(Into::into),
            identity,
            sent: text("sent").and_then(|sent| sent.parse::<Position>().ok()),
            stored_at: text("stored_at").and_then(|at| at.parse().ok()),
            flaw: text("flaw").map(Into::into),
        })),
    };
    Ok(())
}

/// As the table holds it: whole microseconds, and not before its time begins.
fn stamp(at: Timestamp) -> Timestamp {
    let least = Timestamp::from_second(SECONDS_MIN).unwrap_or(Timestamp::MIN);
    Timestamp::from_microsecond(at.as_microsecond())
        .unwrap_or(at)
        .max(least)
}

fn content_type(content_type: ContentType) -> &'static str {
    match content_type {
        ContentType::Json => "json",
        ContentType::Text => "text",
        ContentType::Binary => "binary",
    }
}

fn content_type_of(name: &str) -> ContentType {
    [ContentType::Json, ContentType::Text, ContentType::Binary]
        .into_iter()
        .find(|kind| content_type(*kind) == name)
        .unwrap_or(ContentType::Binary)
}
