//! The heartbeat of a loop: how the process knows that its own loops still turn.
//!
//! Promises: a beat is one relaxed store; a loop that waits for an outage to end still beats, so liveness speaks of our
//! own loops and never of a dependency.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A loop's pulse; clones share it. The loop beats, the admin port looks.
#[derive(Debug, Clone)]
pub struct Pulse {
    since: Instant,
    beat_ms: Arc<AtomicU64>,
}

// === impl Pulse ===

impl Pulse {
    /// A pulse that has beaten `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            since: now,
            beat_ms: Arc::new(AtomicU64::new(0)),
        }
    }

    /// The loop turned at `now`.
    pub fn beat(&self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.since).as_millis();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        // Relaxed: one number that orders nothing else.
        self.beat_ms.fetch_max(elapsed, Ordering::Relaxed);
    }

    /// For how long the loop has not turned, as of `now`.
    #[must_use]
    pub fn silence(&self, now: Instant) -> Duration {
        let beat = Duration::from_millis(self.beat_ms.load(Ordering::Relaxed));
        now.saturating_duration_since(self.since + beat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an instant can only be had from the clock")]
    fn silence_is_counted_from_the_last_beat_of_any_clone() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let pulse = Pulse::new(start);
        assert_eq!(pulse.silence(after(3)), Duration::from_secs(3));
        pulse.clone().beat(after(5));
        pulse.beat(after(2));
        assert_eq!(pulse.silence(after(6)), Duration::from_secs(1));
        assert_eq!(pulse.silence(after(4)), Duration::ZERO);
    }
}
