//! What went wrong at the database, in one of six kinds, with a sentence for the operator.
//!
//! Promises: every error of the driver gets a kind; nothing above asks for an SQLSTATE; the text never holds a value of a
//! row (the server puts those into DETAIL, which is left out) nor a password.

use std::error::Error as _;
use std::fmt;

use tokio_postgres::error::{DbError, SqlState};

use crate::delivery::{self, FailureKind};

/// What a failure means for whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Serialisation failure, deadlock, lock not available: the same transaction again, at once.
    RetryNow,
    /// The server is away, full, starting, stopping or failing over: reconnect with backoff.
    Transient,
    /// Password, certificate or `pg_hba.conf`.
    Authentication,
    /// A table, column, database, grant or TLS setting is missing or wrong.
    Configuration,
    /// A value that the server cannot take.
    Message,
    /// None of these.
    Unknown,
}

/// A classified failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it means.
    pub kind: Kind,
    /// SQLSTATE, where the server spoke.
    pub code: Option<String>,
    /// What the server or the driver said.
    pub text: String,
    /// What to type, where that is known.
    pub advice: Option<String>,
}

// === impl Failure ===

impl Failure {
    /// Classifies an error of the driver.
    #[must_use]
    pub fn of(error: &tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(server) => Self::said(server),
            None => Self::unsaid(error),
        }
    }

    /// Whether the server answered with this state.
    #[must_use]
    pub fn is(&self, state: &SqlState) -> bool {
        self.code.as_deref() == Some(state.code())
    }

    /// The same in the words of the floors above.
    #[must_use]
    pub fn told(&self) -> delivery::Failure {
        let kind = match self.kind {
            Kind::Transient if self.code.is_none() => FailureKind::Unreachable,
            Kind::RetryNow | Kind::Transient => FailureKind::Transient,
            Kind::Authentication | Kind::Configuration => FailureKind::Destination,
            Kind::Message => FailureKind::Message,
            Kind::Unknown => FailureKind::Unknown,
        };
        let code = self.code.clone().unwrap_or_else(|| "connection".to_owned());
        delivery::Failure::new(kind, code, self.to_string())
    }

    fn said(error: &DbError) -> Self {
        Self {
            kind: kind(error.code()),
            code: Some(error.code().code().to_owned()),
            text: error.message().to_owned(),
            advice: advice(error),
        }
    }

    fn unsaid(error: &tokio_postgres::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            let more = next.to_string();
            if !text.ends_with(&more) {
                text = format!("{text}: {more}");
            }
            cause = next.source();
        }
        let (kind, advice) = unsaid_kind(error, &text);
        Self {
            kind,
            code: None,
            text,
            advice: advice.map(str::to_owned),
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::of(&error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if let Some(code) = &self.code {
            write!(f, " ({code})")?;
        }
        if let Some(advice) = &self.advice {
            write!(f, ": {advice}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// The driver names neither TLS nor value errors in its type, only in its text.
fn unsaid_kind(error: &tokio_postgres::Error, text: &str) -> (Kind, Option<&'static str>) {
    if text.contains("server does not support TLS") {
        return (
            Kind::Configuration,
            Some("the server has ssl = off, but the URL or `database.tls` asks for TLS"),
        );
    }
    if text.contains("not valid for name") {
        return (
            Kind::Configuration,
            Some("write a name in `database.url` that the server's certificate has"),
        );
    }
    if text.contains("certificate") || text.contains("TLS handshake") && text.contains("invalid") {
        return (
            Kind::Configuration,
            Some("give the CA that signed the server's certificate as `database.tls.ca`"),
        );
    }
    if text.contains("invalid configuration") || text.contains("password missing") {
        return (
            Kind::Authentication,
            Some("the server wants a password and the URL has none"),
        );
    }
    let on_the_way = error.is_closed()
        || text.contains("connecting to server")
        || text.contains("communicating with the server")
        || text.contains("timeout");
    if on_the_way {
        (Kind::Transient, None)
    } else {
        (Kind::Unknown, None)
    }
}

/// By state where a class is mixed, by class otherwise.
fn kind(state: &SqlState) -> Kind {
    match state.code() {
        "40001" | "40P01" | "55P03" => Kind::RetryNow,
        "57P01" | "57P02" | "57P03" | "57P05" | "57014" | "25006" | "25P03" | "58000" | "58030" => Kind::Transient,
        "42P01" | "42703" | "42704" | "42501" | "42883" | "42804" | "3F000" | "3D000" | "0A000" | "55000" => {
            Kind::Configuration
        }
        code => match code.get(..2) {
            Some("08" | "53") => Kind::Transient,
            Some("28") => Kind::Authentication,
            Some("22") => Kind::Message,
            _ => Kind::Unknown,
        },
    }
}

fn advice(error: &DbError) -> Option<String> {
    let advice = match error.code().code() {
        "42P01" | "3F000" | "42883" => {
            "the tables are not there: run `twinbox migrate`, or check `database.schema` and the database in the URL"
        }
        "42703" => {
            "the tables are older than this binary: `twinbox migrate --check` shows it, `twinbox migrate` repairs it"
        }
        "42501" => {
            "this role lacks a right: run `twinbox migrate --roles` as the owner, then `grant twinbox_relay to` it \
             (twinbox_consumer for a consumer, twinbox_app for a writer, twinbox_operator for a person)"
        }
        "28P01" => "the password is wrong, or has been changed: check the secret behind `database.url`",
        "28000" => {
            "the server lets nobody in from here by this role: check `pg_hba.conf`, the role and its LOGIN right"
        }
        "3D000" => "there is no such database on that server: check the end of `database.url`",
        "53300" => "the server is out of connections: lower `database.pool` or raise `max_connections`",
        "25006" => "the server is read only: a failover is going on, or the URL names a standby",
        "57P03" => "the server is starting or recovering",
        _ => return None,
    };
    Some(advice.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_become_kinds() {
        let cases = [
            ("40001", Kind::RetryNow),
            ("40P01", Kind::RetryNow),
            ("55P03", Kind::RetryNow),
            ("08006", Kind::Transient),
            ("57P01", Kind::Transient),
            ("53300", Kind::Transient),
            ("25006", Kind::Transient),
            ("28P01", Kind::Authentication),
            ("28000", Kind::Authentication),
            ("42P01", Kind::Configuration),
            ("42501", Kind::Configuration),
            ("3F000", Kind::Configuration),
            ("3D000", Kind::Configuration),
            ("22021", Kind::Message),
            ("23505", Kind::Unknown),
            ("XX000", Kind::Unknown),
        ];
        for (code, expected) in cases {
            assert_eq!(kind(&SqlState::from_code(code)), expected, "{code}");
        }
    }
}
