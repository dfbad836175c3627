//! A reducer on a bench: a script decides what each side does and when, with the models of source and letters behind it
//! and the same checks after every step.

use std::collections::BTreeSet;
use std::time::Duration;

use twinbox::contract::{Answer, CloseRun, Kept, LetterId, Outbound, Progress, Receipt, Room, StoreRun, Ticket};
use twinbox::delivery::{FailureKind, LaneName, Moment};
use twinbox::flow::{Effect, Event, LetterCall, Notice, Pause, Pauses, State, step};
use twinbox::message::Key;

use super::super::check::{Around, View};
use super::super::clock::{Clock, SECOND, Time};
use super::super::faults::Shape;
use super::super::model_broker::failure;
use super::super::model_letters::ModelLetters;
use super::super::model_source::{Address, ModelSource, Opening, Row, Seq};
use super::super::process::settings;

/// What a database says that did not answer.
const REST: Duration = Duration::from_millis(200);

/// One term of one relay.
pub(super) struct Rig {
    pub(super) shape: Shape,
    pub(super) source: ModelSource,
    pub(super) letters: ModelLetters,
    pub(super) state: State,
    pub(super) now: Time,
    /// Handed over and not answered.
    pub(super) flying: Vec<Outbound>,
    /// Handed over since it was last asked.
    left: Vec<Seq>,
    pub(super) fetch: Option<Room>,
    pub(super) confirm: Option<Progress>,
    pub(super) store: Option<StoreRun>,
    pub(super) pick: Option<(usize, usize)>,
    pub(super) close: Option<Vec<CloseRun>>,
    pub(super) recheck: Option<Vec<LaneName>>,
    pub(super) told: Vec<Notice>,
    pub(super) ended: Option<&'static str>,
    idle: bool,
    opening: Opening,
    view: View,
    clock: Clock,
    term: u32,
}

/// A row without anything odd.
pub(super) fn row(topic: usize, key: Option<usize>) -> Row {
    Row {
        topic,
        key,
        body: 10,
        poison: false,
        address: Address::Written,
        committed: true,
        window: None,
    }
}

// === impl Rig ===

impl Rig {
    pub(super) fn new(shape: Shape) -> Self {
        let source = ModelSource::new(Vec::new(), shape.bytes);
        let mut rig = Self {
            state: State::new(settings(&shape), Vec::new()),
            shape,
            source,
            letters: ModelLetters::default(),
            now: 0,
            flying: Vec::new(),
            left: Vec::new(),
            fetch: None,
            confirm: None,
            store: None,
            pick: None,
            close: None,
            recheck: None,
            told: Vec::new(),
            ended: None,
            idle: false,
            opening: Opening::default(),
            view: View::default(),
            clock: Clock::new(),
            term: 0,
        };
        rig.trust();
        rig
    }

    pub(super) fn plain() -> Self {
        Self::new(Shape::plain())
    }

    /// The lease holds for an hour.
    fn trust(&mut self) {
        let until = self.now + 3_600 * SECOND;
        self.view.trust_until = until;
        self.happens(Event::Trusted(self.clock.at(until)));
    }

    /// The process dies and another takes over; what was not answered never is.
    pub(super) fn restart(&mut self) {
        self.term += 1;
        self.state = State::new(settings(&self.shape), self.letters.blocked());
        self.flying.clear();
        (self.fetch, self.confirm, self.store, self.pick, self.close) = (None, None, None, None, None);
        (self.idle, self.opening, self.view) = (false, Opening::default(), View::default());
        self.trust();
    }

    pub(super) fn happens(&mut self, event: Event) {
        let at = self.moment();
        let around = Around {
            now: self.now,
            shape: &self.shape,
            source: &self.source,
            letters: &self.letters,
            current: true,
        };
        self.view.told(&event, around);
        let mut effects = Vec::new();
        step(&mut self.state, event, at, &mut effects);
        self.view.stepped(&self.state, &effects, around);
        assert!(self.view.violations.is_empty(), "{:#?}", self.view.violations);
        for effect in effects {
            self.perform(effect);
        }
    }

