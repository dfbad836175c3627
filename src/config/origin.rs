//! Where a value comes from, and how its path is written.

use std::fmt;
use std::sync::Arc;

/// The place of one value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// In a file; lines and columns count from 1.
    File {
        /// The file as it was named.
        file: Arc<str>,
        /// The line.
        line: u64,
        /// The column, in characters.
        column: u64,
    },
    /// In an environment variable.
    Variable(String),
    /// In `--set PATH=VALUE`.
    Flag(String),
    /// Nowhere: the default holds, or nothing.
    NotSet,
}

/// The way to a value: keys and list indices from the root.
pub(super) type Path = Vec<String>;

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(path) => write!(f, "--set {path}"),
            Self::NotSet => f.write_str("(not set)"),
        }
    }
}

/// The variable that sets this path.
pub(super) fn variable(path: &[String]) -> String {
    let mut name = super::env::PREFIX.trim_end_matches('_').to_owned();
    for key in path {
        name.push_str("__");
        name.push_str(&key.to_uppercase());
    }
    name
}
