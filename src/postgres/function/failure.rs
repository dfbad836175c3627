//! What an effect's failure speaks of: the message, the handler as a whole, or the database.
//!
//! | State | What it is taken for |
//! |---|---|
//! | `TB001` | the handler rejects the message |
//! | `TB002` | the handler asks for another try; a duration as HINT or DETAIL says when |
//! | 40001, 40P01, 55P03 | two transactions met: again at once, no attempt; in the end transient |
//! | 57014 | it took longer than `statement_timeout` |
//! | 08, 53, 57, 25006, a lost connection | the database is away: nothing more is tried |
//! | 42…, outside the function | the function is gone, or may not be called: nothing more is tried |
//! | 22…, outside the function | the payload does not fit the parameter |
//! | 22, 23, 42, P0, inside it | may speak of the message or of the function: the others of the batch show which |
//! | everything else | unknown |
//!
//! Inside or outside is told by CONTEXT, in which every language names its function.
//!
//! # Why a missing table inside the function is ambiguous
//!
//! A function is planned statement by statement: a branch that only one type of event takes may name a missing column. Were
//! that a misconfiguration, one such message would stop all others.

use std::time::Duration;

use tokio_postgres::error::{DbError, Severity};

use crate::delivery::{Failure, FailureKind};
use crate::postgres::failure;
use crate::setting;

/// Whom a failure concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::postgres) enum Scope {
    /// The message that was being done.
    Message,
    /// Two transactions met: the same again may do.
    Met,
    /// The statement took too long, whatever it was doing when the time was over.
    Slow,
    /// Everybody: nothing more is tried.
    All,
}

/// A failure, and whom it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::postgres) struct Trouble {
    pub(in crate::postgres) scope: Scope,
    pub(in crate::postgres) failure: Failure,
}

// === impl Trouble ===

impl Trouble {
    pub(in crate::postgres) fn message(failure: Failure) -> Self {
        Self {
            scope: Scope::Message,
            failure,
        }
    }

    pub(in crate::postgres) fn all(failure: Failure) -> Self {
        Self {
            scope: Scope::All,
            failure,
        }
    }

    /// An error while the function was called.
    pub(in crate::postgres) fn of_call(name: &str, error: &tokio_postgres::Error) -> Self {
        let inside = |said: &DbError| said.where_().is_some_and(|context| context.contains("function"));
        Self::of_effect(error, inside, |said| format!("{name}: {}", said.message()))
    }

    /// An error of a statement that a handler made by itself, or of COMMIT, which checks what was put off.
    pub(in crate::postgres) fn of_statement(error: &tokio_postgres::Error) -> Self {
        Self::of_effect(error, |_| true, |said| said.message().to_owned())
    }

    fn of_effect(
        error: &tokio_postgres::Error,
        inside: impl Fn(&DbError) -> bool,
        text: impl Fn(&DbError) -> String,
    ) -> Self {
        let Some(said) = error.as_db_error() else {
            return if error.is_closed() {
                Self::all(lost(error))
            } else {
                Self::message(unsaid(error))
            };
        };
        let (scope, kind) = judge(said, inside(said));
        if kind == FailureKind::Message {
            return Self::message(unfit(said));
        }
        let mut failure = Failure::new(kind, said.code().code().to_owned(), text(said));
        failure.chain = chain(said);
        failure.retry_after = retry_after(said);
        Self { scope, failure }
    }

    /// An error of a statement of ours.
    pub(in crate::postgres) fn of_ours(error: &tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            return Self::all(lost(error));
        };
        let told = failure::Failure::of(error).told();
        match said.code().code() {
            "40001" | "40P01" | "55P03" => Self {
                scope: Scope::Met,
                failure: told,
            },
            _ if away(said) => Self::all(Failure {
                kind: FailureKind::Unreachable,
                ..told
            }),
            _ => Self::all(told),
        }
    }
}

/// Whether after this answer to COMMIT nobody knows what became of it.
pub(super) fn in_doubt(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_none_or(|said| {
        !matches!(said.parsed_severity(), Some(Severity::Error)) || said.code().code().starts_with("08")
    })
}

fn lost(error: &tokio_postgres::Error) -> Failure {
    let told = failure::Failure::of(error).told();
    if error.is_closed() {
        Failure {
            kind: FailureKind::Unreachable,
            ..told
        }
    } else {
        told
    }
}

/// The database could not read a parameter. Its context quotes the payload, and is left out.
fn unfit(said: &DbError) -> Failure {
    let advice = "mend the producer, or take `payload bytea` or `payload text`";
    let what = format!(
        "the payload or a header does not fit the function's parameter: {}: {advice}",
        said.message()
    );
    Failure::new(FailureKind::Message, said.code().code().to_owned(), what).with_chain(
        said.detail()
            .map(|detail| format!("detail: {detail}"))
            .into_iter()
            .collect(),
    )
}

/// The driver's own: a value that does not fit its column, for one.
fn unsaid(error: &tokio_postgres::Error) -> Failure {
    failure::Failure::of(error).told()
}

fn away(said: &DbError) -> bool {
    let code = said.code().code();
    matches!(code, "25006" | "25P03" | "58000" | "58030")
        || ["08", "53", "57"].iter().any(|class| code.starts_with(class)) && code != "57014"
}

fn judge(said: &DbError, inside: bool) -> (Scope, FailureKind) {
    let code = said.code().code();
    match code {
        "TB001" => (Scope::Message, FailureKind::Rejected),
        "TB002" => (Scope::Message, FailureKind::Transient),
        "40001" | "40P01" | "55P03" => (Scope::Met, FailureKind::Transient),
        "57014" => (Scope::Slow, FailureKind::Timeout),
        _ if away(said) => (Scope::All, FailureKind::Unreachable),
        _ if code.starts_with("42") && !inside => (Scope::All, FailureKind::Destination),
        _ if code.starts_with("22") && !inside => (Scope::Message, FailureKind::Message),
        _ if ["22", "23", "42", "P0"].iter().any(|class| code.starts_with(class)) => {
            (Scope::Message, FailureKind::Ambiguous)
        }
        _ => (Scope::Message, FailureKind::Unknown),
    }
}

/// What stands in the letter beside the message (DESIGN §12).
fn chain(said: &DbError) -> Vec<String> {
    let parts = [
        ("detail", said.detail()),
        ("hint", said.hint()),
        ("context", said.where_()),
    ];
    let told = parts
        .into_iter()
        .filter_map(|(name, text)| Some(format!("{name}: {}", text?)));
    told.collect()
}

/// `using errcode = 'TB002', hint = '30s'`.
fn retry_after(said: &DbError) -> Option<Duration> {
    if said.code().code() != "TB002" {
        return None;
    }
    [said.hint(), said.detail()].into_iter().flatten().find_map(duration)
}

/// `30s`, `1m30s`, `30` or `retry after 30 seconds`.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim().to_lowercase();
    let text = text.strip_prefix("retry after ").unwrap_or(&text).trim();
    if let Ok(seconds) = text
        .trim_end_matches("seconds")
        .trim_end_matches("second")
        .trim()
        .parse::<u32>()
    {
        return Some(Duration::from_secs(seconds.into()));
    }
    text.parse::<setting::Duration>().ok().map(setting::Duration::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_says_when() {
        for (text, seconds) in [
            ("30s", 30),
            ("1m30s", 90),
            ("30", 30),
            ("Retry after 5 seconds", 5),
            ("retry after 2m", 120),
        ] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "soon", "check the account", "-1"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
