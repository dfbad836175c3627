//! The destinations that a relay remembers, and how it forgets them.
//!
//! Promises: as many as there is something to do for, and [`KEPT`] more: rows name their destinations, and what rows
//! name must not grow our memory for ever. What rests is forgotten last, and told: nothing else would end what it showed.

use std::collections::HashSet;

use super::event::{Effect, Notice};
use super::lane::Standing;
use super::place::{Idle, Place};
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
    /// They rested when they were forgotten, and nobody was told yet.
    forgotten: Vec<Destination>,
}

// === impl Places ===

impl Places {
    pub(super) fn new() -> Self {
        Self {
            all: Vec::new(),
            by_destination: foldhash::HashMap::default(),
            free: Vec::new(),
            look_at: KEPT,
            forgotten: Vec::new(),
        }
    }

    /// A success elsewhere says of each place that it works for others.
    pub(super) fn others_flow(&mut self, since: std::time::Instant) {
        for place in &mut self.all {
            place.last_success = place.last_success.max(Some(since));
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

    /// Forgets what nothing speaks of: of those that flow the longest idle first, then of those that rest, until few
    /// enough are left. A rest that is forgotten costs one probe.
    fn forget_idle(&mut self, used: &HashSet<u32>) {
        let excess = self.by_destination.len().saturating_sub(used.len() + KEPT / 2);
        let mut idle: Vec<(Idle, u32)> = self
            .by_destination
            .values()
            .filter(|number| !used.contains(number))
            .filter_map(|number| Some((self.all[*number as usize].idle()?, *number)))
            .collect();
        idle.sort_unstable();
        for (_, number) in idle.into_iter().take(excess) {
            let place = std::mem::replace(
                &mut self.all[number as usize],
                Place::new(std::iter::empty::<&str>().collect()),
            );
            self.by_destination.remove(&place.destination);
            self.free.push(number);
            if place.rests_since.is_some() {
                self.forgotten.push(place.destination);
            }
        }
        self.look_at = (used.len() + KEPT).max(self.by_destination.len() + KEPT / 2);
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

    /// Tells what rested and is forgotten.
    pub(super) fn tell_forgotten(&mut self, out: &mut Vec<Effect>) {
        let forgotten = self.places.forgotten.drain(..);
        out.extend(forgotten.map(|destination| Effect::Tell(Notice::DestinationForgotten(destination))));
    }

    /// How many destinations are remembered.
    #[must_use]
    pub fn destinations(&self) -> usize {
        self.places.by_destination.len()
    }

    fn places_in_use(&self) -> HashSet<u32> {
        let lanes = self.lanes.iter().filter(|lane| lane.standing != Standing::Gone);
        lanes
            .flat_map(|lane| [lane.place, lane.bound_for()])
            .chain(self.desk.places())
            .chain(self.active.iter().copied())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::place::Tally;
    use super::*;

    fn topic(number: usize) -> Destination {
        [format!("t{number}")].iter().map(String::as_str).collect()
    }

    fn remembers(places: &Places, number: usize) -> bool {
        places.by_destination.contains_key(&topic(number))
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an instant can only be had from the clock")]
    fn the_longest_idle_is_forgotten_first_and_what_rests_last() {
        let start = Instant::now();
        let at = |seconds: usize| Some(start + Duration::from_secs(seconds as u64));
        let mut places = Places::new();
        for number in 0..KEPT {
            let place = places.add(&topic(number));
            // The later it was met, the longer ago it succeeded.
            places.all[place as usize].last_success = at(KEPT - number);
        }
        let (resting, used, counted) = (KEPT - 1, KEPT - 2, KEPT - 3);
        places.all[resting].rests_since = at(0);
        places.all[counted].tally.durable = 1;
        places.forget_idle(&HashSet::from([u32::try_from(used).unwrap()]));
        assert_eq!(places.by_destination.len(), KEPT / 2 + 1);
        for kept in (0..KEPT / 2 - 2).chain([resting, used, counted]) {
            assert!(remembers(&places, kept), "{kept}");
        }
        assert!(places.forgotten.is_empty());

        places.all[counted].tally = Tally::default();
        places.forget_idle(&HashSet::new());
        for number in KEPT..KEPT + KEPT / 2 {
            let place = places.add(&topic(number)) as usize;
            (places.all[place].rests_since, places.all[place].rests_until) = (at(1), at(number));
        }
        places.forget_idle(&HashSet::new());
        assert!(!remembers(&places, 0), "it flows");
        assert_eq!(places.forgotten, [topic(resting)], "of those that rest, the longest");
    }
}
