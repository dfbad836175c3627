//! An inbox in memory: position, claim, ids and letters of one stream, fenced as the real one is.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use twinbox::contract::{
    Assumed, Boxed, Burial, Claim, CloseRun, DueLane, Fence, Identity, Inbox, Kept, Known, Letter, LetterCounts,
    LetterId, LetterStore, Memory, Next, Stop, StoreError, StoreRun, StreamName,
};
use twinbox::delivery::{Cause, LaneName};
use twinbox::message::Message;
use uuid::Uuid;

/// One blocked lane.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) cause: Cause,
    pub(super) attempts: u32,
    pub(super) code: String,
    due: bool,
    pub(super) letters: Vec<(i64, Message)>,
}

#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) epoch: i64,
    pub(super) position: Option<i64>,
    pub(super) claim: Option<Claim>,
    pub(super) claims: Vec<Claim>,
    signed_by: Option<Uuid>,
    pub(super) done: HashSet<Identity>,
    pub(super) lanes: BTreeMap<LaneName, Row>,
    pub(super) buried: Vec<Burial>,
    last_letter: i64,
    /// Why the stream stands still.
    pub(super) stopped: Option<Stop>,
    /// An operator has moved the stream, and nobody took it over since.
    moved: bool,
    /// The database answers nothing.
    pub(super) away: bool,
}

/// The database of one consumer with one stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Database(Arc<Mutex<Tables>>);

struct Letters {
    database: Database,
    epoch: i64,
}

// === impl Database ===

impl Database {
    pub(super) fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().expect("no test panics with the tables in its hands")
    }

    fn fenced(&self, epoch: i64) -> Result<MutexGuard<'_, Tables>, StoreError> {
        let tables = self.tables();
        if tables.away {
            return Err(StoreError::Away(super::world::failure(
                twinbox::delivery::FailureKind::Unreachable,
            )));
        }
        if tables.epoch == epoch {
            Ok(tables)
        } else {
            Err(StoreError::Fenced)
        }
    }

    /// Makes all lanes due, as an operator's release does.
    pub(super) fn release(&self) {
        for row in self.tables().lanes.values_mut() {
            row.due = true;
        }
    }

    /// Moves the stream as an operator does.
    pub(super) fn put_at(&self, position: i64) {
        let mut tables = self.tables();
        tables.epoch += 1;
        (tables.position, tables.stopped, tables.moved) = (Some(position), None, true);
    }

    /// Effect and inbox row, under a fence.
    pub(super) fn effect(&self, fence: &Fence, identity: Identity) -> Option<bool> {
        let mut tables = self.tables();
        (tables.epoch == fence.epoch).then(|| tables.done.insert(identity))
    }
}

impl Inbox for Database {
    fn assume(&self, stream: &StreamName) -> Boxed<'_, Result<Assumed, StoreError>> {
        let stream = stream.clone();
        Box::pin(async move {
            let epoch = self.tables().epoch;
            let mut tables = self.fenced(epoch)?;
            tables.epoch += 1;
            (tables.moved, tables.stopped) = (false, None);
            Ok(Assumed {
                fence: Arc::new(Fence::new(stream, tables.epoch, 0)),
                position: tables.position,
                claim: tables.claim,
                signed_by: tables.signed_by,
                wait: Duration::ZERO,
                blocked: tables.lanes.keys().cloned().collect(),
                letters: Arc::new(Letters {
                    database: self.clone(),
                    epoch: tables.epoch,
                }),
                told: Vec::new(),
            })
        })
    }

    fn begin<'a>(&'a self, fence: &'a Fence, first: i64) -> Boxed<'a, Result<(), StoreError>> {
        self.mark(fence, first)
    }

    fn claim<'a>(&'a self, fence: &'a Fence, claim: Claim, _: Duration) -> Boxed<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut tables = self.fenced(fence.epoch)?;
            tables.claim = Some(claim);
            tables.claims.push(claim);
            tables.signed_by = Some(fence.holder);
            Ok(())
        })
    }

    fn mark<'a>(&'a self, fence: &'a Fence, mark: i64) -> Boxed<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut tables = self.fenced(fence.epoch)?;
            tables.position = tables.position.max(Some(mark));
            Ok(())
        })
    }

    fn yield_to_next<'a>(
        &'a self,
        fence: &'a Fence,
        mark: Option<i64>,
        legacy: Option<Claim>,
    ) -> Boxed<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut tables = self.fenced(fence.epoch)?;
            tables.position = tables.position.max(mark);
            tables.claim = legacy;
            Ok(())
        })
    }

    fn known(&self, ids: Vec<Identity>) -> Boxed<'_, Result<HashSet<Identity>, StoreError>> {
        Box::pin(async move {
            let tables = self.tables();
            Ok(ids.into_iter().filter(|id| tables.done.contains(id)).collect())
        })
    }

    fn record<'a>(&'a self, fence: &'a Fence, ids: Vec<Identity>, _: Known) -> Boxed<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.fenced(fence.epoch)?.done.extend(ids);
            Ok(())
        })
    }

    fn bury<'a>(&'a self, fence: &'a Fence, burials: Vec<Burial>) -> Boxed<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.fenced(fence.epoch)?.buried.extend(burials);
            Ok(())
        })
    }

    fn stop<'a>(&'a self, fence: &'a Fence, stop: Stop) -> Boxed<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut tables = self.fenced(fence.epoch)?;
            tables.position = tables.position.max(stop.mark);
            tables.stopped = Some(stop);
            Ok(())
        })
    }

    fn moved(&self) -> Boxed<'_, Result<BTreeMap<StreamName, i64>, StoreError>> {
        Box::pin(async move {
            let tables = self.tables();
            let name = StreamName {
                topic: "t".into(),
                partition: Some(0),
            };
            Ok(tables.moved.then(|| (name, tables.epoch)).into_iter().collect())
        })
    }

    fn tidy(&self) -> Boxed<'_, Result<Duration, StoreError>> {
        Box::pin(async { Ok(Duration::from_mins(1)) })
    }

    fn memory(&self) -> Boxed<'_, Result<Memory, StoreError>> {
        Box::pin(async {
            Ok(Memory {
                retention: Duration::from_hours(1),
                reaches: Duration::ZERO,
            })
        })
    }
}

