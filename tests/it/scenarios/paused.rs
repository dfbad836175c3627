//! What an operator holds back: one key while the others flow, or a whole consumer or relay; over a `kill -9`, and in order
//! when it is resumed.

use crate::support::ledger::effects::{self, FUNCTION};
use crate::support::ledger::observer::Tail;
use crate::support::ledger::workload::{Payload, Workload};
use crate::support::postgres::{Login, connect};
use crate::support::relay::Relay;
use crate::support::stage::{CONSUMER, RELAY, Stage, text};
use crate::support::wait::{self, PATIENCE};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tokio_postgres::Client;
use uuid::Uuid;

const TOKEN: &str = "open-sesame";
const KEYS: usize = 10;
/// The key that is held back.
const HELD: usize = 3;

/// An outbox, a topic, and what was written so far.
struct Play {
    stage: Stage,
    kind: String,
    app: Client,
    /// Ids of each key, in the order of their commits.
    written: Vec<Vec<Uuid>>,
}

impl Play {
    async fn open(test: &'static str) -> Option<Self> {
        let stage = Stage::of(test).open().await?;
        stage.migrate(Payload::Jsonb).await;
        let kind = stage.aggregate("order", 3).await;
        Workload::over(std::slice::from_ref(&kind))
            .prepare(&stage.database)
            .await;
        effects::prepare(&stage.database, 0, 0.0).await;
        let app = connect(&stage.database.login_url(Login::App)).await;
        Some(Self {
            kind,
            app: app.expect("the test server answers"),
            written: vec![Vec::new(); KEYS],
            stage,
        })
    }

    fn topics(&self) -> [String; 1] {
        [format!("{}.events", self.kind)]
    }

    fn relaying(&self) -> PathBuf {
        self.stage.config("relay.yaml", json!({ "admin": { "token": TOKEN } }))
    }

    fn consuming(&self) -> PathBuf {
        let brokers: Vec<&str> = self.stage.kafka.brokers.split(',').collect();
        let change = json!({ "relays": null, "admin": { "token": TOKEN }, "consumers": { CONSUMER: {
            "from": { "kafka": { "brokers": brokers, "topics": self.topics(), "group": self.stage.name, "options": { "session.timeout.ms": "6000" } } },
            "handler": { "sql": { "function": FUNCTION } },
        } } });
        self.stage.config("consumer.yaml", change)
    }

    /// So many rows for every key, key after key.
    async fn rounds(&mut self, count: usize) {
        let enqueue = "select twinbox.enqueue($1, $2, 'order.sent', '{}')";
        for _ in 0..count {
            for key in 0..KEYS {
                let row = self.app.query_one(enqueue, &[&self.kind, &key.to_string()]).await;
                self.written[key].push(row.expect("EXECUTE is granted").get(0));
            }
        }
    }

    /// Asks the process for something about lanes, as an operator would.
    async fn lanes(&self, process: &Relay, config: &Path, arguments: &[&str]) -> Value {
        let url = format!("http://{}", process.admin().await);
        let config = config.to_str().expect("a UTF-8 path");
        let more = ["-c", config, "-o", "json", "--url", &url];
        let database = self.stage.database.login_url(Login::Operator);
        let output = self.stage.run(&database, &[&["lanes"], arguments, &more].concat());
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stdout)))
    }

    /// Waits until each key has what was written of it, in order and once; the held one only its first `of_held`.
    async fn arrived(&self, of_held: usize, process: &Relay, seen: impl AsyncFn() -> Vec<Uuid>) {
        wait::until("what may flow has flowed", PATIENCE, || async {
            process.must_be_up();
            let seen = by_key(&self.written, &seen().await);
            for (key, written) in self.written.iter().enumerate() {
                let expected = if key == HELD { &written[..of_held] } else { written };
                assert!(
                    expected.starts_with(&seen[key]),
                    "key {key}: {:?} of {written:?}",
                    seen[key]
                );
                wait::ensure(seen[key].len() == expected.len(), || {
                    format!("key {key}: {} of {}", seen[key].len(), expected.len())
                })?;
            }
            Ok(())
        })
        .await;
    }

    async fn effects(&self) -> Vec<Uuid> {
        effects::effects(&self.stage.database).await
    }

    /// The lane is due all the time, and nobody has taken it out.
    async fn rests_untouched(&self) {
        let sql = "select count(*) filter (where l.cause = 'paused' and l.due <= now() and l.claimed_by is null and l.attempts = 0),
              max(t.last_failed_at - t.first_failed_at) < interval '100 ms'
            from twinbox.lane l join twinbox.letter t using (side, owner, lane) where t.closed is null";
        let row = self.stage.database.owner().await.query_one(sql, &[]).await;
        let row = row.expect("tables of letters");
        assert_eq!((row.get::<_, i64>(0), row.get::<_, bool>(1)), (4, true));
    }

    /// Effects that were not the first attempt.
    async fn repeated(&self) -> i64 {
        let sql = "select count(*) from ledger.effect where attempt <> 1";
        let row = self.stage.database.owner().await.query_one(sql, &[]).await;
        row.expect("the log of effects").get(0)
    }
}

