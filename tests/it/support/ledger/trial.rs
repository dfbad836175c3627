//! One run before the judge: a workload on a stage, a tail that watches, the verdict at the end.

use super::artefacts::Logs;
use super::checker::{Letter, LetterState, Truth, Verdict};
use super::observer::{Record, Tail, read_all};
use super::workload::{Workload, truth};
use crate::support::postgres::Database;
use crate::support::relay::Relay;
use crate::support::stage::Stage;
use crate::support::wait::PATIENCE;
use std::collections::HashSet;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Between two looks at what is missing.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A stage with tables, topics and a tail on them.
pub(crate) struct Trial<'a> {
    pub stage: &'a Stage,
    pub workload: Workload,
    pub topics: Vec<String>,
    pub tail: Tail,
}

impl<'a> Trial<'a> {
    /// Migrates, makes two topics and lets `shape` change the workload.
    pub(crate) async fn open(stage: &'a Stage, shape: impl FnOnce(&mut Workload)) -> Self {
        let types = [stage.aggregate("a", 6).await, stage.aggregate("b", 1).await];
        let mut workload = Workload::over(&types);
        shape(&mut workload);
        stage.migrate(workload.payload).await;
        workload.prepare(&stage.database).await;
        let topics: Vec<String> = types.iter().map(|name| format!("{name}{}", workload.suffix)).collect();
        let tail = Tail::follow(&stage.kafka.brokers, &topics);
        Self {
            stage,
            workload,
            topics,
            tail,
        }
    }

    /// Waits until every committed row came by or is an open letter, as long as something still moves; then ends the
    /// relay by SIGTERM, which must drain it to exit 0.
    pub(crate) async fn settle(&self, relay: &mut Relay) {
        let truth = truth(&self.stage.database).await;
        let (mut missing, mut moved) = (usize::MAX, Instant::now());
        while missing > 0 && moved.elapsed() < PATIENCE {
            relay.must_be_up();
            let left = self.missing(&truth).await;
            if left != missing {
                (missing, moved) = (left, Instant::now());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        println!(
            "{}: {missing} of {} rows missing when it stood still",
            self.stage.name,
            truth.len()
        );
        let (end, _) = relay.terminate(PATIENCE).await;
        assert_eq!(end, "exit 0", "{}", relay.words());
    }

    async fn missing(&self, truth: &[Truth]) -> usize {
        let mut arrived: HashSet<Uuid> = self.tail.arrivals().iter().filter_map(|arrival| arrival.id).collect();
        let waiting = letters(&self.stage.database).await;
        arrived.extend(
            waiting
                .iter()
                .filter(|letter| letter.state != LetterState::Delivered)
                .map(|letter| letter.id),
        );
        truth.iter().filter(|row| !arrived.contains(&row.id)).count()
    }

    /// Reads all three logs and judges them.
    pub(crate) async fn verdict(&self) -> Verdict {
        let committed = truth(&self.stage.database).await;
        judge(self.stage, &self.topics, &committed).await
    }

    /// Records that came by in the window before a moment: what was settled then, and may come again after a crash.
    #[must_use]
    pub(crate) fn arrived_before(&self, moment: Instant, window: Duration) -> usize {
        let from = moment.checked_sub(window);
        let arrivals = self.tail.arrivals();
        arrivals
            .iter()
            .filter(|arrival| arrival.at <= moment && from.is_none_or(|from| arrival.at > from))
            .count()
    }
}

/// The verdict over everything in these topics, kept in the stage's directory with the logs it was made from.
pub(crate) async fn judge(stage: &Stage, topics: &[String], committed: &[Truth]) -> Verdict {
    let logs = Logs {
        truth: committed.to_vec(),
        seen: read_all(&stage.kafka.brokers, topics)
            .iter()
            .map(Record::seen)
            .collect(),
        letters: letters(&stage.database).await,
    };
    let verdict = logs.judge();
    println!("{}: {verdict}", stage.name);
    stage.note("verdict.txt", &verdict.to_string());
    if !verdict.is_clean() {
        logs.save(&stage.dir);
    }
    verdict
}

/// The relay's letters, open and closed.
pub(crate) async fn letters(database: &Database) -> Vec<Letter> {
    let sql = "select message_id, closed from twinbox.letter where side = 'relay'";
    let rows = database
        .owner()
        .await
        .query(sql, &[])
        .await
        .expect("table twinbox.letter");
    let state = |closed: Option<&str>| match closed {
        None => LetterState::Open,
        Some("delivered") => LetterState::Delivered,
        Some(_) => LetterState::Closed,
    };
    rows.iter()
        .map(|row| Letter {
            id: row.get(0),
            state: state(row.get(1)),
        })
        .collect()
}
