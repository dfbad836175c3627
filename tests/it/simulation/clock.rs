//! Virtual time: microseconds since a world began, mapped onto the `Instant`s that the reducer reads.

use std::time::{Duration, Instant};

/// Microseconds since the world began.
pub(super) type Time = u64;

pub(super) const MILLISECOND: Time = 1_000;
pub(super) const SECOND: Time = 1_000 * MILLISECOND;

/// One real instant that all virtual ones are counted from; nothing depends on which.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(Instant);

// === impl Clock ===

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "an origin is needed, and any will do")]
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }

    pub(super) fn at(&self, time: Time) -> Instant {
        self.0 + Duration::from_micros(time)
    }

    /// Rounded up, so that what is due at an instant is due when its time comes.
    pub(super) fn time(&self, at: Instant) -> Time {
        micros(at.saturating_duration_since(self.0))
    }
}

/// A duration in virtual time, rounded up.
pub(super) fn micros(duration: Duration) -> Time {
    duration.as_nanos().div_ceil(1_000) as Time
}
