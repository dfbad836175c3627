//! From a record to a message: the envelope is found out or demanded, and what it says becomes the message's fields.
//!
//! Promises: what our own writer wrote comes back field by field, but for the aggregate's type, which no envelope carries:
//! the topic stands for it. Whatever cannot be read comes all the same, with the bytes as received and a sentence
//! (`origin.flaw`). A header's value survives, also one that is no text; so do headers of one name, in their order.
//!
//! | Envelope | Recognised by | Identity | Type |
//! |---|---|---|---|
//! | `CloudEvents`, binary | `ce_specversion` or `ce_id` | `ce_id` | `ce_type` |
//! | `CloudEvents`, structured | `content-type: application/cloudevents…` | member `id` | member `type` |
//! | Debezium's router | header `id` | `id` | `type`, else `eventType` |
//! | raw | anything | `id`, else where it stands | `type`, else `eventType` |
//!
//! # Why nothing is percent-decoded
//!
//! Percent-encoding belongs to the HTTP binding. On Kafka the values of `ce_*` headers are UTF-8 as they are, here as in
//! [`Encoder`](super::Encoder).

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use super::{CLOUDEVENTS, Envelope, binary, structured};
use crate::broker::{DedupeBy, Reads};
use crate::message::{Body, Content, ContentType, Headers, Key, Message, Origin, Position, uuid_of};

/// A record as a broker delivered it.
#[derive(Debug, Clone)]
pub struct Received<'a> {
    /// Topic or queue.
    pub topic: &'a Arc<str>,
    /// Partition, where there is one.
    pub partition: Option<i32>,
    /// Its place in the stream.
    pub offset: i64,
    /// The key, as it stands there.
    pub key: Option<&'a [u8]>,
    /// The value; none for a tombstone.
    pub value: Option<Bytes>,
    /// Names and values, in order.
    pub headers: Vec<(&'a str, &'a [u8])>,
    /// When the broker stored it.
    pub stored_at: Option<Timestamp>,
    /// What the client could not read of it already.
    pub flaw: Option<&'static str>,
}

/// Turns records into messages, the way a consumer is configured.
#[derive(Debug, Clone, Default)]
pub struct Reader {
    /// Which envelope is read.
    pub reads: Reads,
    /// What a message is remembered by.
    pub dedupe: DedupeBy,
    /// Whether equal ids of two topics are two messages.
    pub per_topic: bool,
}

/// What an envelope said.
#[derive(Debug)]
pub(super) struct Event {
    /// The id as it was written; none when where it stands is its identity.
    pub(super) id: Option<Box<str>>,
    /// The `CloudEvents` source.
    pub(super) source: Option<Arc<str>>,
    /// The event's type.
    pub(super) kind: Arc<str>,
    /// When it happened.
    pub(super) time: Option<Timestamp>,
    /// The payload's media type.
    pub(super) media: Option<Box<str>>,
    /// The payload.
    pub(super) body: Body,
    /// Names of headers that the envelope spent.
    pub(super) spent: &'static [&'static str],
    /// Headers that stood inside the payload.
    pub(super) inner: Vec<(Box<str>, Box<str>)>,
}

/// What does not depend on the envelope.
#[derive(Debug, Default)]
struct Transport {
    sent: Option<Position>,
    replay: Option<u32>,
    traceparent: Option<Box<str>>,
}

// === impl Reader ===

impl Reader {
    /// The message of a record.
    #[must_use]
    pub fn read(&self, received: &Received<'_>) -> Message {
        let read = match received.flaw {
            Some(flaw) => Err(flaw.to_owned()),
            None => self.event(received),
        };
        let read = read.and_then(|event| Ok((transport(received, &event)?, event)));
        match read {
            Ok((transport, event)) => self.message(received, event, transport),
            Err(flaw) => flawed(received, flaw),
        }
        .into()
    }

    fn event(&self, received: &Received<'_>) -> Result<Event, String> {
        let media = header(received, "content-type").and_then(text);
        let structured = media.is_some_and(structured::is_structured);
        let binary = header(received, "ce_specversion")
            .or(header(received, "ce_id"))
            .is_some();
        match self.reads {
            Reads::Auto | Reads::Only(Envelope::CloudEvents) if binary => cloudevent(received),
            Reads::Auto | Reads::Only(Envelope::CloudEvents) if structured => {
                structured::read(received.value.as_ref(), media.unwrap_or_default())
            }
            Reads::Only(Envelope::CloudEvents) => {
                Err("it is no CloudEvent: neither `ce_id` nor a content type of CloudEvents is there".to_owned())
            }
            Reads::Only(Envelope::Debezium) if header(received, "id").is_none() => {
                Err("it is not from Debezium's router: the header `id` is missing".to_owned())
            }
            Reads::Only(Envelope::Debezium) => bare(received, true),
            Reads::Auto | Reads::Only(Envelope::Raw) => bare(received, false),
        }
    }

