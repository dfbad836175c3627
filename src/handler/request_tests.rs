//! What goes over the wire for a message.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::contract::once_token;
use crate::handler::sample::{content, first, message};
use crate::message::{ContentType, Key};

fn call(message: Message) -> Call {
    let attempt = first(&message);
    let once = once_token("billing", attempt.identity);
    Call { message, attempt, once }
}

fn text<'a>(posted: &'a Posted, name: &str) -> Option<&'a str> {
    posted.headers.get(name).and_then(|value| value.to_str().ok())
}

fn json_of(posted: &Posted) -> Value {
    serde_json::from_slice(&posted.body).expect("JSON")
}

#[test]
fn binary_is_the_payload_with_attributes_as_headers() {
    let posted = binary(&call(message(
        r#"{"total": 1.10}"#,
        &[("tenant", "a"), ("ce_region", "eu")],
    )));
    for (name, value) in [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "00000000-0000-0000-0000-000000000007"),
        ("ce-source", "/shop"),
        ("ce-type", "OrderPlaced"),
        ("ce-time", "2026-01-02T03:04:05.500000Z"),
        ("ce-subject", "o-1"),
        ("ce-partitionkey", "o-1"),
        ("ce-region", "eu"),
        ("tenant", "a"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("twinbox-attempt", "1"),
        ("twinbox-position", "1.2.3"),
        ("twinbox-once", "billing:00000000-0000-0000-0000-000000000007:0"),
    ] {
        assert_eq!(text(&posted, name), Some(value), "{name}");
    }
    assert_eq!(&posted.body[..], br#"{"total": 1.10}"#);
    assert_eq!(text(&posted, "twinbox-replay"), None);
    assert_eq!(text(&posted, "twinbox-headers-left-out"), None);
}

#[test]
fn a_tombstone_is_an_empty_body_without_a_type() {
    let mut content = content("", &[]);
    content.body = Body::Null;
    let posted = binary(&call(content.into()));
    assert!(posted.body.is_empty());
    assert_eq!(text(&posted, "content-type"), None);
}

#[test]
fn what_steers_the_connection_never_comes_from_a_message() {
    let names = [
        "Host",
        "content-length",
        "transfer-encoding",
        "connection",
        "te",
        "upgrade",
        "authorization",
        "cookie",
        "x-forwarded-for",
        "twinbox-once",
        "twinbox-attempt",
        "ce_id",
    ];
    let forged: Vec<_> = names.iter().map(|name| (*name, "forged")).collect();
    let calls = call(message("{}", &forged));
    for posted in [binary(&calls), structured(&calls), batch(std::slice::from_ref(&calls))] {
        assert!(posted.headers.values().all(|value| value != "forged"), "{posted:?}");
        assert!(!String::from_utf8_lossy(&posted.body).contains("forged"));
    }
}

#[test]
fn the_context_of_the_attempt_wins_and_the_events_own_stays_beside_it() {
    let mut call = call(message("{}", &[]));
    call.attempt.headers = [("traceparent".into(), "00-aa-bb-01".into())].into();
    let posted = binary(&call);
    assert_eq!(text(&posted, "traceparent"), Some("00-aa-bb-01"));
    assert!(text(&posted, "ce-traceparent").expect("there").contains("4bf92f35"));
    let posted = batch(std::slice::from_ref(&call));
    assert_eq!(
        text(&posted, "traceparent"),
        Some("00-aa-bb-01"),
        "of the whole request"
    );
    assert!(String::from_utf8_lossy(&posted.body).contains("4bf92f35"));
}

#[test]
fn headers_that_http_cannot_carry_are_counted_and_break_nothing() {
    let many: Vec<_> = (0..70).map(|index| (format!("h{index}"), "v".to_owned())).collect();
    let mut headers: Vec<(&str, &str)> = many.iter().map(|(name, value)| (&**name, &**value)).collect();
    headers.insert(0, ("bad name", "x"));
    headers.insert(0, ("crlf", "a\r\nauthorization: me"));
    headers.insert(0, ("utf8", "Grüße"));
    let posted = binary(&call(message("{}", &headers)));
    // Two that are illegal, and of the other 71 those beyond 64 in all.
    assert_eq!(text(&posted, "twinbox-headers-left-out"), Some("11"));
    assert_eq!(
        posted.headers.get("utf8").expect("there").as_bytes(),
        "Grüße".as_bytes()
    );
    assert!(posted.headers.get("authorization").is_none());

    let long = "x".repeat(20_000);
    let posted = binary(&call(message("{}", &[("long", &long), ("short", "y")])));
    assert_eq!(text(&posted, "twinbox-headers-left-out"), Some("2"));
}

#[test]
fn structured_embeds_json_as_it_is_and_anything_else_safely() {
    let odd = r#"{"n":1e400,"big":12345678901234567890,"s":"\ud800"}"#;
    let posted = structured(&call(message(odd, &[("ce_Region", "eu"), ("tenant", "a")])));
    assert!(String::from_utf8_lossy(&posted.body).contains(odd));
    assert_eq!(
        text(&posted, "content-type"),
        Some("application/cloudevents+json; charset=utf-8")
    );
    assert_eq!(text(&posted, "tenant"), Some("a"));
    assert!(text(&posted, "twinbox-once").is_some() && text(&posted, "ce-id").is_none());

    let posted = json_of(&structured(&call(message("{\"half", &[("ce_Region", "eu")]))));
    assert_eq!(posted["data_base64"], json!("eyJoYWxm"));
    assert_eq!(posted["region"], json!("eu"));
    assert_eq!(
        posted["twinboxonce"],
        json!("billing:00000000-0000-0000-0000-000000000007:0")
    );

    let mut plain = content("say \"hi\"\n", &[]);
    plain.content_type = ContentType::Text;
    assert_eq!(json_of(&structured(&call(plain.into())))["data"], json!("say \"hi\"\n"));

    let mut null = content("", &[]);
    null.body = Body::Null;
    let posted = json_of(&structured(&call(null.into())));
    assert!(posted.get("data").is_none() && posted.get("data_base64").is_none());
}

#[test]
fn a_batch_is_an_array_with_what_each_item_needs() {
    let calls = [call(message("{\"n\":1}", &[])), call(message("[2]", &[]))];
    let posted = batch(&calls);
    assert_eq!(
        text(&posted, "content-type"),
        Some("application/cloudevents-batch+json; charset=utf-8")
    );
    assert_eq!(text(&posted, "twinbox-once"), None, "it is one of many");
    let items = json_of(&posted);
    assert_eq!(items[1]["data"], json!([2]));
    for item in items.as_array().expect("an array") {
        assert_eq!(item["twinboxonce"], json!(calls[0].once));
        assert_eq!(item["twinboxattempt"], json!("1"));
        assert_eq!(item["twinboxposition"], json!("1.2.3"));
    }
}

proptest! {
    /// Whatever stands in a message, the request is legal, and decoding gives the attribute back.
    #[test]
    fn any_message_makes_a_legal_request(
        kind in "\\PC{0,20}|[\u{0}-\u{1f}\"% ü😀]{0,6}",
        key in proptest::collection::vec(any::<u8>(), 0..8),
        headers in proptest::collection::vec(("[\u{0}-\u{7f}ü]{0,6}", "[\u{0}-\u{7f}ü]{0,6}"), 0..5),
        body in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut content = content("", &[]);
        content.kind = kind.as_str().into();
        content.key = Some(Key::from(key.as_slice()));
        content.headers = headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        content.body = Body::Bytes(body.clone().into());
        let call = call(content.into());
        let posted = binary(&call);
        prop_assert_eq!(&posted.body[..], &body[..]);
        let sent = text(&posted, "ce-type").expect("always there");
        prop_assert_eq!(decoded(sent), if kind.is_empty() { "twinbox.untyped".to_owned() } else { kind });
        let document = json_of(&structured(&call));
        prop_assert!(document["type"].is_string());
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let hex: String = rest.by_ref().take(2).map(char::from).collect();
            bytes.push(u8::from_str_radix(&hex, 16).expect("hex"));
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}
