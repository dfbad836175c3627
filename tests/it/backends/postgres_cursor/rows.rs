//! What a row may hold, and what a message then says: every payload type, nulls, odd headers, large bodies.

use twinbox::contract::Room;
use twinbox::message::{Body, ContentType, Message};

use super::rig::{PAYLOADS, Rig};
use crate::conformance::place::{ROOM, body, read_all, read_until, start};
use twinbox::postgres::migrate::Payload;

async fn one(rig: &Rig, opened: &mut twinbox::contract::Opened, columns: &str, values: &str) -> Message {
    let sql = format!(
        "insert into twinbox.outbox (aggregatetype, aggregateid, type, {columns}) values ('order', 'k', 'created', {values})"
    );
    rig.run(&sql).await;
    read_until(opened.source.as_mut(), 1).await.remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_payload_type_keeps_its_bytes_also_as_a_letter() {
    for payload in PAYLOADS {
        let name = format!("payload_{}", payload.name());
        let Some(rig) = Rig::with(&name, |options| options.payload = Some(payload)).await else {
            return;
        };
        let (_lease, _held, mut opened) = start(&rig).await;
        let (sql, expected, content_type): (&str, &[u8], ContentType) = match payload {
            Payload::Jsonb => (
                r#"'{"b": 1,   "a":"ü"}'"#,
                r#"{"a": "ü", "b": 1}"#.as_bytes(),
                ContentType::Json,
            ),
            Payload::Json => (
                r#"'{"b": 1,   "a":"ü"}'"#,
                r#"{"b": 1,   "a":"ü"}"#.as_bytes(),
                ContentType::Json,
            ),
            Payload::Bytea => (r"'\x00ff80'", &[0, 0xff, 0x80], ContentType::Binary),
            Payload::Text => ("'plain ü'", "plain ü".as_bytes(), ContentType::Text),
        };
        let message = one(&rig, &mut opened, "payload", sql).await;
        assert_eq!(message.body.as_bytes(), Some(expected));
        assert_eq!(message.content_type, content_type);
        let null = one(&rig, &mut opened, "payload", "null").await;
        assert_eq!(null.body, Body::Null);
        let large = one(&rig, &mut opened, "payload", &large(payload)).await;

        let park = super::schedules::park("k", &[message.clone(), null.clone(), large.clone()]);
        let run = super::schedules::stored(
            vec![park],
            vec![],
            crate::conformance::place::settled_but(std::slice::from_ref(&large), &[]),
        );
        opened.letters.store(run).await.expect("stored");
        rig.run("update twinbox.lane set due = now()").await;
        let due = opened.letters.due(10, 10).await.expect("an answer").remove(0);
        for (letter, original) in due.letters.iter().zip([&message, &null, &large]) {
            assert_eq!(letter.message.body, original.body);
            assert_eq!(letter.message.content_type, content_type);
        }
        rig.end().await;
    }
}

/// Some 100 kB that do not compress.
fn large(payload: Payload) -> String {
    let hash = "(select string_agg(encode(sha256(g::text::bytea), 'hex'), '') from generate_series(1, 1600) g)";
    match payload {
        Payload::Jsonb => format!("to_jsonb({hash})"),
        Payload::Json => format!("to_json({hash})"),
        Payload::Bytea => format!("decode({hash}, 'hex')"),
        Payload::Text => hash.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn null_and_empty_are_told_apart() {
    let Some(rig) = Rig::new("null_and_empty").await else {
        return;
    };
    let (_lease, _held, mut opened) = start(&rig).await;
    rig.run(
        "insert into twinbox.outbox (aggregatetype, aggregateid, type, payload, traceparent) values
           ('order', null, 'created', 'null', null), ('order', '', 'created', '\"\"', '00-0af7-b7ad-01'),
           ('order', 'k', 'created', null, null)",
    )
    .await;
    let all = read_until(opened.source.as_mut(), 3).await;
    let keys: Vec<Option<&str>> = all
        .iter()
        .map(|message| message.key.as_ref().and_then(|key| key.as_str()))
        .collect();
    assert_eq!(keys, [None, Some(""), Some("k")]);
    assert_eq!(
        (body(&all[0]), body(&all[1]), &all[2].body),
        ("null".to_owned(), "\"\"".to_owned(), &Body::Null)
    );
    assert!(matches!(all[0].body, Body::Bytes(_)), "the JSON null is a body");
    assert_eq!(all[1].traceparent.as_deref(), Some("00-0af7-b7ad-01"));
    assert_eq!((&*all[0].aggregate_type, &*all[0].kind), ("order", "created"));
    assert!(all[0].occurred_at.as_second() > 1_700_000_000);
    assert_eq!(all[0].replay, None);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_keep_every_value() {
    let Some(rig) = Rig::new("headers").await else { return };
    let (_lease, _held, mut opened) = start(&rig).await;
    let pairs = |message: &Message| -> Vec<String> {
        message
            .headers
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    };
    let plain = one(
        &rig,
        &mut opened,
        "headers",
        r#"'{"a": "x", "bb": 2, "ccc": null, "dddd": {"e": [1]}}'"#,
    )
    .await;
    assert_eq!(pairs(&plain), ["a=x", "bb=2", "ccc=null", r#"dddd={"e": [1]}"#]);
    let none = one(&rig, &mut opened, "headers", "null").await;
    assert!(pairs(&none).is_empty());
    let odd = one(&rig, &mut opened, "headers", "'[\"a\"]'").await;
    assert_eq!(pairs(&odd), [r#"twinbox-headers=["a"]"#]);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_large_rows_come_in_pages_that_fit() {
    let Some(rig) = Rig::new("large_rows").await else {
        return;
    };
    let (_lease, _held, mut opened) = start(&rig).await;
    rig.run(
        "insert into twinbox.outbox (aggregatetype, aggregateid, type, payload)
         select 'order', 'k', 'created', to_jsonb(repeat(md5(g::text), 1500)) from generate_series(1, 40) g",
    )
    .await;
    let room = Room {
        messages: 100,
        bytes: 300_000,
    };
    let mut seen = 0;
    while seen < 40 {
        let page = opened.source.next(room).await.expect("a page");
        let cost: usize = page.messages.iter().map(|message| message.cost()).sum();
        assert!(cost <= room.bytes, "{cost}");
        assert!(!page.messages.is_empty());
        seen += page.messages.len();
    }
    assert!(read_all(opened.source.as_mut(), ROOM).await.is_empty());
    rig.end().await;
}
