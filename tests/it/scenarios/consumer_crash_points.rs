//! KC01–KC47: a consumer aborts at every crash point, another one goes on, and each effect has happened once, in the order of its
//! key, with no offset ahead of a missing effect.
//!
//! Needs `--features faults`. A point that is never hit fails the sweep. `TWINBOX_POINT=KC09` sweeps one of them,
//! `TWINBOX_CAMPAIGN=1` each of them five times. KC17–KC23 are calls over HTTP, and KC37–KC41 belong to other brokers: not here.

use crate::support::ledger::effects::{self, check};
use crate::support::ledger::trial::Trial;
use crate::support::ledger::workload::{Running, truth};
use crate::support::live::campaign;
use crate::support::offsets::committed;
use crate::support::postgres::Login;
use crate::support::process::Signal;
use crate::support::relay::Relay;
use crate::support::stage::{CONSUMER, Stage, text};
use crate::support::wait::{self, PATIENCE};
use serde_json::json;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use twinbox::fault::{CONSUMER_POINTS, EFFECT_POINTS};
use uuid::Uuid;

/// At which hits of a life the consumer aborts, one life each.
const CAMPAIGN: [u64; 5] = [1, 2, 5, 1, 3];

/// What a point may take to be reached, on a busy machine.
const REACHED_WITHIN: Duration = Duration::from_secs(40);

/// Longer than the session of a member.
const MISSED: Duration = Duration::from_secs(3);

/// Effects, open letters and dead ones: what an offset may be ahead of.
const KEPT: &str = "select event_id from ledger.effect
    union select message_id from twinbox.letter where side = 'consumer' and (closed is null or closed = 'dead')";

/// Letters that stand for an effect at the end.
const DEAD: &str = "select message_id from twinbox.letter where side = 'consumer' and closed = 'dead'";

/// What must happen for a consumer to come by a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// Messages flow, some fail, some are refused.
    Work,
    /// Refused messages go to a topic of the dead.
    Burial,
    /// Letters are released.
    Release,
    /// Another member takes its share.
    Joined,
    /// Frozen until the group misses it.
    Missed,
    /// Another one of its name, in another group, takes its streams.
    Usurped,
    /// SIGTERM.
    Drain,
    /// The inbox's generation is older than its retention.
    Aged,
    /// The database is on another timeline than at the last take-over.
    Behind,
}

impl Occasion {
    fn of(point: &str) -> Self {
        match point {
            "dead.unpublished" | "dead.published" => Self::Burial,
            "lane.picked" | "letters.unclosed" => Self::Release,
            "revoke.received" | "revoke.drained" | "revoke.committed" => Self::Joined,
            "stream.lost" => Self::Missed,
            "completion.late" => Self::Usurped,
            "consumer.drain.begun" | "consumer.drained" | "group.leaving" | "group.left" => Self::Drain,
            "generation.dropped" => Self::Aged,
            "position.behind" => Self::Behind,
            _ => Self::Work,
        }
    }

