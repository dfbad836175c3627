//! Settings that every connection of ours must have, whatever the role, the database or the server defaults to.
//!
//! # Why in the startup packet
//!
//! A `SET` after connecting works too, but behind a transaction pooler it stays on a server connection that is handed to
//! somebody else next: our time-outs would end the application's statements. Startup `options` never leak: a pooler
//! refuses or drops them, and `connect` sees that and knows that it talks to one. Then the role's own settings
//! (`migrate --roles`) and `set local` have to do.

use std::fmt::Write as _;

use super::identifier::NAME_BYTES_MAX;

/// Longest statement that a relay or the pool may run.
pub const STATEMENT_TIMEOUT_SECONDS: u32 = 30;
/// Longest wait for a lock; a migration retries, a relay tries the same later.
pub const LOCK_TIMEOUT_SECONDS: u32 = 5;
/// The same for a consumer, which waits for rows of the inbox that another owner has not committed.
pub const CONSUMER_LOCK_TIMEOUT_SECONDS: u32 = 10;
/// A process that is frozen inside a transaction must not hold rows longer than this.
pub const IDLE_IN_TRANSACTION_SECONDS: u32 = 30;
/// Frees the session lock of a frozen relay. The pool prunes at [`super::connect::IDLE_PRUNE`], the wake connection is
/// used every 20 s, so that live connections never meet it.
pub const IDLE_SESSION_SECONDS: u32 = 60;

/// What a connection is for, and the settings that follow from that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    application: String,
    seqscan: bool,
    statement_timeout: u32,
    lock_timeout: u32,
    idle_max: u32,
}

// === impl Session ===

impl Session {
    /// Connections of the relay `name`. Sequential scans are off: from the sixth execution on, the generic plan of the
    /// probe would be one, with statistics or without.
    #[must_use]
    pub fn relay(name: &str) -> Self {
        Self {
            application: application("relay", name),
            seqscan: false,
            statement_timeout: STATEMENT_TIMEOUT_SECONDS,
            lock_timeout: LOCK_TIMEOUT_SECONDS,
            idle_max: IDLE_SESSION_SECONDS,
        }
    }

    /// Connections of the consumer `name`. A row of the inbox that another owner has not committed yet is waited for: that
    /// is what stops a zombie.
    #[must_use]
    pub fn consumer(name: &str) -> Self {
        Self {
            application: application("consumer", name),
            seqscan: true,
            statement_timeout: STATEMENT_TIMEOUT_SECONDS,
            lock_timeout: CONSUMER_LOCK_TIMEOUT_SECONDS,
            idle_max: IDLE_SESSION_SECONDS,
        }
    }

    /// Connections of a command: `migrate`, `letters`, `accept` and so on. It may run long and sit idle while a person
    /// thinks.
    #[must_use]
    pub fn command(verb: &str) -> Self {
        Self {
            application: application("command", verb),
            seqscan: true,
            statement_timeout: 0,
            lock_timeout: LOCK_TIMEOUT_SECONDS,
            idle_max: 0,
        }
    }

    /// What `pg_stat_activity.application_name` shows.
    #[must_use]
    pub fn application(&self) -> &str {
        &self.application
    }

    /// The settings, as the startup packet's `options` take them: blanks inside a value are escaped.
    pub(super) fn options(&self) -> String {
        let mut options = String::new();
        for (name, value) in self.settings() {
            // Writing to a String cannot fail.
            let _ = write!(
                options,
                " -c {name}={}",
                value.replace('\\', "\\\\").replace(' ', "\\ ")
            );
        }
        options
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let seconds = |n: u32| format!("{n}s");
        let on = |yes: bool| if yes { "on" } else { "off" }.to_owned();
        vec![
            ("search_path", "pg_catalog".to_owned()),
            ("TimeZone", "UTC".to_owned()),
            // A row-level policy hides rows silently; off turns that into an error.
            ("row_security", on(false)),
            // Compiling a plan costs more than any statement of ours.
            ("jit", on(false)),
            ("enable_seqscan", on(self.seqscan)),
            ("synchronous_commit", on(true)),
            ("default_transaction_isolation", "read committed".to_owned()),
            ("default_transaction_read_only", on(false)),
            ("default_transaction_deferrable", on(false)),
            ("statement_timeout", seconds(self.statement_timeout)),
            ("lock_timeout", seconds(self.lock_timeout)),
            (
                "idle_in_transaction_session_timeout",
                seconds(IDLE_IN_TRANSACTION_SECONDS),
            ),
            ("idle_session_timeout", seconds(self.idle_max)),
        ]
    }
}

/// `twinbox/<kind>/<name>`, cut where the server would cut it.
fn application(kind: &str, name: &str) -> String {
    let mut text = format!("twinbox/{kind}/{name}");
    while text.len() > NAME_BYTES_MAX {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_escape_blanks() {
        let options = Session::relay("orders").options();
        assert!(
            options.contains(r" -c default_transaction_isolation=read\ committed "),
            "{options}"
        );
        assert!(options.contains(" -c enable_seqscan=off "), "{options}");
    }

    #[test]
    fn an_application_name_fits_the_server() {
        let session = Session::relay(&"ü".repeat(60));
        assert!(session.application().len() <= NAME_BYTES_MAX);
        assert!(session.application().starts_with("twinbox/relay/ü"));
    }
}
