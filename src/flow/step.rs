//! The relay's reducer: one event in, state changed, effects out.
//!
//! Promises: total (it may assert, it cannot fail); events change state, only `plan` emits what is to be done next.

use std::sync::Arc;
use std::time::Duration;

use super::event::{Effect, Event, Notice, Turn};
use super::lane::{LaneId, Standing};
use super::plan::plan;
use super::state::{Asking, Draining, Flight, OnReject, State};
use super::ticket::{Named, named};
use crate::contract::{Answer, Outbound, Page, Receipt, Ticket};
use crate::delivery::verdict::{DESTINATION_REST_FIRST, DESTINATION_REST_MAX, Surroundings, Verdict, judge};
use crate::delivery::{Address, Cause, Destination, Failure, FailureKind, Moment, RestPolicy};
use crate::message::{Body, Message};

/// How long a drain goes on reading its last window (S37); what is left of it is replayed by the next holder.
const LAST_WINDOW_MAX: Duration = Duration::from_secs(5);

/// Lets `event` happen at that moment; `out` receives what is to be done.
pub fn step(state: &mut State, event: Event, at: Moment, out: &mut Vec<Effect>) {
    let mut turn = Turn { at, out };
    match event {
        Event::Fetched(page) => admit(state, page),
        // A drain may have asked in the meantime: then the end of the wait says nothing.
        Event::Woken if state.asking == Asking::Waiting => state.asking = Asking::No,
        Event::Woken => {}
        Event::FetchFailed(rest) => {
            state.asking = Asking::After(at.now + rest);
            // It may have written a window before it failed.
            state.more = true;
        }
        Event::Answered(answers) => answered(state, answers, &mut turn),
        Event::Purged(mut answers) => {
            state.stepped_down = true;
            answers.retain(|answer| answer.receipt == Receipt::Durable);
            answered(state, answers, &mut turn);
        }
        Event::Confirmed => state.confirming = false,
        Event::ConfirmFailed(rest) => {
            state.confirming = false;
            state.unconfirmed = true;
            state.confirm_after = Some(at.now + rest);
        }
        Event::Stored(kept) => state.stored(&kept, turn.out),
        Event::Picked(due) => state.picked(due, at),
        Event::Closed(free) => state.closed(free, &mut turn),
        Event::Counted(lanes) => state.desk.recheck = lanes < state.blocked.len() as u64,
        Event::Gone(lanes) => state.gone(lanes, turn.out),
        Event::DeskFailed(rest) => state.desk.failed(at.now + rest),
        Event::Trusted(until) => state.trust_until = Some(until),
        Event::Drain => {
            if state.draining == Draining::No {
                state.draining = Draining::LastWindow {
                    until: at.now + LAST_WINDOW_MAX,
                    opened: false,
                };
                if state.asking != Asking::Yes {
                    state.asking = Asking::No;
                }
            }
        }
        Event::Width(width) => state.width = width,
        Event::OthersFlow(since) => state.places.others_flow(since),
        Event::Paused(pauses) => state.pauses = pauses,
        Event::Tick => {}
    }
    state.assert_rules();
    plan(state, &mut turn);
}

/// Puts what was read into its lanes.
fn admit(state: &mut State, page: Page) {
    let nothing = page.messages.is_empty() && !page.more;
    state.asking = if nothing && state.draining == Draining::No {
        Asking::Idle
    } else {
        Asking::No
    };
    state.more = page.more;
    if matches!(state.draining, Draining::LastWindow { opened: true, .. }) && !page.more {
        state.draining = Draining::Finishing;
    }
    for message in page.messages {
        let (address, failure) = match state.settings.router.address(&message) {
            Ok(address) => (address, unreadable(&message)),
            Err(failure) => (nowhere(&message), Some(failure)),
        };
        let lane = state.lane_of(&address.destination, address.key.as_ref(), message.position);
        let (position, cost) = (message.position, message.cost());
        let flight = Flight {
            outbound: Outbound {
                ticket: Ticket(0),
                message,
                address,
                attempt: 1,
            },
            lane,
            awaited: false,
            unsendable: failure.is_some(),
            failure: failure.map(Arc::new),
        };
        let number = state.inflight.push(position, cost, flight);
        state.lane_mut(lane).queue.push_back(number);
        if matches!(state.lane_mut(lane).standing, Standing::Blocked) {
            state.desk.want(lane);
        }
        state.list(lane);
    }
}

