//! What a relay wants next, looked at from its state alone: the only place that emits work.
//!
//! Finishing comes before starting: publish, then letters, then confirm, then fetch.

use std::time::{Duration, Instant};

use super::blocked::progress;
use super::event::{Effect, Turn};
use super::lane::{LaneId, Standing};
use super::state::{Asking, Draining, State};
use super::step::lane_failed;
use super::ticket;
use crate::contract::{Outbound, Room};
use crate::delivery::Cause;

/// How often the source is told what is settled: what was settled in the last second may be repeated after a crash.
const CONFIRM_EVERY: Duration = Duration::from_secs(1);
/// The first wait of a term, doubled with each confirm: a relay that is killed again and again gets on all the same.
pub(super) const CONFIRM_FIRST: Duration = Duration::from_millis(50);
/// A hint may be missed: the source is asked at least this often.
const IDLE_MAX: Duration = Duration::from_secs(1);
/// Slots kept for a pinned watermark, per message of `limits.in_flight`: some seconds of a leader election at full
/// rate, in a few tens of megabytes at most.
const SPREAD_FACTOR: usize = 32;

/// Emits what is to be done now.
pub(super) fn plan(state: &mut State, turn: &mut Turn<'_>) {
    if state.is_over() {
        return;
    }
    if state.trust_until.is_some_and(|until| until <= turn.at.now) {
        state.stepped_down = true;
        turn.out.push(Effect::StepDown);
        return;
    }
    state.tell_forgotten(turn.out);
    wake_lanes(state, turn.at.now);
    state.look_at_rests(turn.at.now);
    publish(state, turn);
    if state.stepped_down {
        // Halted by what stood at the head of a lane.
        return;
    }
    state.plan_desk(turn);
    confirm(state, turn);
    fetch(state, turn);
    drained(state, turn.out);
}

/// Lanes whose rest is over want to publish again.
fn wake_lanes(state: &mut State, now: Instant) {
    while let Some((until, id)) = state.resting.first().copied() {
        if until > now {
            return;
        }
        state.resting.pop_first();
        if state.lane_mut(id).standing == Standing::Resting(until) {
            state.lane_mut(id).standing = Standing::Flowing;
            state.list(id);
        }
    }
}

/// Hands over runs of all lanes that may publish, in batches.
fn publish(state: &mut State, turn: &mut Turn<'_>) {
    let mut batch = Vec::new();
    if state.pauses.hold_all() {
        return;
    }
    for _ in 0..state.active.len() {
        let Some(index) = state.active.pop_front() else { break };
        while !state.stepped_down && state.admits_one() && state.places.all[index as usize].admits(turn.at.now) {
            let Some(id) = state.places.all[index as usize].ready.pop_front() else {
                break;
            };
            state.lane_mut(id).listed = false;
            depart(state, id, &mut batch, turn);
            if batch.len() >= state.settings.batch {
                turn.out.push(Effect::Publish(std::mem::take(&mut batch)));
            }
        }
        if !state.places.all[index as usize].ready.is_empty() {
            state.active.push_back(index);
        }
    }
    if !batch.is_empty() && !state.stepped_down {
        turn.out.push(Effect::Publish(batch));
    }
}

