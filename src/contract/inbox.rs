//! The database side of a consumer: what is done, how far, and who may act.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use uuid::Uuid;

use super::{Boxed, LetterStore, StoreError, StreamName};
use crate::delivery::{Failure, LaneName};
use crate::message::Message;

/// Who may act for one stream of a consumer: the fence of everything that is written for it.
///
/// Each effect transaction raises the counter of the position row and requires it to be at least the highest that was seen
/// committed (S21): a database that went back behind our effects is noticed by the next one.
#[derive(Debug)]
pub struct Fence {
    /// The stream.
    pub stream: StreamName,
    /// The number that fences whoever had it before.
    pub epoch: i64,
    /// A random name of this holder (S16).
    pub holder: Uuid,
    seen: AtomicI64,
}

/// What a message is remembered by in the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// The event's id, or a business key's.
    pub id: Uuid,
    /// 0, or the number of a reprocessing that covers it (S25).
    pub replay_epoch: i32,
}

/// How a message is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Its effect is durable.
    Done,
    /// A person or a verdict gave it up: it is not to be done any more (S4).
    Dropped,
}

/// A message that is given up for good, with why.
#[derive(Debug, Clone)]
pub struct Burial {
    /// It.
    pub message: Message,
    /// Its lane.
    pub lane: LaneName,
    /// Attempts that counted.
    pub attempts: u32,
    /// Why.
    pub failure: Arc<Failure>,
}

/// What the last owner of a stream left signed (S23).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Claim {
    /// It may have called for everything below that offset.
    pub tried_to: i64,
    /// How many owners in a row died with a claim: the width is limit >> 3·care.
    pub care: u32,
    /// The offset that was tried alone when it died, and how often.
    pub alone: Option<(i64, u32)>,
}

/// A stream that was taken over.
pub struct Assumed {
    /// Who we are there.
    pub fence: Arc<Fence>,
    /// The next offset to read; none = there is no position of record, of this topic under any id.
    pub position: Option<i64>,
    /// The claim that a dead owner left; none after a clean hand-over.
    pub claim: Option<Claim>,
    /// The holder that signed it.
    pub signed_by: Option<Uuid>,
    /// How long the dead owner may still be calling: nothing is called before.
    pub wait: Duration,
    /// Its blocked lanes.
    pub blocked: Vec<LaneName>,
    /// Its letters.
    pub letters: Arc<dyn LetterStore>,
    /// Something to be told (a database that went back, for example); the stream goes on.
    pub told: Vec<StoreError>,
}

/// A stream that stands still until an operator accepts it (G8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// The pinned kind of the incident.
    pub kind: &'static str,
    /// The offset that should have been read next.
    pub from: i64,
    /// Where it goes on once it is accepted.
    pub go_on: i64,
    /// Everything below is settled; none: nothing was read.
    pub mark: Option<i64>,
}

/// How far the inbox's memory reaches back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// An id that is remembered stays so for at least that long from now.
    pub retention: Duration,
    /// The oldest generation that is kept began so long ago.
    pub reaches: Duration,
}

/// One consumer's place in a database.
///
/// # Promises
/// * **P1** `assume` fences whoever had the stream before: its writes answer [`StoreError::Fenced`] and change nothing.
/// * **P2** After `record`, `known` answers yes until the retention ends, across rotations.
/// * **P3** The position never goes back but by an operator's rewind; it is never above an effect that is not durable.
/// * **P4** A claim stays until it is yielded: a successor finds it.
/// * **P5** `bury` is one transaction: the letter, closed as dead, and the inbox row `dropped`.
/// * **P6** A stream that an operator moved is in `moved`, with an epoch above its owner's, until it is assumed again.
///
/// # The caller promises
/// Marks and claims only under a fence that it got; one call per stream at a time, but for `known`.
///
/// # Cancellation
/// A dropped future has an unknown outcome; every call may be made again.
///
/// # Errors
/// [`StoreError::Fenced`]: the stream is another owner's, or the database went back: assume it again, or let it go.
///
/// # What the suite checks
/// P1–P6.
pub trait Inbox: Send + Sync {
    /// Takes a stream over: a new epoch, then its position, claim and lanes.
    fn assume(&self, stream: &StreamName) -> Boxed<'_, Result<Assumed, StoreError>>;

