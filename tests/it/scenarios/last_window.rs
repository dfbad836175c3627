//! S37 in the reducer alone: what a drain still asks the source for.

use crate::support::ledger::dice::Dice;
use std::sync::Arc;
use std::time::{Duration, Instant};
use twinbox::contract::{Answer, Page, Receipt};
use twinbox::delivery::{Moment, RestPolicy, Route, Router, Template, TemplateUse};
use twinbox::flow::{Effect, Event, OnReject, Settings, State, step};
use twinbox::message::{Body, Content, ContentType, Headers, Message, Position};

struct Bench {
    state: State,
    effects: Vec<Effect>,
    now: Instant,
    dice: Dice,
    seq: u64,
}

impl Bench {
    fn new() -> Self {
        let template = |text: &str| Template::parse(text, TemplateUse::Route).expect("a valid template");
        let settings = Settings {
            batch: 10,
            in_flight: 100,
            bytes: 1 << 20,
            run_max: 10,
            rest: RestPolicy {
                rest_first: Duration::from_millis(100),
                rest_max: Duration::from_secs(1),
                attempts_max: 3,
            },
            stall: None,
            on_reject: OnReject::Park,
            router: Router::new(Route::new(
                vec![template("topic")],
                template("{aggregateid}"),
                Vec::new(),
            )),
            dead_letter: None,
        };
        let state = State::new(settings, Vec::new());
        Self {
            state,
            effects: Vec::new(),
            now: Instant::now(),
            dice: Dice::new(1),
            seq: 0,
        }
    }

    /// What follows from an event, at once.
    fn after(&mut self, event: Event) -> Vec<Effect> {
        let moment = Moment {
            now: self.now,
            random: self.dice.next(),
        };
        step(&mut self.state, event, moment, &mut self.effects);
        std::mem::take(&mut self.effects)
    }

    fn page(&mut self, messages: usize, more: bool) -> Page {
        let messages = (0..messages).map(|_| {
            self.seq += 1;
            Message::from(Content {
                position: Position::new(1, 1, self.seq),
                id: uuid::Uuid::from_u128(u128::from(self.seq)),
                aggregate_type: Arc::from("a"),
                key: None,
                kind: Arc::from("b"),
                body: Body::Null,
                content_type: ContentType::Json,
                headers: Headers::default(),
                traceparent: None,
                occurred_at: jiff::Timestamp::UNIX_EPOCH,
                replay: None,
                origin: None,
            })
        });
        Page {
            messages: messages.collect(),
            more,
        }
    }
}

fn asks(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Fetch(_)))
}

fn durable(effects: Vec<Effect>) -> Event {
    let batches = effects.into_iter().filter_map(|effect| {
        if let Effect::Publish(batch) = effect {
            Some(batch)
        } else {
            None
        }
    });
    let answer = |ticket| Answer {
        ticket,
        receipt: Receipt::Durable,
    };
    Event::Answered(batches.flatten().map(|outbound| answer(outbound.ticket)).collect())
}

#[test]
fn s37_what_was_being_read_at_the_signal_is_not_the_last_window() {
    let mut bench = Bench::new();
    assert!(asks(&bench.after(Event::Tick)), "reading is under way");
    bench.after(Event::Drain);
    // Its snapshot may be older than the application's last commit.
    let page = bench.page(0, false);
    assert!(
        asks(&bench.after(Event::Fetched(page))),
        "the last window was not asked for"
    );
    let page = bench.page(0, false);
    let effects = bench.after(Event::Fetched(page));
    assert!(matches!(effects[..], [Effect::Drained]), "nothing is left: {effects:?}");
}

#[test]
fn s37_the_end_of_an_older_window_is_not_the_end() {
    let mut bench = Bench::new();
    assert!(asks(&bench.after(Event::Tick)));
    let page = bench.page(3, true);
    bench.after(Event::Fetched(page));
    bench.after(Event::Drain);
    // The rest of the window that was open at the signal, then the rows of a new one.
    let page = bench.page(2, false);
    let mut published = bench.after(Event::Fetched(page));
    assert!(asks(&published), "the last window was not asked for");
    let page = bench.page(1, false);
    published.extend(bench.after(Event::Fetched(page)));
    assert!(asks(&published));
}

#[test]
fn what_is_settled_is_confirmed_without_waiting_for_the_next_tick() {
    let mut bench = Bench::new();
    bench.after(Event::Tick);
    let page = bench.page(2, false);
    let published = bench.after(Event::Fetched(page));
    let mut effects = bench.after(Event::Drain);
    effects.extend(bench.after(durable(published)));
    let page = bench.page(0, false);
    effects.extend(bench.after(Event::Fetched(page)));
    let page = bench.page(0, false);
    effects.extend(bench.after(Event::Fetched(page)));
    assert!(
        effects.iter().any(|effect| matches!(effect, Effect::Confirm(_))),
        "a tick would come a second late"
    );
}
