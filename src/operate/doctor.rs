//! Is the world right: the findings of the adapters, ranked and filtered.
//!
//! Promises: what could not be asked is never reported as ok; a filter hides lines, and the exit code speaks of what is
//! shown; the worst of each part comes first.

use std::collections::BTreeMap;

use crate::contract::{Finding, Grade};

/// Which findings are wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only ids that begin with one of these, in any case: `pg`, `kafka`; empty = all.
    pub only: Vec<String>,
    /// Not these ids.
    pub skip: Vec<String>,
    /// Warnings count as errors.
    pub strict: bool,
}

/// Findings of one part of the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What they are about: `database`, `relay orders`.
    pub about: String,
    /// The findings, the worst first.
    pub findings: Vec<Finding>,
}

/// How many of each grade.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// As it should be.
    pub ok: usize,
    /// Not asked.
    pub skip: usize,
    /// Weaker than it could be.
    pub warn: usize,
    /// Will not work.
    pub fail: usize,
}

// === impl Filter ===

impl Filter {
    /// What is left of these parts; a part without findings is left out.
    #[must_use]
    pub fn apply(&self, parts: Vec<Part>) -> Vec<Part> {
        let kept = parts.into_iter().map(|part| {
            let findings = part.findings.into_iter();
            let mut findings: Vec<Finding> = findings.filter(|finding| self.wants(finding.id)).collect();
            findings.sort_by(|a, b| b.grade.cmp(&a.grade).then_with(|| a.id.cmp(b.id)));
            Part { findings, ..part }
        });
        kept.filter(|part| !part.findings.is_empty()).collect()
    }

    /// Whether the doctor is content.
    #[must_use]
    pub fn passes(&self, tally: Tally) -> bool {
        tally.fail == 0 && !(self.strict && tally.warn > 0)
    }

    fn wants(&self, id: &str) -> bool {
        let id = id.to_ascii_lowercase();
        let begins = |prefix: &String| id.starts_with(&prefix.to_ascii_lowercase());
        let skipped = self.skip.iter().any(|skip| skip.eq_ignore_ascii_case(&id));
        (self.only.is_empty() || self.only.iter().any(begins)) && !skipped
    }
}

// === impl Tally ===

impl Tally {
    /// Counts.
    #[must_use]
    pub fn of(parts: &[Part]) -> Self {
        let mut counts = BTreeMap::new();
        for finding in parts.iter().flat_map(|part| &part.findings) {
            *counts.entry(finding.grade).or_default() += 1;
        }
        let count = |grade| counts.get(&grade).copied().unwrap_or_default();
        Self {
            ok: count(Grade::Ok),
            skip: count(Grade::Skip),
            warn: count(Grade::Warn),
            fail: count(Grade::Fail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(id: &'static str, grade: Grade) -> Finding {
        Finding {
            id,
            grade,
            observed: String::new(),
            expected: String::new(),
            fix: String::new(),
        }
    }

    fn world() -> Vec<Part> {
        let database = vec![finding("PG-CONN", Grade::Ok), finding("PG-TABLE", Grade::Fail)];
        let broker = vec![finding("KAFKA-TOPIC", Grade::Warn), finding("KAFKA-ACL", Grade::Skip)];
        let part = |about: &str, findings| Part {
            about: about.to_owned(),
            findings,
        };
        vec![part("database", database), part("relay orders", broker)]
    }

    fn filter(only: &[&str], skip: &[&str], strict: bool) -> Filter {
        let owned = |list: &[&str]| list.iter().map(|id| (*id).to_owned()).collect();
        Filter {
            only: owned(only),
            skip: owned(skip),
            strict,
        }
    }

    #[test]
    fn the_worst_comes_first() {
        let parts = Filter::default().apply(world());
        assert_eq!(parts[0].findings[0].id, "PG-TABLE");
        assert_eq!(
            Tally::of(&parts),
            Tally {
                ok: 1,
                skip: 1,
                warn: 1,
                fail: 1
            }
        );
    }

    #[test]
    fn the_verdict_speaks_of_what_is_shown() {
        let passes = |filter: &Filter| filter.passes(Tally::of(&filter.apply(world())));
        assert!(!passes(&filter(&[], &[], false)));
        assert!(passes(&filter(&[], &["pg-table"], false)));
        assert!(!passes(&filter(&[], &["pg-table"], true)));
        assert!(passes(&filter(&["kafka"], &[], false)));
        assert_eq!(filter(&["kafka"], &[], false).apply(world()).len(), 1);
    }
}
