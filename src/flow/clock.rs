//! Where time and chance enter an engine, and how it waits for the outside.
//!
//! Promises: the only file of the engines that reads a clock or draws a number.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::contract::Boxed;
use crate::delivery::Moment;
use crate::telemetry::{Pulse, Running};

/// How often who waits for the outside beats.
const BEAT: Duration = Duration::from_secs(1);

/// Waits for something outside: beats as long as it is polled.
pub async fn beating<T>(running: &Running, outside: impl Future<Output = T>) -> T {
    let mut outside = std::pin::pin!(outside);
    loop {
        running.beat(now());
        if let Ok(answer) = tokio::time::timeout(BEAT, &mut outside).await {
            return answer;
        }
    }
}

/// Waits for something that may not be there: then for ever.
pub async fn wait<T>(future: Option<&mut Boxed<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// What a process says, once that is something else; waits for ever when nobody can say it any more.
pub async fn news<T: Clone>(said: &mut watch::Receiver<T>) -> T {
    match said.changed().await {
        Ok(()) => said.borrow_and_update().clone(),
        Err(_) => std::future::pending().await,
    }
}

/// The whole life of a task whose every wait is for something outside.
pub async fn alive<T>(pulse: Pulse, task: impl Future<Output = T>) -> T {
    beating(&pulse.running(now()), task).await
}

/// Time and chance for one step.
#[must_use]
pub fn moment() -> Moment {
    Moment {
        now: now(),
        random: random(),
    }
}

/// The monotonic clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the engine's one clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// What people's clocks show: for `/status` and for the age of messages, never for a decision.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the engine's one wall clock")]
pub fn wall_clock() -> Timestamp {
    Timestamp::now()
}

/// A draw from the process's random source: a version-4 UUID has 122 random bits, the low ones among them.
fn random() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().1 ^ uuid::Uuid::new_v4().as_u64_pair().0
}

/// A wait that doubles from `first` with each failure, up to `max`, with jitter over its upper half.
#[must_use]
pub fn backoff(failures: u32, (first, max): (Duration, Duration)) -> Duration {
    let ceiling = first.saturating_mul(1 << failures.min(10)).min(max);
    ceiling / 2 + ceiling.mul_f64(f64::from(u32::try_from(random() >> 33).unwrap_or_default()) / f64::from(u32::MAX))
}
