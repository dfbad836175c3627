//! What is left of the windows: which rows of which window are not settled, and what of that the table must know.
//!
//! Promises: pure; a window's rest only shrinks; a window is forgotten only when it and its successor are settled, so
//! that the rows of the successor are never computed from a missing lower bound; an older [`Progress`] changes nothing.
//!
//! ```text
//!  floor │ n: settled │ n+1: rest {7,9} │ n+2: settled │ n+3: settled │ n+4: being read, rest {31,-40}
//!  gone    the floor    written           gone           written {}     written
//! ```
//!
//! # Why the newest window is written, too
//!
//! Under load it will be settled wholly in a moment and then costs its share of one range delete. But where one row of it
//! rests, the others were settled long ago when the next window is in flight: a crash would repeat both, more than
//! `limits.in_flight` and the last second. And a relay that is killed again and again would begin it anew each time. One
//! array a second is the price.

use std::collections::VecDeque;
use std::sync::Arc;

use super::snapshot::PgSnapshot;
use crate::contract::Progress;
use crate::message::Position;

/// What of a window is to be given to the engine, as its row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// Everything (`rest` is null).
    All,
    /// These rows, and everything above a seq (a last element −n).
    Rest {
        /// Ascending.
        seqs: Vec<i64>,
        /// Everything above it too.
        above: Option<i64>,
    },
}

/// One row of `relay_window`.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) number: i64,
    pub(super) upper: Arc<PgSnapshot>,
    scope: Scope,
    /// Highest seq that was read.
    given: Option<i64>,
    /// Nothing of it is left to be read.
    exhausted: bool,
    /// `rest` as it stands in the table, if that is known to be more than null.
    stored: Option<Vec<i64>>,
}

/// All windows of one opening.
#[derive(Debug)]
pub(super) struct Windows {
    epoch: u64,
    /// Everything visible in it is settled.
    floor: (i64, Arc<PgSnapshot>),
    /// Ascending by number, all above the floor.
    open: VecDeque<Window>,
    /// The newest progress that was taken note of: its `read` and how much it left.
    noted: Option<(Position, usize)>,
}

/// What the table must be told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Change {
    /// Windows and what is left of them.
    pub(super) rests: Vec<(i64, Vec<i64>)>,
    /// Windows to be forgotten.
    pub(super) gone: Vec<i64>,
    noted: Option<(Position, usize)>,
}

// === impl Scope ===

impl Scope {
    /// From the column.
    pub(super) fn from_rest(rest: Option<Vec<i64>>) -> Self {
        let Some(mut seqs) = rest else { return Self::All };
        let above = seqs.pop_if(|last| *last < 0).map(i64::wrapping_neg);
        Self::Rest { seqs, above }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Rest { seqs, above: None } if seqs.is_empty())
    }

    /// What of it lies above `seq`, as the column has it.
    fn above(&self, seq: i64) -> Vec<i64> {
        match self {
            Self::All => vec![-seq],
            Self::Rest { seqs, above } => seqs
                .iter()
                .copied()
                .filter(|own| *own > seq)
                .chain(above.map(|above| -above.max(seq)))
                .collect(),
        }
    }
}

// === impl Window ===

impl Window {
    pub(super) fn new(number: i64, upper: Arc<PgSnapshot>, rest: Option<Vec<i64>>) -> Self {
        let stored = rest.clone();
        let scope = Scope::from_rest(rest);
        Self {
            number,
            upper,
            exhausted: scope.is_empty(),
            scope,
            given: None,
            stored,
        }
    }

    pub(super) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// What is left of it; none = all of what its row says already.
    fn left(&self, progress: &Progress) -> Option<Vec<i64>> {
        let number = self.number.unsigned_abs();
        if self.exhausted && self.given.is_none() {
            return Some(Vec::new());
        }
        if number > progress.read.major {
            return None;
        }
        let begin = progress.rest.partition_point(|position| position.major < number);
        let end = progress.rest.partition_point(|position| position.major <= number);
        let mut left: Vec<i64> = progress.rest[begin..end]
            .iter()
            .map(|position| position.minor.cast_signed())
            .collect();
        let read = progress.read.minor.cast_signed();
        let all_read = self.exhausted && self.given.is_none_or(|given| given <= read);
        if number == progress.read.major && !all_read {
            left.extend(self.scope.above(read));
        }
        Some(left)
    }
}

// === impl Windows ===

