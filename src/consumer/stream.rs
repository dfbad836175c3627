//! The life of one assigned stream: taken over, worked on, handed back.
//!
//! Promises: nothing is read before the position of record was (S22), its lanes loaded (S27), and whoever died with a claim had
//! the time to end (S23); what is handed back cleanly leaves no claim; a stream that is lost is left without a word.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::care::Care;
use super::run::Shared;
use super::term::{self, Left, Opening, Parting};
use crate::contract::{Assumed, Begin, Claim, Fate, Fence, Incident, Stop, Stream};
use crate::flow::State;
use crate::flow::clock::{backoff, beating};
use crate::telemetry::Running;

/// Waits between attempts to take a stream over.
const AWAY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How a stream's task ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Handed back, or lost.
    Gone,
    /// `on_reject: halt`.
    Halted(String),
}

/// What waits for something ends early when the stream is not to be had any more.
enum Waited {
    Over,
    Leave,
}

/// What a stream's task knows of its last term.
#[derive(Default)]
struct Past {
    fence: Option<Arc<Fence>>,
    /// Everything below is settled.
    mark: Option<i64>,
    /// Its holder, when all that it called for has answered: what it signed frightens nobody.
    quiet: Option<Uuid>,
}

/// Tends a stream until it is not ours, or not wanted any more.
pub(super) async fn tend(shared: Arc<Shared>, stream: Box<dyn Stream>) -> Ended {
    let name = stream.name().clone();
    let turns = shared.turns();
    let mut failures = 0;
    let mut past = Past::default();
    let ended = loop {
        if leaves(&shared, stream.as_ref()) {
            beating(&turns, hand_back(&shared, stream)).await;
            break Ended::Gone;
        }
        let left = match take_over(&shared, stream.as_ref(), (&mut past, &turns)).await {
            Ok(Some(opening)) => {
                let fence = Arc::clone(&opening.fence);
                let (left, parting) = term::work(&shared, stream.as_ref(), opening, &turns).await;
                if matches!(left, Left::Drained) {
                    beating(&turns, sign_off(&shared, stream.as_ref(), (&fence, parting))).await;
                }
                past.quiet = parting.quiet.then_some(fence.holder);
                past.mark = parting.mark;
                left
            }
            Ok(None) => continue,
            Err(left) => left,
        };
        shared.stream(&name, |status| (status.in_flight, status.rests) = (0, false));
        let wait = match left {
            Left::Drained => {
                failures = 0;
                continue;
            }
            Left::Overdue => {
                tracing::warn!(consumer = shared.engine.name, stream = %name, "not drained in time; what was in flight comes again");
                beating(&turns, hand_back(&shared, stream)).await;
                break Ended::Gone;
            }
            Left::Lost => {
                tracing::warn!(consumer = shared.engine.name, stream = %name, "stream lost");
                break Ended::Gone;
            }
            Left::Halted(sentence) => {
                beating(&turns, hand_back(&shared, stream)).await;
                break Ended::Halted(sentence);
            }
            Left::Stopped(incident) => {
                shared.tell_incident(&name, &incident);
                beating(&turns, write_down(&shared, (&past, &incident))).await
            }
            Left::Moved => {
                tracing::info!(consumer = shared.engine.name, stream = %name, "an operator has moved it; taking it over anew");
                continue;
            }
            Left::Fenced => {
                tracing::warn!(consumer = shared.engine.name, stream = %name, "another owner has been here, or the database went back; taking over anew");
                failures += 1;
                backoff(failures, AWAY)
            }
            Left::Away(failure) => {
                shared.tell_failure(&failure);
                failures += 1;
                backoff(failures, AWAY)
            }
        };
        tokio::select! {
            _ = wait_or_leave(&shared, stream.as_ref(), (wait, &turns)) => {}
            () = moved(&shared, past.fence.as_deref()) => {}
        }
    };
    shared.forget(&name);
    ended
}

/// For whoever accepts it; what nobody can accept is only told. Answers how long it stands still: until then, or, where it
/// could not be written, until it is looked at again.
async fn write_down(shared: &Shared, (past, incident): (&Past, &Incident)) -> Duration {
    let (Some(fence), Some(go_on), Ok(from)) = (&past.fence, incident.go_on, incident.from.parse()) else {
        return Duration::MAX;
    };
    let stop = Stop {
        kind: incident.kind,
        from,
        go_on,
        mark: past.mark,
    };
    match shared.engine.inbox.stop(fence, stop).await {
        Ok(()) => Duration::MAX,
        Err(error) => {
            tracing::warn!(consumer = shared.engine.name, stream = %fence.stream, %error, "why it stands still could not be written");
            AWAY.1
        }
    }
}

