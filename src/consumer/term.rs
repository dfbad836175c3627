//! One term of a stream: a shell around `flow` that performs its effects and feeds the answers back.
//!
//! Promises: nothing is called for that the claim does not cover (S23); a mark is durable in the database before the broker hears
//! of it; what is answered after the stream was lost settles nothing; a drain calls for nothing new.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::budget::Share;
use super::calls::{Ran, Signed};
use super::care::Care;
use super::queue::Queue;
use super::run::Shared;
use super::tell::tell;
use super::traced::Received;
use super::witness::Witness;
use crate::contract::{
    Boxed, Claim, Fate, Fence, Incident, LetterCounts, LetterStore, Page, Progress, Room, StoreError, Stream,
    StreamError,
};
use crate::delivery::{Destination, Failure};
use crate::flow::clock::{beating, moment, news, now, wait, wall_clock};
use crate::flow::{Census, Effect, Event, Pauses, RESTING_SHOWN, State, by_state, step};
use crate::telemetry::Running;

/// Waits after the database or the broker did not answer.
const AGAIN: Duration = Duration::from_millis(200);
/// How often the stream's part of `/status` is renewed under load.
const REPORT_EVERY: Duration = Duration::from_millis(200);

/// How a term ends.
#[derive(Debug)]
pub(super) enum Left {
    /// Everything that was begun is settled, and the database knows it.
    Drained,
    /// The time for that was over: the claim stays, and the next owner takes care.
    Overdue,
    /// Somebody else has the stream.
    Lost,
    /// The position row is another owner's, or the database went back behind us (S21, S26).
    Fenced,
    /// An operator moved the stream.
    Moved,
    Away(Failure),
    /// Only an operator can decide how this stream goes on.
    Stopped(Incident),
    Halted(String),
}

/// What a term leaves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parting {
    /// Everything below it is settled.
    pub(super) mark: Option<i64>,
    /// What others died of, while it lies ahead.
    pub(super) legacy: Option<Claim>,
    /// Everything that was called for has answered.
    pub(super) quiet: bool,
}

/// What a term begins with.
pub(super) struct Opening {
    pub(super) fence: Arc<Fence>,
    pub(super) letters: Arc<dyn LetterStore>,
    pub(super) care: Care,
    pub(super) state: State,
    /// How often a message may have killed the process.
    pub(super) attempts_max: u32,
}

enum Heard {
    Changed,
    Moved,
    Drain,
    Paused(Pauses),
    Ran(Ran),
    Desk(Result<Event, StoreError>),
    Marked(Result<i64, StoreError>),
    Signed(Signed),
    Permit(OwnedSemaphorePermit),
    Counted(Result<LetterCounts, StoreError>),
    Page(Result<Page, StreamError>),
    Freed,
    Time,
}

pub(super) struct Term<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) stream: &'a dyn Stream,
    pub(super) destination: Destination,
    pub(super) opening: Opening,
    pub(super) share: Share<'a>,
    pub(super) effects: Vec<Effect>,
    pub(super) later: VecDeque<Event>,
    /// What the flow wants to read.
    pub(super) fetch: Option<Room>,
    pub(super) queue: Queue,
    pub(super) permit: Option<Boxed<'static, OwnedSemaphorePermit>>,
    pub(super) signing: Option<Boxed<'static, Signed>>,
    pub(super) running: FuturesUnordered<Boxed<'static, Ran>>,
    pub(super) desk: Option<Boxed<'static, Result<Event, StoreError>>>,
    pub(super) marking: Option<Boxed<'static, Result<i64, StoreError>>>,
    pub(super) census: Census,
    pub(super) witness: Witness,
    pub(super) received: Received,
    pub(super) pauses: watch::Receiver<Pauses>,
    pub(super) drain_until: Option<Instant>,
    /// Nothing more can be read: what was read is still settled.
    pub(super) stopped: Option<Incident>,
    pub(super) left: Option<Left>,
    pub(super) report_at: Instant,
}

