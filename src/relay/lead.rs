//! One term of leading: a shell around `step` that performs effects and feeds the answers back.
//!
//! Promises: holds no policy; every wait is an arm of one `select!`; nothing new is handed over once the reducer stepped
//! down; on the way out the publisher is closed before anything else is given up (S12).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::keeper::{Keeper, Trust};
use super::lookout::{Lookout, Remembering};
use super::reader::{Ask, Reader, Told};
use super::run::{Control, Engine, tell_failure, tell_store_error};
use super::status::RelayState;
use super::tell::tell;
use super::traced::Traced;
use super::upkeep::Upkeeper;
use crate::contract::{Answer, Boxed, Held, LetterCounts, LetterStore, Opened, Outbound, Publisher, StoreError};
use crate::delivery::Failure;
use crate::flow::clock::{beating, moment, news, now, wait, wall_clock};
use crate::flow::{Census, Effect, Event, Pauses, RESTING_SHOWN, State, by_state, step};
use crate::telemetry::{self, Running};

/// How often `/status` is renewed under load.
const REPORT_EVERY: Duration = Duration::from_millis(200);
/// How often the backlog is counted.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// Waits after the database did not answer, while the lease lasts.
const STORE_REST: Duration = Duration::from_millis(200);
/// How long the broker may take to answer for what is on the wire when a term ends.
const CLOSE_DEADLINE: Duration = Duration::from_secs(3);

/// How a term ends.
#[derive(Debug)]
pub(super) enum Left {
    Drained,
    DeadlinePassed,
    LeaseLost,
    Away(Failure),
    Halted(String),
    /// An operator accepted a change of destinations: open everything anew.
    Accepted,
}

/// What a term waits for.
enum Heard {
    Trust(Trust),
    Drain,
    Paused(Pauses),
    Answers(Vec<Answer>),
    Desk(Result<Event, StoreError>),
    Taken,
    Remembered(Result<Remembering, StoreError>),
    Counted(Result<LetterCounts, StoreError>),
    Told(Option<Told>),
    Time,
}

/// What is in progress beside the reducer.
struct Term<'a> {
    engine: &'a Engine,
    control: &'a mut Control,
    state: State,
    effects: Vec<Effect>,
    reader: Reader,
    letters: Arc<dyn LetterStore>,
    desk: Option<Boxed<'static, Result<Event, StoreError>>>,
    lookout: Lookout,
    census: Census,
    publisher: Arc<dyn Publisher>,
    /// Batches that wait for the client to take the one before.
    to_publish: VecDeque<Vec<Outbound>>,
    handing_over: Option<Boxed<'static, ()>>,
    traced: Traced,
    left: Option<Left>,
    drain_until: Option<Instant>,
    /// By earlier terms of this process.
    published_before: u64,
    report_at: Instant,
    probe_at: Instant,
}

/// Leads until something ends it.
pub(super) async fn lead(engine: &Engine, control: &mut Control, with: (&Held, &Keeper, &Running)) -> Left {
    let (held, keeper, turns) = with;
    let (opened, blocked) = match beating(turns, open(engine, held)).await {
        Ok(opened) => opened,
        Err(error) => return refused(engine, control, error),
    };
    for told in &opened.told {
        tell_store_error(engine, control, told);
    }
    let known = match beating(turns, opened.destinations.known()).await {
        Ok(known) => known,
        Err(error) => return refused(engine, control, error),
    };
    engine.broker.remember(known);
    let publisher = match beating(turns, engine.broker.publisher()).await {
        Ok(publisher) => publisher,
        Err(failure) => return Left::Away(failure),
    };
    control.status.send_modify(|status| {
        status.state = RelayState::Leading;
        status.ready = true;
        status.last_error = None;
    });
    let published_before = control.status.borrow().published;
    let _upkeep = Upkeeper::start(opened.upkeep, engine);
    let mut term = Term {
        state: State::new((engine.settings)(), blocked),
        effects: Vec::new(),
        reader: Reader::start(opened.source, engine),
        census: Census::new(Arc::clone(&opened.letters), now()),
        letters: opened.letters,
        desk: None,
        lookout: Lookout::new(opened.destinations, now()),
        publisher,
        to_publish: VecDeque::new(),
        handing_over: None,
        traced: Traced::default(),
        left: None,
        drain_until: None,
        published_before,
        report_at: now(),
        probe_at: now(),
        engine,
        control,
    };
    let left = term.go(keeper, turns).await;
    beating(turns, term.close(left)).await
}

