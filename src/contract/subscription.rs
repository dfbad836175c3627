//! Where deliveries come from.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Boxed, Finding, Health, Incident, Page, Room};
use crate::delivery::Failure;

/// One ordered stream of deliveries: a partition of a topic, or a queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName {
    /// Topic or queue.
    pub topic: Arc<str>,
    /// Partition, where the broker has them.
    pub partition: Option<i32>,
}

/// Where a consumer without a position of record begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Start {
    /// With the oldest that is kept.
    #[default]
    Earliest,
    /// With what comes from now on.
    Latest,
    /// With the first that the broker stored at or after that time.
    At(Timestamp),
}

/// Where a stream is to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// There is no position of record.
    Start(Start),
    /// The next offset to read, as the position of record has it.
    Offset(i64),
}

/// Whether a stream is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// As long as nothing else is said.
    Ours,
    /// To be given up: finish what is in flight within that time, and release.
    Revoked(Duration),
    /// Somebody else has it already: whatever is told to the broker now speaks of another's work.
    Lost,
}

/// How far a stream is behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// Messages between the next one to settle and the newest; an estimate where the broker counts none.
    pub messages: u64,
    /// The broker's time of the oldest delivery that is not settled, while one is known.
    pub oldest: Option<Timestamp>,
}

/// Something about a subscription as a whole.
#[derive(Debug)]
pub enum Happening {
    /// Streams that are ours from now on. Nothing of them is read before [`Stream::begin`].
    Assigned(Vec<Box<dyn Stream>>),
    /// Something that must be told (G8), each once.
    Told(Incident),
    /// Whether the broker can be reached has changed.
    Health(Health),
    /// The client is dead and cannot go on: subscribe anew.
    Ended(Failure),
}

/// Deliveries of the streams that a broker assigns to this member.
///
/// # Promises
/// * **P1** Every message of an assigned stream is delivered, in the stream's order, until it is settled; an unsettled one
///   comes back to whoever has the stream next.
/// * **P2** What the broker is told is a function of what was settled: nothing above a mark is ever committed, acknowledged or
///   deleted.
/// * **P3** A stream that is revoked goes on being ours until it is released or its time is over; the other streams flow on.
/// * **P4** `close` releases everything and leaves the group.
///
/// # The caller promises
/// One `next` at a time; it polls `next` for as long as it wants to stay a member.
///
/// # Cancellation
/// `next` may be dropped; nothing is lost. `close` is awaited.
///
/// # Errors
/// None: an outage is a [`Happening`].
///
/// # What the suite checks
/// P1–P4, with two members of one group.
pub trait Subscription: Send + Sync {
    /// Waits for what happens next.
    fn next(&self) -> Boxed<'_, Happening>;

    /// Leaves: what is settled is committed, within the deadline.
    fn close(&self, deadline: Duration) -> Boxed<'_, ()>;
}

/// One assigned stream.
///
/// # Promises
/// * **P1** Positions of a stream strictly increase; their `major` is the offset, where the broker has one, and their epoch
///   is 0: the caller's history stands in the position of record.
/// * **P2** `next` answers no more than the room, but at least one message when one is there: a message that is larger than
///   any room comes alone.
/// * **P3** A message whose envelope cannot be read comes all the same, with its bytes as received and the flaw in its origin.
/// * **P4** While nobody calls `next`, nothing more than a bounded number of messages and bytes is held, and membership goes on.
/// * **P5** `fate` never goes back from lost.
///
/// # The caller promises
/// `begin` first, once; one `next` at a time; marks never go back.
///
/// # Cancellation
/// `next` and `changed` may be dropped; nothing is lost.
///
/// # Errors
/// [`StreamError`].
///
/// # What the suite checks
/// P1–P5, with malformed messages among good ones, and a slow reader.
pub trait Stream: Send + Sync + std::fmt::Debug {
    /// Its name.
    fn name(&self) -> &StreamName;

    /// Seeks and begins to fetch; answers the offset at which it begins, resolved (S22): the caller writes it down before it
    /// calls `next`.
    fn begin(&self, from: Begin) -> Boxed<'_, Result<i64, StreamError>>;

    /// Waits for the next messages.
    fn next(&self, room: Room) -> Boxed<'_, Result<Page, StreamError>>;

    /// Everything below that offset is settled. Told to the broker soon, and surely at the release.
    fn settle(&self, mark: i64);

    /// Whether it is still ours.
    fn fate(&self) -> Fate;

    /// Waits until the fate has changed.
    fn changed(&self) -> Boxed<'_, ()>;

    /// How far it is behind.
    fn lag(&self) -> Lag;

    /// Gives it up: the broker knows the last mark when this ends, or the deadline has passed. Dropping it instead gives it up
    /// without a word.
    fn release(self: Box<Self>, deadline: Duration) -> Boxed<'static, ()>;
}

/// Why a stream does not go on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StreamError {
    /// It is somebody else's.
    #[error("the stream is not ours any more")]
    Lost,
    /// Passing: ask again.
    #[error("{0}")]
    Away(Failure),
    /// What should be read is not there (G8): stop this stream, tell, wait for an operator.
    #[error("{}", .0.sentence)]
    Incident(Incident),
}

/// One configured broker, as a consumer sees it.
///
/// # Promises
/// * **P1** `subscribe` may do I/O but spawns nothing that outlives the subscription.
/// * **P2** `findings` changes nothing on the broker and joins no group.
///
/// # The caller promises
/// At most one subscription at a time; the old one is closed before the next is opened.
///
/// # Cancellation
/// Both futures may be dropped.
///
/// # Errors
/// A [`Failure`] that says whether it is worth trying again.
///
/// # What the suite checks
/// With the subscription.
pub trait Subscriber: Send + Sync {
    /// Joins. A broker that is away is no error here: the subscription says so.
    fn subscribe(&self) -> Boxed<'_, Result<Arc<dyn Subscription>, Failure>>;

    /// What `doctor` should know.
    fn findings(&self) -> Boxed<'_, Vec<Finding>>;
}

// === impl StreamName ===

impl std::fmt::Display for StreamName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.topic)?;
        match self.partition {
            Some(partition) => write!(f, "/{partition}"),
            None => Ok(()),
        }
    }
}
