//! The error screen: every problem on its own line.

use std::collections::BTreeSet;
use std::fmt;

use super::origin::{Origin, Path};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key's path, dotted; `(file)` when a file as a whole cannot be read.
    pub path: String,
    /// Where it was written.
    pub origin: Origin,
    /// What is wrong and what to write instead.
    pub sentence: String,
}

/// Everything that is wrong. Displays as the list, one problem a line: `path  place  sentence`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    /// Paths that have their problem already.
    told: BTreeSet<Path>,
}

/// What `path` says when the problem is the file.
const WHOLE_FILE: &str = "(file)";

// === impl Problems ===

impl Problems {
    /// The exit code of a bad configuration.
    pub const EXIT_CODE: u8 = 3;

    /// The problems in the order of the list.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// The line above the list.
    #[must_use]
    pub fn headline(&self) -> String {
        match self.list.len() {
            1 => "1 problem in the configuration".to_owned(),
            many => format!("{many} problems in the configuration"),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether a whole file is missing from what follows.
    pub(super) fn unreadable(&self) -> bool {
        self.list.iter().any(|problem| problem.path == WHOLE_FILE)
    }

    /// A problem with a whole file.
    pub(super) fn file(&mut self, origin: Origin, sentence: impl Into<String>) {
        self.list.push(Problem {
            path: WHOLE_FILE.to_owned(),
            origin,
            sentence: sentence.into(),
        });
    }

    /// A problem with one value. The first one of a path is told: what follows from it helps nobody.
    pub(super) fn value(&mut self, path: Path, origin: Origin, sentence: impl Into<String>) {
        let dotted = path.join(".");
        if self.told.insert(path) {
            self.list.push(Problem {
                path: dotted,
                origin,
                sentence: sentence.into(),
            });
        }
    }

    /// Whether this path or a part of it has its problem already.
    pub(super) fn tells_of(&self, path: &[String]) -> bool {
        self.told.iter().any(|told| told.starts_with(path))
    }

    /// Files from top to bottom, then variables, flags and what is not set.
    pub(super) fn sorted(mut self) -> Self {
        self.list
            .sort_by(|a, b| (&a.origin, &a.path).cmp(&(&b.origin, &b.path)));
        self
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origins: Vec<String> = self.list.iter().map(|problem| problem.origin.to_string()).collect();
        let path_width = self
            .list
            .iter()
            .map(|problem| problem.path.chars().count())
            .max()
            .unwrap_or(0);
        let origin_width = origins.iter().map(|origin| origin.chars().count()).max().unwrap_or(0);
        for (problem, origin) in self.list.iter().zip(&origins) {
            let Problem { path, sentence, .. } = problem;
            writeln!(f, "{path:path_width$}  {origin:origin_width$}  {sentence}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