/// Works until something ends it.
pub(super) async fn work(
    shared: &Arc<Shared>,
    stream: &dyn Stream,
    opening: Opening,
    turns: &Running,
) -> (Left, Parting) {
    let mut term = Term {
        shared,
        stream,
        destination: destination(stream),
        share: shared.budget.join(),
        effects: Vec::new(),
        later: VecDeque::new(),
        fetch: None,
        queue: Queue::default(),
        permit: None,
        signing: None,
        running: FuturesUnordered::new(),
        desk: None,
        marking: None,
        census: Census::new(Arc::clone(&opening.letters), now()),
        witness: Witness::default(),
        received: Received::default(),
        pauses: shared.pauses.clone(),
        drain_until: None,
        stopped: None,
        left: None,
        report_at: now(),
        opening,
    };
    let left = term.go(turns).await;
    let parting = Parting {
        mark: term.mark(),
        legacy: term.opening.care.legacy(),
        quiet: matches!(left, Left::Fenced | Left::Moved | Left::Stopped(_)) && term.falls_silent(turns).await,
    };
    (left, parting)
}

/// A stream's lanes are those of its topic and partition.
pub(super) fn destination(stream: &dyn Stream) -> Destination {
    let name = stream.name();
    let partition = name.partition.map(|partition| partition.to_string());
    let parts = std::iter::once(name.topic.to_string()).chain(partition);
    parts.collect()
}

// === impl Term ===

