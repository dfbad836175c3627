//! The task that tidies the store beside the work of a term: nobody waits for it, and it stops with its handle.
//!
//! Promises: what goes wrong for longer than [`LASTS`] is told, once per cause and then at most once an hour; a shorter
//! hitch is nobody's business, as tidying late harms nobody. What does not get on keeps nothing else from being done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::task::JoinHandle;

use super::run::Engine;
use crate::contract::{StoreError, Tidied, Upkeep};
use crate::delivery::{Failure, FailureKind};
use crate::flow::clock::{alive, now, wall_clock};

/// After a step that failed: deleting late harms nobody.
const AGAIN: Duration = Duration::from_secs(5);
/// What does not get on is tried less often, up to so many times its wait: each try may let writers wait.
const SELDOM: u32 = 6;
/// What goes on for that long is told.
const LASTS: Duration = Duration::from_secs(60);
/// The same cause is not told again before.
const QUIET: Duration = Duration::from_secs(3600);

/// A running upkeep.
#[derive(Debug)]
pub(super) struct Upkeeper(JoinHandle<()>);

/// Steps in a row that did not do all that they should.
#[derive(Debug, Default)]
struct Trouble {
    /// When the first was, by both clocks.
    since: Option<(Instant, Timestamp)>,
    times: u32,
    /// When each cause was told last; as many as there are causes.
    told: BTreeMap<String, Instant>,
}

/// How sweeping ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Swept {
    Enough,
    Fenced,
}

// === impl Upkeeper ===

impl Upkeeper {
    /// Begins.
    #[expect(
        clippy::disallowed_methods,
        reason = "the engine's own task; dropping the handle aborts it"
    )]
    pub(super) fn start(upkeep: Arc<dyn Upkeep>, engine: &Engine) -> Self {
        let (relay, meters) = (engine.name.clone(), engine.meters.clone());
        Self(tokio::spawn(alive(engine.pulses.upkeep.clone(), async move {
            let mut trouble = Trouble::default();
            loop {
                let (wait, failure) = match upkeep.step().await {
                    Ok(Tidied { wait, held_up }) => (wait, held_up),
                    Err(StoreError::Fenced) => return,
                    Err(StoreError::Away(failure)) => (AGAIN, Some(failure)),
                    Err(StoreError::Incident { kind, sentence, .. }) => {
                        (AGAIN, Some(Failure::new(FailureKind::Unknown, kind, sentence)))
                    }
                };
                match &failure {
                    Some(failure) => {
                        meters.upkeep_failed(&failure.code);
                        trouble.meets(&relay, failure);
                    }
                    None => trouble.ends(&relay),
                }
                let next = now() + wait * trouble.times.clamp(1, SELDOM);
                if failure.is_some() && sweeps(upkeep.as_ref(), next).await == Swept::Fenced {
                    return;
                }
                tokio::time::sleep(next.saturating_duration_since(now())).await;
            }
        })))
    }
}

/// Sweeps while there is more of it, and time.
async fn sweeps(upkeep: &dyn Upkeep, next: Instant) -> Swept {
    loop {
        match upkeep.sweep().await {
            Ok(Some(pause)) if now() + pause < next => tokio::time::sleep(pause).await,
            Err(StoreError::Fenced) => return Swept::Fenced,
            // The next step fails as well, and tells.
            Ok(_) | Err(_) => return Swept::Enough,
        }
    }
}

impl Drop for Upkeeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

// === impl Trouble ===

impl Trouble {
    fn meets(&mut self, relay: &str, failure: &Failure) {
        let (code, times) = (&failure.code, self.times + 1);
        match self.news(code, (now(), wall_clock())) {
            Some(since) => {
                tracing::warn!(relay, kind = failure.kind.as_str(), %code, %since, times, "upkeep of the outbox: {failure}");
            }
            None => tracing::debug!(relay, %code, times, "upkeep of the outbox: {failure}"),
        }
    }

    fn ends(&mut self, relay: &str) {
        let lasted = self
            .since
            .is_some_and(|(since, _)| now().duration_since(since) >= LASTS);
        if lasted {
            tracing::info!(relay, "upkeep of the outbox goes on");
        }
        self.since = None;
        self.times = 0;
    }

    /// Counts one more; since when it goes on, if that is to be told.
    fn news(&mut self, code: &str, (now, clock): (Instant, Timestamp)) -> Option<Timestamp> {
        let (since, by_the_clock) = *self.since.get_or_insert((now, clock));
        self.times = self.times.saturating_add(1);
        let told = self
            .told
            .get(code)
            .is_some_and(|told| now.duration_since(*told) < QUIET);
        if told || now.duration_since(since) < LASTS {
            return None;
        }
        self.told.insert(code.to_owned(), now);
        Some(by_the_clock)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::contract::Boxed;

    /// So many sweeps until nothing is left; its steps are always held up.
    struct HeldUp(AtomicU32);

    impl Upkeep for HeldUp {
        fn step(&self) -> Boxed<'_, Result<Tidied, StoreError>> {
            Box::pin(async { Err(StoreError::Fenced) })
        }

        fn sweep(&self) -> Boxed<'_, Result<Option<Duration>, StoreError>> {
            let left = self.0.fetch_sub(1, Ordering::Relaxed) - 1;
            Box::pin(async move { Ok((left > 0).then_some(Duration::from_millis(1))) })
        }
    }

    #[tokio::test]
    async fn what_is_held_up_does_not_keep_rows_from_going() {
        let (begun, upkeep) = (now(), HeldUp(AtomicU32::new(20)));
        let next = begun + Duration::from_secs(60);
        assert_eq!(sweeps(&upkeep, next).await, Swept::Enough);
        assert_eq!(upkeep.0.load(Ordering::Relaxed), 0, "all, long before the next step");
        let upkeep = HeldUp(AtomicU32::new(20));
        assert_eq!(sweeps(&upkeep, begun).await, Swept::Enough);
        assert_eq!(upkeep.0.load(Ordering::Relaxed), 19, "the next step is due");
    }

    #[test]
    fn what_goes_on_is_told_once_per_cause_and_hour() {
        let (start, clock) = (now(), wall_clock());
        let mut trouble = Trouble::default();
        let mut news = |code: &str, second: u64| {
            let at = start + Duration::from_secs(second);
            trouble.news(code, (at, clock + Duration::from_secs(second))).is_some()
        };
        assert!(!news("55P03", 0), "a hitch");
        assert!(!news("55P03", 59));
        assert!(news("55P03", 60), "it goes on");
        let again = (61..3600).filter(|second| news("55P03", *second)).count();
        assert_eq!(again, 0);
        assert!(news("42P07", 3600), "another cause");
        let turns = (3601..3660).map(|second| news(if second % 2 == 0 { "55P03" } else { "42P07" }, second));
        assert_eq!(turns.filter(|told| *told).count(), 0, "that take turns");
        assert!(news("55P03", 3660), "an hour later");
        assert_eq!(trouble.since.expect("it goes on").1, clock, "since the first");
    }

    #[test]
    fn what_ended_is_counted_anew() {
        let (start, clock) = (now(), wall_clock());
        let mut trouble = Trouble::default();
        assert_eq!(trouble.news("55P03", (start, clock)), None);
        trouble.ends("orders");
        let later = start + Duration::from_secs(3600);
        assert_eq!(trouble.news("55P03", (later, clock)), None);
        assert_eq!(trouble.times, 1);
    }
}