/// A row that the source did not read, or a delivery that nobody understands, can only become a letter.
pub(super) fn unreadable(message: &Message) -> Option<Failure> {
    if let Some(flaw) = message.origin.as_ref().and_then(|origin| origin.flaw.as_deref()) {
        return Some(Failure::new(FailureKind::Message, "Malformed", flaw));
    }
    let Body::Withheld { bytes } = message.body else {
        return None;
    };
    Some(Failure::new(
        FailureKind::Message,
        "LargerThanLimits",
        format!(
            "the row has {bytes} bytes, more than `limits.bytes` lets into memory; raise it, or write smaller rows"
        ),
    ))
}

/// The lane of messages that `route` cannot place: one per key, apart from every real destination.
fn nowhere(message: &Message) -> Address {
    let destination: Destination = std::iter::once("").collect();
    Address {
        destination,
        key: message.key.clone(),
        headers: Arc::default(),
    }
}

/// Takes receipts: durable ones settle at once, a run ends with its last answer.
fn answered(state: &mut State, answers: Vec<Answer>, turn: &mut Turn<'_>) {
    let mut sample = None;
    for Answer { ticket, receipt } in answers {
        let number = match named(ticket) {
            Named::Message(number) => number,
            Named::Letter(run, index) => {
                state.letter_answered((run, index), receipt, turn);
                continue;
            }
        };
        let Some(flight) = state.inflight.get_mut(number) else {
            state.ghost_answered(ticket, &receipt);
            continue;
        };
        if !flight.awaited || flight.outbound.ticket != ticket {
            // Of another hand-over than the present one: it settles nothing (S12).
            continue;
        }
        flight.awaited = false;
        let lane = flight.lane;
        let (mut durable, mut code) = (false, None);
        match receipt {
            Receipt::Durable => {
                sample.get_or_insert(flight.outbound.message.occurred_at);
                state.settle(number);
                state.published += 1;
                durable = true;
            }
            Receipt::Failed(failure) => {
                code = Some(failure.code.clone());
                flight.failure = Some(failure);
            }
            Receipt::NotAttempted => {}
        }
        let place = state.lane_mut(lane).bound_for();
        state.places.all[place as usize].count(durable, code);
        let lane_state = state.lane_mut(lane);
        lane_state.unanswered = lane_state.unanswered.saturating_sub(1);
        if lane_state.unanswered == 0 {
            finish_run(state, lane, turn);
        }
    }
    state.sample = sample.or(state.sample);
}

/// A run is wholly answered: what is left goes back to the front, and the verdict follows.
fn finish_run(state: &mut State, id: LaneId, turn: &mut Turn<'_>) {
    let mut run = std::mem::take(&mut state.lane_mut(id).run);
    let left: Vec<u64> = run
        .iter()
        .copied()
        .filter(|number| state.inflight.get(*number).is_some())
        .collect();
    let place = state.lane_mut(id).bound_for();
    state.flying -= 1;
    state.places.all[place as usize].flying -= 1;
    let took = state
        .lane_mut(id)
        .handed_over
        .map(|handed_over| turn.at.now.saturating_duration_since(handed_over));
    let slowest = &mut state.places.all[place as usize].tally.slowest;
    *slowest = took.unwrap_or_default().max(*slowest);
    if left.len() < run.len() {
        if state.places.all[place as usize].succeeded(turn.at.now) {
            turn.out.push(Effect::Tell(Notice::DestinationBack(
                state.places.all[place as usize].destination.clone(),
            )));
        }
        tell_broken_order(state, id, (&run, &left), turn.out);
        state.succeeded(id);
    }
    run.clear();
    state.lane_mut(id).run = run;
    if left.is_empty() {
        state.list(id);
        state.forget_if_over(id);
        return;
    }
    let speaks = left.iter().any(|number| {
        state
            .inflight
            .get(*number)
            .is_some_and(|flight| flight.failure.is_some())
    });
    let held = state.pauses.hold(state.lanes[id as usize].key.as_ref());
    if !speaks && (held || state.draining != Draining::No) {
        // It was not begun, and is not to be now: nothing has failed.
        state.lane_mut(id).take_back(&left);
        state.list(id);
        return;
    }
    let failure = left
        .iter()
        .find_map(|number| state.inflight.get_mut(*number)?.failure.take())
        .unwrap_or_else(|| {
            Arc::new(Failure::new(
                FailureKind::Transient,
                "NotAttempted",
                "the run was not attempted",
            ))
        });
    lane_failed(state, id, (&left, failure), turn);
}

