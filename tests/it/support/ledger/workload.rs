//! Writers that tell the truth: each transaction writes its outbox rows and, with them, what they are.
//!
//! Promises: `ledger.truth` holds exactly the committed outbox rows; along a topic and key `kseq` is 1, 2, 3 … in the
//! order in which its writers serialised, because each locks the key's row before it inserts. Writers survive the loss
//! of their connection; what an unanswered commit did is read from `ledger.truth`, never guessed.

use super::checker::Truth;
use super::dice::{Dice, Zipf};
use super::transaction::{Ending, Plan, Shape, end_prepared, run};
use crate::support::postgres::{Database, Login, connect};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_postgres::Client;
use uuid::Uuid;

/// A server may be away for a restart, not for ever.
const RECONNECT_WITHIN: Duration = Duration::from_mins(2);

/// What column `payload` is; see `twinbox migrate --payload`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload {
    Bytea,
    Jsonb,
}

/// What is written, by how many, how fast.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    pub writers: usize,
    /// At least this many committed rows.
    pub events: usize,
    pub keys: usize,
    /// Rows a second over all writers; 0 = as fast as they can.
    pub rate: u64,
    pub seed: u64,
    pub payload: Payload,
    /// The `aggregatetype`s; a key belongs to one of them.
    pub types: Vec<String>,
    /// How an `aggregatetype` becomes a topic.
    pub suffix: &'static str,
    /// One foreign writing transaction begins after a third of the events and stays open this long.
    pub long_transaction: Option<Duration>,
    /// Largest payload: the long transaction has one, others rarely.
    pub bytes_max: usize,
    /// Some transactions are prepared first; the server must allow it (`max_prepared_transactions`).
    pub prepared: bool,
}

impl Workload {
    /// A mix of everything over the topics `<type>.events`.
    #[must_use]
    pub(crate) fn over(types: &[String]) -> Self {
        Self {
            writers: 4,
            events: 2_000,
            keys: 100,
            rate: 0,
            seed: 1,
            payload: Payload::Bytea,
            types: types.to_vec(),
            suffix: ".events",
            long_transaction: None,
            bytes_max: 900_000,
            prepared: false,
        }
    }

    /// The type of a key: the same for ever, so that a key has one topic.
    pub(super) fn type_of(&self, key: usize) -> &str {
        &self.types[key % self.types.len()]
    }

    /// Makes the ledger's tables, with a row for every lane; `twinbox_app` must exist.
    pub(crate) async fn prepare(&self, database: &Database) {
        let owner = database.owner().await;
        owner
            .batch_execute(include_str!("ledger.sql"))
            .await
            .expect("the ledger's tables");
        let (mut topics, mut keys) = (Vec::new(), Vec::new());
        for key in 0..=self.keys {
            topics.push(format!("{}{}", self.type_of(key), self.suffix));
            keys.push(key_text(key));
        }
        let sql = "insert into ledger.lane select t, k, 0 from unnest($1::text[], $2::text[]) as lane(t, k)";
        owner.execute(sql, &[&topics, &keys]).await.expect("the lanes");
    }

    /// Starts the writers; [`Workload::prepare`] must have run.
    #[must_use]
    pub(crate) fn start(&self, database: &Database) -> Running {
        let shared = Arc::new(Shared {
            workload: self.clone(),
            zipf: Zipf::over(self.keys),
            url: database.login_url(Login::App),
            started: Instant::now(),
            reserved: AtomicU64::new(0),
            committed: AtomicUsize::new(0),
            endless: AtomicBool::new(false),
            over: AtomicBool::new(false),
        });
        let mut tasks = JoinSet::new();
        for number in 0..self.writers {
            tasks.spawn(write(Arc::clone(&shared), number as u64));
        }
        if let Some(open) = self.long_transaction {
            tasks.spawn(stay_open(Arc::clone(&shared), open));
        }
        Running { shared, tasks }
    }
}

/// Keys as applications have them, and as they should not: empty, quotes, line ends, emoji.
#[must_use]
pub(crate) fn key_text(key: usize) -> String {
    match key {
        0 => String::new(),
        1 => "it's \"quoted\" \\ back".to_owned(),
        2 => "line\nend\tand tab".to_owned(),
        3 => "snow ☃ and \u{1F600}".to_owned(),
        4 => "k".repeat(1_000),
        _ => format!("key-{key}"),
    }
}

pub(super) struct Shared {
    pub workload: Workload,
    pub zipf: Zipf,
    url: String,
    started: Instant,
    /// Rows that were promised to the pace.
    reserved: AtomicU64,
    committed: AtomicUsize,
    /// Beyond `events`, until told to stop.
    endless: AtomicBool,
    over: AtomicBool,
}

impl Shared {
    /// Waits until `rows` more fit into the rate.
    async fn pace(&self, rows: usize) {
        let before = self.reserved.fetch_add(rows as u64, Ordering::Relaxed);
        if self.workload.rate > 0 {
            let due = Duration::from_secs_f64(before as f64 / self.workload.rate as f64);
            tokio::time::sleep_until((self.started + due).into()).await;
        }
    }