impl Windows {
    /// `rows` are those of the table, ascending; the first is the floor. None without a floor.
    pub(super) fn load(epoch: u64, rows: Vec<Window>) -> Option<Self> {
        let mut open: VecDeque<_> = rows.into();
        let floor = open.pop_front()?;
        Some(Self {
            epoch,
            floor: (floor.number, floor.upper),
            open,
            noted: None,
        })
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The first window that is not read to its end, and the snapshot below it.
    pub(super) fn first_unread(&self) -> Option<(&Window, &Arc<PgSnapshot>)> {
        let index = self.open.iter().position(|window| !window.exhausted)?;
        let lower = match index.checked_sub(1) {
            Some(below) => &self.open[below].upper,
            None => &self.floor.1,
        };
        Some((&self.open[index], lower))
    }

    /// Number and snapshot of the newest window, or of the floor.
    pub(super) fn newest(&self) -> (i64, &Arc<PgSnapshot>) {
        match self.open.back() {
            Some(window) => (window.number, &window.upper),
            None => (self.floor.0, &self.floor.1),
        }
    }

    /// Whether anything stands above the floor.
    pub(super) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    pub(super) fn floor(&self) -> &Arc<PgSnapshot> {
        &self.floor.1
    }

    /// A window was written.
    pub(super) fn opened(&mut self, number: i64, upper: Arc<PgSnapshot>) {
        self.open.push_back(Window::new(number, upper, None));
    }

    /// A page of a window was read, up to `seq`; `exhausted` = it was the last.
    pub(super) fn read(&mut self, number: i64, seq: Option<i64>, exhausted: bool) {
        let Ok(index) = self.open.binary_search_by_key(&number, |window| window.number) else {
            return;
        };
        let window = &mut self.open[index];
        window.given = window.given.max(seq);
        window.exhausted = exhausted;
    }

    /// The oldest row that is not settled, as far as is known.
    pub(super) fn oldest_left(&self, progress: &Progress) -> Option<i64> {
        let first = self.open.front()?.number.unsigned_abs();
        let position = progress.rest.iter().find(|position| position.major >= first)?;
        Some(position.minor.cast_signed())
    }

    /// What the table must be told about `progress`.
    pub(super) fn change(&self, progress: &Progress) -> Change {
        let noted = (progress.read, progress.rest.len());
        let older = |(read, left): (Position, usize)| noted.0 < read || noted.0 == read && noted.1 > left;
        if progress.read.epoch != self.epoch || self.noted.is_some_and(older) {
            return Change::default();
        }
        let lefts: Vec<_> = self.open.iter().map(|window| window.left(progress)).collect();
        let settled = |index: usize| {
            lefts
                .get(index)
                .is_some_and(|left| left.as_ref().is_some_and(Vec::is_empty))
        };
        let mut gone = Vec::new();
        if settled(0) {
            gone.push(self.floor.0);
        }
        let mut rests = Vec::new();
        // Below this index all is settled: the last of them becomes the floor.
        let above_floor = (0..self.open.len()).take_while(|index| settled(*index)).count();
        for (index, window) in self.open.iter().enumerate() {
            if settled(index) && settled(index + 1) {
                gone.push(window.number);
                continue;
            }
            let Some(left) = &lefts[index] else { continue };
            if index >= above_floor && window.stored.as_ref() != Some(left) {
                rests.push((window.number, left.clone()));
            }
        }
        Change {
            rests,
            gone,
            noted: Some(noted),
        }
    }

    /// The table has been told.
    pub(super) fn changed(&mut self, change: Change) {
        let Change { rests, gone, noted } = change;
        for (number, rest) in rests {
            if let Ok(index) = self.open.binary_search_by_key(&number, |window| window.number) {
                self.open[index].stored = Some(rest);
            }
        }
        self.noted = noted.or(self.noted);
        let Some(last_gone) = gone.iter().position(|number| *number == self.floor.0) else {
            self.open.retain(|window| !gone.contains(&window.number));
            return;
        };
        debug_assert_eq!(last_gone, 0, "the floor is the lowest");
        // The floor went: the first window that stays of those settled from there on takes its place.
        while let Some(window) = self.open.pop_front() {
            if !gone.contains(&window.number) {
                self.floor = (window.number, window.upper);
                break;
            }
        }
        self.open.retain(|window| !gone.contains(&window.number));
    }
}

// === impl Change ===

impl Change {
    pub(super) fn is_empty(&self) -> bool {
        self.rests.is_empty() && self.gone.is_empty()
    }

