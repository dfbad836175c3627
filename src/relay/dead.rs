//! Under `on_reject: dead_letter`: where a refused message goes so that its lane flows on, from memory or from its letter.
//!
//! Promises: a message is settled, its letter closed as dead, only once the dead-letter destination has it; one that is
//! refused there too parks its lane. A dead-letter destination that takes nothing rests by itself, and the lane with it:
//! the messages' own destination takes others all the while (G6).

use std::sync::Arc;
use std::time::Duration;

use super::event::{Effect, Notice, Turn};
use super::lane::{LaneId, Standing};
use super::state::{OnReject, State};
use super::step::rest_place;
use crate::contract::{LetterId, Outbound, Rejection};
use crate::delivery::{Address, Destination, Failure, FailureKind, LaneName};

/// A letter that was refused: it goes to the dead-letter destination next.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) letter: LetterId,
    pub(super) failure: Arc<Failure>,
    pub(super) attempts: u32,
}

// === impl State ===

impl State {
    /// The address of a refused message as a dead letter, with what its world wants to know about it.
    pub(super) fn dead_address(&mut self, outbound: &Outbound, failure: &Failure, attempts: u32) -> Option<Address> {
        let Outbound { message, address, .. } = outbound;
        let dead_letter = self.settings.dead_letter.as_mut()?;
        let topic = address.destination.to_string();
        let mut dead = dead_letter.router.address_from(message, &topic).ok()?;
        dead.headers = (dead_letter.headers)(&Rejection {
            message,
            from: address,
            failure,
            attempts,
        });
        Some(dead)
    }

    /// The lane's head did not reach the dead-letter destination: both rest.
    pub(super) fn rest_dead(
        &mut self,
        id: LaneId,
        dead: &Destination,
        why: (FailureKind, Option<Duration>),
        turn: &mut Turn<'_>,
    ) {
        let place = self.place_of(dead);
        rest_place(self, place, why, turn);
        let until = self.places.all[place as usize].rests_until.unwrap_or(turn.at.now);
        self.lane_mut(id).standing = Standing::Resting(until);
        self.resting.insert((until, id));
        let name = self.name_of(id);
        turn.out.push(Effect::Tell(Notice::LaneRests(name)));
    }

    /// A run of the lane succeeded: if that was a dead letter, its destination works.
    pub(super) fn dead_succeeded(&mut self, id: LaneId, turn: &mut Turn<'_>) {
        let Some(dead) = self.lanes[id as usize].dead.as_ref() else {
            return;
        };
        let dead = dead.destination.clone();
        let place = self.place_of(&dead);
        if self.places.all[place as usize].succeeded(turn.at.now) {
            turn.out.push(Effect::Tell(Notice::DestinationBack(dead)));
        }
    }

    /// Refused letters go to the dead-letter destination.
    pub(super) fn may_go_dead(&self) -> bool {
        self.settings.on_reject == OnReject::DeadLetter && self.settings.dead_letter.is_some()
    }

    /// The lane waits for a person: a release tries its head's own destination first.
    pub(super) fn forget_refused(&mut self, lane: &LaneName) {
        if let Some(block) = self.blocked.get_mut(lane) {
            block.refused = None;
        }
    }
}
