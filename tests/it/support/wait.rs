//! Waiting for a condition, never for a time.

use std::future::Future;
use std::time::{Duration, Instant};

/// How long an answer may take on a busy machine before it counts as never.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// Polls until it answers; `Err` holds what was missing at the last look.
pub(crate) async fn tried<T, P, F>(deadline: Duration, mut poll: P) -> Result<T, String>
where
    P: FnMut() -> F,
    F: Future<Output = Result<T, String>>,
{
    let until = Instant::now() + deadline;
    loop {
        match poll().await {
            Ok(found) => return Ok(found),
            Err(missing) if Instant::now() >= until => return Err(missing),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Polls until it answers; panics with what was missing at the last look.
#[track_caller]
pub(crate) fn until<T, P, F>(what: &str, deadline: Duration, poll: P) -> impl Future<Output = T>
where
    P: FnMut() -> F,
    F: Future<Output = Result<T, String>>,
{
    let caller = std::panic::Location::caller();
    async move {
        match tried(deadline, poll).await {
            Ok(found) => found,
            Err(missing) => panic!("{caller}: {what}: not within {deadline:?}: {missing}"),
        }
    }
}

/// `Err` with what was seen instead, for use in a poll.
pub(crate) fn ensure(holds: bool, seen: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(seen()) }
}
