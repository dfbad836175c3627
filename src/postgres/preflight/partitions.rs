//! An outbox of partitions: is it one, are there enough, was one taken away. Pure.

use tokio_postgres::Row;

use crate::contract::{Finding, Grade};
use crate::postgres::answer::PLAIN;
use crate::postgres::identifier::{Schema, quoted};

/// As many rows in the default partition are no accident of a start.
const STRAYS_MAX: i64 = 10_000;

/// What was seen of them.
#[derive(Debug, Clone)]
pub(super) struct Partitions {
    /// Seconds for which partitions are there; none = there never was one.
    ahead: Option<f64>,
    /// Rows in the default partition, about.
    strays: i64,
    /// Detached, and not dropped.
    detached: Vec<String>,
    /// This role may make and drop them.
    may: bool,
}

/// What to think of it; no partitions = a plain table. `wanted`: the relay is to drop them.
pub(super) fn findings(seen: Option<&Partitions>, schema: &Schema, wanted: bool) -> Vec<Finding> {
    match (seen, wanted) {
        (None, false) => Vec::new(),
        (None, true) => {
            let observed = format!("{schema}.outbox is a plain table, and `retention: partitions` has nothing to drop");
            vec![finding(
                (Grade::Fail, observed),
                "an outbox of partitions",
                PLAIN.to_owned(),
            )]
        }
        (Some(seen), _) => seen.findings(schema, wanted),
    }
}

fn finding((grade, observed): (Grade, String), expected: &str, fix: String) -> Finding {
    Finding {
        id: "PG-TABLE",
        grade,
        observed,
        expected: expected.to_owned(),
        fix,
    }
}

// === impl Partitions ===

impl Partitions {
    pub(super) fn read(row: &Row) -> Self {
        Self {
            ahead: row.get("ahead"),
            strays: row.get("strays"),
            detached: row.get("detached"),
            may: row.get("may"),
        }
    }

    fn findings(&self, schema: &Schema, wanted: bool) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut warn = |observed: String, expected: &str, fix: String| {
            found.push(finding((Grade::Warn, observed), expected, fix));
        };
        if !wanted {
            let observed = format!("{schema}.outbox is made of partitions, and this relay deletes its rows one by one");
            let expected = "`retention: partitions`: it makes partitions ahead and drops old ones";
            warn(
                observed,
                expected,
                "set `retention: partitions` for this relay".to_owned(),
            );
        } else if self.ahead.is_none_or(|ahead| ahead <= 0.0) {
            let observed =
                format!("{schema}.outbox has no partition for now: rows go to outbox_default, and are deleted");
            warn(
                observed,
                "partitions made ahead",
                "start the relay: whoever leads makes them".to_owned(),
            );
        }
        if wanted && !self.may {
            let observed = format!("this role may not make and drop partitions of {schema}.outbox: it grows");
            let fix = "twinbox migrate --roles, then: grant twinbox_relay to \"the role in database.url\";".to_owned();
            warn(observed, "the rights of twinbox_relay", fix);
        }
        if self.strays > STRAYS_MAX {
            let observed = format!(
                "{schema}.outbox_default holds about {} rows: no partition was there for them",
                self.strays
            );
            let fix = "keep a relay running; what is there is deleted when it is old".to_owned();
            warn(observed, "few, or none", fix);
        }
        for name in &self.detached {
            let observed = format!("{schema}.{name} is detached: relays do not see its rows");
            let fix = format!(
                "somebody detached it, and no relay drops it: rows of it may be unpublished. Attach it again: alter table {schema}.outbox \
                 attach partition {}.{} for values from (…) to (…);",
                quoted(schema.name()),
                quoted(name)
            );
            warn(observed, "none", fix);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grades(seen: Option<&Partitions>, wanted: bool) -> Vec<Grade> {
        let schema = Schema::new("twinbox").expect("a plain name");
        let found = findings(seen, &schema, wanted);
        assert!(found.iter().all(|finding| !finding.fix.is_empty()));
        found.iter().map(|finding| finding.grade).collect()
    }

    #[test]
    fn each_weakness_is_told_and_health_is_silent() {
        let good = Partitions {
            ahead: Some(3600.0),
            strays: 0,
            detached: Vec::new(),
            may: true,
        };
        assert_eq!(grades(None, false), []);
        assert_eq!(grades(None, true), [Grade::Fail]);
        assert_eq!(grades(Some(&good), true), []);
        assert_eq!(grades(Some(&good), false), [Grade::Warn]);
        for weak in [
            Partitions {
                ahead: None,
                ..good.clone()
            },
            Partitions {
                ahead: Some(-1.0),
                ..good.clone()
            },
            Partitions {
                may: false,
                ..good.clone()
            },
            Partitions {
                strays: STRAYS_MAX + 1,
                ..good.clone()
            },
            Partitions {
                detached: vec!["outbox_20260101t000000".to_owned()],
                ..good.clone()
            },
        ] {
            assert_eq!(grades(Some(&weak), true), [Grade::Warn], "{weak:?}");
        }
    }
}
