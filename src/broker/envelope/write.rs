//! How a message's meaning becomes headers, for brokers whose messages have a key, a value and headers.
//!
//! Promises: the payload and the key are never touched; `traceparent` goes out as the row has it; our own names win over
//! the route's headers, and those over the row's.
//!
//! | | `cloudevents` (binary mode) | `debezium` | `raw` |
//! |---|---|---|---|
//! | identity | `ce_id` | `id` | `id` |
//! | type | `ce_type` | none | `type` |
//! | also | `ce_specversion`, `ce_source`, `ce_time`, `ce_subject`, `ce_partitionkey`, `content-type` | | `content-type` |
//! | row's headers | yes | no | yes |
//! | all | `twinbox-position`; `traceparent` and `twinbox-replay` where there is one; the route's headers | | |
//!
//! # Why `debezium` leaves the row's headers out
//!
//! Its consumers expect the bytes of Debezium's Outbox Event Router with its defaults, which places only `id`. What a
//! team placed beside it there (`additional.placement`) it writes into `route.headers` here.

use std::io::{Cursor, Write as _};

use jiff::fmt::StdIoWrite;
use jiff::fmt::temporal::DateTimePrinter;

use super::{CLOUDEVENTS, binary};
use crate::contract::Outbound;
use crate::message::{Body, Message, ODD_HEADERS};

/// Microseconds, the precision of Postgres.
const TIME: DateTimePrinter = DateTimePrinter::new().precision(Some(6));

/// The longest of what is written for a message: a position, three numbers of 20 digits and two dots.
const SHORT_MAX: usize = 62;
/// A short text on the stack.
type Short = Cursor<[u8; SHORT_MAX]>;

/// How a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Envelope {
    /// CloudEvents 1.0, binary mode.
    CloudEvents,
    /// What Debezium's Outbox Event Router writes with its defaults.
    Debezium,
    /// Payload and headers as the row has them.
    Raw,
}

/// An envelope with what is the same for every message of a relay.
#[derive(Debug, Clone)]
pub struct Encoder {
    envelope: Envelope,
    source: Box<str>,
}

// === impl Encoder ===

impl Encoder {
    /// An encoder for that envelope; `source` is the CloudEvents source.
    #[must_use]
    pub fn new(envelope: Envelope, source: &str) -> Self {
        Self {
            envelope,
            source: source.into(),
        }
    }

    /// Hands every header of a message to `put`, in a fixed order. Answers how many of the row's gave way to ours.
    pub fn headers(&self, outbound: &Outbound, put: &mut dyn FnMut(&str, &[u8])) -> u32 {
        let message = &outbound.message;
        match self.form(message) {
            Envelope::CloudEvents => self.cloudevents(outbound, put),
            Envelope::Debezium => put("id", uuid_text(message, &mut [0; 36])),
            Envelope::Raw => {
                put("id", id_text(message, &mut [0; 36]));
                put("type", message.kind.as_bytes());
                content_type(message, put);
            }
        }
        if let Some(traceparent) = &message.traceparent {
            put("traceparent", traceparent.as_bytes());
        }
        transport(message, put);
        for (name, value) in outbound.address.headers.iter() {
            if !self.sets(message, name) {
                put(name, value.as_bytes());
            }
        }
        if self.envelope == Envelope::Debezium {
            return 0;
        }
        self.row(outbound, put)
    }

    /// What came as a `CloudEvent` goes on as one, whatever else is written raw.
    fn form(&self, message: &Message) -> Envelope {
        match (self.envelope, foreign_source(message)) {
            (Envelope::Raw, Some(_)) => Envelope::CloudEvents,
            (envelope, _) => envelope,
        }
    }

    fn cloudevents(&self, outbound: &Outbound, put: &mut dyn FnMut(&str, &[u8])) {
        let message = &outbound.message;
        put("ce_specversion", b"1.0");
        put("ce_id", id_text(message, &mut [0; 36]));
        put("ce_source", foreign_source(message).unwrap_or(&self.source).as_bytes());
        put("ce_type", message.kind.as_bytes());
        written(
            |out| TIME.print_timestamp(&message.occurred_at, StdIoWrite(out)).is_ok(),
            |time| put("ce_time", time),
        );
        // CloudEvents: both are non-empty strings, or absent.
        let text = |key: Option<&crate::message::Key>| {
            key.filter(|key| key.as_str().is_some_and(|text| !text.is_empty()))
                .cloned()
        };
        if let Some(key) = text(message.key.as_ref()) {
            put("ce_subject", key.as_bytes());
        }
        if let Some(key) = text(outbound.address.key.as_ref()) {
            put("ce_partitionkey", key.as_bytes());
        }
        content_type(message, put);
    }

