//! What an error says to a consumer: of the stream, of the group, of the whole client.
//!
//! Promises: what passes by itself is no error to anybody; what somebody must repair says what to type; a code that this
//! build does not know is told, never silent.

use rdkafka::types::RDKafkaErrorCode as Code;

use super::super::failure::{Mark, away};
use crate::delivery::{Failure, FailureKind};

/// What an error speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nothing: it passes.
    Nothing,
    /// The connection.
    Connection,
    /// The cluster, the group or a topic refuses us; trying goes on.
    Refused,
    /// The client is dead.
    Client,
}

/// What a code speaks of, when it arrives beside the streams.
pub(super) fn reach(code: Code) -> Reach {
    match code {
        Code::GroupAuthorizationFailed
        | Code::InconsistentGroupProtocol
        | Code::UnsupportedAssignor
        | Code::UnknownTopic
        | Code::UnknownTopicOrPartition
        | Code::InvalidTopic
        | Code::TopicAuthorizationFailed
        | Code::GroupMaxSizeReached
        | Code::InvalidSessionTimeout
        | Code::InvalidGroupId => Reach::Refused,
        Code::Fatal | Code::FencedInstanceId | Code::UnreleasedInstanceId | Code::Fenced => Reach::Client,
        Code::AllBrokersDown | Code::Resolve => Reach::Connection,
        code => match Mark::of(code) {
            Mark::Backend => Reach::Refused,
            _ => Reach::Nothing,
        },
    }
}

/// Whether a stream brings nothing more by itself after this code.
pub(super) fn ends_reading(code: Code) -> bool {
    lost_place(code) || !matches!(Mark::of(code), Mark::Transient | Mark::Unreachable | Mark::Full)
}

/// Whether what should be read next may not be there.
pub(super) fn lost_place(code: Code) -> bool {
    matches!(
        code,
        Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation
    )
}

/// The failure of the whole subscription.
pub(super) fn subscription(code: Code, (group, topics): (&str, &str), reason: &str) -> Failure {
    let what = match code {
        Code::InconsistentGroupProtocol | Code::UnsupportedAssignor => format!(
            "the group {group} is in use by members of another protocol; stop them, or give this consumer a group of its own \
             (`from.kafka.group`)"
        ),
        Code::GroupAuthorizationFailed => format!("no right to the group {group}; grant READ on it"),
        Code::TopicAuthorizationFailed => {
            format!("no right to read a topic of {topics}; grant READ and DESCRIBE on it")
        }
        Code::UnknownTopic | Code::UnknownTopicOrPartition => {
            format!("a topic of {topics} does not exist; create it, or change `from.kafka.topics`")
        }
        Code::InvalidTopic => {
            format!("a topic of {topics} has a name that no topic can have; change `from.kafka.topics`")
        }
        Code::GroupMaxSizeReached => format!("the group {group} is full; raise group.max.size, or stop members"),
        Code::InvalidSessionTimeout => {
            "the broker refuses `session.timeout.ms`; it must lie between group.min.session.timeout.ms and \
             group.max.session.timeout.ms"
                .to_owned()
        }
        Code::InvalidGroupId => format!("`{group}` cannot be a group's name; change `from.kafka.group`"),
        Code::FencedInstanceId | Code::UnreleasedInstanceId => {
            "another member has the same `group.instance.id`; give each process its own".to_owned()
        }
        _ => return away(code, reason),
    };
    Failure::new(FailureKind::Destination, format!("{code:?}"), what).with_chain(vec![reason.to_owned()])
}

/// The failure of one question, or of one stream.
pub(super) fn stream(code: Code, stream: &str) -> Failure {
    let (kind, what) = match (code, Mark::of(code)) {
        (Code::TopicAuthorizationFailed, _) => (
            FailureKind::Destination,
            format!("no right to read {stream}; grant READ and DESCRIBE on its topic"),
        ),
        (Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition, _) => (
            FailureKind::Destination,
            format!("{stream} does not exist any more; create its topic, or change `from.kafka.topics`"),
        ),
        (_, Mark::Backend) => (
            FailureKind::Destination,
            format!("the Kafka cluster refuses us at {stream}; check `tls`, `sasl` and rights"),
        ),
        (_, Mark::Transient | Mark::Full) => (FailureKind::Transient, format!("{stream} could not be asked in time")),
        (_, Mark::Unreachable) => (
            FailureKind::Unreachable,
            format!("no broker of {stream} can be reached"),
        ),
        _ => (
            FailureKind::Unknown,
            format!("{stream} cannot be read, for a reason that this build does not know"),
        ),
    };
    Failure::new(kind, format!("{code:?}"), what).with_chain(vec![code.to_string()])
}
