//! Bytes in headers: a header's value is a text here, and may be any bytes on a broker.
//!
//! Promises: a value that is UTF-8 stands as it is; any other stands as a data URL (RFC 2397), `data:;base64,…`, which
//! handlers and people can read; what goes back to a broker is the bytes that came. A text that looks like such a URL is
//! carried the same way, so that the way back is never a guess.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How a carried value begins.
const PREFIX: &str = "data:;base64,";

/// The text by which a value is carried.
pub(super) fn carried(value: &[u8]) -> Box<str> {
    match std::str::from_utf8(value) {
        Ok(text) if !text.starts_with(PREFIX) => text.into(),
        _ => format!("{PREFIX}{}", STANDARD.encode(value)).into(),
    }
}

/// The bytes that a carried text stands for; none for a text that stands for itself.
pub(super) fn original(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.strip_prefix(PREFIX)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes: Vec<u8>) {
            let text = carried(&bytes);
            let back = original(&text).unwrap_or_else(|| text.as_bytes().to_vec());
            prop_assert_eq!(back, bytes);
        }
    }

    #[test]
    fn a_text_that_looks_carried_is_carried() {
        assert_eq!(&*carried(b"acme"), "acme");
        assert_eq!(&*carried(&[0xff, 0]), "data:;base64,/wA=");
        assert_eq!(original(&carried(b"data:;base64,AAAA")).unwrap(), b"data:;base64,AAAA");
    }
}
