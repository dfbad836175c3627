//! The verdict: a pure function of what was committed, what was seen and what was stored as letters.
//!
//! Promises: every loss, phantom, swap and changed byte in the three logs is in the verdict, with its id. It decides
//! from the logs alone, so a stored run can be judged again.
//!
//! # Why a letter excuses only its own event
//!
//! A parked event blocks its key: what stands behind it must not be seen before it. Only a letter that was closed as
//! dropped or dead leaves a gap that others may pass.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use uuid::Uuid;

/// One committed row, as its own transaction wrote it down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Truth {
    pub id: Uuid,
    /// `None`: the row has no key and no order.
    pub key: Option<String>,
    /// 1, 2, 3 … within topic and key, in commit order; meaningless without a key.
    pub kseq: i64,
    pub topic: String,
    pub fingerprint: String,
}

/// One record, as an independent client read it from the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Header `ce_id` or `id`; `None` when it has neither or it is no UUID.
    pub id: Option<Uuid>,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub fingerprint: String,
    /// Header `twinbox-position`: epoch, major, minor.
    pub position: Option<(u64, u64, u64)>,
    /// Milliseconds since 1970, as the broker answers them.
    pub at_ms: i64,
}

/// How a stored message stands when the run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LetterState {
    /// Waiting; it blocks its key.
    Open,
    /// Published later: it must be on the broker.
    Delivered,
    /// Dropped or dead: it need not be on the broker and blocks nobody.
    Closed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    pub id: Uuid,
    pub state: LetterState,
}

/// What the three logs say. Everything but `duplicates` must be empty; how many of those are allowed depends on the
/// faults of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub committed: usize,
    pub seen: usize,
    /// Committed, neither on the broker nor a letter.
    pub lost: Vec<Uuid>,
    /// On the broker, never committed (as `topic/partition@offset` with the id, if it has one).
    pub phantom: Vec<String>,
    /// First occurrences that came behind a later event of their key, or passed an open letter of it.
    pub reordered: Vec<Uuid>,
    /// Second and later occurrences.
    pub duplicates: Vec<Uuid>,
    /// Key, payload or header changed on the way, or wrong topic.
    pub wrong_bytes: Vec<Uuid>,
    /// Keys that were seen in more than one partition.
    pub scattered: Vec<String>,
    /// `twinbox-position` is missing, does not grow along its key, or differs between occurrences.
    pub misplaced: Vec<Uuid>,
}

impl Verdict {
    #[must_use]
    pub(crate) fn is_clean(&self) -> bool {
        self.lost.is_empty()
            && self.phantom.is_empty()
            && self.reordered.is_empty()
            && self.wrong_bytes.is_empty()
            && self.scattered.is_empty()
            && self.misplaced.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "committed {} seen {} lost {} phantom {} reordered {} duplicates {} wrong bytes {} scattered {} misplaced {}",
            self.committed,
            self.seen,
            self.lost.len(),
            self.phantom.len(),
            self.reordered.len(),
            self.duplicates.len(),
            self.wrong_bytes.len(),
            self.scattered.len(),
            self.misplaced.len()
        )?;
        examples(f, "lost", &self.lost)?;
        examples(f, "phantom", &self.phantom)?;
        examples(f, "reordered", &self.reordered)?;
        examples(f, "wrong bytes", &self.wrong_bytes)?;
        examples(f, "scattered", &self.scattered)?;
        examples(f, "misplaced", &self.misplaced)
    }
}

fn examples<T: fmt::Display>(f: &mut fmt::Formatter<'_>, name: &str, ids: &[T]) -> fmt::Result {
    for id in ids.iter().take(5) {
        write!(f, "\n  {name}: {id}")?;
    }
    Ok(())
}

