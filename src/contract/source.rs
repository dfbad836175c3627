//! Where committed messages come from.

use std::time::Duration;

use super::{Boxed, StoreError};
use crate::message::{Message, Position};

/// How much the engine can take now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Messages.
    pub messages: usize,
    /// Bytes of [`Content::cost`](crate::message::Content::cost).
    pub bytes: usize,
}

/// What one reading brought.
#[derive(Debug, Default)]
pub struct Page {
    /// Messages in position order, above all that came before.
    pub messages: Vec<Message>,
    /// More is known to wait behind them: read on at once.
    pub more: bool,
}

/// What is settled: everything at or below `read`, except `rest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The newest position that the engine has been given.
    pub read: Position,
    /// The positions at or below `read` that are not settled, ascending.
    pub rest: Vec<Position>,
}

/// What waits in the source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Messages that are not settled yet.
    pub messages: u64,
    /// Age of the oldest of them, by the source's clock.
    pub oldest_age: Duration,
}

/// A source of committed messages under a lease.
///
/// # Promises
/// * **P1** Positions strictly increase over all pages of one opening.
/// * **P2** Nothing that did not commit is ever in a page, and everything that commits is, once.
/// * **P3** After a crash and a new opening, every message that no [`Source::confirm`] called settled comes again, with
///   the same position and the same bytes, in the same order.
/// * **P4** `confirm` is idempotent and monotone. What it calls settled may be forgotten; nothing else ever is.
/// * **P5** Messages of a page fit into the [`Room`]. A message that is larger than any room (the budget as a whole, which
///   the source was told) comes with its body withheld; one that is only larger than this room makes an empty page with
///   `more`: ask again with more room.
///
/// # The caller promises
/// One call at a time; a `Progress` whose `rest` names only positions that it was given; no call after `close`.
///
/// # Cancellation
/// `idle` may be dropped at any time. The other futures are awaited to their end; dropping one loses nothing, but the
/// source must be opened again, under a lease acquired anew (S16). So it is after [`StoreError::Away`] whose outcome is
/// unknown: the source then answers `Away` to everything.
///
/// # Errors
/// [`StoreError::Fenced`]: the lease is lost. [`StoreError::Away`]: try again with backoff. [`StoreError::Incident`]:
/// stop, tell, wait for an operator.
///
/// # What the suite checks
/// P1–P5, on every source, with interleaved and rolled-back writers and a re-opening in the middle.
pub trait Source: Send {
    /// Reads what has committed, up to `room`; an empty page when there is nothing.
    fn next(&mut self, room: Room) -> Boxed<'_, Result<Page, StoreError>>;

    /// Waits until something may be there, at most `at_most`. A hint, never a promise.
    fn idle(&mut self, at_most: Duration) -> Boxed<'_, ()>;

    /// Takes note of what is settled.
    fn confirm(&mut self, progress: Progress) -> Boxed<'_, Result<(), StoreError>>;

    /// Counts what waits. Bounded work: the count may be an estimate above 100,000.
    fn probe(&mut self) -> Boxed<'_, Result<Backlog, StoreError>>;

    /// Ends the opening; forgets nothing.
    fn close(self: Box<Self>) -> Boxed<'static, ()>;
}
