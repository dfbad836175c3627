//! What a notice of a flow becomes: a line in the log, and what `/status` shows.
//!
//! Promises: state changes, never single messages; never a key, only its hash.

use std::sync::atomic::Ordering;

use super::run::Shared;
use crate::contract::StreamName;
use crate::delivery::{Destination, verdict};
use crate::flow::Notice;
use crate::message::{Key, Message, Position};

/// Tells.
pub(super) fn tell(shared: &Shared, stream: &StreamName, notice: &Notice) {
    let consumer = shared.engine.name.as_str();
    match notice {
        Notice::DestinationRests { kind, destination } if is_own(stream, destination) => {
            tracing::error!(consumer, %stream, kind = kind.as_str(), "the handler rests: {}", verdict::sentence(*kind));
            shared.show_error(
                kind.as_str(),
                &format!("the handler rests: {}", verdict::sentence(*kind)),
            );
            shared.stream(stream, |status| status.rests = true);
        }
        Notice::DestinationRests { kind, destination } => {
            tracing::error!(consumer, %destination, kind = kind.as_str(), "the dead-letter destination rests");
            shared.show_error(
                kind.as_str(),
                &format!("the dead-letter destination {destination} rests"),
            );
        }
        Notice::DestinationBack(destination) => {
            tracing::info!(consumer, %stream, %destination, "takes messages again");
            if is_own(stream, destination) {
                shared.stream(stream, |status| status.rests = false);
            }
            shared.clear_error();
        }
        Notice::DestinationForgotten(_) => {}
        Notice::LaneRests(lane) => {
            crate::point!("consumer.lane.rested");
            tracing::debug!(consumer, lane = lane.hash_text(), "lane rests");
        }
        Notice::LaneStored(lane) => {
            tracing::warn!(consumer, %stream, lane = lane.hash_text(), "lane blocked: its messages are letters");
        }
        Notice::LaneFree(lane) => tracing::info!(consumer, %stream, lane = lane.hash_text(), "lane free again"),
        Notice::OrderBroken { lane, failed, durable } => {
            tracing::error!(consumer, event = "order_broken", lane = lane.hash_text(), %failed, %durable, "order broken");
        }
    }
}

// === impl Shared ===

impl Shared {
    /// A first occurrence stands behind a later one of its key, by what the relay wrote: whoever published broke its order, or
    /// keys were moved between partitions. Counted, and told: nothing here can mend it.
    pub(super) fn order_broken(&self, stream: &StreamName, message: &Message, later: Position) {
        self.reordered.fetch_add(1, Ordering::Relaxed);
        let key = message.key.as_ref().map(Key::hash_text);
        let sent = message.origin.as_ref().and_then(|origin| origin.sent);
        tracing::error!(
            consumer = self.engine.name, %stream, event = "order_broken", id = %message.id, key,
            sent = sent.map(tracing::field::display), %later,
            "this event came after a later one of its key"
        );
    }
}

/// Whether a destination is the stream's own: the handler, not a dead-letter destination.
fn is_own(stream: &StreamName, destination: &Destination) -> bool {
    let parts = destination.parts();
    parts.first().map(AsRef::as_ref) == Some(&*stream.topic)
        && parts.len() == 1 + usize::from(stream.partition.is_some())
}