/// Judges one run.
#[must_use]
pub(crate) fn check(truth: &[Truth], seen: &[Seen], letters: &[Letter]) -> Verdict {
    let mut verdict = Verdict {
        committed: truth.len(),
        seen: seen.len(),
        ..Verdict::default()
    };
    let by_id: HashMap<Uuid, &Truth> = truth.iter().map(|row| (row.id, row)).collect();
    let letters: HashMap<Uuid, LetterState> = letters.iter().map(|letter| (letter.id, letter.state)).collect();

    let mut along: BTreeMap<(&str, &str), Vec<(&Truth, &Seen)>> = BTreeMap::new();
    let mut positions: HashMap<Uuid, Option<(u64, u64, u64)>> = HashMap::new();
    for record in in_log_order(seen) {
        let Some(row) = record.id.and_then(|id| by_id.get(&id).copied()) else {
            verdict.phantom.push(place(record));
            continue;
        };
        if record.fingerprint != row.fingerprint || record.topic != row.topic {
            verdict.wrong_bytes.push(row.id);
        }
        let first = positions.entry(row.id).or_insert(record.position);
        if *first != record.position || record.position.is_none() {
            verdict.misplaced.push(row.id);
        }
        if let Some(key) = &row.key {
            along.entry((&row.topic, key)).or_default().push((row, record));
        }
    }
    verdict.duplicates = duplicates(seen, &by_id);
    verdict.lost = lost(truth, &positions, &letters);
    let blocked = blocked(truth, &letters);
    for (lane, occurrences) in &along {
        judge_key(&mut verdict, occurrences, blocked.get(lane).copied());
    }
    verdict
}

/// A partition's records by offset; partitions one after the other (a key has only one, or it is scattered).
fn in_log_order(seen: &[Seen]) -> Vec<&Seen> {
    let mut records: Vec<&Seen> = seen.iter().collect();
    records.sort_by_key(|record| (record.topic.as_str(), record.partition, record.offset));
    records
}

fn place(record: &Seen) -> String {
    let id = record.id.map_or_else(|| "no id".to_owned(), |id| id.to_string());
    format!("{id} at {}/{}@{}", record.topic, record.partition, record.offset)
}

fn duplicates(seen: &[Seen], by_id: &HashMap<Uuid, &Truth>) -> Vec<Uuid> {
    let mut met = HashSet::new();
    seen.iter()
        .filter_map(|record| record.id)
        .filter(|id| by_id.contains_key(id) && !met.insert(*id))
        .collect()
}

fn lost(
    truth: &[Truth],
    arrived: &HashMap<Uuid, Option<(u64, u64, u64)>>,
    letters: &HashMap<Uuid, LetterState>,
) -> Vec<Uuid> {
    let excused = |id: &Uuid| matches!(letters.get(id), Some(LetterState::Open | LetterState::Closed));
    truth
        .iter()
        .map(|row| row.id)
        .filter(|id| !arrived.contains_key(id) && !excused(id))
        .collect()
}

/// Per topic and key the lowest kseq that is still an open letter: nothing above it may have been seen.
fn blocked<'a>(truth: &'a [Truth], letters: &HashMap<Uuid, LetterState>) -> HashMap<(&'a str, &'a str), i64> {
    let mut blocked = HashMap::new();
    for row in truth
        .iter()
        .filter(|row| letters.get(&row.id) == Some(&LetterState::Open))
    {
        if let Some(key) = &row.key {
            let lowest = blocked.entry((row.topic.as_str(), key.as_str())).or_insert(row.kseq);
            *lowest = row.kseq.min(*lowest);
        }
    }
    blocked
}

/// One key's occurrences in log order.
fn judge_key(verdict: &mut Verdict, occurrences: &[(&Truth, &Seen)], blocked_at: Option<i64>) {
    let partitions: BTreeSet<i32> = occurrences.iter().map(|(_, record)| record.partition).collect();
    if partitions.len() > 1 {
        let (row, record) = occurrences[0];
        verdict
            .scattered
            .push(format!("key {:?} of {} in {partitions:?}", row.key, record.topic));
    }
    let mut met = HashSet::new();
    let mut newest = 0;
    let mut position = None;
    for (row, record) in occurrences.iter().filter(|(row, _)| met.insert(row.id)) {
        if row.kseq <= newest || blocked_at.is_some_and(|open| row.kseq > open) {
            verdict.reordered.push(row.id);
        }
        newest = newest.max(row.kseq);
        if record.position.is_some() && record.position <= position {
            verdict.misplaced.push(row.id);
        }
        position = position.max(record.position);
    }
}

#[cfg(test)]
#[path = "checker_tests.rs"]
mod tests;
