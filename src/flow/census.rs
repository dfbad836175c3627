//! Counting letters now and then, for `/status`.
//!
//! Promises: one count at a time, the first at the beginning of a term; counting takes at most a twentieth of the time,
//! however many letters there are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::contract::{Boxed, LetterCounts, LetterStore, StoreError};

/// Between two counts.
const EVERY: Duration = Duration::from_secs(5);
/// A count that takes long is made so much more rarely.
const SHARE: u32 = 20;

/// What counts.
pub struct Census {
    letters: Arc<dyn LetterStore>,
    at: Instant,
    /// The count that is under way.
    pub counting: Option<Boxed<'static, Result<LetterCounts, StoreError>>>,
}

// === impl Census ===

impl Census {
    /// The first count is due at once.
    #[must_use]
    pub fn new(letters: Arc<dyn LetterStore>, now: Instant) -> Self {
        Self {
            letters,
            at: now,
            counting: None,
        }
    }

    /// Begins the next count, if one is due.
    pub fn ask(&mut self, now: Instant) {
        if self.counting.is_none() && now >= self.at {
            self.at = now;
            let letters = Arc::clone(&self.letters);
            self.counting = Some(Box::pin(async move { letters.count().await }));
        }
    }

    /// The count has ended.
    pub fn ended(&mut self, now: Instant) {
        self.counting = None;
        let took = now.saturating_duration_since(self.at);
        self.at = now + EVERY.max(took.saturating_mul(SHARE));
    }
}

/// By the names of `/status`.
#[must_use]
pub fn by_state(counts: LetterCounts) -> Vec<(&'static str, u64)> {
    let LetterCounts {
        lanes: _,
        parked,
        queued,
        deferred,
        scheduled,
        dead,
    } = counts;
    vec![
        ("parked", parked),
        ("queued", queued),
        ("deferred", deferred),
        ("scheduled", scheduled),
        ("dead", dead),
    ]
}

impl std::fmt::Debug for Census {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Census").field("at", &self.at).finish_non_exhaustive()
    }
}
