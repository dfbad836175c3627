//! What must be told (G8), with its exact range and what to type.

use crate::contract::{Incident, StreamName};
use crate::delivery::Destination;

/// Where it happened, and whom it concerns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The consumer's name.
    pub(super) consumer: &'a str,
    /// The stream.
    pub(super) stream: &'a StreamName,
}

// === impl Place ===

impl Place<'_> {
    /// Messages that are gone: deleted, or cut off.
    pub(super) fn offsets_lost(self, expected: i64, (low, high): (i64, i64)) -> Incident {
        let (stream, consumer) = (self.stream, self.consumer);
        let (to, what) = if expected < low {
            let what = format!(
                "the offsets {expected} to {} of {stream} are gone before they were read: its log begins at {low} \
                 (retention, or deleted records); what they held is lost to this consumer. Go on at {low}: `twinbox accept \
                 {consumer} offsets_lost`",
                low - 1
            );
            (low, what)
        } else {
            let what = format!(
                "{stream} should go on at {expected} and ends at {high}: its log was cut off, or the topic is another one \
                 than before. Go on at {high}: `twinbox accept {consumer} offsets_lost`"
            );
            (high, what)
        };
        let told = self.made("offsets_lost", (expected.to_string(), to.to_string()), what);
        Incident {
            go_on: Some(to),
            ..told
        }
    }

    /// The topic is another one than before.
    pub(super) fn topic_recreated(self, expected: i64, (low, high): (i64, i64)) -> Incident {
        let (stream, consumer) = (self.stream, self.consumer);
        let what = format!(
            "the topic of {stream} was deleted and created anew: what was not read of the old one up to then is gone, and \
             offsets mean other messages now. Read the new one from its start: `twinbox accept {consumer} topic_recreated`"
        );
        let told = self.made("topic_recreated", (expected.to_string(), high.to_string()), what);
        Incident {
            go_on: Some(low),
            ..told
        }
    }

    /// Partitions were added; they are read from their start.
    pub(super) fn partitions_changed(self, from: i32, to: i32) -> Incident {
        let topic = &self.stream.topic;
        let what = format!(
            "the topic {topic} has {to} partitions now, {from} before: the new ones are read from their start; keys that \
             moved with the change keep no order across it. Nothing is to be typed"
        );
        let mut told = self.made("partitions_changed", (from.to_string(), to.to_string()), what);
        told.destination = [&**topic].into_iter().collect();
        told
    }

    fn made(self, kind: &'static str, (from, to): (String, String), sentence: String) -> Incident {
        let partition = self.stream.partition.map(|partition| partition.to_string());
        let parts = [Some(self.stream.topic.to_string()), partition];
        Incident {
            kind,
            destination: parts.into_iter().flatten().collect::<Destination>(),
            from,
            to,
            sentence,
            go_on: None,
        }
    }
}
