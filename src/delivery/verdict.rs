//! From failure to behaviour: the one table, also printed by `explain`.
//!
//! Promises: an outage burns no attempt and parks nothing; a lane is parked only for a failure that speaks of its
//! message: a rejection, or any failure while other keys succeed at the same place, often enough.

use std::time::Duration;

use super::FailureKind;

/// First rest of a destination that is misconfigured: it will not mend itself in milliseconds.
pub const DESTINATION_REST_FIRST: Duration = Duration::from_secs(30);
/// Longest rest of such a destination: what an operator mended is noticed within this time.
pub const DESTINATION_REST_MAX: Duration = Duration::from_secs(300);

/// What we do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Rest the lane, then probe.
    RestLane {
        /// Whether the failure speaks of the message.
        counts: bool,
    },
    /// Rest the whole destination with the lane's own policy: nothing is burnt.
    RestDestination,
    /// Rest the destination from [`DESTINATION_REST_FIRST`] upwards and tell somebody.
    RestMisconfigured,
    /// The message can never pass: park, dead-letter or halt, by configuration.
    Refuse,
}

/// What else is known at the moment of the failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surroundings {
    /// Another lane of the same destination succeeded a short while ago.
    pub others_flow: bool,
    /// Lanes of this destination that failed since its last success, this one included.
    pub failing_lanes: usize,
    /// Attempts of this lane that counted already.
    pub attempts: u32,
    /// How many may count.
    pub attempts_max: u32,
}

/// Lanes that must fail in a row, with none succeeding, before the destination itself is taken to be the cause.
pub const FAILING_LANES: usize = 3;

/// The table.
#[must_use]
pub fn judge(kind: FailureKind, around: Surroundings) -> Verdict {
    match kind {
        FailureKind::Message | FailureKind::Rejected => Verdict::Refuse,
        FailureKind::Destination => Verdict::RestMisconfigured,
        FailureKind::Unreachable => Verdict::RestDestination,
        FailureKind::Transient
        | FailureKind::Timeout
        | FailureKind::Ambiguous
        | FailureKind::NotRecorded
        | FailureKind::Unknown => {
            if !around.others_flow && around.failing_lanes >= FAILING_LANES {
                Verdict::RestDestination
            } else if around.others_flow && around.attempts + 1 >= around.attempts_max {
                Verdict::Refuse
            } else {
                Verdict::RestLane {
                    counts: around.others_flow,
                }
            }
        }
    }
}

/// The sentence for the person who asks what happens then.
#[must_use]
pub fn sentence(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Message => "the message can never pass: its key is parked at once, other keys flow",
        FailureKind::Rejected => "a handler refused it: its key is parked, other keys flow",
        FailureKind::Destination => {
            "the destination is misconfigured: it rests from 30 s upwards and is probed; others flow"
        }
        FailureKind::Unreachable => "nobody is there: the destination rests, no attempt is burnt, nothing is parked",
        FailureKind::Transient | FailureKind::Timeout => {
            "the key rests with full jitter; when most keys fail the destination rests and nothing is burnt"
        }
        FailureKind::Ambiguous => "when one key fails it is the message, when most fail it is the application",
        FailureKind::NotRecorded => "the effect was done but not recorded: the key rests and is tried again",
        FailureKind::Unknown => "retried a bounded number of times, then parked and asked about",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(others_flow: bool, failing_lanes: usize, attempts: u32) -> Surroundings {
        Surroundings {
            others_flow,
            failing_lanes,
            attempts,
            attempts_max: 12,
        }
    }

    #[test]
    fn an_outage_burns_no_attempt_and_parks_nothing() {
        for kind in [
            FailureKind::Transient,
            FailureKind::Timeout,
            FailureKind::Unknown,
            FailureKind::Ambiguous,
        ] {
            assert_eq!(
                judge(kind, around(false, 1, 11)),
                Verdict::RestLane { counts: false },
                "{kind:?}"
            );
            assert_eq!(
                judge(kind, around(false, FAILING_LANES, 11)),
                Verdict::RestDestination,
                "{kind:?}"
            );
        }
        assert_eq!(
            judge(FailureKind::Unreachable, around(true, 1, 11)),
            Verdict::RestDestination
        );
    }

    #[test]
    fn a_failure_counts_only_while_others_flow_and_the_last_one_refuses() {
        assert_eq!(
            judge(FailureKind::Transient, around(true, 9, 10)),
            Verdict::RestLane { counts: true }
        );
        assert_eq!(judge(FailureKind::Transient, around(true, 9, 11)), Verdict::Refuse);
    }

    #[test]
    fn only_a_message_is_refused_at_once() {
        for kind in FailureKind::ALL {
            let at_once = judge(kind, around(true, 1, 0)) == Verdict::Refuse;
            assert_eq!(
                at_once,
                matches!(kind, FailureKind::Message | FailureKind::Rejected),
                "{kind:?}"
            );
        }
    }
}
