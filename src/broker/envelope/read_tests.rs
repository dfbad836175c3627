//! What comes back of what was written, and what comes of what cannot be read.

use proptest::prelude::*;

use super::*;
use crate::broker::Encoder;
use crate::contract::{Outbound, Ticket};
use crate::delivery::Address;

type Header = (String, Vec<u8>);

fn received<'a>(topic: &'a Arc<str>, value: Option<&[u8]>, headers: &'a [Header]) -> Received<'a> {
    Received {
        topic,
        partition: Some(3),
        offset: 42,
        key: Some(b"k"),
        value: value.map(Bytes::copy_from_slice),
        headers: headers.iter().map(|(name, value)| (&**name, &**value)).collect(),
        stored_at: Some("2026-11-23T11:00:00Z".parse().unwrap()),
        flaw: None,
    }
}

fn headers(pairs: &[(&str, &str)]) -> Vec<Header> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
        .collect()
}

fn read(reader: &Reader, value: &str, pairs: &[(&str, &str)]) -> Message {
    let topic = Arc::from("order.events");
    reader.read(&received(&topic, Some(value.as_bytes()), &headers(pairs)))
}

fn origin_of(message: &Message) -> &Origin {
    message.origin.as_deref().unwrap()
}

fn flaw(message: &Message) -> &str {
    origin_of(message).flaw.as_deref().unwrap_or_default()
}

fn content(headers: Vec<(Box<str>, Box<str>)>, body: Body, content_type: ContentType) -> Content {
    Content {
        position: Position::new(1, 7, 9),
        id: Uuid::from_u128(0x0195_0000_0000_7000_8000_0000_0000_0001),
        aggregate_type: "order".into(),
        key: Some(Key::from("order-42")),
        kind: "OrderPlaced".into(),
        body,
        content_type,
        headers: headers.into_iter().collect(),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
        occurred_at: "2026-11-23T10:00:00.123456Z".parse().unwrap(),
        replay: Some(2),
        origin: None,
    }
}

/// Through our own writer, over a broker that keeps everything, and back.
fn round_trip(message: Message, envelope: Envelope, reads: Reads) -> Message {
    let (key, body) = (message.key.clone(), message.body.clone());
    let outbound = Outbound {
        ticket: Ticket(1),
        attempt: 1,
        address: Address {
            destination: ["order.events"].into_iter().collect(),
            key: key.clone(),
            headers: Arc::default(),
        },
        message,
    };
    let mut headers: Vec<Header> = Vec::new();
    Encoder::new(envelope, "/twinbox/orders").headers(&outbound, &mut |name, value| {
        headers.push((name.to_owned(), value.to_vec()));
    });
    let topic = Arc::from("order.events");
    let reader = Reader {
        reads,
        ..Reader::default()
    };
    reader.read(&Received {
        key: key.as_ref().map(Key::as_bytes),
        ..received(&topic, body.as_bytes(), &headers)
    })
}

fn bodies() -> impl Strategy<Value = Body> {
    prop_oneof![
        Just(Body::Null),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Body::Bytes(bytes.into())),
    ]
}

fn types() -> impl Strategy<Value = ContentType> {
    prop_oneof![
        Just(ContentType::Json),
        Just(ContentType::Text),
        Just(ContentType::Binary)
    ]
}

proptest! {
    #[test]
    fn what_our_writer_writes_comes_back(
        body in bodies(),
        kind in types(),
        row in proptest::collection::vec(("x-[a-z]{1,5}", ".{0,12}"), 0..4),
    ) {
        let row: Vec<(Box<str>, Box<str>)> = row.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
        // A text that looks carried is carried back to bytes by whoever writes a delivered message again.
        prop_assume!(row.iter().all(|(_, value)| !value.starts_with("data:")));
        for (envelope, name) in [(Envelope::CloudEvents, "cloudevents"), (Envelope::Raw, "raw")] {
            for reads in [Reads::Auto, Reads::Only(envelope)] {
                let sent = Message::from(content(row.clone(), body.clone(), kind));
                let back = round_trip(sent.clone(), envelope, reads);
                prop_assert_eq!(flaw(&back), "", "{}", name);
                prop_assert_eq!(back.id, sent.id);
                prop_assert_eq!(&back.kind, &sent.kind);
                prop_assert_eq!(&back.key, &sent.key);
                prop_assert_eq!(&back.body, &sent.body);
                prop_assert_eq!(&back.headers, &sent.headers);
                prop_assert_eq!(&back.traceparent, &sent.traceparent);
                prop_assert_eq!(back.replay, sent.replay);
                prop_assert_eq!(origin_of(&back).sent, Some(sent.position));
                prop_assert_eq!(origin_of(&back).identity, sent.id);
                if sent.body != Body::Null {
                    prop_assert_eq!(back.content_type, sent.content_type);
                }
                if envelope == Envelope::CloudEvents {
                    prop_assert_eq!(back.occurred_at, sent.occurred_at);
                    prop_assert_eq!(origin_of(&back).source.as_deref(), Some("/twinbox/orders"));
                }
            }
        }
    }

    #[test]
    fn no_bytes_panic_and_none_are_lost(value: Vec<u8>, names in proptest::collection::vec("(ce_)?(id|type|source|specversion|time)|content-type", 0..6), bytes: Vec<u8>) {
        let topic = Arc::from("t");
        let headers: Vec<Header> = names.into_iter().map(|name| (name, bytes.clone())).collect();
        for reads in [Reads::Auto, Reads::Only(Envelope::CloudEvents), Reads::Only(Envelope::Debezium), Reads::Only(Envelope::Raw)] {
            let reader = Reader { reads, ..Reader::default() };
            let message = reader.read(&received(&topic, Some(&value), &headers));
            if origin_of(&message).flaw.is_some() {
                prop_assert_eq!(message.body.as_bytes(), Some(&*value));
                prop_assert_eq!(message.headers.iter().count(), headers.len());
            }
        }
    }
}

