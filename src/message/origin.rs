//! What a delivered message brings beside its content: where it was read, how it is told apart, what could not be read of it.

use jiff::Timestamp;
use uuid::Uuid;

use super::Position;
use std::sync::Arc;

/// The namespace of ids that are no UUID: a constant of twinbox, for ever.
pub const IDS: Uuid = Uuid::from_u128(0x7477_696e_626f_5849_8000_6964_7300_0001);

/// Where a message was read and what its envelope said beyond the columns of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    /// Topic or queue.
    pub topic: Arc<str>,
    /// Partition, where there is one.
    pub partition: Option<i32>,
    /// Offset, where there is one.
    pub offset: Option<i64>,
    /// The `CloudEvents` source, where the envelope has one.
    pub source: Option<Arc<str>>,
    /// The id as it was written, where it is no UUID.
    pub id_text: Option<Box<str>>,
    /// What the inbox remembers it by: the event's id, or a business key (S11).
    pub identity: Uuid,
    /// What `twinbox-position` said.
    pub sent: Option<Position>,
    /// When the broker stored it, by its own clock.
    pub stored_at: Option<Timestamp>,
    /// Why it cannot be handed to anybody, in a sentence; its body is the bytes as received.
    pub flaw: Option<Box<str>>,
}

/// The UUID of a text that identifies something inside what it was taken from: a `CloudEvents` source, a topic, a queue
/// (S11: topics X and Y may both use ids "1", "2").
///
/// Version 5 (RFC 9562 §5.5) over the length of `taken_from`, a colon, `taken_from` and the text: no two pairs are spelled alike.
#[must_use]
pub fn uuid_of(taken_from: &str, text: &str) -> Uuid {
    Uuid::new_v5(&IDS, format!("{}:{taken_from}{text}", taken_from.len()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s11_equal_texts_of_two_topics_are_two_ids() {
        assert_ne!(uuid_of("x", "1"), uuid_of("y", "1"));
        assert_ne!(uuid_of("ab", "c"), uuid_of("a", "bc"));
        assert_eq!(uuid_of("x", "1"), uuid_of("x", "1"));
    }

    #[test]
    fn ids_are_the_same_for_ever() {
        assert_eq!(
            uuid_of("orders", "1").to_string(),
            "84259039-f34c-567c-ac59-7ea94d03364d"
        );
    }
}
