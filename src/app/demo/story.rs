//! What happens in the demo, in order: commits, an outage, a poison, a release; a consumer that dies in an effect, a refusal,
//! a fix; the verdict.

mod receiving;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use tokio_postgres::Client;

use super::effects;
use super::process::{Process, Setup};
use super::reader::Reader;
use super::relays;
use super::stage::{DemoError, PARTITIONS, Stage, TOPIC};
use super::verdict::{Seen, Truth, Verdict, judge};
use super::view::View;
use super::workload::{self, POISONED, Written};
use crate::config::Environment;
use crate::flow::Pauses;
use crate::operate::letters::{Change, Desk as _, Selection, Verb};
use crate::relay::{self, Control, Outcome, RelayState, Status};

/// How long the broker is away.
const CUT: Duration = Duration::from_secs(3);
/// Rounds of changes in each part of the story.
const ROUNDS: i64 = 8;
/// So long the leader has messages under way before it is killed: longer than it takes to write down what it thinks is
/// settled.
const HOLD: Duration = Duration::from_millis(1_100);
/// Anything that takes longer than this is told as a failure.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a condition is looked at, and the view renewed.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How the demo is run.
#[derive(Debug)]
pub struct Options {
    /// When the process began: the first event is timed from here.
    pub began: Instant,
    /// A person watches a terminal.
    pub live: bool,
    /// Say nothing but the verdict.
    pub quiet: bool,
    /// Leave the database.
    pub keep: bool,
    /// Write both logs there.
    pub export: Option<PathBuf>,
}

/// What the demo found.
#[derive(Debug)]
pub struct Report {
    /// What the independent reader saw.
    pub verdict: Verdict,
    /// What the application did.
    pub effects: Verdict,
    /// How the story went; or what never happened, and should have.
    pub told: Result<Told, String>,
}

/// A story that came to its end.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    /// Transactions that were rolled back on purpose.
    pub rolled_back: usize,
    /// From the start of the process to the first event at the reader.
    pub first_event: Duration,
}

// === impl Report ===

impl Report {
    /// Whether everything held, and everything that the demo is about really happened.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let told = self.told.as_ref().is_ok_and(|told| told.rolled_back > 0);
        told && self.verdict.is_good() && self.effects.is_good() && self.effects.twice == 0
    }
}

struct Story {
    stage: Stage,
    view: View,
    reader: Reader,
    client: Client,
    /// The application's other connection: its transactions are open for long.
    late: Client,
    setup: Setup,
    /// Leads, until it is killed.
    leader: Process,
    consumer: Process,
    /// Lets the standby begin.
    begin: Option<oneshot::Sender<()>>,
    mended: Arc<AtomicBool>,
    began: Instant,
    rounds: i64,
}

/// Runs the demo.
///
/// # Errors
/// When a part could not begin, or broke.
pub async fn run(options: Options, environment: &Environment) -> Result<Report, DemoError> {
    let view = View::new(options.began, options.live, options.quiet);
    let stage = Stage::start(environment, options.keep).await?;
    view.say("a throwaway PostgreSQL and a mock Kafka cluster are up, tables made");
    let (client, late) = (stage.client().await?, stage.client().await?);
    workload::prepare(&client).await?;
    effects::prepare(&client).await?;
    let reader = Reader::start(&stage.brokers(), TOPIC, PARTITIONS)?;
    let mended = Arc::new(AtomicBool::new(false));
    let setup = Setup::new(&stage)?;
    let standby = relays::standby(&setup, &mended)?;
    let (begin, begun) = oneshot::channel();
    let (drain, draining) = watch::channel(false);
    let (status, seen) = watch::channel(Status::default());
    let control = Control {
        drain: draining,
        drain_deadline: PATIENCE,
        pauses: watch::channel(Pauses::none()).1,
        status,
    };
    let mut story = Story {
        stage,
        view,
        reader,
        client,
        late,
        leader: setup.start("relay")?,
        consumer: setup.start("consume")?,
        setup,
        begin: Some(begin),
        mended,
        began: options.began,
        rounds: 0,
    };
    let told = async {
        let told = story.tell(&seen).await;
        drain.send_replace(true);
        // Without a word it would wait for its turn for ever.
        story.begin = None;
        told
    };
    let stands_by = async {
        match begun.await {
            Ok(()) => relay::run(standby, control).await,
            Err(_) => Outcome::Drained,
        }
    };
    let (outcome, told) = tokio::join!(stands_by, told);
    story.view.end();
    story.end(&options, told, outcome).await
}