async fn open(engine: &Engine, held: &Held) -> Result<(Opened, Vec<crate::delivery::LaneName>), StoreError> {
    let opened = engine.outbox.open(held).await?;
    let blocked = opened.letters.blocked().await?;
    Ok((opened, blocked))
}

/// A store's error that ends the term, or keeps it from beginning.
fn refused(engine: &Engine, control: &Control, error: StoreError) -> Left {
    tell_store_error(engine, control, &error);
    control.status.send_modify(|status| status.state = RelayState::Blocked);
    match error {
        StoreError::Fenced => Left::LeaseLost,
        StoreError::Away(failure) => Left::Away(failure),
        StoreError::Incident {
            kind: "system_changed",
            sentence,
            ..
        } => Left::Halted(sentence),
        StoreError::Incident { kind, sentence, .. } => {
            Left::Away(Failure::new(crate::delivery::FailureKind::Destination, kind, sentence))
        }
    }
}

// === impl Term ===

impl Term<'_> {
    async fn go(&mut self, keeper: &Keeper, turns: &Running) -> Left {
        let mut trust = keeper.trust.clone();
        let first = *trust.borrow_and_update();
        self.trusted(first);
        let pauses = self.control.pauses.borrow_and_update().clone();
        self.happened(Event::Paused(pauses));
        loop {
            if let Some(left) = self.left.take() {
                return left;
            }
            turns.beat(now());
            self.report();
            match self.hear(&mut trust).await {
                Heard::Trust(trust) => self.trusted(trust),
                Heard::Drain => self.begin_drain(),
                Heard::Paused(pauses) => self.happened(Event::Paused(pauses)),
                Heard::Answers(answers) => {
                    crate::point!("ack.received");
                    let failed = self.traced.answered(&answers);
                    telemetry::within(failed, || self.happened(Event::Answered(answers)));
                    crate::point!("receipts.applied");
                }
                Heard::Desk(answer) => self.desk_answered(answer),
                Heard::Taken => {
                    self.handing_over = None;
                    self.hand_over();
                }
                Heard::Remembered(answer) => self.remembered(answer),
                Heard::Counted(answer) => self.counted(answer),
                Heard::Told(told) => self.told(told),
                Heard::Time => self.happened(Event::Tick),
            }
            self.deadline();
        }
    }

    /// Waits for what happens next. Finishing comes before starting: the lease, a drain, receipts, letters, and only
    /// then what brings new work.
    async fn hear(&mut self, trust: &mut watch::Receiver<Trust>) -> Heard {
        let wake = self.wake();
        let draining = self.drain_until.is_some();
        let drain = &mut self.control.drain;
        let drain_asked = async move {
            // A closed channel means that nobody can ask any more.
            if draining || drain.wait_for(|drain| *drain).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            changed = trust.changed() => Heard::Trust(changed.map_or(Trust::Lost, |()| *trust.borrow_and_update())),
            () = drain_asked => Heard::Drain,
            pauses = news(&mut self.control.pauses) => Heard::Paused(pauses),
            answers = self.publisher.receipts() => Heard::Answers(answers),
            answer = wait(self.desk.as_mut()) => Heard::Desk(answer),
            () = wait(self.handing_over.as_mut()) => Heard::Taken,
            answer = wait(self.lookout.asking.as_mut()) => Heard::Remembered(answer),
            answer = wait(self.census.counting.as_mut()) => Heard::Counted(answer),
            told = self.reader.told.recv() => Heard::Told(told),
            () = tokio::time::sleep_until(wake.into()) => Heard::Time,
        }
    }

    fn wake(&self) -> Instant {
        let wake = self.state.next_wake(now());
        self.drain_until.map_or(wake, |until| until.min(wake))
    }

    fn deadline(&mut self) {
        if self.drain_until.is_some_and(|until| until <= now()) {
            crate::point!("drain.deadline");
            self.left.get_or_insert(Left::DeadlinePassed);
        }
    }

    fn trusted(&mut self, trust: Trust) {
        match trust {
            Trust::Until(until) => self.happened(Event::Trusted(until)),
            Trust::Lost => self.left = Some(Left::LeaseLost),
        }
    }

    fn begin_drain(&mut self) {
        crate::point!("drain.begun");
        self.drain_until = Some(now() + self.control.drain_deadline);
        self.control
            .status
            .send_modify(|status| status.state = RelayState::Draining);
        self.happened(Event::Drain);
    }

    fn desk_answered(&mut self, answer: Result<Event, StoreError>) {
        self.desk = None;
        match answer {
            Ok(event) => self.happened(event),
            Err(StoreError::Away(failure)) => {
                tell_failure(self.engine, self.control, &failure);
                self.happened(Event::DeskFailed(STORE_REST));
            }
            Err(error) => self.left = Some(refused(self.engine, self.control, error)),
        }
    }

    fn remembered(&mut self, answer: Result<Remembering, StoreError>) {
        self.lookout.asking = None;
        match answer {
            Ok(Remembering::Accepted(true)) => self.left = Some(Left::Accepted),
            Ok(Remembering::Accepted(false) | Remembering::Kept) => {}
            Err(StoreError::Away(failure)) => tell_failure(self.engine, self.control, &failure),
            Err(error) => self.left = Some(refused(self.engine, self.control, error)),
        }
    }

    fn counted(&mut self, answer: Result<LetterCounts, StoreError>) {
        self.census.ended(now());
        match answer {
            Ok(counts) => {
                self.control
                    .status
                    .send_modify(|status| status.letters = by_state(counts));
                self.happened(Event::Counted(counts.lanes));
            }
            // Whoever works with the database tells that it is away.
            Err(error) => tracing::debug!(%error, "the letters could not be counted"),
        }
    }

    fn told(&mut self, told: Option<Told>) {
        let (event, again) = match told {
            Some(Told::Fetched(Ok(page))) => (Ok(Event::Fetched(page)), Event::Tick),
            Some(Told::Fetched(Err(error))) => (Err(error), Event::FetchFailed(STORE_REST)),
            Some(Told::Woken) => (Ok(Event::Woken), Event::Tick),
            Some(Told::Confirmed(Ok(()))) => (Ok(Event::Confirmed), Event::Tick),
            Some(Told::Confirmed(Err(error))) => (Err(error), Event::ConfirmFailed(STORE_REST)),
            Some(Told::Probed(Ok(backlog))) => return self.probed(backlog),
            Some(Told::Probed(Err(error))) => (Err(error), Event::Tick),
            None => {
                debug_assert!(self.reader.is_gone(), "the reader ends only with its asks");
                let failure = Failure::new(
                    crate::delivery::FailureKind::Unknown,
                    "ReaderGone",
                    "the source's task ended",
                );
                self.left = Some(Left::Away(failure));
                return;
            }
        };
        match event {
            Ok(event) => {
                self.happened(event);
                crate::point!("lanes.filled");
            }
            Err(StoreError::Away(failure)) => {
                self.happened(again);
                self.left = Some(Left::Away(failure));
            }
            Err(error) => self.left = Some(refused(self.engine, self.control, error)),
        }
    }

    fn probed(&mut self, backlog: crate::contract::Backlog) {
        self.control.status.send_modify(|status| {
            status.backlog = Some(backlog.messages);
            status.oldest_age = Some(backlog.oldest_age);
            status.ready = true;
        });
    }

    /// Lets an event happen and performs what follows.
    fn happened(&mut self, event: Event) {
        step(&mut self.state, event, moment(), &mut self.effects);
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            self.perform(effect);
        }
        self.effects = effects;
        self.hand_over();
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Fetch(room) => self.reader.ask(Ask::Fetch(room)),
            Effect::Idle(at_most) => self.reader.ask(Ask::Idle(at_most)),
            Effect::Confirm(progress) => {
                crate::point!("watermark.up");
                self.reader.ask(Ask::Confirm(progress));
            }
            Effect::Publish(batch) => self.to_publish.push_back(batch),
            Effect::Letters(call) => self.desk = Some(call.ask(Arc::clone(&self.letters))),
            Effect::Tell(notice) => tell(&self.engine.name, &self.control.status, &notice),
            Effect::StepDown => self.left = Some(Left::LeaseLost),
            Effect::Drained => self.left = Some(Left::Drained),
            Effect::Halt(position) => {
                let sentence = format!(
                    "relay {}: the broker rejected the message at {position} and `on_reject` is `halt`; \
                     mend the message or the destination, or set `on_reject: park`, and start again",
                    self.engine.name
                );
                self.left = Some(Left::Halted(sentence));
            }
        }
    }

    /// Hands the next batch over once the client has taken the one before.
    fn hand_over(&mut self) {
        if self.handing_over.is_some() {
            return;
        }
        let Some(batch) = self.to_publish.pop_front() else {
            return;
        };
        let publisher = Arc::clone(&self.publisher);
        crate::point!("run.handed_over");
        self.traced.handed_over(&self.engine.spans, &batch);
        self.handing_over = Some(Box::pin(async move { publisher.publish(batch).await }));
    }

    /// Renews `/status`, a few times a second at most, and asks for the backlog now and then.
    fn report(&mut self) {
        let now = now();
        if now < self.report_at {
            return;
        }
        self.report_at = now + REPORT_EVERY;
        if self.drain_until.is_none() {
            self.census.ask(now);
            if now >= self.probe_at {
                self.probe_at = now + PROBE_EVERY;
                self.reader.ask(Ask::Probe);
            }
        }
        let outlook = self.publisher.outlook();
        if let Some(left) = self.lookout.look(outlook, (self.engine, self.control, now)) {
            self.left.get_or_insert(left);
        }
        self.lookout.ask(now);
        self.measure();
        let resting = self.state.resting_lanes(RESTING_SHOWN, (now, wall_clock()));
        let paused = self.control.pauses.borrow().whole.clone();
        let state = &self.state;
        let (lanes, in_flight) = (state.lane_counts(), state.unsettled());
        let published = self.published_before + state.published();
        self.control.status.send_modify(|status| {
            status.position = state.watermark().or(status.position);
            status.in_flight = in_flight;
            (status.lanes, status.resting, status.paused) = (lanes, resting, paused);
            status.published = published;
        });
    }

    /// Counts and times what happened since the last report.
    fn measure(&mut self) {
        let meters = &self.engine.meters;
        for (destination, tally) in self.state.take_tallies() {
            let destination = destination.to_string();
            meters.attempted(&destination, tally.durable + tally.failed);
            meters.sent(&destination, tally.durable, tally.slowest);
            if let Some(code) = tally.code {
                meters.failed(&destination, &code, tally.failed);
            }
        }
        let latency = self
            .state
            .take_sample()
            .map(|inserted| wall_clock().duration_since(inserted));
        meters.delivered(latency.and_then(|latency| Duration::try_from(latency).ok()));
    }

    /// Purges and closes the producer, writes down what is settled and what was seen, and says how the term ended. After
    /// a lost lease nothing is written: it would be refused.
    async fn close(mut self, left: Left) -> Left {
        let answers = self.publisher.close(CLOSE_DEADLINE).await;
        if !matches!(left, Left::LeaseLost) {
            if !answers.is_empty() {
                self.traced.answered(&answers);
                self.happened(Event::Purged(answers));
            }
            if let Some(progress) = self.state.parting() {
                self.reader.ask(Ask::Confirm(progress));
            }
            let outlook = self.publisher.outlook();
            self.lookout.look(outlook, (self.engine, self.control, now()));
            self.lookout.keep_what_was_seen(CLOSE_DEADLINE).await;
        }
        self.report_at = now();
        self.report();
        self.reader.close(CLOSE_DEADLINE).await;
        left
    }
}
