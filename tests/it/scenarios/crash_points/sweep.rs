//! One workload, many short lives of a relay: each is brought to a crash point, and what it left behind is judged.
//!
//! Promises: a life counts as aborted only if the process died of SIGABRT and the fault log names the point; before the
//! next life begins, everything that the database calls settled was seen on the broker or is a letter.

use super::Occasion;
use crate::support::ledger::checker::Truth;
use crate::support::ledger::observer::Tail;
use crate::support::ledger::plain::{Plain, Row};
use crate::support::ledger::trial::{Trial, judge, letters};
use crate::support::ledger::workload::{Running, truth};
use crate::support::process::{Process, Signal};
use crate::support::proxy::Proxy;
use crate::support::relay::Relay;
use crate::support::wait::{self, PATIENCE};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use uuid::Uuid;

const IN_FLIGHT: usize = 200;

/// Settled is told to the database once a second; the tail hears of a record a little after the relay does.
const SETTLED_LATELY: Duration = Duration::from_millis(1_500);

/// What the relay's windows say is settled: wholly settled ones, and what the others' rests do not name.
const SETTLED: &str = "
with windows as (
  select number, upper, rest, lag(upper) over (order by number) as lower
  from twinbox.relay_window where relay = 'orders'
)
select o.id
from windows w
join twinbox.outbox o
  on pg_visible_in_snapshot(o.xid, w.upper) and (w.lower is null or not pg_visible_in_snapshot(o.xid, w.lower))
where w.rest is not null and not o.seq = any (w.rest)
  and not exists (select from unnest(w.rest) r (seq) where r.seq < 0 and o.seq > -r.seq)";

/// The workload, what else is written, and what all lives share.
pub(super) struct Sweep<'a> {
    trial: &'a Trial<'a>,
    config: PathBuf,
    /// The same with an outbox whose partitions are dropped, a second each.
    partitions: PathBuf,
    link: Proxy,
    /// Writes what the broker refuses, into topics of their own.
    plain: Plain,
    tail: Tail,
    /// Takes nothing large.
    small: String,
    /// Takes nothing without a key.
    compact: String,
    /// Duplicates that the lives so far may have caused.
    bound: usize,
}

impl<'a> Sweep<'a> {
    pub(super) async fn prepare(trial: &'a Trial<'a>) -> Self {
        let stage = trial.stage;
        let (small, compact) = (stage.type_name("small"), stage.type_name("compact"));
        let [small_topic, compact_topic] = topics(&small, &compact);
        let kafka = &stage.kafka;
        kafka
            .create_topic(&small_topic, 1, &[("max.message.bytes", "20000")])
            .await;
        kafka
            .create_topic(&compact_topic, 1, &[("cleanup.policy", "compact")])
            .await;
        let change = json!({
            "relays": { "orders": {
                "lease": "3s",
                "retention": "1s",
                "limits": { "batch": 50, "in_flight": IN_FLIGHT },
            } },
            "drain": { "deadline": "1s" },
        });
        let mut dropping = change.clone();
        dropping["relays"]["orders"]["retention"] = json!("partitions 1s");
        Self {
            trial,
            config: stage.config("twinbox.yaml", change),
            partitions: stage.config("partitions.yaml", dropping),
            link: Proxy::to(stage.database.port()).await,
            plain: Plain::connect(&stage.database).await,
            tail: Tail::follow(&kafka.brokers, &topics(&small, &compact)),
            small,
            compact,
            bound: 0,
        }
    }

    /// A relay that is killed at work leaves what the next one must find.
    pub(super) async fn leave_an_open_window(&mut self) {
        let mut relay = self.trial.stage.relay(&self.config);
        at_work(&relay).await;
        relay.kill();
        self.count_duplicates();
    }