    fn moment(&self) -> Moment {
        Moment {
            now: self.clock.at(self.now),
            random: u64::MAX / 2,
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Fetch(room) => self.fetch = Some(room),
            Effect::Idle(_) => self.idle = true,
            Effect::Publish(batch) => {
                self.left
                    .extend(batch.iter().map(|outbound| outbound.message.position.minor));
                self.flying.extend(batch);
            }
            Effect::Confirm(progress) => self.confirm = Some(progress),
            Effect::Letters(LetterCall::Store(run)) => self.store = Some(run),
            Effect::Letters(LetterCall::Pick { lanes, run }) => self.pick = Some((lanes, run)),
            Effect::Letters(LetterCall::Close(runs)) => self.close = Some(runs),
            Effect::Letters(LetterCall::Recheck(lanes)) => self.recheck = Some(lanes),
            Effect::Tell(notice) => self.told.push(notice),
            Effect::StepDown => self.ended = Some("stepped down"),
            Effect::Drained => self.ended = Some("drained"),
            Effect::Halt(_) => self.ended = Some("halted"),
        }
    }

    /// Time passes, with every wake that the reducer asks for; nobody answers meanwhile.
    pub(super) fn wait(&mut self, time: Time) {
        let end = self.now + time;
        let mut wakes = 0;
        while self.now < end {
            let wake = self.clock.time(self.state.next_wake(self.clock.at(self.now)));
            wakes = if wake <= self.now { wakes + 1 } else { 0 };
            assert!(wakes < 10, "the reducer wants to be woken at once, again and again");
            self.now = wake.clamp(self.now, end);
            self.happens(Event::Tick);
        }
    }

    /// Time passes, and the letter store answers whatever it is asked.
    pub(super) fn wait_served(&mut self, time: Time) {
        let end = self.now + time;
        while self.now < end {
            self.wait((end - self.now).min(SECOND / 10));
            self.serve();
        }
    }

    /// The letter store answers until it is not asked any more.
    pub(super) fn serve(&mut self) {
        for _ in 0..100 {
            if self.store.is_some() {
                self.stores();
            } else if self.close.is_some() {
                self.closes();
            } else if self.pick.is_some() {
                self.picks();
            } else if self.confirm.is_some() {
                self.confirms();
            } else {
                return;
            }
        }
        panic!("the reducer asks the letter store for ever");
    }

    /// Rows commit and are read; answers their numbers.
    pub(super) fn read(&mut self, rows: &[Row]) -> Vec<Seq> {
        let seqs = self.commit(rows);
        self.fetches();
        seqs
    }

    pub(super) fn commit(&mut self, rows: &[Row]) -> Vec<Seq> {
        rows.iter().map(|row| self.source.add(row.clone())).collect()
    }

    /// The source answers with what there is.
    pub(super) fn fetches(&mut self) {
        if std::mem::take(&mut self.idle) {
            self.happens(Event::Woken);
        }
        let room = self.fetch.take().expect("the source is asked");
        let (page, _) = self.source.next(&mut self.opening, room);
        self.happens(Event::Fetched(page));
    }

    /// What was handed over since the last time.
    pub(super) fn published(&mut self) -> Vec<Seq> {
        std::mem::take(&mut self.left)
    }

    fn ticket(&mut self, seq: Seq) -> Ticket {
        let index = self
            .flying
            .iter()
            .position(|outbound| outbound.message.position.minor == seq)
            .unwrap_or_else(|| panic!("{seq} is not in flight"));
        self.flying.remove(index).ticket
    }

    pub(super) fn answer(&mut self, seq: Seq, receipt: Receipt) {
        let ticket = self.ticket(seq);
        self.happens(Event::Answered(vec![Answer { ticket, receipt }]));
    }

    /// The publisher is closed: these are durable, everything else on its way was purged.
    pub(super) fn purged(&mut self, durable: &[Seq]) {
        let flying = std::mem::take(&mut self.flying).into_iter();
        let answers = flying.map(|outbound| Answer {
            ticket: outbound.ticket,
            receipt: if durable.contains(&outbound.message.position.minor) {
                Receipt::Durable
            } else {
                Receipt::Failed(failure(FailureKind::Unreachable, "Purged"))
            },
        });
        let answers = answers.collect();
        self.happens(Event::Purged(answers));
    }