    fn row(&self, outbound: &Outbound, put: &mut dyn FnMut(&str, &[u8])) -> u32 {
        let mut gave_way = 0;
        for (name, value) in outbound.message.headers.iter() {
            let routed = || outbound.address.headers.iter().any(|(own, _)| **own == *name);
            if self.reserves(&outbound.message, name) || self.sets(&outbound.message, name) {
                // The row's content type is the one we write.
                gave_way += u32::from(!name.eq_ignore_ascii_case("content-type"));
            } else if !routed() {
                // Only what came from a broker may carry bytes: a row's text is what it is.
                match outbound.message.origin.as_ref().and_then(|_| binary::original(value)) {
                    Some(bytes) => put(name, &bytes),
                    None => put(name, value.as_bytes()),
                }
            }
        }
        gave_way
    }

    /// Whether we write this name ourselves for this message.
    fn sets(&self, message: &Message, name: &str) -> bool {
        let is = |own: &str| name.eq_ignore_ascii_case(own);
        is("twinbox-position")
            || is("traceparent") && message.traceparent.is_some()
            || is("twinbox-replay") && message.replay.is_some()
            || match self.form(message) {
                Envelope::CloudEvents => CLOUDEVENTS.iter().any(|own| is(own)),
                Envelope::Debezium => is("id"),
                Envelope::Raw => is("id") || is("type") || is("content-type"),
            }
    }

    /// Whether a row may not use this name: a forged `twinbox-replay` would change what a consumer does.
    fn reserves(&self, message: &Message, name: &str) -> bool {
        let forged = starts_with(name, "twinbox-") && name != ODD_HEADERS;
        forged || message.origin.is_none() && self.envelope == Envelope::CloudEvents && starts_with(name, "ce_")
    }
}

fn starts_with(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// The source that a `CloudEvent` came with.
fn foreign_source(message: &Message) -> Option<&str> {
    message.origin.as_ref()?.source.as_deref()
}

/// The id as it was written by whoever published it first.
fn id_text<'a>(message: &'a Message, buffer: &'a mut [u8; 36]) -> &'a [u8] {
    match message.origin.as_ref().and_then(|origin| origin.id_text.as_deref()) {
        Some(text) => text.as_bytes(),
        None => uuid_text(message, buffer),
    }
}

fn uuid_text<'a>(message: &Message, buffer: &'a mut [u8; 36]) -> &'a [u8] {
    message.id.hyphenated().encode_lower(buffer).as_bytes()
}

/// The row's own `content-type`, else what the column's type says; nothing for no payload.
fn content_type(message: &Message, put: &mut dyn FnMut(&str, &[u8])) {
    if message.body == Body::Null {
        return;
    }
    let own = message
        .headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    put(
        "content-type",
        own.map_or(message.content_type.media_type(), |(_, value)| value)
            .as_bytes(),
    );
}

fn transport(message: &Message, put: &mut dyn FnMut(&str, &[u8])) {
    // What came from a broker has the position that its relay gave it, or none.
    let position = match &message.origin {
        Some(origin) => origin.sent,
        None => Some(message.position),
    };
    if let Some(position) = position {
        written(
            |out| write!(out, "{position}").is_ok(),
            |text| put("twinbox-position", text),
        );
    }
    if let Some(replay) = message.replay {
        written(
            |out| write!(out, "{replay}").is_ok(),
            |text| put("twinbox-replay", text),
        );
    }
}

/// Hands on what `write` writes, without an allocation per message.
fn written(write: impl FnOnce(&mut Short) -> bool, put: impl FnOnce(&[u8])) {
    let mut text = Short::new([0; SHORT_MAX]);
    if write(&mut text) {
        let length = usize::try_from(text.position()).unwrap_or(SHORT_MAX);
        put(&text.get_ref()[..length]);
    }
}