/// First occurrences, key by key.
fn by_key(written: &[Vec<Uuid>], seen: &[Uuid]) -> Vec<Vec<Uuid>> {
    let mut keys: HashMap<Uuid, usize> = HashMap::new();
    for (key, ids) in written.iter().enumerate() {
        keys.extend(ids.iter().map(|id| (*id, key)));
    }
    let mut sorted = vec![Vec::new(); written.len()];
    for id in seen {
        sorted[keys[id]].push(*id);
    }
    sorted
}

async fn hears(process: &Relay, sentence: &str) {
    wait::until(sentence, PATIENCE, || async {
        process.must_be_up();
        wait::ensure(process.log_text().contains(sentence), || process.words())
    })
    .await;
}

/// Waits until `/status` has this.
async fn shows(process: &Relay, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    wait::until(what, PATIENCE, || async {
        process.must_be_up();
        let status = process.status().await?;
        wait::ensure(holds(&status), || format!("{status}"))?;
        Ok(status)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_key_of_a_consumer_waits_and_the_others_flow() {
    let Some(mut play) = Play::open("paused_key").await else {
        return;
    };
    let mut relay = play.stage.relay(&play.relaying());
    let config = play.consuming();
    let mut consumer = play.stage.consumer(&config, &[]);
    play.rounds(1).await;
    play.arrived(1, &consumer, async || play.effects().await).await;

    let held = HELD.to_string();
    let pause = ["pause", CONSUMER, "--key", &held, "--reason", "refunds are wrong"];
    let paused = play.lanes(&consumer, &config, &pause).await;
    assert_eq!(paused["changed"], true, "{paused}");
    hears(&consumer, "keys are paused by an operator").await;
    play.rounds(3).await;
    play.arrived(1, &consumer, async || play.effects().await).await;
    shows(&consumer, "offsets move on without the key", |status| {
        status["lag"] == 0
    })
    .await;

    consumer.kill();
    consumer = play.stage.consumer(&config, &[]);
    play.rounds(1).await;
    play.arrived(1, &consumer, async || play.effects().await).await;
    shows(&consumer, "offsets move on without the key", |status| {
        status["lag"] == 0
    })
    .await;
    let shown = play
        .lanes(&consumer, &config, &["show", CONSUMER, "--key", &held])
        .await;
    assert_eq!(shown.as_array().map(Vec::len), Some(1), "{shown}");
    assert_eq!(
        (&shown[0]["state"], &shown[0]["letters"], &shown[0]["attempts"]),
        (&json!("paused"), &json!(4), &json!(0))
    );
    assert_eq!(shown[0]["paused"]["reason"], "refunds are wrong", "{shown}");
    assert_eq!(shown[0]["stored"].as_array().map(Vec::len), Some(4), "{shown}");

    play.rests_untouched().await;

    let resumed = play
        .lanes(&consumer, &config, &["resume", CONSUMER, "--key", &held])
        .await;
    assert_eq!(resumed["changed"], true, "{resumed}");
    play.arrived(5, &consumer, async || play.effects().await).await;
    play.rounds(1).await;
    play.arrived(6, &consumer, async || play.effects().await).await;
    assert_eq!(play.repeated().await, 0, "a pause burns no attempt");
    let open = effects::open_letters(&play.stage.database).await;
    assert!(open.is_empty(), "{open:?}");
    assert_eq!(play.lanes(&consumer, &config, &["list"]).await, json!([]));
    assert_eq!(consumer.terminate(PATIENCE).await.0, "exit 0", "{}", consumer.words());
    assert_eq!(relay.terminate(PATIENCE).await.0, "exit 0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_consumer_falls_behind_and_burns_nothing() {
    let Some(mut play) = Play::open("paused_consumer").await else {
        return;
    };
    let mut relay = play.stage.relay(&play.relaying());
    let config = play.consuming();
    let mut consumer = play.stage.consumer(&config, &[]);
    play.rounds(1).await;
    play.arrived(1, &consumer, async || play.effects().await).await;

    let pause = ["pause", CONSUMER, "--all", "--reason", "a bad deploy", "--by", "ann"];
    play.lanes(&consumer, &config, &pause).await;
    let told = |status: &Value| status["state"] == "paused" && status["paused"]["by"] == "ann";
    shows(&consumer, "it is paused", told).await;
    play.rounds(3).await;
    shows(&consumer, "the lag grows", |status| status["lag"] == 3 * KEYS).await;
    assert_eq!(play.effects().await.len(), KEYS);

    consumer.kill();
    consumer = play.stage.consumer(&config, &[]);
    shows(&consumer, "it is paused", told).await;
    play.rounds(1).await;
    shows(&consumer, "the lag grows", |status| status["lag"] == 4 * KEYS).await;
    assert_eq!(play.effects().await.len(), KEYS);
    let open = effects::open_letters(&play.stage.database).await;
    assert!(open.is_empty(), "a whole pause stores nothing: {open:?}");

    play.lanes(&consumer, &config, &["resume", CONSUMER, "--all"]).await;
    play.arrived(5, &consumer, async || play.effects().await).await;
    shows(&consumer, "it runs", |status| {
        status["state"] == "running" && status["paused"].is_null()
    })
    .await;
    assert_eq!(play.repeated().await, 0, "a pause burns no attempt");
    assert_eq!(consumer.terminate(PATIENCE).await.0, "exit 0", "{}", consumer.words());
    assert_eq!(relay.terminate(PATIENCE).await.0, "exit 0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_key_of_a_relay_waits_and_the_others_flow() {
    let Some(mut play) = Play::open("paused_relay").await else {
        return;
    };
    let tail = Tail::follow(&play.stage.kafka.brokers, &play.topics());
    // What comes twice after a kill counts once.
    let arrivals = async || {
        let mut seen: Vec<Uuid> = Vec::new();
        for id in tail.arrivals().into_iter().filter_map(|arrival| arrival.id) {
            if !seen.contains(&id) {
                seen.push(id);
            }
        }
        seen
    };
    let config = play.relaying();
    let mut relay = play.stage.relay(&config);
    play.rounds(1).await;
    play.arrived(1, &relay, &arrivals).await;

    let held = HELD.to_string();
    play.lanes(&relay, &config, &["pause", RELAY, "--key", &held]).await;
    hears(&relay, "keys are paused by an operator").await;
    play.rounds(3).await;
    play.arrived(1, &relay, &arrivals).await;
    relay.kill();
    relay = play.stage.relay(&config);
    play.rounds(1).await;
    play.arrived(1, &relay, &arrivals).await;

    // Now all of it: the key that goes on alone goes nowhere.
    play.lanes(&relay, &config, &["pause", RELAY, "--all"]).await;
    shows(&relay, "it is paused", |status| !status["paused"].is_null()).await;
    play.lanes(&relay, &config, &["resume", RELAY, "--key", &held]).await;
    let before = arrivals().await.len();
    let written: usize = play.written.iter().map(Vec::len).sum();
    play.rounds(1).await;
    let waits = |status: &Value| status["in_flight"].as_u64() == Some(KEYS as u64 - 1);
    shows(&relay, "the rows wait, the stored key's behind it", waits).await;
    assert_eq!((before, arrivals().await.len()), (written - 4, written - 4));
    play.lanes(&relay, &config, &["resume", RELAY, "--all"]).await;
    play.arrived(6, &relay, &arrivals).await;
    assert_eq!(play.lanes(&relay, &config, &["list"]).await, json!([]));
    assert_eq!(relay.terminate(PATIENCE).await.0, "exit 0");
}
