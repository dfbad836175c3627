//! Must show 6: the broker refuses one key among a thousand; the others flow, the key waits in order across a
//! restart, and is released in order.

use crate::support::ledger::observer::Tail;
use crate::support::ledger::plain::{Plain, Row};
use crate::support::ledger::trial::judge;
use crate::support::ledger::workload::Payload;
use crate::support::postgres::Login;
use crate::support::relay::Relay;
use crate::support::stage::{Stage, text};
use crate::support::wait::{self, PATIENCE};
use serde_json::{Value, json};
use uuid::Uuid;

const POISON: &str = "key-500";
const TOO_LARGE: usize = 2 * 1024 * 1024;

/// One topic, one relay, and what was written so far.
struct Play<'a> {
    stage: &'a Stage,
    topic: String,
    kind: String,
    writer: Plain,
    tail: Tail,
    keys: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_flow_and_the_release_keeps_the_order() {
    let Some(stage) = Stage::of("one_rejected").open().await else {
        return;
    };
    stage.migrate(Payload::Bytea).await;
    let kind = stage.type_name("order");
    let topic = format!("{kind}.events");
    stage
        .kafka
        .create_topic(&topic, 6, &[("max.message.bytes", "200000")])
        .await;
    let config = stage.config(
        "twinbox.yaml",
        json!({ "relays": { "orders": { "limits": { "in_flight": 2_000 } } } }),
    );
    let mut relay = stage.relay(&config);
    let mut play = Play {
        writer: Plain::connect(&stage.database).await,
        tail: Tail::follow(&stage.kafka.brokers, std::slice::from_ref(&topic)),
        keys: 1_000,
        stage: &stage,
        topic,
        kind,
    };

    play.round("before", "small").await;
    let refused = play.poison().await;
    play.round("after", "small").await;
    play.others_flowed(&relay, 2).await;
    play.parked(refused, 2).await;

    relay.kill();
    relay = stage.relay(&config);
    play.round("after the restart", "small").await;
    play.others_flowed(&relay, 3).await;
    play.parked(refused, 3).await;
    let verdict = judge(&stage, std::slice::from_ref(&play.topic), &play.writer.truth).await;
    assert!(verdict.is_clean(), "while the key waits: {verdict}");

    stage
        .kafka
        .configure_topic(&play.topic, &[("max.message.bytes", "4000000")])
        .await;
    play.release();
    play.round("after the release", "small").await;
    wait::until("everything arrived", PATIENCE, || async {
        let (arrived, written) = (play.tail.distinct(), play.writer.truth.len());
        wait::ensure(arrived == written, || {
            format!("{arrived} of {written}; {}", relay.words())
        })
    })
    .await;
    assert_eq!(relay.terminate(PATIENCE).await.0, "exit 0");
    let verdict = judge(&stage, std::slice::from_ref(&play.topic), &play.writer.truth).await;
    assert!(verdict.is_clean(), "after the release: {verdict}");
    assert_eq!(play.listed(), Vec::<Value>::new(), "no letter is left");
    play.audited().await;
}

impl Play<'_> {
    /// One row for every key.
    async fn round(&mut self, name: &str, size: &str) {
        let kind = self.kind.clone();
        let row = |at: usize| Row::new(&kind, &format!("key-{at}"), format!("{name} {size} {at}").as_bytes());
        let rows: Vec<Row> = (0..self.keys).map(row).collect();
        self.writer.write(&rows).await;
    }

    async fn poison(&mut self) -> Uuid {
        self.writer.one(Row::new(&self.kind, POISON, &vec![7; TOO_LARGE])).await
    }

    /// Waits until every key but the poisoned one has all of its `rounds`.
    async fn others_flowed(&self, relay: &Relay, rounds: usize) {
        let wanted = (self.keys - 1) * rounds + 1;
        wait::until("the other keys flow", PATIENCE, || async {
            let arrived = self.tail.distinct();
            wait::ensure(arrived >= wanted, || {
                format!("{arrived} of {wanted}; {}", relay.words())
            })
        })
        .await;
    }

    fn listed(&self) -> Vec<Value> {
        let config = self.stage.dir.join("twinbox.yaml");
        let config = config.to_str().expect("a UTF-8 path");
        let url = self.stage.database.login_url(Login::Operator);
        let output = self.stage.run(&url, &["letters", "list", "-c", config, "-o", "json"]);
        assert!(output.status.success(), "letters list: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stdout)))
    }

    /// Waits until the head is parked and everything behind it is queued, `waiting` letters in all.
    async fn parked(&self, refused: Uuid, waiting: usize) {
        let letters = wait::until("the key is parked", PATIENCE, || async {
            let letters = self.listed();
            wait::ensure(letters.len() == waiting, || {
                format!("{} letters: {letters:?}", letters.len())
            })?;
            Ok(letters)
        })
        .await;
        let head = letters
            .iter()
            .find(|letter| letter["state"] == "parked")
            .expect("a parked letter");
        assert_eq!(head["message_id"], refused.to_string(), "{head}");
        assert_eq!(
            (&head["side"], &head["owner"], &head["key"]),
            (&json!("relay"), &json!("orders"), &json!(POISON))
        );
        assert_eq!(head["error"]["kind"], "message", "{head}");
        assert!(
            head["error"]["message"].as_str().is_some_and(|words| !words.is_empty()),
            "{head}"
        );
        let queued = letters.iter().filter(|letter| letter["state"] == "queued").count();
        assert_eq!(queued, waiting - 1, "{letters:?}");
    }

    fn release(&self) {
        let config = self.stage.dir.join("twinbox.yaml");
        let config = config.to_str().expect("a UTF-8 path");
        let url = self.stage.database.login_url(Login::Operator);
        let release = [
            "letters",
            "release",
            "-c",
            config,
            "--key",
            POISON,
            "--reason",
            "limit raised",
        ];
        let unsure = self.stage.run(&url, &release);
        assert_eq!(
            unsure.status.code(),
            Some(2),
            "without --yes off a terminal: {}",
            text(&unsure.stderr)
        );
        let sure = self.stage.run(&url, &[&release[..], &["--yes"]].concat());
        assert!(sure.status.success(), "letters release: {}", text(&sure.stderr));
    }

    async fn audited(&self) {
        let sql = "select count(*) from twinbox.audit where verb = 'release' and reason = 'limit raised'";
        let row = self
            .stage
            .database
            .owner()
            .await
            .query_one(sql, &[])
            .await
            .expect("table twinbox.audit");
        assert_eq!(row.get::<_, i64>(0), 1, "one audit row for one release");
    }
}
