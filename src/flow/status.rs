//! What both engines tell about themselves: facts behind `/status`, without a format.

use jiff::Timestamp;

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