    /// Starts a relay that aborts at this hit of the point, and judges what it left; whether it did abort there.
    pub(super) async fn abort_at(&mut self, point: &str, hit: u64) -> bool {
        let stage = self.trial.stage;
        let fault = format!("{point}=abort@{hit}");
        let url = stage.database.url_at(self.link.port, "it_relay:it");
        let log = stage.dir.join("fault.log");
        let _ = std::fs::remove_file(&log);
        let environment = [
            ("DATABASE_URL", url.as_str()),
            ("TWINBOX_FAULT", &fault),
            ("TWINBOX_FAULT_LOG", log.to_str().expect("a UTF-8 path")),
        ];
        let config = if point.starts_with("partition.") {
            &self.partitions
        } else {
            &self.config
        };
        let (since, mut relay) = (Instant::now(), stage.relay_with(config, &environment));
        let ended = self.provoke(Occasion::of(point), &mut relay).await;
        let aborted = ended && relay.ends(PATIENCE).await == "signal 6";
        relay.kill();
        self.count_duplicates();
        self.link.heal();
        self.broker(Signal::Continue);
        let noted = std::fs::read_to_string(&log).is_ok_and(|text| text.trim() == point);
        let words = match (aborted, noted) {
            (true, true) => format!("aborted after {:?}", since.elapsed()),
            _ => format!("NOT HIT, {}", relay.words()),
        };
        println!("{}: {fault}: {words}", stage.name);
        self.settled_is_there(&fault).await;
        aborted && noted
    }

    /// Brings the relay to the point; whether its process ended.
    async fn provoke(&mut self, occasion: Occasion, relay: &mut Relay) -> bool {
        match occasion {
            Occasion::Work | Occasion::Start | Occasion::Second => {}
            Occasion::Refusal => self.refuse().await,
            Occasion::Successor => self.succeed(relay).await,
            Occasion::BadCompany => self.mix().await,
            Occasion::LinkHeld => {
                at_work(relay).await;
                self.link.hold();
            }
            Occasion::Usurped => return self.usurp(relay).await,
            Occasion::Drain => {
                at_work(relay).await;
                relay.process.signal(Signal::Terminate);
            }
            Occasion::DrainWithoutBroker => {
                at_work(relay).await;
                self.broker(Signal::Stop);
                in_flight(relay).await;
                relay.process.signal(Signal::Terminate);
            }
        }
        ends(relay).await
    }

    fn broker(&self, signal: Signal) {
        let broker = self.trial.stage.own_kafka.as_ref().expect("asked for");
        let id = broker.value("PID").parse().expect("a process id");
        Process(id).signal(signal);
    }

    /// A head that is too large, and a successor.
    async fn refuse(&mut self) {
        let key = format!("key-{}", self.plain.truth.len());
        let rows = [
            Row::new(&self.small, &key, &vec![1; 50_000]),
            Row::new(&self.small, &key, b"behind it"),
        ];
        self.plain.write(&rows).await;
    }

    /// One more row behind a lane that is stored; the relay may come by the point before, with what earlier lives left.
    async fn succeed(&mut self, relay: &Relay) {
        let key = format!("key-{}", self.plain.truth.len());
        let head = self.plain.one(Row::new(&self.small, &key, &vec![1; 50_000])).await;
        wait::until("the lane is stored, or the relay aborted", PATIENCE, || async {
            let letters = letters(&self.trial.stage.database).await;
            let stored = letters.iter().any(|letter| letter.id == head);
            wait::ensure(stored || !relay.process.is_alive(), String::new)
        })
        .await;
        self.plain.one(Row::new(&self.small, &key, b"behind it")).await;
    }

    /// A compacted topic takes no record without a key, and refuses its neighbours in the batch with it.
    async fn mix(&mut self) {
        let mut rows: Vec<Row> = (0..40)
            .map(|key| Row::new(&self.compact, &format!("key-{key}"), b"in bad company"))
            .collect();
        rows[20].key = None;
        self.plain.write(&rows).await;
    }