fn export(directory: &Path, truth: &[Truth], logs: (&[Seen], &[Seen])) -> Result<(), DemoError> {
    let (records, done) = logs;
    std::fs::create_dir_all(directory)?;
    let committed: String = truth
        .iter()
        .map(|event| format!("{} {} {}\n", event.id, event.key, event.number))
        .collect();
    let lines = |log: &[Seen]| -> String { log.iter().map(|seen| format!("{} {}\n", seen.id, seen.key)).collect() };
    std::fs::write(directory.join("committed.txt"), committed)?;
    std::fs::write(directory.join("seen.txt"), lines(records))?;
    std::fs::write(directory.join("done.txt"), lines(done))?;
    Ok(())
}

// === impl Story ===

impl Story {
    /// Everything ends, and the two logs are judged.
    async fn end(
        self,
        options: &Options,
        told: Result<Told, DemoError>,
        outcome: Outcome,
    ) -> Result<Report, DemoError> {
        // Whatever it would still do wrong has been done.
        drop(self.consumer);
        let truth = workload::truth(&self.client).await?;
        let records = self.reader.seen.borrow().clone();
        let done = effects::done(&self.client).await?;
        self.reader.stop();
        if options.keep {
            self.view.say(&self.stage.kept());
        }
        self.stage.end().await?;
        if let Some(directory) = &options.export {
            export(directory, &truth, (&records, &done))?;
        }
        let told = match told {
            Err(DemoError::Waited(what)) => Err(what),
            told => Ok(told?),
        };
        match outcome {
            Outcome::Halted { sentence } => Err(DemoError::Relay(sentence)),
            Outcome::Drained | Outcome::DeadlinePassed => Ok(Report {
                verdict: judge(&truth, &records),
                effects: judge(&truth, &done),
                told,
            }),
        }
    }

    async fn tell(&mut self, status: &watch::Receiver<Status>) -> Result<Told, DemoError> {
        let mut written = self
            .write("writing: every seventh transaction rolls back, one stays open while the others commit")
            .await?;
        let mut seen = self.reader.seen.clone();
        self.wait("the first event at the reader", || !seen.borrow_and_update().is_empty())
            .await?;
        let first_event = self.began.elapsed();
        self.view.say("events arrive at an independent reader");
        // Without a receiver the relay has ended already, and the wait says so.
        let _ = self.begin.take().map(|begin| begin.send(()));
        self.wait("the second relay to stand by", || {
            status.borrow().state == RelayState::Standby
        })
        .await?;
        self.view.say("a second relay of the same name stands by");

        written += self.outage(status).await?;
        written += self.poison(status).await?;
        written += self.receive().await?;
        self.arrive(written.committed).await?;
        Ok(Told {
            rolled_back: written.rolled_back,
            first_event,
        })
    }

    /// The broker refuses a message until it is mended.
    async fn poison(&mut self, status: &watch::Receiver<Status>) -> Result<Written, DemoError> {
        let mut written = workload::poison(&mut self.client).await?;
        self.view.say(&format!(
            "{POISONED} wrote a message that the broker refuses, and one behind it"
        ));
        self.wait("the poisoned key to be parked", || status.borrow().lanes.parked == 1)
            .await?;
        self.view.say(&format!(
            "{POISONED} is parked with its messages in order; the other keys flow on"
        ));
        written += self
            .write("writing on: the parked key's messages queue behind it")
            .await?;
        self.mended.store(true, Ordering::Relaxed);
        let released = self.release(POISONED, "the broker takes it now").await?;
        self.view.say(&format!(
            "mended, and released: {released} key goes out again, in order"
        ));
        self.wait("the parked key to be free", || status.borrow().lanes.parked == 0)
            .await?;
        Ok(written)
    }