    /// The rests as three columns: windows; the window of each seq; the seqs.
    pub(super) fn columns(&self) -> (Vec<i64>, Vec<i64>, Vec<i64>) {
        let numbers = self.rests.iter().map(|(number, _)| *number).collect();
        let (windows, seqs) = self
            .rests
            .iter()
            .flat_map(|(number, rest)| rest.iter().map(|seq| (*number, *seq)))
            .unzip();
        (numbers, windows, seqs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(rests: &[Option<Vec<i64>>]) -> Windows {
        let upper = Arc::new(PgSnapshot::beginning());
        let rows = std::iter::once(Some(Vec::new()))
            .chain(rests.iter().cloned())
            .zip(10..)
            .map(|(rest, number)| Window::new(number, Arc::clone(&upper), rest))
            .collect();
        Windows::load(7, rows).expect("a floor")
    }

    fn progress(read: (u64, u64), rest: &[(u64, u64)]) -> Progress {
        let position = |(major, minor): (u64, u64)| Position::new(7, major, minor);
        Progress {
            read: position(read),
            rest: rest.iter().copied().map(position).collect(),
        }
    }

    #[test]
    fn a_settled_window_becomes_the_floor() {
        let mut windows = windows(&[None, None]);
        windows.read(11, Some(5), true);
        let change = windows.change(&progress((11, 5), &[]));
        assert_eq!((change.rests.as_slice(), change.gone.as_slice()), (&[][..], &[10][..]));
        windows.changed(change);
        assert_eq!(windows.floor.0, 11);
        assert_eq!(windows.open.len(), 1);
        windows.read(12, Some(9), true);
        windows.changed(windows.change(&progress((12, 9), &[])));
        assert_eq!(windows.floor.0, 12);
        assert!(windows.open.is_empty());
    }

    #[test]
    fn what_is_left_is_written_once() {
        let mut windows = windows(&[None]);
        windows.read(11, Some(5), true);
        let change = windows.change(&progress((11, 5), &[(11, 3)]));
        assert_eq!(change.rests, [(11, vec![3])], "of the newest, too");
        windows.changed(change);
        windows.opened(12, Arc::new(PgSnapshot::beginning()));
        windows.read(12, Some(8), true);
        let change = windows.change(&progress((12, 8), &[(11, 3), (12, 8)]));
        assert_eq!((&*change.rests, &*change.gone), (&[(12, vec![8])][..], &[][..]));
        windows.changed(change);
        assert!(windows.change(&progress((12, 8), &[(11, 3), (12, 8)])).is_empty());
    }

    #[test]
    fn neighbouring_settled_windows_shrink_to_the_last() {
        let mut windows = windows(&[None, None, None, None]);
        for (number, seq) in [(11, 1), (12, 2), (13, 3), (14, 4)] {
            windows.read(number, Some(seq), true);
        }
        let change = windows.change(&progress((14, 4), &[(11, 1), (14, 4)]));
        assert_eq!(change.gone, [12]);
        assert_eq!(change.rests, [(11, vec![1]), (13, vec![]), (14, vec![4])]);
        windows.changed(change);
        let change = windows.change(&progress((14, 4), &[(14, 4)]));
        assert_eq!(change.gone, [10, 11], "13 is the new floor");
        windows.changed(change);
        assert_eq!((windows.floor.0, windows.open.len()), (13, 1));
    }

    #[test]
    fn a_long_window_says_what_it_has_not_read() {
        let mut windows = windows(&[None]);
        windows.read(11, Some(5), false);
        windows.read(11, Some(9), false);
        let change = windows.change(&progress((11, 9), &[(11, 4)]));
        assert_eq!(change.rests, [(11, vec![4, -9])]);
        let behind = windows.change(&progress((11, 5), &[(11, 4)]));
        assert_eq!(behind.rests, [(11, vec![4, -5])]);
        windows.read(11, Some(12), true);
        assert_eq!(windows.change(&progress((11, 9), &[])).rests, [(11, vec![-9])]);
        assert_eq!(windows.change(&progress((11, 12), &[])).gone, [10]);
    }

    #[test]
    fn a_replayed_rest_keeps_what_is_not_read_again_yet() {
        let mut windows = windows(&[Some(vec![3, 7, 9, -20])]);
        windows.read(11, Some(3), false);
        windows.read(11, Some(7), false);
        assert_eq!(
            windows.change(&progress((11, 7), &[(11, 3)])).rests,
            [(11, vec![3, 9, -20])]
        );
        windows.read(11, Some(25), false);
        assert_eq!(windows.change(&progress((11, 25), &[])).rests, [(11, vec![-25])]);
    }

    #[test]
    fn older_progress_and_another_epoch_change_nothing() {
        let mut windows = windows(&[None, None]);
        windows.read(11, Some(5), true);
        windows.read(12, Some(6), true);
        let newer = windows.change(&progress((12, 6), &[(11, 2)]));
        windows.changed(newer);
        assert!(windows.change(&progress((11, 5), &[])).is_empty());
        assert!(windows.change(&progress((12, 6), &[(11, 2), (11, 5)])).is_empty());
        let mut other = progress((12, 6), &[]);
        other.read.epoch = 6;
        assert!(windows.change(&other).is_empty());
    }

    #[test]
    fn an_empty_window_is_settled_without_being_given() {
        let mut windows = windows(&[None]);
        windows.read(11, None, true);
        assert_eq!(windows.change(&progress((3, 1), &[])).gone, [10]);
    }
}