    fn message(&self, received: &Received<'_>, event: Event, transport: Transport) -> Content {
        let taken_from = event.source.as_ref().unwrap_or(received.topic);
        let (id, id_text) = match &event.id {
            None => (place(received), None),
            Some(text) => match uuid(text) {
                Some(id) => (id, None),
                None => (uuid_of(taken_from, text), Some(text.clone())),
            },
        };
        let scope = if self.per_topic { received.topic } else { taken_from };
        let identity = match self.business_key(received, &event) {
            Some(key) => uuid_of(scope, &key),
            None if self.per_topic => uuid_of(received.topic, &id.hyphenated().to_string()),
            None => id,
        };
        let media = event.media.as_deref();
        let content_type = media.map_or(ContentType::Binary, kind_of);
        let headers = headers(received, &event, content_type);
        let origin = Origin {
            source: event.source,
            id_text,
            identity,
            sent: transport.sent,
            ..origin(received)
        };
        Content {
            position: position(received),
            id,
            aggregate_type: Arc::clone(received.topic),
            key: received.key.map(Key::from),
            kind: event.kind,
            body: event.body,
            content_type,
            headers,
            traceparent: transport.traceparent,
            occurred_at: event.time.or(received.stored_at).unwrap_or_default(),
            replay: transport.replay,
            origin: Some(Box::new(origin)),
        }
    }

    /// The business key with its place, so that it never equals an id; none when there is none (S11).
    fn business_key(&self, received: &Received<'_>, event: &Event) -> Option<String> {
        match &self.dedupe {
            DedupeBy::Id => None,
            DedupeBy::Header(name) => {
                let value = header(received, name).filter(|value| !value.is_empty())?;
                Some(format!("header:{name}={}", binary::carried(value)))
            }
            DedupeBy::Payload(pointer) => {
                let payload: serde_json::Value = serde_json::from_slice(event.body.as_bytes()?).ok()?;
                let value = match payload.pointer(pointer)? {
                    serde_json::Value::String(text) if !text.is_empty() => text.clone(),
                    serde_json::Value::Number(number) => number.to_string(),
                    serde_json::Value::Bool(flag) => flag.to_string(),
                    _ => return None,
                };
                Some(format!("payload:{pointer}={value}"))
            }
        }
    }
}

/// `CloudEvents` 1.0 in binary mode.
fn cloudevent(received: &Received<'_>) -> Result<Event, String> {
    let attribute = |name: &str| match header(received, name) {
        None => Ok(None),
        Some(value) => text(value).map(Some).ok_or_else(|| format!("`{name}` is not UTF-8")),
    };
    let required = |name: &str| {
        let value = attribute(name)?.filter(|value| !value.is_empty());
        value.ok_or_else(|| format!("it is no CloudEvent: `{name}` is missing or empty"))
    };
    version(required("ce_specversion")?)?;
    Ok(Event {
        id: Some(required("ce_id")?.into()),
        source: Some(required("ce_source")?.into()),
        kind: required("ce_type")?.into(),
        time: attribute("ce_time")?.map(|time| moment("ce_time", time)).transpose()?,
        media: attribute("content-type")?.map(Into::into),
        body: body(received),
        spent: &CLOUDEVENTS,
        inner: Vec::new(),
    })
}

/// Debezium's router and raw records: what they say stands in plain headers.
fn bare(received: &Received<'_>, strict: bool) -> Result<Event, String> {
    let named = |name: &str| header(received, name).and_then(text).filter(|text| !text.is_empty());
    let id = named("id");
    if strict && id.is_none() {
        return Err("it is not from Debezium's router: the header `id` is no text, or empty".to_owned());
    }
    Ok(Event {
        id: id.map(Into::into),
        source: None,
        kind: named("type").or(named("eventType")).unwrap_or_default().into(),
        time: None,
        media: named("content-type").map(Into::into),
        body: body(received),
        spent: if id.is_some() {
            &["id", "type", "content-type"]
        } else {
            &["type", "content-type"]
        },
        inner: Vec::new(),
    })
}

/// Only 1.0 is read: earlier drafts name their attributes otherwise.
pub(super) fn version(version: &str) -> Result<(), String> {
    if version == "1.0" {
        return Ok(());
    }
    Err(format!(
        "it is a CloudEvent of version {}; twinbox reads 1.0",
        short(version)
    ))
}

