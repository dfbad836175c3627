//! What a lane is: all messages of one resolved destination and one resolved key.
//!
//! Promises: two different (destination, key) pairs never share a name (S8: order "42" and customer "42"); a message
//! without a key is its own lane; a name is text that a person can read and the database can sort.

use std::fmt;
use std::sync::Arc;

use crate::message::{Key, Position};

/// Where a message goes: the backend's route fields, resolved (topic | exchange and routing key | queue).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination(Arc<[Box<str>]>);

/// Everything `route` says about one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Where it goes.
    pub destination: Destination,
    /// The resolved key; none = unordered.
    pub key: Option<Key>,
    /// Headers that the route adds.
    pub headers: Arc<[(Box<str>, Box<str>)]>,
}

/// The name of a lane, as it stands in `twinbox.lane`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneName(Arc<str>);

/// Why a lane is blocked. The names are pinned by the table's check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Its head was rejected: parked until somebody releases or discards it.
    Rejected,
    /// It rests longer than memory should hold it.
    Resting,
    /// Its destination rests; it goes out by itself when that is back.
    Destination,
    /// An operator paused it.
    Paused,
}

// === impl Destination ===

impl Destination {
    /// The resolved route fields in the backend's order.
    #[must_use]
    pub fn parts(&self) -> &[Box<str>] {
        &self.0
    }
}

impl<S: Into<Box<str>>> FromIterator<S> for Destination {
    fn from_iter<I: IntoIterator<Item = S>>(parts: I) -> Self {
        Self(parts.into_iter().map(Into::into).collect())
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(":")?;
            }
            f.write_str(part)?;
        }
        Ok(())
    }
}

// === impl LaneName ===

impl LaneName {
    /// The lane of a keyed message, or the lane of its own that an unkeyed one is.
    #[must_use]
    pub fn of(destination: &Destination, key: Option<&Key>, position: Position) -> Self {
        let mut name = String::with_capacity(64);
        for part in destination.parts() {
            push_escaped(&mut name, part.as_bytes());
            name.push('/');
        }
        match key {
            Some(key) => {
                name.push('=');
                push_escaped(&mut name, key.as_bytes());
            }
            None => {
                name.push('@');
                name.push_str(&position.place());
            }
        }
        Self(name.into())
    }

    /// What the names of all lanes of that key end with, and no other's: a part holds no slash of its own.
    #[must_use]
    pub fn ending(key: &Key) -> String {
        let mut ending = String::from("/=");
        push_escaped(&mut ending, key.as_bytes());
        ending
    }

    /// The text, as stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What logs say instead of the name, which holds the key.
    #[must_use]
    pub fn hash_text(&self) -> String {
        Key::from(self.as_str()).hash_text()
    }
}

impl From<&str> for LaneName {
    fn from(stored: &str) -> Self {
        Self(stored.into())
    }
}

/// Percent-encodes what would make two names equal or the text illegal for the database (NUL, invalid UTF-8).
fn push_escaped(name: &mut String, bytes: &[u8]) {
    use fmt::Write as _;
    for byte in bytes {
        if byte.is_ascii_graphic() && !matches!(byte, b'/' | b'%') {
            name.push(char::from(*byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(name, "%{byte:02X}");
        }
    }
}

// === impl Cause ===

impl Cause {
    /// The name as stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Resting => "resting",
            Self::Destination => "destination",
            Self::Paused => "paused",
        }
    }

    /// The cause of that stored name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Rejected, Self::Resting, Self::Destination, Self::Paused]
            .into_iter()
            .find(|cause| cause.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(parts: &[String], key: Option<&[u8]>) -> LaneName {
        let destination: Destination = parts.iter().map(String::as_str).collect();
        let key = key.map(Key::from);
        LaneName::of(&destination, key.as_ref(), Position::new(1, 2, 3))
    }

    proptest! {
        #[test]
        fn s08_different_lanes_have_different_names(
            a in (prop::collection::vec(".{0,4}", 1..3), prop::collection::vec(any::<u8>(), 0..6)),
            b in (prop::collection::vec(".{0,4}", 1..3), prop::collection::vec(any::<u8>(), 0..6)),
        ) {
            prop_assert_eq!(a == b, name(&a.0, Some(&a.1)) == name(&b.0, Some(&b.1)));
        }
    }

    proptest! {
        /// A pause holds the lanes of its key, wherever they go, and no other's.
        #[test]
        fn s08_a_lane_ends_as_its_key_says_and_as_no_other_does(
            parts in prop::collection::vec("[/=@%ab]{0,4}", 1..3),
            one in "[/=@%ab]{0,4}",
            other in "[/=@%ab]{0,4}",
        ) {
            let key = Key::from(other.as_str());
            let ends = name(&parts, Some(one.as_bytes())).as_str().ends_with(&LaneName::ending(&key));
            prop_assert_eq!(one == other, ends);
            prop_assert!(!name(&parts, None).as_str().ends_with(&LaneName::ending(&key)));
        }
    }

    /// Every lane of one or two short parts over the letters that mean something in a name.
    #[test]
    fn s08_no_two_lanes_of_the_marks_share_a_name() {
        let words = |longest: u32| {
            let longer = |shorter: Vec<String>| {
                let grown = shorter
                    .iter()
                    .flat_map(|word| "/=@%a".chars().map(move |mark| format!("{word}{mark}")));
                std::iter::once(String::new()).chain(grown).collect()
            };
            (0..longest).fold(vec![String::new()], |shorter, _| longer(shorter))
        };
        let ones = words(2).into_iter().map(|part| vec![part]);
        let twos = words(2)
            .into_iter()
            .flat_map(|first| words(2).into_iter().map(move |second| vec![first.clone(), second]));
        let mut names = std::collections::HashMap::new();
        for parts in ones.chain(twos) {
            let keys = words(1).into_iter().map(Some).chain([None]);
            for key in keys {
                let name = name(&parts, key.as_ref().map(String::as_bytes));
                let other = names.insert(name.clone(), (parts.clone(), key.clone()));
                assert_eq!(other, None, "{name:?} is also the name of {parts:?}, {key:?}");
            }
        }
    }

    #[test]
    fn s08_order_42_and_customer_42_are_two_lanes() {
        assert_ne!(
            name(&["order".into()], Some(b"42")),
            name(&["customer".into()], Some(b"42"))
        );
        assert_ne!(name(&["order".into()], Some(b"")), name(&["order".into()], None));
        assert_eq!(name(&["order".into()], Some(b"42")).as_str(), "order/=42");
    }
}
