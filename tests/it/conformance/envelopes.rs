//! The headers of every envelope, pinned by golden files. `UPDATE=1` rewrites them.

use super::desk::content;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use twinbox::broker::{Encoder, Envelope};
use twinbox::contract::{Outbound, Rejection, Ticket};
use twinbox::delivery::{Address, Failure, FailureKind};
use twinbox::message::{Body, Content, ContentType, Message};

const ENVELOPES: [(Envelope, &str); 3] = [
    (Envelope::CloudEvents, "cloudevents"),
    (Envelope::Debezium, "debezium"),
    (Envelope::Raw, "raw"),
];

/// Everything a row can have, with headers that claim our names.
fn whole() -> Content {
    let mut content = content(42, Some("order-42"), br#"{"a": 1}"#);
    content.traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into());
    content.replay = Some(0);
    content.headers = [
        ("tenant", "acme"),
        ("ce_id", "forged"),
        ("ce_dataschema", "row"),
        ("id", "forged"),
        ("type", "forged"),
        ("Content-Type", "application/vnd.order+json"),
        ("twinbox-replay", "7"),
        ("traceparent", "forged"),
        ("tracestate", "a=1"),
        ("routed", "by the row"),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .into_iter()
    .collect();
    content
}

/// As little as a row can have.
fn bare() -> Content {
    let mut content = content(7, None, b"");
    content.body = Body::Null;
    content.content_type = ContentType::Text;
    content
}

fn outbound(content: Content, headers: &[(&str, &str)]) -> Outbound {
    let message = Message::from(content);
    let headers: Vec<(Box<str>, Box<str>)> = headers.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
    Outbound {
        ticket: Ticket(1),
        attempt: 1,
        address: Address {
            destination: ["order.events"].into_iter().collect(),
            key: message.key.clone(),
            headers: headers.into(),
        },
        message,
    }
}

fn headers(envelope: Envelope, outbound: &Outbound) -> Value {
    let mut headers = Vec::new();
    Encoder::new(envelope, "/twinbox/orders").headers(outbound, &mut |name, value| {
        headers.push(json!([name, std::str::from_utf8(value).expect("a text")]));
    });
    Value::Array(headers)
}

fn golden(name: &str, seen: &Value) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/envelopes/{name}.json"));
    let seen = serde_json::to_string_pretty(seen).expect("it is JSON") + "\n";
    if crate::support::live::flag("UPDATE") {
        fs::write(&file, seen).expect("the fixture is written");
        return;
    }
    let pinned = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(pinned, seen, "{name} is not what is pinned; `UPDATE=1` rewrites it");
}

#[test]
fn a_row_with_everything() {
    let outbound = outbound(whole(), &[("routed", "by the route"), ("twinbox-position", "forged")]);
    for (envelope, name) in ENVELOPES {
        golden(&format!("{name}_whole"), &headers(envelope, &outbound));
    }
}

#[test]
fn headers_of_a_row_that_give_way_are_counted() {
    let mut content = content(7, Some("k"), b"{}");
    let own = ["ce_id", "TWINBOX-Position", "traceparent", "content-type", "id", "mine"];
    content.headers = own.iter().map(|name| ((*name).into(), "forged".into())).collect();
    content.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
    let outbound = outbound(content, &[]);
    // Debezium's router does not place headers of rows at all.
    for (envelope, gave_way) in [(Envelope::CloudEvents, 3), (Envelope::Debezium, 0), (Envelope::Raw, 3)] {
        let counted = Encoder::new(envelope, "/twinbox/orders").headers(&outbound, &mut |_, _| {});
        assert_eq!(counted, gave_way, "{envelope:?}");
    }
}

#[test]
fn a_row_with_nothing() {
    for (envelope, name) in ENVELOPES {
        golden(&format!("{name}_bare"), &headers(envelope, &outbound(bare(), &[])));
    }
}

#[cfg(feature = "kafka")]
#[test]
fn a_dead_letter_keeps_the_row_and_says_why() {
    let live = outbound(whole(), &[]);
    let failure = Failure::new(FailureKind::Message, "MessageSizeTooLarge", "x".repeat(5000))
        .with_chain(vec!["outer".into(), "y".repeat(9000)]);
    let rejection = Rejection {
        message: &live.message,
        from: &live.address,
        failure: &failure,
        attempts: 3,
    };
    let backend = twinbox::broker::backend("kafka").expect("it is built in");
    let settings = twinbox::setting::Settings::new(json!({ "brokers": ["127.0.0.1:1"] }));
    let broker = (backend.open)(&settings, super::desk::context()).expect("the settings fit");
    let described = (broker.rejection_headers())(&rejection);
    let dead = Outbound {
        address: Address {
            destination: ["order.events.dlq"].into_iter().collect(),
            headers: Arc::clone(&described),
            ..live.address.clone()
        },
        ..live.clone()
    };
    // The long texts are cut; the file need not hold them.
    let Value::Array(mut all) = headers(Envelope::CloudEvents, &dead) else {
        unreachable!("it is a list");
    };
    for header in &mut all {
        let text = header[1].as_str().expect("a text").to_owned();
        if text.len() > 100 {
            header[1] = json!(format!("{} bytes", text.len()));
        }
    }
    golden("cloudevents_dead_letter", &Value::Array(all));
}