    fn hits(self) -> Vec<u64> {
        match self {
            Self::Work if campaign() => CAMPAIGN.to_vec(),
            _ if campaign() => vec![1; CAMPAIGN.len()],
            _ => vec![1],
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_at_every_point_of_a_stream_leaves_each_effect_once() {
    sweep("consumer_crash", CONSUMER_POINTS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_at_every_point_of_a_transaction_leaves_each_effect_once() {
    sweep("effect_crash", EFFECT_POINTS).await;
}

async fn sweep(test: &'static str, points: &[(&str, &str)]) {
    let Some(stage) = Stage::of(test).open().await else {
        return;
    };
    let trial = Trial::open(&stage, |workload| {
        (workload.events, workload.rate, workload.bytes_max) = (0, 150, 20_000);
    })
    .await;
    effects::prepare(&stage.database, 5, 0.02).await;
    let mut relay = stage.relay(&stage.config("relay.yaml", json!({})));
    let sweep = Sweep::prepare(&trial).await;
    let running = trial.workload.start(&stage.database).endless();
    sweep.goes_on().await;
    let only = std::env::var("TWINBOX_POINT").ok();
    let chosen = |number: &str| only.as_deref().is_none_or(|only| only == number);
    let (mut hits, mut missed) = (Vec::new(), Vec::new());
    for (number, point) in points.iter().filter(|(number, _)| chosen(number)) {
        let wanted = Occasion::of(point).hits();
        let mut seen = Vec::new();
        for hit in &wanted {
            if sweep.abort_at(point, *hit).await {
                seen.push(*hit);
            }
        }
        if seen.len() < wanted.len() {
            missed.push(format!("{number} {point}: {} of {}", seen.len(), wanted.len()));
        }
        hits.push(format!("{number} {point:<22} {} aborts, at hit {seen:?}", seen.len()));
    }
    println!("{}: {} points\n{}", stage.name, hits.len(), hits.join("\n"));
    sweep.close(running).await;
    assert_eq!(relay.terminate(PATIENCE).await.0, "exit 0", "{}", relay.words());
    assert!(missed.is_empty(), "not hit: {missed:#?}");
    assert!(only.is_some() || !hits.is_empty(), "no points");
}

struct Sweep<'a> {
    trial: &'a Trial<'a>,
    config: PathBuf,
    /// Refused messages go to the topics of the dead.
    burying: PathBuf,
    /// In another group.
    foreign: PathBuf,
}

impl<'a> Sweep<'a> {
    async fn prepare(trial: &'a Trial<'a>) -> Self {
        let stage = trial.stage;
        for topic in &trial.topics {
            stage.kafka.create_topic(&format!("{topic}.dlq"), 1, &[]).await;
        }
        let brokers: Vec<&str> = stage.kafka.brokers.split(',').collect();
        let config = |file: &str, group: &str, on_reject: &str| {
            let options = json!({ "session.timeout.ms": "1000", "heartbeat.interval.ms": "300" });
            let change = json!({ "relays": null, "consumers": { CONSUMER: {
                "from": { "kafka": { "brokers": brokers, "topics": trial.topics, "group": group, "options": options } },
                "handler": { "sql": { "function": effects::FUNCTION } },
                "limits": { "in_flight": 500 },
                "retry": { "first": "200ms", "max": "1s" },
                "on_reject": on_reject,
            } } });
            stage.config(file, change)
        };
        let foreign = format!("{}-foreign", stage.name);
        Self {
            trial,
            config: config("consumer.yaml", &stage.name, "park"),
            burying: config("burying.yaml", &stage.name, "dead_letter"),
            foreign: config("foreign.yaml", &foreign, "park"),
        }
    }

    /// Starts a consumer that aborts at this hit of the point, judges what it left, and lets a sound one go on; whether it did
    /// abort there.
    async fn abort_at(&self, point: &str, hit: u64) -> bool {
        let stage = self.trial.stage;
        let occasion = Occasion::of(point);
        self.set(occasion).await;
        let fault = format!("{point}=abort@{hit}");
        let log = stage.dir.join("fault.log");
        let _ = std::fs::remove_file(&log);
        let environment = [
            ("TWINBOX_FAULT", fault.as_str()),
            ("TWINBOX_FAULT_LOG", log.to_str().expect("a UTF-8 path")),
        ];
        let config = if occasion == Occasion::Burial {
            &self.burying
        } else {
            &self.config
        };
        let (since, mut consumer) = (Instant::now(), stage.consumer(config, &environment));
        let beside = self.provoke(occasion, &consumer).await;
        let dead = || async { wait::ensure(!consumer.process.is_alive(), String::new) };
        let aborted = wait::tried(REACHED_WITHIN, dead).await.is_ok() && consumer.ends(PATIENCE).await == "signal 6";
        consumer.kill();
        let noted = std::fs::read_to_string(&log).is_ok_and(|text| text.trim() == point);
        let words = match (aborted, noted) {
            (true, true) => format!("aborted after {:?}", since.elapsed()),
            _ => format!("NOT HIT, {}", consumer.words()),
        };
        println!("{}: {fault}: {words}", stage.name);
        self.no_offset_is_ahead(&fault).await;
        drop(beside);
        if occasion == Occasion::Release {
            self.tell("delete from ledger.mended").await;
        }
        self.goes_on().await;
        aborted && noted
    }

    /// What has to be there before the consumer starts.
    async fn set(&self, occasion: Occasion) {
        match occasion {
            Occasion::Aged => {
                self.tell("update twinbox.inbox_generation set started_at = now() - interval '30 days'")
                    .await;
            }
            Occasion::Behind => {
                self.tell("update twinbox.consumer_position set timeline = timeline + 1")
                    .await
            }
            _ => {}
        }
    }

    /// Brings the consumer to the point; who has to stay beside it.
    async fn provoke(&self, occasion: Occasion, consumer: &Relay) -> Option<Relay> {
        let stage = self.trial.stage;
        match occasion {
            Occasion::Work | Occasion::Burial | Occasion::Aged | Occasion::Behind => None,
            Occasion::Release => {
                at_work(consumer).await;
                wait::until("a letter is open", PATIENCE, || async {
                    let open = effects::open_letters(&stage.database).await.len();
                    wait::ensure(open > 0, String::new)
                })
                .await;
                effects::mend(&stage.database).await;
                release(stage, &self.config);
                None
            }
            Occasion::Joined => {
                at_work(consumer).await;
                Some(stage.consumer(&self.config, &[]))
            }
            Occasion::Usurped => {
                at_work(consumer).await;
                Some(stage.consumer(&self.foreign, &[]))
            }
            Occasion::Missed => {
                at_work(consumer).await;
                consumer.process.signal(Signal::Stop);
                tokio::time::sleep(MISSED).await;
                consumer.process.signal(Signal::Continue);
                None
            }
            Occasion::Drain => {
                at_work(consumer).await;
                consumer.process.signal(Signal::Terminate);
                None
            }
        }
    }

    async fn tell(&self, sql: &str) {
        let owner = self.trial.stage.database.owner().await;
        owner.batch_execute(sql).await.expect("our own tables");
    }

    async fn ids(&self, sql: &str) -> HashSet<Uuid> {
        let rows = self.trial.stage.database.owner().await.query(sql, &[]).await;
        rows.expect("our own tables").iter().map(|row| row.get(0)).collect()
    }

    /// A consumer without a fault does what was committed before it came, and signs off: no death counts twice.
    async fn goes_on(&self) {
        let stage = self.trial.stage;
        let due: HashSet<Uuid> = truth(&stage.database).await.iter().map(|row| row.id).collect();
        let mut consumer = stage.consumer(&self.config, &[]);
        wait::until("what was committed is done", PATIENCE, || async {
            consumer.must_be_up();
            let kept = self.ids(KEPT).await;
            let missing = due.difference(&kept).count();
            wait::ensure(missing == 0, || format!("{missing} missing; {}", consumer.words()))
        })
        .await;
        at_work(&consumer).await;
        assert_eq!(consumer.terminate(PATIENCE).await.0, "exit 0", "{}", consumer.words());
    }

    /// I8: the consumer is dead, and everything below a committed offset has its effect, or is a letter.
    async fn no_offset_is_ahead(&self, fault: &str) {
        let stage = self.trial.stage;
        let (brokers, topics) = (stage.kafka.brokers.clone(), self.trial.topics.clone());
        let group = stage.name.clone();
        let offsets = tokio::task::spawn_blocking(move || committed(&brokers, &group, &topics)).await;
        let offsets = offsets.expect("the broker answers");
        let all: i64 = offsets.values().sum();
        let below = || {
            let mut arrivals = self.trial.tail.arrivals();
            arrivals.retain(|arrival| {
                let committed = offsets.get(&(arrival.topic.clone(), arrival.partition));
                committed.is_some_and(|committed| arrival.offset < *committed)
            });
            arrivals
        };
        wait::until("the tail has seen what was committed", PATIENCE, || async {
            let seen = below().len();
            wait::ensure(i64::try_from(seen).is_ok_and(|seen| seen >= all), || {
                format!("{seen} of {all}")
            })
        })
        .await;
        let kept = self.ids(KEPT).await;
        let early: Vec<_> = below()
            .into_iter()
            .filter(|arrival| arrival.id.is_some_and(|id| !kept.contains(&id)))
            .collect();
        assert!(early.is_empty(), "{fault}: settled without an effect: {early:?}");
    }

    /// All that is left is done and released; the whole is judged.
    async fn close(&self, running: Running) {
        let stage = self.trial.stage;
        running.stop();
        running.finish().await;
        effects::mend(&stage.database).await;
        self.goes_on().await;
        let mut consumer = stage.consumer(&self.config, &[]);
        if !effects::open_letters(&stage.database).await.is_empty() {
            release(stage, &self.config);
        }
        wait::until("the letters are delivered", PATIENCE, || async {
            let open = effects::open_letters(&stage.database).await.len();
            wait::ensure(open == 0, || format!("{open} letters; {}", consumer.words()))
        })
        .await;
        assert_eq!(consumer.terminate(PATIENCE).await.0, "exit 0", "{}", consumer.words());
        let committed = truth(&stage.database).await;
        let verdict = check(
            &committed,
            &effects::effects(&stage.database).await,
            &self.ids(DEAD).await,
        );
        println!("{}: {verdict}", stage.name);
        assert!(verdict.is_clean(), "{verdict}");
    }
}

fn release(stage: &Stage, config: &Path) {
    let config = config.to_str().expect("a UTF-8 path");
    let arguments = [
        "letters", "release", "-c", config, "--all", "--yes", "--reason", "mended",
    ];
    let output = stage.run(&stage.database.login_url(Login::Operator), &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// It has called for something.
async fn at_work(consumer: &Relay) {
    wait::until("it processes", PATIENCE, || async {
        let status = consumer.status().await?;
        wait::ensure(status["processed"].as_u64() > Some(0), || status.to_string())
    })
    .await;
}
