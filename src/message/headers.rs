//! A message's own headers: names and text values, in the row's order.
//!
//! Promises: cheap to clone; a value that is no string in the row stands here as its JSON text; no allocation for
//! the usual row, which has none.

use std::sync::Arc;

/// Header under which the JSON text of a `headers` column stands that is no object.
pub const ODD_HEADERS: &str = "twinbox-headers";

/// Names and values, shared between the clones of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Option<Arc<[(Box<str>, Box<str>)]>>);

// === impl Headers ===

impl Headers {
    /// The value of the first header of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .flat_map(|pairs| pairs.iter())
            .map(|(name, value)| (&**name, &**value))
    }

    /// Bytes of all names and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + value.len()).sum()
    }
}

impl FromIterator<(Box<str>, Box<str>)> for Headers {
    fn from_iter<I: IntoIterator<Item = (Box<str>, Box<str>)>>(pairs: I) -> Self {
        let pairs: Vec<_> = pairs.into_iter().collect();
        Self((!pairs.is_empty()).then(|| pairs.into()))
    }
}
