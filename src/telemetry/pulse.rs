//! The heartbeat of a loop: how the process knows that its own loops still turn.
//!
//! Promises: a beat is one relaxed store; a loop that waits for an outage to end still beats, so liveness speaks of our
//! own loops and never of a dependency; a loop that does not run is not silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Instead of a beat: the loop does not run.
const STOPPED: u64 = u64::MAX;

/// The loop runs; dropping this says that it does not any more.
#[derive(Debug)]
pub struct Running(Pulse);

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

    /// The pulse of a loop that does not run yet; time is counted from `now`.
    #[must_use]
    pub fn stopped(now: Instant) -> Self {
        let pulse = Self::new(now);
        pulse.beat_ms.store(STOPPED, Ordering::Relaxed);
        pulse
    }

    /// The loop begins at `now`, and runs until the answer is dropped.
    #[must_use]
    pub fn running(&self, now: Instant) -> Running {
        self.beat_ms.store(self.elapsed(now), Ordering::Relaxed);
        Running(self.clone())
    }

    /// The loop turned at `now`.
    pub fn beat(&self, now: Instant) {
        // Relaxed: one number that orders nothing else.
        self.beat_ms.fetch_max(self.elapsed(now), Ordering::Relaxed);
    }

    fn elapsed(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.since).as_millis();
        u64::try_from(elapsed).unwrap_or(STOPPED)
    }

    /// For how long the loop has not turned, as of `now`.
    #[must_use]
    pub fn silence(&self, now: Instant) -> Duration {
        match self.beat_ms.load(Ordering::Relaxed) {
            STOPPED => Duration::ZERO,
            beat => now.saturating_duration_since(self.since + Duration::from_millis(beat)),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.beat_ms.store(STOPPED, Ordering::Relaxed);
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

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an instant can only be had from the clock")]
    fn a_loop_that_does_not_run_is_not_silent() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let pulse = Pulse::stopped(start);
        assert_eq!(pulse.silence(after(100)), Duration::ZERO);
        let running = pulse.running(after(100));
        assert_eq!(pulse.silence(after(103)), Duration::from_secs(3));
        drop(running);
        assert_eq!(pulse.silence(after(200)), Duration::ZERO);
        let _running = pulse.running(after(200));
        assert_eq!(pulse.silence(after(201)), Duration::from_secs(1), "it begins anew");
    }
}
