//! What was read and is not settled yet, and the watermark below it.
//!
//! Promises: the watermark is always a position that was really read, never passes an unsettled one, never goes back
//! (R3, R4); counts of messages and bytes are exact (R5); all operations are O(1) amortised.
//!
//! # Why a ring of consecutive numbers
//!
//! Positions are opaque. Messages get consecutive local numbers as they are read, so that settling in any order is an
//! index, and the head advances over what is settled.

use std::collections::VecDeque;

use crate::message::Position;

/// Items read in order and settled in any order.
#[derive(Debug)]
pub struct Inflight<T> {
    /// Number of the slot at the front.
    base: u64,
    slots: VecDeque<Slot<T>>,
    read: Option<Position>,
    watermark: Option<Position>,
    unsettled: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Slot<T> {
    position: Position,
    /// None once settled.
    item: Option<(T, usize)>,
}

// === impl Inflight ===

impl<T> Default for Inflight<T> {
    fn default() -> Self {
        Self {
            base: 0,
            slots: VecDeque::new(),
            read: None,
            watermark: None,
            unsettled: 0,
            bytes: 0,
        }
    }
}

impl<T> Inflight<T> {
    /// Takes an item that was read at `position` and costs `bytes`; answers its local number.
    pub fn push(&mut self, position: Position, bytes: usize, item: T) -> u64 {
        debug_assert!(self.read < Some(position), "positions strictly increase (Source P1)");
        self.read = Some(position);
        self.unsettled += 1;
        self.bytes += bytes;
        self.slots.push_back(Slot {
            position,
            item: Some((item, bytes)),
        });
        self.base + self.slots.len() as u64 - 1
    }

    /// The item of a number, unless it is settled.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let index = usize::try_from(number.checked_sub(self.base)?).ok()?;
        self.slots.get_mut(index)?.item.as_mut().map(|(item, _)| item)
    }

    /// The item of a number, unless it is settled.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&T> {
        let index = usize::try_from(number.checked_sub(self.base)?).ok()?;
        self.slots.get(index)?.item.as_ref().map(|(item, _)| item)
    }

    /// The position of a number that is not below the watermark.
    #[must_use]
    pub fn position(&self, number: u64) -> Option<Position> {
        let index = usize::try_from(number.checked_sub(self.base)?).ok()?;
        self.slots.get(index).map(|slot| slot.position)
    }

    /// Settles a number and gives its item back; none when it was settled before.
    pub fn settle(&mut self, number: u64) -> Option<T> {
        let index = usize::try_from(number.checked_sub(self.base)?).ok()?;
        let (item, bytes) = self.slots.get_mut(index)?.item.take()?;
        self.unsettled -= 1;
        self.bytes -= bytes;
        while let Some(front) = self.slots.front()
            && front.item.is_none()
        {
            self.watermark = Some(front.position);
            self.slots.pop_front();
            self.base += 1;
        }
        Some(item)
    }

    /// Newest position with nothing unsettled at or below it.
    #[must_use]
    pub fn watermark(&self) -> Option<Position> {
        self.watermark
    }

    /// Newest position that was read.
    #[must_use]
    pub fn read(&self) -> Option<Position> {
        self.read
    }

    /// Positions that are not settled, ascending, without those whose number `settling` names (ascending as well).
    #[must_use]
    pub fn rest(&self, settling: &[u64]) -> Vec<Position> {
        (self.base..)
            .zip(&self.slots)
            .filter(|(number, slot)| slot.item.is_some() && settling.binary_search(number).is_err())
            .map(|(_, slot)| slot.position)
            .collect()
    }

    /// Number of the oldest unsettled item: what pins the watermark.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        (!self.slots.is_empty()).then_some(self.base)
    }

    /// Messages that are not settled.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        self.unsettled
    }

    /// Bytes of the messages that are not settled.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// From the oldest unsettled message to the newest read one: what a pinned watermark costs.
    #[must_use]
    pub fn spread(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// Against a model that keeps plain sets.
        #[test]
        fn r3_r4_the_watermark_follows_the_settled_prefix(order in prop::collection::vec(0..60_u64, 0..120)) {
            let mut inflight = Inflight::default();
            let positions: Vec<_> = (0..60).map(|n| Position::new(1, n / 7, n * 10)).collect();
            for position in &positions {
                inflight.push(*position, 3, ());
            }
            let (mut open, mut last): (BTreeSet<u64>, _) = ((0..60).collect(), None);
            for number in order {
                prop_assert_eq!(inflight.settle(number).is_some(), open.remove(&number));
                let settled_prefix = open.first().map_or(60, |first| *first);
                let expected = settled_prefix.checked_sub(1).map(|n| positions[n as usize]);
                prop_assert_eq!(inflight.watermark(), expected);
                prop_assert!(inflight.watermark() >= last);
                last = inflight.watermark();
                prop_assert_eq!(inflight.unsettled(), open.len());
                prop_assert_eq!(inflight.bytes(), open.len() * 3);
                let rest: Vec<_> = open.iter().map(|n| positions[*n as usize]).collect();
                prop_assert_eq!(inflight.rest(&[]), rest);
            }
        }
    }

    #[test]
    fn what_is_about_to_be_settled_is_left_out_of_the_rest() {
        let mut inflight = Inflight::default();
        for n in 1..=3 {
            inflight.push(Position::new(1, 1, n), 1, ());
        }
        assert_eq!(inflight.rest(&[0, 2]), [Position::new(1, 1, 2)]);
    }
}
