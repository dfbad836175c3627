//! How much of what was read fits the room.
//!
//! Promises: no payload is fetched before there is room for it; a page holds whole messages up to the first that does
//! not fit; a message that fits no room at all comes with its body withheld.
//!
//! Sizes that come with rows are guesses from above (`window.sql`); where one decides alone, the server is asked.

use super::row::Fetched;
use crate::contract::Room;

/// Rows asked for in one statement.
const ROWS_MAX: usize = 1000;
/// The room of one row is at least this, or rows would be fetched singly whenever the room is small.
const ROW_BYTES: usize = 4096;

/// What is asked of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    /// Rows.
    pub(super) rows: usize,
    /// Largest payload that comes with its row.
    pub(super) inline_max: i64,
}

/// What of the large payloads can be fetched now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deferred {
    /// Those of the first rows.
    Fit {
        /// How many rows stay in the page.
        rows: usize,
    },
    /// Not even the first row's, by the guess.
    FirstTooLarge,
}

// === impl Asked ===

impl Asked {
    pub(super) fn of(room: Room) -> Self {
        let rows = room.messages.min(ROWS_MAX).min(room.bytes / ROW_BYTES).max(1);
        let inline_max = (room.bytes / rows).cast_signed() as i64;
        Self { rows, inline_max }
    }

    /// As the statements' limit.
    pub(super) fn limit(self) -> i64 {
        self.rows.cast_signed() as i64
    }
}

/// Looks how far the large payloads fit, by guess.
pub(super) fn deferred(rows: &[Fetched], room: Room) -> Deferred {
    let mut left = room.bytes as u64;
    for (index, row) in rows.iter().enumerate() {
        let Some(guess) = row.deferred else {
            left = left.saturating_sub(row.content.cost() as u64);
            continue;
        };
        if guess > left {
            return if index == 0 {
                Deferred::FirstTooLarge
            } else {
                Deferred::Fit { rows: index }
            };
        }
        left -= guess;
    }
    Deferred::Fit { rows: rows.len() }
}

/// Cuts the page before the first row that does not fit with its real size; the first always stays.
pub(super) fn cut(rows: &mut Vec<Fetched>, room: Room) {
    let mut left = room.bytes;
    let fits = rows
        .iter()
        .take_while(|row| {
            let fits = row.content.cost() <= left;
            left = left.saturating_sub(row.content.cost());
            fits
        })
        .count();
    rows.truncate(fits.max(1).min(room.messages.max(1)));
}