    /// Writes where a stream without a position of record begins, before its first fetch (S22).
    fn begin<'a>(&'a self, fence: &'a Fence, first: i64) -> Boxed<'a, Result<(), StoreError>>;

    /// Signs that everything below `claim.tried_to` may be called for from now on, at most for the given time.
    fn claim<'a>(&'a self, fence: &'a Fence, claim: Claim, time: Duration) -> Boxed<'a, Result<(), StoreError>>;

    /// Writes the next offset to read.
    fn mark<'a>(&'a self, fence: &'a Fence, mark: i64) -> Boxed<'a, Result<(), StoreError>>;

    /// Writes the mark and clears the claim: a clean hand-over. The claims of lanes are signed off with it (S39).
    ///
    /// `legacy` is left in its place: what others died of and what still lies ahead. Nobody waits for it.
    fn yield_to_next<'a>(
        &'a self,
        fence: &'a Fence,
        mark: Option<i64>,
        legacy: Option<Claim>,
    ) -> Boxed<'a, Result<(), StoreError>>;

    /// Which of these are remembered, done or dropped.
    fn known(&self, ids: Vec<Identity>) -> Boxed<'_, Result<HashSet<Identity>, StoreError>>;

    /// Remembers; what is remembered already stays as it is.
    fn record<'a>(&'a self, fence: &'a Fence, ids: Vec<Identity>, how: Known) -> Boxed<'a, Result<(), StoreError>>;

    /// Gives messages up for good.
    fn bury<'a>(&'a self, fence: &'a Fence, burials: Vec<Burial>) -> Boxed<'a, Result<(), StoreError>>;

    /// Writes why the stream stands still, for whoever accepts it.
    fn stop<'a>(&'a self, fence: &'a Fence, stop: Stop) -> Boxed<'a, Result<(), StoreError>>;

    /// Streams that an operator moved, with their epochs.
    fn moved(&self) -> Boxed<'_, Result<BTreeMap<StreamName, i64>, StoreError>>;

    /// Keeps generations: one short step; answers how long to wait before the next.
    fn tidy(&self) -> Boxed<'_, Result<Duration, StoreError>>;

    /// How far the memory reaches.
    fn memory(&self) -> Boxed<'_, Result<Memory, StoreError>>;
}

// === impl Fence ===

impl Fence {
    /// The fence of an owner whose position row has that counter.
    #[must_use]
    pub fn new(stream: StreamName, epoch: i64, counter: i64) -> Self {
        Self {
            stream,
            epoch,
            holder: Uuid::new_v4(),
            seen: AtomicI64::new(counter),
        }
    }

    /// The same for a holder whose name is in the position row already.
    #[must_use]
    pub fn held_by(mut self, holder: Uuid) -> Self {
        self.holder = holder;
        self
    }

    /// The highest counter that was seen committed.
    #[must_use]
    pub fn seen(&self) -> i64 {
        self.seen.load(Ordering::Acquire)
    }

    /// A transaction that set the counter to that has committed.
    pub fn committed(&self, counter: i64) {
        self.seen.fetch_max(counter, Ordering::AcqRel);
    }
}

// === impl Claim ===

impl Claim {
    /// What is left of it for the process that signed it and has heard everything out: only what others died of before.
    #[must_use]
    pub fn outlived(self) -> Option<Self> {
        let care = self.care.checked_sub(1)?;
        let alone = self.alone.map(|(at, times)| (at, times.saturating_sub(1)));
        Some(Self { care, alone, ..self })
    }
}

// === impl Identity ===

impl Identity {
    /// What a delivered message is remembered by.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        Self {
            id: message.origin.as_ref().map_or(message.id, |origin| origin.identity),
            replay_epoch: message.replay.unwrap_or_default().cast_signed(),
        }
    }
}

impl std::fmt::Debug for Assumed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assumed")
            .field("fence", &self.fence)
            .field("position", &self.position)
            .field("claim", &self.claim)
            .finish_non_exhaustive()
    }
}
