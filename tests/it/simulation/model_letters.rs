//! The tables of lanes and letters, as promised by `contract::LetterStore` P1–P6 and by S1, S4, S5 and S31.

use std::collections::BTreeMap;

use twinbox::contract::{Append, CloseRun, DueLane, Kept, Letter, LetterId, Next, Park};
use twinbox::delivery::{Cause, LaneName};

use super::clock::{SECOND, Time, micros};
use super::model_source::{ModelSource, Seq};

/// A claim ends by itself after that time.
pub(super) const CLAIM: Time = 30 * SECOND;

/// How a letter was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    Delivered,
    Dropped,
    Dead,
}

#[derive(Debug, Clone)]
pub(super) struct LetterRow {
    pub(super) lane: LaneName,
    pub(super) seq: Seq,
    pub(super) closed: Option<Closed>,
}

#[derive(Debug, Clone)]
pub(super) struct LaneRow {
    pub(super) cause: Cause,
    /// None = when an operator releases it.
    pub(super) due: Option<Time>,
    pub(super) attempts: u32,
    pub(super) claimed_by: Option<u32>,
}

/// Both tables.
#[derive(Debug, Default)]
pub(super) struct ModelLetters {
    pub(super) lanes: BTreeMap<LaneName, LaneRow>,
    pub(super) letters: BTreeMap<LetterId, LetterRow>,
    by_seq: BTreeMap<Seq, LetterId>,
    /// What an operator holds back: what names of lanes end with.
    pub(super) held: Vec<String>,
}

// === impl ModelLetters ===

impl ModelLetters {
    pub(super) fn blocked(&self) -> Vec<LaneName> {
        self.lanes.keys().cloned().collect()
    }

    /// Those of these lanes that have no row.
    pub(super) fn gone(&self, mut lanes: Vec<LaneName>) -> Vec<LaneName> {
        lanes.retain(|lane| !self.lanes.contains_key(lane));
        lanes
    }

    pub(super) fn of(&self, seq: Seq) -> Option<&LetterRow> {
        self.letters.get(self.by_seq.get(&seq)?)
    }

    /// Open letters of a lane, in place order.
    pub(super) fn open<'a>(&'a self, lane: &'a LaneName, source: &ModelSource) -> Vec<(LetterId, Seq)> {
        let mut open: Vec<_> = self
            .letters
            .iter()
            .filter(|(_, letter)| letter.lane == *lane && letter.closed.is_none())
            .map(|(id, letter)| (*id, letter.seq))
            .collect();
        open.sort_by_key(|(_, seq)| source.position(*seq));
        open
    }

    /// Blocks a lane. Letters that are there already, closed ones too, stay as they are.
    pub(super) fn park(&mut self, park: &Park, now: Time) {
        for position in &park.positions() {
            self.insert(&park.lane, position.minor);
        }
        let is_open = self.has_open(&park.lane);
        if is_open && !self.lanes.contains_key(&park.lane) {
            let row = LaneRow {
                cause: park.cause,
                due: park.due.map(|due| now + micros(due)),
                attempts: park.attempts,
                claimed_by: None,
            };
            self.lanes.insert(park.lane.clone(), row);
        }
    }

    /// Appends behind a blocked lane; what was stored by an earlier call is stored.
    pub(super) fn append(&mut self, append: &Append, kept: &mut Kept) {
        let stored = append
            .positions()
            .iter()
            .all(|position| self.by_seq.contains_key(&position.minor));
        if self.lanes.contains_key(&append.lane) {
            for position in &append.positions() {
                self.insert(&append.lane, position.minor);
            }
        } else if !stored {
            kept.live.push(append.lane.clone());
        }
    }

    fn insert(&mut self, lane: &LaneName, seq: Seq) {
        if self.by_seq.contains_key(&seq) {
            return;
        }
        let id = LetterId(i64::try_from(self.letters.len()).expect("few letters") + 1);
        let row = LetterRow {
            lane: lane.clone(),
            seq,
            closed: None,
        };
        self.letters.insert(id, row);
        self.by_seq.insert(seq, id);
    }

    fn has_open(&self, lane: &LaneName) -> bool {
        self.letters
            .values()
            .any(|letter| letter.lane == *lane && letter.closed.is_none())
    }

    /// The picking update (S5).
    pub(super) fn due(&mut self, most: (usize, usize), by: u32, at: (Time, &ModelSource)) -> Vec<DueLane> {
        let (now, source) = at;
        let names: Vec<_> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.due.is_some_and(|due| due <= now))
            .filter(|(name, _)| !self.held.iter().any(|held| name.as_str().ends_with(held)))
            .map(|(name, _)| name.clone())
            .take(most.0)
            .collect();
        let mut picked = Vec::new();
        for name in names {
            let letters = self.open(&name, source);
            let row = self.lanes.get_mut(&name).expect("just listed");
            row.due = Some(now + CLAIM);
            row.claimed_by = Some(by);
            row.attempts += u32::from(matches!(row.cause, Cause::Rejected | Cause::Resting));
            picked.push(DueLane {
                lane: name,
                cause: row.cause,
                attempts: row.attempts,
                letters: letters
                    .into_iter()
                    .take(most.1)
                    .map(|(id, seq)| Letter {
                        id,
                        message: source.letter(seq),
                    })
                    .collect(),
            });
        }
        picked
    }

    /// Closes what was delivered; answers whether the lane is not blocked any more.
    pub(super) fn close(&mut self, run: &CloseRun, by: u32, now: Time) -> bool {
        for id in &run.delivered {
            self.close_letter(*id, Closed::Delivered);
        }
        if let Next::Dead { letter, .. } = &run.next {
            self.close_letter(*letter, Closed::Dead);
        }
        if !self.has_open(&run.lane) {
            self.lanes.remove(&run.lane);
        }
        let Some(row) = self.lanes.get_mut(&run.lane) else {
            return true;
        };
        if row.claimed_by != Some(by) {
            // An operator, or a later owner, has decided meanwhile.
            return false;
        }
        row.claimed_by = None;
        match &run.next {
            Next::Now | Next::Dead { .. } => {
                row.due = Some(now);
                if !run.delivered.is_empty() || matches!(run.next, Next::Dead { .. }) {
                    row.attempts = 0;
                }
            }
            Next::Rest {
                cause, due, attempts, ..
            } => {
                row.cause = *cause;
                row.due = due.map(|due| now + micros(due));
                row.attempts = *attempts;
            }
        }
        false
    }

    fn close_letter(&mut self, id: LetterId, how: Closed) {
        if let Some(letter) = self.letters.get_mut(&id) {
            letter.closed.get_or_insert(how);
        }
    }

    // What an operator does.

    /// Release only makes a lane due (S3).
    pub(super) fn release(&mut self, lane: &LaneName, now: Time) {
        if let Some(row) = self.lanes.get_mut(lane) {
            row.due = Some(now);
        }
    }

    /// Drops the first `count` open letters of a lane; answers whose.
    pub(super) fn discard(&mut self, lane: &LaneName, count: usize, source: &ModelSource) -> Vec<Seq> {
        let dropped: Vec<_> = self.open(lane, source).into_iter().take(count).collect();
        for (id, _) in &dropped {
            self.close_letter(*id, Closed::Dropped);
        }
        if !self.has_open(lane) {
            self.lanes.remove(lane);
        }
        dropped.into_iter().map(|(_, seq)| seq).collect()
    }
}