    fn enough(&self) -> bool {
        let all = self.committed.load(Ordering::Relaxed) >= self.workload.events;
        self.over.load(Ordering::Relaxed) || (all && !self.endless.load(Ordering::Relaxed))
    }

    async fn connect(&self) -> Client {
        let until = Instant::now() + RECONNECT_WITHIN;
        loop {
            match connect(&self.url).await {
                Ok(client) => return client,
                Err(error) if Instant::now() > until => panic!("writers cannot connect: {error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

/// Writers at work.
pub(crate) struct Running {
    shared: Arc<Shared>,
    tasks: JoinSet<Written>,
}

impl Running {
    /// Rows whose commit was answered so far.
    #[must_use]
    pub(crate) fn committed(&self) -> usize {
        self.shared.committed.load(Ordering::Relaxed)
    }

    /// Goes on after the last event until [`Running::stop`]: there is more to do beside it.
    #[must_use]
    pub(crate) fn endless(self) -> Self {
        self.shared.endless.store(true, Ordering::Relaxed);
        self
    }

    /// Stops after the transactions at hand.
    pub(crate) fn stop(&self) {
        self.shared.over.store(true, Ordering::Relaxed);
    }

    /// Waits for all writers.
    pub(crate) async fn finish(mut self) -> Written {
        let mut sum = Written::default();
        while let Some(written) = self.tasks.join_next().await {
            let written = written.expect("a writer does not panic");
            sum.commits.extend(written.commits);
            sum.rolled_back += written.rolled_back;
            sum.prepared += written.prepared;
            sum.unknown += written.unknown;
            sum.reconnects += written.reconnects;
        }
        sum
    }
}

/// What the writers remember. The truth is in the table, not here.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Rows of answered commits, and when the answer came.
    pub commits: Vec<(Uuid, Instant)>,
    pub rolled_back: usize,
    pub prepared: usize,
    /// Transactions that ended without an answer.
    pub unknown: usize,
    pub reconnects: usize,
}

async fn write(shared: Arc<Shared>, number: u64) -> Written {
    let mut dice = Dice::new(shared.workload.seed.wrapping_mul(1_000).wrapping_add(number));
    let mut written = Written::default();
    let mut client = shared.connect().await;
    while !shared.enough() {
        let plan = Plan::roll(&mut dice, &shared, Shape::Mixed);
        shared.pace(plan.rows()).await;
        match run(&mut client, &plan, &shared.workload).await {
            Ok(ids) => {
                let now = Instant::now();
                shared.committed.fetch_add(ids.len(), Ordering::Relaxed);
                written.rolled_back += usize::from(plan.ending == Ending::Rollback);
                written.prepared += usize::from(matches!(plan.ending, Ending::Prepared(_)));
                written.commits.extend(ids.into_iter().map(|id| (id, now)));
            }
            Err(error) if client.is_closed() || is_loss(&error) => {
                written.unknown += 1;
                loop {
                    written.reconnects += 1;
                    client = shared.connect().await;
                    match end_prepared(&client, plan.ending).await {
                        Ok(()) => break,
                        Err(error) if client.is_closed() || is_loss(&error) => {}
                        Err(error) => panic!("a prepared transaction cannot be ended: {error:?}"),
                    }
                }
            }
            Err(error) => panic!("a writer's transaction failed: {error:?}"),
        }
    }
    written
}

/// Of the connection. 57P01 and its kin end it a moment later.
fn is_loss(error: &tokio_postgres::Error) -> bool {
    let code = error.code().map(tokio_postgres::error::SqlState::code);
    error.is_closed() || code.is_some_and(|code| code.starts_with("57P"))
}

/// The foreign transaction: an early xid, rows of a lane of its own at once, rows of shared lanes at the end.
async fn stay_open(shared: Arc<Shared>, open: Duration) -> Written {
    let mut dice = Dice::new(shared.workload.seed ^ 0xF0E1);
    while shared.committed.load(Ordering::Relaxed) < shared.workload.events / 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut client = shared.connect().await;
    let plan = Plan::roll(&mut dice, &shared, Shape::Long(open));
    let mut written = Written::default();
    match run(&mut client, &plan, &shared.workload).await {
        Ok(ids) => written.commits.extend(ids.into_iter().map(|id| (id, Instant::now()))),
        Err(_) => written.unknown += 1,
    }
    shared.committed.fetch_add(written.commits.len(), Ordering::Relaxed);
    written
}

/// All committed rows, in no order.
pub(crate) async fn truth(database: &Database) -> Vec<Truth> {
    let sql = "select event_id, key, kseq, topic, fingerprint from ledger.truth";
    let rows = database
        .owner()
        .await
        .query(sql, &[])
        .await
        .expect("the ledger's truth");
    let truth = |row: &tokio_postgres::Row| Truth {
        id: row.get(0),
        key: row.get(1),
        kseq: row.get(2),
        topic: row.get(3),
        fingerprint: row.get(4),
    };
    rows.iter().map(truth).collect()
}