/// A time of an envelope.
pub(super) fn moment(name: &str, time: &str) -> Result<Timestamp, String> {
    time.parse()
        .map_err(|_| format!("`{name}` is {}, no time of RFC 3339", short(time)))
}

/// Foreign text in a sentence: never long.
pub(super) fn short(text: &str) -> String {
    format!("`{}`", text.chars().take(40).collect::<String>())
}

fn transport(received: &Received<'_>, event: &Event) -> Result<Transport, String> {
    let inner = |name: &str| {
        let mut inner = event.inner.iter();
        inner.find(|(own, _)| **own == *name).map(|(_, value)| &**value)
    };
    let said = |name: &str, member: &str| header(received, name).and_then(text).or_else(|| inner(member));
    let replay = said("twinbox-replay", "twinboxreplay").map(|replay| {
        replay
            .parse()
            .map_err(|_| format!("`twinbox-replay` is {}, no replay epoch", short(replay)))
    });
    Ok(Transport {
        sent: said("twinbox-position", "twinboxposition").and_then(|position| position.parse().ok()),
        replay: replay.transpose()?,
        traceparent: said("traceparent", "traceparent").map(Into::into),
    })
}

/// What is left for the handler: everything that became no field. The first of a name is spent, further ones stay.
fn headers(received: &Received<'_>, event: &Event, content_type: ContentType) -> Headers {
    const TRANSPORT: [&str; 3] = ["traceparent", "twinbox-position", "twinbox-replay"];
    const MEMBERS: [&str; 3] = ["traceparent", "twinboxposition", "twinboxreplay"];
    let mut gone: Vec<&str> = Vec::new();
    let mut left = |name: &'static str| {
        let first = !gone.contains(&name);
        gone.push(name);
        !first
    };
    // A media type that says more than ours is the row's own.
    let own = event
        .media
        .as_deref()
        .filter(|media| *media != content_type.media_type());
    let own = own.map(|media| ("content-type".into(), media.into()));
    let carried = received.headers.iter().filter(|(name, _)| {
        let known = event
            .spent
            .iter()
            .chain(&TRANSPORT)
            .find(|own| own.eq_ignore_ascii_case(name));
        known.is_none_or(|name| left(name))
    });
    let carried = carried.map(|(name, value)| ((*name).into(), binary::carried(value)));
    let inner = event
        .inner
        .iter()
        .filter(|(name, _)| !MEMBERS.contains(&&**name))
        .cloned();
    own.into_iter().chain(carried).chain(inner).collect()
}

fn kind_of(media: &str) -> ContentType {
    let kind = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/json" | "text/json" => ContentType::Json,
        json if json.ends_with("+json") => ContentType::Json,
        text if text.starts_with("text/") => ContentType::Text,
        _ => ContentType::Binary,
    }
}

/// A record of which only the bytes are known.
fn flawed(received: &Received<'_>, flaw: String) -> Content {
    let id = place(received);
    let headers = received.headers.iter();
    Content {
        position: position(received),
        id,
        aggregate_type: Arc::clone(received.topic),
        key: received.key.map(Key::from),
        kind: "".into(),
        body: body(received),
        content_type: ContentType::Binary,
        headers: headers
            .map(|(name, value)| ((*name).into(), binary::carried(value)))
            .collect(),
        traceparent: None,
        occurred_at: received.stored_at.unwrap_or_default(),
        replay: None,
        origin: Some(Box::new(Origin {
            flaw: Some(flaw.into()),
            ..origin(received)
        })),
    }
}

fn origin(received: &Received<'_>) -> Origin {
    Origin {
        topic: Arc::clone(received.topic),
        partition: received.partition,
        offset: Some(received.offset),
        source: None,
        id_text: None,
        identity: place(received),
        sent: None,
        stored_at: received.stored_at,
        flaw: None,
    }
}

/// The identity of what has no other: where it stands.
fn place(received: &Received<'_>) -> Uuid {
    let place = match received.partition {
        Some(partition) => format!("{partition}/{}", received.offset),
        None => received.offset.to_string(),
    };
    uuid_of(received.topic, &place)
}

fn position(received: &Received<'_>) -> Position {
    Position::new(0, received.offset.unsigned_abs(), 0)
}

fn body(received: &Received<'_>) -> Body {
    received.value.clone().map_or(Body::Null, Body::Bytes)
}

fn header<'a>(received: &Received<'a>, name: &str) -> Option<&'a [u8]> {
    let mut headers = received.headers.iter();
    headers
        .find(|(own, _)| own.eq_ignore_ascii_case(name))
        .map(|(_, value)| *value)
}

fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok()
}

/// Only the usual form: `{…}` and `urn:uuid:…` are texts of somebody else's.
fn uuid(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
