//! The ordering key: bytes that are compared, never interpreted.
//!
//! Promises: cheap to clone; its `Debug` shows only a hash, because keys may be personal data.

use std::fmt;
use std::sync::Arc;

/// The ordering key (`aggregateid`). An empty key is a key; a message without one is unordered.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<[u8]>);

// === impl Key ===

impl Key {
    /// The bytes as they go on the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key as text, where it is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// A stable hash for logs and pages: 64 bits of FNV-1a, enough to tell keys apart, no secret.
    #[must_use]
    pub fn hash_text(&self) -> String {
        let hash = self.0.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        format!("{hash:016x}")
    }
}

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key(#{})", self.hash_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_key_and_tells_keys_apart() {
        let (a, b) = (Key::from("customer@example.org"), Key::from("other"));
        assert!(!format!("{a:?}").contains("customer"));
        assert_ne!(format!("{a:?}"), format!("{b:?}"));
    }

    #[test]
    fn the_hash_is_the_published_fnv_1a() {
        assert_eq!(Key::from("").hash_text(), "cbf29ce484222325");
        assert_eq!(Key::from("a").hash_text(), "af63dc4c8601ec8c");
    }
}
