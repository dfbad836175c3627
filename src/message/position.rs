//! Where a message stands in its source: opaque, ordered, never computed with.
//!
//! Promises: positions of one source strictly increase in the order in which messages were first read; a replay
//! after a crash carries the same ones; the text form `epoch.major.minor` is the same on every broker.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// An ordered place in the source. The epoch grows when the source, its timeline or its cluster changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Which history: grows when the source is another one than before.
    pub epoch: u64,
    /// `cursor`: the window; log: the commit LSN.
    pub major: u64,
    /// `cursor`: the row's `seq`; log: the index inside the transaction.
    pub minor: u64,
}

/// A text that is no position.
#[derive(Debug, thiserror::Error)]
pub enum ParsePositionError {
    /// Not three parts.
    #[error("a position has three parts, epoch.major.minor")]
    Parts,
    /// A part that is no unsigned decimal.
    #[error("a part of the position is no unsigned decimal")]
    Number(#[from] ParseIntError),
}

// === impl Position ===

impl Position {
    /// A position from its three parts.
    #[must_use]
    pub fn new(epoch: u64, major: u64, minor: u64) -> Self {
        Self { epoch, major, minor }
    }

    /// The same place as a text that sorts as the position does.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{:020}.{:020}.{:020}", self.epoch, self.major, self.minor)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut number = itoa::Buffer::new();
        f.write_str(number.format(self.epoch))?;
        f.write_str(".")?;
        f.write_str(number.format(self.major))?;
        f.write_str(".")?;
        f.write_str(number.format(self.minor))
    }
}

impl FromStr for Position {
    type Err = ParsePositionError;

    /// Reads both the wire form and [`Position::place`].
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('.');
        let (Some(epoch), Some(major), Some(minor), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(ParsePositionError::Parts);
        };
        Ok(Self {
            epoch: epoch.parse()?,
            major: major.parse()?,
            minor: minor.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_forms_come_back(epoch: u64, major: u64, minor: u64) {
            let position = Position::new(epoch, major, minor);
            prop_assert_eq!(position.to_string().parse::<Position>().unwrap(), position);
            prop_assert_eq!(position.place().parse::<Position>().unwrap(), position);
        }

        #[test]
        fn places_sort_as_positions_do(a: (u64, u64, u64), b: (u64, u64, u64)) {
            let (a, b) = (Position::new(a.0, a.1, a.2), Position::new(b.0, b.1, b.2));
            prop_assert_eq!(a.cmp(&b), a.place().cmp(&b.place()));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "1.2", "1.2.3.4", "a.b.c", "1.-2.3"] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
    }
}
