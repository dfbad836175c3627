//! Rows as they should not be: each arrives byte for byte, is refused by the table, or waits as a letter that says
//! why; none of them stops another.

use crate::support::ledger::checker::{LetterState, Truth};
use crate::support::ledger::observer::{Record, Tail, read_all};
use crate::support::ledger::plain::{Plain, Row};
use crate::support::ledger::trial::{judge, letters};
use crate::support::ledger::workload::Payload;
use crate::support::live::campaign;
use crate::support::relay::Relay;
use crate::support::stage::Stage;
use crate::support::wait::{self, PATIENCE};
use serde_json::json;
use std::time::Duration;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

const MIB: usize = 1024 * 1024;

/// A bytea outbox, a relay, a writer.
struct Scene<'a> {
    stage: &'a Stage,
    kind: String,
    writer: Plain,
    relay: Relay,
}

impl<'a> Scene<'a> {
    async fn open(stage: &'a Stage) -> Self {
        stage.migrate(Payload::Bytea).await;
        let kind = stage.type_name("order");
        let large = (20 * MIB).to_string();
        stage
            .kafka
            .create_topic(&format!("{kind}.events"), 6, &[("max.message.bytes", &large)])
            .await;
        let relay = stage.relay(&stage.config("twinbox.yaml", json!({})));
        relay.reaches("leading").await;
        Self {
            stage,
            kind,
            writer: Plain::connect(&stage.database).await,
            relay,
        }
    }

    fn row(&self, key: Option<&str>, payload: Option<&[u8]>, headers: Option<&str>) -> Row {
        Row {
            kind: self.kind.clone(),
            key: key.map(str::to_owned),
            payload: payload.map(<[u8]>::to_vec),
            headers: headers.map(str::to_owned),
        }
    }

    /// Waits until so many different events are on the topic; all records.
    async fn arrived(&self, count: usize, deadline: Duration) -> Vec<Record> {
        let topics = [format!("{}.events", self.kind)];
        let tail = Tail::follow(&self.stage.kafka.brokers, &topics);
        wait::until("the rows arrive", deadline, || async {
            self.relay.must_be_up();
            wait::ensure(tail.distinct() >= count, || {
                format!("{} of {count}; {}", tail.distinct(), self.relay.words())
            })
        })
        .await;
        drop(tail);
        read_all(&self.stage.kafka.brokers, &topics)
    }

    /// Waits until this event is the head of a blocked lane: the letter's error.
    async fn refused(&self, id: Uuid) -> (String, String) {
        let owner = self.stage.database.owner().await;
        let sql = "select error_kind, coalesce(error_message, '') from twinbox.letter where message_id = $1";
        wait::until("the row is a letter", PATIENCE, || async {
            self.relay.must_be_up();
            let row = owner.query_opt(sql, &[&id]).await.map_err(|error| error.to_string())?;
            row.map(|row| (row.get(0), row.get(1)))
                .ok_or_else(|| self.relay.words())
        })
        .await
    }

    async fn close(mut self) {
        assert_eq!(self.relay.terminate(PATIENCE).await.0, "exit 0");
        let verdict = judge(self.stage, &[format!("{}.events", self.kind)], &self.writer.truth).await;
        assert!(verdict.is_clean(), "{verdict}");
        assert_eq!(verdict.duplicates, Vec::<Uuid>::new());
    }
}

