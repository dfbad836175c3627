//! What a dead letter says about its failure, the same on every broker.
//!
//! Promises: diagnostics are bounded and cut first; the message's own key, payload and headers stay as they are. When the
//! whole still does not fit, the destination's size check says so and the letter stays in the table.

use crate::contract::Rejection;

/// Longest error text, in bytes.
const MESSAGE_MAX: usize = 2 * 1024;
/// Longest chain of causes, in bytes.
const CHAIN_MAX: usize = 8 * 1024;

/// Headers by name.
pub(super) type Headers = Vec<(Box<str>, Box<str>)>;

/// The `twinbox-*` headers.
pub(super) fn headers(rejection: &Rejection<'_>) -> Headers {
    let failure = rejection.failure;
    let mut headers: Headers = Vec::with_capacity(16);
    push(&mut headers, "twinbox-error-kind", failure.kind.as_str());
    push(&mut headers, "twinbox-error-type", &failure.code);
    push(&mut headers, "twinbox-error-message", message(rejection));
    if !failure.chain.is_empty() {
        let chain = failure.chain.join("\n");
        push(&mut headers, "twinbox-error-chain", cut(&chain, CHAIN_MAX));
    }
    push(&mut headers, "twinbox-attempts", &rejection.attempts.to_string());
    push(&mut headers, "twinbox-source", &rejection.from.destination.to_string());
    headers
}

/// The failure's sentence, cut.
pub(super) fn message<'a>(rejection: &Rejection<'a>) -> &'a str {
    cut(&rejection.failure.message, MESSAGE_MAX)
}

/// Adds a header.
pub(super) fn push(headers: &mut Headers, name: &str, value: &str) {
    headers.push((name.into(), value.into()));
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