#[test]
fn debezium_brings_the_id_and_the_bare_payload() {
    let sent = Message::from(content(Vec::new(), Body::Bytes("{\"a\": 1}".into()), ContentType::Json));
    for reads in [Reads::Auto, Reads::Only(Envelope::Debezium)] {
        let back = round_trip(sent.clone(), Envelope::Debezium, reads);
        assert_eq!((back.id, &back.body, &back.key), (sent.id, &sent.body, &sent.key));
        assert_eq!(origin_of(&back).sent, Some(sent.position));
        assert_eq!(back.headers.iter().count(), 0);
    }
    let placed = read(
        &Reader::default(),
        "{}",
        &[("id", "7"), ("eventType", "Paid"), ("tenant", "a")],
    );
    assert_eq!((&*placed.kind, placed.headers.get("tenant")), ("Paid", Some("a")));
}

#[test]
fn s11_ids_that_are_no_uuid_are_told_apart_by_what_they_were_taken_from() {
    let reader = Reader::default();
    let event = |source| {
        let pairs = [
            ("ce_specversion", "1.0"),
            ("ce_id", "1"),
            ("ce_source", source),
            ("ce_type", "t"),
        ];
        read(&reader, "{}", &pairs)
    };
    let (x, y) = (event("/x"), event("/y"));
    assert_eq!(x.id, uuid_of("/x", "1"));
    assert_ne!(x.id, y.id);
    assert_eq!(origin_of(&x).id_text.as_deref(), Some("1"));
    let plain = read(&reader, "{}", &[("id", "1")]);
    assert_eq!(
        (plain.id, origin_of(&plain).identity),
        (uuid_of("order.events", "1"), plain.id)
    );
    // Without any id the place is the identity: the same at each delivery.
    let bare = read(&reader, "{}", &[]);
    assert_eq!(bare.id, uuid_of("order.events", "3/42"));
    assert!(origin_of(&bare).id_text.is_none());
}

#[test]
fn s11_equal_uuids_of_two_topics_are_two_when_the_scope_is_the_topic() {
    let id = "01950000-0000-7000-8000-000000000001";
    let reader = Reader {
        per_topic: true,
        ..Reader::default()
    };
    let one = read(&reader, "{}", &[("id", id)]);
    let topic = Arc::from("other");
    let other = reader.read(&received(&topic, Some(b"{}"), &headers(&[("id", id)])));
    assert_eq!(one.id, other.id);
    assert_ne!(origin_of(&one).identity, origin_of(&other).identity);
}

