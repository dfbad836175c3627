//! A batch of messages as array parameters of the call.
//!
//! Promises: a message that cannot be said in the function's types is told apart before anything is called, with a sentence
//! and without its payload; what is sent is the message's bytes, never re-written.

use jiff::Timestamp;
use serde::de::IgnoredAny;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::signature::{Form, Part};
use crate::contract::Outbound;
use crate::delivery::{Failure, FailureKind};
use crate::message::{Body, Message};

/// Name under which a handler finds the trace context.
const TRACEPARENT: &str = "traceparent";

/// One parameter: an element per message.
#[derive(Debug)]
enum Column<'a> {
    Uuids(Vec<Uuid>),
    Texts(Vec<Option<&'a str>>),
    Written(Vec<String>),
    Bytes(Vec<Option<&'a [u8]>>),
    Times(Vec<Timestamp>),
    Numbers(Vec<i32>),
}

/// The parameters of one call.
#[derive(Debug)]
pub(super) struct Arguments<'a>(Vec<Column<'a>>);

// === impl Arguments ===

impl<'a> Arguments<'a> {
    /// All of these messages fit.
    pub(super) fn new(parts: &[Part], messages: &[&'a Outbound]) -> Self {
        let mut columns = vec![column(Part::Id, messages)];
        columns.extend(parts.iter().map(|part| column(*part, messages)));
        Self(columns)
    }

    pub(super) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.0.iter().map(Column::parameter).collect()
    }
}

// === impl Column ===

impl Column<'_> {
    fn parameter(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Uuids(all) => all,
            Self::Texts(all) => all,
            Self::Written(all) => all,
            Self::Bytes(all) => all,
            Self::Times(all) => all,
            Self::Numbers(all) => all,
        }
    }
}

fn column<'a>(part: Part, messages: &[&'a Outbound]) -> Column<'a> {
    let all = messages.iter().copied();
    match part {
        Part::Id => Column::Uuids(all.map(|one| one.message.id).collect()),
        Part::Key => Column::Texts(
            all.map(|one| one.message.key.as_ref().and_then(|key| key.as_str()))
                .collect(),
        ),
        Part::Type => Column::Texts(all.map(|one| Some(&*one.message.kind)).collect()),
        Part::Payload(Form::Bytes) => Column::Bytes(all.map(|one| one.message.body.as_bytes()).collect()),
        Part::Payload(_) => Column::Texts(
            all.map(|one| {
                one.message
                    .body
                    .as_bytes()
                    .and_then(|bytes| std::str::from_utf8(bytes).ok())
            })
            .collect(),
        ),
        Part::Headers => Column::Written(all.map(|one| headers(&one.message)).collect()),
        Part::OccurredAt => Column::Times(all.map(|one| one.message.occurred_at).collect()),
        Part::Attempt => Column::Numbers(all.map(|one| i32::try_from(one.attempt).unwrap_or(i32::MAX)).collect()),
        Part::Source => Column::Texts(all.map(|one| source(&one.message)).collect()),
        Part::Position => Column::Written(all.map(|one| position(&one.message)).collect()),
    }
}

/// CloudEvents source, else topic or queue.
fn source(message: &Message) -> Option<&str> {
    let origin = message.origin.as_ref()?;
    Some(origin.source.as_deref().unwrap_or(&origin.topic))
}

/// What the sender said, else the place in the stream.
fn position(message: &Message) -> String {
    let sent = message.origin.as_ref().and_then(|origin| origin.sent);
    sent.unwrap_or(message.position).to_string()
}

/// An object, the trace context among them.
fn headers(message: &Message) -> String {
    let own = message
        .headers
        .iter()
        .map(|(name, value)| (name.to_owned(), value.into()));
    let mut object: serde_json::Map<String, serde_json::Value> = own.collect();
    if let Some(trace) = &message.traceparent {
        object.entry(TRACEPARENT).or_insert_with(|| (**trace).into());
    }
    serde_json::Value::Object(object).to_string()
}

/// Why this message cannot be handed to a function that takes these; none = it fits.
pub(super) fn misfit(parts: &[Part], message: &Message) -> Option<Failure> {
    if let Some(flaw) = message.origin.as_ref().and_then(|origin| origin.flaw.as_ref()) {
        return Some(unfit("malformed", flaw.to_string()));
    }
    parts.iter().find_map(|part| {
        let (code, what) = part_misfit(*part, message)?;
        Some(unfit(code, what))
    })
}

fn unfit(code: &'static str, what: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Message, code, what)
}

fn part_misfit(part: Part, message: &Message) -> Option<(&'static str, String)> {
    match part {
        Part::Key => {
            let key = message.key.as_ref()?;
            text_misfit("the key", key.as_bytes(), "leave out the function's parameter `key`")
        }
        Part::Type if message.kind.contains('\0') => Some(nul("the type", "leave out the function's parameter `type`")),
        Part::Payload(form) => payload_misfit(form, &message.body),
        Part::Headers
            if message
                .headers
                .iter()
                .any(|(name, value)| name.contains('\0') || value.contains('\0')) =>
        {
            Some(nul("a header", "leave out the function's parameter `headers`"))
        }
        Part::Source if source(message).is_some_and(|source| source.contains('\0')) => {
            Some(nul("the source", "leave out the function's parameter `source`"))
        }
        _ => None,
    }
}

fn payload_misfit(form: Form, body: &Body) -> Option<(&'static str, String)> {
    if let Body::Withheld { bytes } = body {
        return Some((
            "too_large",
            format!("the payload of {bytes} bytes is larger than the budget allows to read"),
        ));
    }
    let bytes = body.as_bytes()?;
    match form {
        Form::Bytes => None,
        Form::Text => text_misfit("the payload", bytes, "take `payload bytea`"),
        Form::Json | Form::Jsonb => {
            let taken = if form == Form::Json { "json" } else { "jsonb" };
            let advice = "mend the producer, or take `payload bytea` or `payload text`";
            let error = serde_json::from_slice::<IgnoredAny>(bytes).err();
            // Its text names a line and a column, never the content.
            error
                .map(|error| {
                    (
                        "not_json",
                        format!("the payload is no JSON ({error}), but the function takes `payload {taken}`: {advice}"),
                    )
                })
                .or_else(|| text_misfit("the payload", bytes, advice))
        }
    }
}

fn text_misfit(what: &str, bytes: &[u8], advice: &str) -> Option<(&'static str, String)> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.contains('\0') => Some(nul(what, advice)),
        Ok(_) => None,
        Err(_) => Some((
            "not_utf8",
            format!("{what} is not UTF-8, which the function takes: {advice}"),
        )),
    }
}

fn nul(what: &str, advice: &str) -> (&'static str, String) {
    (
        "nul",
        format!("{what} holds a NUL, which the database's text cannot hold: {advice}"),
    )
}
