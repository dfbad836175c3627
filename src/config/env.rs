//! The process environment: the only file that reads it.
//!
//! A variable is ours when the prefix is followed by *two* underscores: for a Service named `twinbox` Kubernetes injects
//! `TWINBOX_PORT=tcp://…` and its like, which must not become unknown keys.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What the names of our variables begin with.
pub(super) const PREFIX: &str = "TWINBOX__";

/// The environment at one moment. Debug prints no value: half of them are secrets.
#[derive(Clone, Default)]
pub struct Environment {
    texts: BTreeMap<String, String>,
    /// Names whose values are not UTF-8.
    illegible: BTreeSet<String>,
}

// === impl Environment ===

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let mut environment = Self::default();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(text) => environment.texts.insert(name, text).is_some(),
                Err(_) => environment.illegible.insert(name),
            };
        }
        environment
    }

    /// The same with another value for one variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.texts.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The value of a variable, as secrets and well-known variables ask for it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        self.texts.get(name).cloned()
    }

    /// Our variables with their values, by name; `None`: not UTF-8.
    pub(super) fn ours(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let texts = self
            .texts
            .iter()
            .map(|(name, text)| (name.as_str(), Some(text.as_str())));
        let illegible = self.illegible.iter().map(|name| (name.as_str(), None));
        texts.chain(illegible).filter(|(name, _)| name.starts_with(PREFIX))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let texts = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Self {
            texts,
            illegible: BTreeSet::new(),
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.texts.len() + self.illegible.len())
    }
}
