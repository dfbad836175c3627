//! What routes do with complete and incomplete rows.

use bytes::Bytes;

use super::*;
use crate::message::{Body, Content, ContentType, Headers, Position};

fn message(key: Option<&str>, headers: &[(&str, &str)]) -> Message {
    Message::from(Content {
        position: Position::new(1, 1, 1),
        id: uuid::Uuid::from_u128(7),
        aggregate_type: "order".into(),
        key: key.map(Key::from),
        kind: "OrderPlaced".into(),
        body: Body::Bytes(Bytes::from_static(b"{}")),
        content_type: ContentType::Json,
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect::<Headers>(),
        traceparent: None,
        occurred_at: jiff::Timestamp::UNIX_EPOCH,
        replay: None,
        origin: None,
    })
}

fn router(fields: &[&str], key: &str) -> Router {
    let parse = |text: &&str| Template::parse(text, TemplateUse::DeadLetter).unwrap();
    Router::new(Route::new(fields.iter().map(parse).collect(), parse(&key), Vec::new()))
}

#[test]
fn every_placeholder_has_its_value() {
    let message = message(Some("42"), &[("region", "eu")]);
    let text = "{aggregatetype}.{aggregateid}.{type}.{header:region}.{topic}.{id}";
    let address = router(&[text], "{aggregateid}").address_from(&message, "t").unwrap();
    assert_eq!(
        address.destination.to_string(),
        "order.42.OrderPlaced.eu.t.00000000-0000-0000-0000-000000000007"
    );
}

#[test]
fn a_missing_value_is_a_failure_of_the_message_and_names_it() {
    let failure = router(&["{header:region}"], "{aggregateid}")
        .address(&message(Some("42"), &[]))
        .unwrap_err();
    assert_eq!(failure.kind, FailureKind::Message);
    assert!(failure.message.contains("{header:region}"), "{failure}");
}

#[test]
fn a_missing_key_is_no_key_and_an_empty_one_is_a_key() {
    let mut router = router(&["t"], "{aggregateid}");
    assert_eq!(router.address(&message(None, &[])).unwrap().key, None);
    assert_eq!(
        router.address(&message(Some(""), &[])).unwrap().key,
        Some(Key::from(""))
    );
}

#[test]
fn two_fields_stay_two_parts() {
    let address = router(&["{aggregatetype}", "{type}"], "{aggregateid}")
        .address(&message(None, &[]))
        .unwrap();
    assert_eq!(
        address.destination.parts(),
        [Box::from("order"), Box::from("OrderPlaced")]
    );
}

#[test]
fn bad_templates_are_refused_with_what_to_write() {
    let parse = |text| Template::parse(text, TemplateUse::Route).unwrap_err();
    assert_eq!(parse("{aggregate}"), TemplateError::Unknown("aggregate".into()));
    assert_eq!(parse("{topic}"), TemplateError::TopicOutsideDeadLetter);
    assert_eq!(parse("{header:}"), TemplateError::Unknown("header:".into()));
    for text in ["{type", "type}", "}{"] {
        assert_eq!(parse(text), TemplateError::Brace, "{text}");
    }
    assert!(parse("{aggregate}").to_string().contains("{aggregatetype}"));
}
