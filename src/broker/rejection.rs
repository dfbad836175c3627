//! What a dead letter says about its failure, the same on every broker.
//!
//! Promises: diagnostics are bounded and cut first; the message's own key, payload and headers stay as they are. When the
//! whole still does not fit, the destination's size check says so and the letter stays in the table.

use std::sync::Arc;

use crate::contract::Rejection;

/// Longest error text, in bytes.
const MESSAGE_MAX: usize = 2 * 1024;
/// Longest chain of causes, in bytes.
const CHAIN_MAX: usize = 8 * 1024;

/// What is said of one dead letter.
#[derive(Debug, Clone)]
pub struct Diagnosis {
    headers: Vec<(Box<str>, Box<str>)>,
    /// The failure's sentence, cut.
    pub message: String,
}

// === impl Diagnosis ===

impl Diagnosis {
    /// The `twinbox-*` headers.
    pub fn of(rejection: &Rejection<'_>) -> Self {
        let failure = rejection.failure;
        let mut diagnosis = Self {
            headers: Vec::with_capacity(16),
            message: cut(&failure.message, MESSAGE_MAX).to_owned(),
        };
        let message = diagnosis.message.clone();
        diagnosis.say("twinbox-error-kind", failure.kind.as_str());
        diagnosis.say("twinbox-error-type", &failure.code);
        diagnosis.say("twinbox-error-message", &message);
        if !failure.chain.is_empty() {
            diagnosis.say("twinbox-error-chain", cut(&failure.chain.join("\n"), CHAIN_MAX));
        }
        diagnosis.say("twinbox-attempts", &rejection.attempts.to_string());
        diagnosis.say("twinbox-source", &rejection.from.destination.to_string());
        diagnosis
    }

    /// Adds a header.
    pub fn say(&mut self, name: &str, value: &str) {
        self.headers.push((name.into(), value.into()));
    }

    /// All headers.
    pub fn into_headers(self) -> Arc<[(Box<str>, Box<str>)]> {
        self.headers.into()
    }
}

/// At most `most` bytes of a text, at a character's edge.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("short", 10), "short");
        assert_eq!(cut("äöü", 3), "ä");
        assert_eq!(cut("äöü", 4), "äö");
    }
}
