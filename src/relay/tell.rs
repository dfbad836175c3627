//! What a notice of the reducer becomes: a line in the log, and what `/status` shows.
//!
//! Promises: state changes, never single messages; a destination's failure is shown until it takes messages again, or is
//! forgotten.

use tokio::sync::watch;

use super::status::Status;
use crate::delivery::{Destination, verdict};
use crate::flow::{LastError, Notice};

/// Tells.
pub(super) fn tell(relay: &str, status: &watch::Sender<Status>, notice: &Notice) {
    match notice {
        Notice::DestinationRests { destination, kind } => {
            let message = format!("{}{}", begins(destination), verdict::sentence(*kind));
            tracing::error!(relay, %destination, kind = kind.as_str(), "{message}");
            status.send_modify(|status| status.last_error = Some(LastError::now(kind.as_str(), &message)));
        }
        Notice::DestinationBack(destination) => {
            tracing::info!(relay, %destination, "destination takes messages again");
            status.send_modify(|status| status.last_error = None);
        }
        Notice::DestinationForgotten(destination) => {
            tracing::debug!(relay, %destination, "destination forgotten: nothing has spoken of it for long");
            let begins = begins(destination);
            status.send_if_modified(|status| {
                let shown = &mut status.last_error;
                shown.take_if(|error| error.message.starts_with(&begins)).is_some()
            });
        }
        Notice::LaneRests(lane) => {
            crate::point!("lane.rested");
            tracing::debug!(relay, lane = lane.hash_text(), "lane rests");
        }
        Notice::LaneStored(lane) => {
            tracing::warn!(relay, lane = lane.hash_text(), "lane blocked: its messages are letters");
        }
        Notice::LaneFree(lane) => tracing::info!(relay, lane = lane.hash_text(), "lane free again"),
        Notice::OrderBroken { lane, failed, durable } => {
            tracing::error!(relay, event = "order_broken", lane = lane.hash_text(), %failed, %durable, "order broken");
        }
    }
}

/// How the sentence about a resting destination begins.
fn begins(destination: &Destination) -> String {
    format!("destination {destination} rests: ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::FailureKind;

    fn topic(name: &str) -> Destination {
        std::iter::once(name).collect()
    }

    #[test]
    fn a_forgotten_destination_is_not_shown_any_more() {
        let (status, shown) = watch::channel(Status::default());
        let rests = |name| Notice::DestinationRests {
            destination: topic(name),
            kind: FailureKind::Destination,
        };
        tell("orders", &status, &rests("old"));
        tell("orders", &status, &Notice::DestinationForgotten(topic("other")));
        assert!(shown.borrow().last_error.is_some(), "another one is no news about it");
        tell("orders", &status, &Notice::DestinationForgotten(topic("old")));
        assert_eq!(shown.borrow().last_error, None);
    }
}
