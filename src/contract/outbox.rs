//! The database side of one relay: who may act, what is to be sent, what is blocked.

use std::sync::Arc;
use std::time::Duration;

use super::{Boxed, Destinations, Held, Lease, LetterStore, Source, StoreError};
use crate::delivery::Failure;

/// What the holder of a lease works with.
pub struct Opened {
    /// Where messages come from.
    pub source: Box<dyn Source>,
    /// Where blocked lanes are kept.
    pub letters: Arc<dyn LetterStore>,
    /// What is remembered of destinations.
    pub destinations: Arc<dyn Destinations>,
    /// What is tidied beside the work.
    pub upkeep: Arc<dyn Upkeep>,
    /// Something that happened to the source since it was last open, survived, to be told (a promotion, for example).
    pub told: Vec<StoreError>,
}

/// One relay's place in a database.
///
/// # Promises
/// * **P1** `lease` does no I/O.
/// * **P2** What `open` returns writes only under the fence of the given lease; after another holder acquired it, every
///   write answers [`StoreError::Fenced`] and changes nothing.
/// * **P3** `open` finds what the last holder left and goes on from there (Source P3).
///
/// # The caller promises
/// `open` only with a lease that it holds.
///
/// # Cancellation
/// A dropped `open` may be called again.
///
/// # Errors
/// As for a source.
///
/// # What the suite checks
/// P2, P3.
pub trait Outbox: Send + Sync {
    /// A lease on this relay's name, not yet taken. Each call is a holder of its own.
    fn lease(&self) -> Box<dyn Lease>;

    /// Opens source and letters under a lease.
    fn open(&self, held: &Held) -> Boxed<'_, Result<Opened, StoreError>>;
}

/// What a step of upkeep left.
#[derive(Debug, Clone)]
pub struct Tidied {
    /// How long to wait before the next.
    pub wait: Duration,
    /// What kept it from something, though nothing failed: others hold a lock. To be told if it goes on.
    pub held_up: Option<Failure>,
}

/// What is done to the store again and again while a lease is held, and nobody waits for: deleting what is settled and old.
///
/// # Promises
/// * **P1** A step touches only what every relay has settled and no retention keeps, and only under the fence.
/// * **P2** Nobody waits for a sweep.
///
/// # The caller promises
/// One step or sweep at a time.
///
/// # Cancellation
/// A dropped step or sweep may have been done; dropping it loses nothing.
///
/// # Errors
/// As for a source.
///
/// # What the suite checks
/// P1.
pub trait Upkeep: Send + Sync {
    /// One short step.
    fn step(&self) -> Boxed<'_, Result<Tidied, StoreError>>;

    /// The part of a step for which nobody waits, while the next step has to: after how long there is more of it, if so.
    fn sweep(&self) -> Boxed<'_, Result<Option<Duration>, StoreError>>;
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("told", &self.told)
            .finish_non_exhaustive()
    }
}
