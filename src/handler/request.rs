//! Messages as requests: CloudEvents over HTTP, binary, structured or batched.
//!
//! Promises: the payload is sent as it is, never re-written: JSON is embedded byte by byte, and only where it is valid; what a
//! message says about itself cannot change how the request travels or who seems to send it.
//!
//! | Header | Value |
//! |---|---|
//! | `ce-*` (binary) | the attributes, percent-encoded as the HTTP binding says (§3.1.3.2) |
//! | `content-type` | the payload's, or that of CloudEvents' formats |
//! | `traceparent` | the context of this attempt, else that of the transaction that wrote the row |
//! | `twinbox-attempt`, `twinbox-position`, `twinbox-once` | of this message; in a batch they are the extensions `twinboxattempt`, `twinboxposition`, `twinboxonce` of each item |
//! | `twinbox-replay` | where the message has one |
//! | `twinbox-headers-left-out` | how many of the message's own headers cannot travel over HTTP, where there are any |
//! | the message's own | but those in [`attributes::role`]; in a batch only CloudEvents extensions travel |

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::value::RawValue;

use super::attributes::{self, Role};
use crate::contract::Attempt;
use crate::message::{Body, Message};

const STRUCTURED: HeaderValue = HeaderValue::from_static("application/cloudevents+json; charset=utf-8");
const BATCH: HeaderValue = HeaderValue::from_static("application/cloudevents-batch+json; charset=utf-8");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const ATTEMPT: HeaderName = HeaderName::from_static("twinbox-attempt");
const POSITION: HeaderName = HeaderName::from_static("twinbox-position");
const ONCE: HeaderName = HeaderName::from_static("twinbox-once");
const REPLAY: HeaderName = HeaderName::from_static("twinbox-replay");
const LEFT_OUT: HeaderName = HeaderName::from_static("twinbox-headers-left-out");

/// Most of a message's own headers that travel: servers refuse a request with many more.
const HEADERS_MAX: usize = 64;
/// Most bytes of them.
const HEADERS_BYTES_MAX: usize = 16 * 1024;

/// One message on its way, with its once token.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) message: Message,
    pub(super) attempt: Attempt,
    pub(super) once: String,
}

/// What is posted.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Payload as body, attributes as headers.
pub(super) fn binary(call: &Call) -> Posted {
    let message = &call.message;
    let mut headers = HeaderMap::with_capacity(24);
    let mut left_out = 0;
    let body = match &message.body {
        Body::Bytes(bytes) => {
            let own = HeaderValue::from_str(attributes::media_type(message));
            let fallback = || HeaderValue::from_static(message.content_type.media_type());
            headers.insert(CONTENT_TYPE, own.unwrap_or_else(|_| fallback()));
            bytes.clone()
        }
        Body::Null | Body::Withheld { .. } => Bytes::new(),
    };
    attributes::own(message, &mut |name, value| {
        left_out += u32::from(!put(&mut headers, &format!("ce-{name}"), encoded(value).as_bytes()));
    });
    left_out += of_the_message(call, true, &mut headers);
    of_the_call(call, left_out, &mut headers);
    Posted { headers, body }
}

/// One JSON document; the message's headers beside it.
pub(super) fn structured(call: &Call) -> Posted {
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(CONTENT_TYPE, STRUCTURED);
    let left_out = of_the_message(call, false, &mut headers);
    of_the_call(call, left_out, &mut headers);
    let mut body = Vec::with_capacity(512 + call.message.cost());
    document(call, &mut body);
    Posted {
        headers,
        body: body.into(),
    }
}

/// Many documents in one array.
pub(super) fn batch(calls: &[Call]) -> Posted {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(CONTENT_TYPE, BATCH);
    // The context of the call is the same in all of them; a row's own stands in its document.
    let context = calls.first().and_then(|call| traceparent(&call.attempt));
    if let Some(Ok(context)) = context.map(HeaderValue::from_str) {
        headers.insert(TRACEPARENT, context);
    }
    let mut body = Vec::with_capacity(calls.iter().map(|call| 512 + call.message.cost()).sum());
    body.push(b'[');
    for (index, call) in calls.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        document(call, &mut body);
    }
    body.push(b']');
    Posted {
        headers,
        body: body.into(),
    }
}

