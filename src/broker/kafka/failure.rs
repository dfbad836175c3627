//! librdkafka's codes, classified once: what each speaks of, and what an operator should do.
//!
//! Promises: a code that this build does not know is never silent and never blames the message; an unknown *outcome* is
//! transient.
//!
//! # Why one code can mean two things
//!
//! A broker judges a record *batch*. One bad record condemns its neighbours with its own code, so what a refusal says
//! about a message depends on whether it was alone ([`Company`]).

use rdkafka::types::RDKafkaErrorCode as Code;

use crate::delivery::{Failure, FailureKind};

/// What a code speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Passing; the message may be durable.
    Transient,
    /// Not sent: the line died, or was closed, before its turn.
    Purged,
    /// The client's queue is full: a state, no failure.
    Full,
    /// Nobody there.
    Unreachable,
    /// The message itself.
    Message,
    /// The batch is larger than the topic takes: the message itself, or only its company.
    Size,
    /// A record of the batch is not acceptable: this one, or a neighbour.
    Record,
    /// The topic: unknown, or no right to write.
    Destination,
    /// The whole cluster refuses us: credentials, rights, protocol.
    Backend,
    /// The client is dead: a new one is needed.
    Fatal,
    /// Not in this table.
    Unknown,
}

/// Whether a message shared its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    /// It was alone: what is said of the batch is said of it.
    Alone,
    /// It may have had neighbours.
    Shared,
}

// === impl Mark ===

impl Mark {
    /// The table.
    pub(super) const fn of(code: Code) -> Self {
        match code {
            Code::QueueFull | Code::ThrottlingQuotaExceeded => Self::Full,
            Code::AllBrokersDown | Code::Resolve | Code::BrokerNotAvailable | Code::UnknownBroker => Self::Unreachable,
            Code::BrokerTransportFailure
            | Code::OperationTimedOut
            | Code::TimedOutQueue
            | Code::MessageTimedOut
            | Code::RequestTimedOut
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::ReplicaNotAvailable
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::KafkaStorageError
            | Code::NetworkException
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::InvalidMessage
            | Code::InvalidDifferentRecord
            | Code::PurgeInflight
            | Code::Retry => Self::Transient,
            Code::PurgeQueue | Code::Fatal | Code::GaplessGuarantee => Self::Purged,
            Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => Self::Size,
            Code::InvalidRecord => Self::Record,
            Code::InvalidTopic | Code::InvalidTimestamp => Self::Message,
            Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::UnknownTopicId
            | Code::TopicAuthorizationFailed => Self::Destination,
            Code::ClusterAuthorizationFailed
            | Code::SaslAuthenticationFailed
            | Code::Authentication
            | Code::SSL
            | Code::SecurityDisabled
            | Code::PolicyViolation
            | Code::UnsupportedSASLMechanism
            | Code::IllegalSASLState
            | Code::InvalidRequiredAcks
            | Code::UnsupportedForMessageFormat
            | Code::UnsupportedCompressionType
            | Code::UnsupportedVersion
            | Code::UnsupportedFeature => Self::Backend,
            Code::OutOfOrderSequenceNumber
            | Code::UnknownProducerId
            | Code::InvalidProducerEpoch
            | Code::InvalidProducerIdMapping
            | Code::Fenced
            | Code::ProducerFenced => Self::Fatal,
            _ => Self::Unknown,
        }
    }

    /// Whether a report with this mark explains why a line died: its topic is to blame, not the client.
    pub(super) const fn blames(self) -> bool {
        matches!(
            self,
            Self::Message | Self::Size | Self::Record | Self::Destination | Self::Backend | Self::Unknown
        )
    }

    /// What the mark says of a message.
    const fn kind(self, company: Company) -> FailureKind {
        match (self, company) {
            (Self::Message, _) | (Self::Size | Self::Record, Company::Alone) => FailureKind::Message,
            (Self::Destination | Self::Backend, _) => FailureKind::Destination,
            (Self::Unreachable, _) => FailureKind::Unreachable,
            (Self::Unknown, _) => FailureKind::Unknown,
            (Self::Transient | Self::Purged | Self::Full | Self::Fatal | Self::Size | Self::Record, _) => {
                FailureKind::Transient
            }
        }
    }
}

/// The failure of a message at a topic.
pub(super) fn refused(code: Code, topic: &str, company: Company) -> Failure {
    let mark = Mark::of(code);
    Failure::new(mark.kind(company), name(code), sentence(code, mark, topic)).with_chain(vec![code.to_string()])
}

/// The failure of the whole connection, with librdkafka's own words.
pub(super) fn away(code: Code, reason: &str) -> Failure {
    let kind = match Mark::of(code) {
        Mark::Backend => FailureKind::Destination,
        _ => FailureKind::Unreachable,
    };
    let what = match kind {
        FailureKind::Destination => "the Kafka cluster refuses us; check `tls`, `sasl` and the user's rights",
        _ => "no Kafka broker can be reached; check `brokers` and the network",
    };
    Failure::new(kind, name(code), what).with_chain(vec![reason.to_owned()])
}

/// The vendor's name of a code.
fn name(code: Code) -> String {
    format!("{code:?}")
}

