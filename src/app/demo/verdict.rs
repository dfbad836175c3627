//! The demo's verdict: counted from what was committed and what an independent reader saw, never from what the relay says.
//!
//! Promises: a pure function of the two logs; anything lost, phantom or out of order makes it bad.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use uuid::Uuid;

/// A committed event, as the application's own table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Truth {
    /// The event.
    pub(super) id: Uuid,
    /// Its key.
    pub(super) key: String,
    /// Its number inside the key, from 1 without gap.
    pub(super) number: i64,
}

/// A record on the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// The event.
    pub(super) id: Uuid,
    /// The record's key.
    pub(super) key: String,
}

/// What became of the events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Committed events.
    pub written: usize,
    /// Different committed events that the reader saw.
    pub published: usize,
    /// Committed and never seen.
    pub lost: usize,
    /// Seen and never committed.
    pub phantom: usize,
    /// First occurrences that stand behind a later event of their key.
    pub out_of_order: usize,
    /// Records beyond the first of each event.
    pub twice: usize,
}

/// Compares what was committed with what was seen, in the order in which it was seen.
#[must_use]
pub(super) fn judge(truth: &[Truth], seen: &[Seen]) -> Verdict {
    let committed: HashMap<Uuid, &Truth> = truth.iter().map(|event| (event.id, event)).collect();
    let mut verdict = Verdict {
        written: truth.len(),
        ..Verdict::default()
    };
    let mut met = HashSet::new();
    let mut newest: BTreeMap<&str, i64> = BTreeMap::new();
    for record in seen {
        let Some(event) = committed.get(&record.id) else {
            verdict.phantom += 1;
            continue;
        };
        if !met.insert(record.id) {
            verdict.twice += 1;
            continue;
        }
        let newest = newest.entry(event.key.as_str()).or_default();
        if event.number < *newest || event.key != record.key {
            verdict.out_of_order += 1;
        }
        *newest = event.number.max(*newest);
    }
    verdict.published = met.len();
    verdict.lost = truth.len() - met.len();
    verdict
}

// === impl Verdict ===

impl Verdict {
    /// Nothing lost, nothing invented, nothing out of order, and something happened at all.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.written > 0 && self.lost == 0 && self.phantom == 0 && self.out_of_order == 0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "written {} · published {} · lost {} · phantom {} · out of order {} · published twice {}",
            self.written, self.published, self.lost, self.phantom, self.out_of_order, self.twice
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(key: &str, number: i64) -> Truth {
        Truth {
            id: Uuid::from_u128(u128::from(key.as_bytes()[0]) << 64 | number as u128),
            key: key.to_owned(),
            number,
        }
    }

    fn seen(event: &Truth) -> Seen {
        Seen {
            id: event.id,
            key: event.key.clone(),
        }
    }

    #[test]
    fn a_clean_run_is_good_also_with_a_repeated_record() {
        let events = [truth("a", 1), truth("b", 1), truth("a", 2)];
        let records = [seen(&events[1]), seen(&events[0]), seen(&events[2]), seen(&events[0])];
        let verdict = judge(&events, &records);
        assert!(verdict.is_good(), "{verdict}");
        assert_eq!(verdict.twice, 1);
    }

    #[test]
    fn each_kind_of_harm_is_seen() {
        let events = [truth("a", 1), truth("a", 2)];
        assert_eq!(judge(&events, &[seen(&events[0])]).lost, 1);
        assert_eq!(judge(&events, &[seen(&events[1]), seen(&events[0])]).out_of_order, 1);
        assert_eq!(
            judge(&events, &[seen(&events[0]), seen(&truth("x", 9)), seen(&events[1])]).phantom,
            1
        );
        let moved = Seen {
            key: "b".into(),
            ..seen(&events[1])
        };
        assert_eq!(judge(&events, &[seen(&events[0]), moved]).out_of_order, 1);
        assert!(!judge(&[], &[]).is_good(), "an empty run proves nothing");
    }
}