// === impl Letters ===

impl Letters {
    fn keep(tables: &mut Tables, lane: &LaneName, messages: &[Message]) {
        for message in messages {
            tables.last_letter += 1;
            let letter = (tables.last_letter, message.clone());
            if let Some(row) = tables.lanes.get_mut(lane) {
                row.letters.push(letter);
            }
        }
    }
}

impl LetterStore for Letters {
    fn blocked(&self) -> Boxed<'_, Result<Vec<LaneName>, StoreError>> {
        Box::pin(async { Ok(self.database.tables().lanes.keys().cloned().collect()) })
    }

    fn store(&self, run: StoreRun) -> Boxed<'_, Result<Kept, StoreError>> {
        Box::pin(async move {
            let mut tables = self.database.fenced(self.epoch)?;
            let mut kept = Kept::default();
            for park in &run.parks {
                tables.lanes.entry(park.lane.clone()).or_insert(Row {
                    cause: park.cause,
                    attempts: park.attempts,
                    code: park.failure.code.to_string(),
                    due: false,
                    letters: Vec::new(),
                });
                Self::keep(&mut tables, &park.lane, &park.messages);
            }
            for append in &run.appends {
                if tables.lanes.contains_key(&append.lane) {
                    Self::keep(&mut tables, &append.lane, &append.messages);
                } else {
                    kept.live.push(append.lane.clone());
                }
            }
            Ok(kept)
        })
    }

    fn due(&self, _: usize, run: usize) -> Boxed<'_, Result<Vec<DueLane>, StoreError>> {
        Box::pin(async move {
            let mut tables = self.database.fenced(self.epoch)?;
            let mut due = Vec::new();
            for (lane, row) in tables.lanes.iter_mut().filter(|(_, row)| row.due) {
                row.due = false;
                let letters = row.letters.iter().take(run).map(|(id, message)| Letter {
                    id: LetterId(*id),
                    message: message.clone(),
                });
                due.push(DueLane {
                    lane: lane.clone(),
                    cause: row.cause,
                    attempts: row.attempts + u32::from(matches!(row.cause, Cause::Rejected | Cause::Resting)),
                    letters: letters.collect(),
                });
            }
            Ok(due)
        })
    }

    fn close(&self, runs: Vec<CloseRun>) -> Boxed<'_, Result<Vec<LaneName>, StoreError>> {
        Box::pin(async move {
            let mut tables = self.database.fenced(self.epoch)?;
            let mut free = Vec::new();
            for run in runs {
                let Some(row) = tables.lanes.get_mut(&run.lane) else {
                    continue;
                };
                row.letters.retain(|(id, _)| !run.delivered.contains(&LetterId(*id)));
                match run.next {
                    Next::Now => row.due = true,
                    Next::Rest { cause, attempts, .. } => (row.cause, row.attempts) = (cause, attempts),
                    Next::Dead { letter, .. } => {
                        row.letters.retain(|(id, _)| LetterId(*id) != letter);
                        row.due = true;
                    }
                }
                if row.letters.is_empty() {
                    tables.lanes.remove(&run.lane);
                    free.push(run.lane);
                }
            }
            Ok(free)
        })
    }

    fn count(&self) -> Boxed<'_, Result<LetterCounts, StoreError>> {
        Box::pin(async {
            let lanes = self.database.tables().lanes.len() as u64;
            Ok(LetterCounts {
                lanes,
                ..LetterCounts::default()
            })
        })
    }

    fn gone(&self, lanes: Vec<LaneName>) -> Boxed<'_, Result<Vec<LaneName>, StoreError>> {
        Box::pin(async move {
            let tables = self.database.tables();
            Ok(lanes
                .into_iter()
                .filter(|lane| !tables.lanes.contains_key(lane))
                .collect())
        })
    }
}