fn sentence(code: Code, mark: Mark, topic: &str) -> String {
    match (code, mark) {
        (Code::TopicAuthorizationFailed, _) => {
            format!("no right to write to the topic {topic}; grant WRITE and DESCRIBE on it")
        }
        (_, Mark::Destination) => format!("the topic {topic} does not exist; create it, or change `route.topic`"),
        (_, Mark::Message) => format!("the broker refuses this message at the topic {topic}"),
        (_, Mark::Size) => format!("the topic {topic} refused a batch as too large; see its max.message.bytes"),
        (_, Mark::Record) => {
            format!("the topic {topic} refused a record: a compacted topic wants a key, a schema check may have failed")
        }
        (_, Mark::Backend) => "the Kafka cluster refuses us; check `tls`, `sasl` and the user's rights".to_owned(),
        (_, Mark::Unreachable) => "no Kafka broker can be reached; check `brokers` and the network".to_owned(),
        (_, Mark::Purged) => "not sent: the connection was given up before its turn".to_owned(),
        (_, Mark::Fatal) => "the producer lost its place in the sequence and was built anew".to_owned(),
        (_, Mark::Transient | Mark::Full) => {
            format!("no acknowledgement from the topic {topic}; the outcome is unknown")
        }
        (_, Mark::Unknown) => format!("the topic {topic} answered with a code that this build does not know"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the reference, row by row: code, alone, in company.
    const ROWS: &[(&[Code], FailureKind, FailureKind)] = &[
        (
            &[
                Code::BrokerTransportFailure,
                Code::OperationTimedOut,
                Code::RequestTimedOut,
                Code::LeaderNotAvailable,
                Code::NotLeaderForPartition,
                Code::NotEnoughReplicas,
                Code::NotEnoughReplicasAfterAppend,
                Code::KafkaStorageError,
                Code::NetworkException,
                Code::QueueFull,
                Code::ThrottlingQuotaExceeded,
                Code::MessageTimedOut,
                Code::PurgeQueue,
                Code::PurgeInflight,
                Code::InvalidDifferentRecord,
                Code::InvalidMessage,
                Code::Fatal,
                Code::OutOfOrderSequenceNumber,
                Code::UnknownProducerId,
                Code::InvalidProducerEpoch,
                Code::GaplessGuarantee,
            ],
            FailureKind::Transient,
            FailureKind::Transient,
        ),
        (
            &[Code::AllBrokersDown, Code::Resolve, Code::BrokerNotAvailable],
            FailureKind::Unreachable,
            FailureKind::Unreachable,
        ),
        (
            &[
                Code::MessageSizeTooLarge,
                Code::MessageBatchTooLarge,
                Code::InvalidRecord,
            ],
            FailureKind::Message,
            FailureKind::Transient,
        ),
        (
            &[Code::InvalidTopic, Code::InvalidTimestamp],
            FailureKind::Message,
            FailureKind::Message,
        ),
        (
            &[
                Code::UnknownTopic,
                Code::UnknownTopicOrPartition,
                Code::UnknownPartition,
                Code::TopicAuthorizationFailed,
                Code::ClusterAuthorizationFailed,
                Code::SaslAuthenticationFailed,
                Code::Authentication,
                Code::SSL,
                Code::SecurityDisabled,
                Code::PolicyViolation,
                Code::UnsupportedSASLMechanism,
                Code::InvalidRequiredAcks,
                Code::UnsupportedForMessageFormat,
                Code::UnsupportedCompressionType,
                Code::UnsupportedVersion,
            ],
            FailureKind::Destination,
            FailureKind::Destination,
        ),
        (
            &[Code::Unknown, Code::Application, Code::InvalidRequest],
            FailureKind::Unknown,
            FailureKind::Unknown,
        ),
    ];

    #[test]
    fn every_row_of_the_table_holds() {
        for (codes, alone, shared) in ROWS {
            for code in *codes {
                assert_eq!(refused(*code, "t", Company::Alone).kind, *alone, "{code:?} alone");
                assert_eq!(
                    refused(*code, "t", Company::Shared).kind,
                    *shared,
                    "{code:?} in company"
                );
            }
        }
    }

    #[test]
    fn a_failure_has_the_vendors_name_and_the_topic() {
        let failure = refused(Code::TopicAuthorizationFailed, "order.events", Company::Shared);
        assert_eq!(failure.code, "TopicAuthorizationFailed");
        assert!(failure.message.contains("order.events"), "{}", failure.message);
        assert_eq!(failure.fingerprint(), "destination:TopicAuthorizationFailed");
    }

    #[test]
    fn only_the_client_is_blamed_for_its_own_death() {
        for code in [
            Code::OutOfOrderSequenceNumber,
            Code::PurgeQueue,
            Code::PurgeInflight,
            Code::Fatal,
        ] {
            assert!(!Mark::of(code).blames(), "{code:?}");
        }
        for code in [
            Code::MessageSizeTooLarge,
            Code::InvalidRecord,
            Code::TopicAuthorizationFailed,
            Code::Unknown,
        ] {
            assert!(Mark::of(code).blames(), "{code:?}");
        }
    }

    #[test]
    fn a_connection_that_is_refused_is_no_outage() {
        assert_eq!(away(Code::SaslAuthenticationFailed, "").kind, FailureKind::Destination);
        assert_eq!(
            away(Code::AllBrokersDown, "1/1 brokers are down").kind,
            FailureKind::Unreachable
        );
    }
}
