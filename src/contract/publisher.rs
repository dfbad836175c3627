//! Where messages go.

use std::sync::Arc;
use std::time::Duration;

use super::{Boxed, Outlook};
use crate::delivery::{Address, Failure};
use crate::message::Message;

/// The caller's name for one message in flight; it comes back with the receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One message with its address, on its way to a broker.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// The caller's name for it.
    pub ticket: Ticket,
    /// What is sent.
    pub message: Message,
    /// Where it is sent.
    pub address: Address,
    /// Which attempt this is, of those that counted: 1 at first.
    pub attempt: u32,
}

/// What became of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    /// The broker has it, under the settings that the promise asks for.
    Durable,
    /// It failed; an unknown outcome is a transient failure, never `Durable`.
    Failed(Arc<Failure>),
    /// It stood behind a failure of its lane and was not sent; burns no attempt.
    NotAttempted,
}

/// A receipt with the ticket it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The message.
    pub ticket: Ticket,
    /// What became of it.
    pub receipt: Receipt,
}

/// Hands batches to a broker and reports what became of each message.
///
/// Receipts are a stream beside the batches, not the answer of a batch: a batch carries many lanes, and a partition
/// without a leader must not withhold the answers of all others (S9).
///
/// # Promises
/// * **P1** Every ticket is answered exactly once: by `receipts`, or by `close`, which answers what is left.
/// * **P2** `Durable` only after the broker acknowledged it under the settings of DESIGN §7.
/// * **P3** A failure stops its lane: of the messages of one lane in one batch that stand behind a failed one, none is
///   sent first; they are `NotAttempted` or failed themselves.
/// * **P4** Messages of a lane reach the broker in the order of the batch, up to duplicates of unknown outcomes.
/// * **P5** Bytes of payload, key and headers arrive unchanged, with the position and the trace context of the row.
/// * **P6** A message that the destination can never take fails as [`Message`](crate::delivery::FailureKind::Message)
///   before anything of its lane behind it is sent; a destination that does not exist fails as
///   [`Destination`](crate::delivery::FailureKind::Destination), and nothing is created.
///
/// # The caller promises
/// A ticket is used once per publisher; messages of a lane are in position order; a lane's next messages are handed
/// over only when all earlier ones are answered; at most the capability's `run_max` messages of a lane in a batch.
///
/// # Cancellation
/// `publish` and `receipts` may be dropped while they wait; no receipt is lost. `close` is awaited.
///
/// # Errors
/// None for a batch: each message has its own receipt.
///
/// # What the suite checks
/// P1–P6 on every backend, with rejected, oversized and unroutable messages among good ones.
pub trait Publisher: Send + Sync {
    /// Hands the batch over; returns when the client has taken it, not when it is durable.
    fn publish(&self, batch: Vec<Outbound>) -> Boxed<'_, ()>;

    /// Waits for the next receipts, at least one; after `close` there are none, and it answers at once.
    fn receipts(&self) -> Boxed<'_, Vec<Answer>>;

    /// Sends nothing more: purges what is queued, waits at most `deadline` for what is on the wire, and answers all that
    /// is left, unknown outcomes as transient failures.
    fn close(&self, deadline: Duration) -> Boxed<'_, Vec<Answer>>;

    /// What was seen since the last call, beside receipts. Cheap: asked at every tick.
    ///
    /// While a broker is away, receipts stay out; this is how the caller learns why.
    fn outlook(&self) -> Outlook {
        Outlook::default()
    }
}