impl Term<'_> {
    async fn go(&mut self, turns: &Running) -> Left {
        self.happened(Event::Width(self.opening.care.width()));
        let pauses = self.pauses.borrow_and_update().clone();
        self.happened(Event::Paused(pauses));
        loop {
            turns.beat(now());
            self.watch_fate();
            while let Some(event) = self.later.pop_front() {
                self.happened(event);
            }
            self.want_a_permit();
            self.stand_still();
            self.report();
            if let Some(left) = self.left.take() {
                return left;
            }
            match self.hear().await {
                Heard::Changed | Heard::Freed => {}
                Heard::Moved => self.left = Some(Left::Moved),
                Heard::Drain => self.drain(self.shared.drain_deadline),
                Heard::Paused(pauses) => self.pause(pauses),
                Heard::Ran(ran) => self.ran(ran),
                Heard::Desk(answer) => self.desk_answered(answer),
                Heard::Marked(answer) => self.marked(answer),
                Heard::Signed(signed) => self.signed(signed),
                Heard::Permit(permit) => self.permitted(permit),
                Heard::Counted(answer) => self.counted(answer),
                Heard::Page(page) => self.page(page),
                Heard::Time => {
                    self.later.push_back(Event::Tick);
                    self.census.ask(now());
                }
            }
        }
    }

    /// Waits for what happens next; finishing comes before starting.
    async fn hear(&mut self) -> Heard {
        let held = (self.opening.state.unsettled(), self.opening.state.bytes());
        let room = self.share.hold(held.0, held.1);
        let room = self.fetch.map(|asked| Room {
            messages: asked.messages.min(room.messages),
            bytes: asked.bytes.min(room.bytes),
        });
        let reads = room.is_some() && self.stopped.is_none();
        let has_room = reads && room.is_some_and(|room| room.messages > 0 && room.bytes > 0);
        let full = reads && !has_room;
        let wake = self
            .drain_until
            .into_iter()
            .fold(self.opening.state.next_wake(now()), Instant::min);
        let draining = self.drain_until.is_some();
        let stream = self.stream;
        tokio::select! {
            biased;
            () = stream.changed(), if !draining => Heard::Changed,
            () = self.shared.drain_asked(), if !draining => Heard::Drain,
            () = self.shared.moved(&self.opening.fence) => Heard::Moved,
            pauses = news(&mut self.pauses) => Heard::Paused(pauses),
            Some(ran) = self.running.next(), if !self.running.is_empty() => Heard::Ran(ran),
            answer = wait(self.desk.as_mut()) => Heard::Desk(answer),
            answer = wait(self.marking.as_mut()) => Heard::Marked(answer),
            answer = wait(self.signing.as_mut()) => Heard::Signed(answer),
            permit = wait(self.permit.as_mut()) => Heard::Permit(permit),
            answer = wait(self.census.counting.as_mut()) => Heard::Counted(answer),
            page = stream.next(room.unwrap_or(Room { messages: 0, bytes: 0 })), if has_room => Heard::Page(page),
            () = self.share.freed(), if full => Heard::Freed,
            () = tokio::time::sleep_until(wake.into()) => Heard::Time,
        }
    }

    fn watch_fate(&mut self) {
        match self.stream.fate() {
            Fate::Ours => {}
            Fate::Revoked(within) if self.drain_until.is_none() => {
                crate::point!("revoke.received");
                self.drain(within.min(self.shared.drain_deadline));
            }
            Fate::Revoked(_) => {}
            Fate::Lost => self.left = Some(Left::Lost),
        }
        if self.drain_until.is_some_and(|until| until <= now()) {
            self.left.get_or_insert(Left::Overdue);
        }
    }

    /// What was called for is finished; what waits for its call and is held back goes back, and burns nothing.
    fn pause(&mut self, pauses: Pauses) {
        let given_back = self.queue.give_back(|key| pauses.hold(key));
        self.happened(Event::Paused(pauses));
        self.happened(Event::Answered(given_back));
    }

    /// What is in flight is finished; what waits is given back.
    fn drain(&mut self, within: Duration) {
        crate::point!("consumer.drain.begun");
        self.drain_until = Some(now() + within);
        self.permit = None;
        self.happened(Event::Width(Some(0)));
        self.happened(Event::Drain);
        let given_back = self.queue.give_back(|_| true);
        self.happened(Event::Answered(given_back));
        if self.fetch.take().is_some() {
            self.later.push_back(Event::Fetched(Page::default()));
        }
    }

    fn page(&mut self, page: Result<Page, StreamError>) {
        match page {
            Ok(page) => {
                self.fetch = None;
                let at = (self.stream.name(), self.mark());
                self.received.page(&self.shared.engine.spans, at, &page.messages);
                self.happened(Event::Fetched(page));
                crate::point!("consumer.fetched");
            }
            Err(StreamError::Away(failure)) => {
                self.fetch = None;
                self.shared.tell_failure(&failure);
                self.happened(Event::FetchFailed(AGAIN));
            }
            Err(StreamError::Incident(incident)) => {
                self.shared.tell_incident(self.stream.name(), &incident);
                self.stopped = Some(incident);
            }
            Err(error) => self.left = Some(error.into()),
        }
    }

    /// What was read before nothing more could be is settled first: it is not lost.
    fn stand_still(&mut self) {
        let busy = self.opening.state.unsettled() > 0 || self.desk.is_some() || self.marking.is_some();
        if !busy && self.left.is_none() {
            self.left = self.stopped.take().map(Left::Stopped);
        }
    }

    /// Nothing that was called for can be written any more; it is heard out, so that nothing is called for beside it.
    async fn falls_silent(&mut self, turns: &Running) -> bool {
        let (stream, running) = (self.stream, &mut self.running);
        let heard_out = async {
            tokio::select! {
                () = async { while running.next().await.is_some() {} } => true,
                () = stream.changed() => false,
            }
        };
        let heard_out = tokio::time::timeout(self.shared.drain_deadline, heard_out);
        beating(turns, heard_out).await.unwrap_or(false)
    }

    fn desk_answered(&mut self, answer: Result<Event, StoreError>) {
        self.desk = None;
        match answer {
            Ok(event) => self.happened(event),
            Err(StoreError::Away(failure)) => {
                self.shared.tell_failure(&failure);
                self.happened(Event::DeskFailed(AGAIN));
            }
            Err(error) => self.left = Some(error.into()),
        }
    }

    fn marked(&mut self, answer: Result<i64, StoreError>) {
        self.marking = None;
        match answer {
            Ok(mark) => {
                self.stream.settle(mark);
                if self.opening.care.passed(mark) && self.drain_until.is_none() {
                    self.happened(Event::Width(None));
                }
                self.happened(Event::Confirmed);
            }
            Err(StoreError::Away(failure)) => {
                self.shared.tell_failure(&failure);
                self.happened(Event::ConfirmFailed(AGAIN));
            }
            Err(error) => self.left = Some(error.into()),
        }
    }

    fn counted(&mut self, answer: Result<LetterCounts, StoreError>) {
        self.census.ended(now());
        match answer {
            Ok(counts) => {
                self.shared
                    .stream(self.stream.name(), |status| status.letters = by_state(counts));
                self.happened(Event::Counted(counts.lanes));
            }
            Err(error) => tracing::debug!(%error, "the letters could not be counted"),
        }
    }

    /// Everything below it is settled.
    pub(super) fn mark(&self) -> Option<i64> {
        let watermark = self.opening.state.watermark()?;
        Some(watermark.major.cast_signed() + 1)
    }

    pub(super) fn happened(&mut self, event: Event) {
        step(&mut self.opening.state, event, moment(), &mut self.effects);
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            self.perform(effect);
        }
        self.effects = effects;
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Fetch(_) if self.drain_until.is_some() => self.later.push_back(Event::Fetched(Page::default())),
            Effect::Fetch(room) => self.fetch = Some(room),
            Effect::Idle(_) => self.later.push_back(Event::Woken),
            Effect::Publish(batch) => self.hand_over(batch),
            Effect::Confirm(progress) => self.confirm(&progress),
            Effect::Letters(call) => self.desk = Some(call.ask(Arc::clone(&self.opening.letters))),
            Effect::Tell(notice) => tell(self.shared, self.stream.name(), &notice),
            Effect::StepDown => self.left = Some(Left::Lost),
            Effect::Drained => {
                crate::point!("consumer.drained");
                self.left = Some(Left::Drained);
            }
            Effect::Halt(position) => self.left = Some(Left::Halted(self.halted(position.major))),
        }
    }

    fn halted(&self, offset: u64) -> String {
        format!(
            "consumer {}: the message at offset {offset} of {} was rejected and `on_reject` is `halt`; mend the handler or \
             the message, or set `on_reject: park`, and start again",
            self.shared.engine.name,
            self.stream.name()
        )
    }

    fn confirm(&mut self, progress: &Progress) {
        let mark = match progress.rest.first() {
            Some(open) => open.major.cast_signed(),
            None => progress.read.major.cast_signed() + 1,
        };
        let (shared, fence) = (Arc::clone(self.shared), Arc::clone(&self.opening.fence));
        self.marking = Some(Box::pin(async move {
            shared.engine.inbox.mark(&fence, mark).await.map(|()| mark)
        }));
    }

    fn report(&mut self) {
        if now() < self.report_at && self.left.is_none() {
            return;
        }
        self.report_at = now() + REPORT_EVERY;
        let resting = self.opening.state.resting_lanes(RESTING_SHOWN, (now(), wall_clock()));
        let state = &self.opening.state;
        let (lanes, in_flight, mark, lag) = (state.lane_counts(), state.unsettled(), self.mark(), self.stream.lag());
        self.shared.stream(self.stream.name(), |status| {
            status.mark = mark.or(status.mark);
            (status.lanes, status.resting) = (lanes, resting);
            status.in_flight = in_flight;
            status.lag = lag.messages;
            status.lag_age = lag.oldest.and_then(Shared::age);
        });
    }
}

// === impl Left ===

impl From<StoreError> for Left {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Fenced => Self::Fenced,
            StoreError::Away(failure) => Self::Away(failure),
            StoreError::Incident {
                kind,
                from,
                to,
                sentence,
            } => Self::Stopped(Incident {
                kind,
                destination: std::iter::empty::<&str>().collect(),
                from,
                to,
                sentence,
                go_on: None,
            }),
        }
    }
}

impl From<StreamError> for Left {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Lost => Self::Lost,
            StreamError::Away(failure) => Self::Away(failure),
            StreamError::Incident(incident) => Self::Stopped(incident),
        }
    }
}
