//! Everything a relay knows while it leads, and the rules that hold between two steps.
//!
//! Promises: R1–R11 of DESIGN §3.2, asserted after every step of a debug build.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::blocked::{Block, progress};
use super::desk::Desk;
use super::lane::{Lane, LaneId, Standing};
use super::paused::Pauses;
use super::place::Tally;
use super::places::Places;
use super::plan::CONFIRM_FIRST;
use super::status::LaneCounts;
use crate::contract::{Outbound, Progress, RejectionHeaders};
use crate::delivery::{Destination, Failure, Inflight, LaneName, RestPolicy, Router};
use crate::message::{Key, Position};

/// What a rejected message does to its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnReject {
    /// Blocks it, in order, until a person decides.
    Park,
    /// Goes to the dead-letter destination; the lane flows on.
    DeadLetter,
    /// Stops the relay.
    Halt,
}

/// What a relay is told once.
#[derive(Debug)]
pub struct Settings {
    /// Messages of one reading and of one hand-over.
    pub batch: usize,
    /// Messages that may be unsettled.
    pub in_flight: usize,
    /// Bytes that may be unsettled.
    pub bytes: usize,
    /// The broker's run length.
    pub run_max: u32,
    /// How failures rest.
    pub rest: RestPolicy,
    /// No answer for that long: the run's partition has no leader, or its answers are lost (S9). None where whoever takes a run
    /// always answers; a long wait then says that it is slow, and nothing is stored for that.
    pub stall: Option<Duration>,
    /// What a rejection does.
    pub on_reject: OnReject,
    /// Where messages go.
    pub router: Router,
    /// Where dead letters go, under [`OnReject::DeadLetter`].
    pub dead_letter: Option<DeadLetter>,
}

/// Where dead letters go.
#[derive(Debug)]
pub struct DeadLetter {
    /// The address.
    pub router: Router,
    /// The broker's way of telling what happened.
    pub headers: RejectionHeaders,
}

/// A message in memory.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) outbound: Outbound,
    pub(super) lane: LaneId,
    /// It is on its way, and not answered.
    pub(super) awaited: bool,
    /// What went wrong with it: known before sending (no address, no body), or answered.
    pub(super) failure: Option<Arc<Failure>>,
    /// It can never be handed over: there is nothing to send, or nowhere to send it.
    pub(super) unsendable: bool,
}

/// Whether the source is being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asking {
    /// It may be asked.
    No,
    /// It is being asked.
    Yes,
    /// Nothing was there: it is to wait for a hint.
    Idle,
    /// It waits for a hint; an ask ends the wait at once.
    Waiting,
    /// Not before then.
    After(Instant),
}

/// How far a drain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Draining {
    No,
    /// One last window is to be opened (S37).
    LastWindow {
        /// Until then the rest of a long window is read.
        until: Instant,
        /// It was asked for: whatever was known before is read to its end.
        opened: bool,
    },
    /// Nothing new is fetched (R9).
    Finishing,
    /// Told.
    Done,
}

/// The state of a leading relay.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own, not a state among others"
)]
pub struct State {
    pub(super) settings: Settings,
    pub(super) inflight: Inflight<Flight>,
    pub(super) lanes: Vec<Lane>,
    free: Vec<LaneId>,
    pub(super) places: Places,
    /// Places with lanes that want to publish.
    pub(super) active: VecDeque<u32>,
    pub(super) resting: BTreeSet<(Instant, LaneId)>,
    /// Lanes that have letters, as far as is known: one entry per row of `lane`, which goes with it. A relay's letters have
    /// no cap (S7), so neither has this; a name and a few words each are its cost, the alert on letters is what tells.
    pub(super) blocked: HashMap<LaneName, Block>,
    pub(super) desk: Desk,
    pub(super) asking: Asking,
    /// The source has not given all of what it knows.
    pub(super) more: bool,
    pub(super) confirming: bool,
    /// Something was settled since the last confirm was sent.
    pub(super) unconfirmed: bool,
    pub(super) confirm_after: Option<Instant>,
    /// How long after a confirm the next one may follow.
    pub(super) confirm_wait: Duration,
    pub(super) trust_until: Option<Instant>,
    pub(super) stepped_down: bool,
    pub(super) draining: Draining,
    pub(super) flying: usize,
    /// How many runs may be in flight, if each is to be one message.
    pub(super) width: Option<usize>,
    /// What an operator holds back.
    pub(super) pauses: Pauses,
    pub(super) published: u64,
    /// When one of the newest durable messages was inserted.
    pub(super) sample: Option<jiff::Timestamp>,
    pub(super) looked_at_rests: Option<Instant>,
    last_watermark: Option<Position>,
}

// === impl State ===

