//! Must show 1 of the consumer: the truth ledger over both halves. Two consumers of one group are killed, ended and replaced at
//! random while the handler fails now and then and, for some events, for good: each event has its effect once, in the order of its
//! key, and no offset is ever ahead of a missing effect.

use crate::support::ledger::dice::Dice;
use crate::support::ledger::effects::{self, check, open_letters};
use crate::support::ledger::observer::Tail;
use crate::support::ledger::trial::Trial;
use crate::support::ledger::workload::truth;
use crate::support::live::campaign;
use crate::support::offsets::committed;
use crate::support::postgres::Login;
use crate::support::relay::Relay;
use crate::support::stage::{CONSUMER, Stage, text};
use crate::support::wait::{self, PATIENCE};
use serde_json::json;
use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

struct Size {
    events: usize,
    keys: usize,
    rate: u64,
    changes: usize,
    /// Of a thousand events, so many are rejected until the handler is mended.
    doomed: u32,
}

const SMALL: Size = Size {
    events: 6_000,
    keys: 300,
    rate: 600,
    changes: 6,
    doomed: 3,
};

const FULL: Size = Size {
    events: 200_000,
    keys: 5_000,
    rate: 1_500,
    changes: 30,
    doomed: 1,
};

/// A share of all calls.
const FLAKY: f64 = 0.02;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn effects_once_and_in_order_whatever_dies() {
    let size = if campaign() { FULL } else { SMALL };
    let Some(stage) = Stage::of("both_halves").open().await else {
        return;
    };
    let seed = stage.seed();
    let trial = Trial::open(&stage, |workload| {
        (workload.events, workload.keys, workload.rate) = (size.events, size.keys, size.rate);
        (workload.seed, workload.bytes_max) = (seed, 20_000);
    })
    .await;
    effects::prepare(&stage.database, size.doomed, FLAKY).await;
    let mut relay = stage.relay(&stage.config("relay.yaml", json!({})));
    let mut group = Group::form(&trial, seed);
    let running = trial.workload.start(&stage.database).endless();
    for change in 0..size.changes {
        let due = size.events * (change + 1) / (size.changes + 1);
        wait::until("writers write and effects follow", PATIENCE * 3, || async {
            relay.must_be_up();
            let done = group.effects().await;
            wait::ensure(running.committed() >= due && done > group.seen, || {
                format!(
                    "{} of {due} committed, {done} effects; {}",
                    running.committed(),
                    group.words()
                )
            })
        })
        .await;
        group.change().await;
    }
    wait::until("all is written", PATIENCE * 5, || async {
        wait::ensure(running.committed() >= size.events, || running.committed().to_string())
    })
    .await;
    running.stop();
    running.finish().await;

    let committed = truth(&stage.database).await;
    group.settles(committed.len()).await;
    let parked = open_letters(&stage.database).await;
    assert!(!parked.is_empty(), "some events never pass: the handler was not asked");
    println!("{}: {} letters are open", stage.name, parked.len());
    let verdict = check(&committed, &effects::effects(&stage.database).await, &parked);
    assert!(verdict.is_clean(), "before the release: {verdict}");

    effects::mend(&stage.database).await;
    release(&stage, &group.config);
    group.settles_without_letters(committed.len()).await;
    group.end().await;
    assert_eq!(relay.terminate(PATIENCE).await.0, "exit 0", "{}", relay.words());
    let verdict = check(&committed, &effects::effects(&stage.database).await, &HashSet::new());
    println!("{}: seed {seed}, {} changes: {verdict}", stage.name, size.changes);
    assert!(verdict.is_clean(), "{verdict}");
}