    /// A receipt that no publisher would give any more: the checks do not hear of it.
    pub(super) fn late(&mut self, ticket: Ticket, receipt: Receipt) {
        let at = self.moment();
        let mut effects = Vec::new();
        step(
            &mut self.state,
            Event::Answered(vec![Answer { ticket, receipt }]),
            at,
            &mut effects,
        );
        assert!(effects.is_empty(), "{effects:?}");
    }

    pub(super) fn durable(&mut self, seqs: &[Seq]) {
        for seq in seqs {
            self.answer(*seq, Receipt::Durable);
        }
    }

    pub(super) fn fails(&mut self, seq: Seq, kind: FailureKind) {
        self.answer(seq, Receipt::Failed(failure(kind, "Scripted")));
    }

    pub(super) fn confirms(&mut self) {
        let progress = self.confirm.take().expect("the source is told");
        self.source.settle(&mut self.opening, &progress);
        self.happens(Event::Confirmed);
    }

    /// The letter store does what it was asked; the outcome may still be lost on the way.
    fn store_now(&mut self) -> Kept {
        let run = self.store.take().expect("something is to be stored");
        let now = self.now;
        for park in &run.parks {
            self.letters.park(park, now);
        }
        let mut kept = Kept::default();
        for append in &run.appends {
            self.letters.append(append, &mut kept);
        }
        self.source.settle(&mut self.opening, &run.progress);
        kept
    }

    pub(super) fn stores(&mut self) {
        let kept = self.store_now();
        self.happens(Event::Stored(kept));
    }

    pub(super) fn stores_and_says_it_failed(&mut self) {
        self.store_now();
        self.happens(Event::DeskFailed(REST));
    }

    pub(super) fn picks(&mut self) {
        let most = self.pick.take().expect("due lanes are asked for");
        let due = self.letters.due(most, self.term, (self.now, &self.source));
        self.happens(Event::Picked(due));
    }

    fn close_now(&mut self) -> Vec<LaneName> {
        let runs = self.close.take().expect("letters are to be closed");
        let (term, now) = (self.term, self.now);
        runs.iter()
            .filter(|run| self.letters.close(run, term, now))
            .map(|run| run.lane.clone())
            .collect()
    }

    pub(super) fn closes(&mut self) {
        let free = self.close_now();
        self.happens(Event::Closed(free));
    }

    /// The letter store is asked how many blocked lanes it has, and which are gone when they are fewer.
    pub(super) fn counts(&mut self) {
        self.happens(Event::Counted(self.letters.lanes.len() as u64));
        if let Some(lanes) = self.recheck.take() {
            self.happens(Event::Gone(self.letters.gone(lanes)));
        }
    }

    /// A lane by the number of one of its rows.
    pub(super) fn lane(&self, seq: Seq) -> LaneName {
        self.letters
            .of(seq)
            .unwrap_or_else(|| panic!("{seq} is no letter"))
            .lane
            .clone()
    }

    /// Open letters of a row's lane.
    pub(super) fn open_letters(&self, seq: Seq) -> Vec<Seq> {
        let lane = self.lane(seq);
        let open: Vec<(LetterId, Seq)> = self.letters.open(&lane, &self.source);
        open.into_iter().map(|(_, seq)| seq).collect()
    }

    pub(super) fn discard(&mut self, seq: Seq, count: usize) {
        let lane = self.lane(seq);
        self.letters.discard(&lane, count, &self.source);
    }

    /// An operator holds these keys back, and nothing else: the letter store knows, and the relay is told.
    pub(super) fn pauses(&mut self, keys: &[usize]) {
        let keys: BTreeSet<Key> = keys.iter().map(|key| Key::from(format!("k{key}").as_str())).collect();
        self.letters.held = keys.iter().map(LaneName::ending).collect();
        let pauses = Pauses { keys, ..Pauses::none() };
        self.happens(Event::Paused(pauses));
    }

    /// An operator holds everything back.
    pub(super) fn pauses_all(&mut self) {
        self.letters.held = vec![String::new()];
        let pause = Pause {
            by: "ann".to_owned(),
            reason: None,
            since: jiff::Timestamp::UNIX_EPOCH,
        };
        let whole = Some(pause);
        self.happens(Event::Paused(Pauses {
            whole,
            ..Pauses::none()
        }));
    }

    pub(super) fn release(&mut self, seq: Seq) {
        let (lane, now) = (self.lane(seq), self.now);
        self.letters.release(&lane, now);
    }
}
