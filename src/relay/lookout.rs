//! What a term watches beside its reducer: the publisher's outlook, the memory of destinations, an operator's acceptance.
//!
//! Promises: an outage of the broker is told once and burns nothing; what a publisher saw of partitions is kept before it
//! can be needed (S14); a client that dies three times in ten minutes without a culprit halts the relay (S10).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::lead::Left;
use super::run::{Control, Engine, tell_broker_back, tell_failure, tell_store_error};
use crate::contract::{Boxed, Destinations, Health, Outlook, Remembered, StoreError};

/// Deaths of the client that are forgotten after that time.
const REBUILDS_WITHIN: Duration = Duration::from_secs(600);
/// That many within it halt.
const REBUILDS_MAX: usize = 3;
/// How often an operator's acceptance is looked for after something was told.
const ACCEPTANCE_EVERY: Duration = Duration::from_secs(2);
/// What was seen of destinations is kept this often at most.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// An answer of the destinations' memory.
pub(super) enum Remembering {
    Kept,
    Accepted(bool),
}

/// The watch.
pub(super) struct Lookout {
    destinations: Arc<dyn Destinations>,
    rebuilds: VecDeque<Instant>,
    away: bool,
    /// Something was told that only an operator can accept.
    told: bool,
    seen: Vec<Remembered>,
    keep_at: Instant,
    accepted_at: Instant,
    pub(super) asking: Option<Boxed<'static, Result<Remembering, StoreError>>>,
}

// === impl Lookout ===

impl Lookout {
    pub(super) fn new(destinations: Arc<dyn Destinations>, now: Instant) -> Self {
        Self {
            destinations,
            rebuilds: VecDeque::new(),
            away: false,
            told: false,
            seen: Vec::new(),
            keep_at: now,
            accepted_at: now,
            asking: None,
        }
    }

    /// Takes note of what the publisher saw; answers when it ends the term.
    pub(super) fn look(&mut self, outlook: Outlook, at: (&Engine, &Control, Instant)) -> Option<Left> {
        let (engine, control, now) = at;
        match outlook.health {
            Health::Away(failure) => {
                tell_failure(engine, control, &failure);
                self.away = true;
            }
            Health::Up if std::mem::take(&mut self.away) => {
                tell_broker_back(engine, control);
            }
            Health::Up => {}
        }
        for incident in outlook.incidents {
            self.told = true;
            let (kind, from, to, sentence) = (incident.kind, incident.from, incident.to, incident.sentence);
            tell_store_error(
                engine,
                control,
                &StoreError::Incident {
                    kind,
                    from,
                    to,
                    sentence,
                },
            );
        }
        engine.meters.headers_gave_way(outlook.gave_way);
        self.note(outlook.remember);
        self.rebuilds.extend((0..outlook.rebuilds).map(|_| now));
        self.rebuilds
            .retain(|at| now.saturating_duration_since(*at) < REBUILDS_WITHIN);
        let worn_out = self.rebuilds.len() >= REBUILDS_MAX;
        worn_out.then(|| Left::Halted(worn_out_sentence(&engine.name)))
    }

    fn note(&mut self, seen: Vec<Remembered>) {
        for seen in seen {
            self.seen.retain(|known| known.destination != seen.destination);
            self.seen.push(seen);
        }
    }

    /// Writes down what was seen and not kept yet; the lease is still ours.
    pub(super) async fn keep_what_was_seen(&mut self, deadline: Duration) {
        let seen = std::mem::take(&mut self.seen);
        if seen.is_empty() {
            return;
        }
        match tokio::time::timeout(deadline, self.destinations.keep(seen)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "what was seen of the destinations is not written down"),
            Err(_) => tracing::warn!("what was seen of the destinations is not written down in time"),
        }
    }

    /// Begins the next call of the memory, if one is due.
    pub(super) fn ask(&mut self, now: Instant) {
        if self.asking.is_some() {
            return;
        }
        let destinations = Arc::clone(&self.destinations);
        if !self.seen.is_empty() && now >= self.keep_at {
            self.keep_at = now + KEEP_EVERY;
            let seen = std::mem::take(&mut self.seen);
            self.asking = Some(Box::pin(async move {
                destinations.keep(seen).await.map(|()| Remembering::Kept)
            }));
        } else if self.told && now >= self.accepted_at {
            self.accepted_at = now + ACCEPTANCE_EVERY;
            self.asking = Some(Box::pin(async move {
                destinations.accepted().await.map(Remembering::Accepted)
            }));
        }
    }
}

fn worn_out_sentence(relay: &str) -> String {
    format!(
        "relay {relay}: the broker's client failed fatally {REBUILDS_MAX} times in ten minutes and no message is to blame; \
         look at the broker's log, run `twinbox doctor`, and start again"
    )
}
