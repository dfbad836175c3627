//! Where blocked lanes and their messages are kept.

use std::sync::Arc;
use std::time::Duration;

use super::{Boxed, Progress, StoreError};
use crate::delivery::{Cause, Failure, LaneName};
use crate::message::{Message, Position};

/// A stored message's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId(pub i64);

/// A lane to be blocked: everything it has, from its head (R10).
#[derive(Debug, Clone)]
pub struct Park {
    /// The lane.
    pub lane: LaneName,
    /// Why it is blocked.
    pub cause: Cause,
    /// When its head is tried again; none = when an operator releases it.
    pub due: Option<Duration>,
    /// Attempts made so far that speak of the head.
    pub attempts: u32,
    /// What happened to the head.
    pub failure: Arc<Failure>,
    /// All messages of the lane, head first.
    pub messages: Vec<Message>,
}

/// Messages that arrived behind a blocked lane.
#[derive(Debug, Clone)]
pub struct Append {
    /// The lane.
    pub lane: LaneName,
    /// The messages, in order.
    pub messages: Vec<Message>,
}

/// One transaction of the store.
#[derive(Debug, Clone)]
pub struct StoreRun {
    /// Lanes to block.
    pub parks: Vec<Park>,
    /// Successors of blocked lanes.
    pub appends: Vec<Append>,
    /// What is settled once this is stored; written in the same transaction.
    pub progress: Progress,
}

/// What became of the successors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Lanes whose row is gone (released to the end, or discarded): their successors were *not* stored and go out live.
    pub live: Vec<LaneName>,
}

/// One open letter with its message.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Its number.
    pub id: LetterId,
    /// The message as first read, with `replay` = 0.
    pub message: Message,
}

/// A blocked lane whose time has come, claimed by the caller.
#[derive(Debug, Clone)]
pub struct DueLane {
    /// The lane.
    pub lane: LaneName,
    /// Why it was blocked.
    pub cause: Cause,
    /// Attempts counted, this one included where the cause counts.
    pub attempts: u32,
    /// Its first open letters, in place order.
    pub letters: Vec<Letter>,
}

/// What happens to a lane after its letters were tried.
#[derive(Debug, Clone)]
pub enum Next {
    /// Go on at once with what is left; a lane with nothing left becomes live.
    Now,
    /// Rest.
    Rest {
        /// Why.
        cause: Cause,
        /// Until when; none = until an operator releases it.
        due: Option<Duration>,
        /// Attempts that count.
        attempts: u32,
        /// What happened to the head.
        failure: Arc<Failure>,
    },
    /// The head goes to the broker's dead-letter destination, which has taken it: closed as dead, go on.
    Dead {
        /// The head.
        letter: LetterId,
        /// What happened to it.
        failure: Arc<Failure>,
    },
}

/// The outcome of a due lane's run.
#[derive(Debug, Clone)]
pub struct CloseRun {
    /// The lane.
    pub lane: LaneName,
    /// Letters that are durable at the broker: a prefix of the open ones.
    pub delivered: Vec<LetterId>,
    /// What follows.
    pub next: Next,
}

/// How many there are, by what people see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LetterCounts {
    /// Blocked lanes.
    pub lanes: u64,
    /// Letters that wait for a person.
    pub parked: u64,
    /// Letters that wait behind another one of their lane.
    pub queued: u64,
    /// Letters that wait for their destination.
    pub deferred: u64,
    /// Letters that wait for their next attempt.
    pub scheduled: u64,
    /// Letters that went to a dead-letter destination.
    pub dead: u64,
}

// === impl Park ===

impl Park {
    /// Where its messages stand.
    #[must_use]
    pub fn positions(&self) -> Vec<Position> {
        self.messages.iter().map(|message| message.position).collect()
    }
}

// === impl Append ===

impl Append {
    /// Where its messages stand.
    #[must_use]
    pub fn positions(&self) -> Vec<Position> {
        self.messages.iter().map(|message| message.position).collect()
    }
}

/// The stored messages of blocked lanes.
///
/// # Promises
/// * **P1** A lane is blocked exactly while its row exists, across restarts.
/// * **P2** `store` is one transaction: all of it or nothing; a message that is stored already is not stored twice.
/// * **P3** Letters of a lane come back in place order, with the bytes of the row.
/// * **P4** A due lane is given to one caller at a time; the claim ends by itself after the call's deadline.
/// * **P5** A letter is closed only by `close` and by an operator; releasing only makes a lane due (S3).
/// * **P6** A dropped letter's message is struck from what a source brings again (S4).
/// * **P7** `count` and `gone` change nothing, claims of lanes neither.
///
/// # The caller promises
/// It is the fenced owner; it stores a lane whole, from its head; it handles no lane in two calls at once.
///
/// # Cancellation
/// A dropped future has an unknown outcome: acquire the lease again and load `blocked` afresh.
///
/// # Errors
/// As for a source.
///
/// # What the suite checks
/// P1–P7, with a second caller and with an operator who releases and discards in between.
pub trait LetterStore: Send + Sync {
    /// All blocked lanes of this owner. Called after the lease was taken, before the first message is read.
    fn blocked(&self) -> Boxed<'_, Result<Vec<LaneName>, StoreError>>;

    /// Blocks lanes and appends successors.
    fn store(&self, run: StoreRun) -> Boxed<'_, Result<Kept, StoreError>>;

    /// Claims due lanes, at most `lanes`, with at most `run` letters each.
    fn due(&self, lanes: usize, run: usize) -> Boxed<'_, Result<Vec<DueLane>, StoreError>>;

    /// Closes what was delivered; answers the lanes that are not blocked any more.
    fn close(&self, runs: Vec<CloseRun>) -> Boxed<'_, Result<Vec<LaneName>, StoreError>>;

    /// Counts what is stored of this owner. Its cost grows with the number of letters: ask rarely.
    fn count(&self) -> Boxed<'_, Result<LetterCounts, StoreError>>;

    /// Which of these lanes are not blocked any more.
    fn gone(&self, lanes: Vec<LaneName>) -> Boxed<'_, Result<Vec<LaneName>, StoreError>>;
}