impl State {
    /// A relay that has just taken the lease and found these lanes blocked.
    #[must_use]
    pub fn new(settings: Settings, blocked: Vec<LaneName>) -> Self {
        Self {
            settings,
            inflight: Inflight::default(),
            lanes: Vec::new(),
            free: Vec::new(),
            places: Places::new(),
            active: VecDeque::new(),
            resting: BTreeSet::new(),
            blocked: blocked.into_iter().map(|lane| (lane, Block::default())).collect(),
            desk: Desk::default(),
            asking: Asking::No,
            more: false,
            confirming: false,
            unconfirmed: false,
            confirm_after: None,
            confirm_wait: CONFIRM_FIRST,
            trust_until: None,
            stepped_down: false,
            draining: Draining::No,
            flying: 0,
            width: None,
            pauses: Pauses::none(),
            published: 0,
            sample: None,
            looked_at_rests: None,
            last_watermark: None,
        }
    }

    /// Newest position with nothing unsettled at or below it.
    #[must_use]
    pub fn watermark(&self) -> Option<Position> {
        self.inflight.watermark()
    }

    /// Messages read and not settled.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        self.inflight.unsettled()
    }

    /// Their bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.inflight.bytes()
    }

    /// Messages that the broker has taken over for good.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.published
    }

    /// What happened at each destination since the last call.
    pub fn take_tallies(&mut self) -> Vec<(Destination, Tally)> {
        let places = self
            .places
            .all
            .iter_mut()
            .filter(|place| place.tally != Tally::default());
        places
            .map(|place| (place.destination.clone(), std::mem::take(&mut place.tally)))
            .collect()
    }

    /// When one of the messages that became durable since the last call was inserted, by the database's clock.
    pub fn take_sample(&mut self) -> Option<jiff::Timestamp> {
        self.sample.take()
    }

    /// What is settled when a term ends otherwise than drained, if the source has not been told: with it the next holder
    /// repeats less.
    #[must_use]
    pub fn parting(&self) -> Option<Progress> {
        self.unconfirmed.then(|| progress(&self.inflight, &[])).flatten()
    }

    /// Lanes by state.
    #[must_use]
    pub fn lane_counts(&self) -> LaneCounts {
        let behind_rest: usize = self
            .places
            .all
            .iter()
            .filter(|place| place.rests_since.is_some())
            .map(|place| place.ready.len())
            .sum();
        let resting = self.resting.len() + behind_rest;
        let in_memory = self.lanes.len() - self.free.len();
        LaneCounts {
            flowing: in_memory.saturating_sub(resting),
            resting,
            parked: self.blocked.len(),
        }
    }

    /// When something will want to happen without an event; the shell ticks then, or after a second.
    #[must_use]
    pub fn next_wake(&self, now: Instant) -> Instant {
        let mut wake = now + Duration::from_secs(1);
        if self.is_over() {
            return wake;
        }
        let mut consider = |at: Option<Instant>| wake = at.map_or(wake, |at| wake.min(at));
        consider(self.resting.first().map(|(at, _)| *at));
        for place in self
            .active
            .iter()
            .filter_map(|place| self.places.all.get(*place as usize))
        {
            let may_probe = place.flying < place.width && !self.pauses.hold_all();
            consider(place.rests_until.filter(|_| may_probe));
        }
        consider(self.desk.wake(self.may_pick()));
        let may_confirm = self.unconfirmed && !self.confirming && !self.desk.is_storing();
        consider(self.confirm_after.filter(|_| may_confirm));
        consider(self.trust_until);
        if let Asking::After(at) = self.asking {
            consider(Some(at));
        }
        if let Draining::LastWindow { until, .. } = self.draining {
            consider(Some(until));
        }
        wake.max(now)
    }

    /// It wants nothing any more.
    pub(super) fn is_over(&self) -> bool {
        self.stepped_down || self.draining == Draining::Done
    }

    /// Due lanes may be asked for: some are blocked, none waits to go out, and nothing new is begun in a drain (R9).
    pub(super) fn may_pick(&self) -> bool {
        let may_begin = self.draining == Draining::No && !self.pauses.hold_all();
        may_begin && !self.blocked.is_empty() && self.desk.ready.is_empty()
    }

    /// One more run may go into flight, as far as care goes.
    pub(super) fn admits_one(&self) -> bool {
        self.width.is_none_or(|width| self.flying < width)
    }

    /// How many messages of one lane may be in flight together.
    pub(super) fn run_max(&self) -> usize {
        let Settings { run_max, batch, .. } = self.settings;
        match self.width {
            Some(_) => 1,
            None => batch.min(run_max as usize),
        }
    }

    pub(super) fn lane_mut(&mut self, id: LaneId) -> &mut Lane {
        &mut self.lanes[id as usize]
    }

    /// The lane of that destination and key; a message without a key opens one of its own.
    pub(super) fn lane_of(&mut self, destination: &Destination, key: Option<&Key>, position: Position) -> LaneId {
        let place = self.place_of(destination);
        if let Some(key) = key
            && let Some(id) = self.places.all[place as usize].lanes.get(key)
        {
            return *id;
        }
        // A name costs an allocation and is needed only where lanes are blocked.
        let name = (!self.blocked.is_empty()).then(|| LaneName::of(destination, key, position));
        let mut lane = Lane::new(place, key.cloned(), name);
        let is_blocked = lane.name.as_ref().is_some_and(|name| self.blocked.contains_key(name));
        if is_blocked {
            lane.standing = Standing::Blocked;
        }
        let id = self.insert(lane);
        if is_blocked {
            self.note_blocked(id);
        }
        if let Some(key) = key {
            self.places.all[place as usize].lanes.insert(key.clone(), id);
        }
        id
    }

    fn note_blocked(&mut self, id: LaneId) {
        if let Some(name) = &self.lanes[id as usize].name
            && let Some(block) = self.blocked.get_mut(name)
        {
            block.in_memory = Some(id);
        }
    }

    fn insert(&mut self, lane: Lane) -> LaneId {
        match self.free.pop() {
            Some(id) => {
                self.lanes[id as usize].let_to(lane);
                id
            }
            None => {
                self.lanes.push(lane);
                LaneId::try_from(self.lanes.len() - 1).unwrap_or(LaneId::MAX)
            }
        }
    }

    /// Forgets a lane of which nothing is left.
    pub(super) fn forget_if_over(&mut self, id: LaneId) {
        let lane = &mut self.lanes[id as usize];
        if !lane.is_over() || lane.listed {
            return;
        }
        if let Some(key) = lane.key.take() {
            self.places.all[lane.place as usize].lanes.remove(&key);
        }
        if let Some(block) = lane.name.as_ref().and_then(|name| self.blocked.get_mut(name)) {
            block.in_memory = None;
        }
        lane.standing = Standing::Gone;
        self.free.push(id);
    }

    /// Puts a lane among those that want to publish.
    pub(super) fn list(&mut self, id: LaneId) {
        let lane = &mut self.lanes[id as usize];
        if lane.listed || !lane.wants_to_publish() {
            return;
        }
        lane.listed = true;
        let index = lane.bound_for();
        let place = &mut self.places.all[index as usize];
        if place.ready.is_empty() {
            self.active.push_back(index);
        }
        place.ready.push_back(id);
    }

    /// The lane's name, made when it is first needed.
    pub(super) fn name_of(&mut self, id: LaneId) -> LaneName {
        let lane = &self.lanes[id as usize];
        if let Some(name) = &lane.name {
            return name.clone();
        }
        let head = lane.whole().next().and_then(|number| self.inflight.position(number));
        let destination = &self.places.all[lane.place as usize].destination;
        let name = LaneName::of(destination, lane.key.as_ref(), head.unwrap_or(Position::new(0, 0, 0)));
        self.lanes[id as usize].name = Some(name.clone());
        name
    }

    /// Whether other lanes succeed: at the lane's own place, or anywhere else.
    pub(super) fn others_flow(&self, place: u32, now: Instant) -> bool {
        self.places.all[place as usize].flows(now) || self.elsewhere_flows(place, now)
    }

    /// Whether another destination succeeds.
    pub(super) fn elsewhere_flows(&self, place: u32, now: Instant) -> bool {
        (0..)
            .zip(&self.places.all)
            .any(|(index, other)| index != place && other.flows(now))
    }

    /// A run of the lane succeeded: nothing that was said of its head before counts.
    pub(super) fn succeeded(&mut self, id: LaneId) {
        let taken_over = self.desk.takes_over(id);
        let lane = self.lane_mut(id);
        lane.succeeded();
        if lane.standing == Standing::Storing && !taken_over {
            lane.standing = Standing::Flowing;
        }
    }

    pub(super) fn settle(&mut self, number: u64) {
        if self.inflight.settle(number).is_some() {
            self.unconfirmed = true;
        }
    }

    /// R1–R5, R9 between two steps; the others are the simulation's to see.
    pub(super) fn assert_rules(&mut self) {
        debug_assert!(
            self.inflight.watermark() >= self.last_watermark,
            "R4: the watermark is monotone"
        );
        self.last_watermark = self.inflight.watermark();
        #[cfg(debug_assertions)]
        for lane in &self.lanes {
            let sorted = lane.whole().zip(lane.whole().skip(1)).all(|(a, b)| a < b);
            debug_assert!(sorted, "R2: a lane is in position order");
            debug_assert!(
                lane.unanswered as usize <= lane.run.len(),
                "R1: answers belong to the one run in flight"
            );
        }
    }
}