    /// Frozen at work, robbed of its lease, thawed.
    async fn usurp(&mut self, relay: &mut Relay) -> bool {
        at_work(relay).await;
        relay.freeze();
        let mut other = self.trial.stage.relay(&self.config);
        other.reaches("leading").await;
        relay.thaw();
        let ended = ends(relay).await;
        other.kill();
        ended
    }

    /// DESIGN §12: a crash repeats at most what was in flight and what was settled a moment ago.
    fn count_duplicates(&mut self) {
        self.bound += IN_FLIGHT + self.trial.arrived_before(Instant::now(), SETTLED_LATELY);
    }

    /// I8: the relay is dead, and what the database calls settled must not rest on it any more.
    async fn settled_is_there(&self, fault: &str) {
        let database = &self.trial.stage.database;
        let rows = database
            .owner()
            .await
            .query(SETTLED, &[])
            .await
            .expect("our own tables");
        let settled: HashSet<Uuid> = rows.iter().map(|row| row.get(0)).collect();
        wait::until(
            &format!("{fault}: all that is settled is on the broker or a letter"),
            PATIENCE,
            || async {
                let mut there: HashSet<Uuid> = letters(database).await.iter().map(|letter| letter.id).collect();
                let arrivals = self.trial.tail.arrivals().into_iter().chain(self.tail.arrivals());
                there.extend(arrivals.filter_map(|arrival| arrival.id));
                let missing: Vec<&Uuid> = settled.difference(&there).collect();
                wait::ensure(missing.is_empty(), || format!("missing: {missing:?}"))
            },
        )
        .await;
    }

    /// A relay without a fault takes away what is left; the whole is judged.
    pub(super) async fn close(mut self, running: Running) {
        running.stop();
        running.finish().await;
        let stage = self.trial.stage;
        let mut relay = stage.relay(&self.config);
        self.nothing_is_missing(&relay).await;
        self.trial.settle(&mut relay).await;
        let mut committed: Vec<Truth> = truth(&stage.database).await;
        committed.append(&mut self.plain.truth);
        let all: Vec<String> = self
            .trial
            .topics
            .iter()
            .cloned()
            .chain(topics(&self.small, &self.compact))
            .collect();
        let verdict = judge(stage, &all, &committed).await;
        let note = format!("{} duplicates of at most {}", verdict.duplicates.len(), self.bound);
        println!("{}: {note}", stage.name);
        assert!(verdict.is_clean(), "{verdict}");
        assert!(verdict.duplicates.len() <= self.bound, "{note}");
    }

    /// Waits for the rows of the odd topics, which the trial does not know.
    async fn nothing_is_missing(&self, relay: &Relay) {
        wait::until("refused rows are letters, the others arrive", PATIENCE, || async {
            let mut there: HashSet<Uuid> = self.tail.arrivals().iter().filter_map(|arrival| arrival.id).collect();
            there.extend(letters(&self.trial.stage.database).await.iter().map(|letter| letter.id));
            let missing = self.plain.truth.iter().filter(|row| !there.contains(&row.id)).count();
            wait::ensure(missing == 0, || format!("{missing} missing; {}", relay.words()))
        })
        .await;
    }
}

fn topics(small: &str, compact: &str) -> [String; 2] {
    [format!("{small}.events"), format!("{compact}.events")]
}

async fn at_work(relay: &Relay) {
    reaches(relay, "published", 1).await;
}

/// The broker answers nothing any more, so everything that may be in flight is.
async fn in_flight(relay: &Relay) {
    reaches(relay, "in_flight", IN_FLIGHT as u64).await;
}

async fn reaches(relay: &Relay, figure: &str, least: u64) {
    wait::until(&format!("{figure} reaches {least}"), PATIENCE, || async {
        let status: Value = relay.status().await?;
        wait::ensure(status[figure].as_u64() >= Some(least), || status.to_string())
    })
    .await;
}

async fn ends(relay: &Relay) -> bool {
    let poll = || async { wait::ensure(!relay.process.is_alive(), String::new) };
    wait::tried(PATIENCE, poll).await.is_ok()
}
