//! What happens in the demo, in order: commits, an outage, a poison, a release, the verdict.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_postgres::Client;

use super::picky::Picky;
use super::reader::Reader;
use super::stage::{DemoError, PARTITIONS, Stage, TOPIC};
use super::verdict::{Truth, Verdict, judge};
use super::view::View;
use super::workload::{self, POISONED, Written};
use crate::app::assemble::Configured;
use crate::config::{self, Environment, Root};
use crate::operate::letters::{Change, Desk as _, Selection, Verb};
use crate::relay::{self, Control, Outcome, Status};
use crate::telemetry::Meters;

/// The relay's name.
const RELAY: &str = "demo";
/// How long the broker is away.
const CUT: Duration = Duration::from_secs(3);
/// Rounds of changes before, during and after the cut.
const ROUNDS: i64 = 10;
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
    /// The verdict.
    pub verdict: Verdict,
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
        self.verdict.is_good() && self.rolled_back > 0
    }
}

struct Story {
    stage: Stage,
    view: View,
    reader: Reader,
    client: Client,
    mended: Arc<AtomicBool>,
    began: Instant,
    rounds: i64,
}

/// Runs the demo.
///
/// # Errors
/// When a part could not begin, or something that should have happened did not.
pub async fn run(options: Options, environment: &Environment) -> Result<Report, DemoError> {
    let view = View::new(options.began, options.live, options.quiet);
    let stage = Stage::start(environment, options.keep).await?;
    view.say("a throwaway PostgreSQL and a mock Kafka cluster are up, tables made");
    let client = stage.client().await?;
    workload::prepare(&client).await?;
    let reader = Reader::start(&stage.brokers(), TOPIC, PARTITIONS)?;
    let mended = Arc::new(AtomicBool::new(false));
    let engine = engine(&stage, &mended)?;
    let (drain, draining) = watch::channel(false);
    let (status, seen) = watch::channel(Status::default());
    let control = Control {
        drain: draining,
        drain_deadline: PATIENCE,
        status,
    };
    let mut story = Story {
        stage,
        view,
        reader,
        client,
        mended,
        began: options.began,
        rounds: 0,
    };
    let told = async {
        let told = story.tell(&seen).await;
        drain.send_replace(true);
        told
    };
    let (outcome, told) = tokio::join!(relay::run(engine, control), told);
    story.view.end();
    let Story {
        stage, reader, client, ..
    } = story;
    let (truth, records) = (workload::truth(&client).await?, reader.seen.borrow().clone());
    reader.stop();
    if options.keep {
        story.view.say(&stage.kept());
    }
    stage.end().await?;
    if let Some(directory) = &options.export {
        export(directory, &truth, &records)?;
    }
    let (rolled_back, first_event) = told?;
    match outcome {
        Outcome::Halted { sentence } => Err(DemoError::Relay(sentence)),
        Outcome::Drained | Outcome::DeadlinePassed => Ok(Report {
            verdict: judge(&truth, &records),
            rolled_back,
            first_event,
        }),
    }
}

/// The relay, from a configuration as anybody would write it.
fn engine(stage: &Stage, mended: &Arc<AtomicBool>) -> Result<relay::Engine, DemoError> {
    let environment: Environment = [("DATABASE_URL", stage.url.as_str())].into_iter().collect();
    let text = format!(
        "relays: {{ {RELAY}: {{ to: {{ kafka: {{ brokers: [\"{}\"] }} }}, route: {{ topic: \"{TOPIC}\" }} }} }}",
        stage.brokers()
    );
    let file = std::env::temp_dir().join(format!("twinbox-demo-{}.yaml", uuid::Uuid::new_v4().simple()));
    std::fs::write(&file, text)?;
    let loaded = config::load(std::slice::from_ref(&file), &environment, &[]);
    std::fs::remove_file(&file)?;
    let root: Root = loaded.map_err(|problems| DemoError::Relay(problems.to_string()))?.root;
    let relay = root
        .relays
        .get(RELAY)
        .ok_or_else(|| DemoError::Relay("the configuration lost it".to_owned()))?;
    let configured = Configured {
        name: RELAY,
        root: &root,
        relay,
        environment: &environment,
    };
    let broker = configured.broker().map_err(DemoError::Relay)?;
    let picky = Arc::new(Picky::new(broker, Arc::clone(mended)));
    configured.engine(picky, Meters::silent()).map_err(DemoError::Relay)
}

