//! One relay process of the simulation: the reducer and what its shell keeps beside it.
//!
//! Promises: performs effects as `relay::lead` does: one call of the source at a time in the order of the asks, one call
//! of the letter store, one batch on its way to the client.

use std::collections::VecDeque;
use std::time::Duration;

use twinbox::contract::{Outbound, Progress, Room};
use twinbox::delivery::{LaneName, RestPolicy, Route, Router, Template, TemplateUse};
use twinbox::flow::{DeadLetter, OnReject, Settings, State};

use super::check::View;
use super::clock::Time;
use super::faults::Shape;
use super::model_source::{Opening, Seq};

/// What the source is asked, in order.
#[derive(Debug)]
pub(super) enum Ask {
    /// The flag: asked for after a drain began.
    Fetch(Room, bool),
    Confirm(Progress),
    Idle(Time),
}

/// How a term ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    Crashed,
    LeaseLost,
    Drained,
    DeadlinePassed,
    Halted,
}

pub(super) struct Process {
    pub(super) number: u32,
    pub(super) epoch: u64,
    pub(super) state: State,
    pub(super) view: View,
    pub(super) opening: Opening,
    pub(super) asks: VecDeque<Ask>,
    /// The source is busy with an ask.
    pub(super) asking: bool,
    /// Set while the source waits for a hint.
    pub(super) idle: Option<u64>,
    pub(super) to_publish: VecDeque<Vec<Outbound>>,
    pub(super) handing_over: bool,
    pub(super) frozen_until: Time,
    pub(super) drain_until: Option<Time>,
    /// When it was asked to drain, and what was committed and unread then (S37).
    pub(super) drain_began: (Time, Vec<Seq>),
    pub(super) windows_in_drain: u32,
    pub(super) tick_at: Option<Time>,
    pub(super) left: Option<Left>,
}

// === impl Process ===

impl Process {
    pub(super) fn new(number: u32, epoch: u64, of: (&Shape, Vec<LaneName>)) -> Self {
        let (shape, blocked) = of;
        Self {
            number,
            epoch,
            state: State::new(settings(shape), blocked),
            view: View::default(),
            opening: Opening::default(),
            asks: VecDeque::new(),
            asking: false,
            idle: None,
            to_publish: VecDeque::new(),
            handing_over: false,
            frozen_until: 0,
            drain_until: None,
            drain_began: (0, Vec::new()),
            windows_in_drain: 0,
            tick_at: None,
            left: None,
        }
    }

    pub(super) fn lives(&self) -> bool {
        self.left.is_none()
    }
}

fn template(text: &str) -> Template {
    Template::parse(text, TemplateUse::DeadLetter).expect("a known template")
}

/// The relay's settings of a shape.
pub(super) fn settings(shape: &Shape) -> Settings {
    let router = |topic: &str| Router::new(Route::new(vec![template(topic)], template("{aggregateid}"), Vec::new()));
    Settings {
        batch: shape.batch,
        in_flight: shape.in_flight,
        bytes: shape.bytes,
        run_max: shape.run_max,
        rest: RestPolicy {
            rest_first: shape.rest_first,
            rest_max: shape.rest_max,
            attempts_max: shape.attempts_max,
        },
        stall: Some(Duration::from_secs(30)),
        on_reject: shape.on_reject,
        router: router("{header:topic}"),
        dead_letter: (shape.on_reject == OnReject::DeadLetter).then(|| DeadLetter {
            router: router("{topic}.dlq"),
            headers: |_| Vec::new().into(),
        }),
    }
}
