//! The destinations that a relay remembers, and how it forgets them.
//!
//! Promises: as many as there is something to do for, and [`KEPT`] more: rows name their destinations, and what rows
//! name must not grow our memory for ever.

use std::collections::HashSet;

use super::lane::Standing;
use super::place::{Place, Tally};
use super::state::State;
use crate::delivery::Destination;

/// Idle destinations that are remembered: what is known of one (that it flows, its rest) is worth more than its memory.
const KEPT: usize = 1_000;

/// All of them, by number and by name.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) all: Vec<Place>,
    by_destination: foldhash::HashMap<Destination, u32>,
    free: Vec<u32>,
    /// With so many it is time to look for idle ones.
    look_at: usize,
}

// === impl Places ===

impl Places {
    pub(super) fn new() -> Self {
        Self {
            all: Vec::new(),
            by_destination: foldhash::HashMap::default(),
            free: Vec::new(),
            look_at: KEPT,
        }
    }

    fn add(&mut self, destination: &Destination) -> u32 {
        let place = Place::new(destination.clone());
        let number = if let Some(number) = self.free.pop() {
            self.all[number as usize] = place;
            number
        } else {
            self.all.push(place);
            u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX)
        };
        self.by_destination.insert(destination.clone(), number);
        number
    }

    /// Forgets what nothing speaks of: places that rest only when the others are still too many. A rest that is forgotten
    /// costs one probe.
    fn forget_idle(&mut self, used: &HashSet<u32>) {
        for resting in [false, true] {
            if self.by_destination.len() <= used.len() + KEPT / 2 {
                break;
            }
            let (all, free) = (&mut self.all, &mut self.free);
            self.by_destination.retain(|_, number| {
                let place = &mut all[*number as usize];
                let idle = !used.contains(number) && place.tally == Tally::default() && place.flying == 0;
                let kept = !idle || (place.rests_since.is_some() && !resting);
                if !kept {
                    *place = Place::new(std::iter::empty::<&str>().collect());
                    free.push(*number);
                }
                kept
            });
        }
        self.look_at = (2 * self.by_destination.len()).max(KEPT);
    }
}

// === impl State ===

impl State {
    /// The place of that destination; a new one, unless it is known.
    pub(super) fn place_of(&mut self, destination: &Destination) -> u32 {
        if let Some(place) = self.places.by_destination.get(destination) {
            return *place;
        }
        if self.places.by_destination.len() >= self.places.look_at {
            let used = self.places_in_use();
            self.places.forget_idle(&used);
        }
        self.places.add(destination)
    }

    /// How many destinations are remembered.
    #[must_use]
    pub fn destinations(&self) -> usize {
        self.places.by_destination.len()
    }

    fn places_in_use(&self) -> HashSet<u32> {
        let lanes = self.lanes.iter().filter(|lane| lane.standing != Standing::Gone);
        lanes
            .map(|lane| lane.place)
            .chain(self.desk.places())
            .chain(self.active.iter().copied())
            .collect()
    }
}