fn export(directory: &std::path::Path, truth: &[Truth], records: &[super::verdict::Seen]) -> Result<(), DemoError> {
    std::fs::create_dir_all(directory)?;
    let committed: String = truth
        .iter()
        .map(|event| format!("{} {} {}\n", event.id, event.key, event.number))
        .collect();
    let seen: String = records
        .iter()
        .map(|record| format!("{} {}\n", record.id, record.key))
        .collect();
    std::fs::write(directory.join("committed.txt"), committed)?;
    std::fs::write(directory.join("seen.txt"), seen)?;
    Ok(())
}

// === impl Story ===

impl Story {
    /// Tells the story; answers rolled-back transactions and the time to the first event.
    async fn tell(&mut self, status: &watch::Receiver<Status>) -> Result<(usize, Duration), DemoError> {
        let mut written = self.write("writing: every seventh transaction rolls back").await?;
        let mut seen = self.reader.seen.clone();
        self.wait("the first event at the reader", || !seen.borrow_and_update().is_empty())
            .await?;
        let first_event = self.began.elapsed();
        self.view.say("events arrive at an independent reader");

        self.view
            .say("the broker is cut for 3 s; the application goes on committing");
        self.stage.cut(true)?;
        let cut = tokio::time::sleep(CUT);
        let during = self.write("writing during the outage: rows wait in the table").await?;
        cut.await;
        self.stage.cut(false)?;
        self.view.say("the broker is back");

        let poison = workload::poison(&mut self.client).await?;
        self.view.say(&format!(
            "{POISONED} wrote a message that the broker refuses, and one behind it"
        ));
        self.wait("the poisoned key to be parked", || status.borrow().lanes.parked == 1)
            .await?;
        self.view.say(&format!(
            "{POISONED} is parked with its messages in order; the other keys flow on"
        ));
        let after = self
            .write("writing on: the parked key's messages queue behind it")
            .await?;
        for part in [during, poison, after] {
            written.committed += part.committed;
            written.rolled_back += part.rolled_back;
        }

        self.mended.store(true, Ordering::Relaxed);
        let released = self.release().await?;
        self.view.say(&format!(
            "mended, and released: {released} key goes out again, in order"
        ));
        let expected = written.committed;
        self.wait("every committed event at the reader", || {
            seen.borrow_and_update().len() >= expected
        })
        .await?;
        self.wait("the parked key to be free", || status.borrow().lanes.parked == 0)
            .await?;
        Ok((written.rolled_back, first_event))
    }

    /// `twinbox letters release --key order-5`; how many keys it let go.
    async fn release(&self) -> Result<u64, DemoError> {
        let change = Change {
            verb: Verb::Release,
            selection: Selection {
                key: Some(POISONED.to_owned()),
                ..Selection::default()
            },
            reason: Some("the broker takes it now".to_owned()),
            rate: None,
        };
        let released = self.stage.desk()?.apply(change).await;
        Ok(released.map_err(|failure| DemoError::Desk(failure.to_string()))?.lanes)
    }

    async fn write(&mut self, what: &str) -> Result<Written, DemoError> {
        self.view.say(what);
        let mut written = Written::default();
        for _ in 0..ROUNDS {
            let round = workload::round(&mut self.client, self.rounds).await?;
            self.rounds += 1;
            written.committed += round.committed;
            written.rolled_back += round.rolled_back;
            self.look().await?;
        }
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
        let watching = async {
            while !done() {
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
