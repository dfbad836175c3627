//! Exit codes, and how a verb stops.
//!
//! Promises: the codes are pinned; a verb that stops says one sentence on stderr: what happened, where, what to type.

use std::io;
use std::process::ExitCode;

use crate::contract::StoreError;
use crate::delivery::{Failure, FailureKind};
use crate::postgres::{self, ConnectError, Kind};

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; also after a drain.
    Ok = 0,
    /// It failed, or nothing matched, or a relay halted.
    Failure = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The configuration makes no sense.
    Configuration = 3,
    /// `doctor` found errors.
    Findings = 4,
    /// A server is away: the same command may succeed later.
    Unreachable = 6,
    /// Some of it was done.
    Partial = 7,
    /// Stopped by a second signal.
    Interrupted = 130,
}

/// A verb that cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The code.
    pub exit: Exit,
    /// What happened, where, what to type; empty when everything has been said.
    pub sentence: String,
}

// === impl Exit ===

impl Exit {
    /// As a number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

// === impl Stop ===

impl Stop {
    /// Stops with a sentence.
    pub fn new(exit: Exit, sentence: impl Into<String>) -> Self {
        let sentence = sentence.into();
        Self { exit, sentence }
    }

    /// The command line makes no sense.
    pub fn usage(sentence: impl Into<String>) -> Self {
        Self::new(Exit::Usage, sentence)
    }

    /// The configuration makes no sense.
    pub fn configuration(sentence: impl Into<String>) -> Self {
        Self::new(Exit::Configuration, sentence)
    }

    /// It failed.
    pub fn failure(sentence: impl Into<String>) -> Self {
        Self::new(Exit::Failure, sentence)
    }
}

impl From<io::Error> for Stop {
    /// Whoever reads our output may leave when they have enough: that is no failure, and nobody is there to be told.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Exit::Ok, "");
        }
        Self::failure(format!("the output cannot be written: {error}"))
    }
}

impl From<serde_json::Error> for Stop {
    fn from(error: serde_json::Error) -> Self {
        io::Error::from(error).into()
    }
}

impl From<ConnectError> for Stop {
    fn from(error: ConnectError) -> Self {
        Self::new(exit_of(error.kind()), format!("database: {error}"))
    }
}

impl From<postgres::Failure> for Stop {
    fn from(failure: postgres::Failure) -> Self {
        // A statement that fails for want of a table or a grant says nothing about the configuration file.
        let exit = match exit_of(failure.kind) {
            Exit::Configuration => Exit::Failure,
            exit => exit,
        };
        Self::new(exit, format!("database: {failure}"))
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        let exit = match failure.kind {
            FailureKind::Unreachable | FailureKind::Transient | FailureKind::Timeout => Exit::Unreachable,
            _ => Exit::Failure,
        };
        Self::new(exit, failure.to_string())
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Away(failure) => failure.into(),
            other => Self::failure(other.to_string()),
        }
    }
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn exit_of(kind: Kind) -> Exit {
    match kind {
        Kind::RetryNow | Kind::Transient => Exit::Unreachable,
        Kind::Configuration => Exit::Configuration,
        Kind::Authentication | Kind::Message | Kind::Unknown => Exit::Failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_pinned() {
        let all = [
            Exit::Ok,
            Exit::Failure,
            Exit::Usage,
            Exit::Configuration,
            Exit::Findings,
            Exit::Unreachable,
            Exit::Partial,
            Exit::Interrupted,
        ];
        assert_eq!(all.map(Exit::code), [0, 1, 2, 3, 4, 6, 7, 130]);
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let closed = Stop::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((closed.exit, closed.sentence.as_str()), (Exit::Ok, ""));
        assert_eq!(Stop::from(io::Error::other("full")).exit, Exit::Failure);
    }

    #[test]
    fn what_may_be_back_later_is_told_apart() {
        let away = Failure::new(FailureKind::Unreachable, "08006", "away");
        assert_eq!(Stop::from(away).exit, Exit::Unreachable);
        let odd = Failure::new(FailureKind::Unknown, "XX000", "odd");
        assert_eq!(Stop::from(StoreError::Away(odd)).exit, Exit::Failure);
        assert_eq!(Stop::from(StoreError::Fenced).exit, Exit::Failure);
    }
}