/// Waits until an operator has moved the stream.
async fn moved(shared: &Shared, fence: Option<&Fence>) {
    match fence {
        Some(fence) => shared.moved(fence).await,
        None => std::future::pending().await,
    }
}

/// The stream is to be handed back.
fn leaves(shared: &Shared, stream: &dyn Stream) -> bool {
    stream.fate() != Fate::Ours || shared.drains()
}

/// Reads what the last owner left, waits until it cannot be calling any more, and seeks. None: it is to be handed back.
async fn take_over(
    shared: &Arc<Shared>,
    stream: &dyn Stream,
    (past, turns): (&mut Past, &Running),
) -> Result<Option<Opening>, Left> {
    let name = stream.name();
    let assumed = beating(turns, shared.engine.inbox.assume(name)).await;
    let mut assumed = assumed.map_err(Left::from)?;
    (past.fence, past.mark) = (Some(Arc::clone(&assumed.fence)), None);
    if assumed.signed_by.is_some() && assumed.signed_by == past.quiet {
        assumed.claim = assumed.claim.and_then(Claim::outlived);
        assumed.wait = Duration::ZERO;
    }
    crate::point!("position.read");
    for told in &assumed.told {
        match Left::from(told.clone()) {
            Left::Stopped(incident) => {
                shared.tell_incident(name, &incident);
                crate::point!("position.behind");
            }
            Left::Away(failure) => shared.tell_failure(&failure),
            _ => {}
        }
    }
    if !assumed.wait.is_zero() {
        tracing::info!(consumer = shared.engine.name, stream = %name, wait = ?assumed.wait, "its last owner may still be calling");
        if let Waited::Leave = wait_or_leave(shared, stream, (assumed.wait, turns)).await {
            return Ok(None);
        }
    }
    let from = match assumed.position {
        Some(offset) => Begin::Offset(offset),
        None => Begin::Start(shared.engine.start),
    };
    let first = beating(turns, stream.begin(from)).await.map_err(Left::from)?;
    if assumed.position.is_none() {
        let begun = beating(turns, shared.engine.inbox.begin(&assumed.fence, first)).await;
        begun.map_err(Left::from)?;
    }
    crate::point!("position.sought");
    let mut stood_still = false;
    shared.stream(name, |status| {
        status.mark = Some(first);
        stood_still = status.stopped.take().is_some();
    });
    if stood_still {
        tracing::info!(consumer = shared.engine.name, stream = %name, offset = first, "it goes on");
        shared.clear_error();
    }
    shared.running();
    Ok(Some(opening(shared, assumed)))
}

fn opening(shared: &Shared, assumed: Assumed) -> Opening {
    let settings = (shared.engine.settings)(&assumed.fence.stream);
    let attempts_max = settings.rest.attempts_max;
    Opening {
        care: Care::new(settings.in_flight, assumed.claim, shared.engine.call),
        state: State::new(settings, assumed.blocked),
        fence: assumed.fence,
        letters: assumed.letters,
        attempts_max,
    }
}

/// A clean end: the position is written, the claim is cleared, the broker hears of the mark. What others died of before is
/// no cleaner for it: until it is behind, that much is left, and nothing of ours.
async fn sign_off(shared: &Shared, stream: &dyn Stream, at: (&Fence, Parting)) {
    let (fence, Parting { mark, legacy, .. }) = at;
    match shared.engine.inbox.yield_to_next(fence, mark, legacy).await {
        Ok(()) => {
            if let Some(mark) = mark {
                stream.settle(mark);
            }
        }
        // The claim stays: the next owner takes care without a need, and nothing is lost.
        Err(error) => tracing::warn!(stream = %stream.name(), %error, "the claim could not be cleared"),
    }
    crate::point!("revoke.drained");
}

async fn hand_back(shared: &Shared, stream: Box<dyn Stream>) {
    stream.release(shared.drain_deadline).await;
    crate::point!("revoke.committed");
}

/// Waits; not beyond the moment at which the stream is to be handed back.
async fn wait_or_leave(shared: &Shared, stream: &dyn Stream, wait: (Duration, &Running)) -> Waited {
    let (wait, turns) = wait;
    let leave = async {
        while !leaves(shared, stream) {
            tokio::select! {
                () = stream.changed() => {}
                () = shared.drain_asked() => {}
            }
        }
    };
    match beating(turns, tokio::time::timeout(wait, leave)).await {
        Ok(()) => Waited::Leave,
        Err(_) => Waited::Over,
    }
}
