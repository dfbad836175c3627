//! A message's CloudEvents attributes, the same for every form of a request.
//!
//! Promises: required attributes are always there and never empty; extensions that came with the message go on under their
//! own names; nothing of ours can be forged by a message.

use jiff::fmt::temporal::DateTimePrinter;

use crate::message::{Message, ODD_HEADERS};

/// Microseconds, the precision of Postgres; what a relay writes.
const TIME: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
/// The type of a message whose envelope names none: CloudEvents wants one.
const TYPE_UNKNOWN: &str = "twinbox.untyped";
/// The same for the source of a message that no broker delivered.
const SOURCE_UNKNOWN: &str = "/twinbox";
/// Attributes that are written from the message itself.
const OURS: [&str; 9] = [
    "specversion",
    "id",
    "source",
    "type",
    "time",
    "subject",
    "partitionkey",
    "traceparent",
    "datacontenttype",
];

/// What a header of a message is to a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Role<'a> {
    /// A CloudEvents extension of that name.
    Extension(&'a str),
    /// A header like any other.
    Header,
    /// Written by ourselves, or not a message's to write.
    Reserved,
}

/// Never a message's to write: they steer the connection, or say who is asking.
const NEVER: [&str; 18] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "authorization",
    "cookie",
    "forwarded",
    "user-agent",
    "accept-encoding",
    "content-type",
    "traceparent",
    "http2-settings",
    "x-real-ip",
];
const NEVER_PREFIXES: [&str; 3] = ["x-forwarded-", "proxy-", "twinbox-"];

/// Hands every attribute of the message itself to `put`, with the media type as `datacontenttype` left to the caller.
pub(super) fn own(message: &Message, put: &mut dyn FnMut(&'static str, &str)) {
    let origin = message.origin.as_deref();
    put("specversion", "1.0");
    put("id", &id(message));
    let source = origin.map(|origin| origin.source.as_ref().unwrap_or(&origin.topic));
    put(
        "source",
        source.map_or(SOURCE_UNKNOWN, |source| non_empty(source, SOURCE_UNKNOWN)),
    );
    put("type", non_empty(&message.kind, TYPE_UNKNOWN));
    put("time", &TIME.timestamp_to_string(&message.occurred_at));
    // CloudEvents: a subject is a non-empty string, or absent.
    let key = message.key.as_ref().and_then(|key| key.as_str());
    if let Some(key) = key.filter(|key| !key.is_empty()) {
        put("subject", key);
        put("partitionkey", key);
    }
    if let Some(traceparent) = &message.traceparent {
        put("traceparent", traceparent);
    }
}

/// The event's id: as its producer wrote it.
pub(super) fn id(message: &Message) -> String {
    let text = message.origin.as_ref().and_then(|origin| origin.id_text.as_deref());
    text.filter(|text| !text.is_empty())
        .map_or_else(|| message.id.hyphenated().to_string(), ToOwned::to_owned)
}

/// Where it stands: what the relay wrote, else its place in the topic.
pub(super) fn position(message: &Message) -> String {
    let sent = message.origin.as_ref().and_then(|origin| origin.sent);
    sent.unwrap_or(message.position).to_string()
}

/// The media type of the payload: the message's own, where it has one.
pub(super) fn media_type(message: &Message) -> &str {
    let own = message
        .headers
        .iter()
        .find(|(name, value)| name.eq_ignore_ascii_case("content-type") && !value.is_empty());
    own.map_or(message.content_type.media_type(), |(_, value)| value)
}

/// What a header of that name is. Both separators of CloudEvents' bindings are known.
pub(super) fn role(name: &str) -> Role<'_> {
    let is = |own: &str| name.eq_ignore_ascii_case(own);
    if let Some(extension) = after(name, "ce_").or_else(|| after(name, "ce-")) {
        let ours = OURS.iter().any(|own| extension.eq_ignore_ascii_case(own));
        let forged = extension.len() >= 7 && extension.as_bytes()[..7].eq_ignore_ascii_case(b"twinbox");
        let legal = !extension.is_empty() && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
        return if ours || forged || !legal {
            Role::Reserved
        } else {
            Role::Extension(extension)
        };
    }
    let reserved = NEVER.iter().any(|never| is(never))
        || NEVER_PREFIXES.iter().any(|prefix| after(name, prefix).is_some()) && !is(ODD_HEADERS);
    if reserved { Role::Reserved } else { Role::Header }
}

fn after<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = name.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn non_empty<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_the_connection_or_speaks_for_somebody_is_reserved() {
        for name in [
            "Host",
            "content-length",
            "Transfer-Encoding",
            "connection",
            "TE",
            "upgrade",
            "Authorization",
            "cookie",
            "X-Forwarded-For",
            "x-forwarded-proto",
            "Proxy-Authorization",
            "twinbox-once",
            "TWINBOX-attempt",
            "traceparent",
            "ce_id",
            "CE-Type",
            "ce_twinboxonce",
            "ce_",
            "ce_a-b",
        ] {
            assert_eq!(role(name), Role::Reserved, "{name}");
        }
    }

    #[test]
    fn the_rest_goes_on() {
        assert_eq!(role("ce_tenant"), Role::Extension("tenant"));
        assert_eq!(role("Ce-tenant"), Role::Extension("tenant"));
        for name in ["tenant", "tracestate", "x-request-id", "twinbox-headers", "ce", ""] {
            assert_eq!(role(name), Role::Header, "{name}");
        }
    }
}
