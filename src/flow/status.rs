//! What both engines tell about themselves: facts behind `/status`, without a format.

use jiff::Timestamp;

use super::clock::wall_clock;
use crate::delivery::Failure;

/// Lanes by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LaneCounts {
    /// In memory and publishing.
    pub flowing: usize,
    /// In memory and waiting for their next attempt.
    pub resting: usize,
    /// Blocked in the database.
    pub parked: usize,
}

/// The newest failure worth showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// When.
    pub at: Timestamp,
    /// Its kind, as in a letter.
    pub kind: String,
    /// What happened and what to do.
    pub message: String,
}

/// A suspected loss (G8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The incident's pinned kind.
    pub kind: String,
    /// Where the range begins.
    pub from: String,
    /// Where it ends.
    pub to: String,
    /// When it was noticed.
    pub at: Timestamp,
}

// === impl LastError ===

impl LastError {
    /// It happened just now.
    #[must_use]
    pub fn now(kind: &str, message: &str) -> Self {
        Self {
            at: wall_clock(),
            kind: kind.to_owned(),
            message: message.to_owned(),
        }
    }

    /// Keeps a failure; answers whether it is another one than what was kept: what is news is told.
    pub fn keep(kept: &mut Option<Self>, failure: &Failure) -> bool {
        let message = failure.to_string();
        let news = kept.as_ref().is_none_or(|last| last.message != message);
        if news {
            *kept = Some(Self::now(failure.kind.as_str(), &message));
        }
        news
    }
}

// === impl Loss ===

impl Loss {
    /// Keeps what an incident says is lost; answers whether it was not known before: it is told once (G8).
    pub fn keep(kept: &mut Vec<Self>, (kind, from, to): (&str, &str, &str)) -> bool {
        let news = !kept
            .iter()
            .any(|known| (known.kind.as_str(), known.from.as_str()) == (kind, from));
        if news {
            kept.push(Self {
                kind: kind.to_owned(),
                from: from.to_owned(),
                to: to.to_owned(),
                at: wall_clock(),
            });
        }
        news
    }
}