fn release(stage: &Stage, config: &Path) {
    let config = config.to_str().expect("a UTF-8 path");
    let arguments = [
        "letters", "release", "-c", config, "--all", "--yes", "--reason", "mended",
    ];
    let output = stage.run(&stage.database.login_url(Login::Operator), &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// The consumers of one group, and whoever watches them.
struct Group<'a> {
    trial: &'a Trial<'a>,
    config: std::path::PathBuf,
    members: Vec<Relay>,
    dice: Dice,
    tail: &'a Tail,
    /// Effects at the last change.
    seen: usize,
}

impl<'a> Group<'a> {
    fn form(trial: &'a Trial<'a>, seed: u64) -> Self {
        let stage = trial.stage;
        let brokers: Vec<&str> = stage.kafka.brokers.split(',').collect();
        let config = stage.config(
            "consumer.yaml",
            json!({ "relays": null, "consumers": { CONSUMER: {
                "from": { "kafka": { "brokers": brokers, "topics": trial.topics, "group": stage.name,
                    "options": { "session.timeout.ms": "6000" } } },
                "handler": { "sql": { "function": effects::FUNCTION } },
                "limits": { "in_flight": 500 },
                // Long enough that something is always read and not done: what is settled too early then shows.
                "retry": { "first": "2s", "max": "3s" },
            } } }),
        );
        let members = (0..2).map(|_| stage.consumer(&config, &[])).collect();
        Self {
            trial,
            config,
            members,
            dice: Dice::new(seed),
            tail: &trial.tail,
            seen: 0,
        }
    }

    async fn effects(&self) -> usize {
        effects::effects(&self.trial.stage.database).await.len()
    }

    fn words(&self) -> String {
        self.members.iter().map(Relay::words).collect::<Vec<_>>().join("\n")
    }

    /// One member is killed, ended or joined by another.
    async fn change(&mut self) {
        let stage = self.trial.stage;
        let at = self.dice.between(0, self.members.len() - 1);
        match self.dice.between(0, 2) {
            0 => {
                println!("{}: killed", stage.name);
                self.members[at].kill();
                self.no_offset_is_ahead().await;
                self.members[at] = stage.consumer(&self.config, &[]);
            }
            1 => {
                // One that has only just been started does not listen to signals yet.
                self.members[at].admin().await;
                let (end, took) = self.members[at].terminate(PATIENCE).await;
                println!("{}: ended in {took:?}", stage.name);
                assert_eq!(end, "exit 0", "{}", self.members[at].words());
                self.no_offset_is_ahead().await;
                self.members[at] = stage.consumer(&self.config, &[]);
            }
            _ => {
                println!("{}: joined", stage.name);
                let joined = stage.consumer(&self.config, &[]);
                if self.members.len() > 2 {
                    self.members[at].kill();
                    self.members[at] = joined;
                } else {
                    self.members.push(joined);
                }
            }
        }
        self.seen = self.effects().await;
    }

    /// I8: everything below a committed offset has its effect, or is a letter.
    async fn no_offset_is_ahead(&self) {
        let stage = self.trial.stage;
        let (brokers, topics, group) = (
            stage.kafka.brokers.clone(),
            self.trial.topics.clone(),
            stage.name.clone(),
        );
        let offsets = tokio::task::spawn_blocking(move || committed(&brokers, &group, &topics)).await;
        let offsets = offsets.expect("the broker answers");
        let below = |tail: &Tail| -> Vec<_> {
            let arrivals = tail.arrivals().into_iter();
            let below = arrivals.filter(|arrival| {
                offsets
                    .get(&(arrival.topic.clone(), arrival.partition))
                    .is_some_and(|committed| arrival.offset < *committed)
            });
            below.collect()
        };
        let all: i64 = offsets.values().sum();
        wait::until("the tail has seen what was committed", PATIENCE, || async {
            let seen = below(self.tail).len();
            wait::ensure(i64::try_from(seen).is_ok_and(|seen| seen >= all), || {
                format!("{seen} of {all}")
            })
        })
        .await;
        let mut kept: HashSet<_> = effects::effects(&stage.database).await.into_iter().collect();
        kept.extend(open_letters(&stage.database).await);
        let early: Vec<_> = below(self.tail)
            .into_iter()
            .filter(|arrival| arrival.id.is_some_and(|id| !kept.contains(&id)))
            .collect();
        println!(
            "{}: {all} below the committed offsets, {} early",
            stage.name,
            early.len()
        );
        assert!(early.is_empty(), "settled without an effect: {early:?}");
    }

    /// Every event has its effect, or is a letter, as long as something still moves.
    async fn settles(&self, all: usize) {
        let (mut left, mut moved) = (usize::MAX, Instant::now());
        while left > 0 && moved.elapsed() < PATIENCE {
            let mut kept: HashSet<_> = effects::effects(&self.trial.stage.database).await.into_iter().collect();
            kept.extend(open_letters(&self.trial.stage.database).await);
            let now = all - kept.len().min(all);
            if now != left {
                (left, moved) = (now, Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        println!("{}: {left} of {all} left when it stood still", self.trial.stage.name);
    }

    async fn settles_without_letters(&self, all: usize) {
        wait::until("the letters are delivered", PATIENCE * 2, || async {
            let letters = open_letters(&self.trial.stage.database).await.len();
            let done = self.effects().await;
            wait::ensure(letters == 0 && done >= all, || {
                format!("{letters} letters, {done} effects of {all}; {}", self.words())
            })
        })
        .await;
    }

    async fn end(&mut self) {
        for member in &mut self.members {
            assert_eq!(member.terminate(PATIENCE).await.0, "exit 0", "{}", member.words());
        }
    }
}
