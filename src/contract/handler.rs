//! The application, as one call sees it.

use std::sync::Arc;

use super::{Boxed, Capacity, Finding, Identity};
use crate::delivery::Failure;
use crate::message::Message;

/// What a handler is told beside the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// 1 at first.
    pub number: u32,
    /// What the inbox remembers it by.
    pub identity: Identity,
    /// What the caller adds to the message's headers, or puts in the place of one of them: the trace context of this attempt.
    pub headers: Arc<[(Box<str>, Box<str>)]>,
}

/// The value of `twinbox-once`, which an application hands to `twinbox.once` as it is: `consumer:id:replay epoch`.
///
/// Opaque outside, so this function and that one are the only two that know it. A consumer's name holds no colon.
#[must_use]
pub fn once_token(consumer: &str, identity: Identity) -> String {
    format!("{consumer}:{}:{}", identity.id.hyphenated(), identity.replay_epoch)
}

/// What a call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The application says that it is done.
    Done,
    /// It failed; the kind and `retry_after` say how.
    Failed(Arc<Failure>),
}

/// An application that is called message by message.
///
/// # Promises
/// * **P1** One outcome per message, in order; a missing answer is a failure.
/// * **P2** `Done` only after the application has said so.
/// * **P3** Every call ends within its deadline, and no reply takes more than a bounded amount of memory.
///
/// # The caller promises
/// It may call again for the same message; at most one message of a lane in a call.
///
/// # Cancellation
/// A dropped call has an unknown outcome.
///
/// # Errors
/// Each message has its own outcome.
///
/// # What the suite checks
/// P1–P3.
pub trait Handler: Send + Sync {
    /// What it takes at once.
    fn capacity(&self) -> Capacity;

    /// Calls the application.
    fn handle(&self, calls: Vec<(Message, Attempt)>) -> Boxed<'_, Vec<Outcome>>;

    /// Whether it answers its health probe; none where there is no probe.
    fn health(&self) -> Boxed<'_, Option<Result<(), Failure>>>;

    /// What `doctor` should know.
    fn findings(&self) -> Boxed<'_, Vec<Finding>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_what_the_statement_takes_apart() {
        let identity = Identity {
            id: uuid::Uuid::from_u128(7),
            replay_epoch: 2,
        };
        assert_eq!(
            once_token("billing", identity),
            "billing:00000000-0000-0000-0000-000000000007:2"
        );
    }
}