/// The receipts tell the truth even when the broker broke its order.
fn tell_broken_order(
    state: &mut State,
    id: LaneId,
    parts: (&std::collections::VecDeque<u64>, &[u64]),
    out: &mut Vec<Effect>,
) {
    let (run, left) = parts;
    let Some(first_left) = left.first() else { return };
    let Some(passed) = run.iter().find(|number| *number > first_left && !left.contains(number)) else {
        return;
    };
    if let (Some(failed), Some(durable)) = (state.inflight.position(*first_left), state.inflight.position(*passed)) {
        let lane = state.name_of(id);
        out.push(Effect::Tell(Notice::OrderBroken { lane, failed, durable }));
    }
}

/// The head of a lane failed: rest, park, or whatever the table says.
pub(super) fn lane_failed(state: &mut State, id: LaneId, failed: (&[u64], Arc<Failure>), turn: &mut Turn<'_>) {
    let (left, failure) = failed;
    let place = state.lane_mut(id).bound_for();
    if state.lane_mut(id).failures == 0 {
        state.places.all[place as usize].failing_lanes += 1;
    }
    let around = Surroundings {
        others_flow: state
            .lane_mut(id)
            .failed_at
            .is_some_and(|failed| state.places.all[place as usize].last_success > Some(failed)),
        failing_lanes: state.places.all[place as usize].failing_lanes,
        attempts: state.lane_mut(id).attempts,
        attempts_max: state.settings.rest.attempts_max,
    };
    state.lane_mut(id).failed(left, Arc::clone(&failure), turn.at.now);
    if state.lane_mut(id).standing == Standing::Storing {
        // It becomes letters whatever this answer says.
        return;
    }
    match judge(failure.kind, around) {
        Verdict::Refuse => refuse(state, id, turn.out),
        Verdict::RestLane { counts } => {
            let rest = state.settings.rest;
            let lane = state.lane_mut(id);
            lane.attempts += u32::from(counts);
            let until = turn.at.now
                + rest
                    .after(lane.failures, turn.at.draw(u64::from(id)))
                    .max(failure.retry_after.unwrap_or_default());
            lane.standing = Standing::Resting(until);
            state.resting.insert((until, id));
            let name = state.name_of(id);
            turn.out.push(Effect::Tell(Notice::LaneRests(name)));
        }
        verdict @ (Verdict::RestDestination | Verdict::RestMisconfigured) => {
            let first = (verdict == Verdict::RestMisconfigured).then_some(DESTINATION_REST_FIRST);
            rest_place(state, place, (failure.kind, first), turn);
            state.list(id);
        }
    }
}

/// Rests a destination: by the relay's own policy, or steadily from `first` upwards.
pub(super) fn rest_place(state: &mut State, index: u32, why: (FailureKind, Option<Duration>), turn: &mut Turn<'_>) {
    let (kind, first) = why;
    let policy = state.settings.rest;
    let place = &mut state.places.all[index as usize];
    if place.rests_until.is_some_and(|until| until > turn.at.now) {
        return;
    }
    place.rests = place.rests.saturating_add(1);
    let rest = match first {
        Some(first) => RestPolicy::steady(first, DESTINATION_REST_MAX, place.rests),
        None => policy.after(place.rests, turn.at.draw(u64::MAX - u64::from(index))),
    };
    if place.rest(rest, turn.at.now) {
        turn.out.push(Effect::Tell(Notice::DestinationRests {
            destination: place.destination.clone(),
            kind,
        }));
    }
}

/// The head can never pass.
fn refuse(state: &mut State, id: LaneId, out: &mut Vec<Effect>) {
    let head = state.lane_mut(id).queue.front().copied();
    let sendable = head
        .and_then(|number| state.inflight.get(number))
        .is_some_and(|flight| !flight.unsendable);
    let dead_already = state.lane_mut(id).dead.is_some();
    match state.settings.on_reject {
        OnReject::Halt => {
            if let Some(position) = head.and_then(|number| state.inflight.position(number)) {
                out.push(Effect::Halt(position));
            }
            state.stepped_down = true;
        }
        OnReject::DeadLetter if sendable && !dead_already => {
            let refused = head.and_then(|number| state.inflight.get(number));
            let refused = refused.map(|flight| flight.outbound.clone());
            match refused.and_then(|outbound| state.way_of_the_dead(id, &outbound)) {
                Some(dead) => {
                    state.lane_mut(id).goes_dead(dead);
                    state.list(id);
                }
                None => park(state, id),
            }
        }
        OnReject::Park | OnReject::DeadLetter => park(state, id),
    }
}

fn park(state: &mut State, id: LaneId) {
    let lane = state.lane_mut(id);
    lane.standing = Standing::Storing;
    lane.store_cause = Cause::Rejected;
    state.desk.want(id);
}
