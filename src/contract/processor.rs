//! Who makes a message's effect durable.

use std::sync::Arc;

use super::{Boxed, Fence, Finding, Outbound};
use crate::delivery::Failure;

/// Messages of one stream, to be done together: runs of many lanes, each lane's in order.
#[derive(Debug, Clone)]
pub struct Work {
    /// Who asks.
    pub fence: Arc<Fence>,
    /// Everything below that offset is settled: written beside the effects.
    pub mark: Option<i64>,
    /// The messages.
    pub messages: Vec<Outbound>,
}

/// What became of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Processed {
    /// Effect and dedupe record are durable: together, or in the documented order of two phases.
    Done,
    /// It was done or dropped before: nothing was called.
    Duplicate,
    /// It stood behind a failure of its lane and was not tried; burns no attempt.
    Held,
    /// It failed; the kind says how: an unknown outcome is a transient failure, never `Done`.
    Failed(Arc<Failure>),
    /// The stream is not ours any more (or the database went back, S21): nothing was made durable.
    Fenced,
}

/// What a processor takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Messages of one batch.
    pub batch: usize,
    /// Messages of one lane in a batch.
    pub run: u32,
    /// Batches that may be under way at once, over all streams.
    pub concurrency: usize,
}

/// The only thing that a consumer engine calls.
///
/// # Promises
/// * **P1** One answer per message, in the batch's order.
/// * **P2** `Done` only once the effect is durable; after a crash at any point a message that was `Done` is a `Duplicate`.
/// * **P3** A failure stops its lane: what stands behind it in the batch is `Held` or failed itself, and has no effect.
/// * **P4** A failing message keeps no other lane's effect from becoming durable.
/// * **P5** Under a fence that does not hold nothing becomes durable.
///
/// # The caller promises
/// At most the capacity; a lane's messages in at most one batch at a time.
///
/// # Cancellation
/// `process` is awaited; where it is dropped, the outcome is unknown.
///
/// # Errors
/// Each message has its own answer.
///
/// # What the suite checks
/// P1–P5 on every processor.
pub trait Processor: Send + Sync {
    /// What it takes.
    fn capacity(&self) -> Capacity;

    /// Makes the effects durable.
    fn process(&self, work: Work) -> Boxed<'_, Vec<Processed>>;

    /// Looks at whether the handler could work at all, before the first message: a missing function, a wrong signature, a
    /// missing grant; an application that does not answer is no error.
    fn check(&self) -> Boxed<'_, Result<(), Failure>>;

    /// Whether the application answers its health probe; none where there is no probe.
    fn health(&self) -> Boxed<'_, Option<Result<(), Failure>>> {
        Box::pin(async { None })
    }

    /// What `doctor` should know.
    fn findings(&self) -> Boxed<'_, Vec<Finding>>;
}
