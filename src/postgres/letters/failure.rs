//! What happened to letters, as the columns of an array parameter.

use serde_json::Value;

use crate::delivery::Failure;

/// One entry per failure, in the order of their insertion.
#[derive(Debug, Default)]
pub(super) struct Failures {
    pub(super) kinds: Vec<&'static str>,
    pub(super) types: Vec<String>,
    pub(super) messages: Vec<String>,
    pub(super) chains: Vec<Value>,
    pub(super) fingerprints: Vec<String>,
}

// === impl Failures ===

impl Failures {
    pub(super) fn push(&mut self, failure: &Failure) {
        self.kinds.push(failure.kind.as_str());
        self.types.push(plain(&failure.code));
        self.messages.push(plain(&failure.message));
        self.chains
            .push(failure.chain.iter().map(|cause| plain(cause)).collect());
        self.fingerprints.push(plain(&failure.fingerprint()));
    }
}

/// The one character that the database's text cannot hold.
pub(super) fn plain(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
