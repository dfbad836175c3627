//! A broker as an engine sees it: something that opens publishers and knows its own weaknesses.

use std::sync::Arc;

use super::{Boxed, Publisher, Remembered};
use crate::delivery::{Address, Capabilities, Failure};
use crate::message::Message;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// As it should be.
    Ok,
    /// Could not be asked; never reported as ok.
    Skip,
    /// Works, but a promise is weaker than it could be.
    Warn,
    /// Will not work.
    Fail,
}

/// One answer of `doctor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Stable name, such as `KAFKA-TOPIC`.
    pub id: &'static str,
    /// How bad.
    pub grade: Grade,
    /// What was seen.
    pub observed: String,
    /// What is expected, when it is not ok.
    pub expected: String,
    /// What to paste, when it is not ok.
    pub fix: String,
}

/// A message that was rejected, on its way to a dead-letter destination.
#[derive(Debug, Clone, Copy)]
pub struct Rejection<'a> {
    /// What was rejected.
    pub message: &'a Message,
    /// Where it was to go.
    pub from: &'a Address,
    /// Why it did not.
    pub failure: &'a Failure,
    /// Attempts that counted.
    pub attempts: u32,
}

/// The headers by which a broker's world tells what happened to a dead letter. Pure.
pub type RejectionHeaders = fn(&Rejection<'_>) -> Arc<[(Box<str>, Box<str>)]>;

/// One configured broker.
///
/// # Promises
/// * **P1** Opening may do I/O but spawns nothing that outlives the publisher.
/// * **P2** Capabilities are constant, and true of every destination of this broker.
/// * **P3** `findings` changes nothing on the broker.
///
/// # The caller promises
/// At most one publisher of a relay at a time; the old one is closed before the next is opened.
///
/// # Cancellation
/// Both futures may be dropped.
///
/// # Errors
/// A [`Failure`] that says whether it is worth trying again.
///
/// # What the suite checks
/// P2 against what the backend's test pins.
pub trait Broker: Send + Sync {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// How a dead letter is described in this broker's world.
    fn rejection_headers(&self) -> RejectionHeaders;

    /// What earlier publishers saw, as the caller kept it (S14); the next `publisher` starts from it. Without it, it
    /// starts from what the broker shows.
    fn remember(&self, known: Vec<Remembered>) {
        drop(known);
    }

    /// Opens a publisher. A broker that is away is no error here: its publisher's receipts say so.
    fn publisher(&self) -> Boxed<'_, Result<Arc<dyn Publisher>, Failure>>;

    /// What `doctor` should know; `destinations` are those that the relay is known to write to.
    fn findings(&self, destinations: Vec<crate::delivery::Destination>) -> Boxed<'_, Vec<Finding>>;
}