    /// Waits until every committed event has arrived and had its effect. What does not any more, the verdict counts.
    async fn arrive(&mut self, expected: usize) -> Result<(), DemoError> {
        let seen = self.reader.seen.clone();
        let arrived = self.wait_for("every event", async || {
            let done = effects::done(&self.client).await?;
            Ok(different(&seen.borrow()) >= expected && different(&done) >= expected)
        });
        match arrived.await {
            Err(DemoError::Waited(_)) => self
                .view
                .say("some committed events never arrived, or never had their effect"),
            other => other?,
        }
        Ok(())
    }

    /// The broker goes away, and the leading relay dies with messages under way.
    async fn outage(&mut self, status: &watch::Receiver<Status>) -> Result<Written, DemoError> {
        self.stage.cut(true)?;
        self.view
            .say("the broker is cut for 3 s; the application goes on committing");
        let cut = tokio::time::sleep(CUT);
        let mut written = self.write("writing during the outage: rows wait in the table").await?;
        tokio::time::sleep(HOLD).await;
        self.leader.kill()?;
        self.view
            .say("the leading relay is killed (SIGKILL) with messages under way");
        self.wait("the standby to lead", || status.borrow().state == RelayState::Leading)
            .await?;
        self.view.say("the standby leads");
        written += self.write("writing on").await?;
        cut.await;
        self.stage.cut(false)?;
        self.view.say("the broker is back");
        Ok(written)
    }

    /// `twinbox letters release --key order-5`; how many keys it let go.
    async fn release(&self, key: &str, reason: &str) -> Result<u64, DemoError> {
        let change = Change {
            verb: Verb::Release,
            selection: Selection {
                key: Some(key.to_owned()),
                ..Selection::default()
            },
            reason: Some(reason.to_owned()),
            rate: None,
        };
        let released = self.stage.desk()?.apply(change).await;
        Ok(released.map_err(|failure| DemoError::Desk(failure.to_string()))?.lanes)
    }

    async fn write(&mut self, what: &str) -> Result<Written, DemoError> {
        self.view.say(what);
        let mut written = Written::default();
        workload::begin_late(&self.late).await?;
        for _ in 0..ROUNDS {
            written += workload::round(&mut self.client, self.rounds).await?;
            self.rounds += 1;
            self.look().await?;
        }
        written += workload::commit_late(&self.late).await?;
        Ok(written)
    }

    async fn look(&self) -> Result<(), DemoError> {
        let mut committed = BTreeMap::new();
        for event in workload::truth(&self.client).await? {
            *committed.entry(event.key).or_insert(0) += 1;
        }
        let seen = self.reader.seen.borrow().clone();
        self.view.progress(&committed, &seen, None);
        Ok(())
    }

    async fn wait(&self, what: &str, mut done: impl FnMut() -> bool) -> Result<(), DemoError> {
        self.wait_for(what, async || Ok(done())).await
    }

    async fn wait_for(
        &self,
        what: &str,
        mut done: impl AsyncFnMut() -> Result<bool, DemoError>,
    ) -> Result<(), DemoError> {
        let watching = async {
            while !done().await? {
                self.look().await?;
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, watching)
            .await
            .unwrap_or_else(|_| Err(DemoError::Waited(what.to_owned())))
    }
}

/// Different events of a log.
fn different(log: &[Seen]) -> usize {
    log.iter().map(|seen| seen.id).collect::<HashSet<_>>().len()
}
