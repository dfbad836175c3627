//! What went wrong, classified: the one word that all floors share.
//!
//! Promises: an adapter classifies once; nothing above asks for a vendor's number. An unknown *outcome* (the answer
//! is missing, the message may be durable) is [`FailureKind::Transient`]: it is resent with the same id.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// What a failure speaks of. The names are pinned: they stand in `letters list -o json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// Permanent, this message: too large, illegal header, a route that names nothing.
    Message,
    /// Permanent, this destination: unknown topic, no right to write.
    Destination,
    /// A handler said no.
    Rejected,
    /// No answer in time.
    Timeout,
    /// Nobody there: connection refused, name not found. Burns no attempt, parks nothing.
    Unreachable,
    /// An answer that may speak of the message or of the application.
    Ambiguous,
    /// The effect was done but not recorded.
    NotRecorded,
    /// Passing, or of unknown outcome.
    Transient,
    /// An error that this build does not know: retried a bounded number of times, then asked about.
    Unknown,
}

/// A failure with what an operator needs to know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it speaks of.
    pub kind: FailureKind,
    /// The vendor's name for it, such as `TopicAuthorizationFailed` or an SQLSTATE.
    pub code: Cow<'static, str>,
    /// What happened and what to do, in one sentence, without payload or secret.
    pub message: String,
    /// Causes, outermost first.
    pub chain: Vec<String>,
    /// When the other side asked to be left alone for a while.
    pub retry_after: Option<Duration>,
}

// === impl FailureKind ===

impl FailureKind {
    /// All kinds, for tables and schemas.
    pub const ALL: [Self; 9] = [
        Self::Message,
        Self::Destination,
        Self::Rejected,
        Self::Timeout,
        Self::Unreachable,
        Self::Ambiguous,
        Self::NotRecorded,
        Self::Transient,
        Self::Unknown,
    ];

    /// The pinned name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Destination => "destination",
            Self::Rejected => "rejected",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Ambiguous => "ambiguous",
            Self::NotRecorded => "not_recorded",
            Self::Transient => "transient",
            Self::Unknown => "unknown",
        }
    }

    /// The kind of that pinned name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

// === impl Failure ===

impl Failure {
    /// A failure without causes.
    pub fn new(kind: FailureKind, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: code.into(),
            message: message.into(),
            chain: Vec::new(),
            retry_after: None,
        }
    }

    /// The same failure with its causes, outermost first.
    #[must_use]
    pub fn with_chain(mut self, chain: Vec<String>) -> Self {
        self.chain = chain;
        self
    }

    /// Groups letters of the same error: kind and code, without what differs from message to message.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("{}:{}", self.kind.as_str(), self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for kind in FailureKind::ALL {
            assert_eq!(FailureKind::from_name(kind.as_str()), Some(kind));
        }
        assert_eq!(FailureKind::from_name("other"), None);
    }
}
