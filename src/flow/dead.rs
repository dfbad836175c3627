//! Under `on_reject: dead_letter`: where a refused message goes so that its lane flows on, from memory or from its letter.
//!
//! Promises: a message is settled, its letter closed as dead, only once the dead-letter destination has it; one that is
//! refused there too parks its lane. A dead letter speaks of the dead-letter destination alone, and waits for it alone: one
//! that takes nothing rests by itself, and the lane with it, while the messages' own destination takes others (G6); one
//! that works says nothing of the messages' own (an outage burns no attempt).

use std::sync::Arc;

use super::lane::LaneId;
use super::state::{OnReject, State};
use super::ticket::{Named, named};
use crate::contract::{LetterId, Outbound, Rejection, Ticket};
use crate::delivery::{Address, Failure, LaneName};

/// A letter that was refused: it goes to the dead-letter destination next.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) letter: LetterId,
    pub(super) failure: Arc<Failure>,
    pub(super) attempts: u32,
}

/// The head of a lane in memory was refused: it goes there next, alone.
#[derive(Debug)]
pub(super) struct Dead {
    pub(super) address: Address,
    /// The place of that address.
    pub(super) place: u32,
    /// Why it was refused.
    pub(super) failure: Arc<Failure>,
    /// Attempts that counted.
    pub(super) attempts: u32,
}

// === impl State ===

impl State {
    /// The address of a refused message as a dead letter, with what its world wants to know about it.
    pub(super) fn dead_address(&mut self, outbound: &Outbound, failure: &Failure, attempts: u32) -> Option<Address> {
        let Outbound { message, address, .. } = outbound;
        let dead_letter = self.settings.dead_letter.as_mut()?;
        let topic = match &message.origin {
            Some(origin) => origin.topic.to_string(),
            None => address.destination.to_string(),
        };
        let mut dead = dead_letter.router.address_from(message, &topic).ok()?;
        dead.headers = (dead_letter.headers)(&Rejection {
            message,
            from: address,
            failure,
            attempts,
        });
        Some(dead)
    }

    /// Where the refused head of a lane goes instead.
    pub(super) fn way_of_the_dead(&mut self, id: LaneId, head: &Outbound) -> Option<Dead> {
        let lane = &self.lanes[id as usize];
        let (failure, attempts) = (lane.last_failure.clone()?, lane.attempts);
        let address = self.dead_address(head, &failure, attempts)?;
        let place = self.place_of(&address.destination);
        Some(Dead {
            address,
            place,
            failure,
            attempts,
        })
    }

    /// What is known of a message that is on its way to the dead-letter destination: its lane, the attempts that counted,
    /// and why it was refused. None for a letter, which knows itself.
    pub fn refusal(&mut self, ticket: Ticket) -> Option<(LaneName, u32, Arc<Failure>)> {
        let Named::Message(number) = named(ticket) else {
            return None;
        };
        let lane = self.inflight.get(number)?.lane;
        let dead = self.lanes[lane as usize].dead.as_ref()?;
        let (attempts, failure) = (dead.attempts, Arc::clone(&dead.failure));
        Some((self.name_of(lane), attempts, failure))
    }

    /// The refused head of a lane is gone: what follows does not wait for the dead-letter destination.
    pub(super) fn leave_the_dead(&mut self, id: LaneId) {
        let lane = &mut self.lanes[id as usize];
        let Some(dead) = lane.dead.take() else { return };
        if std::mem::take(&mut lane.listed) {
            let ready = &mut self.places.all[dead.place as usize].ready;
            ready.retain(|listed| *listed != id);
            if ready.is_empty() {
                self.active.retain(|place| *place != dead.place);
            }
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
