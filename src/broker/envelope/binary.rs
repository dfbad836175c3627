//! Bytes in headers: a header's value is a text here, and may be any bytes on a broker.
//!
//! Promises: a value that is UTF-8 stands as it is; any other stands as a data URL (RFC 2397), `data:;base64,…`, which
//! handlers and people can read; what goes back to a broker is the bytes that came. A text that looks like such a URL is
//! carried the same way, so that the way back is never a guess.

/// How a carried value begins.
const PREFIX: &str = "data:;base64,";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The text by which a value is carried.
pub(super) fn carried(value: &[u8]) -> Box<str> {
    match std::str::from_utf8(value) {
        Ok(text) if !text.starts_with(PREFIX) => text.into(),
        _ => format!("{PREFIX}{}", encode(value)).into(),
    }
}

/// The bytes that a carried text stands for; none for a text that stands for itself.
pub(super) fn original(text: &str) -> Option<Vec<u8>> {
    decode(text.strip_prefix(PREFIX)?)
}

/// Base64 with padding (RFC 4648 §4).
fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let group = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            if place <= chunk.len() {
                text.push(char::from(ALPHABET[(group >> (18 - 6 * place) & 63) as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

/// The bytes of a base64 text; none when it is not one.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut group, mut bits) = (0_u32, 0);
    for digit in digits.bytes() {
        let value = ALPHABET.iter().position(|known| *known == digit)?;
        group = (group << 6 | value as u32) & 0xff_ffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((group >> bits & 0xff) as u8);
        }
    }
    Some(bytes)
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
    fn the_published_vectors_hold() {
        for (plain, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(plain.as_bytes()), text);
            assert_eq!(decode(text).unwrap(), plain.as_bytes());
        }
        for wrong in ["Zg", "Zg=", "Z===", "Zm9v!A==", "Zm9\n"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_text_that_looks_carried_is_carried() {
        assert_eq!(&*carried(b"acme"), "acme");
        assert_eq!(&*carried(&[0xff, 0]), "data:;base64,/wA=");
        assert_eq!(original(&carried(b"data:;base64,AAAA")).unwrap(), b"data:;base64,AAAA");
    }
}
