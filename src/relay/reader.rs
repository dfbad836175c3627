//! The task that owns the source: reading goes on beside reducing and publishing, on another core where there is one.
//!
//! Promises: one call of the source at a time, in the order of the asks; an ask ends an idle wait at once; the task ends
//! when its asks end.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::run::Engine;
use crate::contract::{Backlog, Page, Progress, Room, Source, StoreError};
use crate::flow::clock::{alive, now, wall_clock};
use crate::telemetry::{Meters, Spans};

/// At most one reading, one confirm, one probe and one idle wait are asked for at a time.
const ASKS_MAX: usize = 8;

/// What the source is asked.
#[derive(Debug)]
pub(super) enum Ask {
    Fetch(Room),
    Idle(Duration),
    Confirm(Progress),
    Probe,
}

/// What it answers.
#[derive(Debug)]
pub(super) enum Told {
    Fetched(Result<Page, StoreError>),
    Woken,
    Confirmed(Result<(), StoreError>),
    Probed(Result<Backlog, StoreError>),
}

/// The reading half of a term.
#[derive(Debug)]
pub(super) struct Reader {
    asks: mpsc::Sender<Ask>,
    pub(super) told: mpsc::Receiver<Told>,
    task: JoinHandle<()>,
}

// === impl Reader ===

impl Reader {
    #[expect(clippy::disallowed_methods, reason = "the engine's own task; close joins it")]
    pub(super) fn start(source: Box<dyn Source>, engine: &Engine) -> Self {
        let (asks, asked) = mpsc::channel(ASKS_MAX);
        let (tell, told) = mpsc::channel(ASKS_MAX);
        let told_to = (engine.meters.clone(), engine.spans.clone());
        let reading = read((source, told_to), asked, tell);
        let task = tokio::spawn(alive(engine.pulses.reading.clone(), reading));
        Self { asks, told, task }
    }

    /// Asks; what the channel cannot take was already asked for.
    pub(super) fn ask(&self, ask: Ask) {
        let full = self.asks.try_send(ask).is_err();
        debug_assert!(
            !full || self.task.is_finished(),
            "the reducer asks for one thing of a kind at a time"
        );
    }

    /// The task ended without being asked to: the source panicked.
    pub(super) fn is_gone(&self) -> bool {
        self.task.is_finished()
    }

    /// Lets the running call end, closes the source and answers what was still on its way.
    pub(super) async fn close(self, deadline: Duration) {
        drop(self.asks);
        drop(self.told);
        let mut task = self.task;
        if tokio::time::timeout(deadline, &mut task).await.is_err() {
            task.abort();
        }
    }
}

async fn read(
    (mut source, told_to): (Box<dyn Source>, (Meters, Spans)),
    mut asked: mpsc::Receiver<Ask>,
    tell: mpsc::Sender<Told>,
) {
    let mut next = asked.recv().await;
    while let Some(ask) = next {
        let (told, following) = match ask {
            Ask::Fetch(room) => (Told::Fetched(fetch(source.as_mut(), room, &told_to).await), None),
            Ask::Confirm(progress) => (Told::Confirmed(source.confirm(progress).await), None),
            Ask::Probe => (Told::Probed(source.probe().await), None),
            Ask::Idle(at_most) => tokio::select! {
                ask = asked.recv() => (Told::Woken, Some(ask)),
                () = source.idle(at_most) => (Told::Woken, None),
            },
        };
        if tell.send(told).await.is_err() {
            break;
        }
        next = match following {
            Some(ask) => ask,
            None => asked.recv().await,
        };
    }
    source.close().await;
}

/// Reads a window, or a page of a long one; what brought nothing is neither timed nor traced.
async fn fetch(source: &mut dyn Source, room: Room, (meters, spans): &(Meters, Spans)) -> Result<Page, StoreError> {
    let (since, began) = (now(), wall_clock());
    let page = source.next(room).await;
    match &page {
        Ok(page) if page.messages.is_empty() => {}
        Ok(page) => {
            meters.fetched(now().saturating_duration_since(since));
            spans.fetched(began, Ok(&page.messages));
        }
        Err(StoreError::Fenced) => spans.fetched(began, Err("fenced")),
        Err(StoreError::Away(failure)) => spans.fetched(began, Err(&failure.code)),
        Err(StoreError::Incident { kind, .. }) => spans.fetched(began, Err(kind)),
    }
    page
}