#[test]
fn s11_a_business_key_is_the_identity_unless_it_is_missing_null_or_empty() {
    let id = "01950000-0000-7000-8000-000000000001";
    let by_header = Reader {
        dedupe: DedupeBy::Header("order".into()),
        ..Reader::default()
    };
    let identity = |reader: &Reader, value: &str, order: Option<&str>| {
        let mut pairs = vec![("id", id)];
        pairs.extend(order.map(|order| ("order", order)));
        let message = read(reader, value, &pairs);
        (origin_of(&message).identity != message.id).then_some(origin_of(&message).identity)
    };
    assert_eq!(
        identity(&by_header, "{}", Some("7")),
        identity(&by_header, "[]", Some("7"))
    );
    assert!(identity(&by_header, "{}", Some("7")).is_some());
    assert_eq!(identity(&by_header, "{}", Some("")), None);
    assert_eq!(identity(&by_header, "{}", None), None);
    let by_payload = Reader {
        dedupe: DedupeBy::Payload("/order/id".into()),
        ..Reader::default()
    };
    for (value, known) in [
        (r#"{"order":{"id":7}}"#, true),
        (r#"{"order":{"id":"a"}}"#, true),
        (r#"{"order":{"id":null}}"#, false),
        (r#"{"order":{"id":""}}"#, false),
        (r#"{"order":{"id":[1]}}"#, false),
        (r"{}", false),
        ("no json", false),
    ] {
        assert_eq!(identity(&by_payload, value, None).is_some(), known, "{value}");
    }
}

#[test]
fn structured_events_bring_their_bytes_as_they_stand() {
    let media = ("content-type", "application/CloudEvents+json; charset=UTF-8");
    let event = |more: &str| {
        format!(r#"{{"specversion":"1.0","id":"e1","source":"/s","type":"t","time":"2026-11-23T10:00:00Z"{more}}}"#)
    };
    let message = |more: &str| read(&Reader::default(), &event(more), &[media]);
    let json = message(r#","data":{"b" : 1.0, "a":"é"},"tenant":"x","twinboxposition":"1.2.3","traceparent":"00-a""#);
    assert_eq!(flaw(&json), "");
    assert_eq!(json.body.as_bytes(), Some(r#"{"b" : 1.0, "a":"é"}"#.as_bytes()));
    assert_eq!(json.content_type, ContentType::Json);
    assert_eq!(json.headers.get("ce_tenant"), Some("x"));
    assert_eq!(json.traceparent.as_deref(), Some("00-a"));
    assert_eq!(origin_of(&json).sent, Some(Position::new(1, 2, 3)));
    assert_eq!((json.id, &*json.kind), (uuid_of("/s", "e1"), "t"));
    let bytes = message(r#","data_base64":"AP8=","datacontenttype":"application/octet-stream""#);
    assert_eq!(
        (bytes.body.as_bytes(), bytes.content_type),
        (Some(&[0, 255][..]), ContentType::Binary)
    );
    let text = message(r#","data":"hi","datacontenttype":"text/plain""#);
    assert_eq!(text.body.as_bytes(), Some(&b"hi"[..]));
    assert_eq!(message("").body, Body::Null);
    let kept = message(r#","twinboxheaders":"{\"X-A\":\"b\"}""#);
    assert_eq!(kept.headers.get("X-A"), Some("b"));
    for (more, word) in [
        (r#","data_base64":"%""#, "base64"),
        (r#","time":"tomorrow""#, "RFC 3339"),
        ("", "2026"),
    ] {
        let event = event(more).replace("1.0\",", if more.is_empty() { "2026\"," } else { "1.0\"," });
        let broken = read(&Reader::default(), &event, &[media]);
        assert!(flaw(&broken).contains(word), "{more}: {}", flaw(&broken));
        assert_eq!(broken.body.as_bytes(), Some(event.as_bytes()));
    }
    let broken = read(&Reader::default(), "{", &[media]);
    assert!(flaw(&broken).contains("JSON is broken"), "{}", flaw(&broken));
}

#[test]
fn an_envelope_that_does_not_fit_says_why() {
    let cloud = [
        ("ce_specversion", "1.0"),
        ("ce_id", "1"),
        ("ce_source", "/s"),
        ("ce_type", "t"),
    ];
    let only = |envelope| Reader {
        reads: Reads::Only(envelope),
        ..Reader::default()
    };
    for (reader, pairs, word) in [
        (
            Reader::default(),
            vec![("ce_specversion", "0.3"), ("ce_id", "1")],
            "0.3",
        ),
        (Reader::default(), cloud[..3].to_vec(), "ce_type"),
        (Reader::default(), vec![("ce_id", "1")], "ce_specversion"),
        (
            Reader::default(),
            [&cloud[..], &[("ce_time", "now")]].concat(),
            "ce_time",
        ),
        (Reader::default(), vec![("twinbox-replay", "x")], "replay"),
        (
            Reader::default(),
            vec![("content-type", "application/cloudevents+avro")],
            "avro",
        ),
        (only(Envelope::CloudEvents), vec![("id", "1")], "no CloudEvent"),
        (only(Envelope::Debezium), vec![], "Debezium"),
        (only(Envelope::Debezium), vec![("id", "")], "empty"),
    ] {
        let message = read(&reader, "{}", &pairs);
        assert!(flaw(&message).contains(word), "{pairs:?}: {}", flaw(&message));
        assert_eq!(message.body.as_bytes(), Some(&b"{}"[..]));
    }
    assert_eq!(flaw(&read(&only(Envelope::Raw), "{}", &cloud[..1])), "");
}

#[test]
fn bytes_and_doubles_among_the_headers_survive() {
    let topic = Arc::from("t");
    let mut all = headers(&[("id", "1"), ("a", "1"), ("a", "2"), ("id", "second")]);
    all.push(("bin".into(), vec![0xff, 0x00]));
    let message = Reader::default().read(&received(&topic, None, &all));
    let seen: Vec<_> = message.headers.iter().collect();
    assert_eq!(
        seen,
        [("a", "1"), ("a", "2"), ("id", "second"), ("bin", "data:;base64,/wA=")]
    );
    // Written again, as a dead letter, it is the bytes that came.
    let outbound = Outbound {
        ticket: Ticket(1),
        attempt: 1,
        address: Address {
            destination: ["t.dlq"].into_iter().collect(),
            key: None,
            headers: Arc::default(),
        },
        message,
    };
    let mut written = Vec::new();
    Encoder::new(Envelope::CloudEvents, "/s").headers(&outbound, &mut |name, value| {
        written.push((name.to_owned(), value.to_vec()));
    });
    assert!(written.contains(&("bin".to_owned(), vec![0xff, 0x00])), "{written:?}");
}