/// What we tell of the call itself.
fn of_the_call(call: &Call, left_out: u32, headers: &mut HeaderMap) {
    headers.insert(ATTEMPT, call.attempt.number.into());
    for (name, text) in [
        (POSITION, attributes::position(&call.message)),
        (ONCE, call.once.clone()),
    ] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    }
    if let Some(replay) = call.message.replay {
        headers.insert(REPLAY, replay.into());
    }
    let of_the_row = call.message.traceparent.as_deref().map(HeaderValue::from_str);
    if let Some(Ok(context)) = traceparent(&call.attempt).map(HeaderValue::from_str).or(of_the_row) {
        headers.insert(TRACEPARENT, context);
    }
    if left_out > 0 {
        headers.insert(LEFT_OUT, left_out.into());
    }
}

fn traceparent(attempt: &Attempt) -> Option<&str> {
    let mut own = attempt.headers.iter();
    own.find(|(name, _)| name.eq_ignore_ascii_case("traceparent"))
        .map(|(_, value)| &**value)
}

/// The message's own headers, and over them what the caller adds. Answers how many cannot travel.
fn of_the_message(call: &Call, extensions: bool, headers: &mut HeaderMap) -> u32 {
    let added = call.attempt.headers.iter().map(|(name, value)| (&**name, &**value));
    let (mut count, mut bytes, mut left_out) = (0, 0, 0);
    // What the caller adds comes first, and the first of a name stays.
    for (name, value) in added.chain(call.message.headers.iter()) {
        let (name, value) = match attributes::role(name) {
            Role::Reserved => continue,
            Role::Extension(_) if !extensions => continue,
            Role::Extension(extension) => (format!("ce-{extension}"), encoded(value)),
            Role::Header => (name.to_owned(), value.to_owned()),
        };
        count += 1;
        bytes += name.len() + value.len();
        let fits = count <= HEADERS_MAX && bytes <= HEADERS_BYTES_MAX;
        if !headers.contains_key(&*name) {
            left_out += u32::from(!fits || !put(headers, &name, value.as_bytes()));
        }
    }
    left_out
}

/// Adds a header where HTTP can carry it: a token as name, no control character in the value.
fn put(headers: &mut HeaderMap, name: &str, value: &[u8]) -> bool {
    match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
        (Ok(name), Ok(value)) => {
            headers.insert(name, value);
            true
        }
        _ => false,
    }
}

/// Percent-encodes an attribute's value (CloudEvents HTTP binding 1.0.2, §3.1.3.2): blank, quote, percent, and everything
/// that is not printable ASCII.
fn encoded(value: &str) -> String {
    use std::fmt::Write as _;
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'%');
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if plain(byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// A JSON document of the event.
fn document(call: &Call, out: &mut Vec<u8>) {
    let message = &call.message;
    let mut open = b'{';
    let mut names: Vec<String> = Vec::new();
    let mut put = |name: &str, value: &str| {
        out.push(std::mem::replace(&mut open, b','));
        string(name, out);
        out.push(b':');
        string(value, out);
    };
    attributes::own(message, &mut |name, value| put(name, value));
    put("twinboxonce", &call.once);
    put("twinboxposition", &attributes::position(message));
    put("twinboxattempt", &call.attempt.number.to_string());
    if let Some(replay) = message.replay {
        put("twinboxreplay", &replay.to_string());
    }
    for (name, value) in message.headers.iter() {
        if let Role::Extension(extension) = attributes::role(name) {
            let name = extension.to_ascii_lowercase();
            if !matches!(&*name, "data" | "database64") && !names.contains(&name) {
                put(&name, value);
                names.push(name);
            }
        }
    }
    if let Body::Bytes(bytes) = &message.body {
        let media_type = attributes::media_type(message);
        put("datacontenttype", media_type);
        payload(bytes, media_type, out);
    }
    out.push(b'}');
}

/// `data` where the payload is JSON or text, else `data_base64`.
fn payload(bytes: &[u8], media_type: &str, out: &mut Vec<u8>) {
    let essence = media_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let json = essence.ends_with("/json") || essence.ends_with("+json");
    if json && let Ok(raw) = serde_json::from_slice::<&RawValue>(bytes) {
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(raw.get().as_bytes());
    } else if essence.starts_with("text/")
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        out.extend_from_slice(b",\"data\":");
        string(text, out);
    } else {
        out.extend_from_slice(b",\"data_base64\":\"");
        out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
        out.push(b'"');
    }
}

fn string(text: &str, out: &mut Vec<u8>) {
    // A string is always JSON, and a Vec takes every byte.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
