//! Trace context between a row's `traceparent` text and the tracing library.
//!
//! Promises: the row's text goes out unchanged, whatever it is; only a text that is valid by W3C Trace Context becomes a
//! link. A batch links to at most [`LINKS_MAX`] rows: collectors drop what is beyond.

use std::collections::HashSet;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// The default limit of links per span of OpenTelemetry's SDKs.
pub const LINKS_MAX: usize = 128;

/// The context that a `traceparent` names; none when the text is not valid.
#[must_use]
pub fn from_traceparent(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let sizes = [(version, 2), (trace, 32), (span, 16), (flags, 2)];
    let lower_hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !sizes.iter().all(|(part, size)| part.len() == *size && lower_hex(part)) {
        return None;
    }
    // A later version may append parts; version 00 has exactly four, and ff is forbidden.
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    context.is_valid().then_some(context)
}

/// The text that carries a context; none when there is nothing to carry.
#[must_use]
pub fn to_traceparent(context: &SpanContext) -> Option<String> {
    let sampled = u8::from(context.is_sampled());
    let text = || format!("00-{}-{}-{sampled:02x}", context.trace_id(), context.span_id());
    context.is_valid().then(text)
}

/// The traces that a batch's rows name, each once; all rows are looked at, as the caller may count them.
pub(super) fn linked<'a>(traceparents: impl Iterator<Item = Option<&'a str>>) -> Vec<SpanContext> {
    let mut seen = HashSet::new();
    let mut contexts = Vec::new();
    for text in traceparents.flatten() {
        if contexts.len() < LINKS_MAX && seen.insert(text) {
            contexts.extend(from_traceparent(text));
        }
    }
    contexts
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_comes_back_as_the_same_text() {
        let context = from_traceparent(ROW).unwrap();
        assert!(context.is_remote() && context.is_sampled());
        assert_eq!(to_traceparent(&context).unwrap(), ROW);
        let unsampled = ROW.replace("-01", "-00");
        assert_eq!(
            to_traceparent(&from_traceparent(&unsampled).unwrap()).unwrap(),
            unsampled
        );
    }

    #[test]
    fn a_later_version_may_say_more() {
        let later = ROW.replacen("00-", "01-", 1) + "-more";
        assert!(from_traceparent(&later).is_some());
    }

    #[test]
    fn what_is_not_valid_is_no_context() {
        let zero_trace = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let zero_span = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", "0".repeat(16));
        let upper = ROW.to_uppercase();
        let more = format!("{ROW}-more");
        let forbidden = ROW.replacen("00-", "ff-", 1);
        let texts = [
            "",
            "00",
            "é",
            &zero_trace,
            &zero_span,
            &upper,
            &more,
            &forbidden,
            &ROW[1..],
        ];
        for text in texts {
            assert_eq!(from_traceparent(text), None, "{text}");
        }
        assert_eq!(to_traceparent(&SpanContext::NONE), None);
    }
}