/// Puts the next run of a lane into the batch, up to the first message that cannot be sent.
fn depart(state: &mut State, id: LaneId, batch: &mut Vec<Outbound>, turn: &mut Turn<'_>) {
    if !state.lane_mut(id).wants_to_publish() {
        state.forget_if_over(id);
        return;
    }
    if state.is_paused(id) {
        state.begin_to_store(id, Cause::Paused);
        return;
    }
    let run_max = state.run_max();
    let lane = &state.lanes[id as usize];
    let sendable = lane
        .queue
        .iter()
        .take(run_max)
        .take_while(|number| state.inflight.get(**number).is_some_and(|flight| !flight.unsendable))
        .count();
    if sendable == 0 {
        refuse_unsendable(state, id, turn);
        return;
    }
    let place = lane.bound_for() as usize;
    state.lane_mut(id).depart(sendable, turn.at.now);
    state.places.all[place].flying += 1;
    state.flying += 1;
    let dead = state.lanes[id as usize].dead.as_ref().map(|dead| dead.address.clone());
    let attempts = state.lanes[id as usize].attempts;
    for (nth, number) in state.lanes[id as usize].run.iter().enumerate() {
        if let Some(flight) = state.inflight.get_mut(*number) {
            flight.outbound.ticket = ticket::of_message(*number, flight.outbound.ticket);
            flight.awaited = true;
            // Attempts are the head's: what stands behind it has none yet.
            flight.outbound.attempt = if nth == 0 { attempts + 1 } else { 1 };
            batch.push(flight.outbound.clone());
        }
    }
    if let (Some(dead), Some(last)) = (dead, batch.last_mut()) {
        last.address = dead;
    }
}

/// The head has no address or no body: its failure is known without asking the broker.
fn refuse_unsendable(state: &mut State, id: LaneId, turn: &mut Turn<'_>) {
    let head = state.lanes[id as usize].queue.front().copied();
    let failure = head
        .and_then(|number| state.inflight.get(number))
        .and_then(|flight| flight.failure.clone());
    if let Some(failure) = failure {
        lane_failed(state, id, (&[], failure), turn);
    }
}

/// Tells the source what is settled: at most one outstanding, and never beside a store, which writes the same rows.
fn confirm(state: &mut State, turn: &mut Turn<'_>) {
    let due = state.confirm_after.is_none_or(|after| after <= turn.at.now) || state.draining == Draining::Finishing;
    if !state.unconfirmed || state.confirming || state.desk.is_storing() || !due {
        return;
    }
    let Some(progress) = progress(&state.inflight, &[]) else {
        return;
    };
    state.confirming = true;
    state.unconfirmed = false;
    state.confirm_after = Some(turn.at.now + state.confirm_wait);
    state.confirm_wait = (state.confirm_wait * 2).min(CONFIRM_EVERY);
    turn.out.push(Effect::Confirm(progress));
}

/// Asks the source for more, within the budget (R5).
fn fetch(state: &mut State, turn: &mut Turn<'_>) {
    if matches!(state.asking, Asking::After(after) if after <= turn.at.now) {
        state.asking = Asking::No;
    }
    match state.draining {
        Draining::No => {}
        Draining::LastWindow { until, .. } if until <= turn.at.now => {
            state.draining = Draining::Finishing;
            return;
        }
        Draining::LastWindow { .. } => {}
        Draining::Finishing | Draining::Done => return,
    }
    if state.asking == Asking::Idle {
        state.asking = Asking::Waiting;
        turn.out.push(Effect::Idle(IDLE_MAX));
        return;
    }
    let room = Room {
        messages: state
            .settings
            .in_flight
            .saturating_sub(state.inflight.unsettled())
            .min(state.settings.batch),
        bytes: state.settings.bytes.saturating_sub(state.inflight.bytes()),
    };
    let spread_left = state.inflight.spread() < state.settings.in_flight.saturating_mul(SPREAD_FACTOR);
    if state.asking == Asking::No && room.messages > 0 && room.bytes > 0 && spread_left {
        state.asking = Asking::Yes;
        if let Draining::LastWindow { opened, .. } = &mut state.draining {
            *opened |= !state.more;
        }
        turn.out.push(Effect::Fetch(room));
    }
}

/// Everything that can be settled is, and the source knows it. What rests is replayed by the next holder.
fn drained(state: &mut State, out: &mut Vec<Effect>) {
    let quiet = state.flying == 0
        && state.asking != Asking::Yes
        && state.desk.is_quiet()
        && !state.confirming
        && !state.unconfirmed;
    if state.draining == Draining::Finishing && quiet {
        state.draining = Draining::Done;
        out.push(Effect::Drained);
    }
}
