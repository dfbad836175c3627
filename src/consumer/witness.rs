//! A witness of order: what `twinbox-position` says of the messages that had their effect.
//!
//! Promises: tells a first occurrence that stands behind a later one of its key (G3 is broken upstream, or keys were moved); never
//! a repetition, a release or a replay. Remembers recently seen keys only, in bounded memory: silence proves nothing.

use std::hash::BuildHasher as _;

use crate::message::{Message, Position};

/// Keys of one half of the memory; what was not seen while that many others were is forgotten.
const KEYS: usize = 2_000;

/// Two halves: the younger one is written, both are asked.
#[derive(Debug, Default)]
pub(super) struct Witness {
    young: foldhash::HashMap<u64, Position>,
    old: foldhash::HashMap<u64, Position>,
    hash: foldhash::fast::RandomState,
}

// === impl Witness ===

impl Witness {
    /// A message had its effect for the first time. Answers the position that it stands behind, if it does.
    pub(super) fn saw(&mut self, message: &Message) -> Option<Position> {
        let origin = message.origin.as_ref()?;
        let (sent, key) = (origin.sent?, message.key.as_ref()?);
        if message.replay.is_some() {
            return None;
        }
        let hash = self.hash.hash_one((&origin.source, key));
        let last = self.young.get(&hash).or_else(|| self.old.get(&hash)).copied();
        if self.young.len() >= KEYS && !self.young.contains_key(&hash) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash, last.max(Some(sent)).unwrap_or(sent));
        last.filter(|last| *last > sent)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::message::{Body, Content, ContentType, Headers, Origin};

    fn message(key: usize, sent: u64, replay: Option<u32>) -> Message {
        let origin = Origin {
            topic: "t".into(),
            partition: Some(0),
            offset: Some(0),
            source: Some("/s".into()),
            id_text: None,
            identity: Uuid::nil(),
            sent: Some(Position::new(1, 1, sent)),
            stored_at: None,
            flaw: None,
        };
        Message::from(Content {
            position: Position::new(0, 0, 0),
            id: Uuid::nil(),
            aggregate_type: "t".into(),
            key: Some(key.to_string().as_str().into()),
            kind: "k".into(),
            body: Body::Null,
            content_type: ContentType::Json,
            headers: Headers::default(),
            traceparent: None,
            occurred_at: jiff::Timestamp::UNIX_EPOCH,
            replay,
            origin: Some(Box::new(origin)),
        })
    }

    #[test]
    fn a_first_occurrence_behind_a_later_one_is_told() {
        let mut witness = Witness::default();
        assert_eq!(witness.saw(&message(1, 5, None)), None);
        assert_eq!(witness.saw(&message(2, 3, None)), None, "another key");
        assert_eq!(witness.saw(&message(1, 4, None)), Some(Position::new(1, 1, 5)));
        assert_eq!(witness.saw(&message(1, 4, Some(0))), None, "it was released");
        assert_eq!(witness.saw(&message(1, 6, None)), None);
    }

    #[test]
    fn memory_is_bounded_and_recent_keys_are_kept() {
        let mut witness = Witness::default();
        for key in 0..10 * KEYS {
            witness.saw(&message(key, 9, None));
            witness.saw(&message(0, 9, None));
        }
        assert!(witness.young.len() + witness.old.len() <= 2 * KEYS);
        assert!(witness.saw(&message(0, 8, None)).is_some(), "seen all the time");
        assert!(witness.saw(&message(1, 8, None)).is_none(), "forgotten");
    }
}
