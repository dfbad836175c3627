//! The heartbeat of a loop: how the process knows that its own loops still turn.
//!
//! Promises: a beat is one relaxed store; a loop that waits for an outage to end still beats, so liveness speaks of our
//! own loops and never of a dependency; a loop that does not run is not silent; a run that hangs stays silent, whatever
//! the loop's next run does.
//!
//! # Why each run has a beat of its own
//!
//! A term that ends aborts its tasks, and a hanging one does not hear of it: the next term's task runs beside it. With
//! one beat for both, the second would speak for the first.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A loop's pulse; clones share it. The loop's runs beat, the admin port looks.
#[derive(Debug, Clone, Default)]
pub struct Pulse {
    /// One, as a rule; more while runs hang that were told to end.
    runs: Arc<Mutex<Vec<Arc<Beat>>>>,
}

/// The loop runs; dropping this says that this run does not any more.
#[derive(Debug)]
pub struct Running {
    pulse: Pulse,
    beat: Arc<Beat>,
}

#[derive(Debug)]
struct Beat {
    began: Instant,
    /// The last one, since it began.
    last_ms: AtomicU64,
}

// === impl Pulse ===

impl Pulse {
    /// A run of the loop begins at `now`, and lasts until the answer is dropped.
    #[must_use]
    pub fn running(&self, now: Instant) -> Running {
        let beat = Arc::new(Beat {
            began: now,
            last_ms: AtomicU64::new(0),
        });
        self.runs().push(Arc::clone(&beat));
        let pulse = self.clone();
        Running { pulse, beat }
    }

    /// For how long some run of the loop has not turned, as of `now`.
    #[must_use]
    pub fn silence(&self, now: Instant) -> Duration {
        let runs = self.runs();
        runs.iter().map(|beat| beat.silence(now)).max().unwrap_or_default()
    }

    /// Held for a moment, when a run begins, ends, or is looked at.
    fn runs(&self) -> MutexGuard<'_, Vec<Arc<Beat>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Running ===

impl Running {
    /// The loop turned at `now`.
    pub fn beat(&self, now: Instant) {
        let since = now.saturating_duration_since(self.beat.began).as_millis();
        // Relaxed: one number that orders nothing else.
        self.beat
            .last_ms
            .fetch_max(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.pulse.runs().retain(|run| !Arc::ptr_eq(run, &self.beat));
    }
}

// === impl Beat ===

impl Beat {
    fn silence(&self, now: Instant) -> Duration {
        let last = Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
        now.saturating_duration_since(self.began).saturating_sub(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an instant can only be had from the clock")]
    fn clock() -> impl Fn(u64) -> Instant {
        let start = Instant::now();
        move |seconds| start + Duration::from_secs(seconds)
    }

    #[test]
    fn silence_is_counted_from_the_last_beat() {
        let (at, pulse) = (clock(), Pulse::default());
        let run = pulse.running(at(0));
        assert_eq!(pulse.silence(at(3)), Duration::from_secs(3));
        run.beat(at(5));
        run.beat(at(2));
        assert_eq!(pulse.clone().silence(at(6)), Duration::from_secs(1));
        assert_eq!(pulse.silence(at(4)), Duration::ZERO);
    }

    #[test]
    fn a_loop_that_does_not_run_is_not_silent() {
        let (at, pulse) = (clock(), Pulse::default());
        assert_eq!(pulse.silence(at(100)), Duration::ZERO);
        let running = pulse.running(at(100));
        assert_eq!(pulse.silence(at(103)), Duration::from_secs(3));
        drop(running);
        assert_eq!(pulse.silence(at(200)), Duration::ZERO);
        let _running = pulse.running(at(200));
        assert_eq!(pulse.silence(at(201)), Duration::from_secs(1), "it begins anew");
    }

    #[test]
    fn a_run_that_hangs_is_silent_beside_the_next_one() {
        let (at, pulse) = (clock(), Pulse::default());
        let hangs = pulse.running(at(0));
        let next = pulse.running(at(10));
        next.beat(at(40));
        assert_eq!(
            pulse.silence(at(41)),
            Duration::from_secs(41),
            "the next speaks for itself"
        );
        drop(hangs);
        assert_eq!(
            pulse.silence(at(41)),
            Duration::from_secs(1),
            "it came to its end after all"
        );
        assert_eq!(
            pulse.silence(at(80)),
            Duration::from_secs(40),
            "that of another run blinds nobody"
        );
    }
}
