//! What can happen to a relay, and what it can want. Closed enums: whoever reads them has seen the whole engine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::paused::Pauses;
use crate::contract::{
    Answer, Boxed, CloseRun, DueLane, Kept, LetterStore, Outbound, Page, Progress, Room, StoreError, StoreRun,
};
use crate::delivery::{Destination, FailureKind, LaneName, Moment};
use crate::message::Position;

/// A step under way: its moment, and where its effects go.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) at: Moment,
    pub(super) out: &'a mut Vec<Effect>,
}

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// The source answered a [`Effect::Fetch`].
    Fetched(Page),
    /// An [`Effect::Idle`] ended.
    Woken,
    /// The source is away; ask again after that time.
    FetchFailed(Duration),
    /// Receipts arrived.
    Answered(Vec<Answer>),
    /// The publisher is closed, and these are its last answers: the term is over. What is durable is settled; what was
    /// purged says nothing about a lane or a destination.
    Purged(Vec<Answer>),
    /// The source took note of an [`Effect::Confirm`].
    Confirmed,
    /// It did not; ask again after that time.
    ConfirmFailed(Duration),
    /// The letter store answered an [`LetterCall::Store`].
    Stored(Kept),
    /// It answered an [`LetterCall::Pick`].
    Picked(Vec<DueLane>),
    /// It answered an [`LetterCall::Close`]: these lanes are not blocked any more.
    Closed(Vec<LaneName>),
    /// The letter store has that many blocked lanes.
    Counted(u64),
    /// It answered a [`LetterCall::Recheck`]: a person discarded what was stored of these lanes.
    Gone(Vec<LaneName>),
    /// It did not answer what was asked of it; the outcome is unknown; ask again after that time.
    DeskFailed(Duration),
    /// The lease may be trusted until then.
    Trusted(Instant),
    /// Fetch one last window, finish what can be finished, and stop.
    Drain,
    /// At most so many messages may be in flight, each in a run of its own: what was in flight when a process died is
    /// tried with care (S23). None = as many as there is room for.
    Width(Option<usize>),
    /// Another flow over the same place had a success then: a failure here may speak of its message.
    OthersFlow(Instant),
    /// An operator holds this back, and nothing else.
    Paused(Pauses),
    /// Time passed.
    Tick,
}

/// Something is to be done. The shell does it and answers with the event of the same name.
#[derive(Debug)]
pub enum Effect {
    /// Read on.
    Fetch(Room),
    /// Nothing was there: wait for a hint, at most that long.
    Idle(Duration),
    /// Hand over; answered message by message. Nothing new may be handed over once the lease is not trusted.
    Publish(Vec<Outbound>),
    /// Tell the source what is settled.
    Confirm(Progress),
    /// Ask the letter store; it is asked for one thing at a time.
    Letters(LetterCall),
    /// Somebody should know.
    Tell(Notice),
    /// The trust in the lease is over: purge, close, become a standby.
    StepDown,
    /// Everything that can be settled is, and the source knows it.
    Drained,
    /// `on_reject: halt` met a rejected message.
    Halt(Position),
}

/// What a flow asks its letter store for.
#[derive(Debug, Clone)]
pub enum LetterCall {
    /// Block lanes, append successors.
    Store(StoreRun),
    /// Claim due lanes.
    Pick {
        /// At most so many lanes.
        lanes: usize,
        /// With at most so many letters each.
        run: usize,
    },
    /// Close delivered letters.
    Close(Vec<CloseRun>),
    /// Ask which of these lanes are not blocked any more.
    Recheck(Vec<LaneName>),
}

/// What is told: state changes, never single messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A destination began to rest.
    DestinationRests {
        /// Which.
        destination: Destination,
        /// Why.
        kind: FailureKind,
    },
    /// It takes messages again.
    DestinationBack(Destination),
    /// It rested, and nothing has spoken of it for so long that it is forgotten: what was said of it is over.
    DestinationForgotten(Destination),
    /// A lane waits for its next attempt.
    LaneRests(LaneName),
    /// A lane was blocked: parked for a person, or kept until its time comes.
    LaneStored(LaneName),
    /// A lane's letters are all gone.
    LaneFree(LaneName),
    /// A later message of a lane became durable although an earlier one failed.
    OrderBroken {
        /// The lane.
        lane: LaneName,
        /// What failed.
        failed: Position,
        /// What passed it.
        durable: Position,
    },
}

// === impl LetterCall ===

impl LetterCall {
    /// Asks, and makes the answer an event. Errors, cancellation safety: as the letter store's.
    pub fn ask(self, letters: Arc<dyn LetterStore>) -> Boxed<'static, Result<Event, StoreError>> {
        Box::pin(async move {
            match self {
                Self::Store(run) => letters.store(run).await.map(Event::Stored),
                Self::Pick { lanes, run } => letters.due(lanes, run).await.map(Event::Picked),
                Self::Close(runs) => letters.close(runs).await.map(Event::Closed),
                Self::Recheck(lanes) => letters.gone(lanes).await.map(Event::Gone),
            }
        })
    }
}