fn of(records: &[Record], id: Uuid) -> &Record {
    records
        .iter()
        .find(|record| record.id() == Some(id))
        .expect("it arrived")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_rows_arrive_as_they_are() {
    let Some(stage) = Stage::of("bad_rows_odd").open().await else {
        return;
    };
    let mut scene = Scene::open(&stage).await;
    let ten = vec![b'x'; 10 * MIB];
    let nasty = [0, 255, 254, 0, b'"', 0xC3, 0x28, b'\n'];
    let headers = r#"{"note": "é", "number": 7, "object": {"a": [1, 2]}, "yes": true}"#;
    let rows = [
        scene.row(None, Some(b"no key"), None),
        scene.row(Some(""), Some(b"empty key"), None),
        scene.row(Some("gone"), None, None),
        scene.row(Some("bytes"), Some(&nasty), None),
        scene.row(Some("headers"), Some(b"{}"), Some(headers)),
        scene.row(Some("ten"), Some(&ten), None),
        scene.row(Some("k\n\"☃"), Some(b""), None),
        scene.row(Some("list"), Some(b"headers"), Some("[1, 2]")),
        scene.row(
            Some("ours"),
            Some(b"headers"),
            Some(r#"{"ce_id": "mine", "twinbox-position": "9.9.9"}"#),
        ),
    ];
    let ids = scene.writer.write(&rows).await;
    let records = scene.arrived(ids.len(), PATIENCE).await;
    assert_eq!(of(&records, ids[0]).key, None, "no key on the wire");
    assert_eq!(
        of(&records, ids[1]).key.as_deref(),
        Some(b"".as_slice()),
        "an empty key is a key"
    );
    assert_eq!(of(&records, ids[2]).value, None, "a tombstone");
    assert_eq!(
        of(&records, ids[6]).value.as_deref(),
        Some(b"".as_slice()),
        "an empty value is no tombstone"
    );
    let with = of(&records, ids[4]);
    assert_eq!(
        (with.text("note"), with.text("number"), with.text("yes")),
        (Some("é"), Some("7"), Some("true"))
    );
    assert_eq!(
        with.text("object").map(|text| text.replace(' ', "")).as_deref(),
        Some(r#"{"a":[1,2]}"#)
    );
    assert_eq!(
        of(&records, ids[7]).text("twinbox-headers"),
        Some("[1, 2]"),
        "what is no object is kept whole"
    );
    let ours = of(&records, ids[8]);
    let names = |name: &str| ours.headers.iter().filter(|(own, _)| own == name).count();
    assert_eq!(
        (names("ce_id"), names("twinbox-position")),
        (1, 1),
        "our names win: {:?}",
        ours.headers
    );
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_rows_wait_as_letters_and_stop_nobody() {
    let Some(stage) = Stage::of("bad_rows_refused").open().await else {
        return;
    };
    let mut scene = Scene::open(&stage).await;
    let small = stage.aggregate("small", 1).await;
    let mut illegal = scene.row(Some("illegal"), Some(b"topic"), None);
    illegal.kind = "no topic! has blanks".into();
    let mut large = scene.row(Some("large"), Some(&vec![1; 10 * MIB]), None);
    large.kind = small;
    let ids = scene.writer.write(&[illegal, large]).await;
    let good = scene.row(Some("good"), Some(b"flows"), None);
    let good = scene.writer.one(good).await;

    let (kind, words) = scene.refused(ids[0]).await;
    assert_eq!(kind, "message");
    assert!(words.contains("no topic! has blanks"), "which topic? {words}");
    let (kind, words) = scene.refused(ids[1]).await;
    assert_eq!(kind, "message");
    assert!(words.contains("max.message.bytes"), "which limit? {words}");
    let records = scene.arrived(1, PATIENCE).await;
    assert_eq!(of(&records, good).value.as_deref(), Some(b"flows".as_slice()));
    let open = letters(&stage.database).await;
    assert!(open.iter().all(|letter| letter.state == LetterState::Open), "{open:?}");
    assert_eq!(open.len(), 2, "{open:?}");
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_without_an_id_is_refused_by_the_table() {
    let Some(stage) = Stage::of("bad_rows_id").open().await else {
        return;
    };
    stage.migrate(Payload::Bytea).await;
    let owner = stage.database.owner().await;
    let insert = "insert into twinbox.outbox (id, aggregatetype, type) values (null, 'a', 'b')";
    let error = owner.execute(insert, &[]).await.expect_err("an id is not null");
    assert_eq!(error.code(), Some(&SqlState::NOT_NULL_VIOLATION), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_rows_of_one_key_and_many_keys_flow() {
    let Some(stage) = Stage::of("bad_rows_many").open().await else {
        return;
    };
    let mut scene = Scene::open(&stage).await;
    let (one, many) = if campaign() {
        (200_000, 1_000_000)
    } else {
        (20_000, 20_000)
    };
    insert_many(&mut scene, "'hot'", one).await;
    insert_many(&mut scene, "'key-' || n", many).await;
    let all = usize::try_from(one + many).expect("not negative");
    let records = scene.arrived(all, PATIENCE * 5).await;
    assert_eq!(records.len(), all, "each once");
    scene.close().await;
}

/// So many rows by one statement of the database, and the truth about them.
async fn insert_many(scene: &mut Scene<'_>, key: &str, count: i32) {
    let owner = scene.stage.database.owner().await;
    let sql = format!(
        "insert into twinbox.outbox (id, aggregatetype, aggregateid, type, payload) \
         select gen_random_uuid(), $1, {key}, 'many.row', convert_to(n::text, 'UTF8') from generate_series(1, $2::int) n"
    );
    owner
        .execute(&sql, &[&scene.kind, &count])
        .await
        .expect("the rows are valid");
    let read = format!(
        "select id, aggregateid, payload from twinbox.outbox where type = 'many.row' and aggregateid = {} order by seq",
        if key == "'hot'" {
            "'hot'"
        } else {
            "aggregateid and aggregateid <> 'hot'"
        }
    );
    for (kseq, row) in (1..).zip(owner.query(&read, &[]).await.expect("the rows").iter()) {
        let (key, payload): (String, Vec<u8>) = (row.get(1), row.get(2));
        scene.writer.truth.push(Truth {
            id: row.get(0),
            kseq: if key == "hot" { kseq } else { 1 },
            fingerprint: crate::support::ledger::fingerprint(Some(key.as_bytes()), Some(&payload), None),
            topic: format!("{}.events", scene.kind),
            key: Some(key),
        });
    }
}
