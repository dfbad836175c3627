//! What is on the way: one slot per message handed to librdkafka, found again by the integer that comes back.
//!
//! Promises: an opaque settles the message it was made for or nothing (S12): a slot's next tenant has another opaque, as
//! long as both belong to different generations; inside a generation librdkafka reports each message once.

use crate::contract::Ticket;

// The opaque travels through librdkafka as a pointer-sized integer: generation above, slot below.
const _: () = assert!(usize::BITS == 64, "an opaque needs 64 bits");

/// A message on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flight {
    /// The caller's name for it.
    pub(super) ticket: Ticket,
    /// The line that carries it.
    pub(super) generation: u32,
    /// Where it goes.
    pub(super) topic: usize,
    /// Which partition of it.
    pub(super) partition: usize,
    /// The last offset acknowledged in that partition when it was handed over: it must come to stand above it.
    pub(super) floor: i64,
    /// Its size as a batch of its own.
    pub(super) bytes: u64,
}

// === impl Flight ===

impl Flight {
    /// Not on its way: no line has it (the first one has number 1), a limit must be read first.
    pub(super) fn doubted(ticket: Ticket, topic: usize, bytes: u64) -> Self {
        let (generation, partition, floor) = (0, 0, -1);
        Self {
            ticket,
            generation,
            topic,
            partition,
            floor,
            bytes,
        }
    }

    /// Whether it is only held back.
    pub(super) fn is_doubted(&self) -> bool {
        self.generation == 0
    }
}

/// All messages on the way.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Option<Flight>>,
    free: Vec<u32>,
}

// === impl Slots ===

impl Slots {
    /// Takes a message in; answers its opaque.
    pub(super) fn insert(&mut self, flight: Flight) -> usize {
        let generation = flight.generation;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        self.slots[slot as usize] = Some(flight);
        (generation as usize) << 32 | slot as usize
    }

    /// The message of an opaque, if it is still on the way.
    pub(super) fn take(&mut self, opaque: usize) -> Option<Flight> {
        let (generation, slot) = (opaque >> 32, opaque & 0xffff_ffff);
        let place = self.slots.get_mut(slot)?;
        if place.as_ref()?.generation as usize != generation {
            return None;
        }
        let flight = place.take();
        self.free.push(u32::try_from(slot).unwrap_or(u32::MAX));
        flight
    }

    /// Takes out everything a line still carries.
    pub(super) fn take_generation(&mut self, generation: u32) -> Vec<Flight> {
        let mut taken = Vec::new();
        for (slot, place) in (0u32..).zip(&mut self.slots) {
            if place.as_ref().is_some_and(|flight| flight.generation == generation) {
                taken.extend(place.take());
                self.free.push(slot);
            }
        }
        taken
    }

    /// Whether a line still carries something.
    pub(super) fn any(&self, generation: u32) -> bool {
        let mut flights = self.slots.iter().flatten();
        flights.any(|flight| flight.generation == generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(ticket: u64, generation: u32) -> Flight {
        Flight {
            ticket: Ticket(ticket),
            generation,
            topic: 0,
            partition: 0,
            floor: -1,
            bytes: 1,
        }
    }

    #[test]
    fn s12_an_old_report_settles_nothing_of_a_new_line() {
        let mut slots = Slots::default();
        let old = slots.insert(flight(1, 1));
        assert_eq!(slots.take_generation(1).len(), 1);
        let new = slots.insert(flight(2, 2));
        assert_eq!(old & 0xffff_ffff, new & 0xffff_ffff, "the slot is used again");
        assert_eq!(slots.take(old), None);
        assert_eq!(slots.take(new).unwrap().ticket, Ticket(2));
        assert_eq!(slots.take(new), None);
        assert!(!slots.any(2));
    }

    #[test]
    fn slots_are_used_again() {
        let mut slots = Slots::default();
        for ticket in 0..1000 {
            let opaque = slots.insert(flight(ticket, 7));
            assert_eq!(slots.take(opaque).unwrap().ticket, Ticket(ticket));
        }
        assert_eq!(slots.slots.len(), 1);
    }

    #[test]
    fn foreign_opaques_are_refused() {
        let mut slots = Slots::default();
        assert_eq!(slots.take(usize::MAX), None);
        slots.insert(flight(1, 1));
        assert_eq!(slots.take(1 << 32 | 5), None);
    }
}
